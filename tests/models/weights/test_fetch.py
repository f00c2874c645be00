"""Weight files on this machine or not, and what is refused before a sweep starts. Offline."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from weight_files import problems_of, small_state

from tl_sweep.config.schema import ModelConfig
from tl_sweep.models.weights.fetch import REMEDIES, fetch
from tl_sweep.models.weights.files import digest_of, read_tensors
from tl_sweep.models.weights.resolve import WeightsSource, checkpoints_dir, resolve


@pytest.fixture
def closed_url() -> str:
    """An address at which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def published(tmp_path: Path, server: str, *, promised: str | None = None) -> WeightsSource:
    """A state dict on the server, named by its hash or by a promised one, as a source."""
    file = tmp_path / "state.pth"
    torch.save(small_state(), file)
    prefix = promised or digest_of(file)[:8]
    name = f"small-{prefix}.pth"
    file.rename(tmp_path / "site" / name)
    return WeightsSource("download", checkpoints_dir() / name, f"{server}/{name}", sha256_prefixes=(prefix,))


def test_a_download_lands_in_the_cache_with_the_right_hash(tmp_path: Path, server: str) -> None:
    source = published(tmp_path, server)
    fetch([source, source])
    assert source.path is not None
    assert read_tensors(source.path).keys() == small_state().keys()
    assert [path.name for path in checkpoints_dir().iterdir()] == [source.path.name]


def test_a_download_with_another_hash_is_refused_and_not_kept(tmp_path: Path, server: str) -> None:
    source = published(tmp_path, server, promised="01234567")
    problem, remedies = problems_of(fetch, [source])
    assert problem.startswith("small-01234567.pth is not on this machine, and the download from 127.0.0.1:")
    assert 'invalid hash value (expected "01234567", got "' in problem
    assert list(checkpoints_dir().iterdir()) == []
    assert remedies == REMEDIES


def test_a_file_that_the_server_lacks_is_named_with_the_servers_answer(server: str) -> None:
    path = checkpoints_dir() / "gone-01234567.pth"
    source = WeightsSource("download", path, f"{server}/gone-01234567.pth", sha256_prefixes=("01234567",))
    host = server.removeprefix("http://")
    assert problems_of(fetch, [source])[:-1] == [
        f"gone-01234567.pth is not on this machine, and {host} answers 404 File not found; "
        f"fetch {source.url} elsewhere and put it at {path}"
    ]


def offline(config: ModelConfig, url: str) -> WeightsSource:
    source = resolve(config, Path("weights"))
    return replace(source, url=f"{url}/{source.path.name}")


def test_offline_every_missing_file_is_named_once_with_its_place_and_the_remedies(
    closed_url: str, torch_home: Path
) -> None:
    names = ("resnet18", "vgg16", "resnet18")
    sources = [offline(ModelConfig(name=name, weights="imagenet"), closed_url) for name in names]
    problems = problems_of(fetch, sources)
    host = closed_url.removeprefix("http://")
    assert problems == [
        *(
            f"{name} is not on this machine, and {host} cannot be reached ([Errno 111] Connection refused); "
            f"fetch {closed_url}/{name} elsewhere and put it at {torch_home}/hub/checkpoints/{name}"
            for name in ("resnet18-f37072fd.pth", "vgg16-397923af.pth")
        ),
        "or else: a file you have, by its path (model.weights=/path/to/file.pth); weights trained here in minutes "
        "(model.weights=letters); no weights (model.weights=null, or freeze=scratch)",
    ]


def test_a_host_that_never_answers_is_given_up_in_time() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/a-01234567.pth"
        source = WeightsSource("download", checkpoints_dir() / "a-01234567.pth", url)
        start = time.monotonic()
        problems = problems_of(fetch, [source], answer_s=0.3)
        assert time.monotonic() - start < 5
    assert "cannot be reached (timed out)" in problems[0] or "did not answer within 0.3 s" in problems[0]


def test_cached_files_are_used_without_a_network(closed_url: str) -> None:
    source = offline(ModelConfig(name="resnet18", weights="imagenet"), closed_url)
    assert source.path is not None
    source.path.parent.mkdir(parents=True)
    torch.save(small_state(), source.path)
    cached = replace(source, sha256_prefixes=(digest_of(source.path)[:8],))
    assert fetch([cached]) is None


def test_a_truncated_file_in_the_cache_is_refused_by_its_hash(closed_url: str) -> None:
    source = offline(ModelConfig(name="resnet18", weights="imagenet"), closed_url)
    source.path.parent.mkdir(parents=True)
    source.path.write_bytes(b"half a file")
    begins = hashlib.sha256(b"half a file").hexdigest()[:8]
    assert problems_of(fetch, [source]) == [
        f"{source.path}: its SHA-256 begins with {begins}, its name says f37072fd; remove it, or rename it if these "
        "digits are no hash"
    ]


def test_missing_and_wrong_files_are_reported_together(tmp_path: Path) -> None:
    torch.save({}, tmp_path / "resnet18.pth")
    begins = digest_of(tmp_path / "resnet18.pth")[:8]
    given = [("resnet81.pth", None), ("resnet18.pth", "00000000"), ("elsewhere/a.pth", None)]
    configs = [ModelConfig(name="resnet18", weights=f"{tmp_path}/{name}", sha256=sha256) for name, sha256 in given]
    assert problems_of(fetch, [resolve(config, Path("weights")) for config in configs]) == [
        f"{tmp_path}/resnet81.pth: there is no such weight file; did you mean 'resnet18.pth'?",
        f"{tmp_path}/resnet18.pth: its SHA-256 begins with {begins}, 00000000 was expected; it is truncated "
        "or another file",
        f"{tmp_path}/elsewhere/a.pth: there is no such weight file",
    ]


def test_fetch_leaves_letters_runs_and_nothing_to_others() -> None:
    kinds = [resolve(ModelConfig(name="vgg11", weights=value), Path("/w")) for value in (None, "letters", "run:1")]
    assert fetch(kinds) is None


def test_checking_files_does_not_import_torch(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(b"")
    code = (
        "import sys; from pathlib import Path; from tl_sweep.config.schema import ModelConfig; "
        "from tl_sweep.models.weights.fetch import fetch; "
        "from tl_sweep.models.weights.resolve import resolve; "
        f"fetch([resolve(ModelConfig(name='resnet18', weights={str(tmp_path / 'a.pth')!r}), Path())]); "
        "print('torch' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "False\n"
