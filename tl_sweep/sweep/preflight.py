"""What runs need, brought into place before the first one starts: data, weights, cache, store."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable

from tl_sweep.base.errors import UserError
from tl_sweep.config.schema import Config, ConfigError, local_path
from tl_sweep.models.catalog import architecture_label
from tl_sweep.models.weights.fetch import fetch
from tl_sweep.models.weights.files import verified
from tl_sweep.run.context import Start
from tl_sweep.run.inputs import forget_images, open_and_keep
from tl_sweep.run.weights import obtain, uses_pooled_head, weights_source


def make_ready(configs: list[Config], *, here: bool = True) -> None:
    """Bring weights, cache and the tracking store of runs that are about to start into place, each once.

    here: they run on this machine, whose devices can be asked.

    Raises:
        ConfigError, UserError: something cannot be had; nothing was started.
    """
    from tl_sweep.tracking.store import prepare_store

    if here:
        refuse(configs, device_problems)
    obtain_weights(configs)
    refuse(configs, folder_problems)
    for uri, experiment in {(config.tracking.uri, config.tracking.experiment) for config in configs}:
        prepare_store(uri, experiment)


def foresee(configs: list[Config], *, here: bool = True) -> None:
    """Refuse what ``make_ready`` would, as far as that is known without downloading, training or writing anything.

    Raises:
        ConfigError: why runs could not start.
    """
    if here:
        refuse(configs, device_problems)
    refuse([config for config in configs if config.freeze.pretrained], _misfits_here)


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


def device_problems(config: Config) -> Iterable[str]:
    """Why the device cannot be had on this machine."""
    from tl_sweep.training.device import device_problem

    problem = device_problem(config.device)
    if problem:
        yield problem


def weights_problems(config: Config) -> Iterable[str]:
    try:
        weights_source(config)
    except UserError as error:
        yield str(error)


def check_data(configs: list[Config]) -> None:
    """Open and split each data set once; prints what was understood of it."""
    from tl_sweep.data.inspection.summary import lines_of, summarise
    from tl_sweep.data.splits import split

    forget_images()
    said: set[str] = set()
    for config in _distinct(configs, lambda config: repr(config.data)):
        images = open_and_keep(config)
        summary = summarise(images, split(images, config.data), config.data.root)
        for line in lines_of(summary) if images.labels_from else summary.notes:  # else nothing had to be found out
            if line not in said:
                said.add(line)
                print(f"data: {line}", flush=True)


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
            may_read = os.R_OK | os.X_OK if key == "cache.dir" else os.W_OK  # a cache that others fill is read
            if not os.access(folder, may_read):
                raise PermissionError(None, "no permission to write")
        except OSError as error:
            yield f"{key}={folder}: {error.strerror}; choose another folder{remedies[key]}"


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
    """Why the weights' file does not fit the model, made or brought here if need be."""
    try:
        _require_fit(config, obtain(config))
    except UserError as error:
        yield str(error)


def _misfits_here(config: Config) -> Iterable[str]:
    """The same of a file that is here, or that a person says is here; nothing is made or brought."""
    source = weights_source(config)
    if source is None or source.path is None or source.kind not in ("file", "download"):
        return
    try:
        if source.kind == "file" or source.path.exists():
            _require_fit(config, Start(verified(source.path, source.sha256_prefixes), uses_pooled_head(config)))
    except UserError as error:
        yield str(error)


def _require_fit(config: Config, start: Start) -> None:
    """Read the file whole and compare it with a model without memory.

    Raises:
        UserError: it is damaged, or of another network.
    """
    import torch

    from tl_sweep.models.build import build_model

    with torch.device("meta"):
        build_model(config.model, 2, config.data.image_size, weights=start.file, pooled=start.pooled, head_seed=0)


def _distinct(configs: list[Config], identity: Callable[[Config], Hashable]) -> list[Config]:
    return list({identity(config): config for config in configs}.values())
