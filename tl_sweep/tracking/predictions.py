"""The predictions of a run, one row per image: the file, its columns, writing and reading it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tl_sweep.base.atomic_files import atomic_write
from tl_sweep.base.errors import UserError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

PREDICTIONS = "predictions.parquet"
PROBABILITY = "p/"  # a column per class begins with it


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What a run made of a split. images: names and labels (an arrow table), in the order of ``correct_N``."""

    images: pa.Table
    predicted_N: pa.ChunkedArray
    correct_N: np.ndarray


@lru_cache(maxsize=4096)
def read_outcomes(path: Path) -> dict[str, Outcomes]:
    """By split, ``val`` and ``test``.

    Raises:
        UserError: the file is damaged, or may not be read.
    """
    import pyarrow as pa
    import pyarrow.compute as arrow
    import pyarrow.parquet as parquet

    try:
        with parquet.ParquetFile(path) as file:  # read_table takes twice as long for a file this small
            table = file.read(columns=["split", "id", "label", "predicted"], use_threads=False)
    except pa.ArrowInvalid as error:
        raise UserError(f"{path} is damaged") from error
    except PermissionError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    splits = {split: table.filter(arrow.equal(table["split"], split)) for split in ("val", "test")}
    return {
        split: Outcomes(
            images=part.select(["id", "label"]),
            predicted_N=part["predicted"],
            correct_N=arrow.equal(part["label"], part["predicted"]).to_numpy(zero_copy_only=False).astype(bool),
        )
        for split, part in splits.items()
    }


def test_frame(path: Path) -> pd.DataFrame:
    """The rows of the test images."""
    import pandas as pd

    frame = pd.read_parquet(path)
    return frame[frame["split"] == "test"].reset_index(drop=True)


def prediction_frame(
    split: str, ids: Sequence[str], labels_N: np.ndarray, class_names: Sequence[str], probabilities_NK: np.ndarray
) -> pd.DataFrame:
    """One row per image: split, id, label, predicted, and a probability per class."""
    import pandas as pd

    frame = pd.DataFrame(
        {
            "split": split,
            "id": list(ids),
            "label": [class_names[label] for label in labels_N],
            "predicted": [class_names[k] for k in probabilities_NK.argmax(1).tolist()],
        }
    )
    return frame.assign(**{PROBABILITY + name: probabilities_NK[:, k] for k, name in enumerate(class_names)})


def write_predictions(frames: Sequence[pd.DataFrame], folder: Path) -> None:
    """The whole file or none, whatever happens meanwhile."""
    import pandas as pd

    with atomic_write(folder / PREDICTIONS) as file:
        pd.concat(frames).to_parquet(file, index=False)


def read_probabilities(folder: Path, split: str, class_names: Sequence[str]) -> np.ndarray:
    """Of a split's images, float64 (N, K)."""
    import pandas as pd

    frame = pd.read_parquet(folder / PREDICTIONS)
    return frame[frame["split"] == split][[PROBABILITY + name for name in class_names]].to_numpy()
