"""What a run leaves in the store and in its folder, and how the store is made."""

from __future__ import annotations

import json
import multiprocessing
import re
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import torch
import yaml
from commands import Recorded, record
from configs import config_in
from mlflow import MlflowClient
from mlflow.entities import Run
from sqlalchemy import event
from sqlalchemy.engine import Engine

from tl_sweep.base.errors import JobFailed, UserError
from tl_sweep.config.schema import Config, flattened, to_dict
from tl_sweep.run.context import Position
from tl_sweep.run.execute import run_job
from tl_sweep.tracking.client import StoreAway
from tl_sweep.tracking.delivery import Destination
from tl_sweep.tracking.metric_names import metric_names
from tl_sweep.tracking.record import RunHeader, RunRecord, metric_lines
from tl_sweep.tracking.store import (
    download_artifact,
    prepare_store,
    recorded_runs,
    runs_named,
    runs_of_sweep,
)
from tl_sweep.tracking.tracker import Tracker

ARTIFACTS = {
    "checkpoint.json",
    "checkpoint.safetensors",
    "config.yaml",
    "confusion.png",
    "curves.png",
    "per_class.csv",
    "predictions.parquet",
    "record.jsonl",
    "run.log",
    "split.json",
}


@pytest.fixture(scope="module")
def stored(small_run: Recorded) -> Run:
    return MlflowClient(small_run.uri).get_run(small_run.run_id)


# --- what a run leaves


def test_a_run_that_ended_well_is_finished_under_a_name_that_tells_runs_apart(stored: Run) -> None:
    assert (stored.info.status, stored.info.run_name) == ("FINISHED", "none lr0.001 e2 n5 resnet_small s0")


def test_parameters_are_the_whole_configuration(small_run: Recorded, stored: Run) -> None:
    assert stored.data.params.keys() == flattened(to_dict(small_run.config)).keys()
    shown = {key: stored.data.params[key] for key in ("data.shots", "model.weights", "optim.lr_scale", "deterministic")}
    assert shown == {"data.shots": "5", "model.weights": "null", "optim.lr_scale": "1.0", "deterministic": "false"}


def test_tags_say_what_was_compared_and_where(stored: Run) -> None:
    expected = {
        "backbone": "resnet_small",
        "strategy": "none",
        "strategy.label": "none (full fine-tuning)",
        "init": "random",
        "solver": "adamw",
        "schema": "2",
        "trainable": "4 of 4 stages + head x 2",
        "phases": '[{"learns": "everything", "frozen_stages": 0, "parameters": "all", "epochs": 2}]',
        "trainable_parameters": "175258",
        "overrides": "epochs=2 seed=0",
        "device": "cpu",
        "precision": "float32",
        "host": socket.gethostname(),
        "version.torch": torch.__version__.partition("+")[0],
        "version.mlflow": mlflow.__version__,
    }
    assert {name: stored.data.tags[name] for name in expected} == expected
    per_stage = json.loads(stored.data.tags["parameters_per_stage"])
    assert list(per_stage) == ["stem", "layer1", "layer2", "layer3", "head"]
    assert sum(per_stage.values()) == 175258
    assert not {"control", "baseline"} & stored.data.tags.keys()


def test_a_run_knows_its_sweep_commit_and_data(stored: Run) -> None:
    tags = stored.data.tags
    assert tags[f"sweep.{tags['sweep']}"] == "yes"
    assert re.fullmatch("[0-9a-f]{40}", tags["mlflow.source.git.commit"])
    assert tags["git.dirty"] in ("yes", "no")
    (given,) = stored.inputs.dataset_inputs
    assert given.dataset.name == "digits"
    assert given.dataset.digest == f"{tags['data.fingerprint'][:17]}-{tags['data.split'][:17]}"
    assert json.loads(given.dataset.source)["split"] == tags["data.split"]
    assert json.loads(str(given.dataset.profile)) == {"train": 40, "val": 10, "test": 797, "classes": 10}


@pytest.mark.parametrize(
    "name",
    ["train/loss", "train/acc", "val/loss", "val/acc", "images_per_s", "lr/head", "lr/layer3", "grad_norm/stem"],
)
def test_a_value_per_epoch(small_run: Recorded, name: str) -> None:
    history = MlflowClient(small_run.uri).get_metric_history(small_run.run_id, name)
    assert [point.step for point in history] == [0, 1]


@pytest.mark.parametrize(
    "name",
    ["acc", "loss", "macro_f1", "balanced_acc", "auroc", "calibration_error", "recall/0", "recall/9"],
)
def test_a_value_at_the_end(small_run: Recorded, name: str) -> None:
    (point,) = MlflowClient(small_run.uri).get_metric_history(small_run.run_id, f"test/{name}")
    assert point.step == 2


def test_the_end_says_what_was_chosen_and_what_it_cost(small_run: Recorded, stored: Run) -> None:
    measured = stored.data.metrics
    assert measured["best/val_acc"] == measured["val/acc"] == small_run.val_acc
    assert (measured["best/epoch"], measured["best/val_loss"]) == (1, measured["val/loss"])
    assert measured["seconds"] > 0
    assert measured["peak_memory_mb"] > 100


def test_metrics_lie_in_the_folder_as_in_the_store(small_run: Recorded, stored: Run) -> None:
    lines = metric_lines(small_run.folder)
    assert [line["step"] for line in lines] == [0, 1, 2]
    last = {name: value for line in lines for name, value in line.items() if name != "step"}
    assert last == stored.data.metrics


def test_every_file_of_the_run_is_an_artifact(small_run: Recorded) -> None:
    listed = {file.path for file in MlflowClient(small_run.uri).list_artifacts(small_run.run_id)}
    assert listed == ARTIFACTS == {path.name for path in small_run.folder.iterdir() if path.is_file()}


def test_the_configuration_lies_beside_the_run(small_run: Recorded) -> None:
    assert yaml.safe_load((small_run.folder / "config.yaml").read_text()) == to_dict(small_run.config)


def test_the_log_tells_the_whole_story(small_run: Recorded) -> None:
    text = (small_run.folder / "run.log").read_text()
    for word in (
        "none lr0.001 e2 n5 resnet_small s0: epochs=2 seed=0",
        "epoch 1: phase 1",
        "epoch 2: phase 1",
        "finished:",
    ):
        assert word in text


def test_predictions_of_each_image_add_up_to_the_metrics(small_run: Recorded, stored: Run) -> None:
    table = pd.read_parquet(small_run.folder / "predictions.parquet")
    split = json.loads((small_run.folder / "split.json").read_text())
    for name in ("val", "test"):
        assert table.loc[table["split"] == name, "id"].tolist() == split[name]
    assert table["group"].tolist() == table["id"].tolist()  # no two digits are the same, and none have a group
    hits = (table["label"] == table["predicted"]).groupby(table["split"]).mean()
    assert hits["test"] == pytest.approx(stored.data.metrics["test/acc"])
    assert hits["val"] == pytest.approx(stored.data.metrics["best/val_acc"])
    probabilities_NK = table[[f"p/{digit}" for digit in range(10)]]
    assert probabilities_NK.sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-5)
    assert probabilities_NK.idxmax(axis=1).str.removeprefix("p/").tolist() == table["predicted"].tolist()


def test_splits_are_disjoint_and_whole(small_run: Recorded) -> None:
    split = json.loads((small_run.folder / "split.json").read_text())
    assert [len(split[name]) for name in ("train", "val", "test")] == [40, 10, 797]
    assert len({*split["train"], *split["val"], *split["test"]}) == 847


def test_the_random_feature_control_is_tagged(store_uri: str, tmp_path: Path) -> None:
    run = record(config_in(tmp_path, store_uri, {"freeze": "all"}, epochs=1, data={"shots": 2}), tmp_path / "run")
    tags = runs_named(store_uri, "tl_sweep", run.run_id)[0].tags
    assert (tags["control"], tags["init"], tags["trainable"]) == ("random features", "random", "head x 1")
    assert tags["trainable_parameters"] == "650"
    assert [phase["learns"] for phase in json.loads(tags["phases"])] == ["head"]
    assert "baseline" not in tags


# --- runs that do not end well


def ended(config: Config, folder: Path, error: type[BaseException]) -> RunRecord:
    """The record of a run that raises ``error``."""
    folder.mkdir()
    with pytest.raises(error):
        run_job(config, folder, Position(sweep_id=folder.parent.name))
    assert config.tracking.uri is not None
    (run,) = runs_of_sweep(config.tracking.uri, config.tracking.experiment, folder.parent.name)
    return run


def test_a_run_that_diverges_is_failed_and_says_why(store_uri: str, tmp_path: Path) -> None:
    config = config_in(tmp_path, store_uri, {"optim": "sgd"}, optim={"lr": 1e30, "warmup": 0.0})
    run = ended(config, tmp_path / "run", JobFailed)
    assert run.status == "FAILED"
    assert run.tags["error"].startswith("the training loss is nan at epoch 1, step 2, head rate 1e+30: lower optim.lr")


def test_a_run_that_is_stopped_is_killed(store_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tl_sweep.training.loop.train_epoch", stopped)
    assert ended(config_in(tmp_path, store_uri), tmp_path / "run", KeyboardInterrupt).status == "KILLED"


# --- trackers

DATA = {"name": "digits", "digest": "0123", "source_type": "local", "source": "{}", "profile": "{}"}
HEADER = RunHeader("name", {"strategy": "none"}, {"seed": "0"}, DATA)


def opened(folder: Path, uri: str, header: RunHeader = HEADER, experiment: str = "tl_sweep") -> Tracker:
    folder.mkdir(exist_ok=True)
    tracker = Tracker(folder, Destination(uri, experiment))
    tracker.open(header)
    return tracker


def test_without_a_store_a_run_lies_in_its_folder_alone(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path, None)
    tracker.open(HEADER)
    tracker.metrics({"train/loss": 2.0}, 0)
    tracker.tags({"colour": "red"})
    tracker.metrics({"train/loss": 1.0}, 1)
    tracker.close("FINISHED")
    assert tracker.run_id == ""
    assert metric_lines(tmp_path) == [{"step": 0, "train/loss": 2.0}, {"step": 1, "train/loss": 1.0}]
    assert [path.name for path in tmp_path.iterdir()] == ["record.jsonl"]


def test_numbers_that_are_none_stay_in_the_folder(tmp_path: Path, store_uri: str) -> None:
    tracker = opened(tmp_path, store_uri)
    tracker.metrics({"val/loss": float("nan"), "val/acc": 0.5, "grad_norm/stem": float("inf")}, 0)
    tracker.close("FAILED")
    assert runs_named(store_uri, "tl_sweep", tracker.run_id)[0].metrics == {"val/acc": 0.5}
    assert metric_lines(tmp_path)[0].keys() == {"step", "val/loss", "val/acc", "grad_norm/stem"}


@pytest.mark.parametrize(
    ("given", "recorded"),
    [
        ("test/recall/cat", "test/recall/cat"),
        ("test/recall/a (b)", "test/recall/a -b-"),
        ("recall/été_1-2.3: x", "recall/été_1-2.3: x"),
        ("recall/a@b,c", "recall/a-b-c"),
        ("recall/cafe\u0301", "recall/caf\u00e9"),
        ("recall/a//b/../c", "recall/a/-/b/--/c"),
        ("recall/" + 240 * "x", "recall/" + 240 * "x"),
        ("recall/" + 244 * "x", "recall/" + 234 * "x" + " 9321ec32"),
    ],
    ids=lambda name: name[:20],
)
def test_names_that_the_store_refuses_are_mended(tmp_path: Path, store_uri: str, given: str, recorded: str) -> None:
    assert metric_names([given]) == {given: recorded}
    tracker = opened(tmp_path, store_uri)
    tracker.metrics({given: 1.0}, 0)
    tracker.close("FINISHED")
    assert runs_named(store_uri, "tl_sweep", tracker.run_id)[0].metrics == {recorded: 1.0}


def test_names_that_the_store_would_make_one_stay_two(tmp_path: Path, store_uri: str) -> None:
    given = {"recall/a!": 0.1, "recall/a?": 0.2, "recall/a-": 0.3, "recall/b?": 0.4}
    tracker = opened(tmp_path, store_uri)
    tracker.metrics(given, 0)
    tracker.close("FINISHED")
    (run,) = runs_named(store_uri, "tl_sweep", tracker.run_id)
    assert run.metrics == {name: given[word] for word, name in metric_names(given).items()}
    assert sorted(run.metrics.values()) == [0.1, 0.2, 0.3, 0.4]
    assert run.metrics["recall/b-"] == 0.4


def test_a_class_name_of_240_letters_ends_the_run_in_the_store(tmp_path: Path, store_uri: str) -> None:
    tracker = opened(tmp_path, store_uri)
    tracker.metrics({f"test/recall/{240 * 'x'}": 1.0}, 0)
    tracker.close("FINISHED")
    assert runs_named(store_uri, "tl_sweep", tracker.run_id)[0].status == "FINISHED"


def test_runs_of_a_sweep_come_oldest_first_and_no_others(tmp_path: Path, store_uri: str) -> None:
    sweeps = ["aaa", "bbb", "aaa"]
    for number, sweep in enumerate(sweeps):
        tags = {f"sweep.{sweep}": "yes", "number": str(number)}
        opened(tmp_path / str(number), store_uri, RunHeader("name", tags, {}, DATA)).close("FINISHED")
    assert [run.tags["number"] for run in runs_of_sweep(store_uri, "tl_sweep", "aaa")] == ["0", "2"]


def test_a_run_that_is_not_there(store_uri: str, tmp_path: Path) -> None:
    assert runs_named(store_uri, "tl_sweep", "0123") == []


def test_a_run_without_the_artifact(small_run: Recorded, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=rf"run={small_run.run_id}: its artifact a\.pth is missing; if the run's folder was moved"
    ):
        download_artifact(small_run.uri, small_run.run_id, "a.pth", tmp_path)


# --- the store itself


@pytest.fixture(scope="module")
def new_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made by four processes at the same moment, each of which then records a run."""
    database = tmp_path_factory.mktemp("new") / "folder" / "mlflow.db"
    fork = multiprocessing.get_context("fork")  # mlflow is imported already: no process has a head start
    processes = [fork.Process(target=prepare_and_record, args=(database, number)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    return database


def prepare_and_record(database: Path, number: int) -> None:
    uri = f"sqlite:///{database}"
    prepare_store(uri, "mine")
    header = RunHeader(f"run {number}", {"sweep.s": "yes"}, {}, DATA)
    tracker = opened(database.parent / str(number), uri, header, "mine")
    tracker.metrics({"val/acc": number / 10}, 0)
    tracker.close("FINISHED")


def test_processes_that_start_at_the_same_moment_share_one_new_database(new_database: Path) -> None:
    runs = runs_of_sweep(f"sqlite:///{new_database}", "mine", "s")
    assert sorted(run.metrics["val/acc"] for run in runs) == [0.0, 0.1, 0.2, 0.3]
    assert {run.status for run in runs} == {"FINISHED"}


def test_preparing_twice_keeps_the_experiment(new_database: Path) -> None:
    uri = f"sqlite:///{new_database}"
    before = MlflowClient(uri).get_experiment_by_name("mine").experiment_id
    prepare_store(uri, "mine")
    assert MlflowClient(uri).get_experiment_by_name("mine").experiment_id == before


def test_the_database_writes_ahead_and_keeps_artifacts_beside_it(new_database: Path) -> None:
    with closing(sqlite3.connect(new_database)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    experiment = MlflowClient(f"sqlite:///{new_database}").get_experiment_by_name("mine")
    assert experiment.artifact_location == (new_database.parent / "mlartifacts").as_uri()


def test_no_store_needs_no_preparation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    prepare_store(None, "tl_sweep")
    assert list(tmp_path.iterdir()) == []


def test_a_deleted_experiment_is_not_written_to(store_uri: str) -> None:
    client = MlflowClient(store_uri)
    client.delete_experiment(client.create_experiment("deleted"))
    with pytest.raises(
        UserError,
        match=r"tracking\.experiment=deleted: was deleted in the store; restore it \(mlflow experiments restore -x \d",
    ):
        prepare_store(store_uri, "deleted")


def test_a_comparison_says_of_a_deleted_experiment_what_a_sweep_says(store_uri: str) -> None:
    client = MlflowClient(store_uri)
    client.delete_experiment(client.create_experiment("deleted, too"))
    with pytest.raises(UserError, match=r"tracking\.experiment=deleted, too: was deleted in the store; restore it"):
        recorded_runs(store_uri, "deleted, too")


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database that another program keeps locked; MLflow waits for it a moment, not for its 20 s."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_SQLALCHEMYSTORE_POOLCLASS", "NullPool")  # so that this process lets go of it
    prepare_store(uri, "tl_sweep")
    code = (
        f"import sqlite3; db = sqlite3.connect({str(tmp_path / 'mlflow.db')!r}, isolation_level=None);"
        "db.execute('PRAGMA locking_mode=EXCLUSIVE'); db.execute('BEGIN EXCLUSIVE');"
        "db.execute('CREATE TABLE x (y)'); print('locked', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "locked\n"
        event.listen(Engine, "before_cursor_execute", without_patience, retval=True)
        yield uri
        event.remove(Engine, "before_cursor_execute", without_patience)
        process.stdin.write("\n")


def without_patience(connection: object, cursor: object, statement: str, values: object, *context: object) -> object:
    return re.sub(r"busy_timeout = \d+", "busy_timeout = 50", statement), values


def test_a_database_that_another_program_keeps_locked_is_said_to_be_that(locked: str) -> None:
    locked_words = "another program keeps the database locked"
    with pytest.raises(StoreAway, match=locked_words):
        recorded_runs(locked, "tl_sweep")
    with pytest.raises(StoreAway, match=locked_words):
        runs_named(locked, "tl_sweep", "0123")


def test_a_server_that_does_not_answer_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        uri = f"http://name:secret@127.0.0.1:{probe.getsockname()[1]}"
    prepare_store(uri, "tl_sweep")
    said = capsys.readouterr().err
    assert said.startswith(f"warning: the tracking store {uri.replace('secret', '***')} fails (")
    assert said.endswith("nothing is lost: runs go on in their folders, and what waits is sent by the next run or by "
                         "python -m tl_sweep.sync\n")  # fmt: skip
    assert "refused" in said
    assert "secret" not in said


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("sqlite:///{folder}/text.db/mlflow.db", "File exists"),
        ("sqlite:///{folder}/text.db", "not a database"),
        ("nonsense://x", "nonsense"),
    ],
    ids=["place", "content", "scheme"],
)
def test_a_store_that_cannot_be_opened(tmp_path: Path, uri: str, reason: str) -> None:
    (tmp_path / "text.db").write_text("This is no database. " * 100)
    uri = uri.format(folder=tmp_path)
    with pytest.raises(UserError, match=f"tracking.uri={uri}: the tracking store cannot be opened: .*{reason}"):
        prepare_store(uri, "tl_sweep")
