"""Types, rules and messages of the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from omegaconf import OmegaConf

import tl_sweep.train  # noqa: F401  (registers the schema)
from tl_sweep.base.rules import RULES
from tl_sweep.config.keys import asks_of, field_paths, keys_with, keys_without_default, role_of
from tl_sweep.config.loading import conf_dir, parse
from tl_sweep.config.schema import Config, ConfigError

GROUPS = ("model", "freeze", "optim", "objective", "data", "augment")
# what an option leaves open on purpose
COMPLETIONS = {
    ("model", "torchvision"): ["model.name=regnet_y_400mf"],
    ("freeze", "depth"): ["freeze.frozen_stages=2"],
    ("data", "image_folder"): ["data.root=/photographs"],
}


def composed(*overrides: str) -> Config:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return parse(hydra_compose("config", list(overrides)))


def option_names(group: str) -> list[str]:
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))


@pytest.mark.parametrize(("group", "option"), [(group, option) for group in GROUPS for option in option_names(group)])
def test_every_option_composes(group: str, option: str) -> None:
    config = composed(f"{group}={option}", *COMPLETIONS.get((group, option), []))
    assert getattr(config, group).name


def test_option_name_is_its_file_name() -> None:
    for group in ("freeze", "optim", "objective", "data", "augment"):
        for option in option_names(group):
            assert OmegaConf.load(conf_dir() / group / f"{option}.yaml").name == option


def test_defaults_are_the_embedded_ones() -> None:
    config = composed()
    assert (config.model.name, config.model.weights, config.data.name) == ("resnet_small", "letters", "digits")


def test_subset_seed_follows_seed_and_zero_counts() -> None:
    assert composed("seed=7").data.subset_seed == 7
    assert composed("seed=7", "data.subset_seed=0").data.subset_seed == 0


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["epochs=0"], "epochs=0: must be at least 1"),
        (["optim.lr=0"], "optim.lr=0.0: must be above 0"),
        (["optim.layer_decay=1.5"], "optim.layer_decay=1.5: must be above 0 and at most 1"),
        (["optim.l2=[1,-1]"], "optim.l2=[1.0, -1.0]: must be above 0"),
        (["model.preprocessing.mean=[0.5]"], "model.preprocessing.mean=[0.5]: 3 numbers are needed"),
        (["device=gpu"], "device=gpu: allowed: auto, cpu, cuda"),
        (["precision=float23"], "did you mean 'float32'?"),
        (["data.shots=5", "data.fraction=0.5"], "data.shots=5 and data.fraction=0.5: give one of them"),
        (["freeze=depth"], "freeze=depth: how deep? give freeze.frozen_stages=0, 1, …"),
        (["freeze.frozen_stages=2"], "freeze.frozen_stages=2: only freeze=depth reads it, not freeze=early"),
        (
            ["freeze.phases=[{frozen: most}]"],
            "freeze.phases[0].frozen=most: allowed: a number of stages, half, all, each",
        ),
        (["freeze.phases=[]"], "freeze=early: freeze.phases is empty"),
        (["freeze=all", "optim=lbfgs", "optim.lr=1"], "optim.lr=1.0: L-BFGS searches its own step"),
        (["optim=lbfgs", "augment.mixup=0.2"], "mixed images"),
        (["+optim.lrr=1"], "optim.lrr: no such key; did you mean 'optim.lr'?"),
        (["device=cpu", "precision=bfloat16"], "precision=bfloat16: only with device=cuda"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_broken_rules_say_what_and_how(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        composed(*overrides)
    assert message in str(caught.value)


def test_all_problems_are_reported_together() -> None:
    with pytest.raises(ConfigError) as caught:
        composed("epochs=0", "batch_size=1", "data.shots=1")
    assert len(caught.value.problems) == 3


def test_every_key_is_documented() -> None:
    undocumented = [path for path, item in field_paths() if not item.metadata.get("doc")]
    assert undocumented == []


def test_every_role_and_question_is_a_known_one() -> None:
    fields = dict(field_paths())
    assert {item.metadata["role"] for item in fields.values()} == {"definition", "draw", "seed", "execution"}
    assert {asks_of(name) for name in fields} == {"", "data", "labels", "images", "source"}


def test_nothing_unheard_of_is_said_of_a_key() -> None:
    heard_of = {"doc", "role", "asks", "costs", "place", "solvers", "since", "path", *RULES}
    assert {fact for _, item in field_paths() for fact in item.metadata} <= heard_of


@pytest.mark.parametrize(
    ("facts", "keys"),
    [
        ({"role": "seed"}, ["data.subset_seed", "seed"]),
        ({"role": "draw"}, ["data.shots", "data.fraction", "data.split_seed"]),
        ({"asks": "source"}, ["model.weights"]),
        ({"asks": "labels", "role": "draw"}, ["data.shots", "data.fraction"]),
        ({"asks": "images"}, ["data.image_size", "data.flips", "data.fit", "data.balance"]),
        (
            {"asks": "data"},
            [
                *("data.name", "data.root", "data.split_seed", "data.duplicates", "data.near_duplicates", "data.group"),
                *("data.test_group", "data.label_level", "data.table", "data.file_column", "data.label_column"),
                *("data.split_column", "data.label_pattern", "data.bands", "data.white", "data.page", "data.alpha"),
                *("data.max_megapixels", "data.skip_unreadable"),
            ],
        ),
        (
            {"costs": True},
            ["objective.name", "data.name", "data.image_size", "data.shots", "data.fraction", "augment.views"],
        ),
        ({"solvers": ("lbfgs",)}, ["optim.l2"]),
        ({"solvers": ("sgd",)}, ["optim.momentum"]),
    ],
    ids=str,
)
def test_keys_by_what_they_are(facts: dict[str, Any], keys: list[str]) -> None:
    assert keys_with(**facts) == keys


def test_options_say_their_names_and_the_network() -> None:
    assert keys_without_default() == ["model.name", "freeze.name", "data.name", "augment.name"]


def test_where_a_data_set_lies_is_execution_and_yet_asked() -> None:
    assert (role_of("data.root"), asks_of("data.root")) == ("execution", "data")
    assert (role_of("data.verify"), asks_of("data.verify")) == ("execution", "")  # else of the data group


def test_a_key_that_this_version_does_not_know() -> None:
    assert (role_of("data.of_tomorrow"), asks_of("data.of_tomorrow")) == ("definition", "data")
    assert (role_of("optim.of_tomorrow"), asks_of("optim.of_tomorrow")) == ("definition", "")


def test_paths_with_blanks_and_brackets_are_read() -> None:
    assert composed("data=image_folder", "data.root='/My Photos (2024)'").data.root == "/My Photos (2024)"


def test_conf_dir_is_beside_the_package_in_a_checkout() -> None:
    assert conf_dir() == Path(__file__).parents[2] / "conf"
