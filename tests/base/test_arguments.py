"""What a person types to a command, as typed values; what is not understood is refused, all of it at once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tl_sweep.base.arguments import argument, help_of, read, read_with_words
from tl_sweep.base.errors import UserError


@dataclass(frozen=True)
class Arguments:
    run: str = argument("", "id of the run")
    open: bool = argument(False, "show it")
    epochs: int = argument(3, "of training", ge=1, le=9)
    rate: float | None = argument(None, "null: found by itself", gt=0)
    out: Path = argument(Path("here"), "where to write")
    format: str = argument("table", "how it is printed", choices=("table", "csv"))
    views: tuple[int, ...] = argument((1, 4), "of each image", ge=1)
    data_root: str | None = argument("photos", "the images", key="data.root")


def test_nothing_typed_means_the_defaults() -> None:
    assert read(Arguments, [], None) == Arguments()


@pytest.mark.parametrize("words", [["epochs=5"], ["--epochs=5"], ["--epochs", "5"]], ids=" ".join)
def test_a_key_is_spelled_in_three_ways(words: list[str]) -> None:
    assert read(Arguments, words, None) == Arguments(epochs=5)


@pytest.mark.parametrize(
    ("word", "attribute", "value"),
    [
        ("run=a=b", "run", "a=b"),
        ("run=null", "run", "null"),  # a word like others, where null is not allowed
        *((f"open={text}", "open", True) for text in ("true", "True", "yes", "1")),
        *((f"open={text}", "open", False) for text in ("false", "FALSE", "no", "0")),
        ("epochs=9", "epochs", 9),
        ("rate=1e-3", "rate", 0.001),
        ("rate=null", "rate", None),
        ("rate=None", "rate", None),
        ("out=there/file", "out", Path("there/file")),
        ("out=~/file", "out", Path.home() / "file"),
        ("format=csv", "format", "csv"),
        ("views=2", "views", (2,)),
        ("views=2,3", "views", (2, 3)),
        ("views=", "views", ()),
        ("data.root=a b", "data_root", "a b"),
        ("data.root=null", "data_root", None),
    ],
)
def test_words_become_values_of_the_field_s_type(word: str, attribute: str, value: Any) -> None:
    found = getattr(read(Arguments, [word], None), attribute)
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("word", "problem"),
    [
        ("open=maybe", "allowed: true, false, yes, no, 1, 0"),
        ("open=", "allowed: true, false, yes, no, 1, 0"),
        ("epochs=1.5", "a whole number is needed"),
        ("epochs=null", "a whole number is needed"),
        ("epochs=0", "must be at least 1 and at most 9"),
        ("rate=fast", "a number is needed"),
        ("rate=nan", "must be above 0"),
        ("format=cvs", "allowed: table, csv; did you mean 'csv'?"),
        ("views=1,x", "a whole number is needed"),
        ("epoch=3", "unknown; did you mean 'epochs'? keys: run, open, epochs, rate, out, format, views, data.root"),
        ("--fast", "unknown; keys: run, open, epochs, rate, out, format, views, data.root"),
        ("now", "unknown; keys: run, open, epochs, rate, out, format, views, data.root"),
    ],
)
def test_what_is_not_allowed_is_refused_with_what_is(word: str, problem: str) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(f'{word}: {problem}')}$"):
        read(Arguments, [word], None)


def test_of_several_values_each_keeps_the_rules() -> None:
    with pytest.raises(UserError, match=r"^views=0: must be at least 1$"):
        read(Arguments, ["views=1,0"], None)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(UserError) as caught:
        read(Arguments, ["open=maybe", "format=cvs", "epochs=3", "epoch=3"], None)
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == [
        "open=maybe",
        "format=cvs",
        "epoch=3",
    ]


def test_other_words_are_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a=b.png").touch()
    arguments, others = read_with_words(Arguments, ["list", "run=7", "a=b.png"], None)
    assert (arguments, others) == (Arguments(run="7"), ["list", "a=b.png"])


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_is_printed_and_ends_the_command(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        read(Arguments, ["epochs=no number", word], "What it does.\n")
    assert caught.value.code == 0
    assert capsys.readouterr().out == help_of(Arguments, "What it does.\n") + "\n"


def test_help_is_made_of_the_fields() -> None:
    first, empty, heading, *rows = help_of(Arguments, "What it does.\n").splitlines()
    assert (first, empty) == ("What it does.", "")
    assert heading == "keys, as key=value or --key value, with what they are when not given:"
    assert [re.split(r"\s{2,}", row.strip()) for row in rows] == [
        ["run", "id of the run"],
        ["open", "false", "show it"],
        ["epochs", "3", "of training"],
        ["rate", "null", "null: found by itself"],
        ["out", "here", "where to write"],
        ["format", "table", "how it is printed (table, csv)"],
        ["views", "1,4", "of each image"],
        ["data.root", "photos", "the images"],
    ]


def test_long_help_is_folded_below_itself() -> None:
    @dataclass(frozen=True)
    class Long:
        key: int = argument(0, "word " * 60)

    *_, first, second, third = help_of(Long, None).splitlines()
    assert first.startswith("  key  0  word word")
    assert {len(line) - len(line.lstrip()) for line in (second, third)} == {first.index("word")}
    assert max(map(len, (first, second, third))) <= 120
