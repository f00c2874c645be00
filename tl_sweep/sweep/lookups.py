"""What a comparison looks up besides the runs' records: their files, their pictures, how fast their networks are."""

from __future__ import annotations

import base64
import io
import json
import math
import os
import platform
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock
from PIL import Image

from tl_sweep.base.atomic_files import atomic_write
from tl_sweep.base.errors import UserError
from tl_sweep.comparison.model_selection import WEIGHTS, value_of
from tl_sweep.config.loading import from_yaml
from tl_sweep.config.schema import Config
from tl_sweep.models.catalog import architecture_label
from tl_sweep.run.finished import Files
from tl_sweep.run.inputs import images_at_hand
from tl_sweep.run.weights import uses_pooled_head
from tl_sweep.tracking.names import Tag
from tl_sweep.tracking.record import RunRecord

if TYPE_CHECKING:
    from tl_sweep.data.imageset import ImageSet

NVIDIA = Path("/proc/driver/nvidia/gpus")  # a folder per card
SPEEDS = "speeds.json"  # beside the weights
THUMBNAIL_PX = 96
BATCH_SIZE = 16  # of the inference that is timed
TIMED_S = 0.5  # at least


def config_of(run: RunRecord, files: Files) -> Config:
    """
    Raises:
        UserError: its file is gone or damaged.
    """
    path = files(run, "config.yaml")
    try:
        return from_yaml(path.read_text())
    except (OSError, ValueError, UserError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error


@dataclass(frozen=True)
class Pictures:
    """Thumbnails of the images that runs saw, where these images are on this machine and still the same."""

    files: Files
    opened: dict[str, tuple[ImageSet, dict[str, int]] | None] = field(default_factory=dict)

    def __call__(self, run: RunRecord, image_id: str) -> str:
        """As a data URI (JPEG, at most 96 px); empty where it is not at hand."""
        fingerprint = run.tags[Tag.DATA_FINGERPRINT]
        if fingerprint not in self.opened:
            self.opened[fingerprint] = self._open(run)
        at_hand = self.opened[fingerprint]
        if at_hand is None:
            return ""
        images, places = at_hand
        try:
            return thumbnail(images.open_image(places[image_id]))
        except (OSError, ValueError):  # removed or changed since
            return ""

    def _open(self, run: RunRecord) -> tuple[ImageSet, dict[str, int]] | None:
        try:
            images = images_at_hand(config_of(run, self.files))
        except UserError:  # its folder is elsewhere, or gone
            return None
        if images is None or images.fingerprint != run.tags[Tag.DATA_FINGERPRINT]:
            return None
        return images, {name: place for place, name in enumerate(images.ids)}


def thumbnail(image: Image.Image) -> str:
    from tl_sweep.data.fit import to_rgb

    with image:
        small = to_rgb(image)
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


@dataclass(frozen=True)
class Speeds:
    """Images per second at inference on this machine, by network and image size. Measured once and remembered."""

    files: Files
    known: dict[tuple[str, ...], float] = field(default_factory=dict)

    def __call__(self, run: RunRecord) -> float:
        """nan where the run's configuration is gone."""
        network = (run.tags[Tag.BACKBONE], value_of(run, "data.image_size"), value_of(run, WEIGHTS))
        if network not in self.known:
            try:
                self.known[network] = _remembered(config_of(run, self.files), self.files.weights_dir.parent / SPEEDS)
            except UserError:
                self.known[network] = math.nan
        return self.known[network]


def _remembered(config: Config, path: Path) -> float:
    network = f"{architecture_label(config.model)} {config.data.image_size} px{' pooled' * uses_pooled_head(config)}"
    name = f"{machine()}: {network}"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        known: dict[str, float] = json.loads(path.read_text()) if path.exists() else {}
        if name not in known:
            known[name] = inference_images_per_s(config)
            with atomic_write(path) as file:
                file.write_text(json.dumps(known, indent=1))
    return known[name]


def machine() -> str:
    """What a network is timed on. Found without importing torch, which takes seconds and is not needed where a speed is
    remembered."""
    cards = [path.read_text() for path in sorted(NVIDIA.glob("*/information"))]
    models = [found[1].strip() for card in cards if (found := re.search(r"^Model:(.*)$", card, re.MULTILINE))]
    if models and os.environ.get("CUDA_VISIBLE_DEVICES") != "":
        return f"{platform.node()}, {', '.join(dict.fromkeys(models))}"
    return f"{platform.node()}, one thread"


def inference_images_per_s(config: Config) -> float:
    """Of the configured network with random weights, in eval mode, by the fastest batch of 16: on the GPU, or on one
    thread of the CPU, since several wait for each other where other work is done, and are then slower than one."""
    import torch

    from tl_sweep.models.build import build_model
    from tl_sweep.training.device import make_compute

    compute = make_compute("auto", "auto")
    side_px = config.data.image_size
    model = build_model(config.model, 2, side_px, weights=None, pooled=uses_pooled_head(config), head_seed=0)
    module = model.module.eval().to(compute.device).to(memory_format=torch.channels_last)
    images_BCHW = torch.rand(BATCH_SIZE, 3, side_px, side_px, device=compute.device)
    images_BCHW = images_BCHW.contiguous(memory_format=torch.channels_last)

    def batch_s() -> float:
        started_s = time.perf_counter()
        module(images_BCHW).sum().item()  # reading the result waits for a GPU
        return time.perf_counter() - started_s

    threads, deadline_s = torch.get_num_threads(), time.perf_counter() + TIMED_S
    torch.set_num_threads(1)
    try:
        with torch.inference_mode(), compute.autocast():
            taken_s = [batch_s(), batch_s()]  # the first warms up
            while time.perf_counter() < deadline_s:
                taken_s.append(batch_s())
    finally:
        torch.set_num_threads(threads)
    return BATCH_SIZE / min(taken_s)
