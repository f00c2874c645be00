"""A backbone source from outside the package: it keeps to the contract, and a run goes through it from end to end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from backbone_source_contract import BackboneSourceContract
from commands import Recorded, record
from configs import config_in
from toy_backbone_source import ToySource
from toy_network import ToyNetwork

import tl_sweep
from tl_sweep.config.schema import Config, ModelConfig
from tl_sweep.export import export
from tl_sweep.models.catalog import model_problems
from tl_sweep.models.sources.contract import BACKBONE_SOURCES
from tl_sweep.run.key import key_of
from tl_sweep.run.which import Places
from tl_sweep.tracking.store import runs_named

TOY = ToySource()


@pytest.fixture(scope="module", autouse=True)
def registered() -> Iterator[None]:
    BACKBONE_SOURCES.register("toy", TOY)
    yield
    BACKBONE_SOURCES.unregister("toy")


class TestToySource(BackboneSourceContract):
    source = TOY
    image_px = 32

    @pytest.fixture(scope="class")
    def config(self) -> ModelConfig:
        return ModelConfig(name="toy")


def toy_config(folder: Path, uri: str | None) -> Config:
    """``freeze=early``: the first stage is frozen and its outputs are kept, the second learns."""
    options = {"model": "torchvision", "freeze": "early", "augment": "none"}
    return config_in(folder, uri, options, model={"name": "toy"}, cache={"enabled": "True"})


@pytest.fixture(scope="module")
def toy_run(tmp_path_factory: pytest.TempPathFactory, store_uri: str) -> Recorded:
    folder = tmp_path_factory.mktemp("toy run")
    config = toy_config(folder, store_uri)
    return record(config, folder / "runs" / key_of(config))


def test_the_key_is_that_of_this_network(tmp_path: Path) -> None:
    toy = toy_config(tmp_path, None)
    assert key_of(toy) == key_of(toy_config(tmp_path / "elsewhere", None))
    assert key_of(toy) != key_of(replace(toy, model=replace(toy.model, name="resnet18")))


def test_a_finished_run_is_loaded_and_exported(toy_run: Recorded, tmp_path: Path) -> None:
    module, class_names = tl_sweep.load_run(toy_run.run_id, toy_run.uri)
    assert isinstance(module, ToyNetwork)
    code = export(toy_run.run_id, Places.of(toy_run.config), tmp_path)
    assert code.splitlines()[:4] == [
        "import torch, toy_network",
        "from torch import nn",
        "model = toy_network.ToyNetwork()",
        "model.head = nn.Linear(16, 10)",
    ]
    scope: dict[str, torch.nn.Module] = {}
    exec(code, scope)
    images_BCHW = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        logits_BK = module(images_BCHW)
        assert logits_BK.shape == (2, len(class_names))
        assert torch.equal(scope["model"].eval()(images_BCHW), logits_BK)


def test_the_frozen_stage_stands_still_and_the_other_learns(toy_run: Recorded) -> None:
    module, _ = tl_sweep.load_run(toy_run.run_id, toy_run.uri)
    torch.manual_seed(toy_run.config.seed)
    fresh = ToyNetwork().state_dict()
    moved = [name for name, tensor in module.state_dict().items() if not torch.equal(tensor, fresh[name])]
    assert moved == ["body.2.weight", "body.2.bias", "head.weight", "head.bias"]


def test_a_run_records_its_stages_and_the_versions_of_its_packages(toy_run: Recorded) -> None:
    tags = runs_named(toy_run.uri, "tl_sweep", toy_run.run_id)[0].tags
    assert json.loads(tags["parameters_per_stage"]).keys() == {"stage1", "stage2", "head"}
    assert tags["backbone"] == "toy"
    versions = {name for name in tags if name.startswith("version.")}
    assert {"version.tl-sweep", "version.torch"} <= versions
    assert "version.torchvision" not in versions


def test_kept_features_are_known_by_its_packages(toy_run: Recorded) -> None:
    entries = [json.loads(path.read_text()) for path in Path(toy_run.config.cache.dir).glob("*/entry.json")]
    descriptions = [entry["description"] for entry in entries]
    (features,) = [description for description in descriptions if description["rows"] == "prefix features"]
    assert features["network"] == "toy_network.ToyNetwork()"
    assert features["versions"].keys() == {"torch", "pillow"}


def test_our_own_networks_keys_are_not_its(tmp_path: Path) -> None:
    assert model_problems(ModelConfig(name="toy", depth=20), 32) == [
        "model.depth=20: only our own network has it (model=residual), not toy"
    ]


def test_it_is_named_where_no_source_has_a_model() -> None:
    (problem,) = model_problems(ModelConfig(name="toi"), 32)
    assert problem == (
        "model.name=toi: neither torchvision, we (resnet_small, residual) nor the toy have it. did you mean 'toy'?"
    )
