"""What a job costs around its training, and how close the loop comes to pure computation. Prints a table:  make bench

Every figure is the median of several repeats, with the smallest and largest; ours and the reference alternate, since
machines are shared and noisy.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from rich.console import Console
from rich.table import Table

from tl_sweep.assemble import Run, assemble
from tl_sweep.config import Config, compose
from tl_sweep.training import freeze
from tl_sweep.training.loop import TrainState, train_epoch
from tl_sweep.training.recipe import make_optimizer, make_schedule, parameter_groups

REPEATS = 5
IMAGE_PX, BATCH_SIZE, IMAGES = 128, 32, 256


def seconds(work: Callable[[], object]) -> float:
    started_s = time.perf_counter()
    work()
    return time.perf_counter() - started_s


def answer_time_s(*arguments: str) -> float:
    """Wall time of a command that only answers."""
    command = [sys.executable, "-m", "tl_sweep.train", *arguments]
    return seconds(lambda: subprocess.run(command, capture_output=True, check=False))


def bench_config(folder: Path, model: str) -> Config:
    """Generated images in a folder, at 128 px; scratch, so that no weight file is needed."""
    return compose(
        {"model": model, "freeze": "scratch", "optim": "auto", "data": "image_folder", "augment": "light"},
        {
            "data": {"root": str(folder / "images"), "image_size": IMAGE_PX},
            "model": {"weights": None},
            "batch_size": BATCH_SIZE,
            "weights": {"dir": str(folder / "weights")},
        },
    )


def make_images(folder: Path) -> None:
    """Two classes of noise: only the cost matters."""
    from PIL import Image

    generator = torch.Generator().manual_seed(0)
    for label in ("a", "b"):
        (folder / "images" / label).mkdir(parents=True)
        for index in range(IMAGES):
            pixels = torch.randint(256, (160, 160, 3), dtype=torch.uint8, generator=generator).numpy()
            Image.fromarray(pixels).save(folder / "images" / label / f"{index}.jpg")


def start(run: Run) -> TrainState:
    """The state as it is before the first epoch of the only phase."""
    config, phase = run.setup.config, run.setup.plan[0]
    freeze.enter(run.state.model, phase)
    run.state.groups = parameter_groups(run.state.model, phase, config)
    run.state.optimizer = make_optimizer(run.state.groups, config)
    run.state.schedule = make_schedule(run.state.optimizer, 10_000, 0.1)
    return run.state


def compute_only(run: Run) -> None:
    """The same number of steps on one fixed batch, channels-last: what the machine allows."""
    state, setup = run.state, run.setup
    assert state.optimizer is not None
    images_BCHW = torch.rand(BATCH_SIZE, 3, IMAGE_PX, IMAGE_PX).contiguous(memory_format=torch.channels_last)
    labels_B = torch.zeros(BATCH_SIZE, dtype=torch.long)
    state.model.module.train()
    for _ in range(len(setup.train) // BATCH_SIZE):
        loss = torch.nn.functional.cross_entropy(state.model(images_BCHW), labels_B)
        state.optimizer.zero_grad()
        loss.backward()
        state.optimizer.step()


def loop_against_compute(folder: Path, model: str) -> tuple[list[float], list[float]]:
    """Training images per second: of the loop, and of computation alone, alternating."""
    run = assemble(bench_config(folder, model))
    state, phase = start(run), run.setup.plan[0]
    train_epoch(state, run.setup, phase)  # warm up
    loop, pure = [], []
    for _ in range(REPEATS):
        loop.append(len(run.setup.train) / seconds(lambda: train_epoch(state, run.setup, phase)))
        pure.append(len(run.setup.train) // BATCH_SIZE * BATCH_SIZE / seconds(lambda: compute_only(run)))
    return loop, pure


def spread(values: list[float], unit: str = "") -> str:
    return f"{median(values):.2f}{unit} ({min(values):.2f}–{max(values):.2f})"


def main() -> None:
    table = Table("work", "measured", "reference", "ratio", "target")
    for name, arguments in {"--help": ["--help"], "a bad override": ["freeze=eraly"]}.items():
        table.add_row(name, spread([answer_time_s(*arguments) for _ in range(REPEATS)], " s"), "–", "–", "≤ 1.5 s")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_images(folder)
        for model in ("resnet18", "squeezenet1_1", "mobilenet_v2"):
            loop, pure = loop_against_compute(folder, model)
            ratios = [a / b for a, b in zip(loop, pure, strict=True)]
            row = f"freeze=none epoch, {model}, {IMAGE_PX} px"
            table.add_row(row, spread(loop, " img/s"), spread(pure, " img/s"), spread(ratios), "≥ 0.95 (resnet18)")
    console = Console(width=150)
    console.print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}")
    console.print(table)


if __name__ == "__main__":
    main()
