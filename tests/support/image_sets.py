"""Sets of images without pixels, for what looks at labels, contents and groups alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tl_sweep.data.file_records import content_hash
from tl_sweep.data.imageset import ImageSet


def image_set(
    labels: Sequence[int], contents: Sequence[object] | None = None, own: Sequence[str] = (), groups: Sequence[str] = ()
) -> ImageSet:
    """Images without pixels; ``contents`` (default: all different) stand for the bytes of each."""
    hashes = [content_hash(str(content).encode()) for content in contents or range(len(labels))]
    return ImageSet(
        name="made_up",
        class_names=tuple("abcdefgh"[: max(labels) + 1]),
        labels_N=np.array(labels),
        hashes_N=np.frombuffer(b"".join(hashes), dtype=np.uint8).reshape(-1, 16),
        ids=tuple(f"image{index}" for index in range(len(labels))),
        own_split_N=np.array(own or [""] * len(labels), dtype="U5"),
        groups_N=np.array(groups) if len(groups) else None,
        notes=(),
        fingerprint="",
        open_image=lambda index: pytest.fail("a split needs no pixels"),
    )


def reordered(images: ImageSet, order: np.ndarray) -> ImageSet:
    return replace(
        images,
        labels_N=images.labels_N[order],
        hashes_N=images.hashes_N[order],
        ids=tuple(images.ids[index] for index in order),
        own_split_N=images.own_split_N[order],
        groups_N=None if images.groups_N is None else images.groups_N[order],
    )
