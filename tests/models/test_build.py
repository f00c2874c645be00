"""New heads on networks, and what of a weight file is loaded into one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision
from configs import ASSETS
from torch import Tensor, nn
from weight_files import SMALL, problems_of, saved, small_state

from tl_sweep.base.errors import UserError
from tl_sweep.config.schema import ModelConfig
from tl_sweep.models.build import build_model, staged
from tl_sweep.models.stages import StagedModel
from tl_sweep.models.weights.files import verified


def build(config: ModelConfig, path: Path, *, image_px: int = 32, pooled: bool = False) -> StagedModel:
    model = build_model(config, 6, image_px, weights=verified(path), head_seed=0, pooled=pooled)
    model.load()
    return model


def test_dropout_is_applied_once_and_only_in_training() -> None:
    torch.manual_seed(0)
    config = ModelConfig(name="mobilenet_v2", dropout=0.5)
    model = build_model(config, 6, 64, weights=None, head_seed=0)
    head = model.module.get_submodule(model.head_name)
    nn.init.constant_(head.get_parameter("weight"), 1.0)
    kept_BK = head.train()(torch.ones(200, model.feature_dim)) / 2  # what dropout keeps, it doubles
    assert kept_BK.mean().item() / model.feature_dim == pytest.approx(0.5, abs=0.01)
    assert torch.equal(head.eval()(torch.ones(1, model.feature_dim)), torch.full((1, 6), float(model.feature_dim)))
    assert [m for m in model.module.modules() if isinstance(m, nn.Dropout)] == []


def head_weights(torch_seed: int, head_seed: int) -> Tensor:
    torch.manual_seed(torch_seed)
    model = build_model(ModelConfig(name="resnet_small"), 6, 32, weights=None, head_seed=head_seed)
    return model.module.get_parameter("fc.weight")


def test_the_head_depends_on_its_own_seed_alone() -> None:
    assert torch.equal(head_weights(torch_seed=0, head_seed=3), head_weights(torch_seed=1, head_seed=3))
    assert not torch.equal(head_weights(torch_seed=0, head_seed=3), head_weights(torch_seed=0, head_seed=4))


def test_a_network_of_ones_own_has_no_table() -> None:
    with pytest.raises(UserError, match="Linear: no stage table for this network"):
        staged(nn.Linear(2, 2))


def test_everything_but_the_head_is_loaded_strictly(tmp_path: Path) -> None:
    state = small_state(seed=5)
    model = build(SMALL, saved(tmp_path, state)).module.state_dict()
    assert all(torch.equal(model[name], state[name]) for name in state if not name.startswith("fc."))
    assert model["fc.weight"].shape == (6, 64)


@pytest.mark.parametrize(
    ("damage", "mismatch"),
    [
        (lambda state: state.pop("layer1.0.conv1.weight"), "layer1.0.conv1.weight is missing"),
        (lambda state: state.update({"layer9.weight": torch.zeros(1)}), "layer9.weight is not in the model"),
        (
            lambda state: state.update({"bn1.bias": torch.zeros(32)}),
            "bn1.bias has shape (32,), the model's has (16,)",
        ),
    ],
    ids=["missing", "unexpected", "shape"],
)
def test_the_first_mismatch_is_named(
    damage: Callable[[dict[str, Tensor]], object], mismatch: str, tmp_path: Path
) -> None:
    state = small_state()
    damage(state)
    path = saved(tmp_path, state)
    assert problems_of(build, SMALL, path) == [f"{path}: weights of another network: {mismatch}"]


def test_a_file_of_another_architecture_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, small_state())
    (problem,) = problems_of(build, ModelConfig(name="resnet18"), path, image_px=64)
    assert problem == f"{path}: weights of another network: conv1.weight has shape (16, 3, 3, 3), the model's has " + (
        "(64, 3, 7, 7)"
    )


def test_files_without_batch_counters_load(tmp_path: Path) -> None:
    state = {name: tensor for name, tensor in small_state().items() if not name.endswith("num_batches_tracked")}
    assert build(SMALL, saved(tmp_path, state)).module.get_buffer("bn1.num_batches_tracked") == 0


@pytest.mark.parametrize("name", ["squeezenet1_1", "mobilenet_v2"])
def test_real_weights_load_and_a_renewed_model_loads_again(name: str, tmp_path: Path) -> None:
    path = ASSETS / "weights" / f"{name}-imagenet.pth"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    model = build(ModelConfig(name=name), path, image_px=64)
    again = build(ModelConfig(name=name), saved(tmp_path, model.module.state_dict()), image_px=64)
    names = [name for k in range(model.num_stages) for name in model.tensors_of(k)]
    assert names
    assert all(torch.equal(model.module.state_dict()[name], again.module.state_dict()[name]) for name in names)


def test_pooled_models_ignore_the_hidden_layers_of_a_file(tmp_path: Path) -> None:
    config = ModelConfig(name="mobilenet_v3_small")
    state = torchvision.models.mobilenet_v3_small().state_dict()
    model = build(config, saved(tmp_path, state), pooled=True)
    assert torch.equal(model.module.state_dict()["features.0.0.weight"], state["features.0.0.weight"])
    assert model.module.get_parameter("classifier.weight").shape == (6, 576)


def test_hidden_layers_must_match_where_they_are_kept(tmp_path: Path) -> None:
    state = torchvision.models.mobilenet_v3_small().state_dict()
    state["classifier.0.weight"] = torch.zeros(7, 576)
    (problem,) = problems_of(build, ModelConfig(name="mobilenet_v3_small"), saved(tmp_path, state))
    assert problem.endswith("classifier.0.weight has shape (7, 576), the model's has (1024, 576)")


def small_vit(image_size: int) -> nn.Module:
    return torchvision.models.VisionTransformer(image_size, 16, num_layers=4, num_heads=2, hidden_dim=8, mlp_dim=16)


@pytest.fixture
def tiny_vit_b_16(monkeypatch: pytest.MonkeyPatch) -> ModelConfig:
    """``vit_b_16`` at a ten-thousandth of its size."""
    monkeypatch.setattr(torchvision.models, "get_model", lambda name, weights, image_size: small_vit(image_size))
    return ModelConfig(name="vit_b_16")


def test_position_embeddings_are_interpolated_to_the_input_size(tiny_vit_b_16: ModelConfig, tmp_path: Path) -> None:
    state = small_vit(64).state_dict()
    positions_HWD = torch.linspace(0, 3, 4)[:, None, None].expand(4, 4, 8)
    state["encoder.pos_embedding"][0, 1:] = positions_HWD.reshape(16, 8)
    model = build(tiny_vit_b_16, saved(tmp_path, state), image_px=112)
    loaded_SD = model.module.get_parameter("encoder.pos_embedding")[0]
    assert torch.equal(loaded_SD[0], state["encoder.pos_embedding"][0, 0])
    rows_H = loaded_SD[1:].reshape(7, 7, 8)[:, 0, 0]
    assert rows_H[[0, 3, 6]].tolist() == pytest.approx([0, 1.5, 3], abs=1e-5)
    assert model(torch.zeros(1, 3, 112, 112)).shape == (1, 6)


def test_vision_transformer_files_of_the_same_size_load_bit_for_bit(tiny_vit_b_16: ModelConfig, tmp_path: Path) -> None:
    state = small_vit(64).state_dict()
    loaded = build(tiny_vit_b_16, saved(tmp_path, state), image_px=64).module.state_dict()
    assert all(torch.equal(loaded[name], state[name]) for name in state if not name.startswith("heads."))


def test_names_of_older_vision_transformer_files_are_understood(tiny_vit_b_16: ModelConfig, tmp_path: Path) -> None:
    state = small_vit(64).state_dict()
    old = {
        name.replace(".mlp.0.", ".mlp.linear_1.").replace(".mlp.3.", ".mlp.linear_2."): tensor
        for name, tensor in state.items()
    }
    loaded = build(tiny_vit_b_16, saved(tmp_path, old), image_px=64).module.state_dict()
    name = "encoder.layers.encoder_layer_1.mlp.3.weight"
    assert old.keys() != state.keys()
    assert torch.equal(loaded[name], state[name])


def test_names_of_older_densenet_files_are_understood(tmp_path: Path) -> None:
    state = torchvision.models.densenet121().state_dict()
    old = {name.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): tensor for name, tensor in state.items()}
    loaded = build(ModelConfig(name="densenet121"), saved(tmp_path, old), image_px=64).module.state_dict()
    name = "features.denseblock1.denselayer2.conv2.weight"
    assert name not in old
    assert torch.equal(loaded[name], state[name])
