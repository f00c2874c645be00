"""Class and probability for images, by a finished run, on its own preprocessing:

    python -m tl_sweep.predict run=best IMAGE_OR_FOLDER... [out=predictions.csv]

prints or writes a row per image: file, class, its probability, and ``p/<class>`` for every class.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tl_sweep.base.arguments import argument, read_with_words
from tl_sweep.base.command_line import errors_for_people, format_of, write
from tl_sweep.base.errors import UserError
from tl_sweep.run.which import Places, RunArguments, which_run

BATCH_SIZE = 32


FORMATS = ("csv", "json")


@dataclass(frozen=True)
class Arguments(RunArguments):
    format: str = argument("", "how rows are written, one per image; not given: csv, or as out says", choices=FORMATS)
    out: Path | None = argument(None, "a file to write to, instead of printing", suffixes=(".csv", ".json"))


def predict(text: str, places: Places, paths: list[Path]) -> Iterator[dict[str, str | float]]:
    """A row per image: file, predicted class, its probability, and ``p/<class>`` for every class.

    Raises:
        UserError: no such run (``text``: see ``tl_sweep.run.which``), an unreadable image, or a folder without images.
    """
    import torch

    from tl_sweep.data.decode import decode_files
    from tl_sweep.data.views import clean, normalise
    from tl_sweep.run.finished import checkpoint_of
    from tl_sweep.training.checkpoint import restore

    checkpoint = checkpoint_of(which_run(text, places), places)
    model, preprocessing = restore(checkpoint), checkpoint.preprocessing
    for first in range(0, len(paths), BATCH_SIZE):
        chunk = paths[first : first + BATCH_SIZE]
        images_BCWW = torch.from_numpy(decode_files(chunk, preprocessing, 2, checkpoint.reading))
        images_BCHW = clean(images_BCWW, preprocessing.image_px)
        with torch.inference_mode():
            probabilities_BK = model(normalise(images_BCHW, preprocessing)).softmax(1).tolist()
        for path, probabilities_K in zip(chunk, probabilities_BK, strict=True):
            best = max(range(len(probabilities_K)), key=probabilities_K.__getitem__)
            every = dict(zip((f"p/{name}" for name in checkpoint.class_names), probabilities_K, strict=True))
            yield {
                "file": str(path),
                "class": checkpoint.class_names[best],
                "probability": probabilities_K[best],
                **every,
            }


def find_images(words: list[str]) -> list[Path]:
    """The files named, and every image below the folders named, in order of their paths.

    Raises:
        UserError: a name that is not there, or a folder without an image.
    """
    from tl_sweep.data.layouts.listing import image_files

    found: list[Path] = []
    for path in map(Path, words):
        if not path.exists():
            raise UserError(f"{path}: no such file or folder")
        inside = image_files(path) if path.is_dir() else [path]
        if not inside:
            raise UserError(f"{path}: no image in this folder")
        found += inside
    return found


def main() -> None:
    with errors_for_people():
        arguments, words = read_with_words(Arguments, sys.argv[1:], __doc__)
        if not arguments.run or not words:
            raise UserError("which run, which images? python -m tl_sweep.predict run=best IMAGE_OR_FOLDER...")
        style = format_of(arguments.format, arguments.out, default="csv")
        rows = list(predict(arguments.run, arguments.places, find_images(words)))
        write(rows_as_json(rows) if style == "json" else rows_as_csv(rows), arguments.out)


def rows_as_json(rows: list[dict[str, str | float]]) -> str:
    return json.dumps(rows, indent=1, ensure_ascii=False)


def rows_as_csv(rows: list[dict[str, str | float]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().rstrip("\n")


if __name__ == "__main__":
    main()
