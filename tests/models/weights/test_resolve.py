"""What ``model.weights`` means, and which values mean nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
import torchvision
from weight_files import problems_of

from tl_sweep.config.schema import ModelConfig
from tl_sweep.models.catalog import architecture_label
from tl_sweep.models.weights.resolve import checkpoints_dir, letters_path, resolve


def kind_of(value: str | None) -> str:
    return resolve(ModelConfig(name="resnet18", weights=value), Path("weights")).kind


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "none"),
        ("imagenet", "download"),
        ("IMAGENET1K_V1", "download"),
        ("letters", "letters"),
        ("letters_clean", "letters"),
        ("run:0123abc", "run"),
        ("run:weights.pth", "run"),
        ("resnet18.pth", "file"),
        ("resnet18.safetensors", "file"),
        ("folder/imagenet", "file"),
        ("./letters", "file"),
    ],
)
def test_values_are_resolved_in_the_documented_order(value: str | None, kind: str) -> None:
    assert kind_of(value) == kind


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("resnet18", "none", "model.weights='none': no such weights; did you mean null?"),
        ("resnet18", "", "model.weights='': no such weights; did you mean null?"),
        ("resnet18", "IMAGENET1K_V2", "model.weights='IMAGENET1K_V2': resnet18 has no such weights; allowed are null, "
         "letters, letters_clean, imagenet, IMAGENET1K_V1, run:<which> and the path of a file; did you mean "
         "'IMAGENET1K_V1'?"),
        ("residual", "imagenet", "model.weights='imagenet': residual has no such weights; allowed are null, letters, "
         "letters_clean, run:<which> and the path of a file"),
        ("resnet81", "imagenet", "model.name=resnet81: neither torchvision nor we (resnet_small, residual) have it. "
         "did you mean 'resnet18'?"),
    ],
    ids=["none", "empty", "enum", "ours", "model"],
)  # fmt: skip
def test_values_that_mean_nothing_are_refused(name: str, value: str, problem: str) -> None:
    config = ModelConfig(name=name, weights=value)
    assert problems_of(resolve, config, Path("weights")) == [problem]


def test_imagenet_is_torchvisions_default_in_torchs_own_cache(torch_home: Path) -> None:
    source = resolve(ModelConfig(name="resnet50", weights="imagenet"), Path("weights"))
    assert source.path == torch_home / "hub" / "checkpoints" / "resnet50-11ad3fa6.pth"
    assert source.url == torchvision.models.ResNet50_Weights.DEFAULT.url
    assert source.sha256_prefixes == ("11ad3fa6",)


@pytest.mark.parametrize(
    "variables", [{"TORCH_HOME": "/t"}, {"XDG_CACHE_HOME": "/x"}, {}], ids=["torch", "xdg", "home"]
)
def test_the_cache_is_where_torch_hub_looks(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    assert str(checkpoints_dir()) == os.path.join(torch.hub.get_dir(), "checkpoints")


@pytest.mark.parametrize("value", ["letters", "letters_clean"])
def test_letters_weights_of_the_small_network_are_shipped_and_others_kept_in_weights_dir(value: str) -> None:
    shipped = letters_path(ModelConfig(name="resnet_small", weights=value), Path("/w"))
    assert shipped.parts[-3:] == ("tl_sweep", "weights", f"{value}-resnet_small.safetensors")
    for config in (ModelConfig(name="vgg11", weights=value), ModelConfig("resnet_small", value, norm="group")):
        assert letters_path(config, Path("/w")) == Path(f"/w/{value}-{architecture_label(config)}.safetensors")


@pytest.mark.parametrize(
    ("filename", "sha256", "prefixes"),
    [
        ("resnet18.pth", None, ()),
        ("squeezenet1_1-imagenet.pth", None, ()),
        ("mine-0123abcd.pth", None, ("0123abcd",)),
        ("resnet18.pth", "ABCDEF0123", ("abcdef0123",)),
        ("mine-0123abcd.pth", "0123abcdef", ("0123abcdef", "0123abcd")),
    ],
)
def test_hashes_are_promised_by_the_key_and_by_the_name(
    filename: str, sha256: str | None, prefixes: tuple[str, ...]
) -> None:
    config = ModelConfig(name="resnet18", weights=filename, sha256=sha256)
    assert resolve(config, Path("weights")).sha256_prefixes == prefixes


@pytest.mark.parametrize("sha256", ["123", "0123abcg", "0" * 65])
def test_a_hash_that_is_none_is_refused(sha256: str) -> None:
    config = ModelConfig(name="resnet18", weights="a.pth", sha256=sha256)
    assert problems_of(resolve, config, Path()) == [f"model.sha256={sha256}: 8 to 64 hex digits are wanted"]
