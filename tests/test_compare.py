"""From recorded runs to a verdict: on runs made by ``benchmarks/make_runs.py``, whose truth is known."""

from __future__ import annotations

import csv
import json
import math
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pytest
from commands import Answer, Recorded, answer_of
from make_runs import grid, make_runs
from mlflow import MlflowClient

from tl_sweep import compare, sync
from tl_sweep.base.errors import UserError
from tl_sweep.compare import filtered
from tl_sweep.comparison.analysis import Question
from tl_sweep.comparison.commands import command_of
from tl_sweep.comparison.line import line_by_labels
from tl_sweep.comparison.model_selection import choose
from tl_sweep.comparison.recommendation import options_of
from tl_sweep.comparison.study import Comparison, Gain, Row, SampleSize, Study
from tl_sweep.config.schema import Config
from tl_sweep.report.columns import in_table
from tl_sweep.report.table import GAINS, sentences
from tl_sweep.run.finished import Files
from tl_sweep.sweep.conclusion import study_of
from tl_sweep.tracking.names import Tag
from tl_sweep.tracking.predictions import read_outcomes
from tl_sweep.tracking.record import Record, RunRecord, folders_in

NONE, ALL, SCRATCH = "none (full fine-tuning)", "all (linear probe)", "scratch (from random weights)"
STRATEGIES, SHOTS, SCALES, SEEDS = ("scratch", "none", "all"), (5, 25), (1.0, 3.0), (0, 1, 2)


def some() -> Iterator[Config]:
    for config in grid():
        if config.model.name != "resnet18":
            return
        axes = (config.freeze.name, config.data.shots, config.optim.lr_scale, config.seed)
        if all(value in allowed for value, allowed in zip(axes, (STRATEGIES, SHOTS, SCALES, SEEDS), strict=True)):
            yield config


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    make_runs(folder / "runs", some())
    return folder


@pytest.fixture(scope="session")
def made(made_once: Path) -> list[RunRecord]:
    """36 finished runs: three strategies × two numbers of labels × two rates × three seeds. For reading only."""
    return records_in(made_once)


@pytest.fixture
def own(made_once: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil; its records say where it lies."""
    shutil.copytree(made_once, tmp_path / "copy")
    return tmp_path / "copy"


def records_in(folder: Path) -> list[RunRecord]:
    found = []
    for run_folder in folders_in(folder / "runs"):
        record = Record(run_folder).summary()
        assert record is not None
        found.append(replace(record, tags=record.tags | {"folder": str(run_folder)}))
    return found


@pytest.fixture(autouse=True)
def no_network_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tl_sweep.sweep.lookups.inference_images_per_s", lambda config: 123.0)


def study(runs: list[RunRecord], tmp_path: Path, margin: float = 0.01) -> Study:
    return study_of(runs, Question("test", margin), Files(None, tmp_path / "weights", tmp_path / "runs"))


def row(found: Study, strategy: str, shots: int = 25) -> Row:
    (chosen,) = (r for r in found.rows if r.strategy == strategy and dict(r.axes).get("data.shots", "25") == str(shots))
    return chosen


def only(runs: list[RunRecord], **wanted: str) -> list[RunRecord]:
    """Those with these parameters; several allowed values are separated by blanks."""
    return [
        run for run in runs if all(run.params[key.replace("__", ".")] in text.split() for key, text in wanted.items())
    ]


def as_if(run: RunRecord, **params: str) -> RunRecord:
    """The run, as if recorded with these parameters, and a key of its own; dots are written ``__``."""
    others = {key.replace("__", "."): value for key, value in params.items()}
    return replace(run, params=run.params | others, tags=run.tags | {"key": f"{run.tags['key']} {others}"})


def by_name(found: Study) -> dict[str, Gain]:
    """The gains, each by its strategy as it is typed, and by what else tells it from others."""
    return {", ".join([line.strategy, *line_by_labels(line).further]): line for line in found.gains}


def left_out(found: Study) -> dict[str, tuple[str, ...]]:
    return {excluded.why: excluded.runs for excluded in found.excluded}


# --- rows


def test_a_row_per_strategy_and_number_of_labels_the_best_on_validation_first(
    made: list[RunRecord], tmp_path: Path
) -> None:
    found = study(made, tmp_path)
    assert [(r.strategy, dict(r.axes)["data.shots"]) for r in found.rows if r.is_best] == [
        ("none", "5"),
        ("none", "25"),
    ]
    assert len(found.rows) == 6
    assert (found.num_runs, found.excluded) == (36, ())
    chosen = row(found, "none")
    assert (chosen.num_seeds, chosen.trials, chosen.num_val_images, chosen.num_test_images) == (3, 2, 50, 797)
    assert chosen.inference_images_per_s == 123.0


def test_a_run_of_november_2026_still_compares(tmp_path: Path) -> None:
    (kept,) = (path for path in (Path(__file__).parent / "fixtures" / "run_of_2026_11").iterdir() if path.is_dir())
    shutil.copytree(kept, tmp_path / "runs" / kept.name)
    (old,) = records_in(tmp_path)
    found = study([old], tmp_path)
    assert found.excluded == ()
    (only_row,) = found.rows
    assert (only_row.backbone, only_row.strategy, only_row.kind) == ("resnet_small", "all", "frozen features")
    assert any("did not yet record which images belong together" in note for note in found.notes)
    assert only_row.test_acc.estimate == pytest.approx(old.metrics["test/acc"])
    assert only_row.val_acc == pytest.approx(old.metrics["best/val_acc"])


def test_an_inconclusive_difference_says_how_many_seeds_are_needed(made: list[RunRecord], tmp_path: Path) -> None:
    unclear = row(study(only(made, freeze__name="none scratch", optim__lr_scale="1.0"), tmp_path), "none").vs_baseline
    assert unclear is not None
    assert unclear.verdict == "inconclusive"
    assert unclear.needed is not None
    assert unclear.needed.seeds is not None
    assert f"about {unclear.needed.seeds} seeds" in unclear.wording


def test_figures_are_those_of_the_chosen_runs(made: list[RunRecord], tmp_path: Path) -> None:
    found = row(study(made, tmp_path), "none")
    scale = dict(found.setting)["optim.lr_scale"]
    runs = only(made, freeze__name="none", data__shots="25", optim__lr_scale=scale)
    assert sorted(run.name for run in runs) == sorted(found.run_ids)
    frames = [pd.read_parquet(Path(run.tags["folder"]) / "predictions.parquet") for run in runs]
    tests = [frame[frame["split"] == "test"] for frame in frames]
    right = [(frame["label"] == frame["predicted"]).mean() for frame in tests]
    assert found.test_acc.estimate == pytest.approx(sum(right) / 3)
    assert found.val_acc == pytest.approx(sum(run.metrics["best/val_acc"] for run in runs) / 3)
    assert sum(map(sum, found.confusion_KK)) == 3 * 797
    assert sum(found.confusion_KK[k][k] for k in range(10)) == pytest.approx(797 * sum(right))


def test_the_choice_never_sees_test(own: Path, tmp_path: Path) -> None:
    def chosen() -> set[tuple[object, ...]]:
        flipped = [replace(r, metrics=r.metrics | {"test/acc": 1 - r.metrics["test/acc"]}) for r in records_in(own)]
        rows = study(flipped if is_flipped else records_in(own), tmp_path).rows
        return {(r.label, r.setting, r.val_acc, r.is_best, r.selection_frequency, str(r.best_frequency)) for r in rows}

    is_flipped = False
    before = chosen()
    for folder in folders_in(own / "runs"):
        frame = pd.read_parquet(folder / "predictions.parquet")
        wrong = frame["label"].map(lambda label: "1" if label == "0" else "0")
        flipped = frame["label"].where(frame["label"] != frame["predicted"], wrong)
        frame["predicted"] = flipped.where(frame["split"] == "test", frame["predicted"])
        frame.to_parquet(folder / "predictions.parquet")
    is_flipped = True
    assert chosen() == before


def test_a_better_strategy_is_called_better_and_itself_is_not_compared(made: list[RunRecord], tmp_path: Path) -> None:
    found = study(made, tmp_path)
    better, scratch = row(found, "none", 5), row(found, "scratch", 5)
    assert better.vs_baseline is not None
    assert better.vs_baseline.verdict == "better"
    assert better.vs_baseline.difference.low > 0
    assert better.vs_baseline.difference.estimate == pytest.approx(better.test_acc.estimate - scratch.test_acc.estimate)
    assert (scratch.vs_baseline, better.vs_best) == (None, None)


def in_test(folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Change what each run's predictions on test are."""
    for run_folder in folders_in(folder / "runs"):
        frame = pd.read_parquet(run_folder / "predictions.parquet")
        tests = change(frame[frame["split"] == "test"].copy())
        pd.concat([frame[frame["split"] != "test"], tests]).to_parquet(run_folder / "predictions.parquet", index=False)


def half_width(found: Study, strategy: str, shots: int = 25) -> float:
    interval = row(found, strategy, shots).test_acc
    return interval.high - interval.low


def test_images_of_one_group_count_together(own: Path, tmp_path: Path) -> None:
    """As if one photograph in twenty had been taken, and the others were its copies."""
    in_test(own, lambda frame: frame.iloc[[n - n % 20 for n in range(len(frame))]].assign(id=frame["id"].to_numpy()))
    after = study(records_in(own), tmp_path)
    in_test(own, lambda frame: frame.assign(group=frame["id"]))
    read_outcomes.cache_clear()
    before = study(records_in(own), tmp_path)
    assert row(after, "all").num_test_groups == 40
    assert row(before, "all").num_test_groups == row(before, "all").num_test_images == 797
    assert half_width(after, "all", 5) > 1.3 * half_width(before, "all", 5)
    (note,) = (note for note in after.notes if "groups" in note)
    assert note.startswith("digits: its 797 test images are in 40 groups, which count as 40 of equal size")
    assert "40 groups" in row(after, "all").vs_baseline.wording


def test_below_ten_groups_there_is_no_verdict(own: Path, tmp_path: Path) -> None:
    in_test(own, lambda frame: frame.assign(group=[f"place {n % 9}" for n in range(len(frame))]))
    found = row(study(records_in(own), tmp_path), "none", 5)
    assert (found.vs_baseline.verdict, found.num_test_groups) == ("", 9)
    assert math.isfinite(found.vs_baseline.difference.low)
    assert found.vs_baseline.wording.startswith("9 groups of test images: no verdict with fewer than 10")


def test_one_group_says_nothing_of_others(own: Path, tmp_path: Path) -> None:
    in_test(own, lambda frame: frame.assign(group="a place"))
    found = row(study(records_in(own), tmp_path), "none", 5)
    assert found.vs_baseline.wording == "all test images are one group: that says nothing of other groups"
    assert math.isnan(found.test_acc.low)
    assert found.test_acc.estimate > 0.5


def test_one_seed_in_groups_is_not_mcnemars_test(own: Path, tmp_path: Path) -> None:
    in_test(own, lambda frame: frame.assign(group=[f"place {n % 20}" for n in range(len(frame))]))
    found = row(study(only(records_in(own), seed="1"), tmp_path), "none", 5)
    assert "20 groups of test images, p = " in found.vs_baseline.wording
    assert "one seed: no verdict on methods" in found.vs_baseline.wording


def test_that_older_runs_did_not_record_groups_is_said(own: Path, tmp_path: Path) -> None:
    in_test(own, lambda frame: frame.drop(columns="group"))
    for run_folder in folders_in(own / "runs"):
        frame = pd.read_parquet(run_folder / "predictions.parquet")
        frame.drop(columns="group", errors="ignore").to_parquet(run_folder / "predictions.parquet", index=False)
    found = study(records_in(own), tmp_path)
    assert row(found, "none").num_test_groups == 0
    assert any("did not yet record which images belong together" in note for note in found.notes)


def fallen(run: RunRecord) -> RunRecord:
    """As if it had collapsed: it answers the first class always."""
    path = Path(run.tags["folder"]) / "predictions.parquet"
    pd.read_parquet(path).assign(predicted="0").to_parquet(path, index=False)
    return replace(run, metrics=run.metrics | {"best/val_acc": 0.1})


def test_what_collapsed_is_counted_and_left_out(own: Path, tmp_path: Path) -> None:
    runs = only(records_in(own), data__shots="5", optim__lr_scale="1.0")
    more = [as_if(run, seed="3", data__subset_seed="3") for run in runs if run.params["seed"] == "2"]
    runs += more
    before = row(study(runs, tmp_path), "none")
    runs = [fallen(run) if (run.params["freeze.name"], run.params["seed"]) == ("none", "1") else run for run in runs]
    found = study(runs, tmp_path)
    after = row(found, "none")
    assert (before.num_collapsed, after.num_collapsed, after.num_seeds) == (0, 1, 4)
    assert after.test_acc.estimate == pytest.approx(before.test_acc.estimate, abs=0.05)
    assert after.vs_baseline.verdict == "better"
    assert "when it does not collapse (1 of 4 runs collapsed, up to 75% may" in after.vs_baseline.wording
    assert not after.vs_baseline.all_counted
    assert any("1 of 4 runs collapsed" in note for note in found.notes)
    assert ", when it does not collapse: +" in found.recommendations[0].text


def test_with_fewer_than_three_left_it_is_unstable(own: Path, tmp_path: Path) -> None:
    runs = only(records_in(own), data__shots="5", optim__lr_scale="1.0")
    runs = [fallen(run) if (run.params["freeze.name"], run.params["seed"]) == ("none", "1") else run for run in runs]
    found = row(study(runs, tmp_path), "none")
    assert found.vs_baseline.verdict == ""
    assert found.vs_baseline.wording.startswith("unstable: 1 of 3 seeds collapsed; fewer than 3 are left")


def test_seeds_that_came_later_make_it_another_look(made: list[RunRecord], tmp_path: Path) -> None:
    def more(run: RunRecord) -> RunRecord:
        seed = str(int(run.params["seed"]) + 3)
        return as_if(run, seed=seed, data__subset_seed=seed)

    def with_sweeps(first_of: Callable[[RunRecord], bool]) -> Study:
        runs = only(made, data__shots="25", freeze__name="none scratch", optim__lr_scale="1.0")
        runs += map(more, tuple(runs))
        return study(
            [
                replace(
                    run, tags=run.tags | {"sweep": "a" if first_of(run) else "b"}, started_s=0.0 + (not first_of(run))
                )
                for run in runs
            ],
            tmp_path,
        )

    at_once, later = with_sweeps(lambda run: True), with_sweeps(lambda run: int(run.params["seed"]) < 3)
    once, again = row(at_once, "none").vs_baseline, row(later, "none").vs_baseline
    assert (once.difference, "look" in once.wording) == (again.difference, False)
    assert again.p_alone > 2 * once.p_alone
    assert again.wording.endswith("6 seeds, look 2 at it")


def planned(made: list[RunRecord], numbers: Callable[[RunRecord], str], seeds: int = 6) -> Comparison:
    """None against scratch, on so many seeds that came one after the other, each in a sweep of its own."""
    runs = only(made, data__shots="25", freeze__name="none scratch", optim__lr_scale="1.0")
    for number in range(3, seeds):
        like = [run for run in runs if run.params["seed"] == str(number % 3)]
        runs += [as_if(run, seed=str(number), data__subset_seed=str(number)) for run in like]
    runs = [as_if(run, planned_seeds=numbers(run)) for run in runs if int(run.params["seed"]) < seeds]
    began = [
        replace(run, tags=run.tags | {"sweep": run.params["seed"]}, started_s=float(run.params["seed"])) for run in runs
    ]
    with TemporaryDirectory() as folder:
        found = row(study(began, Path(folder)), "none").vs_baseline
    assert found is not None
    return found


def test_of_planned_seeds_there_is_one_verdict_at_the_full_level(made: list[RunRecord]) -> None:
    before, there = planned(made, lambda run: "6", seeds=5), planned(made, lambda run: "6")
    looked = planned(made, lambda run: "null")
    assert before.wording == "5 of 6 planned seeds are there: no verdict before"
    assert (before.verdict, before.needed) == ("", SampleSize(6, None))
    assert there.wording.endswith("6 seeds, as planned")
    assert looked.wording.endswith("6 seeds, look 4 at it")
    assert there.p_alone < looked.p_alone / 2


def test_a_plan_that_was_made_after_the_first_seed_does_not_count(made: list[RunRecord]) -> None:
    late = planned(made, lambda run: "null" if run.params["seed"] == "0" else "6")
    assert late == planned(made, lambda run: "null")


def test_seeds_beyond_the_plan_have_no_part_in_its_verdict(made: list[RunRecord]) -> None:
    four = planned(made, lambda run: "4")
    assert four.difference.estimate == planned(made, lambda run: "4", seeds=4).difference.estimate
    assert "4 seeds in common, as planned" in four.wording


def test_strategies_that_came_later_are_no_further_look(made: list[RunRecord], tmp_path: Path) -> None:
    runs = only(made, data__shots="25", optim__lr_scale="1.0")
    sweeps = {"scratch": "a", "none": "b", "all": "c"}
    later = [
        replace(run, tags=run.tags | {"sweep": sweeps[name]}, started_s=float(ord(sweeps[name])))
        for run in runs
        for name in [run.params["freeze.name"]]
    ]
    one, other = (row(study(found, tmp_path), "none").vs_baseline for found in (runs, later))
    assert one == other


def test_a_study_of_many_tasks_claims_less_than_each_of_its_families(made: list[RunRecord], tmp_path: Path) -> None:
    clear = only(made, data__shots="25", freeze__name="none scratch", optim__lr_scale="1.0 3.0")
    alone = row(study(clear, tmp_path), "none").vs_baseline
    assert (alone.verdict, alone.is_claimed) == ("better", True)
    equal = [run for run in clear if run.params["freeze.name"] == "scratch"]
    many = [
        as_if(replace(run, tags=run.tags | {"strategy": name}), freeze__name=name, data__image_size=str(size))
        for size in range(100, 130)
        for run, name in [
            *((run, "scratch") for run in equal),
            *((replace(run, tags={k: v for k, v in run.tags.items() if k != "baseline"}), "none") for run in equal),
        ]
    ]
    found = study([*clear, *many], tmp_path)
    (told,) = (r.vs_baseline for r in found.rows if r.vs_baseline is not None and r.vs_baseline.verdict == "better")
    assert (told.p, told.is_claimed) == (alone.p, False)
    assert any("is not among all comparisons of this study" in note for note in found.notes)
    assert any("Taken alone that is better" in advice.text for advice in found.recommendations)


def test_accuracy_is_that_at_the_settings_of_the_other_half(own: Path, tmp_path: Path) -> None:
    """Seed 0 and 2 choose one rate, seed 1 the other: each is looked at where the others would have put it."""
    runs = only(records_in(own), freeze__name="none", data__shots="25")
    best = {
        ("1.0", "0"): 0.9,
        ("1.0", "1"): 0.55,
        ("1.0", "2"): 0.9,
        ("3.0", "0"): 0.7,
        ("3.0", "1"): 0.75,
        ("3.0", "2"): 0.7,
    }
    runs = [
        replace(run, metrics=run.metrics | {"best/val_acc": best[run.params["optim.lr_scale"], run.params["seed"]]})
        for run in runs
    ]
    acc = {(run.params["optim.lr_scale"], run.params["seed"]): run.metrics["test/acc"] for run in runs}
    found = row(study(runs, tmp_path), "none")
    assert dict(found.setting) == {"optim.lr_scale": "1.0"}
    held_out = (acc["3.0", "0"] + acc["1.0", "1"] + acc["3.0", "2"]) / 3
    assert found.test_acc.estimate == pytest.approx(held_out)


def test_where_every_seed_collapsed_at_one_setting_or_another_what_was_chosen_counts(own: Path, tmp_path: Path) -> None:
    """Each half chooses a setting at which the other half's seeds collapse, but for one, which collapsed as chosen."""
    first = only(records_in(own), freeze__name="none", data__shots="25")
    runs = [*first, *(as_if(run, optim__lr_scale="10.0") for run in first if run.params["optim.lr_scale"] == "1.0")]
    runs += [as_if(run, seed="3", data__subset_seed="3") for run in runs if run.params["seed"] == "0"]
    best = {
        "1.0": {"0": 0.9, "1": 0.1, "2": 0.1, "3": 0.9},
        "3.0": {"0": 0.6, "1": 0.7, "2": 0.6, "3": 0.05},
        "10.0": {"0": 0.05, "1": 0.55, "2": 0.05, "3": 0.55},
    }
    found = study(
        [
            replace(run, metrics=run.metrics | {"best/val_acc": best[run.params["optim.lr_scale"]][run.params["seed"]]})
            for run in runs
        ],
        tmp_path,
    )
    none = row(found, "none")
    assert (dict(none.setting), none.num_seeds) == ({"optim.lr_scale": "1.0"}, 4)
    assert none.num_collapsed == 2
    assert math.isfinite(none.test_acc.low)


def labelled(folder: Path, shared: int, of: int = 25) -> None:
    """As if each seed's labels were so many that all have, and others of its own."""
    for run_folder in folders_in(folder / "runs"):
        record = Record(run_folder).summary()
        assert record is not None
        ids = [*map(str, range(shared)), *(f"{record.params['seed']}/{n}" for n in range(of - shared))]
        (run_folder / "split.json").write_text(json.dumps({"train": ids[5:], "val": ids[:5], "test": []}))


def test_claims_about_any_labels_are_wider_and_say_so(own: Path, tmp_path: Path) -> None:
    labelled(own, shared=20)
    files = Files(None, tmp_path / "weights", tmp_path / "runs")
    these, other = (
        study_of(records_in(own), Question("test", any_labels=any_labels), files) for any_labels in (False, True)
    )
    assert half_width(other, "none") > 2 * half_width(these, "none")
    assert row(other, "none").shared_labels == pytest.approx(0.8)
    assert "on images like the test images, with these labels (95 %" in these.recommendations[0].text
    assert "with any labels (two seeds here share 80%) (95 %" in other.recommendations[0].text
    unclear = row(other, "none").vs_baseline
    assert unclear is not None
    assert "nor equivalent, for any labels; more labels would tell" in unclear.wording


def test_of_seeds_with_the_same_labels_nothing_follows_for_others(own: Path, tmp_path: Path) -> None:
    labelled(own, shared=25)
    files = Files(None, tmp_path / "weights", tmp_path / "runs")
    found = row(study_of(records_in(own), Question("test", any_labels=True), files), "none")
    assert found.vs_baseline is not None
    assert found.vs_baseline.wording == "all seeds have the same labels: nothing can be said of other labels"
    assert (found.test_acc.low, found.test_acc.high) == (0, 1)


def test_one_more_network_is_less_sure_than_the_method(made: list[RunRecord], tmp_path: Path) -> None:
    found = study(made, tmp_path)
    for each in found.rows:
        assert each.network_acc.estimate == each.test_acc.estimate
        assert each.network_acc.low <= each.test_acc.low <= each.test_acc.high <= each.network_acc.high
    best = row(found, "none", 5)
    said = f"; one network trained so: {100 * best.network_acc.low:.1f} to {100 * best.network_acc.high:.1f})"
    assert said in found.recommendations[0].text


def test_with_a_wide_margin_the_same_runs_are_equivalent(made: list[RunRecord], tmp_path: Path) -> None:
    verdict = row(study(made, tmp_path, margin=0.9), "none").vs_baseline
    assert verdict is not None
    assert verdict.verdict == "equivalent"
    assert verdict.wording.startswith(f"within 90 points of {SCRATCH}; Holm's p = ")


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        ("0", "these two networks differ significantly (exact McNemar, p = "),
        ("0 1", "2 seeds: no verdict on methods"),
    ],
    ids=["one seed", "two seeds"],
)
def test_fewer_than_three_seeds_give_no_verdict_on_methods(
    made: list[RunRecord], tmp_path: Path, seeds: str, words: str
) -> None:
    found = study(only(made, seed=seeds), tmp_path)
    comparison = row(found, "none").vs_baseline
    assert comparison is not None
    assert (comparison.verdict, comparison.wording[: len(words)]) == ("", words)
    assert not any(r.indistinguishable for r in found.rows)
    assert any("fewer than three seeds" in note for note in found.notes)


def test_equal_networks_are_equivalent(own: Path, tmp_path: Path) -> None:
    runs = records_in(own)
    twin = {
        run.params["seed"]: run for run in only(runs, freeze__name="scratch", data__shots="25", optim__lr_scale="1.0")
    }
    pair = only(runs, freeze__name="none", data__shots="25", optim__lr_scale="1.0")
    for run in pair:
        same = Path(twin[run.params["seed"]].tags["folder"]) / "predictions.parquet"
        shutil.copyfile(same, Path(run.tags["folder"]) / "predictions.parquet")
    comparison = row(study([*pair, *twin.values()], tmp_path), "none").vs_baseline
    assert comparison is not None
    assert comparison.difference.estimate == 0
    assert comparison.verdict == "equivalent"


def test_without_a_baseline_nothing_is_compared_with_it_and_a_note_says_so(
    made: list[RunRecord], tmp_path: Path
) -> None:
    found = study(only(made, freeze__name="none all"), tmp_path)
    assert all(r.vs_baseline is None and r.time_to_baseline is None for r in found.rows)
    bare = "resnet18 · data.shots=25, resnet18 · data.shots=5"
    assert f"digits: no baseline for {bare}: add freeze=scratch" in found.notes


# --- what is left out, and said


def test_runs_that_did_not_finish_are_listed_with_the_reason(made: list[RunRecord], tmp_path: Path) -> None:
    failed = replace(made[0], status="FAILED", tags=made[0].tags | {"error": "no space\nleft"})
    killed = replace(made[1], status="KILLED")
    too = replace(made[2], status="FAILED", tags=made[2].tags | {"error": "out of memory"})
    found = study([failed, killed, too, *made[3:]], tmp_path)
    assert left_out(found)["failed"] == (f"{failed.name} (no space)", f"{too.name} (out of memory)")
    assert left_out(found)["not finished: stopped"] == (killed.name,)


def test_a_run_without_a_finite_metric_is_listed(made: list[RunRecord], tmp_path: Path) -> None:
    broken = replace(made[0], metrics=made[0].metrics | {"best/val_loss": float("nan")})
    found = study([broken, *made[1:]], tmp_path)
    assert left_out(found)["no finite best/val_loss"] == (broken.name,)


def test_a_run_without_predictions_is_listed(own: Path, tmp_path: Path) -> None:
    runs = records_in(own)
    (Path(runs[0].tags["folder"]) / "predictions.parquet").unlink()
    (name,) = left_out(study(runs, tmp_path))["its predictions cannot be read"]
    assert name.startswith(f"{runs[0].name} (")
    assert name.endswith("is gone)")


def test_damaged_predictions_are_listed(own: Path, tmp_path: Path) -> None:
    runs = records_in(own)
    path = Path(runs[0].tags["folder"]) / "predictions.parquet"
    path.write_bytes(path.read_bytes()[:1000])
    (name,) = left_out(study(runs, tmp_path))["its predictions cannot be read"]
    assert name.startswith(f"{runs[0].name} (")
    assert name.endswith("is damaged)")


def test_runs_that_something_else_recorded_are_listed(made: list[RunRecord], tmp_path: Path) -> None:
    foreign = replace(made[0], params={}, tags={"mlflow.user": "somebody"})
    (name,) = left_out(study([foreign, *made[1:]], tmp_path))["not recorded as this version of tl_sweep records runs"]
    assert name.startswith(f"{foreign.name} (no backbone, strategy, ")


def test_a_damaged_configuration_costs_the_speed_and_the_pictures(own: Path, tmp_path: Path) -> None:
    runs = records_in(own)
    for run in runs:
        (Path(run.tags["folder"]) / "config.yaml").write_text("model: {name: [")
    found = study(runs, tmp_path)
    assert all(math.isnan(r.inference_images_per_s) for r in found.rows)
    assert not any(mistake.picture for r in found.rows for mistake in r.mistakes)


def test_a_network_without_its_hidden_layers_is_another_one(made: list[RunRecord], tmp_path: Path) -> None:
    pooled = [
        replace(run, tags=run.tags | {"pooled": "yes", "key": f"{run.tags['key']} pooled"})
        for run in only(made, freeze__name="scratch none")
    ]
    found = study([*made, *pooled], tmp_path)
    assert {r.backbone for r in found.rows if r.strategy == "scratch"} == {"resnet18", "resnet18 (pooled)"}
    (scratch,) = (
        r for r in found.rows if (r.backbone, r.strategy) == ("resnet18", "scratch") and ("data.shots", "5") in r.axes
    )
    assert not any(name.endswith("pooled") for name in scratch.run_ids)


def test_runs_from_other_weights_of_one_name_are_never_mixed_in(made: list[RunRecord], tmp_path: Path) -> None:
    loaded = [replace(run, tags=run.tags | {"weights.sha256": "new"}) for run in made]
    old = next(run for run in loaded if run.params["freeze.name"] == "none")
    older = replace(old, tags=old.tags | {"weights.sha256": "old"}, started_s=1.0)
    found = study([older if run is old else run for run in loaded], tmp_path)
    (names,) = (names for why, names in left_out(found).items() if why.startswith("started from other weights"))
    assert names == (old.name,)


def test_a_run_validated_on_other_images_is_listed(own: Path, tmp_path: Path) -> None:
    runs = records_in(own)
    path = Path(runs[0].tags["folder"]) / "predictions.parquet"
    frame = pd.read_parquet(path)
    frame.iloc[1:].to_parquet(path)  # the first is of the validation split
    found = study([replace(runs[0], started_s=1.0), *runs[1:]], tmp_path)
    (names,) = (names for why, names in left_out(found).items() if why.startswith("validated on other images"))
    assert names == (runs[0].name,)


def test_a_better_setting_that_lacks_a_seed_is_pointed_out(made: list[RunRecord], tmp_path: Path) -> None:
    def improved(run: RunRecord) -> RunRecord:
        is_it = (run.params["freeze.name"], run.params["optim.lr_scale"]) == ("none", "3.0")
        return replace(run, metrics=run.metrics | {"best/val_acc": 0.99}) if is_it else run

    (missing,) = only(made, freeze__name="none", data__shots="25", optim__lr_scale="3.0", seed="2")
    found = study([improved(run) for run in made if run is not missing], tmp_path)
    (note,) = (note for note in found.notes if "is ahead of the chosen setting" in note)
    assert note.startswith("resnet18 · none (full fine-tuning) · data.shots=25: optim.lr_scale=3.0 is ahead")
    assert note.endswith(
        "python -m tl_sweep.train -m model=resnet18 freeze=none data.shots=25 optim.lr_scale=3.0 seed=2"
    )


def test_a_pair_has_one_verdict(made: list[RunRecord], tmp_path: Path) -> None:
    found = study(made, tmp_path)
    for shots in SHOTS:
        best = next(r for r in found.rows if r.is_best and dict(r.axes)["data.shots"] == str(shots))
        scratch = row(found, "scratch", shots)
        assert best.vs_baseline is not None
        assert scratch.vs_best is not None
        assert {"better": "worse"}.get(best.vs_baseline.verdict, best.vs_baseline.verdict) == scratch.vs_best.verdict
        assert scratch.vs_best.difference.low == -best.vs_baseline.difference.high
        assert scratch.vs_best.p == best.vs_baseline.p


def test_where_scratch_is_best_the_others_are_compared_with_it_once(made: list[RunRecord], tmp_path: Path) -> None:
    def favoured(run: RunRecord) -> RunRecord:
        is_baseline = run.params["freeze.name"] == "scratch"
        return replace(run, metrics=run.metrics | {"best/val_acc": 0.99}) if is_baseline else run

    found = study([favoured(run) for run in made], tmp_path)
    assert row(found, "scratch", 5).is_best
    assert row(found, "none", 5).vs_best == row(found, "none", 5).vs_baseline


def test_a_setting_that_lacks_a_seed_is_listed(made: list[RunRecord], tmp_path: Path) -> None:
    (missing,) = only(made, freeze__name="none", data__shots="25", optim__lr_scale="3.0", seed="2")
    found = study([run for run in made if run is not missing], tmp_path)
    (names,) = left_out(found).values()
    assert len(names) == 2
    assert dict(row(found, "none").setting) == {"optim.lr_scale": "1.0"}
    assert row(found, "none").trials == 1


def test_what_the_crop_cut_away_stands_beside_the_results(made: list[RunRecord], tmp_path: Path) -> None:
    def cut(run: RunRecord) -> RunRecord:
        return replace(run, tags={**run.tags, Tag.DATA_CUT_AWAY: "0.43"})

    def said(runs: list[RunRecord]) -> list[str]:
        return [note for note in study(runs, tmp_path).notes if "data.fit" in note]

    assert said(made) == []
    assert said([*map(cut, made)]) == [
        "digits: 43 % of the pictures' pixels were seen by no network: data.fit=whole or pad shows all of them"
    ]


def test_a_missing_cell_is_listed(made: list[RunRecord], tmp_path: Path) -> None:
    gone = only(made, freeze__name="all", data__shots="25")
    found = study([run for run in made if run not in gone], tmp_path)
    assert left_out(found) == {"no finished run": ("resnet18 · all · data.shots=25",)}


def test_a_missing_source_is_listed(made: list[RunRecord], tmp_path: Path) -> None:
    frozen_5, frozen = only(made, freeze__name="all", data__shots="5"), only(made, freeze__name="all")
    poorer = [as_if(run, model__weights="letters_clean") for run in frozen_5]
    letters = [as_if(run, model__weights="letters") for run in frozen]
    found = study([*only(made, freeze__name="scratch none"), *letters, *poorer], tmp_path)
    assert left_out(found)["no finished run"] == ("resnet18 · all · letters_clean · data.shots=25",)


def test_runs_on_other_files_are_never_mixed_in(made: list[RunRecord], tmp_path: Path) -> None:
    old = [replace(run, tags=run.tags | {"data.fingerprint": "other"}, started_s=1.0) for run in made[:4]]
    found = study([*old, *made[4:]], tmp_path)
    (names,) = (names for why, names in left_out(found).items() if why.startswith("other files"))
    assert names == tuple(run.name for run in old)


def test_runs_tested_on_other_images_are_never_mixed_in(own: Path, tmp_path: Path) -> None:
    runs = records_in(own)
    path = Path(runs[0].tags["folder"]) / "predictions.parquet"
    frame = pd.read_parquet(path)
    frame.iloc[:-1].to_parquet(path)
    found = study([replace(runs[0], started_s=1.0), *runs[1:]], tmp_path)
    (names,) = (names for why, names in left_out(found).items() if why.startswith("tested on other images"))
    assert names == (runs[0].name,)


def test_of_two_runs_that_mean_the_same_the_newest_counts(made: list[RunRecord], tmp_path: Path) -> None:
    again = replace(made[0], run_id="again", started_s=made[0].started_s + 1)
    found = study([*made, again], tmp_path)
    assert left_out(found) == {"a newer run means the same": (made[0].name,)}


def test_two_folders_of_one_name_are_two_data_sets(made: list[RunRecord], tmp_path: Path) -> None:
    def in_folder(run: RunRecord, root: str) -> RunRecord:
        moved = as_if(run, data__name="image_folder", data__root=root)
        return replace(moved, tags=moved.tags | {"data.fingerprint": root})

    both = [in_folder(run, root) for run in made for root in ("/a/photos", "/b/photos")]
    assert {r.dataset for r in study(both, tmp_path).rows} == {"/a/photos", "/b/photos"}
    assert {r.dataset for r in study([in_folder(run, "/a/photos") for run in made], tmp_path).rows} == {"photos"}


# --- what is asked the same


def test_other_labels_than_the_baseline_had_are_another_task(made: list[RunRecord], tmp_path: Path) -> None:
    few = only(made, freeze__name="none all", data__shots="5")
    found = study([*few, *only(made, freeze__name="scratch", data__shots="25")], tmp_path)
    assert {(r.strategy, r.axes) for r in found.rows} == {
        ("none", (("data.shots", "5"),)),
        ("all", (("data.shots", "5"),)),
        ("scratch", (("data.shots", "25"),)),
    }
    assert all(r.vs_baseline is None for r in found.rows)
    assert len(found.recommendations) == 2
    assert "resnet18 · scratch · data.shots=5" in left_out(found)["no finished run"]


def test_another_split_is_another_task(own: Path, tmp_path: Path) -> None:
    runs = only(records_in(own), data__shots="25")
    for one in only(runs, freeze__name="none"):
        path = Path(one.tags["folder"]) / "predictions.parquet"
        frame = pd.read_parquet(path)
        frame.drop(frame.index[frame["split"] == "test"][:5]).to_parquet(path)
    runs = [as_if(r, data__split_seed="1") if r.params["freeze.name"] == "none" else r for r in runs]
    found = study(runs, tmp_path)
    assert {r.strategy: (dict(r.axes)["data.split_seed"], r.num_test_images) for r in found.rows} == {
        "none": ("1", 792),
        "all": ("0", 797),
        "scratch": ("0", 797),
    }
    assert row(found, "none").vs_baseline is None
    assert row(found, "all").vs_baseline is not None


def test_what_started_elsewhere_says_so(made: list[RunRecord], tmp_path: Path) -> None:
    runs = only(made, data__shots="25")
    runs = [as_if(r, model__weights="letters_clean") if r.params["freeze.name"] == "all" else r for r in runs]
    assert {r.strategy: dict(r.axes).get("model.weights") for r in study(runs, tmp_path).rows} == {
        "scratch": "–",
        "none": "imagenet",
        "all": "letters_clean",
    }


def test_one_file_that_is_spelled_in_two_ways_is_one_source(made: list[RunRecord], tmp_path: Path) -> None:
    def from_file(run: RunRecord) -> RunRecord:
        path = "/data/w.pth" if run.params["seed"] == "0" else "w.pth"
        moved = as_if(run, model__weights=path)
        return replace(moved, tags=moved.tags | {"weights.sha256": "abc"})

    found = study([from_file(run) for run in only(made, freeze__name="none", data__shots="25")], tmp_path)
    assert [(r.axes, r.num_seeds) for r in found.rows] == [((), 3)]


def test_what_another_backbone_was_not_asked_is_listed(made: list[RunRecord], tmp_path: Path) -> None:
    runs = only(made, data__shots="25")
    others = [as_if(run, model__name="vgg16") for run in only(runs, freeze__name="scratch none")]
    others = [replace(run, tags=run.tags | {"backbone": "vgg16"}) for run in others]
    assert left_out(study([*runs, *others], tmp_path)) == {"no finished run": ("vgg16 · all",)}


def test_stages_are_counted_by_each_backbone_for_itself(made: list[RunRecord], tmp_path: Path) -> None:
    def deep(run: RunRecord, backbone: str, stages: str) -> RunRecord:
        made = as_if(run, freeze__frozen_stages=stages, model__name=backbone)
        return replace(made, tags=made.tags | {"backbone": backbone, "strategy": "depth"})

    runs = only(made, freeze__name="none", data__shots="25")
    found = study([deep(run, *where) for run in runs for where in (("resnet18", "2"), ("vgg16", "7"))], tmp_path)
    assert {r.label for r in found.rows} == {
        "resnet18 · depth 2 (partial fine-tuning)",
        "vgg16 · depth 7 (partial fine-tuning)",
    }
    assert found.excluded == ()


def test_what_test_finds_better_than_the_chosen_one_is_called_so(made: list[RunRecord], tmp_path: Path) -> None:
    runs = [
        replace(run, metrics=run.metrics | {"best/val_acc": 0.99}) if run.params["freeze.name"] == "scratch" else run
        for run in only(made, data__shots="5")
    ]
    found = study(runs, tmp_path)
    beaten, better = row(found, "scratch"), row(found, "none")
    assert (beaten.is_best, better.better_than_best, better.indistinguishable) == (True, True, False)
    text = found.recommendations[0].text
    found_better = (
        f"Significantly better than {SCRATCH} on test: {NONE}, {ALL}; not chosen, since every choice is made on"
    )
    assert found_better in text
    assert "significantly different" not in text


def test_runs_that_were_picked_are_said_to_be(made: list[RunRecord], tmp_path: Path) -> None:
    found = study_of(
        made, Question("test", filters=("strategy=none,all",)), Files(None, tmp_path / "weights", tmp_path / "runs")
    )
    assert found.notes[0] == "of the runs with strategy=none,all alone: choices and p-values, too"


def test_features_that_other_runs_computed_are_pointed_out(made: list[RunRecord], tmp_path: Path) -> None:
    cached = [
        replace(run, metrics=run.metrics | {"cache/hit_rows": 10.0, "cache/missed_rows": 0.0})
        if run.params["freeze.name"] == "all" and run.params["data.shots"] == "5"
        else run
        for run in made
    ]
    (note,) = (note for note in study(cached, tmp_path).notes if "frozen features" in note)
    assert note.startswith("digits: training times of 1 row leave out, for one seed or more, frozen features that")
    assert not any("frozen features" in note for note in study(made, tmp_path).notes)


@pytest.mark.parametrize(("epochs", "is_said"), [("10", True), ("5", True), ("100", False)], ids=str)
def test_scratch_without_a_longer_schedule_is_pointed_out(
    made: list[RunRecord], tmp_path: Path, epochs: str, is_said: bool
) -> None:
    runs = [as_if(run, epochs=epochs) if run.params["freeze.name"] == "scratch" else run for run in made]
    notes = [note for note in study(runs, tmp_path).notes if "no longer schedule" in note]
    assert len(notes) == is_said
    if notes:
        first = "digits: resnet18 · scratch (from random weights) · data.shots=5 and 1 more had no longer schedule than"
        assert notes[0].startswith(first)
        assert f"epochs={epochs},{3 * int(epochs)},{10 * int(epochs)}" in notes[0]


def test_how_sure_the_best_on_validation_is(made: list[RunRecord], tmp_path: Path) -> None:
    found = study(made, tmp_path)
    assert all(math.isnan(r.best_frequency) != r.is_best for r in found.rows)
    assert all(0.5 < r.best_frequency <= 1 for r in found.rows if r.is_best)
    said = f"selection frequency of {NONE} as the best row: {row(found, 'none', 5).best_frequency:.0%} of resamples"
    assert any(said in sentence for sentence in found.recommendations[0].evidence)


def test_more_seeds_of_one_row_do_not_change_which_is_best(own: Path, tmp_path: Path) -> None:
    runs = only(records_in(own), data__shots="25", optim__lr_scale="1.0")
    before = study(runs, tmp_path)
    assert row(before, "none").is_best
    further = []
    for run in only(runs, freeze__name="none"):
        seed = str(10 + int(run.params["seed"]))
        poor = as_if(run, seed=seed, data__subset_seed=seed)
        further.append(replace(poor, metrics=poor.metrics | {"best/val_acc": 0.01}))
    after = study([*runs, *further], tmp_path)
    best = row(after, "none")
    assert (best.is_best, best.num_seeds) == (True, 6)
    assert (best.val_acc, best.best_frequency) == (row(before, "none").val_acc, row(before, "none").best_frequency)


def test_a_row_that_lacks_seeds_is_not_chosen_stands_last_and_is_named(made: list[RunRecord], tmp_path: Path) -> None:
    def lucky(run: RunRecord) -> RunRecord:
        is_it = run.params["freeze.name"] == "all"
        return replace(run, metrics=run.metrics | {"best/val_acc": 0.999, "seconds": 0.1}) if is_it else run

    runs = only(made, data__shots="25", optim__lr_scale="1.0")
    assert row(study([lucky(run) for run in runs], tmp_path), "all").is_best
    left = [lucky(run) for run in runs if run.params["freeze.name"] != "all" or run.params["seed"] == "1"]
    found = study(left, tmp_path)
    assert [r.strategy for r in found.rows] == ["none", "scratch", "all"]
    assert [r.is_best for r in found.rows] == [True, False, False]
    assert found.recommendations[0].text.startswith("Use resnet18 with freeze=none")
    (note,) = (note for note in found.notes if "lacks seeds" in note)
    assert note == (
        "resnet18 · all (linear probe): lacks seeds 0, 2, on which rows are compared: it stands last and is not chosen "
        "until it has them: python -m tl_sweep.train -m model=resnet18 freeze=all data.shots=25 optim.lr_scale=1.0 "
        "seed=0,2"
    )


def test_what_lacks_a_seed_is_not_recommended_for_its_speed(made: list[RunRecord], tmp_path: Path) -> None:
    def quick(run: RunRecord) -> RunRecord:
        is_it = run.params["freeze.name"] == "all"
        return replace(run, metrics=run.metrics | {"seconds": 0.1}) if is_it else run

    runs = [quick(run) for run in only(made, data__shots="25", optim__lr_scale="1.0")]
    others = [run for run in runs if run.params["freeze.name"] != "all"]
    further = [as_if(run, seed="7", data__subset_seed="7") for run in others if run.params["seed"] == "0"]
    assert "with freeze=all" in study(runs, tmp_path, margin=0.9).recommendations[0].text
    found = study([*runs, *further], tmp_path, margin=0.9)
    equivalent = row(found, "all").vs_best
    assert equivalent is not None
    assert equivalent.verdict == "equivalent"
    assert "with freeze=none" in found.recommendations[0].text


def test_seeds_with_one_subset_are_resampled_together(made: list[RunRecord], tmp_path: Path) -> None:
    (cell, *_) = choose(only(made, freeze__name="none", data__shots="25"))
    (one,) = (run for run in cell.chosen.runs if run.params["seed"] == "0")
    others = [next(run for run in candidate.runs if run.params["seed"] == "0") for candidate in cell.candidates]
    fixed = [
        as_if(run, seed=seed, data__subset_seed="0") for run in others for seed in ("0", "1", "2")
    ]  # the same predictions three times
    alone, thrice = (study(runs, tmp_path).rows[0].selection_frequency for runs in (others, fixed))
    assert one.params["data.subset_seed"] == "0"
    assert alone == thrice


def test_what_another_version_did_not_record_had_its_default(made: list[RunRecord], tmp_path: Path) -> None:
    def older(run: RunRecord) -> RunRecord:
        params = {key: value for key, value in run.params.items() if key not in ("data.balance", "data.group")}
        return replace(run, params=params) if run.params["freeze.name"] == "scratch" else run

    found = study([older(run) for run in only(made, data__shots="25")], tmp_path)
    assert [r.axes for r in found.rows] == [(), (), ()]
    assert row(found, "none").vs_baseline is not None


def test_of_two_runs_with_one_configuration_the_newest_counts_whatever_its_key(
    made: list[RunRecord], tmp_path: Path
) -> None:
    again = replace(made[0], run_id="again", started_s=made[0].started_s + 1, tags=made[0].tags | {"key": "other"})
    assert left_out(study([again, *made], tmp_path)) == {"a newer run means the same": (made[0].name,)}


def test_a_key_that_an_older_version_did_not_know_had_its_default(made: list[RunRecord], tmp_path: Path) -> None:
    params = {key: value for key, value in made[0].params.items() if not key.startswith("objective.")}
    older = replace(made[0], run_id="older", started_s=1.0, params=params)
    assert len(params) < len(made[0].params)
    assert left_out(study([older, *made], tmp_path)) == {"a newer run means the same": (older.name,)}


# --- labels, recommendations, diagnoses


def test_gains_by_labels_and_what_scratch_needs(made: list[RunRecord], tmp_path: Path) -> None:
    found = study(made, tmp_path)
    lines = {line.strategy: line for line in found.gains}
    assert lines.keys() == {"scratch", "none", "all"}
    assert lines["none"].shots == ("5", "25")
    assert lines["scratch"].gains == (None, None)
    assert lines["scratch"].baseline_needs == (None, None)
    needs = lines["all"].baseline_needs[0]
    assert needs is not None
    assert 5 < needs < 25  # scratch with 25 labels is better than frozen features with 5
    assert f"resnet18: {SCRATCH} does not reach {NONE} with up to 25 labels per class, in the mean" in found.crossings


def test_lines_of_another_image_size_are_compared_with_scratch_of_that_size(
    made: list[RunRecord], tmp_path: Path
) -> None:
    larger = [as_if(run, data__image_size="64") for run in made]
    found = study([*made, *larger], tmp_path)
    lines = by_name(found)
    size = made[0].params["data.image_size"]
    assert lines.keys() == {f"{name}, {px}" for name in STRATEGIES for px in (size, "64")}
    assert lines["all, 64"].baseline_needs == lines[f"all, {size}"].baseline_needs
    sentence = f"resnet18, 64: {SCRATCH} does not reach {NONE} with up to 25 labels per class, in the mean"
    assert sentence in found.crossings


def test_shares_of_the_labels_are_lines_of_their_own_beside_numbers_of_them(
    made: list[RunRecord], tmp_path: Path
) -> None:
    share_of = {"5": "0.1", "25": "0.5"}
    shares = [as_if(run, data__shots="null", data__fraction=share_of[run.params["data.shots"]]) for run in made]
    lines = by_name(study([*made, *shares], tmp_path))
    assert {name: line.shots for name, line in lines.items()} == {
        **dict.fromkeys(STRATEGIES, ("5", "25")),
        **{f"{name}, shares": ("0.1", "0.5") for name in STRATEGIES},
    }
    needs = lines["all, shares"].baseline_needs[0]
    assert needs is not None
    assert 0.1 < needs < 0.5


def test_depth_and_the_control_are_recommended_as_they_are_typed(made: list[RunRecord]) -> None:
    (one,) = only(made, freeze__name="none", data__shots="25", optim__lr_scale="1.0", seed="0")
    depth = replace(one, tags=one.tags | {"strategy": "depth"}, params=one.params | {"freeze.frozen_stages": "3"})
    control = replace(
        one,
        tags=one.tags | {"strategy": "all", "control": "random features"},
        params=one.params | {"model.weights": "null"},
    )
    assert [options_of(cell) for cell in choose([depth])] == ["freeze=depth freeze.frozen_stages=3"]
    assert [options_of(cell) for cell in choose([control])] == ["freeze=all model.weights=null"]


def test_the_command_draws_the_same_subsets(made: list[RunRecord]) -> None:
    runs = [
        as_if(run, seed="2", data__subset_seed=run.params["seed"])
        for run in only(made, freeze__name="none", data__shots="25", optim__lr_scale="1.0")
    ]  # the last subset's number is the seed's own
    (cell,) = choose(runs)
    assert command_of(cell.runs).endswith("data.subset_seed=0,1,2 seed=2")
    assert "subset_seed" not in command_of(
        choose(only(made, freeze__name="none", data__shots="25", optim__lr_scale="1.0"))[0].runs
    )


def test_seconds_from_unlike_machines_are_pointed_out(made: list[RunRecord], tmp_path: Path) -> None:
    assert not any("training times come from" in note for note in study(made, tmp_path).notes)
    elsewhere = [replace(run, tags=run.tags | {"host": "other", "device": "cuda:0"}) for run in made[:18]]
    (note,) = (note for note in study([*elsewhere, *made[18:]], tmp_path).notes if "training times come from" in note)
    assert "other (cuda:0)" in note


def test_the_recommendation_names_setting_interval_and_command(made: list[RunRecord], tmp_path: Path) -> None:
    found = study(made, tmp_path)
    advice = found.recommendations[0]
    best = row(found, "none", 5)
    scale = dict(best.setting)["optim.lr_scale"]
    assert advice.task == "digits · shots=5"
    assert advice.text.startswith(f"Use resnet18 with freeze=none (lr_scale={scale}, learning rate 0.00")
    assert f"{100 * best.test_acc.estimate:.1f} %" in advice.text
    assert "better than training from scratch" in advice.text
    assert advice.command == (
        f"python -m tl_sweep.train -m model=resnet18 freeze=none data.shots=5 optim.lr_scale={scale} seed=0,1,2"
    )


def test_where_seeds_would_settle_it_the_missing_ones_are_asked_for(made: list[RunRecord], tmp_path: Path) -> None:
    alone = only(made, freeze__name="none scratch", optim__lr_scale="1.0")  # nothing else says how much seeds differ
    found = study(alone, tmp_path)
    (advice,) = (advice for advice in found.recommendations if advice.task == "digits · shots=25")
    unclear = row(found, "none").vs_baseline
    assert unclear is not None
    assert unclear.needed is not None
    assert unclear.needed.seeds is not None
    words = [shlex.split(command) for command in advice.settle]
    said = {next(word for word in each if word.startswith("freeze=")): each[-1] for each in words}
    assert said.keys() >= {"freeze=none", "freeze=scratch"}
    assert said["freeze=scratch"] == "seed=" + ",".join(map(str, range(3, unclear.needed.seeds)))
    printed = list(sentences(found))
    assert printed[printed.index("    to settle it, the seeds that are missing:") :][1:3] == [
        f"    {command}" for command in advice.settle[:2]
    ]
    assert f"    {advice.command}" not in printed


def test_one_seed_asks_for_two_more_of_what_is_advised_and_of_its_baseline(
    made: list[RunRecord], tmp_path: Path
) -> None:
    (advice,) = study(only(made, seed="1", data__shots="25", optim__lr_scale="1.0"), tmp_path).recommendations
    assert [shlex.split(command)[4:] for command in advice.settle] == [
        ["model=resnet18", f"freeze={name}", "data.shots=25", "optim.lr_scale=1.0", "seed=0,2"]
        for name in ("none", "scratch")
    ]


def test_where_nothing_is_open_the_command_repeats_what_is_advised(made: list[RunRecord], tmp_path: Path) -> None:
    found = study(only(made, freeze__name="none scratch", data__shots="5"), tmp_path)
    (advice,) = found.recommendations
    assert advice.settle == ()
    assert f"    {advice.command}" in sentences(found)


def test_the_longest_schedule_of_scratch_is_flagged_when_it_wins(made: list[RunRecord], tmp_path: Path) -> None:
    longer = [as_if(run, epochs="100" if run.params["optim.lr_scale"] == "3.0" else "10") for run in made]
    found = study(longer, tmp_path)
    won = [r for r in found.rows if r.is_baseline and dict(r.setting)["epochs"] == "100"]
    flagged = [note for note in found.notes if "its longest schedule (100 epochs) won" in note]
    assert len(flagged) == len(won)
    assert row(found, "none").budget_epochs == 10


# --- the command


@pytest.fixture
def call(made_once: Path, command: Callable[..., Answer]) -> Callable[..., Answer]:
    where = (f"output.dir={made_once / 'runs'}", "tracking.uri=null", f"weights.dir={made_once / 'weights'}")
    return lambda *words: command(compare.main, *where, *words)


def test_the_table_the_verdict_and_a_page(call: Callable[..., Answer], tmp_path: Path) -> None:
    answer = call(f"page={tmp_path / 'new' / 'page.html'}")
    assert answer.code == 0, answer.err
    assert "digits · shots=5: Use resnet18 with freeze=none" in answer.out
    assert f"page: {tmp_path / 'new' / 'page.html'}" in answer.out
    assert "<html" in (tmp_path / "new" / "page.html").read_text()[:200]


@pytest.mark.parametrize("spelling", [("--format", "csv"), ("--format=csv",), ("format=csv",)], ids=" ".join)
def test_csv_has_a_line_per_row_with_the_numbers(call: Callable[..., Answer], spelling: tuple[str, ...]) -> None:
    answer = call(*spelling)
    lines = list(csv.DictReader(answer.out.splitlines()))
    assert [line["strategy"] for line in lines] == ["none", "all", "scratch", "none", "scratch", "all"]
    assert float(lines[0]["test_acc_low"]) < float(lines[0]["test_acc_estimate"]) < float(lines[0]["test_acc_high"])
    assert {line["data.shots"] for line in lines} == {"5", "25"}
    assert lines[0]["vs_baseline_verdict"] == "better"


def test_json_has_everything_and_nothing_that_is_not_json(call: Callable[..., Answer]) -> None:
    found = json.loads(call("format=json").out, parse_constant=lambda name: pytest.fail(name))
    assert [r["strategy"] for r in found["rows"]] == ["none", "all", "scratch", "none", "scratch", "all"]
    assert found["recommendations"][0]["command"].startswith("python -m tl_sweep.train")


def test_markdown_is_two_tables_and_the_verdict(call: Callable[..., Answer]) -> None:
    answers, costs, verdict = call("format=md", "data.shots=5").out.strip().split("\n\n")
    for table in (answers, costs):
        header, line, *rows = table.splitlines()
        assert {row.count("|") for row in (line, *rows)} == {header.count("|")}
        assert [strategy in row for row, strategy in zip(rows, ("none", "all", "scratch"), strict=True)] == [True] * 3
    assert verdict.startswith("- digits: Use resnet18")


def test_what_the_networks_cost_is_a_table_of_its_own(made: list[RunRecord], tmp_path: Path) -> None:
    found = study(only(made, data__shots="25"), tmp_path)
    none = row(found, "none")
    assert {column.title: column.cell(none) for column in in_table(found.rows, "cost")} == {
        "mark": "best",
        "backbone": "resnet18",
        "strategy": "none (full fine-tuning)",
        "macro-F1, %": f"{100 * none.macro_f1:.1f}",
        "one more network, %": f"[{100 * none.network_acc.low:.1f}, {100 * none.network_acc.high:.1f}]",
        "calibration error, %": f"{100 * none.calibration_error:.1f}",
        "trainable parameters": f"{none.trainable_parameters:,}",
        "checkpoint, MB": "44",
        "inference speed, images/s": "123",
        "Pareto front": "yes",
    }


def test_what_the_rows_of_csv_have_no_place_for_goes_to_stderr(call: Callable[..., Answer]) -> None:
    answer = call("format=csv", "data.shots=5")
    assert "note: of the runs with data.shots=5 alone: choices and p-values, too" in answer.err
    assert "digits: Use resnet18 with freeze=none" in answer.err


def test_gains_are_a_table_on_the_terminal_and_in_markdown(call: Callable[..., Answer]) -> None:
    assert "difference to the baseline in points, by labelled images per class" in call().out
    gains = call("format=md").out.split(f"{GAINS}:\n\n")[1].splitlines()
    assert gains[0] == "| backbone | strategy | 5 | 25 |"
    assert gains[2].startswith(f"| resnet18 | {NONE} | +")
    assert re.search(r" \(\d+\) \|", gains[3])


def test_filters_keep_what_they_name(call: Callable[..., Answer]) -> None:
    answer = call("format=csv", "strategy=none,scratch", "data.shots=5")
    assert [line["strategy"] for line in csv.DictReader(answer.out.splitlines())] == ["none", "scratch"]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("data.shot=5",), "data.shot=5: no run has a tag or parameter data.shot; did you mean 'data.shots'?"),
        (("data.shots=7",), "data.shots=7: no run has that; there are 25, 5"),
        (("format=cvs",), "format=cvs: allowed: table, csv, json, md; did you mean 'csv'?"),
        (("margin=1",), "margin=1.0: must be above 0 and below 1"),
        (("margin=x",), "margin=x: a number is needed"),
        (("open=ja",), "open=ja: allowed: true, false, yes, no, 1, 0"),
        (("sweep=s0",), "sweep=s0: no such sweep; there are smade"),
        (("page=fig.pdf",), "page=fig.pdf: its name must end in .html or .htm"),
        (("out=rows.txt",), "out=rows.txt: its name must end in .csv or .json or .md"),
        (("format=json", "out=rows.csv"), "format=json and out=rows.csv: these are two formats; leave out format="),
        (("runs",), "runs: filters are written <tag or parameter>=<value>"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_mistakes_are_answered(call: Callable[..., Answer], words: tuple[str, ...], error: str) -> None:
    answer = call(*words)
    assert (answer.code, answer.err.strip()) == (1, f"error: {error}")


def test_a_comparison_whose_speeds_are_known_imports_no_torch(
    made: list[RunRecord], made_once: Path, tmp_path: Path
) -> None:
    study(made, tmp_path)  # remembers the speed
    code = "import sys; from tl_sweep import compare; compare.main(); print('torch' in sys.modules)"
    where = [f"output.dir={made_once / 'runs'}", "tracking.uri=null", f"weights.dir={tmp_path / 'weights'}"]
    words = [sys.executable, "-c", code, *where, f"page={tmp_path / 'page.html'}"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_a_single_run_in_sqlite_is_reported_and_its_page_kept_there(
    command: Callable[..., Answer], small_run: Recorded, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    where = (f"tracking.uri={small_run.uri}", f"weights.dir={tmp_path / 'weights'}", f"page={page}")
    answer = command(compare.main, *where, "data.shots=5", "seed=0", "strategy=none", "epochs=2")
    assert answer.code == 0, answer.err
    assert "With 1 seed this compares trained networks, not methods." in answer.out
    assert "no baseline for resnet_small: add freeze=scratch" in answer.out
    client = MlflowClient(small_run.uri)
    kept = client.search_runs([client.get_experiment_by_name("tl_sweep reports").experiment_id])
    assert page.name in {file.path for run in kept for file in client.list_artifacts(run.info.run_id)}


def test_a_store_that_is_not_there(command: Callable[..., Answer], tmp_path: Path) -> None:
    answer = command(compare.main, f"tracking.uri=sqlite:///{tmp_path / 'no.db'}")
    assert answer.code == 1
    assert answer.err.startswith(f"error: tracking.uri=sqlite:///{tmp_path / 'no.db'}: there is no database")
    assert not (tmp_path / "no.db").exists()


def test_runs_whose_folders_were_moved_are_found_where_they_are(
    made_once: Path, command: Callable[..., Answer], tmp_path: Path
) -> None:
    shutil.copytree(made_once / "runs", tmp_path / "moved")
    for folder in folders_in(tmp_path / "moved"):
        record = folder / "record.jsonl"
        record.write_text(record.read_text().replace(str(made_once / "runs"), "/gone"))
    where = (f"output.dir={tmp_path / 'moved'}", "tracking.uri=null", f"weights.dir={tmp_path / 'w' / 'weights'}")
    answer = command(compare.main, *where, "format=json")
    assert json.loads(answer.out)["excluded"] == []


def test_a_folder_that_was_moved_with_its_database_and_artifacts_is_found_where_it_is(
    made_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    was, now = tmp_path / "was", tmp_path / "now"
    for folder in folders_in(made_once / "runs")[:3]:
        shutil.copytree(folder, was / "runs" / folder.name)
        record = was / "runs" / folder.name / "record.jsonl"
        record.write_text(record.read_text().replace(str(made_once), str(was)))
    monkeypatch.chdir(was)
    assert answer_of(sync.main).code == 0
    was.rename(now)
    monkeypatch.chdir(now)
    words = (f"weights.dir={made_once / 'weights'}", "format=json")
    answer = answer_of(compare.main, *words)
    assert (answer.code, json.loads(answer.out)["excluded"], json.loads(answer.out)["num_runs"]) == (0, [], 3)
    Path("mlflow.db").unlink()
    answer = answer_of(compare.main, *words)
    assert answer.code == 1
    assert answer.err == (
        f"error: tracking.uri=sqlite:///mlflow.db: there is no database {now}/mlflow.db; python -m tl_sweep.sync makes "
        f"it anew from the 3 runs in {now}/runs\n"
    )
    assert not Path("mlflow.db").exists()


def test_a_sweep_is_known_by_its_beginning_and_as_the_last_one(call: Callable[..., Answer]) -> None:
    titles = [json.loads(call("format=json", f"sweep={text}").out)["title"] for text in ("smade", "sma", "last")]
    assert titles == ["smade"] * 3


def test_runs_that_are_named_are_compared_alone(call: Callable[..., Answer], made: list[RunRecord]) -> None:
    chosen = only(made, freeze__name="none", data__shots="25", optim__lr_scale="1.0")
    words = ",".join(run.tags["key"] for run in chosen)
    assert json.loads(call("format=json", f"run={words}").out)["num_runs"] == 3


@pytest.mark.parametrize("name", ["rows.csv", "rows.json", "rows.md"])
def test_what_is_compared_is_written_to_a_file(call: Callable[..., Answer], name: str) -> None:
    answer = call(f"out=new/{name}", "data.shots=5")
    assert (answer.code, answer.out) == (0, "")
    assert f"written: new/{name}" in answer.err
    assert Path("new", name).read_text().strip() == call(f"format={name[5:]}", "data.shots=5").out.strip()


def test_an_experiment_that_is_not_there(command: Callable[..., Answer], store_uri: str) -> None:
    answer = command(compare.main, f"tracking.uri={store_uri}", "tracking.experiment=tl_sweeep")
    assert "tracking.experiment=tl_sweeep: not in" in answer.err
    assert "did you mean 'tl_sweep'?" in answer.err


def test_filters_need_runs() -> None:
    with pytest.raises(UserError, match="no runs are recorded there"):
        filtered([], [])
