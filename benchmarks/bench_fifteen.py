"""Fifteen runs (five rates, three seeds) against one run at its best, on real images. Prints a table:

    python benchmarks/bench_fifteen.py assets=FOLDER

FOLDER has weights/<model>-imagenet.pth and data/trashnet_160 (a folder per class). The bound is what a single run that
computes its features in every epoch takes at least, with nothing else: training images × epochs / the network's forward
rate, measured just before on as many threads. Ours is the whole command, from an empty cache.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from measurements import print_measured
from torchvision.models import get_model

from tl_sweep.base.arguments import argument, read
from tl_sweep.base.command_line import errors_for_people


@dataclass(frozen=True)
class Arguments:
    assets: Path = argument(Path(), "needed: a folder with data/trashnet_160 and weights")
    models: tuple[str, ...] = argument(("mobilenet_v2", "squeezenet1_1"), "networks")
    views: tuple[str, ...] = argument(("1", "4", "null"), "augment.views")
    threads: int = argument(1, "of torch", ge=1)


EPOCHS, IMAGE_PX, BATCH_SIZE, TIMED_S = 30, 128, 32, 10.0
RATES, SEEDS = "1e-4,3e-4,1e-3,3e-3,1e-2", "0,1,2"


def forward_images_per_s(name: str) -> float:
    """Of the network in eval mode on one fixed batch, channels-last, without gradients."""
    module = get_model(name).eval().to(memory_format=torch.channels_last)
    images_BCHW = torch.rand(BATCH_SIZE, 3, IMAGE_PX, IMAGE_PX).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        module(images_BCHW)
        started_s, count = time.perf_counter(), 0
        while (took_s := time.perf_counter() - started_s) < TIMED_S:
            module(images_BCHW)
            count += 1
    return count * BATCH_SIZE / took_s


def sweep(name: str, views: str, assets: Path, threads: int) -> tuple[float, int]:
    """Seconds of the whole command from an empty cache, and how many training images it had."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        words = [f"model={name}", "freeze=all", f"optim.lr={RATES}", f"seed={SEEDS}", f"augment.views={views}",
                 "data=image_folder", f"data.root={assets}/data/trashnet_160", f"data.image_size={IMAGE_PX}",
                 f"model.weights={assets}/weights/{name}-imagenet.pth", f"epochs={EPOCHS}", f"threads={threads}",
                 f"cache.dir={folder}/rows", f"num_workers={threads}"]  # fmt: skip
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
        started_s = time.perf_counter()
        command = [sys.executable, "-m", "tl_sweep.train", "-m", *words]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        took_s = time.perf_counter() - started_s
        if done.returncode or "15 of 15 jobs finished" not in done.stdout:
            sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-1000:]}\n{done.stderr[-1000:]}")
        (count,) = {len(json.loads(path.read_text())["train"]) for path in folder.glob("runs/*/split.json")}
    return took_s, count


def rows(arguments: Arguments) -> Iterator[tuple[str, ...]]:
    assets, threads = arguments.assets.absolute(), arguments.threads
    for name in arguments.models:
        for views in arguments.views:
            rate = forward_images_per_s(name)
            took_s, count = sweep(name, views, assets, threads)
            bound_s = count * EPOCHS / rate
            seconds = (f"{bound_s:.0f} s", f"{took_s:.0f} s", f"{took_s / bound_s:.2f}")
            yield name, views, str(count), f"{rate:.0f} images/s", *seconds


def main() -> None:
    with errors_for_people():
        arguments = read(Arguments, sys.argv[1:], __doc__)
    torch.set_num_threads(arguments.threads)
    print(f"{os.cpu_count()} cores, {arguments.threads} threads, torch {torch.__version__}")
    headings = ("network", "augment.views", "training images", "forward rate", "bound, one run", "15 runs", "ratio")
    print_measured(headings, rows(arguments))


if __name__ == "__main__":
    main()
