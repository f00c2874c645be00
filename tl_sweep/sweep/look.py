"""A look at the data sets of a grid, without a job."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from tl_sweep.base.atomic_files import atomic_write
from tl_sweep.base.paths import expanded
from tl_sweep.config.schema import Config, local_path
from tl_sweep.data.imageset import LeftOut
from tl_sweep.data.inspection.page import Inspection, render
from tl_sweep.data.inspection.summary import lines_of, summarise
from tl_sweep.data.splits import split
from tl_sweep.models.catalog import default_preprocessing
from tl_sweep.run.inputs import open_and_keep

PAGE = "data.html"


def inspect(configs: Sequence[Config], page: str | None) -> None:
    """Print what was understood of each data set, and write its page; the second one's is ``data-2.html``.

    Raises:
        UserError: whatever would refuse a sweep of it.
    """
    distinct = list({repr(config.data): config for config in configs}.values())
    for number, config in enumerate(distinct, start=1):
        images = open_and_keep(config)
        summary = summarise(images, split(images, config.data), config.data.root)
        print("\n".join(lines_of(summary)))
        preprocessing = default_preprocessing(config.model, config.data.image_size, config.data.fit)
        file = expanded(page) if page else local_path(config.output.dir) / PAGE
        file = file if number == 1 else file.with_stem(f"{file.stem}-{number}")
        _write(file, render(Inspection(images, summary, preprocessing, config.num_workers)), images.left_out)


def _write(file: Path, page: str, left_out: Iterable[LeftOut]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(file) as path:
        path.write_text(page, encoding="utf-8")
    print(f"page: {file}")
    names = file.with_suffix(".csv")
    with atomic_write(names) as path, path.open("w", newline="", encoding="utf-8") as table:
        csv.writer(table).writerows([("file", "left out because"), *((one.name, one.reason) for one in left_out)])
    print(f"files that were left out: {names}")
