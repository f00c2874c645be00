"""How alike two pictures are, whatever their files: two measures, a quick one and one that decides.

The quick one is a perceptual hash without its rounding (Zauner, *Implementation and benchmarking of perceptual image
hash functions*, 2010): low frequencies of a small gray picture, in a form that mirror images and quarter turns share.
It lets pictures through that only share a shadow or a background. The one that decides correlates what is left of them
without their smooth part, shifted by up to four pixels in 64 (normalised cross-correlation). N pictures, D features.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageFilter

SMALL_PX = 16
DETAIL_PX = 64
LOW = 6  # frequencies of the quick measure, in each direction
BLOCK = 256  # pictures that are compared with all others at a time
SMOOTH_PX = 4  # radius of what counts as smooth
SHIFT_PX = 4  # of a picture that was cut, or of a hand that held the camera


def small(gray: Image.Image) -> str:
    """A small gray picture as text, for ``features_of``."""
    return base64.b64encode(gray.resize((SMALL_PX, SMALL_PX), Image.Resampling.BILINEAR).tobytes()).decode()


def features_of(smalls: list[str]) -> np.ndarray:
    """float32 (N, D): near each other where pictures are alike, but for brightness, contrast, mirroring and turning."""
    from scipy.fft import dctn

    small_NWW = _pixels(smalls)
    frequencies_NLL = np.abs(dctn(small_NWW, axes=(1, 2), norm="ortho")[:, :LOW, :LOW])
    rows, columns = np.triu_indices(LOW)
    one_ND, other_ND = frequencies_NLL[:, rows, columns], frequencies_NLL[:, columns, rows]
    return (np.concatenate([one_ND + other_ND, np.abs(one_ND - other_ND)], axis=1) / np.sqrt(2)).astype(np.float32)


def near_pairs(features_ND: np.ndarray, reach: float, nearest: int) -> np.ndarray:
    """int64 (P, 2): pairs that are nearer to each other than ``reach``; of each picture at most its ``nearest``.

    Every pair is looked at, in blocks: in so many dimensions a tree is slower.
    """
    half_N1 = (features_ND**2).sum(1, keepdims=True) / 2
    ones_N1 = np.ones_like(half_N1)
    one_NE = np.concatenate([features_ND, -half_N1, ones_N1], axis=1)
    other_EN = np.ascontiguousarray(np.concatenate([features_ND, ones_N1, -half_N1], axis=1).T)
    found = []
    for start in range(0, len(features_ND), BLOCK):
        nearness_BN = one_NE[start : start + BLOCK] @ other_EN[:, start:]  # minus half of the squared distance
        rows, others = np.nonzero(nearness_BN > -(reach**2) / 2)
        later = others > rows
        rows, others = rows[later], others[later]
        order = np.lexsort((-nearness_BN[rows, others], rows))
        rows, others = rows[order], others[order]
        first = np.searchsorted(rows, rows)
        kept = np.arange(len(rows)) - first < nearest
        found.append(np.column_stack([rows[kept], others[kept]]) + start)
    return np.concatenate(found) if found else np.empty((0, 2), dtype=np.int64)


def correlation(smalls: list[str], others: list[str]) -> np.ndarray:
    """float32 (N,): of each small picture with its other, in the best of eight ways to turn and mirror it."""
    one_NWW, other_NWW = _pixels(smalls), _pixels(others)
    return np.max([(one_NWW * turned_NWW).sum((1, 2)) for turned_NWW in _turned(other_NWW)], axis=0)


def detail_of(image: Image.Image) -> np.ndarray:
    """float32 (DETAIL_PX, DETAIL_PX): a picture without its smooth part."""
    gray = image.convert("L").resize((DETAIL_PX, DETAIL_PX), Image.Resampling.BILINEAR)
    smooth_WW = np.asarray(gray.filter(ImageFilter.BoxBlur(SMOOTH_PX)), dtype=np.float32)
    detail_WW = np.asarray(gray, dtype=np.float32) - smooth_WW
    return detail_WW - detail_WW.mean()


def detail_correlation(one_WW: np.ndarray, other_WW: np.ndarray) -> float:
    """Of two ``detail_of``, in the best of eight ways to turn and mirror one and of all small shifts; 0 without any."""
    from scipy.fft import irfft2, rfft2

    energy = float(np.sqrt((one_WW**2).sum() * (other_WW**2).sum()))
    if energy == 0:
        return 0.0
    spectrum = rfft2(one_WW)
    width = 2 * SHIFT_PX + 1
    shifted = [
        np.roll(irfft2(spectrum * np.conj(rfft2(turned_1WW[0])), s=one_WW.shape), (SHIFT_PX, SHIFT_PX), (0, 1))
        for turned_1WW in _turned(other_WW[None])
    ]
    return max(float(products_WW[:width, :width].max()) for products_WW in shifted) / energy


def _pixels(smalls: list[str]) -> np.ndarray:
    """float32 (N, SMALL_PX, SMALL_PX), each of mean 0 and length 1 (or 0 where it is constant)."""
    raw = np.frombuffer(b"".join(map(base64.b64decode, smalls)), dtype=np.uint8)
    pixels_NWW = raw.reshape(-1, SMALL_PX, SMALL_PX).astype(np.float32)
    pixels_NWW -= pixels_NWW.mean((1, 2), keepdims=True)
    length_N11 = np.sqrt((pixels_NWW**2).sum((1, 2), keepdims=True))
    return pixels_NWW / np.where(length_N11 == 0, 1, length_N11)


def _turned(pictures_NWW: np.ndarray) -> Iterator[np.ndarray]:
    for turned_NWW in (pictures_NWW, pictures_NWW.transpose(0, 2, 1)):
        for mirrored_NWW in (turned_NWW, turned_NWW[:, ::-1]):
            yield from (mirrored_NWW, mirrored_NWW[:, :, ::-1])
