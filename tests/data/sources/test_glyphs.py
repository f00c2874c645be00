"""The embedded sources: digits as they come, letters made like them, clean letters unlike them."""

import string
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from tl_sweep.base.preprocessing import Preprocessing
from tl_sweep.config.schema import DataConfig
from tl_sweep.data.imageset import ImageSet
from tl_sweep.data.sources import glyphs
from tl_sweep.data.sources.registry import open_data
from tl_sweep.data.splits import split
from tl_sweep.data.views import clean

LOOK_ALIKES = "OQDISZBGilogqsyzbΟοΘθБЗЧЬЭОоэзчбьσδρϭ" + string.digits
TWINS = ["cCСсς", "AΑА", "HНΗ", "EΕЕ", "KΚКкκ", "MΜМм", "PРΡрρ", "TΤТт", "XΧХхχx", "YΥΎ", "ΠПпπ", "ΦФфφ", "VνvѴ", "wW"]
PREPROCESSING = Preprocessing((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bilinear", image_px=32)


def opened(name: str) -> ImageSet:
    return open_data(DataConfig(name=name), Path("unused"))


@pytest.fixture(scope="module")
def letters_counts() -> np.ndarray:
    """Counts 0..16 inside the border, (N, 8, 8)."""
    return glyphs.letters()[0][:, 1:-1, 1:-1] * (16 / 255)


def test_digits_are_split_in_blocks() -> None:
    images = opened("digits")
    parts = split(images, DataConfig(name="digits", shots=10, subset_seed=0))
    assert (len(images), images.class_names) == (1797, tuple("0123456789"))
    assert parts.test.tolist() == list(range(1000, 1797))
    assert (len(parts.train), len(parts.val)) == (80, 20)
    assert max(*parts.train, *parts.val) < 1000
    assert images.ids[17] == "digits/0017"


def test_digits_are_enlarged_counts() -> None:
    images_BCWW = opened("digits").decode(np.array([0, 3]), PREPROCESSING, num_workers=1).numpy()
    assert images_BCWW.shape == (2, 3, 37, 37)
    assert (images_BCWW[:, 0] == images_BCWW[:, 2]).all()
    centres = ((np.arange(1, 9) + 0.5) * 37 / 10).astype(int)
    expected = load_digits().images[3] * 255 / 16
    assert np.abs(images_BCWW[1, 0][np.ix_(centres, centres)] - expected).max() < 40


@pytest.mark.parametrize("name", ["letters", "letters_clean"])
def test_generation_is_the_same_every_time(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    generate = {"letters": glyphs.letters, "letters_clean": glyphs.letters_clean}[name].__wrapped__
    monkeypatch.setattr(glyphs, "IMAGES_PER_GLYPH", 3)
    (first_NHW, _, _), (second_NHW, _, _) = generate(), generate()
    assert (first_NHW == second_NHW).all()


def test_letters_are_many_and_balanced() -> None:
    images = opened("letters")
    assert 80 <= len(images.class_names) <= 110
    assert set(np.bincount(images.labels_N)) == {glyphs.IMAGES_PER_GLYPH}
    assert images.notes == ()


def test_letters_hold_no_look_alike_of_a_digit() -> None:
    assert not set(glyphs.GLYPHS) & set(LOOK_ALIKES)


@pytest.mark.parametrize("twins", TWINS)
def test_of_twins_across_alphabets_letters_hold_at_most_one(twins: str) -> None:
    assert len(set(glyphs.GLYPHS) & set(twins)) <= 1


def test_every_font_has_every_glyph() -> None:
    missing = {font: glyphs._render("\uffff", font, 40, 64).tobytes() for font in glyphs.FONTS}
    absent = [
        (glyph, font)
        for font in glyphs.FONTS
        for glyph in glyphs.GLYPHS
        if glyphs._render(glyph, font, 40, 64).tobytes() == missing[font]
    ]
    assert absent == []


def test_letters_are_counts_like_the_digits(letters_counts: np.ndarray) -> None:
    digits = load_digits().images
    assert letters_counts.shape[1:] == (8, 8)
    assert np.allclose(letters_counts, letters_counts.round(), atol=0.05)
    assert letters_counts.max() == pytest.approx(16)
    assert letters_counts.mean() == pytest.approx(digits.mean(), rel=0.2)


def test_letters_fill_their_box_as_the_digits_do(letters_counts: np.ndarray) -> None:
    """Full height; the outer columns nearly empty."""
    digits = load_digits().images
    for counts in (letters_counts, digits):
        assert (counts[:, 0].max(axis=1) > 0).mean() > 0.98
        assert counts[:, :, [0, 7]].mean() < 0.5


def test_glyphs_have_a_border_that_the_centre_crop_may_cut() -> None:
    images_NHW = glyphs.letters()[0]
    assert images_NHW.shape[1:] == (10, 10)
    assert images_NHW.sum() == images_NHW[:, 1:-1, 1:-1].sum()
    kept = clean(opened("letters").decode(np.array([0]), PREPROCESSING, num_workers=1), 32)
    whole = opened("letters").decode(np.array([0]), PREPROCESSING, num_workers=1)
    assert kept.sum() * 255 == pytest.approx(whole.sum().item(), rel=0.02)  # nothing of the glyph is cut off


def test_letters_of_a_class_differ(letters_counts: np.ndarray) -> None:
    assert len(np.unique(letters_counts.reshape(len(letters_counts), -1), axis=0)) > 0.99 * len(letters_counts)


def test_four_by_four_blocks_are_counted() -> None:
    bitmap = np.zeros((1, 32, 32), dtype=bool)
    bitmap[0, :4, :4] = True
    bitmap[0, 31, 28:] = True
    counts = glyphs._counts(bitmap)
    assert (counts[0, 0, 0], counts[0, 7, 7], counts.sum()) == (16, 4, 20)


def test_clean_letters_are_latin_upright_and_not_reduced() -> None:
    images_NHW, labels_N, class_names = glyphs.letters_clean()
    assert images_NHW.shape[1:] == (32, 32)
    assert set(class_names) <= set(string.ascii_letters)
    assert len(set(np.bincount(labels_N))) == 1
    assert not any("Oblique" in font or "Italic" in font for font in glyphs.CLEAN_FONTS)
