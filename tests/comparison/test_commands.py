"""Commands that a comparison prints, read back as a shell and Hydra read them."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from tl_sweep.comparison.commands import adding_seeds, command_of
from tl_sweep.comparison.model_selection import Candidate, Cell, seed_of
from tl_sweep.config.typed import read_command_line
from tl_sweep.tracking.record import RunRecord


def a_run(
    seed: int = 0,
    subset: int | None = None,
    params: dict[str, str] | None = None,
    tags: dict[str, str] | None = None,
    started_s: float = 0.0,
) -> RunRecord:
    own = {"seed": str(seed), "data.subset_seed": str(seed if subset is None else subset)}
    known = {"backbone": "resnet18", "strategy": "all", "overrides": f"freeze=all optim.lr=0.1 seed={seed}"}
    return RunRecord("", "FINISHED", own | (params or {}), known | (tags or {}), {}, started_s)


def a_cell(runs: list[RunRecord]) -> Cell:
    chosen = Candidate((), tuple(runs))
    return Cell("resnet18", "all", (), chosen, (chosen,))


def values_in(command: str) -> tuple[tuple[str, ...], dict[str, list[str]]]:
    """Flags, and the values of each key, as they arrive."""
    python, minus_m, module, *words = shlex.split(command)
    assert (python, minus_m, module) == ("python", "-m", "tl_sweep.train")
    typed = read_command_line(words)
    parsed = OverridesParser.create().parse_overrides(list(typed.overrides))
    return typed.flags, {
        override.key_or_group: list(override.sweep_string_iterator())
        if override.is_sweep_override()
        else [str(override.value())]
        for override in parsed
    }


def test_it_keeps_what_was_typed_and_names_the_seeds() -> None:
    assert command_of([a_run(0), a_run(1)]) == "python -m tl_sweep.train -m freeze=all optim.lr=0.1 seed=0,1"
    assert command_of([a_run(0)], [seed_of(a_run(7))]).endswith("optim.lr=0.1 seed=7")


PLACES = {
    "data.root": "/My Photos (ü), 2024",
    "cache.dir": "it's here",
    "weights.dir": "~/weights",
    "output.dir": "runs [1]",
    "tracking.uri": "postgresql://me:***@host/db?x=1",
    "tracking.experiment": "my experiment",
}


@pytest.mark.parametrize("key", PLACES)
def test_it_says_where_runs_are_where_that_is_not_the_default(key: str) -> None:
    flags, values = values_in(command_of([a_run(params={key: PLACES[key]})]))
    assert flags == ("-m",)
    assert values.pop("data", ["image_folder"]) == ["image_folder"]
    assert [text.replace(str(Path.home()), "~") for text in values.pop(key)] == [PLACES[key]]
    assert values == {"freeze": ["all"], "optim.lr": ["0.1"], "seed": ["0"]}


def test_no_tracking_store_is_kept_and_defaults_are_not_said() -> None:
    where = {"tracking.uri": "null", "output.dir": "runs", "tracking.experiment": "tl_sweep"}
    assert (
        command_of([a_run(params=where)])
        == "python -m tl_sweep.train -m freeze=all optim.lr=0.1 tracking.uri=null seed=0"
    )


def test_it_keeps_the_folder_of_ones_own_options(tmp_path: Path) -> None:
    own = tmp_path / "my conf"
    flags, values = values_in(command_of([a_run(tags={"config.dir": str(own), "overrides": "freeze=mine seed=0"})]))
    assert flags == ("-m", f"--config-dir={own}")
    assert values == {"freeze": ["mine"], "seed": ["0"]}


def test_it_leaves_out_how_a_run_was_computed() -> None:
    run = a_run(tags={"overrides": "resume=force device=cpu threads=1 sweep=grid freeze=all hydra.verbose=true seed=0"})
    assert command_of([run]) == "python -m tl_sweep.train -m freeze=all seed=0"


def test_backslashes_of_a_grid_are_quotes_when_it_is_pasted() -> None:
    typed = r"freeze=all model.weights=/my\ own\:\ weights.pth output.dir=/my\ runs seed=0"
    _, values = values_in(command_of([a_run(tags={"overrides": typed}, params={"output.dir": "/my runs"})]))
    assert values == {
        "freeze": ["all"],
        "model.weights": ["/my own: weights.pth"],
        "output.dir": ["/my runs"],
        "seed": ["0"],
    }


def test_of_runs_in_several_places_the_newest_counts() -> None:
    runs = [a_run(age, params={"output.dir": name}, started_s=age) for age, name in enumerate(["old", "new"])]
    assert command_of(runs).endswith("output.dir=new seed=0,1")


# --- seeds that are missing


@pytest.mark.parametrize(
    ("own", "other", "count", "added"),
    [
        ([0, 1, 2], [0, 1, 2], 14, ["range(3,14)", "range(3,14)"]),
        ([0, 1, 2], [0, 1, 2], 5, ["3,4", "3,4"]),
        ([0, 1, 2, 3, 4], [0, 1, 2], 7, ["5,6", "3,4,5,6"]),
        ([5], [5], 3, ["0,1", "0,1"]),
        ([0], [1], 3, ["1,2", "0,2"]),
        ([0, 1, 2], [0, 1, 2], 3, []),
        ([0, 2, 4], [0, 2, 4], 9, ["1,3,5,6,7,8", "1,3,5,6,7,8"]),
    ],
    ids=["many", "few", "unequal", "another first", "none shared", "nothing missing", "with holes"],
)
def test_seeds_that_are_missing_not_those_that_are_there(
    own: list[int], other: list[int], count: int, added: list[str]
) -> None:
    cells = a_cell([a_run(seed) for seed in own]), a_cell([a_run(seed) for seed in other])
    commands = list(adding_seeds(dict.fromkeys(cells, count)))
    assert [shlex.split(command)[-1] for command in commands] == [f"seed={seeds}" for seeds in added]
    for command, cell in zip(commands, cells, strict=False):
        seeds = values_in(command)[1]["seed"]
        assert len(set(seeds)) == count - len(cell.runs)


def test_each_has_as_many_seeds_as_it_needs() -> None:
    best, near, far = (a_cell([a_run(0)]) for _ in range(3))
    commands = adding_seeds({best: 4, near: 3, far: 4})
    assert [shlex.split(command)[-1] for command in commands] == ["seed=1,2,3", "seed=1,2", "seed=1,2,3"]


@pytest.mark.parametrize(
    ("pairs", "added"),
    [
        ([(0, 4), (1, 4)], "data.subset_seed=4 seed=2,3"),
        ([(4, 0), (4, 1)], "data.subset_seed=2,3 seed=4"),
        ([(0, 4)], "data.subset_seed=4 seed=1,2,3"),
    ],
    ids=["one subset", "one seed", "a lone run"],
)
def test_what_was_fixed_stays_so(pairs: list[tuple[int, int]], added: str) -> None:
    (command,) = adding_seeds({a_cell([a_run(seed, subset) for seed, subset in pairs]): 4})
    assert command.endswith(f"optim.lr=0.1 {added}")
