"""torchvision's networks: every option in conf/model, and one network of each other family."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
import torchvision
from backbone_source_contract import CLASSES, DRAWS, BackboneSourceContract, rebuilt
from configs import ROOT
from omegaconf import OmegaConf
from torch import Tensor, nn

from tl_sweep.config.schema import ModelConfig
from tl_sweep.models.build import build_model
from tl_sweep.models.catalog import architecture
from tl_sweep.models.sources.torchvision import TORCHVISION
from tl_sweep.models.sources.torchvision_tables import FAMILIES
from tl_sweep.models.stages import StagedModel

OPTIONS = [OmegaConf.select(OmegaConf.load(path), "name") for path in sorted((ROOT / "conf" / "model").glob("*.yaml"))]
OTHERS = [
    "alexnet", "densenet121", "efficientnet_v2_s", "mnasnet0_5", "mobilenet_v3_large", "regnet_x_400mf",
    "resnext50_32x4d", "shufflenet_v2_x0_5", "squeezenet1_0", "swin_v2_t",
]  # fmt: skip
NAMES = [*(name for name in OPTIONS if name in TORCHVISION.names()), *OTHERS]
ROWS = {name: TORCHVISION.architecture(name) for name in TORCHVISION.names()}
POOLED = {row.family: name for name, row in ROWS.items() if row.hidden}
IMAGE_PX = BackboneSourceContract.image_px


@pytest.fixture(scope="module", autouse=True)
def large_tensors_are_drawn_quickly() -> Iterator[None]:
    """VGG's linear layers take seconds to draw; a repeated short pattern serves these tests as well."""
    pattern = torch.randn(99_991) * 0.01

    def quick(draw: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def fill(tensor: Tensor, *args: object, **kwargs: object) -> Tensor:
            if tensor.numel() < 2_000_000:
                return draw(tensor, *args, **kwargs)
            with torch.no_grad():
                return tensor.view(-1).copy_(pattern.repeat(tensor.numel() // len(pattern) + 1)[: tensor.numel()])

        return fill

    with pytest.MonkeyPatch.context() as patch:
        for name in DRAWS:
            patch.setattr(nn.init, name, quick(getattr(nn.init, name)))
        yield


class TestTorchvision(BackboneSourceContract):
    source = TORCHVISION
    on_the_cpu = ("regnet",)

    @pytest.fixture(scope="class", params=NAMES)
    def config(self, request: pytest.FixtureRequest) -> ModelConfig:
        return ModelConfig(name=request.param)

    def test_there_are_four_to_eight_stages(self, original: StagedModel) -> None:
        assert 4 <= original.num_stages <= 8

    def test_a_network_that_somebody_else_built_is_recognised(self, original: StagedModel) -> None:
        assert TORCHVISION.recognise(original.module) is not None


def test_every_family_is_tested() -> None:
    assert {architecture(name).family for name in NAMES} == set(FAMILIES)


@pytest.fixture
def images_BCHW() -> Tensor:
    return torch.randn(2, 3, IMAGE_PX, IMAGE_PX, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", POOLED.values(), ids=POOLED.keys())
@torch.no_grad()
def test_the_recipe_rebuilds_a_network_without_hidden_layers(
    name: str, images_BCHW: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = ModelConfig(name=name, dropout=0.5)
    model = build_model(config, CLASSES, IMAGE_PX, weights=None, head_seed=0, pooled=True)
    model.module.eval()
    assert torch.equal(rebuilt(model, monkeypatch)(images_BCHW), model.module(images_BCHW))


@pytest.mark.parametrize(
    ("name", "feature_dim"), [("alexnet", 256), ("vgg11", 512), ("mobilenet_v3_small", 576), ("resnet18", 512)]
)
@torch.no_grad()
def test_pooled_models_have_no_hidden_linear_layer(name: str, feature_dim: int, images_BCHW: Tensor) -> None:
    model = build_model(ModelConfig(name=name), CLASSES, IMAGE_PX, weights=None, head_seed=0, pooled=True)
    model.module.eval()
    assert model.run(images_BCHW).shape == (2, feature_dim)
    assert torch.equal(model(images_BCHW), model.module(images_BCHW))
    assert [m for m in model.module.modules() if isinstance(m, nn.Linear)] == [
        model.module.get_submodule(model.head_name)
    ]


def registry_row(name: str) -> dict:
    weights = torchvision.models.get_model_weights(name)
    transforms = weights.DEFAULT.transforms()
    return {
        "weights": {member.name: member.url for member in weights},
        "default": weights.DEFAULT.name,
        "mean": tuple(transforms.mean),
        "std": tuple(transforms.std),
        "interpolation": transforms.interpolation.value,
    }


def test_the_table_is_torchvisions_registry() -> None:
    assert set(ROWS) == set(torchvision.models.list_models(module=torchvision.models))
    table = {name: {key: getattr(row, key) for key in registry_row(name)} for name, row in ROWS.items()}
    assert table == {name: registry_row(name) for name in ROWS}


def test_heads_with_hidden_layers_are_known() -> None:
    hidden = {name for name, row in ROWS.items() if row.hidden}
    vgg = {f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")}
    assert hidden == vgg | {"alexnet", "mobilenet_v3_small", "mobilenet_v3_large"}


def test_the_families_are_torchvisions_files() -> None:
    named = {name: row.family for name, row in ROWS.items() if row.family is not None}
    files = {name: torchvision.models.get_model_builder(name).__module__.rpartition(".")[2] for name in named}
    assert named == files
    assert set(named.values()) == set(FAMILIES)


@pytest.mark.parametrize("name", ["alexnet", "vgg11", "squeezenet1_1", "densenet121", "convnext_tiny"])
def test_the_smallest_image_in_the_table_is_the_smallest_that_runs(name: str) -> None:
    with torch.device("meta"):
        module = torchvision.models.get_model(name).eval()
    smallest_px = architecture(name).min_px
    assert module(torch.empty(1, 3, smallest_px, smallest_px, device="meta")).shape == (1, 1000)
    with pytest.raises(RuntimeError):
        module(torch.empty(1, 3, smallest_px - 1, smallest_px - 1, device="meta"))
