"""What a confusion matrix of many classes shows."""

from __future__ import annotations

import numpy as np


def most_confused(counts_KK: np.ndarray, most: int) -> list[int]:
    """Places of the classes with the most mistakes, as label or as answer, in their order; all where there are at most
    ``most``. counts_KK: rows are labels, columns predictions."""
    mistakes_K = counts_KK.sum(0) + counts_KK.sum(1) - 2 * counts_KK.diagonal()
    return sorted(np.argsort(-mistakes_K, kind="stable")[:most].tolist())
