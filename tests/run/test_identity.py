"""A job refuses to be another run than the one that its sweep has checked, and says what differs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from tl_sweep.base.errors import JobFailed
from tl_sweep.config.schema import Config
from tl_sweep.run.identity import Identity, identity_of, require_same
from tl_sweep.run.key import key_of, meaning

MakeConfig = Callable[..., Config]
AGAIN = "; nothing was run: the same command checks it anew"


def refusal(config: Config, checked: Identity) -> str:
    with pytest.raises(JobFailed) as refused:
        require_same(config, checked)
    return str(refused.value)


def test_the_run_that_was_checked_is_accepted(make_config: MakeConfig) -> None:
    config = make_config()
    assert identity_of(config).key == key_of(config)
    require_same(config, identity_of(config))


def test_it_is_short_enough_to_travel_with_each_job(make_config: MakeConfig) -> None:
    assert len(identity_of(make_config()).digests) < 400


def test_images_that_changed_are_named(make_config: MakeConfig, image_root: Path, tmp_path: Path) -> None:
    root = shutil.copytree(image_root, tmp_path / "photos")
    config = make_config({"data": "image_folder"}, data={"root": str(root), "shots": None})
    checked = identity_of(config)
    Image.new("RGB", (40, 48), "white").save(root / "red" / "00.png")
    assert refusal(config, checked) == f"data: the images, or their labels, are not what the sweep checked{AGAIN}"


def test_weights_that_changed_are_named(make_config: MakeConfig, tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    torch.save({"a": torch.zeros(1)}, path)
    config = make_config(model={"weights": str(path)})
    checked = identity_of(config)
    torch.save({"a": torch.ones(1)}, path)
    assert refusal(config, checked) == f"weights: the weights to start from are not what the sweep checked{AGAIN}"


def test_every_value_that_differs_is_named(make_config: MakeConfig) -> None:
    checked = identity_of(make_config(epochs=7, optim={"weight_decay": 0.5}))
    first, second = (f"{name}, is not what the sweep checked" for name in ("epochs: its value, 2", ""))
    text = refusal(make_config(epochs=2), checked)
    assert text.startswith(first)
    assert "; optim.weight_decay: its value, 0.01" in text
    assert text.endswith(second + AGAIN)
    assert len(text.splitlines()) == 1


def test_other_fields_are_another_versions(make_config: MakeConfig) -> None:
    config = make_config()
    checked = identity_of(config)
    with_one_more = replace(checked, key="0" * 16, digests="0000" + checked.digests[4:] + "0000")
    assert refusal(config, with_one_more).startswith(
        "the run has other fields than the sweep checked, as another version of tl_sweep would have;"
    )
    assert len(checked.digests) == 4 * (1 + len(flat(meaning(config))))


def flat(values: dict[str, object]) -> list[str]:
    return [name for value in values.values() for name in (flat(value) if isinstance(value, dict) else [""])]
