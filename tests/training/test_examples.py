"""Images as a model sees them: decoded once, wherever they then lie, and the same from each place."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from image_sets import image_set
from PIL import Image
from torch import Tensor

from tl_sweep.array_store.segments import StoreFull
from tl_sweep.array_store.store import RowStore
from tl_sweep.base.errors import UserError
from tl_sweep.base.preprocessing import Preprocessing
from tl_sweep.config.schema import AugmentConfig
from tl_sweep.data.views import ViewPlan
from tl_sweep.training import examples
from tl_sweep.training.examples import DecodedImages, Examples

PREPROCESSING = Preprocessing((0.5, 0.4, 0.3), (0.2, 0.3, 0.4), "bilinear", image_px=14)
WORKING_PX = 16
PLAIN = AugmentConfig(name="none")


@dataclass
class Camera:
    """Images of one gray each, ten times their index, and how often each was opened."""

    opened: list[int] = field(default_factory=list)

    def __call__(self, index: int) -> Image.Image:
        self.opened.append(index)
        return Image.new("RGB", (20, 20), (10 * index,) * 3)


@pytest.fixture
def camera() -> Camera:
    return Camera()


@pytest.fixture
def decoded(camera: Camera) -> Callable[..., DecodedImages]:
    def make(store: RowStore | None = None, indices: tuple[int, ...] = (5, 2, 7, 3)) -> DecodedImages:
        images = replace(image_set([0, 1] * 4), open_image=camera)
        return DecodedImages(images, np.array(indices), PREPROCESSING, 1, store, torch.device("cpu"))

    return make


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RowStore]:
    with RowStore(tmp_path / "rows", 1e9) as store:
        yield store


def grays(images_BCWW: Tensor) -> list[int]:
    """Of images that are one gray each."""
    assert images_BCWW.dtype == torch.uint8
    assert images_BCWW.shape[1:] == (3, WORKING_PX, WORKING_PX)
    values_B = images_BCWW[:, 0, 0, 0]
    assert (images_BCWW == values_B[:, None, None, None]).all()
    return [int(value) for value in values_B]


# --- decoded images


def test_places_count_within_the_split_and_may_repeat(decoded: Callable[..., DecodedImages]) -> None:
    assert grays(decoded().take(np.array([0, 3, 0]))) == [50, 30, 50]


def test_in_memory_every_image_is_decoded_once(decoded: Callable[..., DecodedImages], camera: Camera) -> None:
    images = decoded()
    assert camera.opened == []  # nobody has asked
    for places in ([0], [1, 2], [0, 1, 2, 3]):
        images.take(np.array(places))
    assert sorted(camera.opened) == [2, 3, 5, 7]


def test_where_memory_is_short_images_are_decoded_anew_each_time(
    decoded: Callable[..., DecodedImages], camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed_bytes = 4 * 3 * WORKING_PX**2
    monkeypatch.setattr(examples, "memory_bytes", lambda: 4 * needed_bytes - 1)  # a quarter of it may be filled
    images = decoded()
    assert grays(images.take(np.array([2]))) == grays(images.take(np.array([2]))) == [70]
    assert camera.opened == [7, 7]


def test_a_store_is_filled_once_and_by_all_splits(
    decoded: Callable[..., DecodedImages], camera: Camera, store: RowStore
) -> None:
    assert grays(decoded(store).take(np.array([1, 0]))) == [20, 50]
    assert sorted(camera.opened) == [2, 3, 5, 7]
    assert grays(decoded(store, (3, 4)).take(np.array([0, 1]))) == [30, 40]
    assert sorted(camera.opened) == [2, 3, 4, 5, 7]


def test_what_is_taken_from_a_store_may_be_written_to(decoded: Callable[..., DecodedImages], store: RowStore) -> None:
    images = decoded(store)
    images.take(np.array([0])).zero_()
    assert grays(images.take(np.array([0]))) == [50]


def test_a_full_store_is_told_and_memory_takes_its_place(
    decoded: Callable[..., DecodedImages],
    camera: Camera,
    store: RowStore,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def no_room(wanted_bytes: float) -> None:
        raise StoreFull("no room")

    monkeypatch.setattr(store, "make_room", no_room)
    images = decoded(store)
    with caplog.at_level(logging.WARNING):
        assert grays(images.take(np.array([3]))) == [30]
        images.take(np.array([3]))
    assert caplog.messages == ["cache: no room; decoded images are not kept on disk"]
    assert camera.opened.count(3) <= 2  # once for the store, in vain


def test_an_image_that_became_unreadable_is_named(decoded: Callable[..., DecodedImages]) -> None:
    def gone(index: int) -> Image.Image:
        raise OSError("gone")

    images = decoded()
    images.images = replace(images.images, open_image=gone)
    with pytest.raises(UserError, match="image5"):
        images.take(np.array([0]))


# --- examples


@pytest.fixture
def shown(decoded: Callable[..., DecodedImages]) -> Callable[[AugmentConfig], Examples]:
    def make(augment: AugmentConfig) -> Examples:
        images = decoded()
        hashes_N16, labels_N = images.images.hashes_N[images.indices_N], images.images.labels_N[images.indices_N]
        views = ViewPlan(augment, flips="none")
        return Examples(images, torch.tensor(labels_N), hashes_N16, ("a", "b"), PREPROCESSING, views)

    return make


def test_labels_are_those_of_the_places(shown: Callable[[AugmentConfig], Examples]) -> None:
    images = shown(PLAIN)
    assert len(images) == 4
    assert images.labels(np.array([3, 1, 0])).tolist() == [1, 0, 1]


def test_inputs_are_normalised_centre_crops_with_channels_last(shown: Callable[[AugmentConfig], Examples]) -> None:
    inputs_BCHW = shown(PLAIN).inputs(np.array([2, 0]), epoch=None)
    assert (inputs_BCHW.dtype, inputs_BCHW.shape) == (torch.float32, (2, 3, 14, 14))
    assert inputs_BCHW.is_contiguous(memory_format=torch.channels_last)
    for image_CHW, gray in zip(inputs_BCHW, (70, 50), strict=True):
        for channel_HW, mean, std in zip(image_CHW, PREPROCESSING.mean, PREPROCESSING.std, strict=True):
            torch.testing.assert_close(channel_HW, torch.full((14, 14), (gray / 255 - mean) / std))


def test_an_epoch_sees_its_own_view_and_evaluation_the_clean_one(shown: Callable[[AugmentConfig], Examples]) -> None:
    images, places = shown(replace(PLAIN, name="light", brightness=0.5, views=2)), np.array([1])
    clean, first, second, third = (images.inputs(places, epoch) for epoch in (None, 0, 1, 2))
    assert torch.equal(clean, first)  # of finite views the first is clean
    assert not torch.equal(clean, second)
    assert torch.equal(clean, third)  # and they come round
