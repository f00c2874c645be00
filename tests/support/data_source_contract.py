"""What every data source must do: ``DataSource``'s contract as a test class to inherit from.

A subclass gives two fixtures: ``config``, with which its source finds a small set, and ``impossible``, with which it
must refuse (None where nothing can go wrong).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from tl_sweep.base.errors import UserError
from tl_sweep.config.keys import own_fields
from tl_sweep.config.loading import from_yaml
from tl_sweep.config.schema import DATA_CONFIGS, Config, DataConfig, to_dict
from tl_sweep.data.imageset import Found
from tl_sweep.data.sources.contract import OPTIONAL_KEYS
from tl_sweep.data.sources.registry import SOURCES, open_data

LOOKED_AT = 200  # images whose pixels are looked at


class BackwardsScan:
    """``os.scandir``, its entries in the opposite order."""

    def __init__(self, entries: Iterator[os.DirEntry[str]]) -> None:
        self.entries = reversed(list(entries))

    def __iter__(self) -> BackwardsScan:
        return self

    def __next__(self) -> os.DirEntry[str]:
        return next(self.entries)

    def __enter__(self) -> BackwardsScan:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class DataSourceContract:
    @pytest.fixture
    def config(self) -> DataConfig:
        raise NotImplementedError

    @pytest.fixture
    def impossible(self) -> DataConfig | None:
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def connections(self, monkeypatch: pytest.MonkeyPatch) -> list[object]:
        """The addresses that were asked for; there is no network."""
        asked: list[object] = []

        def refuse(*address: object, **_: object) -> None:
            asked.append(address)
            raise OSError("Network is unreachable")

        monkeypatch.setattr(socket, "getaddrinfo", refuse)
        monkeypatch.setattr(socket.socket, "connect", refuse)
        return asked

    @pytest.fixture
    def found(self, config: DataConfig, tmp_path: Path) -> Found:
        return SOURCES[config.name].find(config, tmp_path / "memory")

    def test_every_image_has_an_id_a_label_a_split_and_a_hash(self, found: Found) -> None:
        count = len(found.ids)
        assert count > 0
        assert found.labels_N.shape == found.splits_N.shape == (count,)
        assert found.hashes_N.shape == (count, 16)
        assert (found.labels_N.dtype, found.hashes_N.dtype) == (np.int64, np.uint8)
        assert found.groups_N is None or found.groups_N.shape == (count,)
        assert found.problems.keys() <= set(range(count))

    def test_ids_are_unique(self, found: Found) -> None:
        assert all(isinstance(name, str) and name for name in found.ids)
        assert len(set(found.ids)) == len(found.ids)

    def test_labels_are_places_in_the_class_names(self, found: Found) -> None:
        assert len(set(found.class_names)) == len(found.class_names)
        assert set(found.labels_N.tolist()) <= set(range(len(found.class_names)))

    def test_splits_are_named_or_left_to_us(self, found: Found) -> None:
        assert set(found.splits_N.tolist()) <= {"", "train", "val", "test"}

    def test_what_was_understood_is_said_in_words(self, found: Found) -> None:
        assert isinstance(found.notes, tuple)
        assert all(isinstance(note, str) and note for note in (*found.notes, *found.problems.values()))

    def test_hashes_are_equal_where_images_are(self, found: Found) -> None:
        readable = [index for index in range(len(found.ids)) if index not in found.problems][:LOOKED_AT]
        pixels = [np.asarray(found.open_image(index)).tobytes() for index in readable]
        hashes = [found.hashes_N[index].tobytes() for index in readable]
        assert len(set(zip(hashes, pixels, strict=True))) == len(set(hashes)) == len(set(pixels))

    def test_an_image_is_opened_anew_each_time(self, found: Found) -> None:
        index = next(index for index in range(len(found.ids)) if index not in found.problems)
        first, second = found.open_image(index), found.open_image(index)
        assert first is not second
        assert (np.asarray(first) == np.asarray(second)).all()

    def test_images_are_opened_by_several_threads(self, found: Found) -> None:
        readable = [index for index in range(len(found.ids)) if index not in found.problems][:LOOKED_AT]

        def pixels(index: int) -> bytes:
            return np.asarray(found.open_image(index)).tobytes()

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(pixels, readable)) == [pixels(index) for index in readable]

    def test_the_same_is_found_again(self, found: Found, config: DataConfig, tmp_path: Path) -> None:
        same(found, SOURCES[config.name].find(config, tmp_path / "memory"))
        same(found, SOURCES[config.name].find(config, tmp_path / "another memory"))

    def test_the_order_in_which_files_are_listed_plays_no_part(
        self, found: Found, config: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scandir, listdir = os.scandir, os.listdir
        monkeypatch.setattr(os, "scandir", lambda path=".": BackwardsScan(scandir(path)))
        monkeypatch.setattr(os, "listdir", lambda path=".": listdir(path)[::-1])
        same(found, SOURCES[config.name].find(config, tmp_path / "memory"))

    def test_what_is_there_needs_no_network(self, found: Found, connections: list[object]) -> None:
        assert len(found.ids) > 0
        assert connections == []

    def test_root_is_read_or_makes_no_difference(self, found: Found, config: DataConfig, tmp_path: Path) -> None:
        elsewhere = replace(config, root=str(tmp_path / "elsewhere"))
        source = SOURCES[config.name]
        assert source.reads <= OPTIONAL_KEYS
        if "root" not in source.reads:
            same(found, source.find(elsewhere, tmp_path / "memory"))
            return
        with pytest.raises(UserError):
            source.find(elsewhere, tmp_path / "memory")

    def test_only_a_source_that_says_so_downloads(
        self, config: DataConfig, tmp_path: Path, connections: list[object]
    ) -> None:
        source, elsewhere = SOURCES[config.name], replace(config, root=str(tmp_path / "elsewhere"))
        with suppress(UserError):
            source.find(elsewhere, tmp_path / "no memory")
        assert source.downloads or connections == []

    def test_what_cannot_be_had_is_said(self, impossible: DataConfig | None, tmp_path: Path) -> None:
        if impossible is None:
            pytest.skip("nothing can go wrong")
        with pytest.raises(UserError, match=r"data\.|data="):
            SOURCES[impossible.name].find(impossible, tmp_path / "memory")

    def test_it_passes_the_checks_of_a_data_set(self, config: DataConfig, tmp_path: Path) -> None:
        images = open_data(replace(config, skip_unreadable=True), tmp_path / "memory")
        assert len(images) > 1
        assert images.fingerprint == open_data(replace(config, skip_unreadable=True), tmp_path / "memory").fingerprint

    def test_its_configuration_is_read_back(self, config: DataConfig, make_config: Callable[..., Config]) -> None:
        whole = replace(make_config(), data=replace(config, subset_seed=0))
        assert from_yaml(yaml.safe_dump(to_dict(whole))) == whole

    def test_its_own_keys_are_documented(self, config: DataConfig) -> None:
        assert isinstance(config, DATA_CONFIGS.get(config.name, DataConfig))
        assert [item.name for item in own_fields(config) if not item.metadata.get("doc")] == []


def same(one: Found, other: Found) -> None:
    assert (one.class_names, one.ids, one.notes, one.problems) == (
        other.class_names, other.ids, other.notes, other.problems,
    )  # fmt: skip
    for name in ("labels_N", "splits_N", "hashes_N"):
        assert (getattr(one, name) == getattr(other, name)).all()
    np.testing.assert_array_equal(one.groups_N, other.groups_N)
