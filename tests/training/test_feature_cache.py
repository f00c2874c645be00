"""Prefix features: what is kept, that nobody can tell from the numbers, and what happens when the disk fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from commands import Answer, record
from configs import assembled, merged
from safetensors.torch import load_file, save_file
from small_swin import SmallSwin

from tl_sweep import cache, features
from tl_sweep.array_store.segments import StoreFull
from tl_sweep.array_store.store import RowStore
from tl_sweep.config.schema import Config
from tl_sweep.models.sources.contract import BACKBONE_SOURCES
from tl_sweep.models.stages import StagedModel
from tl_sweep.run.assemble import open_array_store
from tl_sweep.sweep.jobs import reuse_order
from tl_sweep.tracking.store import runs_named
from tl_sweep.train import main
from tl_sweep.training import examples
from tl_sweep.training.evaluate import logits_of
from tl_sweep.training.examples import Examples
from tl_sweep.training.feature_cache import Demand, Usage
from tl_sweep.training.loop import fit
from tl_sweep.training.prefix import CHUNK, Prefix

MakeConfig = Callable[..., Config]
FROZEN = ["all", "early", "lp_ft", "gradual", "depth"]
MOVING = ["none", "scratch", "bn_only"]
# a net with BatchNorm, one without, a transformer and a small one; every strategy that freezes; one view and several
NETS = {"resnet_small": 16, "small_swin": 16, "squeezenet1_1": 32, "swin_t": 32}  # and their images' side in pixels
EQUAL = [(net, strategy, views) for net in NETS for strategy in FROZEN for views in (1, 3)]
QUICK = {
    *(("resnet_small", strategy, 3) for strategy in FROZEN),
    *(("small_swin", strategy, 1) for strategy in ("all", "early")),
    ("squeezenet1_1", "all", 1),
}


Numbers = tuple[dict[str, torch.Tensor], torch.Tensor, Usage]


def numbers_of(config: Config) -> Numbers:
    """Every tensor and every test logit that a run ends with, and what it had from the cache."""
    with open_array_store(config) as store:
        run = assembled(config, store)
        list(fit(run.state, run.setup))
        depth = min(phase.frozen_stages for phase in run.setup.plan)
        demands = [Demand(run.test, [None])]
        prefix = run.setup.cache.prefix(run.state.model, depth, run.setup.compute, demands)
        logits_NK = logits_of(prefix, run.test)
        run.state.model.load()
        return run.state.model.module.state_dict(), logits_NK, run.setup.cache.usage


def same_numbers(first: Numbers, second: Numbers) -> bool:
    tensors_equal = all(torch.equal(first[0][name], second[0][name]) for name in first[0])
    return tensors_equal and torch.equal(first[1], second[1])


@pytest.fixture(scope="session")
def weights_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Config], Path]:
    """A weight file of a configured backbone: without one, nothing would wait to be loaded."""
    from tl_sweep.models.build import build_model

    folder = tmp_path_factory.mktemp("weights")

    def weights(config: Config) -> Path:
        path = folder / f"{config.model.name}.safetensors"
        if not path.exists():
            torch.manual_seed(1)
            model = build_model(config.model, 10, config.data.image_size, weights=None, head_seed=0)
            heads = set(model.head_parameters())
            tensors = {n: t.contiguous() for n, t in model.module.state_dict().items() if n not in heads}
            save_file(tensors, path)
        return path

    return weights


@pytest.fixture
def chunks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by the depth of the prefix whenever a chunk runs through one; no batch of these tests is as large."""
    calls: list[int] = []
    run = StagedModel.run

    def counting(model: StagedModel, z: torch.Tensor, first: int = 0, last: int | None = None) -> torch.Tensor:
        if first == 0 and last is not None and len(z) == CHUNK["cpu"]:
            calls.append(last)
        return run(model, z, first, last)

    monkeypatch.setattr(StagedModel, "run", counting)
    return calls


@pytest.fixture(autouse=True, scope="module")
def small_swin() -> Iterator[None]:
    BACKBONE_SOURCES.register("small_swin", SmallSwin())
    yield
    BACKBONE_SOURCES.unregister("small_swin")


@pytest.fixture
def configured(make_config: MakeConfig, weights_of: Callable[[Config], Path]) -> MakeConfig:
    """A backbone with a weight file and a strategy with epochs enough for its phases, on small images."""

    def make(net: str, strategy: str, **values: Any) -> Config:
        freeze = {"freeze": {"frozen_stages": 2}} if strategy == "depth" else {}
        epochs = {"gradual": 8, "lp_ft": 4}.get(strategy, 3)
        chosen = {"data": {"image_size": NETS[net], "shots": 5}, "epochs": epochs, "cache": {"enabled": "True"}}
        named = {"model": {"name": net}} | chosen if net == "small_swin" else chosen
        option = "torchvision" if net == "small_swin" else net
        config = make_config({"model": option, "freeze": strategy}, **merged(merged(named, freeze), values))
        return replace(config, model=replace(config.model, weights=str(weights_of(config))))

    return make


@pytest.mark.parametrize(
    ("net", "strategy", "views"),
    [pytest.param(*case, marks=[] if case in QUICK else pytest.mark.slow) for case in EQUAL],
)
def test_nobody_can_tell_from_the_numbers(
    configured: MakeConfig, chunks: list[int], net: str, strategy: str, views: int
) -> None:
    config = configured(net, strategy, augment={"views": views})
    streamed = numbers_of(replace(config, num_workers=2, cache=replace(config.cache, enabled="False")))
    first = numbers_of(config)
    chunks.clear()
    second = numbers_of(config)
    assert same_numbers(streamed, first)
    assert same_numbers(streamed, second)
    assert streamed[2].hit == 0
    assert first[2].missed > 0
    assert second[2].missed == 0
    assert second[2].hit > 0
    assert chunks == []  # not one forward pass through frozen stages


@pytest.mark.parametrize("strategy", MOVING)
def test_nothing_is_kept_where_nothing_is_frozen(configured: MakeConfig, strategy: str) -> None:
    config = configured("resnet_small", strategy)
    streamed = numbers_of(replace(config, cache=replace(config.cache, enabled="False")))
    kept = numbers_of(config)
    assert same_numbers(streamed, kept)
    assert (kept[2].hit, kept[2].missed, kept[2].decisions) == (0, 0, [])


@pytest.mark.parametrize(
    "values",
    [
        {"seed": 1, "data": {"subset_seed": 0}},
        {"optim": {"name": "sgd", "lr": 0.1}},
        {"optim": {"name": "adamw", "lr": 0.01, "label_smoothing": 0.1}, "batch_size": 10},
        {"epochs": 5},
        {"model": {"dropout": 0.1}},
    ],
    ids=["seed", "sgd", "adamw", "epochs", "dropout"],
)
def test_another_run_on_the_same_images_computes_nothing(configured: MakeConfig, values: dict[str, Any]) -> None:
    finite = {"augment": {"views": 2}, "data": {"subset_seed": 0}}
    numbers_of(configured("resnet_small", "all", **finite))
    assert numbers_of(configured("resnet_small", "all", **merged(finite, values)))[2].missed == 0


@pytest.mark.parametrize(
    "values",
    [
        {"augment": {"views": 2, "seed": 1}},
        {"augment": {"views": 2, "rotation_deg": 30.0}},
        {"data": {"flips": "both"}},
        {"data": {"image_size": 24}},
        {"model": {"preprocessing": {"mean": [0.5, 0.5, 0.5]}}},
        {"model": {"preprocessing": {"interpolation": "bicubic"}}},
    ],
    ids=["view seed", "augmentation", "flips", "size", "mean", "interpolation"],
)
def test_what_changes_a_row_is_no_hit(configured: MakeConfig, values: dict[str, Any]) -> None:
    numbers_of(configured("resnet_small", "all", augment={"views": 2}))
    assert numbers_of(configured("resnet_small", "all", **merged({"augment": {"views": 2}}, values)))[2].missed > 0


def test_other_weights_are_no_hit(configured: MakeConfig, tmp_path: Path) -> None:
    config = configured("resnet_small", "all", augment={"views": 1})
    numbers_of(config)
    other = {name: 1.5 * tensor for name, tensor in load_file(str(config.model.weights)).items()}
    save_file({name: tensor.contiguous() for name, tensor in other.items()}, tmp_path / "other.safetensors")
    changed = replace(config, model=replace(config.model, weights=str(tmp_path / "other.safetensors")))
    assert numbers_of(changed)[2].missed == 50 + 797


def test_a_weight_file_of_half_precision(configured: MakeConfig, tmp_path: Path) -> None:
    config = configured("resnet_small", "all", augment={"views": 1})
    half = {name: tensor.half() for name, tensor in load_file(str(config.model.weights)).items()}
    save_file(half, tmp_path / "half.safetensors")
    config = replace(config, model=replace(config.model, weights=str(tmp_path / "half.safetensors")))
    assert same_numbers(numbers_of(config), numbers_of(config))  # frozen is proven by what is computed with


def test_a_store_without_room_leaves_other_sweeps_rows_alone(configured: MakeConfig, tmp_path: Path) -> None:
    config = configured("resnet_small", "all", augment={"views": 1})
    numbers_of(config)
    for max_gb in (0.0, 1e-7):
        numbers_of(replace(config, seed=1, cache=replace(config.cache, max_gb=max_gb)))
    assert numbers_of(config)[2].missed == 0


def test_more_shots_compute_only_the_new_images(configured: MakeConfig) -> None:
    def usage(shots: int) -> Usage:
        return numbers_of(configured("resnet_small", "all", augment={"views": 1}, data={"shots": shots}))[2]

    assert usage(5).missed == 50 + 797
    assert usage(10).missed == 50


def test_one_prefix_serves_every_strategy_that_freezes_it(configured: MakeConfig) -> None:
    views = {"augment": {"views": 1}}
    numbers_of(configured("resnet_small", "all", **views))
    lp_ft = numbers_of(configured("resnet_small", "lp_ft", **views))[2]
    assert lp_ft.missed == 0
    assert lp_ft.hit > 0


def test_mixed_images_stream_and_the_run_says_so(configured: MakeConfig) -> None:
    config = configured("resnet_small", "early", augment={"mixup": 0.2, "views": 1})
    streamed = numbers_of(replace(config, cache=replace(config.cache, enabled="False")))
    kept = numbers_of(config)
    assert same_numbers(streamed, kept)
    assert kept[2].decisions[0] == "training images are mixed, so that the frozen stages run in every step"


def test_a_prefix_whose_rows_are_all_there_is_not_loaded(configured: MakeConfig) -> None:
    config = configured("resnet_small", "all", augment={"views": 1})
    loaded = []
    for _ in range(2):
        with open_array_store(config) as store:
            run = assembled(config, store)
            list(fit(run.state, run.setup))  # proves the frozen stages, from the file where they are not loaded
            loaded.append(not any(p.is_meta for p in run.state.model.stage_parameters(0).values()))
    assert loaded == [True, False]


# --- the choice


@pytest.mark.parametrize(
    ("values", "shared", "begins"),
    [
        ({"augment": {"views": 1}, "epochs": 30}, False, "4 of 4 stages frozen: kept"),
        (
            {"cache": {"max_gb": 1e-6}},
            True,
            "4 of 4 stages frozen: streamed, 3.5e-05 GB of rows exceed what cache.max_gb and the disk leave",
        ),
    ],
    ids=["many epochs", "no room"],
)
def test_auto_weighs_computing_against_reading(
    configured: MakeConfig, values: dict[str, Any], shared: bool, begins: str
) -> None:
    config = configured("resnet_small", "all", **merged({"cache": {"enabled": "auto"}}, values))
    with open_array_store(config) as store:
        run = assembled(config, store, shared=shared)
        list(fit(run.state, run.setup))
    assert run.setup.cache.usage.decisions[0].startswith(begins)


def slow_rows(prefix: Prefix, examples: Examples) -> tuple[float, int]:
    """Rows of 1 MB that take a millisecond to compute and, as reckoned, two to read."""
    return 1e-3, 10**6


@pytest.mark.parametrize(("views", "shared"), [(None, True), (1, False)], ids=["sweep", "run"])
def test_rows_that_are_cheaper_to_compute_than_to_read_stream(
    configured: MakeConfig, monkeypatch: pytest.MonkeyPatch, views: int | None, shared: bool
) -> None:
    monkeypatch.setattr(Prefix, "seconds_per_image", slow_rows)
    config = configured("resnet_small", "all", cache={"enabled": "auto"}, augment={"views": views})
    with open_array_store(config) as store:
        run = assembled(config, store, shared=shared)
        list(fit(run.state, run.setup))
    assert "4 of 4 stages frozen: streamed, " in run.setup.cache.usage.decisions[0]


# --- a disk that fills up meanwhile


def test_a_full_store_streams_and_says_so(
    configured: MakeConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = configured("resnet_small", "early", augment={"views": 1})
    streamed = numbers_of(replace(config, cache=replace(config.cache, enabled="False")))

    def no_room(store: RowStore, wanted_bytes: float) -> None:
        raise StoreFull("no room")

    monkeypatch.setattr(RowStore, "make_room", no_room)
    full = numbers_of(config)
    assert same_numbers(streamed, full)
    assert "streamed from here on: no room" in full[2].decisions
    assert "computing the frozen stages anew each time instead" in caplog.text
    assert "decoded images are not kept on disk" in caplog.text


@pytest.mark.parametrize("memory_bytes", [10**12, 1000], ids=["in memory", "decoded anew"])
def test_without_a_store_images_are_the_same(
    configured: MakeConfig, monkeypatch: pytest.MonkeyPatch, memory_bytes: int
) -> None:
    config = configured("resnet_small", "none")
    kept = numbers_of(config)
    monkeypatch.setattr(examples, "memory_bytes", lambda: memory_bytes)
    assert same_numbers(kept, numbers_of(replace(config, cache=replace(config.cache, enabled="False"))))


def test_a_folder_that_cannot_be_written_is_refused_before_the_first_job(
    command: Callable[..., Answer], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    answer = command(main, f"cache.dir={tmp_path / 'file' / 'rows'}", "model.weights=null", "tracking.uri=null")
    assert answer.code == 1
    assert "choose another folder, or cache.enabled=false" in answer.err
    assert f"cache.dir={tmp_path / 'file' / 'rows'}: Not a directory" in answer.err


# --- what a run says, and in which order a sweep runs


def test_a_run_records_what_it_had_from_the_cache(make_config: MakeConfig, store_uri: str, tmp_path: Path) -> None:
    config = make_config(
        {"freeze": "all"}, augment={"views": 1}, cache={"enabled": "True"}, tracking={"uri": store_uri}
    )
    first, second = record(config, tmp_path / "first"), record(config, tmp_path / "second")
    cold, warm = runs_named(store_uri, "tl_sweep", first.run_id)[0], runs_named(store_uri, "tl_sweep", second.run_id)[0]
    assert cold.metrics["cache/missed_rows"] == 50 + 797
    assert cold.metrics["cache/written_mb"] > 0.2
    assert warm.metrics["cache/missed_rows"] == 0
    assert warm.metrics["cache/hit_rows"] > 847
    assert warm.metrics["cache/saved_s"] > 0
    assert warm.tags["cache"].startswith("4 of 4 stages frozen: kept, cache.enabled=True")
    assert cold.metrics["test/loss"] == warm.metrics["test/loss"]


def test_jobs_that_share_work_stand_together(make_config: MakeConfig) -> None:
    jobs = [
        (seed, net, strategy, lr)
        for seed in (0, 1)
        for strategy in ("all", "early")
        for net in ("resnet18", "vgg11")
        for lr in (1.0, 2.0)
    ]
    configs = [
        make_config({"model": net, "freeze": strategy}, seed=seed, optim={"lr_scale": lr})
        for seed, net, strategy, lr in jobs
    ]
    ordered = [jobs[job] for job in reuse_order(configs)]
    assert [job[1:3] for job in ordered[::4]] == [
        ("resnet18", "all"),
        ("resnet18", "early"),
        ("vgg11", "all"),
        ("vgg11", "early"),
    ]
    assert [job[0::3] for job in ordered[:4]] == [(0, 1.0), (0, 2.0), (1, 1.0), (1, 2.0)]  # as asked for


# --- commands


def test_the_store_is_listed_verified_and_pruned(
    configured: MakeConfig, command: Callable[..., Answer], tmp_path: Path
) -> None:
    where = f"cache.dir={tmp_path / 'rows'}"
    assert "nothing is kept here" in command(cache.main, "list", where).out.replace("\n", "")
    numbers_of(configured("resnet_small", "all", augment={"views": 2}))
    listed = command(cache.main, "list", where).out
    assert listed.count("decoded images") == 1
    assert listed.count("4 stages") == 2
    assert (listed.count("clean"), listed.count("augmented")) == (1, 1)
    assert command(cache.main, "verify", where).out.startswith("3 entries in ")
    next((tmp_path / "rows").glob("*/*.rows")).write_bytes(b"short")
    damaged = command(cache.main, "verify", where)
    assert damaged.code == 1
    assert damaged.err.startswith("error: damaged; what is in them is computed again when it is needed:")
    assert command(cache.main, "prune", where, "cache.max_gb=0").out.startswith("3 entries removed, ")
    assert "nothing is kept here" in command(cache.main, "list", where).out.replace("\n", "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "list|prune|verify"),
        (["lits"], "did you mean 'list'?"),
        (["prune", "cache.max_gb=much"], "cache.max_gb=much: a number is needed"),
    ],
    ids=["none", "near", "no number"],
)
def test_slips_are_answered(command: Callable[..., Answer], words: list[str], message: str) -> None:
    answer = command(cache.main, *words)
    assert answer.code == 1
    assert message in answer.err


def test_embeddings_are_the_features_that_a_head_reads(
    command: Callable[..., Answer], image_root: Path, tmp_path: Path
) -> None:
    words = [
        "model=resnet_small",
        "model.weights=letters",
        "data.image_size=32",
        f"cache.dir={tmp_path / 'rows'}",
        f"weights.dir={tmp_path / 'weights'}",
    ]
    first = command(features.main, *words, f"out={tmp_path / 'a.npy'}", str(image_root))
    assert first.out == f"36 images x 64 features in {tmp_path / 'a.npy'}; 36 computed, the rest were there\n"
    values_ND, names = np.load(tmp_path / "a.npy"), pd.read_csv(tmp_path / "a.csv")
    assert values_ND.shape == (36, 64)
    assert values_ND.dtype == np.float32
    assert set(names["label"]) == {"red", "green", "blue"}
    one = names["file"][7]
    second = command(features.main, *words, f"out={tmp_path / 'b.parquet'}", one)
    assert "; 0 computed, the rest were there" in second.out
    row = pd.read_parquet(tmp_path / "b.parquet").iloc[0]
    assert row["file"] == one
    assert row["label"] == names["label"][7]
    np.testing.assert_array_equal(row.filter(regex=r"^f\d+$").to_numpy(np.float32), values_ND[7])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model=resnet18"], "which backbone, which images?"),
        (["model=resnet81", "."], "did you mean 'resnet18'?"),
        (["model=resnet18", "out=a.csv", "."], "out=a.csv: its name must end in .npy or .parquet"),
        (["model=vit_b_16", "data.image_size=50", "."], "data.image_size=50: vit_b_16 needs a multiple of 16 px"),
    ],
    ids=["no images", "near", "format", "size"],
)
def test_slips_of_the_features_command(
    command: Callable[..., Answer], image_root: Path, words: list[str], message: str
) -> None:
    answer = command(features.main, *[str(image_root) if word == "." else word for word in words])
    assert answer.code == 1
    assert message in answer.err
