"""How alike copies are to their pictures, and different pictures to each other, by the measures that find twins:

    python tools/measure_twins.py ROOT

ROOT holds photographs. Prints quantiles of both measures for each way to change a copy, then, of all pairs that are
worth a second look, how many have which correlation of detail. The thresholds of tl_sweep/data/twins.py stem from it.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image, ImageEnhance

from tl_sweep.config.schema import DataConfig
from tl_sweep.data import twins
from tl_sweep.data.likeness import correlation, detail_correlation, detail_of, features_of, small
from tl_sweep.data.sources.registry import open_data

COPIES = 100


def cut(image: Image.Image, share: float) -> Image.Image:
    left, top = int(share * image.width), int(share * image.height)
    return image.crop((left, top, image.width - left, image.height - top))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "stored anew": lambda image: image,
    "half the size": lambda image: image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "a quarter turn": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "brighter by a fifth": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "cut by 3 % a side": lambda image: cut(image, 0.03),
    "cut by 8 % a side": lambda image: cut(image, 0.08),
    "turned by 3 degrees": lambda image: image.rotate(3, Image.Resampling.BICUBIC),
}


def stored(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=75)
    return Image.open(io.BytesIO(file.getvalue()))


def main() -> None:
    root = Path(sys.argv[1])
    features_of([])  # so that imports are not part of what is measured
    with TemporaryDirectory() as memory:
        config = DataConfig(name="image_folder", root=str(root), subset_seed=0, near_duplicates="ignore")
        started_s = time.perf_counter()
        images = open_data(config, Path(memory))
        looked_s = time.perf_counter()
        twins.find_twins(images, Path(memory))
        first_s, search_s = looked_s - started_s, time.perf_counter() - looked_s
    print(f"first look {first_s:.2f} s, search for twins {search_s:.2f} s: {search_s / first_s:.2f} of it\n")
    chosen = np.random.default_rng(0).choice(len(images), min(COPIES, len(images)), replace=False).tolist()
    print(f"{'copy':22} small: least, 5 %, half   detail: least, 5 %, half")
    for name, change in CHANGES.items():
        pictures = [images.open_image(index).convert("RGB") for index in chosen]
        copies = [stored(change(picture)) for picture in pictures]
        smalls = [[small(image.convert("L")) for image in some] for some in (pictures, copies)]
        details = [
            detail_correlation(detail_of(one), detail_of(other)) for one, other in zip(pictures, copies, strict=True)
        ]
        measured = [np.quantile(values, (0, 0.05, 0.5)) for values in (correlation(*smalls), details)]
        print(f"{name:22} " + "   ".join("  ".join(f"{value:6.3f}" for value in values) for values in measured))
    pairs = twins.candidates(images)
    values = [
        detail_correlation(detail_of(images.open_image(one)), detail_of(images.open_image(other)))
        for one, other, _ in pairs
    ]
    counts, edges = np.histogram(values, bins=np.arange(-0.1, 1.01, 0.1))
    print(f"\n{len(pairs)} pairs of {len(images)} pictures are worth a second look; their correlation of detail:")
    for count, low in zip(counts, edges, strict=False):
        print(f"  {low:4.1f} to {low + 0.1:3.1f}: {count}")
    print(
        f"  highest below {twins.SAME_DETAIL}: {max((v for v in values if v <= twins.SAME_DETAIL), default=0):.2f}, ",
        end="",
    )
    print(f"lowest above: {min((v for v in values if v > twins.SAME_DETAIL), default=1):.2f}")


if __name__ == "__main__":
    main()
