"""Sets that come with installed packages: handwritten digits, and the letters that stand in for a large source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tl_sweep.config.schema import DataConfig
from tl_sweep.data.imageset import Found, found_arrays
from tl_sweep.data.sources import glyphs
from tl_sweep.data.sources.contract import DataSource

DIGITS_TEST = 797


class Digits(DataSource[DataConfig]):
    """1797 handwritten digits, 8x8 counts (UCI; Alpaydin and Kaynak 1998). Their order follows the writers, so the
    last 797 are the test split: mostly other hands."""

    def find(self, config: DataConfig, data_dir: Path) -> Found:
        from sklearn.datasets import load_digits

        digits = load_digits()
        count = len(digits.target)
        return found_arrays(
            glyphs.counts_to_gray(digits.images),
            ids=[f"digits/{index:04d}" for index in range(count)],
            labels=digits.target,
            splits=["train"] * (count - DIGITS_TEST) + ["test"] * DIGITS_TEST,
            class_names=[str(name) for name in digits.target_names],
        )


@dataclass(frozen=True)
class Glyphs(DataSource[DataConfig]):
    """Printed glyphs. draw: images (N, H, W) uint8, labels (N,) and class names, the same each time."""

    name: str
    draw: Callable[[], tuple[np.ndarray, np.ndarray, tuple[str, ...]]]

    def find(self, config: DataConfig, data_dir: Path) -> Found:
        images_NHW, labels_N, class_names = self.draw()
        ids = [f"{self.name}/{index:05d}" for index in range(len(labels_N))]
        return found_arrays(images_NHW, ids, labels_N, [""] * len(ids), class_names)


DIGITS = Digits()
LETTERS = Glyphs("letters", glyphs.letters)
LETTERS_CLEAN = Glyphs("letters_clean", glyphs.letters_clean)
