"""What ``model.weights`` means for a model: no weights, a file, a download, a network trained here, an earlier run."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

from tl_sweep.base.errors import UserError, did_you_mean
from tl_sweep.config.schema import ModelConfig, local_path
from tl_sweep.models.catalog import architecture, architecture_label

SUFFIXES = (".pth", ".pt", ".bin", ".safetensors")
HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.[a-z]+$")
EMBEDDED = ("letters", "letters_clean")  # made by tl_sweep.letters: the good source, and the wrong one
RUN = "run:"  # and which
SHIPPED = "resnet_small"  # the network whose embedded weights lie in the package


@dataclass(frozen=True)
class WeightsSource:
    """What ``model.weights`` means for one model.

    kind: ``none``, ``file``, ``download``, ``letters`` or ``run``.
    path: where the file is, or will be once ``fetch`` has brought it; None where the command has yet to say so.
    url: of a download. run_id: of a run, or its key or folder. sha256_prefixes: hex digits with which the file's hash
    must begin.
    """

    kind: str
    path: Path | None = None
    url: str | None = None
    run_id: str | None = None
    sha256_prefixes: tuple[str, ...] = ()


def resolve(config: ModelConfig, weights_dir: Path) -> WeightsSource:
    """Say what ``model.weights`` means, touching neither the network nor torch.

    Raises:
        UserError: the value means nothing for this model.
    """
    value, promised = config.weights, _promised_hash(config)
    if value is None:
        return WeightsSource("none")
    if value.lower() in ("", "none"):
        raise UserError(f"model.weights={value!r}: no such weights; did you mean null?")
    if value in EMBEDDED:
        return WeightsSource("letters", path=letters_path(config, weights_dir), sha256_prefixes=promised)
    if value.startswith(RUN):
        return WeightsSource("run", run_id=value.removeprefix(RUN), sha256_prefixes=promised)
    if "/" in value or value.endswith(SUFFIXES):
        path = local_path(value)
        return WeightsSource("file", path=path, sha256_prefixes=(*promised, *_hash_in_name(path.name)))
    url = _url(config.name, value)
    path = checkpoints_dir() / Path(urlsplit(url).path).name
    return WeightsSource("download", path=path, url=url, sha256_prefixes=(*promised, *_hash_in_name(path.name)))


def letters_path(config: ModelConfig, weights_dir: Path) -> Path:
    """Where this network's locally made weights lie: in the package for the small one, else in ``weights_dir``."""
    name = f"{config.weights}-{architecture_label(config)}.safetensors"
    shipped = architecture_label(config) == SHIPPED
    return Path(str(resources.files("tl_sweep"))) / "weights" / name if shipped else weights_dir / name


def checkpoints_dir() -> Path:
    """torchvision's own cache, ``$TORCH_HOME/hub/checkpoints``, found by ``torch.hub``'s rules."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return local_path(os.environ.get("TORCH_HOME", f"{cache}/torch")) / "hub" / "checkpoints"


def _promised_hash(config: ModelConfig) -> tuple[str, ...]:
    if config.sha256 is None:
        return ()
    prefix = config.sha256.lower()
    if not re.fullmatch(r"[0-9a-f]{8,64}", prefix):
        raise UserError(f"model.sha256={config.sha256}: 8 to 64 hex digits are wanted")
    return (prefix,)


def _hash_in_name(filename: str) -> tuple[str, ...]:
    return tuple(HASH_IN_NAME.findall(filename))


def _url(name: str, value: str) -> str:
    """URL of the weights ``value`` of its source for model ``name``."""
    row = architecture(name)
    name_there = row.default if value == "imagenet" else value
    if name_there is not None and name_there in row.weights:
        return row.weights[name_there]
    allowed = ["null", *EMBEDDED, *(["imagenet"] if row.weights else []), *row.weights]
    raise UserError(
        f"model.weights={value!r}: {name} has no such weights; allowed are {', '.join(allowed)}, run:<which> "
        f"and the path of a file;{did_you_mean(value, allowed)}".removesuffix(";")
    )
