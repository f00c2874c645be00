"""How often resamples choose the same on validation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np


def share_that_choose(
    correct: Sequence[Sequence[np.ndarray]],
    losses: Sequence[float],
    chosen: int,
    image_sets: Sequence[int] | None = None,
    resamples: int = 500,
) -> float:
    """Share of resamples of seeds and validation images in which the setting ``chosen`` is chosen again.

    correct: per seed and setting, which validation images are right; the images of a seed are the same for each
    setting. losses: mean validation loss per setting, which decides between equal accuracies, as it did in the choice.
    image_sets: a number per seed, the same for seeds with the same images, which are drawn once for all of them; None:
    each has its own.
    Seeds are drawn with replacement, images with replacement within each (bootstrap; Efron 1979). It starts from what
    was seen, so between equals it is larger than the chance in a fresh study (docs/statistics.md).
    """
    rng = np.random.default_rng(0)
    accuracy_SBK = np.stack(
        [
            _draws(number, len(settings[0]), resamples) @ np.stack(settings, 1).astype(np.float32) / len(settings[0])
            for number, settings in zip(image_sets or range(len(correct)), correct, strict=True)
        ]
    )
    shares_BS = rng.multinomial(len(correct), np.full(len(correct), 1 / len(correct)), resamples) / len(correct)
    mean_BK = np.einsum("bs,sbk->bk", shares_BS, accuracy_SBK)
    order_K = np.argsort(losses, kind="stable")  # of equal accuracies, the first has the smaller loss
    winners_B = order_K[np.argmax(mean_BK[:, order_K].round(6), axis=1)]
    return float((winners_B == chosen).mean())


@lru_cache(maxsize=16)
def _draws(number: int, count: int, resamples: int) -> np.ndarray:
    """(resamples, count): how often each image is drawn; the same for every cell's seed of this number."""
    drawn = np.random.default_rng([number, count]).multinomial(count, np.full(count, 1 / count), resamples)
    return drawn.astype(np.float32)  # small whole numbers: their sums are exact
