"""What runs need, brought into place before the first one starts: data, weights, cache, store."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from tl_sweep.base.errors import UserError
from tl_sweep.config.schema import Config, ConfigError, local_path
from tl_sweep.models.catalog import architecture, architecture_label
from tl_sweep.models.weights import WeightsFile, WeightsSource, description_of, fetch, resolve, verified

if TYPE_CHECKING:
    from tl_sweep.data.imageset import ImageSet


def make_ready(configs: list[Config]) -> None:
    """Bring weights, cache and the tracking store of runs that are about to start into place, each once.

    Raises:
        ConfigError, UserError: something cannot be had; nothing was started.
    """
    from tl_sweep.tracking.store import prepare_store

    obtain_weights(configs)
    refuse(configs, folder_problems)
    for uri, experiment in {(config.tracking.uri, config.tracking.experiment) for config in configs}:
        prepare_store(uri, experiment)


def weights_source(config: Config) -> WeightsSource | None:
    """Where this run's weights come from; None when it starts at random."""
    return resolve(config.model, local_path(config.weights.dir)) if config.freeze.pretrained else None


def weights_file(config: Config) -> WeightsFile | None:
    """This run's weights as a verified local file, made if need be; None when it starts at random."""
    source = weights_source(config)
    if source is None or source.kind == "none":
        return None
    if source.kind == "letters":
        from tl_sweep.letters import ensure_trained

        assert source.path is not None
        ensure_trained(config, source.path)
    if source.kind == "run":
        from tl_sweep.run.finished import assembled_weights

        return verified(assembled_weights(config), source.sha256_prefixes)
    assert source.path is not None
    return verified(source.path, source.sha256_prefixes)


def uses_pooled_head(config: Config) -> bool:
    """Whether the authors' hidden linear layers are left out: weights trained here know none, nor do baselines."""
    from tl_sweep.run.finished import assembled_weights

    if not architecture(config.model.name).hidden:
        return False
    source = resolve(config.model, local_path(config.weights.dir))
    match source.kind:
        case "letters":
            return True
        case "run":
            return description_of(assembled_weights(config)).get("pooled") == "true"
        case "file":
            return source.path is not None and description_of(source.path).get("pooled") == "true"
        case _:
            return False


def data_dir(config: Config) -> Path:
    """Where public data sets and the records of image folders are kept: beside the weights."""
    return local_path(config.weights.dir).parent / "data"


def refuse(configs: list[Config], check: Callable[[Config], Iterable[str]]) -> None:
    problems: dict[str, int] = defaultdict(int)
    for config in configs:
        for problem in check(config):
            problems[problem] += 1
    raise_all(problems, len(configs))


def raise_all(problems: dict[str, int], num_jobs: int) -> None:
    if problems:
        some = {
            problem: f"  [{count} of {num_jobs} jobs]" if num_jobs > 1 else "" for problem, count in problems.items()
        }
        raise ConfigError([f"{problem}{suffix}" for problem, suffix in some.items()])


def weights_problems(config: Config) -> Iterable[str]:
    try:
        weights_source(config)
    except UserError as error:
        yield str(error)


def check_data(configs: list[Config]) -> None:
    """Open and split each data set once; prints what a person should know about it."""
    from tl_sweep.data.splits import split

    _opened.clear()
    said: set[str] = set()
    for config in _distinct(configs, lambda config: repr(config.data)):
        images = _opened[_identity_of_data(config)] = open_images(config)
        for note in (*images.notes, *split(images, config.data).notes):
            if note not in said:
                said.add(note)
                print(f"data: {note}", flush=True)


def folder_problems(config: Config) -> Iterable[str]:
    """Why ``output.dir`` or ``cache.dir`` cannot be written to."""
    folders = {"output.dir": config.output.dir}
    if config.cache.enabled != "False":
        folders["cache.dir"] = config.cache.dir
    remedies = {"output.dir": "", "cache.dir": ", or cache.enabled=false"}
    for key, text in folders.items():
        folder = local_path(text)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK):
                raise PermissionError(None, "no permission to write")
        except OSError as error:
            yield f"{key}={folder}: {error.strerror}; choose another folder{remedies[key]}"


def reuse_order(configs: list[Config]) -> list[int]:
    """An order of the jobs in which those that share images, backbone and frozen stages stand together.

    Otherwise it is the order that was asked for.
    """
    shared: list[Callable[[Config], Hashable]] = [
        lambda config: (repr(config.model), config.data.name, config.data.root),
        lambda config: config.data.image_size,
        lambda config: (config.freeze.name, config.freeze.frozen_stages),
        lambda config: repr(config.augment),
    ]
    ranks = []
    for key in shared:
        first: dict[Hashable, int] = {}
        ranks.append([first.setdefault(key(config), len(first)) for config in configs])
    return sorted(range(len(configs)), key=lambda job: [rank[job] for rank in ranks])


_opened: dict[Hashable, ImageSet] = {}  # by the sweep that this process prepared last; its jobs need not look again


def open_images(config: Config) -> ImageSet:
    """The configured data set, checked.

    Raises:
        UserError: anything about it that a person must mend.
    """
    from tl_sweep.data.sources.registry import open_data

    return _opened.get(_identity_of_data(config)) or open_data(config.data, data_dir(config))


def images_at_hand(config: Config) -> ImageSet | None:
    """The configured data set, where looking at it downloads nothing; else None.

    Raises:
        UserError: it cannot be read.
    """
    from tl_sweep.data.sources.public import PUBLIC

    known = _opened.get(_identity_of_data(config))
    return known if known is not None or config.data.name in PUBLIC else open_images(config)


def _identity_of_data(config: Config) -> Hashable:
    data = config.data
    return data.name, data.root, data.group, data.skip_unreadable, data.duplicates, data_dir(config)


def plan_problems_of(config: Config) -> Iterable[str]:
    """What only the architecture can tell: its number of stages."""
    from tl_sweep.training.optimizer import plan_problems

    yield from plan_problems(config, count_stages(config))


_stages: dict[Hashable, int] = {}


def count_stages(config: Config) -> int:
    """Of the configured architecture, built without memory."""
    import torch

    from tl_sweep.models.build import build_model

    where = (architecture_label(config.model), config.data.image_size)
    if where not in _stages:
        with torch.device("meta"):
            model = build_model(
                config.model, 2, config.data.image_size, weights=None, pooled=uses_pooled_head(config), head_seed=0
            )
        _stages[where] = model.num_stages
    return _stages[where]


def obtain_weights(configs: list[Config]) -> None:
    """Download or make every weight file that these runs need, and compare each with its model.

    Raises:
        ConfigError, UserError: some cannot be had, or belong to another network.
    """
    needed = [config for config in configs if config.freeze.pretrained]
    distinct = _distinct(needed, lambda config: (architecture_label(config.model), config.model.weights))
    fetch([source for config in distinct if (source := weights_source(config)) is not None])
    refuse(distinct, _misfits)


def _misfits(config: Config) -> Iterable[str]:
    """Why the weights' file does not fit the model: read whole and compared, on a model without memory."""
    import torch

    from tl_sweep.models.build import build_model

    try:
        weights = weights_file(config)
        with torch.device("meta"):
            build_model(
                config.model, 2, config.data.image_size, weights=weights, pooled=uses_pooled_head(config), head_seed=0
            )
    except UserError as error:
        yield str(error)


def _distinct(configs: list[Config], identity: Callable[[Config], Hashable]) -> list[Config]:
    return list({identity(config): config for config in configs}.values())
