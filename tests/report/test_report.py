"""What is chosen, on what, and what a person reads of it; on records made by hand."""

from __future__ import annotations

import math

import pytest
from make_study import recorded_run as run

from tl_sweep.comparison.model_selection import choose, common_seeds, varied_keys
from tl_sweep.report.ending import baseline_command
from tl_sweep.tracking.record import RunRecord


def chosen_scales(runs: list[RunRecord]) -> list[str]:
    return [dict(cell.setting)["optim.lr_scale"] for cell in choose(runs)]


# --- the choice


def test_the_choice_is_made_on_validation_though_test_says_otherwise() -> None:
    runs = [run(val=0.8, test=0.1, lr_scale=1.0), run(val=0.7, test=0.9, lr_scale=3.0)]
    assert chosen_scales(runs) == ["1.0"]
    assert choose(runs)[0].mean("test/acc") == pytest.approx(0.1)


def test_test_accuracy_may_even_be_missing() -> None:
    runs = [run(val=0.8, lr_scale=1.0), run(val=0.7, lr_scale=3.0)]
    for record in runs:
        del record.metrics["test/acc"]
    assert chosen_scales(runs) == ["1.0"]


@pytest.mark.parametrize("key", ["resume", "cache.enabled", "data.root", "threads", "model.sha256", "tracking.uri"])
def test_how_a_run_was_computed_is_no_axis(key: str) -> None:
    name = key.replace(".", "__")
    (cell,) = choose([run(seed=0, **{name: "one"}), run(seed=1, **{name: "other"})])  # type: ignore[arg-type]
    assert len(cell.runs) == 2


def test_the_mean_over_seeds_decides_not_the_best_seed() -> None:
    lucky = [run(val=0.95, seed=0, lr_scale=1.0), run(val=0.15, seed=1, lr_scale=1.0)]
    steady = [run(val=0.6, seed=0, lr_scale=3.0), run(val=0.6, seed=1, lr_scale=3.0)]
    assert chosen_scales([*lucky, *steady]) == ["3.0"]


@pytest.mark.parametrize("losses", [(0.9, 0.8), (0.8, 0.9)], ids=["second", "first"])
def test_of_equal_accuracies_the_smaller_validation_loss_wins(losses: tuple[float, float]) -> None:
    runs = [run(val_loss=loss, lr_scale=scale) for loss, scale in zip(losses, (1.0, 3.0), strict=True)]
    assert chosen_scales(runs) == ["3.0" if losses[1] < losses[0] else "1.0"]


def test_a_setting_that_lacks_a_seed_is_not_chosen() -> None:
    whole = [run(val=0.5, seed=seed, lr_scale=1.0) for seed in (0, 1)]
    assert chosen_scales([*whole, run(val=0.99, seed=0, lr_scale=3.0)]) == ["1.0"]


def test_a_run_that_failed_makes_its_setting_incomplete() -> None:
    whole = [run(val=0.5, seed=seed, lr_scale=1.0) for seed in (0, 1)]
    broken = [run(val=0.9, seed=0, lr_scale=3.0), run(val=0.9, seed=1, lr_scale=3.0, status="FAILED")]
    assert chosen_scales([*whole, *broken]) == ["1.0"]


@pytest.mark.parametrize(("val", "scale"), [(0.9, "3.0"), (0.4, "1.0")], ids=["ahead", "behind"])
def test_more_seeds_than_others_have_do_not_choose(val: float, scale: str) -> None:
    runs = [run(val=0.5, seed=seed, lr_scale=1.0) for seed in (0, 1, 2)]
    runs += [run(val=val, seed=seed, lr_scale=3.0) for seed in range(5)]
    (cell,) = choose(runs)
    assert dict(cell.setting)["optim.lr_scale"] == scale
    assert len(cell.candidates) == 2
    assert [record.params["seed"] for record in cell.runs] == [str(seed) for seed in range(5 if scale == "3.0" else 3)]


@pytest.mark.parametrize(
    ("found", "shared"),
    [
        (("0123456789", "0123456789", "012"), "0123456789"),
        (("0123456789", "012", "012", "012"), "012"),
        (("01234", "012"), "012"),
        (("01234", "01235", "01245", "01345", "02345"), "012"),
        (("0123456789", "0", "1"), "0123456789"),
        (("012", "345", "345"), "012"),
        (("01", "0"), "01"),
        (("0",), "0"),
    ],
    ids=str,
)
def test_seeds_in_common(found: tuple[str, ...], shared: str) -> None:
    sets = [frozenset((("seed", seed),) for seed in seeds) for seeds in found]
    assert common_seeds(sets) == frozenset((("seed", seed),) for seed in shared)


def test_settings_without_a_seed_in_common_are_not_compared() -> None:
    runs = [run(val=0.5, seed=seed, lr_scale=1.0) for seed in (0, 1, 2)]
    (cell,) = choose([*runs, *(run(val=0.9, seed=seed, lr_scale=3.0) for seed in (3, 4, 5))])
    assert (dict(cell.setting)["optim.lr_scale"], len(cell.incomplete)) == ("1.0", 1)


def test_nothing_finished_gives_no_cells() -> None:
    assert choose([run(status="FAILED"), run(status="RUNNING")]) == []


def test_a_run_that_was_repeated_counts_once_the_newest() -> None:
    (cell,) = choose([run(val=0.1), run(val=0.6)])
    assert [record.metrics["best/val_acc"] for record in cell.runs] == [0.6]


# --- cells: what is compared with what


def test_a_cell_for_each_backbone_and_strategy() -> None:
    runs = [run(strategy, backbone=backbone) for strategy in ("none", "all") for backbone in ("resnet18", "vgg16")]
    cells = {(cell.backbone, cell.strategy) for cell in choose(runs)}
    assert cells == {("resnet18", "none"), ("resnet18", "all"), ("vgg16", "none"), ("vgg16", "all")}


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("data__shots", ("5", "10")),
        ("data__split_seed", ("0", "1")),
        ("model__weights", ("letters", "letters_clean")),
    ],
    ids=str,
)
def test_the_task_and_the_source_are_axes(key: str, values: tuple[str, str]) -> None:
    cells = choose([run(seed=seed, **{key: value}) for value in values for seed in (0, 1)])  # type: ignore[arg-type]
    name = key.replace("__", ".")
    assert [(cell.axes, len(cell.runs)) for cell in cells] == [(((name, value),), 2) for value in values]


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("augment__name", ("none", "light")),
        ("freeze__batch_norm", ("train", "eval")),
        ("epochs", ("10", "60")),
        ("optim__layer_decay", ("1.0", "0.7")),
    ],
    ids=str,
)
def test_whatever_else_varies_is_chosen_on_validation(key: str, values: tuple[str, str]) -> None:
    runs = [
        run(seed=seed, val=val, **{key: value})  # type: ignore[arg-type]
        for value, val in zip(values, (0.4, 0.6), strict=True)
        for seed in (0, 1)
    ]
    (cell,) = choose(runs)
    assert cell.setting == ((key.replace("__", "."), values[1]),)
    assert [len(candidate.runs) for candidate in cell.candidates] == [2, 2]


def test_what_starts_at_random_has_no_source() -> None:
    runs = [run("none", model__weights=source) for source in ("letters", "letters_clean")]
    runs.append(run("scratch", model__weights="letters", freeze__pretrained="false"))
    runs.append(run("all", model__weights="null", control="random features"))
    axes = {cell.strategy: dict(cell.axes)["model.weights"] for cell in choose(runs) if cell.strategy != "none"}
    assert axes == {"scratch": "–", "all (random features)": "–"}


def test_a_strategy_that_was_also_started_at_random_is_two_rows() -> None:
    runs = [run("none", val=0.5), run("none", val=0.6, freeze__pretrained="false")]
    found = {cell.strategy: (cell.label, cell.is_baseline, cell.setting) for cell in choose(runs)}
    assert found == {
        "none": ("none (full fine-tuning)", False, ()),
        "none (from random weights)": ("none (from random weights)", True, ()),
    }


@pytest.mark.parametrize("key", ["threads", "num_workers", "device", "output__dir", "tracking__uri"])
def test_where_a_run_took_place_is_no_axis(key: str) -> None:
    (cell,) = choose([run(seed=0, **{key: "1"}), run(seed=1, **{key: "2"})])  # type: ignore[arg-type]
    assert cell.axes == ()


def test_what_a_strategy_or_backbone_brings_along_is_no_axis() -> None:
    runs = [
        run("none", freeze__backbone_lr_scale="0.1", model__weights="/w/resnet18.pth"),
        run("scratch", freeze__backbone_lr_scale="1.0", model__weights="/w/resnet18.pth"),
        run("none", backbone="vgg16", freeze__backbone_lr_scale="0.1", model__weights="/w/vgg16.pth"),
    ]
    assert {cell.axes for cell in choose(runs)} == {()}


def test_the_control_and_depths_are_strategies_of_their_own() -> None:
    runs = [run("all"), run("all", control="random features"), *(run("depth", freeze__frozen_stages=k) for k in "01")]
    names = ["all", "all (random features)", "depth 0", "depth 1"]
    assert [cell.strategy for cell in choose(runs)] == names


def test_varied_keys_see_a_missing_key_as_a_value() -> None:
    assert varied_keys([run(a="1", b="2"), run(a="1")]) == ["b"]


def test_mean_over_seeds() -> None:
    (cell,) = choose([run(test=0.5, seed=0), run(test=0.7, seed=1)])
    assert cell.mean("test/acc") == pytest.approx(0.6)
    assert math.isnan(cell.mean("of nothing"))


# --- the baseline


@pytest.mark.parametrize(
    ("arguments", "baseline"),
    [
        (["model=resnet18", "freeze=none,all"], "model=resnet18 freeze=scratch"),
        (["freeze=depth", "freeze.frozen_stages=0,1", "seed=0,1"], "seed=0,1 freeze=scratch"),
        (["data.root='/My Photos (2024)'"], """'data.root='"'"'/My Photos (2024)'"'"'' freeze=scratch"""),
        (["freeze=all", "optim=lbfgs", "optim.l2=[1,2]", "epochs=3"], "epochs=3 freeze=scratch"),
        (["freeze=all", "optim=lbfgs,sgd", "epochs=3"], "epochs=3 freeze=scratch"),
        (["freeze=none", "optim=sgd,adamw", "optim.lr=0.1"], "optim=sgd,adamw optim.lr=0.1 freeze=scratch"),
        (["freeze=none", "model.sha256=0123abcd"], "freeze=scratch"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_command_that_adds_the_baseline(arguments: list[str], baseline: str) -> None:
    assert baseline_command(arguments) == f"python -m tl_sweep.train -m {baseline}"
