"""What is known of a configured model by its name, and what is said of one that cannot be built."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from tl_sweep.base.errors import UserError
from tl_sweep.config.schema import ModelConfig, PreprocessingConfig
from tl_sweep.models.build import build_model
from tl_sweep.models.catalog import backbone_source_of, default_preprocessing, families, model_problems
from tl_sweep.models.sources.contract import BACKBONE_SOURCES


@pytest.mark.parametrize("name", ["googlenet", "inception_v3", "maxvit_t"])
def test_a_family_without_table_lists_those_with_one(name: str) -> None:
    with pytest.raises(UserError) as error:
        build_model(ModelConfig(name=name), 6, 224, weights=None, head_seed=0)
    assert str(error.value) == (
        f"model.name={name}: no stage table for this family; there is one for {', '.join(families())}"
    )


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
def test_what_cannot_be_built_is_refused_with_the_reason(values: dict[str, Any], image_px: int, problem: str) -> None:
    assert model_problems(ModelConfig(**values), image_px) == [problem]


def test_preprocessing_is_the_architectures_own_unless_overridden() -> None:
    own = default_preprocessing(ModelConfig(name="efficientnet_b0"), 96)
    assert (own.mean, own.interpolation, own.image_px) == ((0.485, 0.456, 0.406), "bicubic", 96)
    wish = PreprocessingConfig(mean=[0.5, 0.5, 0.5], interpolation="bilinear")
    other = default_preprocessing(ModelConfig(name="efficientnet_b0", preprocessing=wish), 96)
    assert (other.mean, other.std, other.interpolation) == ((0.5, 0.5, 0.5), own.std, "bilinear")


def test_names_and_weights_are_known_without_importing_torch() -> None:
    code = "import sys, tl_sweep, tl_sweep.models.catalog, tl_sweep.models.weights.fetch; print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "False\n"


def test_another_package_that_cannot_be_imported_keeps_no_model_from_being_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entry = EntryPoint("lost", "lost_package.nets:SOURCE", "tl_sweep.backbone_sources")
    monkeypatch.setitem(vars(BACKBONE_SOURCES), "_entries", {"lost": entry})
    assert model_problems(ModelConfig(name="resnet18"), 64) == []
    with pytest.raises(UserError, match=r"model\.name=resnet19: neither .* did you mean 'resnet18'"):
        backbone_source_of("resnet19")
