"""Where starting weights come from, and whether a file is what it says it is.

Three steps: ``resolve`` reads the configuration, ``fetch`` brings the files onto this machine, ``read_tensors`` opens
one. The first two check everything without importing torch, so that a sweep is refused before its first job.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from tl_sweep.base.errors import UserError, did_you_mean
from tl_sweep.config.schema import ModelConfig, local_path
from tl_sweep.models.catalog import SMALL, architecture, architecture_label

if TYPE_CHECKING:
    from torch import Tensor

SUFFIXES = (".pth", ".pt", ".bin", ".safetensors")
HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.[a-z]+$")
STALLED_S = 60.0
EMBEDDED = ("letters", "letters_clean")  # made by tl_sweep.letters: the good source, and the wrong one
REMEDIES = (
    "or else: a file you have, by its path (model.weights=/path/to/file.pth); weights trained here in minutes "
    "(model.weights=letters); no weights (model.weights=null, or freeze=scratch)"
)


@dataclass(frozen=True)
class WeightsFile:
    """A file that exists and has been hashed. sha256: all 64 hex digits."""

    path: Path
    sha256: str


@dataclass(frozen=True)
class WeightsSource:
    """What ``model.weights`` means for one model.

    kind: ``none``, ``file``, ``download``, ``letters`` or ``run``.
    path: where the file is, or will be once ``fetch`` has brought it; None where the command has yet to say so.
    url: of a download. run_id: of a run. sha256_prefixes: hex digits with which the file's hash must begin.
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
    if value.startswith("run:"):
        return WeightsSource("run", run_id=value.removeprefix("run:"), sha256_prefixes=promised)
    if "/" in value or value.endswith(SUFFIXES):
        path = local_path(value)
        return WeightsSource("file", path=path, sha256_prefixes=(*promised, *_hash_in_name(path.name)))
    url = _url(config.name, value)
    path = checkpoints_dir() / Path(urlsplit(url).path).name
    return WeightsSource("download", path=path, url=url, sha256_prefixes=(*promised, *_hash_in_name(path.name)))


def letters_path(config: ModelConfig, weights_dir: Path) -> Path:
    """Where this network's locally made weights lie: in the package for the small one, else in ``weights_dir``."""
    name = f"{config.weights}-{architecture_label(config)}.safetensors"
    shipped = architecture_label(config) == SMALL
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
    """URL of torchvision's weights ``value`` for model ``name``."""
    row = architecture(name)
    enum_name = row.default if value == "imagenet" else value
    if enum_name in row.weights:
        return row.weights[enum_name]
    allowed = ["null", *EMBEDDED, *(["imagenet"] if row.weights else []), *row.weights]
    raise UserError(
        f"model.weights={value!r}: {name} has no such weights; allowed are {', '.join(allowed)}, run:<id> "
        f"and the path of a file;{did_you_mean(value, allowed)}".removesuffix(";")
    )


def fetch(sources: Iterable[WeightsSource], *, answer_s: float = 5.0) -> None:
    """Bring every file that ``sources`` name onto this machine, and check its hash.

    answer_s: how long a server may take to answer at all, before it is called unreachable.

    Raises:
        UserError: one line for each file that is missing, cannot be had, or is not what it says.
    """
    wanted = list(dict.fromkeys(source for source in sources if source.kind in ("file", "download")))
    absent = [source for source in wanted if source.url is not None and not _path(source).exists()]
    silent = unreachable({source.url for source in absent if source.url}, answer_s)
    problems = [_refusal(source, silent[_host(source.url)]) for source in absent if _host(source.url) in silent]
    if not problems:
        problems = [problem for source in absent if (problem := download(source)) is not None]
    remedies = [REMEDIES] if problems else []
    files = [source for source in wanted if source not in absent]
    problems += [problem for source in files if (problem := _fault(source)) is not None]
    if problems:
        raise UserError("\n".join([*problems, *remedies]))


def _fault(source: WeightsSource) -> str | None:
    try:
        verified(_path(source), source.sha256_prefixes)
    except UserError as error:
        return str(error)
    return None


def _path(source: WeightsSource) -> Path:
    assert source.path is not None
    return source.path


def _host(url: str | None) -> str:
    return urlsplit(url or "").netloc


def _refusal(source: WeightsSource, reason: str) -> str:
    path = _path(source)
    return f"{path.name} is not on this machine, and {reason}; fetch {source.url} elsewhere and put it at {path}"


def unreachable(urls: Iterable[str], answer_s: float) -> dict[str, str]:
    """Hosts that give no answer within about ``answer_s`` seconds, each with the reason; all are asked at once."""
    by_host = {_host(url): url for url in urls}
    silent = {host: f"{host} did not answer within {answer_s:g} s" for host in by_host}

    def ask(host: str, url: str) -> None:
        try:
            urlopen(Request(url, method="HEAD"), timeout=answer_s).close()
        except HTTPError:
            pass  # an answer, if not a kind one: the download will say what is wrong
        except OSError as error:
            silent[host] = f"{host} cannot be reached ({getattr(error, 'reason', error)})"
            return
        silent.pop(host, None)

    # Daemons, because looking up a host's name obeys no timeout.
    threads = [threading.Thread(target=ask, args=pair, daemon=True) for pair in by_host.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * answer_s)
    return dict(silent)


def download(source: WeightsSource) -> str | None:
    """Download by torch's own means: progress bar, temporary file, hash. Returns what went wrong, if anything did."""
    from torch.hub import download_url_to_file

    path, url = _path(source), source.url
    assert url is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(STALLED_S)  # torch sets none: a stalled server would hold it for ever
    try:
        prefix = max(source.sha256_prefixes, key=len, default=None)
        download_url_to_file(url, str(path), prefix, progress=sys.stderr.isatty())
    except HTTPError as error:
        return _refusal(source, f"{_host(url)} answers {error.code} {error.reason}")
    except (OSError, RuntimeError) as error:  # a RuntimeError is torch's word for a wrong hash
        return _refusal(source, f"the download from {_host(url)} failed ({error})")
    finally:
        socket.setdefaulttimeout(before)
    return _fault(source)


def verified(path: Path, sha256_prefixes: Iterable[str] = ()) -> WeightsFile:
    """The file at ``path``, if it exists and its hash begins as promised.

    Raises:
        UserError: it does not.
    """
    if not path.is_file():
        siblings = [other.name for other in path.parent.glob("*")] if path.parent.is_dir() else []
        raise UserError(f"{path}: there is no such weight file;{did_you_mean(path.name, siblings)}".removesuffix(";"))
    for prefix in sha256_prefixes:
        require_sha256(path, prefix)
    return WeightsFile(path, digest_of(path))


def require_sha256(path: Path, prefix: str) -> None:
    """Raise ``UserError`` unless the file's SHA-256 begins with these hex digits."""
    digest = digest_of(path)
    if not digest.startswith(prefix.lower()):
        claim = f"{path}: its SHA-256 begins with {digest[: len(prefix)]}"
        if prefix in path.name:
            raise UserError(f"{claim}, its name says {prefix}; remove it, or rename it if these digits are no hash")
        raise UserError(f"{claim}, {prefix} was expected; it is truncated or another file")


def digest_of(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits; computed once as long as its size and time stay."""
    stat = path.stat()
    return _digest(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=256)
def _digest(path: Path, size: int, mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a ``.safetensors`` or PyTorch file by name, on the CPU; nothing in the file is executed.

    A state dict may be wrapped (``{"state_dict": …}``), its names may begin with ``module.``.

    Raises:
        UserError: the file is missing, truncated, or holds something else.
    """
    verified(path)
    stat = path.stat()
    return dict(_tensors(path, stat.st_size, stat.st_mtime_ns))


@lru_cache(maxsize=2)  # the jobs of a sweep take turns with few files; whoever reads must not write to a tensor
def _tensors(path: Path, size: int, mtime_ns: int) -> dict[str, Tensor]:
    content = _read(path)
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    return _plain_state_dict(content, path)


def description_of(path: Path) -> dict[str, str]:
    """What a file that we wrote says of itself: source, accuracy there, recipe, pooled; empty for any other file.

    Raises:
        UserError: a truncated file.
    """
    from safetensors import SafetensorError, safe_open

    if path.suffix != ".safetensors" or not path.is_file():
        return {}
    try:
        with safe_open(path, framework="numpy") as content:
            return content.metadata() or {}
    except SafetensorError as error:
        raise UserError(f"{path}: truncated, or no file of weights alone ({error})") from error


def _read(path: Path) -> Any:
    import pickle

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UserError(f"{path}: truncated, or no file of weights alone ({reason})") from error


def _plain_state_dict(content: Any, path: Path) -> dict[str, Tensor]:
    from torch import Tensor

    if not isinstance(content, dict) or not content:
        raise UserError(f"{path}: holds no state dict but {type(content).__name__}; save model.state_dict()")
    strangers = [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
    if strangers:
        raise UserError(f"{path}: {strangers[0]!r} in it is no tensor; save model.state_dict()")
    wrapped = all(name.startswith("module.") for name in content)  # by nn.DataParallel
    return {name.removeprefix("module.") if wrapped else name: tensor for name, tensor in content.items()}
