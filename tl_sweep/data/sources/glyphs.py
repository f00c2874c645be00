"""The embedded sources: printed glyphs, sent through the pipeline that made scikit-learn's handwritten digits.

T templates (glyph x font), N images, S side of a template, W side of a bitmap. Coordinates (x, y) run from -1 to 1
over a template.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# Without the look-alikes of digits (B D G I O Q S Z b g i l o q s y z, Б З Ч Э ъ and so on), and of any
# two glyphs that only case, size or alphabet tells apart (c C, A Α А, H Н, Π π п) with one.
LATIN = "ACEFHJKLMNPRTUVWXadefhmnrt"
LATIN_MORE = "ÄÆÑŅŴĦĐÞƝƱƜɐɔɹʁɰɮʨʍ"
GREEK = "ΔΞΠΣΦΨΩαγεζηλμωϗψ"
CYRILLIC = "ДЖИЙЦШЩЫЮЯЉЊЏЂЋЃЌҒҢҖҰҲӁӸ"
GLYPHS = LATIN + LATIN_MORE + GREEK + CYRILLIC

FONTS = (
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique",
    "DejaVuSansMono", "DejaVuSansMono-Oblique",
    "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic",
)  # fmt: skip
CLEAN_FONTS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSansMono", "DejaVuSerif")
CLEAN_SIZES_PX = (18, 20, 22, 24)
CLEAN_SHIFTS_PX = (-2, 0, 2)

SEED = 0
IMAGES_PER_GLYPH = 150
TEMPLATE_PX = 64
GLYPH_PX = 40
BITMAP_PX = 32
COUNTS_PX = 8
COUNTS_MAX = (BITMAP_PX // COUNTS_PX) ** 2
MIN_WIDTH_PX, MAX_WIDTH_PX = 10, 26
CHUNK = 1000


def counts_to_gray(counts_N88: np.ndarray) -> np.ndarray:
    """Counts 0..16 of dark pixels as uint8 0..255, (N, 10, 10).

    Glyphs fill their 8x8 box, and the centre crop that every model sees would cut them: hence an empty border.
    """
    return np.pad(np.round(counts_N88 * (255 / COUNTS_MAX)).astype(np.uint8), ((0, 0), (1, 1), (1, 1)))


@lru_cache(maxsize=1)
def letters() -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Warped glyphs, bordered (N, 10, 10) uint8, their labels (N,) and the class names; always the same."""
    templates_TSS = np.stack([_distance(glyph, font) for glyph in GLYPHS for font in FONTS])
    labels_N = np.tile(np.arange(len(GLYPHS)), IMAGES_PER_GLYPH)
    uniforms_NP = np.random.Generator(np.random.Philox(SEED)).random((len(labels_N), 20), dtype=np.float32)
    template_N = labels_N * len(FONTS) + (uniforms_NP[:, 0] * len(FONTS)).astype(int)
    chunks = [slice(start, start + CHUNK) for start in range(0, len(labels_N), CHUNK)]
    bitmaps = [_warp(templates_TSS, template_N[chunk], uniforms_NP[chunk, 1:]) for chunk in chunks]
    return counts_to_gray(_counts(np.concatenate(bitmaps))), labels_N, tuple(GLYPHS)


@lru_cache(maxsize=1)
def letters_clean() -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Upright printed Latin glyphs (N, 32, 32) uint8 at a few sizes and places: the wrong source for handwriting."""
    variants = [
        (font, size_px, dx, dy)
        for font in CLEAN_FONTS
        for size_px in CLEAN_SIZES_PX
        for dx in CLEAN_SHIFTS_PX
        for dy in CLEAN_SHIFTS_PX
    ]
    images = [_render(glyph, font, size, BITMAP_PX, dx, dy) for glyph in LATIN for font, size, dx, dy in variants]
    return np.stack(images), np.repeat(np.arange(len(LATIN)), len(variants)), tuple(LATIN)


def _render(glyph: str, font: str, size_px: int, side_px: int, dx: int = 0, dy: int = 0) -> np.ndarray:
    """White on black, its box centred (and then moved), uint8 (side, side)."""
    face = _face(font, size_px)
    image = Image.new("L", (side_px, side_px))
    centre = (side_px / 2 + dx, side_px / 2 + dy)
    left, top, right, bottom = face.getbbox(glyph)
    corner = (centre[0] - (left + right) / 2, centre[1] - (top + bottom) / 2)
    ImageDraw.Draw(image).text(corner, glyph, fill=255, font=face)
    return np.asarray(image)


@lru_cache
def _face(font: str, size_px: int) -> ImageFont.FreeTypeFont:
    from matplotlib import get_data_path

    path = Path(get_data_path(), "fonts", "ttf", f"{font}.ttf")
    return ImageFont.truetype(str(path), size_px, layout_engine=ImageFont.Layout.BASIC)


def _distance(glyph: str, font: str) -> np.ndarray:
    """Signed distance to the outline in pixels, positive inside: where it is cut decides how thick strokes are."""
    from scipy.ndimage import distance_transform_edt

    inside = _render(glyph, font, GLYPH_PX, TEMPLATE_PX) > 127
    return (distance_transform_edt(inside) - distance_transform_edt(~inside)).astype(np.float32)


def _warp(templates_TSS: np.ndarray, template_N: np.ndarray, uniforms_NP: np.ndarray) -> np.ndarray:
    """Warped, cropped to its box and fitted into a bitmap as the digits were: full height, centred; bool (N, W, W)."""
    signed_NP = 2 * uniforms_NP - 1
    threshold_N11 = (-0.5 - 0.9 * signed_NP[:, 0])[:, None, None]
    coarse = np.linspace(-0.95, 0.95, 32, dtype=np.float32)
    box_N = np.broadcast_to(coarse, (len(template_N), len(coarse)))
    ink_NYX: np.ndarray = _sample(templates_TSS, template_N, _bend(box_N, box_N, signed_NP[:, 2:])) > threshold_N11
    left_N, right_N = _extent(np.any(ink_NYX, axis=1), coarse)
    top_N, bottom_N = _extent(np.any(ink_NYX, axis=2), coarse)
    aspect_N = (right_N - left_N) / (bottom_N - top_N)
    width_N = np.clip(BITMAP_PX * aspect_N * (0.85 + 0.15 * signed_NP[:, 1]), MIN_WIDTH_PX, MAX_WIDTH_PX)
    pixel = np.arange(BITMAP_PX, dtype=np.float32) + 0.5
    x_NW = (left_N + right_N)[:, None] / 2 + (pixel - BITMAP_PX / 2) * ((right_N - left_N) / width_N)[:, None]
    y_NW = top_N[:, None] + pixel * ((bottom_N - top_N) / BITMAP_PX)[:, None]
    return _sample(templates_TSS, template_N, _bend(x_NW, y_NW, signed_NP[:, 2:])) > threshold_N11


def _bend(x_NW: np.ndarray, y_NW: np.ndarray, signed_NP: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where in the template the points of a grid come from: an affine map, then two smooth waves per axis."""
    p = (signed_NP[:, index, None, None] for index in range(signed_NP.shape[1]))
    x, y = x_NW[:, None, :], y_NW[:, :, None]
    turn, shear = 0.2 * next(p), 0.35 * next(p)
    u = (1 + 0.12 * next(p)) * x + (shear + turn) * y
    v = (1 + 0.12 * next(p)) * y - turn * x
    for amplitude, frequency in ((0.09, 2.5), (0.05, 4.5)):
        u, v = (
            u + amplitude * next(p) * np.sin(frequency * v + np.pi * next(p)),
            v + amplitude * next(p) * np.sin(frequency * u + np.pi * next(p)),
        )
    return u, v


def _sample(templates_TSS: np.ndarray, template_N: np.ndarray, points: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The template's nearest value at each point; a bitmap's 4x4 blocks average the jaggedness away."""
    u_px, v_px = (np.clip((t + 1) * (TEMPLATE_PX / 2), 0, TEMPLATE_PX - 1).astype(np.intp) for t in points)
    return templates_TSS[template_N[:, None, None], v_px, u_px]


def _extent(ink_NC: np.ndarray, coordinates_C: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last coordinate with ink."""
    last = ink_NC.shape[1] - 1
    half = (coordinates_C[1] - coordinates_C[0]) / 2
    return coordinates_C[ink_NC.argmax(1)] - half, coordinates_C[last - ink_NC[:, ::-1].argmax(1)] + half


def _counts(bitmaps_NWW: np.ndarray) -> np.ndarray:
    """Dark pixels in each 4x4 block, 0..16 (N, 8, 8): the reduction of NIST's preprocessing (Garris et al. 1994)."""
    block = BITMAP_PX // COUNTS_PX
    return bitmaps_NWW.reshape(-1, COUNTS_PX, block, COUNTS_PX, block).sum(axis=(2, 4))
