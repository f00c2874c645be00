"""How an image looks each time it is seen: ``draw`` decides, from a counter; ``apply`` does it, wherever it runs.

B images in a batch, C channels, H = W image side, P parameters of a view, N images in the store.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.functional import grid_sample

from tl_sweep.base.preprocessing import Preprocessing
from tl_sweep.config.schema import AugmentConfig

VIEW_PARAMETERS = (
    "affine_xx", "affine_xy", "affine_x", "affine_yx", "affine_yy", "affine_y",
    "brightness", "contrast", "saturation", "erase_x", "erase_y", "erase_half",
)  # fmt: skip
FORMAT = (
    1  # raise it when draw, apply or normalise give another view: views are kept in what frozen stages make of them
)
LUMA = (0.299, 0.587, 0.114)
GRAY = 0.5


def draw(seed: int, content_hash: bytes, view: int, augment: AugmentConfig, flips: str) -> np.ndarray:
    """The parameters of one view, float32 (P,): a pure function of its arguments.

    Uniforms come from BLAKE2b in counter mode (keyed by ``seed``, over hash and view), so no state and no order is
    involved. The crop is that of Szegedy et al. (2015): area uniform, aspect ratio log-uniform, cut to the image.
    """
    u = _uniforms(seed, content_hash, view)
    area = 1 - u[0] * (1 - augment.crop_scale_min)
    aspect = augment.aspect ** (2 * u[1] - 1)
    width, height = min(1.0, math.sqrt(area * aspect)), min(1.0, math.sqrt(area / aspect))
    x, y = (1 - width) * (2 * u[2] - 1), (1 - height) * (2 * u[3] - 1)
    angle = math.radians(augment.rotation_deg * (2 * u[4] - 1))
    flip_x = -1 if flips in ("horizontal", "both") and u[5] < 0.5 else 1
    flip_y = -1 if flips == "both" and u[6] < 0.5 else 1
    cosine, sine = math.cos(angle), math.sin(angle)
    affine = (cosine * width * flip_x, -sine * height * flip_y, x, sine * width * flip_x, cosine * height * flip_y, y)
    factors = (_factor(augment.brightness, u[7]), _factor(augment.contrast, u[8]), _factor(augment.saturation, u[9]))
    erased = (2 * u[10] - 1, 2 * u[11] - 1, augment.erase * u[12])
    return np.array((*affine, *factors, *erased), dtype=np.float32)


def draw_batch(seed: int, hashes_B16: np.ndarray, view: int, augment: AugmentConfig, flips: str) -> np.ndarray:
    """The parameters of one view of each image, float32 (B, P)."""
    return np.stack([draw(seed, row.tobytes(), view, augment, flips) for row in hashes_B16])


def _uniforms(seed: int, content_hash: bytes, view: int) -> list[float]:
    """Sixteen numbers in [0, 1)."""
    counter = content_hash + view.to_bytes(8, "little")
    digest = hashlib.blake2b(counter, key=seed.to_bytes(8, "little"), digest_size=64).digest()
    return [word / 2**32 for word in np.frombuffer(digest, dtype="<u4").tolist()]


def _factor(spread: float, uniform: float) -> float:
    return 1 + spread * (2 * uniform - 1)


def apply(images_BCHW: torch.Tensor, parameters_BP: np.ndarray, image_px: int) -> torch.Tensor:
    """The views: uint8 decoded images to float32 (B, C, image_px, image_px) in [0, 1], on the images' device.

    Every operation is elementwise over images, so that no image depends on its neighbours in the batch, bit for bit.
    """
    by_name = dict(zip(VIEW_PARAMETERS, torch.from_numpy(parameters_BP).unbind(1), strict=True))
    columns = {name: column.to(images_BCHW.device)[:, None, None] for name, column in by_name.items()}
    axis = (torch.arange(image_px, device=images_BCHW.device, dtype=torch.float32) + 0.5) * (2 / image_px) - 1
    x_W, y_H = axis[None, None, :], axis[None, :, None]
    grid_BHW2 = torch.stack([_affine(columns, "x", x_W, y_H), _affine(columns, "y", x_W, y_H)], dim=-1)
    views_BCHW = grid_sample(images_BCHW.float(), grid_BHW2, padding_mode="reflection", align_corners=False)
    if any((by_name[name] != 1).any() for name in ("brightness", "contrast", "saturation")):
        _recolour_(views_BCHW, columns)
    views_BCHW.mul_(1 / 255).clamp_(0, 1)
    if by_name["erase_half"].any():
        distance_BHW = torch.maximum((x_W - columns["erase_x"]).abs(), (y_H - columns["erase_y"]).abs())
        views_BCHW.masked_fill_((distance_BHW < columns["erase_half"])[:, None], GRAY)
    return views_BCHW


def _affine(columns: dict[str, torch.Tensor], to: str, x_W: torch.Tensor, y_H: torch.Tensor) -> torch.Tensor:
    """One coordinate, (B, H, W), of where each pixel of the view comes from; -1 to 1 over the decoded image."""
    return columns[f"affine_{to}x"] * x_W + columns[f"affine_{to}y"] * y_H + columns[f"affine_{to}"]


def _recolour_(images_BCHW: torch.Tensor, columns: dict[str, torch.Tensor]) -> None:
    """Saturation, then brightness, then contrast about mid-gray, of pixels 0..255, in one linear step per channel."""
    saturation, contrast = columns["saturation"], columns["contrast"]
    gain = columns["brightness"] * contrast
    red, green, blue = images_BCHW.unbind(1)
    gray_BHW = (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue) * (gain * (1 - saturation)) + 127.5 * (1 - contrast)
    images_BCHW.mul_((gain * saturation)[:, None]).add_(gray_BHW[:, None])


def clean(images_BCHW: torch.Tensor, image_px: int) -> torch.Tensor:
    """The exact centre crop of uint8 decoded images, float32 in [0, 1]: no resampling."""
    start = (images_BCHW.shape[-1] - image_px) // 2
    return images_BCHW[..., start : start + image_px, start : start + image_px].float().mul_(1 / 255)


def normalise(images_BCHW: torch.Tensor, preprocessing: Preprocessing) -> torch.Tensor:
    """Zero mean and unit deviation per channel, by the model's own statistics of [0, 1] pixels."""
    statistics_2C = torch.tensor([preprocessing.mean, preprocessing.std], device=images_BCHW.device)
    mean_C11, std_C11 = statistics_2C[..., None, None]
    return (images_BCHW - mean_C11) / std_C11


def changes_nothing(augment: AugmentConfig) -> bool:
    """Whether every draw would be the whole image as it is (mixing images does not count)."""
    strengths = (augment.rotation_deg, augment.brightness, augment.contrast, augment.saturation, augment.erase)
    return augment.crop_scale_min == 1 and augment.aspect == 1 and not any(strengths)


@dataclass(frozen=True)
class ViewPlan:
    """Which view of an image an epoch sees. flips: of the data set, drawn only where anything else is augmented."""

    augment: AugmentConfig
    flips: str

    def view(self, epoch: int | None) -> int | None:
        """The number of the view that an epoch (counted from 0) sees, None is the clean crop, as for evaluation (None).

        Finite views begin with the clean crop, fresh ones never are.
        """
        if epoch is None or changes_nothing(self.augment):
            return None
        if self.augment.views is None:
            return epoch + 1
        return epoch % self.augment.views or None

    def draws(self) -> dict[str, Any]:
        """Everything that a view depends on besides image and number."""
        others = ("name", "views", "mixup", "cutmix")
        strengths = {name: value for name, value in asdict(self.augment).items() if name not in others}
        return strengths | {"flips": self.flips}

    def images(
        self, images_BCWW: torch.Tensor, hashes_B16: np.ndarray, epoch: int | None, image_px: int
    ) -> torch.Tensor:
        """What ``epoch`` sees of these images, float32 (B, C, image_px, image_px) in [0, 1]."""
        view = self.view(epoch)
        if view is None:
            return clean(images_BCWW, image_px)
        parameters_BP = draw_batch(self.augment.seed, hashes_B16, view, self.augment, self.flips)
        return apply(images_BCWW, parameters_BP, image_px)
