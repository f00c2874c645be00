"""What curves, rates and numbers of labels say, on values made by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from make_study import make_study
from make_study import recorded_run as run

from tl_sweep.comparison.diagnosis import diagnose, edge_of, good_rates, rates_of, time_to_baseline, val_acc_after
from tl_sweep.comparison.label_efficiency import crossings, gains, labels_that_match, lead_at
from tl_sweep.comparison.model_selection import Cell, choose
from tl_sweep.comparison.study import Gain, Interval, Point, Rate, TimeToBaseline


def curve(
    val_acc: Sequence[float], *, train_acc: float = 1.0, val_loss: Sequence[float] | None = None
) -> tuple[Point, ...]:
    """A second per epoch; the loss falls as accuracy rises, unless it is given."""
    losses = [1 - acc for acc in val_acc] if val_loss is None else val_loss
    return tuple(
        Point(epoch, float(epoch), 0.1, train_acc, loss, acc)
        for epoch, (acc, loss) in enumerate(zip(val_acc, losses, strict=True), start=1)
    )


def rates(accuracies: dict[float, float], chosen: float) -> tuple[Rate, ...]:
    return tuple(Rate(lr, acc, lr == chosen) for lr, acc in accuracies.items())


# --- rates


def test_rates_are_the_heads_with_the_best_of_other_settings() -> None:
    runs = [
        run(val=val, lr_scale=scale, optim__layer_decay=decay)
        for scale, decay, val in ((1.0, "1", 0.5), (1.0, "0.7", 0.6), (3.0, "1", 0.4))
    ]
    for record in runs:
        record.tags["head_lr"] = str(float(record.params["optim.lr_scale"]) * 0.01)
    assert rates_of(choose(runs)[0]) == (Rate(0.01, 0.6, True), Rate(0.03, 0.4, False))


def test_a_solved_head_has_no_rates() -> None:
    assert rates_of(choose([run("all")])[0]) == ()


def test_good_rates_are_within_one_point_of_the_best() -> None:
    tried = rates({0.001: 0.5, 0.01: 0.895, 0.1: 0.9, 1.0: 0.88}, 0.1)
    assert good_rates(tried) == (0.01, 0.1)
    assert good_rates(()) is None


@pytest.mark.parametrize(
    ("accuracies", "chosen", "edge"),
    [
        ({1.0: 0.5, 2.0: 0.6, 3.0: 0.7}, 3.0, "largest"),
        ({1.0: 0.7, 2.0: 0.6, 3.0: 0.5}, 1.0, "smallest"),
        ({1.0: 0.5, 2.0: 0.7, 3.0: 0.6}, 2.0, ""),
        ({1.0: 0.5, 2.0: 0.695, 3.0: 0.7}, 3.0, ""),
        ({1.0: 0.5, 3.0: 0.7}, 3.0, "largest"),
        ({3.0: 0.7}, 3.0, ""),
    ],
    ids=["largest", "smallest", "inside", "its neighbour is as good", "two only", "one only"],
)
def test_a_best_rate_at_the_edge_of_its_grid_is_flagged(
    accuracies: dict[float, float], chosen: float, edge: str
) -> None:
    assert edge_of(rates(accuracies, chosen)) == edge


# --- budgets and time to baseline accuracy


def test_the_best_accuracy_within_a_time() -> None:
    assert val_acc_after(curve([0.3, 0.5, 0.4, 0.9]), 3.0) == 0.5
    assert math.isnan(val_acc_after(curve([0.3]), 0.5))


def test_time_to_what_scratch_ends_with() -> None:
    scratch = curve([0.2, 0.3, 0.4, 0.5, 0.5])
    assert time_to_baseline(curve([0.4, 0.6]), scratch, 0.5) == TimeToBaseline(2, 2.0, 2.0)
    assert time_to_baseline(curve([0.4, 0.4]), scratch, 0.5) == TimeToBaseline(None, None, None)
    assert time_to_baseline(curve([0.4, 0.4]), scratch, 0.5).when == "never"


def test_scratch_arrives_even_where_each_seed_keeps_its_own_best_epoch() -> None:
    scratch = curve([0.5, 0.83, 0.88, 0.887])
    assert time_to_baseline(curve([0.89]), scratch, 0.903) == TimeToBaseline(1, 1.0, 4.0)


def test_lines_without_two_common_numbers_of_labels_are_not_compared() -> None:
    assert crossings([line("scratch", {"25": 0.5, "50": 0.6}), line("none", {"5": 0.7, "10": 0.8})]) == ()


def test_a_solved_head_arrives_at_once() -> None:
    solved = (Point(20, 0.5, 0.1, 1.0, 0.1, 0.9),)
    found = time_to_baseline(solved, curve([0.2, 0.5]), 0.5)
    assert found == TimeToBaseline(0, 0.5, 4.0)
    assert found.when == "by logistic regression (L-BFGS)"


def test_runs_that_recorded_no_time_give_no_factor() -> None:
    untimed = tuple(replace(point, seconds=math.nan) for point in curve([0.5, 0.6]))
    found = time_to_baseline(untimed, curve([0.5]), 0.5)
    assert found.epochs == 1
    assert found.factor is None


# --- diagnoses


def cell(strategy: str = "none", *, val: float = 0.8, trainable: int = 100) -> Cell:
    record = run(strategy, val=val)
    record.tags["trainable_parameters"] = str(trainable)
    return choose([record])[0]


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (curve([0.5, 0.6, 0.7, 0.8, 0.8, 0.8], train_acc=0.82), ""),
        (curve([0.3, 0.4, 0.5, 0.6, 0.7, 0.8], train_acc=0.8), "not converged"),
        (curve([0.7] * 6, train_acc=0.99, val_loss=[0.5, 0.4, 0.5, 0.6, 0.7, 0.8]), "overfits"),
        (curve([0.5, 0.8]), ""),
    ],
    ids=["nothing", "not converged", "overfits", "too short to say"],
)
def test_a_diagnosis_from_the_curve(points: tuple[Point, ...], words: str) -> None:
    one = cell()
    found = diagnose(one, points, (), [one], as_good=None)
    assert found.startswith(words)
    assert bool(found) == bool(words)


def test_too_much_is_frozen_where_what_learns_more_does_better() -> None:
    frozen, free = cell("all", val=0.5, trainable=10), cell("none", val=0.9, trainable=100)
    points = curve([0.4, 0.5, 0.5, 0.5, 0.5, 0.5], train_acc=0.51)
    assert diagnose(frozen, points, (), [frozen, free], None).startswith("underfits")
    assert diagnose(frozen, points, (), [frozen], None) == ""
    assert diagnose(frozen, points[-1:], (), [frozen, free], None).startswith("underfits")  # solved at once


def test_a_training_loss_that_rises_again_says_that_the_rate_is_too_high() -> None:
    one = cell()
    points = curve([0.5, 0.6, 0.7, 0.7, 0.7, 0.7], train_acc=0.72)
    rising = [
        replace(point, train_loss=loss) for point, loss in zip(points, [0.9, 0.5, 0.6, 0.8, 1.1, 1.3], strict=True)
    ]
    assert diagnose(one, rising, (), [one], None).startswith("the rate is too high")


def test_the_gravest_is_said_first() -> None:
    one = cell()
    tried = rates({1.0: 0.5, 2.0: 0.6, 3.0: 0.7}, 3.0)
    rising = curve([0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
    useless = "on validation its frozen features are no better than"
    (control,) = choose([run("all", control="random features")])
    no_help = f"the source does not help: {useless} all (linear probe, random features)"
    assert diagnose(one, rising, tried, [one], control) == no_help
    (baseline,) = choose([run("my own", freeze__pretrained="false")])
    enough = f"the source does not help, or there are labels enough without one: {useless} my own"
    assert diagnose(one, rising, tried, [one], baseline) == enough
    assert diagnose(one, rising, tried, [one], None).startswith("the rate may be too low: the largest of 3 tried")


# --- labels


def line(strategy: str, accuracies: dict[str, float]) -> Gain:
    """strategy: with its source, if it has one: ``none, letters``."""
    intervals = tuple(Interval(acc, acc - 0.01, acc + 0.01) for acc in accuracies.values())
    kinds = {"scratch": "baseline", "my own": "baseline", "none": "fine-tuning", "all": "frozen features"}
    name, _, source = strategy.partition(", ")
    what = ("digits", "resnet18", name, f"{name} (in words)", source)
    return Gain(*what, tuple(accuracies), intervals, (None,) * len(accuracies), kind=kinds.get(name, ""))


def test_labels_that_match_lie_between_two_that_were_tried() -> None:
    scratch = line("scratch", {"5": 0.2, "10": 0.4, "40": 0.8, "all": 0.9})
    assert labels_that_match(scratch, 0.6) == pytest.approx(20)  # half of the way, on a logarithmic axis
    assert labels_that_match(scratch, 0.1) is None
    assert labels_that_match(scratch, 0.85) is None


def test_the_lead_is_that_of_the_best_line_alone() -> None:
    def needing(line: Gain, *needs: float | None) -> Gain:
        return replace(line, baseline_needs=needs)

    scratch = needing(line("scratch", {"5": 0.2, "10": 0.5, "25": 0.8}), None, None, None)
    none = needing(line("none", {"5": 0.4, "10": 0.6, "25": 0.9}), 8.0, 14.0, None)
    frozen = needing(line("all", {"5": 0.5, "10": 0.4, "25": 0.7}), 10.0, 8.0, 20.0)
    lines = [scratch, none, frozen]
    assert lead_at("5", lines) == (frozen, 10.0)
    assert lead_at("10", lines) == (none, 14.0)
    assert lead_at("25", lines) is None  # scratch does not get there; that it passes the frozen one is no lead
    assert lead_at("10", [scratch, frozen]) is None
    assert lead_at("50", lines) is None


@pytest.mark.parametrize(
    ("scratch", "words"),
    [
        ({"5": 0.1, "10": 0.2, "all": 0.3}, "does not reach none (in words) with up to all labels"),
        ({"5": 0.1, "10": 0.2, "all": 0.9}, "reaches none (in words) between 10 and all labels"),
        ({"5": 0.1, "10": 0.9, "all": 0.9}, "reaches none (in words) between 5 and 10 labels per class"),
        ({"5": 0.9, "10": 0.9, "all": 0.9}, "is ahead of none (in words) at every number of labels, from 5 on"),
        ({"5": 0.9, "10": 0.1, "all": 0.9}, "reaches none (in words) between 10 and all labels"),
    ],
    ids=["never", "late", "early", "always", "for good"],
)
def test_where_scratch_catches_up(scratch: dict[str, float], words: str) -> None:
    lines = [line("scratch", scratch), line("none", {"5": 0.5, "10": 0.6, "all": 0.7})]
    assert crossings(lines) == (f"resnet18: scratch (in words) {words}, in the mean",)


def test_each_of_two_baselines_catches_up_by_itself() -> None:
    lines = [
        line("scratch", {"5": 0.1, "10": 0.2}),
        line("my own", {"5": 0.1, "10": 0.9}),
        line("none", {"5": 0.5, "10": 0.6}),
    ]
    assert crossings(lines) == (
        "resnet18: scratch (in words) does not reach none (in words) with up to 10 labels per class, in the mean",
        "resnet18: my own (in words) reaches none (in words) between 5 and 10 labels per class, in the mean",
    )


def test_from_where_on_fine_tuning_beats_frozen_features_of_the_same_source() -> None:
    lines = [line("none, letters", {"5": 0.5, "10": 0.9}), line("all, letters", {"5": 0.6, "10": 0.7})]
    expected = "none (in words), letters reaches all (in words), letters between 5 and 10 labels per class, in the mean"
    assert crossings(lines) == (f"resnet18: {expected}",)


def test_there_are_gains_only_where_labels_vary() -> None:
    study = make_study()
    assert {found.backbone for found in gains(study.rows)} == {row.backbone for row in study.rows}
    one_number = [row for row in study.rows if row.axes == study.rows[0].axes]
    assert gains(one_number) == ()
