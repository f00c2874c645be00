"""What a run's key depends on, and what not: every field of the configuration takes a side here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tl_sweep.base.errors import UserError
from tl_sweep.config.keys import field_paths
from tl_sweep.config.schema import Config
from tl_sweep.run.key import key_of, meaning, title

MakeConfig = Callable[..., Config]

# Another value of each field that is part of what a run is. Where it says so, the field matters only in some company.
MATTERS: dict[str, Any] = {
    "model.name": "residual",
    "model.weights": "letters",
    "model.preprocessing.mean": [0.5, 0.5, 0.5],
    "model.preprocessing.std": [0.5, 0.5, 0.5],
    "model.preprocessing.interpolation": "bicubic",
    "model.dropout": 0.5,
    "model.depth": 14,
    "model.norm": "group",
    "model.residual": False,
    "freeze.name": "other",
    "freeze.phases": [{"frozen": "1"}],
    "freeze.pretrained": False,
    "freeze.batch_norm": "eval",
    "freeze.solver": "sgd",
    "freeze.lr": {"adamw": 0.5},
    "freeze.lr_without_norm": {"adamw": 0.5},
    "freeze.backbone_lr_scale": 0.5,
    "optim.name": "sgd",
    "optim.lr": 0.5,
    "optim.lr_scale": 3.0,
    "optim.weight_decay": 0.5,
    "optim.momentum": 0.5,
    "optim.backbone_lr_scale": 0.5,
    "optim.layer_decay": 0.5,
    "optim.warmup": 0.5,
    "optim.label_smoothing": 0.5,
    "optim.clip_norm": 0.5,
    "optim.ema_decay": 0.5,
    "optim.l2": [1.0],
    "objective.name": "other",
    "objective.options": {"weight": 0.5},
    "data.name": "letters",
    "data.image_size": 64,
    "data.shots": 10,
    "data.fraction": 0.5,
    "data.split_seed": 1,
    "data.subset_seed": 1,
    "data.flips": "both",
    "data.duplicates": "refuse",
    "data.group": "writer",
    "data.near_duplicates": "drop",
    "data.test_group": "north",
    "data.label_level": 1,
    "data.file_column": "file",
    "data.label_column": "class",
    "data.split_column": "fold",
    "data.label_pattern": "(cat|dog)",
    "data.fit": "whole",
    "data.bands": [3, 2, 1],
    "data.white": "4095",
    "data.page": 2,
    "data.alpha": True,
    "data.max_megapixels": 500.0,
    "data.balance": "weight",
    "data.skip_unreadable": True,
    "augment.name": "other",
    "augment.views": 3,
    "augment.seed": 1,
    "augment.crop_scale_min": 0.5,
    "augment.aspect": 2.0,
    "augment.rotation_deg": 45.0,
    "augment.brightness": 0.5,
    "augment.contrast": 0.5,
    "augment.saturation": 0.5,
    "augment.erase": 0.5,
    "augment.mixup": 0.5,
    "augment.cutmix": 0.5,
    "epochs": 7,
    "batch_size": 4,
    "seed": 1,
    "patience": 3,
    "precision": "bfloat16",
}
COMPANY: dict[str, dict[str, Any]] = {
    "optim.momentum": {"optim": {"name": "sgd"}, "freeze": {"lr": {"sgd": 0.1}}},
    "optim.l2": {"optim": {"name": "lbfgs"}, "freeze": {"phases": [{"frozen": "all"}]}},
    "freeze.lr_without_norm": {"model": {"norm": "none"}},
    "freeze.solver": {"freeze": {"lr": {"sgd": 1e-3, "adamw": 1e-3}}},
    "data.fraction": {"data": {"shots": None}},
    "precision": {"device": "auto"},
}
MATTERS_NOT: dict[str, Any] = {
    "model.sha256": "01234567",  # a check; the weights themselves count
    "data.table": "/elsewhere/labels.csv",
    "data.root": "/elsewhere",  # the images themselves count
    "data.verify": True,  # how often files are read again
    "cache.enabled": "False",
    "cache.dir": "/elsewhere",
    "cache.max_gb": 1.0,
    "output.dir": "/elsewhere",
    "tracking.uri": "http://127.0.0.1:1",
    "tracking.experiment": "other",
    "device": "cpu",
    "threads": 7,
    "num_workers": 7,
    "resume": "force",
    "deterministic": True,
    "freeze.label": "other",
    "planned_seeds": 14,
}
ALSO_NOT = {
    "weights.dir",  # tried with a data set beside it, below
    "freeze.frozen_stages",  # stands in the phases of freeze=depth
}


def nested(path: str, value: Any) -> dict[str, Any]:
    *groups, name = path.split(".")
    values: dict[str, Any] = {name: value}
    for group in reversed(groups):
        values = {group: values}
    return values


def merged(*several: dict[str, Any]) -> dict[str, Any]:
    both: dict[str, Any] = {}
    for values in several:
        for name, value in values.items():
            known = both.get(name)
            if isinstance(known, dict) and isinstance(value, dict) and name not in ("lr", "lr_without_norm"):
                both[name] = merged(known, value)
            else:
                both[name] = value
    return both


@pytest.fixture
def any_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """No data set is opened: these tests are about the configuration."""

    class Images:
        fingerprint = "0123"

    monkeypatch.setattr("tl_sweep.run.key.open_images", lambda config: Images)


def test_every_field_takes_a_side() -> None:
    assert MATTERS.keys() | MATTERS_NOT.keys() | ALSO_NOT == {path for path, _ in field_paths()}
    assert not MATTERS.keys() & MATTERS_NOT.keys()


@pytest.mark.usefixtures("any_data")
@pytest.mark.parametrize("path", MATTERS)
def test_what_changes_the_result_changes_the_key(make_config: MakeConfig, path: str) -> None:
    company = merged({"model": {"name": "residual", "depth": 20}}, COMPANY.get(path, {}))
    if path == "model.name":
        company = {}
    before = make_config(**company)
    after = make_config(**merged(company, nested(path, MATTERS[path])))
    assert key_of(before) != key_of(after)


@pytest.mark.usefixtures("any_data")
@pytest.mark.parametrize("path", MATTERS_NOT)
def test_how_a_run_is_computed_does_not_change_its_key(make_config: MakeConfig, path: str) -> None:
    assert key_of(make_config()) == key_of(make_config(**nested(path, MATTERS_NOT[path])))


def test_keys_are_folder_names_of_16_digits(make_config: MakeConfig) -> None:
    key = key_of(make_config())
    assert len(key) == 16
    assert int(key, 16) >= 0


def test_where_weights_lie_does_not_change_the_key(make_config: MakeConfig, tmp_path: Path) -> None:
    assert key_of(make_config()) == key_of(make_config(weights={"dir": str(tmp_path / "elsewhere")}))


# --- what is read in one company and not in another


@pytest.mark.usefixtures("any_data")
@pytest.mark.parametrize(
    ("strategy", "one", "other"),
    [
        ("all", {"optim": {"lr_scale": 1.0}}, {"optim": {"lr_scale": 3.0}}),
        ("all", {"batch_size": 4}, {"batch_size": 8}),
        ("all", {"patience": 4}, {"patience": 8}),
        ("all", {"freeze": {"batch_norm": "train"}}, {"freeze": {"batch_norm": "eval"}}),
        ("all", {"optim": {"backbone_lr_scale": 0.1}}, {"optim": {"backbone_lr_scale": 1.0}}),
        ("scratch", {"model": {"weights": None}}, {"model": {"weights": "missing/file.pth"}}),
        ("none", {"optim": {"lr": 3e-4}}, {"optim": {"lr": 1e-4, "lr_scale": 3.0}}),
        ("none", {"optim": {"lr": None}}, {"optim": {"lr": 1e-3}}),
        ("none", {"optim": {"weight_decay": None}}, {"optim": {"weight_decay": 1e-2}}),
        ("none", {"optim": {"momentum": 0.9}}, {"optim": {"momentum": 0.5}}),
        ("none", {"optim": {"l2": [1.0]}}, {"optim": {"l2": [2.0]}}),
        ("none", {"seed": 3}, {"seed": 3, "data": {"subset_seed": 3}}),
    ],
    ids=lambda value: str(value),
)
def test_what_means_the_same_has_one_key(
    make_config: MakeConfig, strategy: str, one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert key_of(make_config({"freeze": strategy}, **one)) == key_of(make_config({"freeze": strategy}, **other))


def test_weights_count_by_their_content(make_config: MakeConfig, tmp_path: Path) -> None:
    for name, value in {"a": 0.0, "b": 0.0, "c": 1.0}.items():
        torch.save({"conv1.weight": torch.full((1,), value)}, tmp_path / f"{name}.pth")
    (tmp_path / "b.pth").write_bytes((tmp_path / "a.pth").read_bytes())
    a, b, c = (key_of(make_config(model={"weights": f"{tmp_path}/{name}.pth"})) for name in "abc")
    assert a == b != c


def test_the_hash_in_a_file_name_is_believed_until_the_file_is_read(make_config: MakeConfig) -> None:
    by_path = meaning(make_config(model={"name": "resnet18", "weights": "elsewhere/resnet18-f37072fd.pth"}))
    by_name = meaning(make_config(model={"name": "resnet18", "weights": "IMAGENET1K_V1"}))
    assert by_path["weights"] == by_name["weights"] == "f37072fd"


def test_weights_made_here_count_as_their_recipe(make_config: MakeConfig) -> None:
    assert meaning(make_config(model={"weights": "letters"}))["weights"] == "letters, recipe 2, seed 0"


def test_data_count_by_their_content(make_config: MakeConfig, image_root: Path, tmp_path: Path) -> None:
    for name in ("copy", "changed"):
        for path in image_root.rglob("*.png"):
            target = tmp_path / name / path.relative_to(image_root)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    (tmp_path / "changed" / "red" / "00.png").unlink()

    def key(root: Path) -> str:
        return key_of(make_config({"data": "image_folder"}, data={"root": str(root), "shots": None}))

    assert key(image_root) == key(tmp_path / "copy") != key(tmp_path / "changed")


def test_groups_count(make_config: MakeConfig, image_root: Path, tmp_path: Path) -> None:
    for path in image_root.rglob("*.png"):
        target = tmp_path / "images" / path.relative_to(image_root)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())

    def key(patients: int) -> str:
        names = sorted(
            path.relative_to(tmp_path / "images").as_posix() for path in (tmp_path / "images").rglob("*.png")
        )
        rows = [f"{name},patient{index % patients}" for index, name in enumerate(names)]
        (tmp_path / "images" / "metadata.csv").write_text("\n".join(["file,patient", *rows]))
        data = {"root": str(tmp_path / "images"), "shots": None, "group": "patient"}
        return key_of(make_config({"data": "image_folder"}, data=data))

    assert key(12) == key(12) != key(9)


def test_a_weight_file_that_is_not_there_is_told(make_config: MakeConfig, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such weight file"):
        key_of(make_config(model={"weights": f"{tmp_path}/none.pth"}))


def test_a_key_needs_neither_torch_nor_a_store(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from tl_sweep.config.loading import compose\n"
        "from tl_sweep.run.key import key_of\n"
        "options = {'model': 'resnet_small', 'freeze': 'all', 'optim': 'auto', 'data': 'digits', 'augment': 'light'}\n"
        f"key_of(compose(options, {{'weights': {{'dir': {str(tmp_path)!r}}}}}))\n"
        "print(sorted({'torch', 'torchvision', 'mlflow'} & set(sys.modules)))\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"epochs": 7}, "none lr0.001 e7 resnet_small letters s0"),
        ({"data": {"shots": 5}, "seed": 3}, "none lr0.001 e30 n5 resnet_small letters s3"),
        ({"data": {"fraction": 0.25}}, "none lr0.001 e30 n0.25 resnet_small letters s0"),
        ({"model": {"weights": "weights/mine-v2.pth"}}, "none lr0.001 e30 resnet_small mine-v2 s0"),
        ({"model": {"weights": None}}, "none lr0.001 e30 resnet_small s0"),
        ({"objective": {"name": "coral"}}, "none coral lr0.001 e30 resnet_small letters s0"),
        ({"freeze": {"pretrained": False}}, "none lr0.001 e30 resnet_small s0"),
        ({"data": {"fit": "whole"}}, "none lr0.001 e30 whole resnet_small letters s0"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_names_tell_what_differs_in_a_sweep(make_config: MakeConfig, values: dict[str, Any], name: str) -> None:
    usual = {"epochs": 30, "model": {"weights": "letters"}, "data": {"shots": None}}
    config = make_config(**merged(usual, values))
    assert title(config) == name
