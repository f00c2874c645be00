"""What every backbone source keeps to: a test class to inherit."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tl_sweep.base.preprocessing import Preprocessing
from tl_sweep.config.schema import ModelConfig
from tl_sweep.models import build
from tl_sweep.models.build import build_model, original_model
from tl_sweep.models.catalog import (
    architecture,
    architecture_label,
    backbone_source_of,
    default_preprocessing,
    has_norm,
)
from tl_sweep.models.sources.contract import BackboneSource
from tl_sweep.models.stages import StagedModel, within
from tl_sweep.models.weights.files import WeightsFile
from tl_sweep.training.freeze import has_norm_layers

CLASSES = 6
DRAWS = ("normal_", "uniform_", "kaiming_normal_", "kaiming_uniform_", "trunc_normal_")


def owners(model: StagedModel, name: str) -> int:
    owned = [stage.owned for stage in model.stages] + [(model.head_name,)]
    return sum(within(name, names) for names in owned)


def tensors_of(model: StagedModel) -> dict[str, Tensor]:
    return {**dict(model.module.named_parameters()), **dict(model.module.named_buffers())}


def rebuilt(model: StagedModel, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """By the recipe alone, with the model's own tensors."""
    for name in DRAWS:  # every tensor is loaded below
        monkeypatch.setattr(nn.init, name, lambda tensor, *args, **kwargs: tensor)
    module = model.recipe.constructor.partition("(")[0].rpartition(".")[0]
    import_module(module)
    package = module.partition(".")[0]
    scope = {package: sys.modules[package], "nn": nn}
    scope["model"] = eval(model.recipe.constructor, scope)
    exec(model.head_recipe(CLASSES), scope)
    scope["model"].load_state_dict(model.module.state_dict(), strict=True)
    return scope["model"].eval()


class BackboneSourceContract:
    """A subclass says which ``source``, and has a fixture ``config`` of class scope: one ``ModelConfig`` of it after
    another.

    image_px: side of the images. on_the_cpu: families that cannot be built on the meta device.
    """

    source: ClassVar[BackboneSource]
    image_px: ClassVar[int] = 64
    on_the_cpu: ClassVar[tuple[str, ...]] = ()

    @pytest.fixture(scope="class")
    def original(self, config: ModelConfig) -> StagedModel:
        """With the authors' head, which may start at zero and would then make every comparison true."""
        torch.manual_seed(0)
        model = original_model(config, self.image_px)
        for parameter in model.head_parameters().values():
            nn.init.normal_(parameter, std=0.1)
        model.module.eval()
        return model

    @pytest.fixture(scope="class")
    def renewed(self, config: ModelConfig) -> StagedModel:
        torch.manual_seed(0)
        model = build_model(config, CLASSES, self.image_px, weights=None, head_seed=0)
        model.module.eval()
        return model

    @pytest.fixture(scope="class")
    def images_BCHW(self) -> Tensor:
        return torch.randn(2, 3, self.image_px, self.image_px, generator=torch.Generator().manual_seed(1))

    # --- what is known by name

    def test_names_are_known_without_importing_torch(self) -> None:
        code = (
            f"import sys; from {type(self.source).__module__} import {type(self.source).__name__} as Source; "
            "rows = [Source().architecture(name) for name in Source().names()]; "
            "print(bool(rows), 'torch' in sys.modules)"
        )
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
        assert (answer.stdout, answer.stderr) == ("True False\n", "")

    def test_its_packages_are_installed(self) -> None:
        assert "torch" in self.source.packages
        assert all(version(package) for package in self.source.packages)

    def test_the_name_leads_to_the_source(self, config: ModelConfig) -> None:
        assert config.name in self.source.names()
        assert backbone_source_of(config.name) is self.source

    def test_what_is_known_of_a_network_makes_sense(self, config: ModelConfig) -> None:
        row = architecture(config.name)
        assert row.family
        assert row.default is None or row.default in row.weights
        assert len(row.mean) == len(row.std) == 3
        assert min(row.std) > 0
        assert row.interpolation in ("bilinear", "bicubic")
        assert 1 <= row.min_px <= self.image_px

    def test_preprocessing_is_the_architectures_own(self, config: ModelConfig) -> None:
        row = self.source.architecture(config.name)
        own = Preprocessing(row.mean, row.std, row.interpolation, self.image_px)
        assert default_preprocessing(config, self.image_px) == own

    def test_the_label_fits_into_the_name_of_a_file(self, config: ModelConfig) -> None:
        assert re.fullmatch(r"[A-Za-z0-9_.+-]+", architecture_label(config))

    def test_normalisation_layers_are_told(self, config: ModelConfig, original: StagedModel) -> None:
        assert has_norm(config) == has_norm_layers(original.module)

    # --- the network and its stage table

    @torch.no_grad()
    def test_logits_are_those_of_the_modules_own_forward(self, original: StagedModel, images_BCHW: Tensor) -> None:
        logits_BK = original(images_BCHW)
        assert logits_BK.dim() == 2
        assert logits_BK.std() > 0
        assert torch.equal(logits_BK, original.module(images_BCHW))

    @torch.no_grad()
    def test_any_stage_continues_where_the_one_before_stopped(self, original: StagedModel, images_BCHW: Tensor) -> None:
        features_BD = original.run(images_BCHW)
        z = images_BCHW
        for k in range(original.num_stages):
            before = z.clone()
            assert torch.equal(original.run(z, k), features_BD)
            assert torch.equal(z, before), f"stage {k} writes into its input"
            z = original.run(z, k, k + 1)
        assert torch.equal(z, features_BD)

    def test_every_tensor_has_exactly_one_owner(self, original: StagedModel, renewed: StagedModel) -> None:
        for model in (original, renewed):
            assert {name: owners(model, name) for name in tensors_of(model)} == dict.fromkeys(tensors_of(model), 1)

    def test_tensors_of_the_stages_and_the_head_are_all_there_are(self, renewed: StagedModel) -> None:
        collected = [name for k in range(renewed.num_stages + 1) for name in renewed.tensors_of(k)]
        assert sorted(collected) == sorted(tensors_of(renewed))
        assert set(renewed.head_parameters()) == {f"{renewed.head_name}.weight", f"{renewed.head_name}.bias"}

    def test_stages_have_parameters_and_names_of_their_own(self, original: StagedModel) -> None:
        assert original.num_stages >= 2
        assert len({stage.name for stage in original.stages}) == original.num_stages
        assert all(original.stage_parameters(k) for k in range(original.num_stages))

    @torch.no_grad()
    def test_stages_in_eval_mode_leave_nothing_random(self, renewed: StagedModel, images_BCHW: Tensor) -> None:
        expected = renewed.module(images_BCHW)
        renewed.module.train()
        for k in range(renewed.num_stages):
            for module in renewed.stage_modules(k):
                module.eval()
        logits_BK = renewed.module(images_BCHW)
        renewed.module.eval()
        assert torch.equal(logits_BK, expected)

    @torch.no_grad()
    def test_the_module_itself_uses_the_new_head(self, renewed: StagedModel, images_BCHW: Tensor) -> None:
        logits_BK = renewed(images_BCHW)
        assert logits_BK.shape == (2, CLASSES)
        assert torch.equal(renewed.module(images_BCHW), logits_BK)

    @torch.no_grad()
    def test_features_are_pooled_and_logits_linear_in_them(self, renewed: StagedModel, images_BCHW: Tensor) -> None:
        features_BD = renewed.run(images_BCHW)
        assert features_BD.shape == (2, renewed.feature_dim)
        weight_KD, bias_K = (renewed.head_parameters()[f"{renewed.head_name}.{name}"] for name in ("weight", "bias"))
        assert torch.equal(renewed.head(features_BD), F.linear(features_BD, weight_KD, bias_K))
        assert (renewed.head(-1000 * torch.sign(weight_KD)) < 0).any()

    def test_a_backward_pass_reaches_every_parameter(self, renewed: StagedModel, images_BCHW: Tensor) -> None:
        renewed.module.zero_grad()
        F.cross_entropy(renewed(images_BCHW), torch.tensor([0, 5])).backward()
        untouched = [name for name, parameter in renewed.module.named_parameters() if parameter.grad is None]
        renewed.module.zero_grad()
        assert untouched == []

    # --- how it is built, and built again

    def test_without_memory_it_reads_the_smallest_image_that_it_says(self, config: ModelConfig) -> None:
        row = architecture(config.name)
        with torch.device("meta"):
            module = self.source.build(config, row.min_px).module.eval()
        (device,) = {tensor.device.type for tensor in module.parameters()}
        assert device == ("cpu" if row.family in self.on_the_cpu else "meta")
        assert module(torch.zeros(1, 3, row.min_px, row.min_px, device=device)).dim() == 2

    @torch.no_grad()
    def test_the_recipe_rebuilds_it_in_plain_pytorch(
        self, renewed: StagedModel, images_BCHW: Tensor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert renewed.recipe.packages == self.source.packages
        assert torch.equal(rebuilt(renewed, monkeypatch)(images_BCHW), renewed.module(images_BCHW))

    @torch.no_grad()
    def test_stages_that_waited_for_their_weights_are_the_same(
        self, config: ModelConfig, renewed: StagedModel, images_BCHW: Tensor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(build, "read_tensors", lambda path: renewed.module.state_dict())
        waiting = build_model(config, CLASSES, self.image_px, weights=WeightsFile(Path("file"), sha256=""), head_seed=0)
        waiting.load(1)
        waits = architecture(config.name).family not in self.on_the_cpu
        assert {tensor.is_meta for tensor in waiting.stage_parameters(0).values()} == {waits}
        waiting.load()
        assert [name for name, tensor in tensors_of(waiting).items() if tensor.is_meta] == []
        waiting.module.to(memory_format=torch.contiguous_format).eval()
        assert torch.equal(waiting(images_BCHW), renewed(images_BCHW))

    def test_a_network_that_is_recognised_has_the_same_stages(self, original: StagedModel) -> None:
        found = self.source.recognise(original.module)
        assert found is None or found.staged(found.original).stages == original.stages
