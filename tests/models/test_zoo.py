"""The contract of staged models, over every option in conf/model and one network of each other family."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torchvision
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.nn import functional as F

import tl_sweep.models.residual
from tl_sweep.base.errors import UserError
from tl_sweep.config.schema import ModelConfig, PreprocessingConfig
from tl_sweep.models import build
from tl_sweep.models.build import build_model, original_model, staged
from tl_sweep.models.catalog import (
    architecture,
    architecture_label,
    architectures,
    default_preprocessing,
    families,
    model_problems,
)
from tl_sweep.models.stages import StagedModel, within
from tl_sweep.models.tables import FAMILIES
from tl_sweep.models.weights.files import WeightsFile

OPTIONS = {
    path.stem: {key: value for key, value in OmegaConf.to_container(OmegaConf.load(path)).items() if value != "???"}
    for path in sorted((Path(__file__).parents[2] / "conf" / "model").glob("*.yaml"))
}
CONFIGS = {option: values | {"weights": None} for option, values in OPTIONS.items() if "name" in values}
OTHERS = (
    "alexnet", "densenet121", "efficientnet_v2_s", "mnasnet0_5", "mobilenet_v3_large", "regnet_x_400mf",
    "resnext50_32x4d", "shufflenet_v2_x0_5", "squeezenet1_0", "swin_v2_t",
)  # fmt: skip
CONFIGS |= {name: {"name": name} for name in OTHERS}
ONE_PER_FAMILY = {architecture(values["name"]).family: option for option, values in CONFIGS.items()}
IMAGE_PX, CLASSES = 64, 6
DRAWS = ("normal_", "uniform_", "kaiming_normal_", "kaiming_uniform_", "trunc_normal_")


@pytest.fixture(scope="module", autouse=True)
def large_tensors_are_drawn_quickly() -> Iterator[None]:
    """VGG's linear layers take seconds to draw; a repeated short pattern serves these tests as well."""
    pattern = torch.randn(99_991) * 0.01

    def quick(draw):
        def fill(tensor: Tensor, *args, **kwargs) -> Tensor:
            if tensor.numel() < 2_000_000:
                return draw(tensor, *args, **kwargs)
            with torch.no_grad():
                return tensor.view(-1).copy_(pattern.repeat(tensor.numel() // len(pattern) + 1)[: tensor.numel()])

        return fill

    with pytest.MonkeyPatch.context() as patch:
        for name in DRAWS:
            patch.setattr(nn.init, name, quick(getattr(nn.init, name)))
        yield


@pytest.fixture(scope="module", params=CONFIGS)
def config(request: pytest.FixtureRequest) -> ModelConfig:
    return ModelConfig(**CONFIGS[request.param])


@pytest.fixture(scope="module")
def original(config: ModelConfig) -> StagedModel:
    """With the authors' head; a vision transformer's starts at zero and would make every comparison true."""
    torch.manual_seed(0)
    model = original_model(config, IMAGE_PX)
    for parameter in model.head_parameters().values():
        nn.init.normal_(parameter, std=0.1)
    model.module.eval()
    return model


@pytest.fixture(scope="module")
def renewed(config: ModelConfig) -> StagedModel:
    torch.manual_seed(0)
    model = build_model(config, CLASSES, IMAGE_PX, weights=None, head_seed=0)
    model.module.eval()
    return model


@pytest.fixture(scope="module")
def images_BCHW() -> Tensor:
    return torch.randn(2, 3, IMAGE_PX, IMAGE_PX, generator=torch.Generator().manual_seed(1))


def owners(model: StagedModel, name: str) -> int:
    owned = [stage.owned for stage in model.stages] + [(model.head_name,)]
    return sum(within(name, names) for names in owned)


def tensor_names(model: StagedModel) -> list[str]:
    return [name for name, _ in [*model.module.named_parameters(), *model.module.named_buffers()]]


@torch.no_grad()
def test_logits_are_those_of_the_modules_own_forward(original, images_BCHW):
    logits_BK = original(images_BCHW)
    assert logits_BK.shape == (2, 1000)
    assert logits_BK.std() > 0
    assert torch.equal(logits_BK, original.module(images_BCHW))


@torch.no_grad()
def test_any_stage_continues_where_the_one_before_stopped(original, images_BCHW):
    features_BD = original.run(images_BCHW)
    z = images_BCHW
    for k in range(original.num_stages):
        before = z.clone()
        assert torch.equal(original.run(z, k), features_BD)
        assert torch.equal(z, before), f"stage {k} writes into its input"
        z = original.run(z, k, k + 1)
    assert torch.equal(z, features_BD)


def test_every_tensor_has_exactly_one_owner(original, renewed):
    for model in (original, renewed):
        assert {name: owners(model, name) for name in tensor_names(model)} == dict.fromkeys(tensor_names(model), 1)


def test_tensors_of_the_stages_and_the_head_are_all_there_are(renewed):
    collected = [name for k in range(renewed.num_stages + 1) for name in renewed.tensors_of(k)]
    assert sorted(collected) == sorted(tensor_names(renewed))
    assert set(renewed.head_parameters()) == {f"{renewed.head_name}.weight", f"{renewed.head_name}.bias"}


def test_there_are_four_to_eight_stages_with_parameters_and_distinct_names(original):
    assert 4 <= original.num_stages <= 8
    assert len({stage.name for stage in original.stages}) == original.num_stages
    assert all(original.stage_parameters(k) for k in range(original.num_stages))


@torch.no_grad()
def test_stages_in_eval_mode_leave_nothing_random(renewed, images_BCHW):
    expected = renewed.module(images_BCHW)
    renewed.module.train()
    for k in range(renewed.num_stages):
        for module in renewed.stage_modules(k):
            module.eval()
    logits_BK = renewed.module(images_BCHW)
    renewed.module.eval()
    assert torch.equal(logits_BK, expected)


@torch.no_grad()
def test_the_module_itself_uses_the_new_head(renewed, images_BCHW):
    logits_BK = renewed(images_BCHW)
    assert logits_BK.shape == (2, CLASSES)
    assert torch.equal(renewed.module(images_BCHW), logits_BK)


@torch.no_grad()
def test_features_are_pooled_and_logits_linear_in_them(renewed, images_BCHW):
    features_BD = renewed.run(images_BCHW)
    assert features_BD.shape == (2, renewed.feature_dim)
    weight_KD, bias_K = (renewed.head_parameters()[f"{renewed.head_name}.{name}"] for name in ("weight", "bias"))
    assert torch.equal(renewed.head(features_BD), F.linear(features_BD, weight_KD, bias_K))
    assert (renewed.head(-1000 * torch.sign(weight_KD)) < 0).any()


def test_a_backward_pass_reaches_every_parameter(renewed, images_BCHW):
    renewed.module.zero_grad()
    F.cross_entropy(renewed(images_BCHW), torch.tensor([0, 5])).backward()
    untouched = [name for name, parameter in renewed.module.named_parameters() if parameter.grad is None]
    renewed.module.zero_grad()
    assert untouched == []


@pytest.mark.parametrize("option", ONE_PER_FAMILY.values(), ids=ONE_PER_FAMILY.keys())
@pytest.mark.parametrize("pooled", [False, True], ids=["hidden", "pooled"])
def test_the_recipe_rebuilds_the_model_in_plain_pytorch(option, pooled, images_BCHW, monkeypatch):
    config = ModelConfig(**CONFIGS[option], dropout=0.5)
    if pooled and FAMILIES[architecture(config.name).family].pooled is None:
        pytest.skip("no hidden linear layers to leave out")
    model = build_model(config, CLASSES, IMAGE_PX, weights=None, head_seed=0, pooled=pooled)
    for name in DRAWS:  # every tensor is loaded below
        monkeypatch.setattr(nn.init, name, lambda tensor, *args, **kwargs: tensor)
    scope = {"torchvision": torchvision, "tl_sweep": tl_sweep, "nn": nn}
    scope["model"] = eval(model.recipe.constructor, scope)
    exec(model.head_recipe(CLASSES), scope)
    scope["model"].load_state_dict(model.module.state_dict(), strict=True)
    with torch.no_grad():
        assert torch.equal(scope["model"].eval()(images_BCHW), model.module.eval()(images_BCHW))


@pytest.mark.parametrize(
    ("name", "feature_dim"), [("alexnet", 256), ("vgg11", 512), ("mobilenet_v3_small", 576), ("resnet18", 512)]
)
@torch.no_grad()
def test_pooled_models_have_no_hidden_linear_layer(name, feature_dim, images_BCHW):
    model = build_model(ModelConfig(name=name), CLASSES, IMAGE_PX, weights=None, head_seed=0, pooled=True)
    model.module.eval()
    assert model.run(images_BCHW).shape == (2, feature_dim)
    assert torch.equal(model(images_BCHW), model.module(images_BCHW))
    assert [m for m in model.module.modules() if isinstance(m, nn.Linear)] == [
        model.module.get_submodule(model.head_name)
    ]


def test_dropout_is_applied_once_and_only_in_training():
    torch.manual_seed(0)
    config = ModelConfig(name="mobilenet_v2", dropout=0.5)
    model = build_model(config, CLASSES, IMAGE_PX, weights=None, head_seed=0)
    head = model.module.get_submodule(model.head_name)
    nn.init.constant_(head.weight, 1.0)
    kept_BK = head.train()(torch.ones(200, model.feature_dim)) / 2  # what dropout keeps, it doubles
    assert kept_BK.mean().item() / model.feature_dim == pytest.approx(0.5, abs=0.01)
    assert torch.equal(
        head.eval()(torch.ones(1, model.feature_dim)), torch.full((1, CLASSES), float(model.feature_dim))
    )
    assert [m for m in model.module.modules() if isinstance(m, nn.Dropout)] == []


@pytest.mark.parametrize("option", ONE_PER_FAMILY.values(), ids=ONE_PER_FAMILY.keys())
def test_every_family_can_be_inspected_without_memory(option):
    with torch.device("meta"):
        model = build_model(ModelConfig(**CONFIGS[option]), CLASSES, IMAGE_PX, weights=None, head_seed=0)
    assert model.head_parameters()[f"{model.head_name}.weight"].is_meta
    assert model.num_stages >= 4


def head_weights(torch_seed: int, head_seed: int) -> Tensor:
    torch.manual_seed(torch_seed)
    model = build_model(ModelConfig(name="resnet_small"), CLASSES, 32, weights=None, head_seed=head_seed)
    return model.module.get_parameter("fc.weight")


def test_the_head_depends_on_its_own_seed_alone():
    assert torch.equal(head_weights(torch_seed=0, head_seed=3), head_weights(torch_seed=1, head_seed=3))
    assert not torch.equal(head_weights(torch_seed=0, head_seed=3), head_weights(torch_seed=0, head_seed=4))


@pytest.mark.parametrize("name", ["googlenet", "inception_v3", "maxvit_t"])
def test_a_family_without_table_lists_those_with_one(name):
    with pytest.raises(UserError) as error:
        build_model(ModelConfig(name=name), CLASSES, 224, weights=None, head_seed=0)
    assert str(error.value) == (
        f"model.name={name}: no stage table for this family; there is one for {', '.join(sorted(FAMILIES))}"
    )


def test_a_network_of_ones_own_has_no_table():
    with pytest.raises(UserError, match="Linear: no stage table for this network"):
        staged(nn.Linear(2, 2))


@pytest.mark.parametrize(
    ("values", "image_px", "problem"),
    [
        ({"name": "resnet81"}, 64, "model.name=resnet81: neither torchvision nor we (resnet_small, residual) have it. "
         "did you mean 'resnet18'?"),
        ({"name": "alexnet"}, 62, "data.image_size=62: alexnet needs images of at least 63 px"),
        ({"name": "vit_b_16"}, 100, "data.image_size=100: vit_b_16 needs a multiple of 16 px, such as 96 or 112"),
        ({"name": "resnet18", "depth": 20}, 64, "model.depth=20: only our own network has it (model=residual), not "
         "resnet18"),
        ({"name": "resnet18", "residual": False}, 64, "model.residual=False: only our own network has it "
         "(model=residual), not resnet18"),
        ({"name": "resnet_small", "depth": 20}, 32, "model.depth=20: resnet_small has 14; another depth: "
         "model=residual"),
        ({"name": "residual", "depth": 21}, 32, "model.depth=21: allowed are 8, 14, 20, 32, 44, 56, 110 (for small "
         "images) and 18, 34, 50, 101, 152"),
    ],
    ids=["unknown", "too-small", "no-multiple", "depth", "plain", "small-depth", "odd-depth"],
)  # fmt: skip
def test_what_cannot_be_built_is_refused_with_the_reason(values, image_px, problem):
    assert model_problems(ModelConfig(**values), image_px) == [problem]


@pytest.mark.parametrize(
    ("values", "label"),
    [
        ({"name": "resnet18"}, "resnet18"),
        ({"name": "resnet_small"}, "resnet_small"),
        ({"name": "residual", "depth": 56}, "residual56"),
        ({"name": "residual", "depth": 56, "residual": False}, "plain56"),
        ({"name": "residual", "depth": 20, "norm": "group"}, "residual20-group"),
        ({"name": "residual", "depth": 20, "norm": "none", "residual": False}, "plain20-nonorm"),
        ({"name": "resnet_small", "norm": "group"}, "resnet_small-group"),
    ],
    ids=lambda value: value if isinstance(value, str) else "named",
)
def test_architectures_have_short_labels(values, label):
    assert architecture_label(ModelConfig(**values)) == label


def test_preprocessing_is_the_architectures_own_unless_overridden():
    own = default_preprocessing(ModelConfig(name="efficientnet_b0"), 96)
    assert (own.mean, own.interpolation, own.image_px) == ((0.485, 0.456, 0.406), "bicubic", 96)
    wish = PreprocessingConfig(mean=[0.5, 0.5, 0.5], interpolation="bilinear")
    other = default_preprocessing(ModelConfig(name="efficientnet_b0", preprocessing=wish), 96)
    assert (other.mean, other.std, other.interpolation) == ((0.5, 0.5, 0.5), own.std, "bilinear")


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


def test_the_table_is_torchvisions_registry():
    known = set(torchvision.models.list_models(module=torchvision.models)) & architectures().keys()
    table = {name: {key: getattr(architectures()[name], key) for key in registry_row(name)} for name in known}
    assert len(known) >= 80
    assert table == {name: registry_row(name) for name in known}


def test_heads_with_hidden_layers_are_known():
    hidden = {name for name, row in architectures().items() if row.hidden}
    vgg = {f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")}
    assert hidden == vgg | {"alexnet", "mobilenet_v3_small", "mobilenet_v3_large"}


def test_the_families_are_torchvisions_files():
    names = {name for name, row in architectures().items() if row.family not in (None, "residual")}
    files = {name: torchvision.models.get_model_builder(name).__module__.rpartition(".")[2] for name in names}
    assert {name: architectures()[name].family for name in names} == files
    assert set(families()) == set(FAMILIES)


@pytest.mark.parametrize("name", ["alexnet", "vgg11", "squeezenet1_1", "densenet121", "convnext_tiny"])
def test_the_smallest_image_in_the_table_is_the_smallest_that_runs(name):
    with torch.device("meta"):
        module = torchvision.models.get_model(name).eval()
    smallest_px = architecture(name).min_px
    assert module(torch.empty(1, 3, smallest_px, smallest_px, device="meta")).shape == (1, 1000)
    with pytest.raises(RuntimeError):
        module(torch.empty(1, 3, smallest_px - 1, smallest_px - 1, device="meta"))


def test_names_and_weights_are_known_without_importing_torch():
    code = "import sys, tl_sweep, tl_sweep.models.catalog, tl_sweep.models.weights.fetch; print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "False\n"


@torch.no_grad()
def test_stages_that_waited_for_their_weights_are_the_same(config, renewed, images_BCHW, monkeypatch):
    tensors = {name: t for k in range(renewed.num_stages) for name, t in renewed.tensors_in_module(k).items()}
    monkeypatch.setattr(build, "backbone_tensors", lambda model, weights, image_px: tensors)
    waiting = build_model(config, CLASSES, IMAGE_PX, weights=WeightsFile(Path("file"), ""), head_seed=0)
    waiting.load(1)
    assert all(p.is_meta for p in waiting.stage_parameters(0).values()) or renewed.family == "regnet"
    waiting.load()
    tensors_now = [*waiting.module.named_parameters(), *waiting.module.named_buffers()]
    assert [name for name, tensor in tensors_now if tensor.is_meta] == []
    waiting.module.to(memory_format=torch.contiguous_format).eval()
    assert torch.equal(waiting(images_BCHW), renewed(images_BCHW))
