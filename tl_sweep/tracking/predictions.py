"""The predictions of a run, one row per image: the file, its columns, writing and reading it.

Each row has split, id, group, label and predicted, and the probabilities: of few classes a column each, float64; of
many (``MANY_CLASSES``) the ``TOP`` largest as two lists, ``top`` (places of the classes) and ``top_p``, and
``label_p``, float32. The names of classes stand in the file's own metadata; where they do not (earlier versions), in
its columns.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tl_sweep.base.atomic_files import atomic_write
from tl_sweep.base.errors import UserError
from tl_sweep.tracking.names import MANY_CLASSES

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

PREDICTIONS = "predictions.parquet"
PROBABILITY = "p/"  # a column per class begins with it
GROUP = "group"  # of images that belong together; not in older files
TOP = 10  # a mistake is shown by the largest, and a top-5 accuracy needs five
CLASS_NAMES = b"class_names"


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


def recorded_groups(path: Path, split: str) -> np.ndarray | None:
    """(N,) what the group of each image of a split is called; None in files of before groups were recorded."""
    import pyarrow.parquet as parquet

    with parquet.ParquetFile(path) as file:
        if GROUP not in file.schema_arrow.names:
            return None
        frame = file.read(columns=["split", GROUP], use_threads=False).to_pandas()
    return frame[frame["split"] == split][GROUP].to_numpy()


def test_frame(path: Path) -> pd.DataFrame:
    """The rows of the test images."""
    import pandas as pd

    frame = pd.read_parquet(path)
    return frame[frame["split"] == "test"].reset_index(drop=True)


def prediction_frame(
    split: str,
    ids: Sequence[str],
    groups: Sequence[str],
    labels_N: np.ndarray,
    class_names: Sequence[str],
    probabilities_NK: np.ndarray,
) -> pd.DataFrame:
    """One row per image: split, id, the group that it belongs to, label, predicted, and probabilities."""
    import pandas as pd

    frame = pd.DataFrame(
        {
            "split": split,
            "id": list(ids),
            GROUP: list(groups),
            "label": [class_names[label] for label in labels_N],
            "predicted": [class_names[k] for k in probabilities_NK.argmax(1).tolist()],
        }
    )
    if len(class_names) <= MANY_CLASSES:
        return frame.assign(**{PROBABILITY + name: probabilities_NK[:, k] for k, name in enumerate(class_names)})
    top_NT = np.argsort(-probabilities_NK, axis=1, kind="stable")[:, :TOP]
    return frame.assign(
        top=list(top_NT.astype(np.int32)),
        top_p=list(np.take_along_axis(probabilities_NK, top_NT, axis=1).astype(np.float32)),
        label_p=probabilities_NK[np.arange(len(labels_N)), labels_N].astype(np.float32),
    )


def write_predictions(frames: Sequence[pd.DataFrame], class_names: Sequence[str], folder: Path) -> None:
    """The whole file or none, whatever happens meanwhile."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as parquet

    table = pa.Table.from_pandas(pd.concat(frames), preserve_index=False)
    said = {CLASS_NAMES: json.dumps(list(class_names)).encode()}
    with atomic_write(folder / PREDICTIONS) as file:
        parquet.write_table(table.replace_schema_metadata({**(table.schema.metadata or {}), **said}), file)


def class_names_of(path: Path) -> tuple[str, ...]:
    """In the order of their places."""
    import pyarrow.parquet as parquet

    schema = parquet.read_schema(path)
    if CLASS_NAMES in (schema.metadata or {}):
        return tuple(json.loads(schema.metadata[CLASS_NAMES]))
    return tuple(name.removeprefix(PROBABILITY) for name in schema.names if name.startswith(PROBABILITY))


def probabilities_in(frame: pd.DataFrame, class_names: Sequence[str]) -> np.ndarray:
    """Float64 (N, K). Where only the largest were kept, the other classes share what is left equally."""
    if "top" not in frame:
        return frame[[PROBABILITY + name for name in class_names]].to_numpy()
    top_NT, largest_NT = np.stack(frame["top"].to_list()), np.stack(frame["top_p"].to_list()).astype(np.float64)
    left_N = np.clip(1 - largest_NT.sum(1), 0, None) / (len(class_names) - top_NT.shape[1])
    probabilities_NK = np.repeat(left_N[:, None], len(class_names), axis=1)
    np.put_along_axis(probabilities_NK, top_NT, largest_NT, axis=1)
    return probabilities_NK


def read_probabilities(folder: Path, split: str, class_names: Sequence[str]) -> np.ndarray | None:
    """Of a split's images, float64 (N, K), as they were computed; None: there are none, or only the largest."""
    import pandas as pd

    if not (folder / PREDICTIONS).exists():
        return None
    frame = pd.read_parquet(folder / PREDICTIONS)
    return None if "top" in frame else probabilities_in(frame[frame["split"] == split], class_names)
