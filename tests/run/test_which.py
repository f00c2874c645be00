"""One way to say which run: in its own folder first, then in the store; what is not there is answered in one line."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from tl_sweep.base.errors import UserError
from tl_sweep.run.which import Places, best_run, named_for_good, which_run, which_sweep
from tl_sweep.tracking.delivery import Delivery, Destination
from tl_sweep.tracking.record import Record, RunHeader

DATA = {"name": "digits", "digest": "0123", "source_type": "local", "source": "{}", "profile": "{}"}
Make = Callable[..., Path]


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """No store."""
    return Places(tmp_path / "runs", None, "tl_sweep")


@pytest.fixture
def stored(tmp_path: Path, store_uri: str) -> Places:
    """With an experiment of the test's own."""
    return Places(tmp_path / "runs", store_uri, uuid.uuid4().hex)


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """``make("abc", val=0.9, …)``: the folder of a run as it records itself, later than those before it."""
    clock = itertools.count(1.7e9)
    monkeypatch.setattr("tl_sweep.tracking.record.time", SimpleNamespace(time=lambda: next(clock)))

    def make_run(
        key: str,
        *,
        sweep: str = "s1",
        val: float = 0.5,
        seed: int = 0,
        lr: float = 1.0,
        data: str = "d",
        status: str = "FINISHED",
        where: str = "runs",
    ) -> Path:
        folder = tmp_path / where / key
        folder.mkdir(parents=True)
        tags = {"key": key, "backbone": "resnet18", "strategy": "none", "data.fingerprint": data}
        tags |= {"sweep": sweep, f"sweep.{sweep}": "yes"} if sweep else {}
        params = {"seed": str(seed), "data.subset_seed": str(seed), "optim.lr": str(lr), "data.name": data}
        record = Record(folder)
        record.append("start", id=uuid.uuid4().hex, destination=None, **vars(RunHeader(key, tags, params, DATA)))
        record.append("metrics", step=0, values={"best/val_acc": val, "best/val_loss": 1.0})
        if status:
            record.append("end", status=status)
        return folder

    return make_run


def send(folder: Path, places: Places) -> str:
    """To the store; returns MLflow's id."""
    assert places.uri is not None
    delivery = Delivery(folder, Destination(places.uri, places.experiment))
    delivery.send()
    return delivery.run_id


# --- by name


def test_a_run_is_known_by_key_by_beginning_and_by_folder(places: Places, make: Make) -> None:
    folder, _ = make("0123abcd"), make("4567")
    for text in ("0123abcd", "012", str(folder)):
        run = which_run(text, places)
        assert (run.tags["key"], run.tags["folder"], run.name) == ("0123abcd", str(folder), "0123abcd")


def test_a_key_counts_in_full_even_where_another_begins_so(places: Places, make: Make) -> None:
    make("01"), make("0123")
    assert which_run("01", places).tags["key"] == "01"


def test_the_stores_id_is_known_from_the_folder_alone(stored: Places, make: Make, tmp_path: Path) -> None:
    run_id = send(make("0123"), stored)
    without = Places(stored.output_dir, None, stored.experiment)
    assert which_run(run_id, without).tags["key"] == "0123"
    assert which_run(run_id[:9], without).tags["key"] == "0123"
    gone = Places(stored.output_dir, f"sqlite:///{tmp_path / 'gone.db'}", stored.experiment)
    assert which_run(run_id, gone).tags["key"] == "0123"
    assert not (tmp_path / "gone.db").exists()


def test_what_has_no_folder_here_is_found_in_the_store(stored: Places, make: Make) -> None:
    run_id = send(make("0123abcd", where="elsewhere"), stored)
    for text in (run_id, run_id[:9], "0123abcd", "0123ab"):
        assert which_run(text, stored).run_id == run_id


@pytest.mark.parametrize("store", ["places", "stored"])
def test_several_that_begin_so_are_listed(store: str, make: Make, request: pytest.FixtureRequest) -> None:
    places = request.getfixturevalue(store)
    for key in ("0123", "0145"):
        folder = make(key, where="runs" if store == "places" else "elsewhere")
        if store == "stored":
            send(folder, places)
    with pytest.raises(
        UserError, match=r"^run=01: 2 runs begin so: \w+ \(resnet18 none, seed 0, validation 50.0 %\), \w+"
    ):
        which_run("01", places)


def test_what_is_not_there_is_answered_with_what_is(places: Places, make: Make) -> None:
    make("0123abcd")
    with pytest.raises(UserError) as error:
        which_run("0124", places)
    assert str(error.value) == (
        f"run=0124: no such run in {places.output_dir}; did you mean '0123'? run=best is of the last sweep, s1"
    )


def test_nothing_at_all(places: Places) -> None:
    with pytest.raises(UserError, match=f"^run=01: no such run in {places.output_dir}$"):
        which_run("01", places)


def test_a_folder_that_is_none_of_a_run(places: Places, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=f"^run={tmp_path}: not the folder of a run: there is no {tmp_path}/record.jsonl"
    ):
        which_run(str(tmp_path), places)


def test_a_database_that_is_gone_beside_runs_that_are_here_is_made_anew_by_sync(make: Make, tmp_path: Path) -> None:
    make("0123")
    gone = Places(tmp_path / "runs", f"sqlite:///{tmp_path / 'gone.db'}", "tl_sweep")
    with pytest.raises(UserError) as error:
        which_run("9", gone)
    assert str(error.value).endswith(
        f"there is no database {tmp_path}/gone.db; python -m tl_sweep.sync output.dir={tmp_path}/runs "
        f"tracking.uri=sqlite:///{tmp_path}/gone.db makes it anew from the 1 runs in {tmp_path}/runs"
    )


# --- the best


def test_the_best_is_of_the_last_sweep_by_the_mean_over_seeds(
    places: Places, make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    make("old", sweep="s1", val=1.0)
    for seed, (low, high) in enumerate([(0.70, 0.60), (0.80, 0.95)]):
        make(f"low{seed}", sweep="s2", seed=seed, lr=1.0, val=low)
        make(f"high{seed}", sweep="s2", seed=seed, lr=3.0, val=high)
    make("alone", sweep="s2", seed=0, lr=9.0, val=0.99)  # fewer seeds than others
    make("failed", sweep="s2", seed=1, lr=9.0, val=0.99, status="FAILED")
    assert which_run("best", places).name == "high1"
    assert capsys.readouterr().err == "the best of sweep s2: high1 (resnet18 none, seed 1, validation 95.0 %)\n"
    assert which_run("best:s1", places).name == "old"


def test_a_sweep_whose_runs_are_on_two_machines_has_one_best(stored: Places, make: Make) -> None:
    make("here", val=0.5)
    run_id = send(make("there", val=0.9, lr=3.0, where="elsewhere"), stored)
    assert which_run("best", stored).run_id == run_id


def test_a_store_that_does_not_answer_is_said(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make("here")
    away = Places(tmp_path / "runs", "http://127.0.0.1:9", "tl_sweep")
    assert best_run("", away).name == "here"
    assert capsys.readouterr().err.startswith(
        f"note: of the runs in {tmp_path}/runs alone: tracking.uri=http://127.0.0.1:9"
    )


@pytest.mark.parametrize(
    ("sweep", "made", "problem"),
    [
        ("", [], "sweep=last: no run that is recorded there belongs to a sweep"),
        ("s3", [{"sweep": "s1"}], "sweep=s3: no such sweep; there are s1"),
        ("s", [{"sweep": "s1"}, {"sweep": "s2"}], "sweep=s: 2 sweeps begin so: s2, s1"),
        ("", [{"status": "FAILED"}], "run=best: no run of sweep s1 has finished; there are s1"),
        (
            "",
            [{"data": "a"}, {"data": "b"}],
            "run=best: sweep s1 is about 2 data sets; the best of each: 0 (resnet18 none",
        ),
    ],
)
def test_no_best(places: Places, make: Make, sweep: str, made: list[dict[str, str]], problem: str) -> None:
    for number, values in enumerate(made):
        make(str(number), **values)
    with pytest.raises(UserError) as error:
        best_run(sweep, places)
    assert str(error.value).startswith(problem)
    assert "\n" not in str(error.value)


def test_a_sweep_is_known_by_its_beginning(places: Places, make: Make) -> None:
    make("0", sweep="s1a2b"), make("1", sweep="s1c3d")
    runs = [which_run(key, places) for key in "01"]
    assert [which_sweep(text, runs) for text in ("s1a", "s1a2b", "last")] == ["s1a2b", "s1a2b", "s1c3d"]


# --- for good


def test_a_full_id_stays_as_it_is_without_being_looked_up(places: Places) -> None:
    assert named_for_good("f" * 32, places) == "f" * 32


def test_a_name_for_good_is_the_stores_id_else_the_key_else_the_folder(stored: Places, make: Make) -> None:
    folder, outside = make("0123"), make("4567", where="outside")
    without = Places(stored.output_dir, None, stored.experiment)
    assert [named_for_good(text, without) for text in ("best", "01", str(folder))] == ["0123"] * 3
    assert named_for_good(str(outside), without) == str(outside)
    run_id = send(folder, stored)
    assert [named_for_good(text, stored) for text in ("best", "01", "0123", str(folder))] == [run_id] * 4
