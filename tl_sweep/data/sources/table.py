"""One's own images, their classes in a table (``tl_sweep.data.layouts.tables``)."""

from __future__ import annotations

from pathlib import Path

from tl_sweep.base.errors import UserError, did_you_mean
from tl_sweep.base.paths import expanded
from tl_sweep.config.schema import DataConfig
from tl_sweep.data.files import found_files
from tl_sweep.data.imageset import Found
from tl_sweep.data.layouts.class_names import with_one_name_each
from tl_sweep.data.layouts.listing import look_through
from tl_sweep.data.layouts.tables import by_tables
from tl_sweep.data.reading import reading_of
from tl_sweep.data.sources.contract import KEYS_OF_FILES, KEYS_OF_TABLES, DataSource
from tl_sweep.data.sources.image_folder import folder_of, labelled_files


class ImageTable(DataSource[DataConfig]):
    """A row per picture: which file, which class, maybe which split and group."""

    reads = frozenset({"root", "group"}) | KEYS_OF_FILES | KEYS_OF_TABLES

    def find(self, config: DataConfig, data_dir: Path) -> Found:
        """
        Raises:
            UserError: no table, or one that cannot be understood; a row without a picture; two rows that contradict
                each other; records that cannot be kept.
        """
        table = _file(config.table)
        root = folder_of(config.root) if config.root else table.parent
        found = look_through(root)
        understood = with_one_name_each(str(table), by_tables([table], found, config))
        return found_files(labelled_files(found, understood), data_dir, reading_of(config), verify=config.verify)


TABLE = ImageTable()


def _file(given: str | None) -> Path:
    if not given:
        raise UserError("data.table is missing: data=table needs data.table=<a csv, tsv, jsonl or parquet file>")
    table = expanded(given)
    if table.is_file():
        return table
    siblings = [path.name for path in table.parent.iterdir()] if table.parent.is_dir() else []
    raise UserError(f"data.table: there is no file {table}.{did_you_mean(table.name, siblings)}")
