"""The contract of a data source: what ``data.name`` names."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from tl_sweep.config.schema import DataConfig
from tl_sweep.data.imageset import Found

C = TypeVar("C", bound=DataConfig)
KEYS_OF_FILES = frozenset({"bands", "white", "page", "alpha", "max_megapixels"})  # read where pictures are files
KEYS_OF_TABLES = frozenset({"table", "file_column", "label_column", "split_column"})
OPTIONAL_KEYS = (
    KEYS_OF_FILES | KEYS_OF_TABLES | {"root", "group", "label_level", "label_pattern"}
)  # read by some sources only


class DataSource(ABC, Generic[C]):
    """Finds images, their labels, splits and groups, and says what it understood.

    It keeps nothing between calls: one object serves every configuration. A source with keys of its own has a subclass
    ``C`` of ``DataConfig`` with fields made by ``key``, registered in ``DATA_CONFIGS`` under the source's name. These
    keys are part of what a run is, but for those with ``role="execution"``.

    downloads: whether ``find`` may need a network. reads: which of ``OPTIONAL_KEYS`` make a difference to this source;
    its own always do.

    ``tests/support/data_source_contract.py`` holds every source to this.
    """

    downloads: ClassVar[bool] = False
    reads: ClassVar[frozenset[str]] = frozenset({"group"})

    @abstractmethod
    def find(self, config: C, data_dir: Path) -> Found:
        """Everything there is, readable or not, in an order that does not depend on how files are listed.

        ``data_dir`` is for downloads and for what is remembered of files; it need not exist. The same content is found
        alike each time: ids, labels, splits and hashes. ``Found.open_image`` is called from several threads.

        Raises:
            UserError: whatever a person must mend: which key or file, and what to do.
        """
