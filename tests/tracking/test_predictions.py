"""Predictions as they are written down and read back, of few classes and of many."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tl_sweep.tracking.predictions import (
    PREDICTIONS,
    class_names_of,
    prediction_frame,
    probabilities_in,
    read_outcomes,
    read_probabilities,
    recorded_groups,
    write_predictions,
)
from tl_sweep.tracking.predictions import (
    test_frame as rows_of_test,
)

N = 300
FIXTURES = Path(__file__).parents[1] / "fixtures"


def written(folder: Path, num_classes: int) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Probabilities (N, K) of the test images, their labels (N,), and the names of the K classes."""
    rng = np.random.default_rng(num_classes)
    logits_NK = rng.normal(0, 2, (N, num_classes))
    probabilities_NK = np.exp(logits_NK) / np.exp(logits_NK).sum(1, keepdims=True)
    labels_N, names = rng.integers(0, num_classes, N), tuple(f"class {k}" for k in range(num_classes))
    frames = [
        prediction_frame(split, ids, [f"group {n % 3}" for n in range(N)], labels_N, names, probabilities_NK)
        for split in ("val", "test")
        for ids in [[f"{split} {n}" for n in range(N)]]
    ]
    write_predictions(frames, names, folder)
    return probabilities_NK, labels_N, names


def test_the_group_of_each_image_comes_back(tmp_path: Path) -> None:
    written(tmp_path, 3)
    groups_N = recorded_groups(tmp_path / PREDICTIONS, "test")
    assert groups_N is not None
    assert groups_N.tolist() == [f"group {n % 3}" for n in range(N)]


def test_a_file_of_before_groups_were_recorded_has_none() -> None:
    (old,) = FIXTURES.glob("run_of_2026_11/*/predictions.parquet")
    assert recorded_groups(old, "test") is None


def test_of_few_classes_all_probabilities_come_back_exactly(tmp_path: Path) -> None:
    probabilities_NK, _, names = written(tmp_path, 100)
    np.testing.assert_array_equal(read_probabilities(tmp_path, "test", names), probabilities_NK)


def test_of_many_classes_the_largest_and_the_label_s_are_kept(tmp_path: Path) -> None:
    probabilities_NK, labels_N, names = written(tmp_path, 1000)
    assert read_probabilities(tmp_path, "test", names) is None
    frame = rows_of_test(tmp_path / PREDICTIONS)
    kept_NK = probabilities_in(frame, names)
    np.testing.assert_array_equal(kept_NK.argmax(1), probabilities_NK.argmax(1))
    np.testing.assert_allclose(kept_NK.max(1), probabilities_NK.max(1), rtol=1e-6)
    np.testing.assert_allclose(kept_NK.sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(frame["label_p"], probabilities_NK[np.arange(N), labels_N], rtol=1e-6)


@pytest.mark.parametrize(("num_classes", "most_bytes_per_row"), [(100, 900), (1000, 200)])
def test_a_row_stays_small(tmp_path: Path, num_classes: int, most_bytes_per_row: int) -> None:
    written(tmp_path, num_classes)
    assert (tmp_path / PREDICTIONS).stat().st_size < 2 * N * most_bytes_per_row


@pytest.mark.parametrize("num_classes", [3, 1000])
def test_what_was_right_and_the_classes_are_read_alike(tmp_path: Path, num_classes: int) -> None:
    probabilities_NK, labels_N, names = written(tmp_path, num_classes)
    outcomes = read_outcomes(tmp_path / PREDICTIONS)["test"]
    np.testing.assert_array_equal(outcomes.correct_N, probabilities_NK.argmax(1) == labels_N)
    assert class_names_of(tmp_path / PREDICTIONS) == names


def test_a_file_without_names_in_its_metadata_is_read_by_its_columns(tmp_path: Path) -> None:
    probabilities_NK, _, names = written(tmp_path, 3)
    pd.read_parquet(tmp_path / PREDICTIONS).to_parquet(tmp_path / "older.parquet", index=False)
    assert class_names_of(tmp_path / "older.parquet") == names
    np.testing.assert_array_equal(probabilities_in(rows_of_test(tmp_path / "older.parquet"), names), probabilities_NK)


def test_predictions_of_november_2026_are_read() -> None:
    (path,) = FIXTURES.glob(f"run_of_2026_11/*/{PREDICTIONS}")
    names = class_names_of(path)
    frame = rows_of_test(path)
    kept_NK = probabilities_in(frame, names)  # rounded afterwards, so that two may be the largest
    predicted_N = [names.index(name) for name in frame["predicted"]]
    np.testing.assert_array_equal(kept_NK[np.arange(len(frame)), predicted_N], kept_NK.max(1))
