"""A data source from outside the package, with a key of its own: what it takes to add one."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from commands import Answer, record
from data_source_contract import DataSourceContract
from hydra.core.config_store import ConfigStore

from tl_sweep.base.errors import UserError
from tl_sweep.config.loading import from_yaml
from tl_sweep.config.schema import DATA_CONFIGS, Config, ConfigError, DataConfig, flattened, key, to_dict
from tl_sweep.data.imageset import Found, found_arrays
from tl_sweep.data.sources.contract import DataSource
from tl_sweep.data.sources.registry import SOURCES
from tl_sweep.run.key import key_of, meaning
from tl_sweep.train import main

MakeConfig = Callable[..., Config]

RNG = np.random.default_rng(0)
STRIPES = [np.where(np.arange(16)[:, None] // 2 % 2, 200, RNG.integers(0, 50, (16, 16))) for _ in range(60)]
ARRAYS = [(stripes.T if place % 2 else stripes).astype(np.uint8) for place, stripes in enumerate(STRIPES)]


# --- all that one writes


@dataclasses.dataclass
class ArraysConfig(DataConfig):
    name: str = key("arrays", "the data set")
    inverted: bool = key(False, "black is white")
    most: int = key(60, "arrays that are read", ge=2)


class Arrays(DataSource[ArraysConfig]):
    """Sixteen by sixteen pixels with stripes: across in even places, down in odd ones. Five in a row are one group."""

    def find(self, config: ArraysConfig, data_dir: Path) -> Found:
        if config.most > len(ARRAYS):
            raise UserError(f"data.most={config.most}: there are {len(ARRAYS)} arrays")
        images = np.stack([255 - array if config.inverted else array for array in ARRAYS[: config.most]])
        places = range(len(images))
        found = found_arrays(
            images, [f"arrays/{n}" for n in places], [n % 2 for n in places], [""] * len(images), ["across", "down"]
        )
        said = (f"{len(images)} arrays in memory; labels by their place",)
        return dataclasses.replace(found, notes=said, groups_N=np.array([f"row {n // 5}" for n in places]))


@pytest.fixture(autouse=True)
def arrays() -> Iterator[None]:
    SOURCES.register("arrays", Arrays())
    DATA_CONFIGS.register("arrays", ArraysConfig)
    yield
    SOURCES.unregister("arrays")
    DATA_CONFIGS.unregister("arrays")
    ConfigStore.instance().repo.get("data", {}).pop("arrays.yaml", None)  # other tests shall not find the option


# --- what one gets


class TestContract(DataSourceContract):
    @pytest.fixture(params=[False, True], ids=["as they are", "inverted"])
    def config(self, request: pytest.FixtureRequest) -> DataConfig:
        return ArraysConfig(inverted=request.param)

    @pytest.fixture
    def impossible(self) -> DataConfig:
        return ArraysConfig(most=61)


def test_a_run_is_trained_and_its_configuration_is_read_back(
    make_config: MakeConfig, tmp_path: Path, store_uri: str
) -> None:
    data = {"inverted": True, "image_size": 32, "shots": 20}
    config = make_config({"data": "arrays", "freeze": "all"}, data=data, tracking={"uri": store_uri})
    run = record(config, tmp_path / "run")
    assert run.val_acc > 0.7
    again = from_yaml((run.folder / "config.yaml").read_text())
    assert isinstance(again.data, ArraysConfig)
    assert again == config
    assert key_of(again) == key_of(config)
    parts = json.loads((run.folder / "split.json").read_text())
    rows = [{int(name.split("/")[1]) // 5 for name in parts[part]} for part in ("train", "val", "test")]
    assert sum(map(len, rows)) == len(set().union(*rows))  # the source's own groups are not divided
    assert "60 arrays in memory; labels by their place" in (run.folder / "run.log").read_text()


def test_own_keys_are_part_of_what_a_run_is(make_config: MakeConfig) -> None:
    plain, inverted = (make_config({"data": "arrays"}, data={"inverted": inverted}) for inverted in (False, True))
    assert meaning(plain)["data.inverted"] is False
    assert key_of(plain) != key_of(inverted)
    assert "data.inverted" not in flattened(to_dict(make_config()))


def test_an_own_key_of_execution_is_not(make_config: MakeConfig) -> None:
    @dataclasses.dataclass
    class Located(ArraysConfig):
        place: str = key("here", "where the arrays are", role="execution")

    DATA_CONFIGS.register("arrays", Located)
    here, there = (make_config({"data": "arrays"}, data={"place": place}) for place in ("here", "there"))
    assert key_of(here) == key_of(there)


def test_own_keys_have_rules(make_config: MakeConfig) -> None:
    with pytest.raises(ConfigError, match=r"data\.most=1: must be at least 2"):
        make_config({"data": "arrays"}, data={"most": 1})


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["data=arrays", "data.invertet=true"], "data.invertet: no such key; did you mean 'data.inverted'?"),
        (
            ["data=arrays", "data.inverted=much"],
            "data.inverted=much: Value 'much' is not a valid bool",
        ),
        (["data=arrays", "data.most=1"], "data.most=1: must be at least 2"),
        (["data=digits", "data.inverted=true"], "data.inverted: only data=arrays has this key"),
        (["data=array"], "data=array: no such option; did you mean 'arrays'?"),
    ],
    ids=["no such key", "of another type", "outside its rules", "of another source", "no such source"],
)
def test_slips_on_the_command_line(command: Callable[..., Answer], words: list[str], text: str) -> None:
    answer = command(main, *words)
    assert answer.code == 1
    assert text in answer.err


def test_on_the_command_line(command: Callable[..., Answer]) -> None:
    answer = command(main, "data=arrays", "data.inverted=true", "seed=3", "--cfg", "job")
    assert answer.code == 0
    assert "inverted: true" in answer.out


def test_a_record_of_a_source_that_is_gone(make_config: MakeConfig) -> None:

    text = yaml.safe_dump(to_dict(make_config({"data": "arrays"})))
    DATA_CONFIGS.register("arrays", DataConfig)
    with pytest.raises(UserError, match=r"not a configuration that a run of this version wrote down: .*inverted"):
        from_yaml(text)
