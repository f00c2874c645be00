"""What a run keeps of its model, and that it comes back bit for bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from configs import assembled, config_in
from safetensors.torch import load_file, save_file

from tl_sweep.base.errors import UserError
from tl_sweep.config.schema import Config
from tl_sweep.models.build import build_model
from tl_sweep.run.assemble import Run
from tl_sweep.training.checkpoint import read_checkpoint, restore, save_checkpoint
from tl_sweep.training.loop import fit

MakeConfig = Callable[..., Config]
STRATEGIES = ["none", "early", "all", "scratch", "lp_ft", "gradual", "bn_only", "depth"]


@pytest.fixture(scope="session")
def weights_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state dict of our small net, as somebody else's training could have left it."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(7)
    model = build_model(config_in(folder, None).model, 10, 32, weights=None, head_seed=0)
    for name, buffer in model.module.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(std=0.1)
    save_file(model.module.state_dict(), folder / "source.safetensors")
    return folder / "source.safetensors"


def finished(config: Config, folder: Path) -> Run:
    """A trained run whose checkpoint lies in ``folder``."""
    run = assembled(config)
    for _ in fit(run.state, run.setup):
        pass
    save_checkpoint(folder, config, run.images.class_names, run.weights, run.state.model, run.setup)
    return run


def of_strategy(strategy: str, make_config: MakeConfig, weights: Path | None) -> Config:
    options = {"freeze": strategy, "augment": "none"}
    values = {"frozen_stages": 2} if strategy == "depth" else {}
    model = {"weights": None if weights is None else str(weights)}
    return make_config(options, model=model, freeze=values, epochs=5, data={"shots": 2})


def logits_of(module: torch.nn.Module) -> torch.Tensor:
    images_BCHW = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return module.eval()(images_BCHW)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_restored_model_gives_the_same_logits(
    make_config: MakeConfig, tmp_path: Path, weights_path: Path, strategy: str
) -> None:
    run = finished(of_strategy(strategy, make_config, weights_path), tmp_path)
    restored = restore(read_checkpoint(tmp_path)).module
    mine, theirs = run.state.model.module.state_dict(), restored.state_dict()
    assert mine.keys() == theirs.keys()
    assert [name for name in mine if not torch.equal(mine[name], theirs[name])] == []
    assert torch.equal(logits_of(run.state.model.module.to(memory_format=torch.contiguous_format)), logits_of(restored))
    assert not restored.training


def stored_stages(folder: Path) -> set[str]:
    """First parts of the dotted names of the tensors that the checkpoint holds."""
    return {name.split(".")[0] for name in load_file(folder / "checkpoint.safetensors")}


@pytest.mark.parametrize(
    ("strategy", "stages"),
    [
        ("none", {"conv1", "bn1", "layer1", "layer2", "layer3", "fc"}),
        ("early", {"layer2", "layer3", "fc"}),
        ("depth", {"layer2", "layer3", "fc"}),
        ("all", {"fc"}),
    ],
)
def test_only_what_moved_is_stored(
    make_config: MakeConfig, tmp_path: Path, weights_path: Path, strategy: str, stages: set[str]
) -> None:
    finished(of_strategy(strategy, make_config, weights_path), tmp_path)
    assert stored_stages(tmp_path) == stages


def test_norm_layers_alone_are_stored_when_they_alone_learn(
    make_config: MakeConfig, tmp_path: Path, weights_path: Path
) -> None:
    run = finished(of_strategy("bn_only", make_config, weights_path), tmp_path)
    norms = {
        name for name, tensor in run.state.model.module.state_dict().items() if tensor.ndim < 2 and "fc" not in name
    }
    assert load_file(tmp_path / "checkpoint.safetensors").keys() == norms | {"fc.weight", "fc.bias"}


def test_a_frozen_backbone_costs_a_hundredth_of_a_whole_checkpoint(
    make_config: MakeConfig, tmp_path: Path, weights_path: Path
) -> None:
    sizes = {}
    for strategy in ("none", "all"):
        (tmp_path / strategy).mkdir()
        finished(of_strategy(strategy, make_config, weights_path), tmp_path / strategy)
        sizes[strategy] = (tmp_path / strategy / "checkpoint.safetensors").stat().st_size
    assert sizes["all"] <= 0.01 * sizes["none"]


def test_random_features_belong_to_the_checkpoint(make_config: MakeConfig, tmp_path: Path) -> None:
    run = finished(of_strategy("all", make_config, None), tmp_path)
    assert load_file(tmp_path / "checkpoint.safetensors").keys() == run.state.model.module.state_dict().keys()
    assert read_checkpoint(tmp_path).source is None


def test_a_baseline_needs_no_source_though_weights_are_configured(
    make_config: MakeConfig, tmp_path: Path, weights_path: Path
) -> None:
    finished(of_strategy("scratch", make_config, weights_path), tmp_path)
    assert read_checkpoint(tmp_path).source is None


def test_the_description_says_what_the_tensors_need(
    make_config: MakeConfig, tmp_path: Path, weights_path: Path
) -> None:
    config = of_strategy("all", make_config, weights_path)
    config.model.preprocessing.mean = [0.5, 0.4, 0.3]
    run = finished(config, tmp_path)
    checkpoint = read_checkpoint(tmp_path)
    assert checkpoint.class_names == tuple("0123456789")
    assert checkpoint.model == config.model
    assert checkpoint.preprocessing == run.test.preprocessing
    assert checkpoint.preprocessing.mean == (0.5, 0.4, 0.3)
    assert checkpoint.source == run.weights
    assert json.loads((tmp_path / "checkpoint.json").read_text())["format"] == 1


# --- the weights that a run started from


@pytest.fixture
def own_weights(weights_path: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    own = tmp_path / "own.safetensors"
    own.write_bytes(weights_path.read_bytes())
    return own


def test_weights_that_are_gone(make_config: MakeConfig, tmp_path: Path, own_weights: Path) -> None:
    run = finished(of_strategy("all", make_config, own_weights), tmp_path)
    own_weights.unlink()
    assert run.weights is not None
    with pytest.raises(UserError) as caught:
        read_checkpoint(tmp_path)
    gone = f"{own_weights}: the weights that this run started from are gone (sha256 {run.weights.sha256})"
    assert str(caught.value) == gone


def test_weights_that_are_others_now(make_config: MakeConfig, tmp_path: Path, own_weights: Path) -> None:
    finished(of_strategy("all", make_config, own_weights), tmp_path)
    own_weights.write_bytes(b"something else")
    with pytest.raises(UserError, match=f"{own_weights}: its SHA-256 begins with"):
        read_checkpoint(tmp_path)
