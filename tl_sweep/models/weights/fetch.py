"""Weight files brought onto this machine, and checked; everything that is wrong is said at once."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from tl_sweep.base.errors import UserError
from tl_sweep.models.weights.files import verified
from tl_sweep.models.weights.resolve import WeightsSource

STALLED_S = 60.0
REMEDIES = (
    "or else: a file you have, by its path (model.weights=/path/to/file.pth); weights trained here in minutes "
    "(model.weights=letters); no weights (model.weights=null, or freeze=scratch)"
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
