"""What tl_sweep costs, as ratios against the same work done otherwise on the same machine. Prints tables:  make bench

Ours and the reference alternate; figures are medians with the smallest and largest value, since machines are shared and
noisy. Images are generated noise (only their cost matters), or those of a folder of classes given as ``assets``. The
grid is five rates of ten epochs; ours costs the first job, from an empty cache, and four times a further one, the
hand-written loop's five times one rate, since nothing is shared there.
"""

from __future__ import annotations

import cProfile
import io
import os
import platform
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import handwritten
import torch
from matplotlib.figure import Figure
from measurements import print_measured
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from tl_sweep.base.arguments import argument, read
from tl_sweep.base.command_line import errors_for_people
from tl_sweep.config.loading import compose
from tl_sweep.config.schema import Config
from tl_sweep.models.build import build_model
from tl_sweep.models.stages import StagedModel
from tl_sweep.run.assemble import assemble
from tl_sweep.run.context import Position
from tl_sweep.run.execute import run_job
from tl_sweep.run.weights import obtain
from tl_sweep.tracking.store import prepare_store
from tl_sweep.training import freeze
from tl_sweep.training.loop import train_epoch
from tl_sweep.training.optimizer import make_optimizer, make_schedule, parameter_groups
from tl_sweep.training.prefix import Prefix

ROWS = ("jobs", "none", "all", "early", "views")


@dataclass(frozen=True)
class Arguments:
    models: tuple[str, ...] = argument(("resnet18", "mobilenet_v2", "squeezenet1_1"), "networks")
    images: int = argument(512, "training images", ge=4)
    repeats: int = argument(3, "of each measurement; the median counts", ge=1)
    rows: tuple[str, ...] = argument(ROWS, "what is measured", choices=ROWS)
    assets: Path | None = argument(None, "a folder of classes with real images; null: generated noise")
    out: Path | None = argument(None, "a folder for benchmarks.png, which shows how cost grows; null: none")


IMAGE_PX, WORKING_PX, BATCH_SIZE, CLASSES = 128, 146, 32, 4
RATES, EPOCHS = 5, 10
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")  # both sides in float32
HONEST = 0.8  # of the compute-only rate: a slower hand-written loop is no reference


def seconds(work: Callable[[], object]) -> float:
    wait_for_device()
    started_s = time.perf_counter()
    work()
    wait_for_device()
    return time.perf_counter() - started_s


def wait_for_device() -> None:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def spread(values: list[float], unit: str = "", digits: int = 2) -> str:
    return f"{median(values):.{digits}f}{unit} ({min(values):.{digits}f}–{max(values):.{digits}f})"


# --- images


def make_images(folder: Path, num_train: int, assets: Path | None) -> Path:
    """``train``, ``val`` and ``test`` with one folder per class; a quarter as many for each of the last two."""
    from PIL import Image

    generator = torch.Generator().manual_seed(0)
    real = [sorted(path.glob("*.jpg")) for path in sorted(assets.iterdir()) if path.is_dir()] if assets else []
    for split, count in {"train": num_train, "val": num_train // 4, "test": num_train // 4}.items():
        for label in range(CLASSES):
            (folder / split / str(label)).mkdir(parents=True)
            for number in range(count // CLASSES):
                path = folder / split / str(label) / f"{number}.jpg"
                if real:
                    path.write_bytes(real[label].pop().read_bytes())
                else:
                    pixels = torch.randint(256, (160, 160, 3), dtype=torch.uint8, generator=generator).numpy()
                    Image.fromarray(pixels).save(path)
    return folder


def make_task(root: Path, views: int | None) -> handwritten.Workload:
    """The same images for the hand-written loop, decoded once."""
    from tl_sweep.base.preprocessing import Preprocessing
    from tl_sweep.data.decode import decode_files

    preprocessing = Preprocessing(handwritten.MEAN, handwritten.STD, "bilinear", IMAGE_PX)

    def split(name: str) -> handwritten.Split:
        paths = sorted((root / name).glob("*/*.jpg"))
        images_NCHW = torch.from_numpy(decode_files(paths, preprocessing, num_workers=2))
        labels_N = torch.tensor([int(path.parent.name) for path in paths])
        return handwritten.Split(images_NCHW.to(DEVICE), labels_N.to(DEVICE))

    return handwritten.Workload(split("train"), split("val"), split("test"), IMAGE_PX, BATCH_SIZE, views)


# --- ours


@dataclass
class Bench:
    """A folder with images, weights and a tracking store; runs jobs as a sweep does, in this process."""

    folder: Path
    root: Path
    repeats: int
    caches: int = 0
    jobs: int = 0

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.folder / 'mlflow.db'}"

    def config(self, model: str, strategy: str, views: int | None = 1, **values: Any) -> Config:
        augment = {"views": views}
        return compose(
            {"model": model, "freeze": strategy, "optim": "sgd", "data": "image_folder", "augment": "light"},
            {
                "data": {"root": str(self.root), "image_size": IMAGE_PX},
                "model": {"weights": str(self.weights(model))},
                "batch_size": BATCH_SIZE,
                "device": DEVICE.type,
                "precision": "float32",
                "epochs": EPOCHS,
                "augment": augment,
                "optim": {"lr": 0.01},
                "weights": {"dir": str(self.folder / "weights")},
                "cache": {"dir": str(self.folder / f"rows{self.caches}")},
                "tracking": {"uri": self.uri},
            }
            | values,
        )

    def weights(self, model: str) -> Path:
        """Random weights in a file, so that a backbone is loaded as it would be."""
        path = self.folder / f"{model}.pth"
        if not path.exists():
            torch.save(random_model(model).module.state_dict(), path)
        return path

    def job_s(self, config: Config) -> tuple[float, Path]:
        """Wall time of a whole job: data, model, training, test, record. And its folder."""
        self.jobs += 1
        folder = self.folder / "runs" / str(self.jobs)
        folder.mkdir(parents=True)
        position = Position(self.jobs, RATES, time.time(), "sbench", ())
        with redirect_stdout(io.StringIO()):  # the jobs' own lines
            return seconds(lambda: run_job(config, folder, position)), folder

    def grid_s(self, model: str, strategy: str, views: int | None) -> float:
        """A grid of learning rates: the first job from an empty cache, each further one at another rate."""
        self.caches += 1
        first_s, _ = self.job_s(self.config(model, strategy, views))
        further_s, _ = self.job_s(self.config(model, strategy, views, optim={"lr": 0.03}))
        return first_s + (RATES - 1) * further_s


def random_model(name: str) -> StagedModel:
    torch.manual_seed(0)
    config = compose(
        {"model": name},
        {
            "freeze": {"name": "x", "phases": [{}]},
            "data": {"name": "x"},
            "optim": {"name": "auto"},
            "augment": {"name": "none"},
        },
    ).model
    return build_model(config, CLASSES, IMAGE_PX, weights=None, head_seed=0)


# --- the reference


class Part(nn.Module):
    """One stage of a network as a module of its own."""

    def __init__(self, model: StagedModel, stage: int) -> None:
        super().__init__()
        self.model, self.stage = model, stage
        self.layers = nn.ModuleList(model.stage_modules(stage))

    def forward(self, z: Tensor) -> Tensor:
        return self.model.run(z, self.stage, self.stage + 1)


def parts_of(model: StagedModel) -> tuple[list[nn.Module], nn.Linear]:
    model.module.to(device=DEVICE, memory_format=torch.channels_last)  # type: ignore[call-overload]
    head = nn.Linear(model.feature_dim, CLASSES, device=DEVICE)
    return [Part(model, stage) for stage in range(model.num_stages)], head


def compute_only_s(
    backbone: list[nn.Module], frozen: int, head: nn.Module, task: handwritten.Workload, epochs: int
) -> float:
    """The same steps, validation included, on one fixed batch: what the machine allows."""
    still, learning = nn.Sequential(*backbone[:frozen]).eval(), nn.Sequential(*backbone[frozen:], head)
    optimizer = torch.optim.SGD(learning.parameters(), lr=1e-3, momentum=0.9)
    images_BCHW = torch.randn(BATCH_SIZE, 3, IMAGE_PX, IMAGE_PX, device=DEVICE).contiguous(
        memory_format=torch.channels_last
    )
    labels_B = torch.zeros(BATCH_SIZE, dtype=torch.long, device=DEVICE)

    def work() -> None:
        for _ in range(epochs):
            learning.train()
            for _ in range(len(task.train.labels_N) // BATCH_SIZE):
                with torch.no_grad():
                    z = still(images_BCHW)
                loss = nn.functional.cross_entropy(learning(z), labels_B)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            learning.eval()
            with torch.no_grad():
                for _ in range(len(task.val.labels_N) // BATCH_SIZE):
                    learning(still(images_BCHW))

    return seconds(work)


def allowed_ratio(model: StagedModel, frozen: int, task: handwritten.Workload) -> float:
    """By counted floating-point operations: the whole grid recomputed, over the frozen stages computed once."""
    z = torch.zeros(1, 3, IMAGE_PX, IMAGE_PX)
    model.module.eval()
    with torch.no_grad():
        with FlopCounterMode(display=False) as counter:
            z = model.run(z, 0, frozen)
        prefix = counter.get_total_flops()
        with FlopCounterMode(display=False) as counter:
            model.head(model.run(z, frozen))
        suffix = counter.get_total_flops()
    train, val, test = (len(split.labels_N) for split in (task.train, task.val, task.test))
    recomputed = RATES * (EPOCHS * (train * (prefix + 3 * suffix) + val * (prefix + suffix)) + test * (prefix + suffix))
    once = (train + val + test) * prefix + RATES * (EPOCHS * (3 * train + val) * suffix + test * suffix)
    return recomputed / once


# --- the rows of the table


def grid_row(
    bench: Bench, name: str, strategy: str, views: int | None, tasks: dict[int | None, handwritten.Workload]
) -> list[str]:
    """Our grid against the hand-written loop's, alternating."""
    task = tasks[views]
    ours, theirs, honesty = [], [], []
    for repeat in range(bench.repeats):
        model = random_model(name)
        frozen = model.num_stages if strategy == "all" else -(-model.num_stages // 2)
        backbone, head = parts_of(model)
        if repeat == 0:
            compute_only_s(backbone, frozen, head, task, 1)  # warm up
        ours.append(bench.grid_s(name, strategy, views))
        one_rate_s = seconds(lambda: handwritten.train(backbone, frozen, head, task, EPOCHS, 0.01))  # noqa: B023
        theirs.append(RATES * one_rate_s)
        pure_s = compute_only_s(backbone, frozen, head, task, 2) * EPOCHS / 2
        honesty.append(pure_s / one_rate_s)
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    allowed = allowed_ratio(random_model(name), frozen, task)
    what = "fresh views" if views is None else f"views={views}"
    target = "≥ 20" if strategy == "all" and views == 1 else ""
    if strategy == "early":
        target = f"≥ {0.9 * allowed:.2f} (FLOPs allow {allowed:.2f})"
    if median(honesty) < HONEST:
        target += f" [no reference: the loop is at {median(honesty):.0%} of compute-only]"
    return [
        f"{strategy}, 5 rates × 10 epochs, {what}, {name}",
        spread(ours, " s", 1),
        f"{spread(theirs, ' s', 1)}, {median(honesty):.0%} of compute-only",
        spread(ratios, digits=1),
        target,
    ]


def full_row(bench: Bench, name: str) -> list[str]:
    """Training everything: our epoch against the same step on one fixed batch."""
    config = replace(
        bench.config(name, "scratch", None), model=replace(bench.config(name, "scratch").model, weights=None)
    )
    run = assemble(config, obtain(config))
    state, phase = run.state, run.setup.plan[0]
    freeze.enter(state.model, phase)
    state.prefix = Prefix(state.model, 0, run.setup.compute)
    state.groups = parameter_groups(state.model, phase, config)
    state.optimizer = make_optimizer(state.groups, config)
    state.schedule = make_schedule(state.optimizer, 10_000, 0.1)
    train_epoch(state, run.setup, phase)  # warm up
    backbone, head = parts_of(state.model)
    train_only = replace(make_task(bench.root, 1), val=handwritten.Split(torch.empty(0), torch.empty(0)))
    ours, pure = [], []
    for _ in range(max(5, bench.repeats)):
        ours.append(len(run.setup.train) / seconds(lambda: train_epoch(state, run.setup, phase)))
        steps = len(run.setup.train) // BATCH_SIZE * BATCH_SIZE
        pure.append(steps / compute_only_s(backbone, 0, head, train_only, 1))
    ratios = [a / b for a, b in zip(ours, pure, strict=True)]
    with FlopCounterMode(display=False) as counter:
        state.model(torch.zeros(2, 3, IMAGE_PX, IMAGE_PX, device=DEVICE))
    share = 3 * counter.get_total_flops() / 2 * median(ours) / matmul_flops()
    target = "≥ 0.95" if name == "resnet18" else ""
    return [
        f"none, one epoch, fresh views, {name} ({share:.0%} of matmul peak)",
        spread(ours, " img/s", 1),
        spread(pure, " img/s", 1),
        spread(ratios),
        target,
    ]


def matmul_flops() -> float:
    """Floating-point operations per second of a large float32 matrix product here."""
    side = 2048
    a, b = torch.randn(side, side, device=DEVICE), torch.randn(side, side, device=DEVICE)
    a @ b
    return 2 * side**3 / median([seconds(lambda: a @ b) for _ in range(5)])


def job_row(bench: Bench) -> list[str]:
    """A further job whose rows are all there: what remains is everything around training."""
    model = "mobilenet_v2"
    bench.job_s(bench.config(model, "all"))
    took_s = [bench.job_s(bench.config(model, "all", epochs=1))[0] for _ in range(max(5, bench.repeats))]
    return ["each further job, one epoch, mobilenet_v2", spread(took_s, " s"), "an empty job: 0 s", "–", "≤ 0.5 s"]


def tracking_row(bench: Bench) -> list[str]:
    """The same job with and without MLflow."""
    tracked, untracked = [], []
    for _ in range(max(5, bench.repeats)):
        tracked.append(bench.job_s(bench.config("mobilenet_v2", "all", epochs=1))[0])
        untracked.append(bench.job_s(bench.config("mobilenet_v2", "all", epochs=1, tracking={"uri": None}))[0])
    cost_s = median(tracked) - median(untracked)
    return ["MLflow's part of it", f"{cost_s:.2f} s", spread(untracked, " s") + " without", "–", "≤ 0.3 s"]


def memory_row() -> list[str]:
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return ["peak memory of all of this in one process", f"{peak_mb:.0f} MiB", "–", "–", ""]


def disk_row(bench: Bench) -> list[str]:
    _, folder = bench.job_s(bench.config("resnet18", "all"))
    checkpoint = (folder / "checkpoint.safetensors").stat().st_size
    everything = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    full = bench.weights("resnet18").stat().st_size
    return [
        "disk of a freeze=all run, resnet18",
        f"checkpoint {checkpoint / 1e3:.0f} KB, all {everything / 1e3:.0f} KB",
        f"a full checkpoint: {full / 1e6:.0f} MB",
        f"{checkpoint / full:.2%}",
        "≤ 1 %, ≤ 300 KB",
    ]


def answer_row(name: str, *arguments: str) -> list[str]:
    command = [sys.executable, "-m", "tl_sweep.train", *arguments]
    took_s = [seconds(lambda: subprocess.run(command, capture_output=True, check=False)) for _ in range(5)]
    return [name, spread(took_s, " s"), "–", "–", "≤ 1.5 s"]


# --- where a job's time goes

PARTS = {  # functions of ours by file; what one of them calls counts as its own
    "data, splits, model": ("assemble.py", "assemble"),
    "frozen stages, decoding included": ("prefix.py", "_compute"),
    "training epochs": ("loop.py", "train_epoch"),
    "validation": ("loop.py", "validate"),
    "test and what is written": ("outcome.py", "test_and_save"),
    "of that: figures, learning curves": ("figures.py", "draw_curves"),
    "of that: figures, confusion matrix": ("figures.py", "draw_confusion"),
}


def print_profile(bench: Bench, name: str) -> None:
    """Seconds of a first and of a further job of the ``freeze=all`` grid by part, under Python's profiler.

    The frozen stages run inside the first epoch, the first validation and the test, and count there, too. MLflow is
    told by a thread of its own, beside all of it.
    """
    bench.caches += 1
    jobs = {"first job": bench.config(name, "all"), "a further one": bench.config(name, "all", optim={"lr": 0.03})}
    table = Table(f"{name}, freeze=all, views=1: seconds (parts overlap)", *jobs)
    took: dict[str, dict[str, float]] = {}
    for job, config in jobs.items():
        profile = cProfile.Profile()
        whole_s = profile.runcall(bench.job_s, config)[0]
        took[job] = {"whole job, under the profiler": whole_s} | dict.fromkeys(PARTS, 0.0)
        for (file, _, function), (*_, inclusive_s, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
            for part, where in PARTS.items():
                if (Path(file).name, function) == where and "tl_sweep" in file:
                    took[job][part] += inclusive_s
    for part in next(iter(took.values())):
        table.add_row(part, *(f"{took[job][part]:.2f}" for job in jobs))
    Console(width=120).print(table)


# --- growth


def growth(bench: Bench, num_train: int, tasks: dict[int | None, handwritten.Workload], path: Path) -> None:
    """Seconds of a squeezenet1_1 freeze=all sweep, ours and by hand, as images, rates, seeds and epochs grow."""
    name = "squeezenet1_1"
    model = random_model(name)
    backbone, head = parts_of(model)
    hand_s = seconds(lambda: handwritten.train(backbone, model.num_stages, head, tasks[1], 2, 0.01)) / 2  # one epoch

    def ours_s(jobs: int, epochs: int, shots: int | None, seeds: bool) -> float:
        bench.caches += 1
        total = 0.0
        for job in range(jobs):
            data = {"root": str(bench.root), "image_size": IMAGE_PX, "shots": shots, "subset_seed": 0}
            varied = {"seed": job} if seeds else {"optim": {"lr": 0.01 * (job + 1)}}
            total += bench.job_s(bench.config(name, "all", epochs=epochs, data=data, **varied))[0]
        return total

    per_class = num_train * 5 // 4 // CLASSES  # training and validation labels
    shots = [per_class // 4, per_class // 2, per_class]
    counts, lengths = [1, 3, 5], [5, 10, 20]
    panels = {
        "labelled images": ([4 * n for n in shots], [ours_s(3, 10, n, False) for n in shots],
                            [3 * 10 * hand_s * n / per_class for n in shots]),
        "learning rates": (counts, [ours_s(n, 10, None, False) for n in counts], [n * 10 * hand_s for n in counts]),
        "seeds": (counts, [ours_s(n, 10, None, True) for n in counts], [n * 10 * hand_s for n in counts]),
        "epochs": (lengths, [ours_s(3, n, None, False) for n in lengths], [3 * n * hand_s for n in lengths]),
    }  # fmt: skip
    figure = Figure(figsize=(12, 3), layout="constrained")
    for axes, (label, (values, ours, theirs)) in zip(figure.subplots(1, 4), panels.items(), strict=True):
        axes.plot(values, theirs, "o-", color="tab:gray", label="hand-written loop")
        axes.plot(values, ours, "o-", color="tab:blue", label="tl_sweep, empty cache first")
        axes.set(xlabel=label, ylabel="seconds", ylim=(0, None))
        costs = {"tl_sweep": [round(s, 1) for s in ours], "by hand": [round(s, 1) for s in theirs]}
        print(f"growth with {label}: {values}, seconds {costs}")
    axes.legend(fontsize=7)
    figure.savefig(path, dpi=90)


def measured(
    bench: Bench, models: Sequence[str], chosen: set[str], tasks: dict[int | None, handwritten.Workload]
) -> Iterator[list[str]]:
    """chosen: of the rows; tasks: by the number of views."""
    if "jobs" in chosen:
        yield answer_row("--help", "--help")
        yield answer_row("a bad override", "freeze=eraly")
        yield job_row(bench)
        yield tracking_row(bench)
        yield disk_row(bench)
    for name in models:
        if "none" in chosen:
            yield full_row(bench, name)
        for strategy in ("all", "early"):
            if strategy in chosen:
                yield grid_row(bench, name, strategy, 1, tasks)
        if "all" in chosen:
            print_profile(bench, name)
    if "views" in chosen:
        for views in (4, None):
            yield grid_row(bench, models[0], "all", views, tasks)
    yield memory_row()


def main() -> None:
    with errors_for_people():
        arguments = read(Arguments, sys.argv[1:], __doc__)
    models, num_train, out = arguments.models, arguments.images, arguments.out
    if out:
        out.mkdir(parents=True, exist_ok=True)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    where = torch.cuda.get_device_name() if DEVICE.type == "cuda" else "the CPU"
    print(f"{machine}, torch {torch.__version__}; all of it on {where}, in float32")
    print(f"{num_train} training images, {IMAGE_PX} px, batch {BATCH_SIZE}")
    with tempfile.TemporaryDirectory() as temporary:
        images = make_images(Path(temporary) / "images", num_train, arguments.assets)
        bench = Bench(Path(temporary), images, arguments.repeats)
        prepare_store(bench.uri, "tl_sweep")
        tasks = {views: make_task(bench.root, views) for views in (1, 4, None)}
        headings = ("work", "tl_sweep", "reference", "ratio", "target")
        print_measured(headings, measured(bench, models, set(arguments.rows), tasks))
        if out:
            growth(bench, num_train, tasks, out / "benchmarks.png")


if __name__ == "__main__":
    main()
