"""Views: the same draw for the same image, whatever surrounds it; and geometry and colour checked by hand."""

import numpy as np
import pytest
import torch

from tl_sweep.base.preprocessing import Preprocessing
from tl_sweep.config.schema import AugmentConfig
from tl_sweep.data.views import VIEW_PARAMETERS, ViewPlan, apply, clean, draw, draw_batch, normalise

STRONG = AugmentConfig(
    name="strong",
    crop_scale_min=0.25,
    aspect=1.33,
    rotation_deg=15,
    brightness=0.3,
    contrast=0.3,
    saturation=0.3,
    erase=0.3,
)
HASHES_N16 = np.random.default_rng(0).integers(0, 256, (8, 16), dtype=np.uint8)
STORE_NCHW = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (8, 3, 36, 36), dtype=np.uint8))
IDENTITY = {"affine_xx": 1.0, "affine_yy": 1.0, "brightness": 1.0, "contrast": 1.0, "saturation": 1.0}


def parameters(**given: float) -> np.ndarray:
    """One view that changes nothing but what is given, (1, P)."""
    values = {**dict.fromkeys(VIEW_PARAMETERS, 0.0), **IDENTITY, **given}
    return np.array([list(values.values())], dtype=np.float32)


def named(seed: int = 0, view: int = 1, augment: AugmentConfig = STRONG, flips: str = "none") -> dict[str, np.ndarray]:
    """Parameters of 500 images by name, each (500,)."""
    hashes = np.random.default_rng(2).integers(0, 256, (500, 16), dtype=np.uint8)
    return dict(zip(VIEW_PARAMETERS, draw_batch(seed, hashes, view, augment, flips).T, strict=True))


def test_a_draw_is_the_same_for_ever() -> None:
    affine = [0.5678, -0.1539, -0.2479, -0.1439, -0.6073, 0.0079]
    expected = [*affine, 1.2827, 0.9683, 1.2642, -0.508, 0.1005, 0.1765]
    assert draw(3, bytes(range(16)), 2, STRONG, "both") == pytest.approx(expected, abs=1e-4)


def test_a_draw_does_not_depend_on_the_batch() -> None:
    whole = draw_batch(0, HASHES_N16, 1, STRONG, "both")
    subset = draw_batch(0, HASHES_N16[[5, 2]], 1, STRONG, "both")
    assert (subset == whole[[5, 2]]).all()


@pytest.mark.parametrize(
    ("seed", "content", "view"), [(1, 0, 1), (0, 1, 1), (0, 0, 2)], ids=["seed", "content", "view"]
)
def test_a_draw_depends_on(seed: int, content: int, view: int) -> None:
    first = draw(0, HASHES_N16[0].tobytes(), 1, STRONG, "none")
    other = draw(seed, HASHES_N16[content].tobytes(), view, STRONG, "none")
    assert (first != other).all()


def test_draws_stay_inside_the_square_and_the_ranges() -> None:
    upright = AugmentConfig(name="upright", crop_scale_min=0.25, aspect=2.0, brightness=0.3, erase=0.4)
    drawn = named(augment=upright)
    width, height = drawn["affine_xx"], drawn["affine_yy"]
    assert (np.abs(drawn["affine_x"]) + width <= 1 + 1e-6).all()
    assert (np.abs(drawn["affine_y"]) + height <= 1 + 1e-6).all()
    assert 0.2 < (width * height).min() < 0.3
    assert (width / height).min() == pytest.approx(0.5, abs=0.05)
    assert (width / height).max() == pytest.approx(2, abs=0.1)
    assert 0.7 <= drawn["brightness"].min() < 0.72
    assert 1.28 < drawn["brightness"].max() <= 1.3
    assert 0.38 < drawn["erase_half"].max() <= 0.4
    assert (drawn["contrast"] == 1).all()


@pytest.mark.parametrize(("flips", "x", "y"), [("none", 0, 0), ("horizontal", 0.5, 0), ("both", 0.5, 0.5)])
def test_flips_are_drawn_for_half_the_images(flips: str, x: float, y: float) -> None:
    drawn = named(flips=flips)
    assert (drawn["affine_xx"] < 0).mean() == pytest.approx(x, abs=0.1)
    assert (drawn["affine_yy"] < 0).mean() == pytest.approx(y, abs=0.1)


@pytest.mark.parametrize("flips", ["none", "both"])
def test_an_image_alone_and_in_a_batch_are_bit_for_bit_equal(flips: str) -> None:
    parameters_BP = draw_batch(0, HASHES_N16, 1, STRONG, flips)
    together = apply(STORE_NCHW, parameters_BP, 32)
    for index in range(len(HASHES_N16)):
        alone = apply(STORE_NCHW[[index]], parameters_BP[[index]], 32)
        assert torch.equal(alone[0], together[index])


def test_neutral_colours_change_no_bit_beside_a_coloured_neighbour() -> None:
    both = np.concatenate([parameters(), parameters(saturation=0.5, contrast=0.7, brightness=1.2)])
    alone = apply(STORE_NCHW[:1], parameters(), 32)
    assert torch.equal(apply(STORE_NCHW[:2], both, 32)[0], alone[0])


def test_the_identity_view_of_the_whole_square() -> None:
    view = apply(STORE_NCHW, np.repeat(parameters(), 8, axis=0), 36)
    assert torch.allclose(view, STORE_NCHW / 255, atol=1e-5)


@pytest.mark.parametrize(
    ("given", "dims"), [({"affine_xx": -1.0}, [3]), ({"affine_yy": -1.0}, [2])], ids=["left-right", "upside-down"]
)
def test_a_flip_mirrors(given: dict[str, float], dims: list[int]) -> None:
    view = apply(STORE_NCHW[:1], parameters(**given), 36)
    assert torch.allclose(view, (STORE_NCHW[:1] / 255).flip(dims), atol=1e-5)


def test_a_quarter_turn() -> None:
    view = apply(STORE_NCHW[:1], parameters(affine_xx=0, affine_xy=-1, affine_yx=1, affine_yy=0), 36)
    assert torch.allclose(view, torch.rot90(STORE_NCHW[:1] / 255, 1, (2, 3)), atol=1e-5)


def test_a_crop_of_the_upper_left_quarter() -> None:
    crop = parameters(affine_xx=0.5, affine_yy=0.5, affine_x=-0.5, affine_y=-0.5)
    view = apply(STORE_NCHW[:1], crop, 18)
    assert torch.allclose(view, STORE_NCHW[:1, :, :18, :18] / 255, atol=1e-5)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({"brightness": 1.2}, (120, 180, 60), id="brightness"),
        pytest.param({"contrast": 0.5}, (113.75, 138.75, 88.75), id="contrast about 127.5"),
        # luma = 0.299*100 + 0.587*150 + 0.114*50 = 123.65
        pytest.param({"saturation": 0.0}, (123.65, 123.65, 123.65), id="saturation"),
        pytest.param({"brightness": 1.2, "contrast": 0.5}, (123.75, 153.75, 93.75), id="brightness, then contrast"),
    ],
)
def test_colours_by_hand(given: dict[str, float], expected: tuple[float, float, float]) -> None:
    colour_BCHW = torch.tensor([100, 150, 50], dtype=torch.uint8)[None, :, None, None].expand(1, 3, 36, 36)
    view = apply(colour_BCHW, parameters(**given), 32) * 255
    assert torch.allclose(
        view, torch.tensor(expected, dtype=torch.float32)[None, :, None, None].expand_as(view), atol=1e-3
    )


def test_colours_stay_within_0_and_1() -> None:
    white_BCHW = torch.full((1, 3, 36, 36), 255, dtype=torch.uint8)
    assert apply(white_BCHW, parameters(brightness=1.3), 32).max() == 1


def test_an_erased_square_is_gray() -> None:
    view = apply(torch.zeros(1, 3, 36, 36, dtype=torch.uint8), parameters(erase_half=0.5), 32)
    assert (view[:, :, 8:24, 8:24] == 0.5).all()
    assert view.sum() == 0.5 * 3 * 16 * 16


def test_the_clean_view_is_the_exact_centre_crop() -> None:
    assert torch.equal(clean(STORE_NCHW, 32), STORE_NCHW[:, :, 2:34, 2:34] * torch.tensor(1 / 255))


def test_normalise() -> None:
    preprocessing = Preprocessing((0.5, 0.25, 0.0), (0.5, 0.25, 1.0), "bilinear", 32)
    images_BCHW = torch.tensor([1.0, 0.5, 0.25])[None, :, None, None]
    assert normalise(images_BCHW, preprocessing).flatten().tolist() == [1, 1, 0.25]


@pytest.mark.parametrize(
    ("views", "numbers"),
    [(None, [1, 2, 3, 4, 5]), (1, [None] * 5), (3, [None, 1, 2, None, 1])],
    ids=["fresh", "one", "three"],
)
def test_which_view_an_epoch_sees(views: int | None, numbers: list[int | None]) -> None:
    plan = ViewPlan(AugmentConfig(name="a", views=views, crop_scale_min=0.5), "none")
    assert [plan.view(epoch) for epoch in range(5)] == numbers


def test_no_augmentation_is_always_clean() -> None:
    plan = ViewPlan(AugmentConfig(name="none", mixup=0.2), "both")
    assert [plan.view(epoch) for epoch in range(3)] == [None, None, None]


def test_images_of_an_epoch() -> None:
    plan = ViewPlan(AugmentConfig(name="a", views=2, crop_scale_min=0.5, seed=7), "horizontal")
    indices = np.array([6, 1])
    assert torch.equal(plan.images(STORE_NCHW[[6, 1]], HASHES_N16[indices], 2, 32), clean(STORE_NCHW[[6, 1]], 32))
    drawn = draw_batch(7, HASHES_N16[indices], 1, plan.augment, "horizontal")
    seen = plan.images(STORE_NCHW[[6, 1]], HASHES_N16[indices], 3, 32)
    assert torch.equal(seen, apply(STORE_NCHW[[6, 1]], drawn, 32))
    assert torch.equal(plan.images(STORE_NCHW[[6, 1]], HASHES_N16[indices], 1, 32), seen)
