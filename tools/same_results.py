"""Whether two checkouts of tl_sweep give the same results:

    python tools/same_results.py before=CHECKOUT after=CHECKOUT [part=keys,metrics,cache,compare] [assets=…] [work=…]

    keys      the key of each of some 40 configurations
    metrics   12 short training runs: every recorded number, every prediction, every tensor of the checkpoint
    cache     what the first checkout kept in cache.dir is found by the second; nothing is computed again
    compare   the first checkout's runs, and generated ones, are compared by both: equal numbers

Prints a line per comparison. Exit code 1 if anything differs; words that differ are listed and do not count. assets is
a folder with weights/ and data/trashnet_160/ (default ../shared/assets). work is where everything is written (default:
a temporary folder). What the first checkout gave is kept in work: with the same work, a second call runs the second
checkout alone. About three minutes per checkout. The first checkout's own files must not change meanwhile.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors.numpy import load_file

# Where a function of tl_sweep is found: the first place that has it. Modules move between versions.
PLACES = {
    "compose": ("tl_sweep.config.loading", "tl_sweep.config.schema", "tl_sweep.config"),
    "key_of": ("tl_sweep.run.key", "tl_sweep.identity"),
}
DEFAULTS = {
    "before": "",
    "after": "",
    "part": "keys,metrics,cache,compare",
    "assets": "../shared/assets",
    "work": "",
}
USAGE = ("hit_rows", "missed_rows", "written_mb")  # what a run records of the cache
KEPT = "kept.json"  # written last: what the first checkout was asked for
MEASURED = ("images_per_s", "seconds", "peak_memory_mb", "cache/")  # of the machine, not of the result
PATIENCE_S = 600
PHOTOGRAPHS_PER_CLASS = 30
# Of a comparison's json and csv: older name to newer one.
RENAMED = {
    "vs_scratch": "vs_baseline",
    "stability": "selection_frequency",
    "best_again": "best_frequency",
    "arrival": "time_to_baseline",
    "scratch_needs": "baseline_needs",
}
GENERATED_RUNS = 150  # one backbone, 2 numbers of labels, 5 strategies, 3 rates, 5 seeds
MOST_DETAILS = 10  # of one comparison
MOST_WORDS = 60
MOST_CHARACTERS = 150  # of a text that is shown

# --- what both checkouts are asked for; words as on a command line

MOBILENET = "model=mobilenet_v2 model.weights={assets}/weights/mobilenet_v2-imagenet.pth"
SQUEEZENET = "model=squeezenet1_1 model.weights={assets}/weights/squeezenet1_1-imagenet.pth"
TRASHNET = "data=image_folder data.root={assets}/data/trashnet_160"
PHOTOGRAPHS = "data=image_folder data.root={photographs} data.image_size=64 data.shots=5"

GROUPS = {"model": "resnet_small", "freeze": "early", "optim": "auto", "data": "digits", "augment": "light"}
CONFIGURATIONS = (
    "freeze=scratch",
    "freeze=none",
    "freeze=early",
    "freeze=all",
    "freeze=lp_ft",
    "freeze=gradual",
    "freeze=bn_only",
    "freeze=depth freeze.frozen_stages=0",
    "freeze=depth freeze.frozen_stages=3",
    "freeze=none freeze.batch_norm=eval",
    "freeze=none threads=1 num_workers=1 device=cpu resume=force cache.enabled=False output.dir=elsewhere",
    "model=resnet18 freeze=all",
    "model=resnet18 freeze=none optim=sgd",
    "model=resnet18 freeze=none optim=sgd optim.momentum=0.8 optim.weight_decay=5e-4",
    "model=resnet18 freeze=early model.weights=run:0123456789abcdef0123456789abcdef",
    "model=resnet50 freeze=early optim=adamw optim.lr=1e-3",
    "model=resnet50 freeze=early optim=adamw optim.lr=0.001",
    "model=resnet50 freeze=early optim=adamw optim.lr=1e-4 optim.lr_scale=10",
    "model=resnet50 freeze=none model.weights=IMAGENET1K_V1",
    "model=vgg11 freeze=scratch",
    "model=vgg16 freeze=none",
    "model=vgg16 freeze=none model.weights=letters",
    "model=vgg16_bn freeze=all optim=lbfgs optim.l2=[1.0,0.1]",
    "model=efficientnet_b0 freeze=gradual epochs=20",
    "model=mobilenet_v3_small freeze=early optim.backbone_lr_scale=0.3",
    "model=vit_b_16 freeze=lp_ft data.image_size=224",
    "model=swin_t freeze=early data.image_size=224",
    "model=convnext_tiny freeze=none optim.layer_decay=0.75",
    "model=torchvision model.name=regnet_y_400mf freeze=none",
    "model=residual model.depth=56 model.residual=false freeze=scratch",
    "model=residual model.depth=20 model.norm=group model.weights=letters freeze=none",
    f"{MOBILENET} freeze=all {TRASHNET} data.shots=10 seed=3",
    f"{SQUEEZENET} freeze=none {TRASHNET} data.fraction=0.1 data.split_seed=1 data.balance=weight data.flips=both",
    f"{SQUEEZENET} freeze=scratch {TRASHNET} data.group=([a-z]+[0-9])",
    "data=letters data.shots=5 model.weights=null",
    "data=letters_clean data.fraction=0.2 model.weights=letters_clean",
    "data.shots=25 seed=1 data.subset_seed=7",
    "data.shots=null data.fraction=0.5",
    "augment=none",
    "augment=strong augment.views=4 augment.seed=2",
    "augment.mixup=0.2 augment.cutmix=1.0",
    "optim.ema_decay=0.99 optim.clip_norm=1 optim.label_smoothing=0.1 optim.warmup=0",
    "epochs=50 batch_size=16 patience=5 precision=float32 model.dropout=0.2",
    "model.preprocessing.mean=[0.5,0.5,0.5] model.preprocessing.std=[0.2,0.2,0.2] "
    "model.preprocessing.interpolation=bicubic",
)

ALWAYS = "threads=1 num_workers=1 tracking.uri=null cache.dir=rows weights.dir=beside/weights"
TRAINING = {  # by job; the first is a sweep, the others are single runs
    "digits": "-m freeze=scratch,none,early,all data.shots=5 epochs=3",
    "digits-lp_ft": "freeze=lp_ft data.shots=5 epochs=4 optim.ema_decay=0.9 optim.clip_norm=1",
    "digits-gradual": "freeze=gradual data.shots=5 epochs=5 optim.layer_decay=0.8",
    "digits-bn_only": "freeze=bn_only data.shots=5 epochs=3 optim=sgd augment.mixup=0.2",
    "digits-depth": "freeze=depth freeze.frozen_stages=2 data.shots=5 epochs=3 augment=strong augment.views=2 seed=1",
    "squeezenet-none": f"{SQUEEZENET} freeze=none {PHOTOGRAPHS} epochs=2",
    "squeezenet-all": f"{SQUEEZENET} freeze=all {PHOTOGRAPHS} epochs=2 augment=none",
    "mobilenet-early": f"{MOBILENET} freeze=early {PHOTOGRAPHS} epochs=2 data.balance=weight model.dropout=0.2",
    "mobilenet-bn_only": f"{MOBILENET} freeze=bn_only {PHOTOGRAPHS} epochs=2 optim.label_smoothing=0.1",
}
CACHED = {
    "digits-all": "freeze=all data.shots=5 epochs=1 augment=none cache.enabled=True",
    "squeezenet-all": f"{SQUEEZENET} freeze=all {PHOTOGRAPHS} epochs=1 augment=none cache.enabled=True",
    "mobilenet-early": f"{MOBILENET} freeze=early {PHOTOGRAPHS} epochs=2 augment.views=2 cache.enabled=True",
    "squeezenet-none": f"{SQUEEZENET} freeze=none {PHOTOGRAPHS} epochs=1 cache.enabled=True",  # decoded images alone
}

CHILD = """
import importlib, json, sys
from omegaconf import OmegaConf

asked = json.load(sys.stdin)

def found(name):
    reasons = []
    for place in asked["places"][name]:
        try:
            return getattr(importlib.import_module(place), name)
        except (ImportError, AttributeError) as error:
            reasons.append(f"{place}: {error}")
    sys.exit(f"{name} is in none of its places, see PLACES in tools/same_results.py: {reasons}")

compose, key_of = found("compose"), found("key_of")
keys = []
for words in asked["configurations"]:
    print(words, file=sys.stderr)  # the last one is seen above an error
    pairs = dict(word.split("=", 1) for word in words.split())
    options = asked["groups"] | {name: text for name, text in pairs.items() if name in asked["groups"]}
    dotted = [f"{name}={text}" for name, text in pairs.items() if name not in asked["groups"]]
    values = OmegaConf.to_container(OmegaConf.from_dotlist([*dotted, "weights.dir=beside/weights"]))
    keys.append(key_of(compose(options, values)))
print(json.dumps(keys))
"""


class Failed(Exception):
    """A command ended with an error, or did not end."""


@dataclass(frozen=True)
class Side:
    """One checkout and where its results go. before: the other checkout's results, for the second one; else None."""

    checkout: Path
    folder: Path
    assets: Path
    photographs: Path
    before: Path | None = None


@dataclass(frozen=True)
class Row:
    """One comparison. details: what differs. words: texts that differ, as information."""

    what: str
    before: str
    after: str
    same: bool
    details: tuple[str, ...] = ()
    words: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Part:
    """run: writes a side's results into its folder. rows: compares the folders of both. asked: what it runs."""

    run: Callable[[Side], None]
    rows: Callable[[Path, Path], Iterator[Row]]
    asked: object


# --- commands


def run_python(side: Side, folder: Path, *words: str, stdin: str = "") -> str:
    """What Python prints, run in ``folder`` with the checkout's own package.

    Raises:
        Failed: with what it said.
    """
    folder.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(side.checkout), sysconfig.get_path("purelib")]),
        "PYTHONDONTWRITEBYTECODE": "1",  # a checkout stays as it is
        "OMP_NUM_THREADS": "1",
        "MPLBACKEND": "Agg",
    }
    # -S: else the editable install adds its checkout behind ours, and Hydra finds the plugins of both
    command = [sys.executable, "-S", *words]
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, input=stdin, capture_output=True, text=True, timeout=PATIENCE_S
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{' '.join(words)}: not done after {PATIENCE_S} s") from error
    if done.returncode:
        raise Failed(f"{' '.join(words)}: exit code {done.returncode}\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def require_own_package(side: Side) -> None:
    """
    Raises:
        Failed: another checkout's package would be imported.
    """
    found = run_python(side, side.folder, "-c", "import tl_sweep; print(tl_sweep.__file__)").strip()
    if not Path(found).is_relative_to(side.checkout):
        raise Failed(f"{found} is imported, which is not in {side.checkout}")
    print(f"{side.folder.name}: {found}", flush=True)


def filled(side: Side, words: str) -> list[str]:
    return words.format(assets=side.assets, photographs=side.photographs).split()


def train(side: Side, folder: Path, output: str, words: str) -> None:
    """One command in ``folder``, which has the cache and what lies beside the weights; its runs go to ``output``."""
    options = [*filled(side, words), *ALWAYS.split(), f"output.dir={output}"]
    run_python(side, folder, "-m", "tl_sweep.train", *options)


# --- keys


def run_keys(side: Side) -> None:
    configurations = [" ".join(filled(side, words)) for words in CONFIGURATIONS]
    asked = {"places": PLACES, "groups": GROUPS, "configurations": configurations}
    child = side.folder / "child.py"
    child.write_text(CHILD)
    keys = json.loads(run_python(side, side.folder, str(child), stdin=json.dumps(asked)))
    (side.folder / "keys.json").write_text(json.dumps(keys))


def keys_rows(before: Path, after: Path) -> Iterator[Row]:
    both = (json.loads((folder / "keys.json").read_text()) for folder in (before, after))
    for words, old, new in zip(CONFIGURATIONS, *both, strict=True):
        yield Row(words, old, new, old == new)


# --- metrics


def run_training(side: Side) -> None:
    for job, words in TRAINING.items():
        train(side, side.folder, f"runs/{job}", words)


def training_rows(before: Path, after: Path) -> Iterator[Row]:
    for job in TRAINING:
        yield from runs_rows(job, before / "runs" / job, after / "runs" / job)


def runs_rows(job: str, before: Path, after: Path) -> Iterator[Row]:
    """Of the runs of one job, in the order of their keys."""
    old_runs, new_runs = runs_in(before), runs_in(after)
    old_names, new_names = (" ".join(run.name for run in runs) for runs in (old_runs, new_runs))
    yield Row(f"{job}: keys", brief(old_names), brief(new_names), old_names == new_names)
    for old, new in zip(old_runs, new_runs, strict=False):
        name = f"{job}: {strategy_of(old)}"
        yield numbers_row(f"{name}, numbers", old, new)
        for what, read in (("predictions", predictions), ("checkpoint", tensors)):
            one, other = read(old), read(new)
            yield Row(f"{name}, {what}", one, other, one == other)


def runs_in(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob("*/record.jsonl"))


def events(run: Path, kind: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "record.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == kind]


def strategy_of(run: Path) -> str:
    (start,) = events(run, "start")
    return str(start["tags"]["strategy"])


def computed(run: Path) -> dict[str, str]:
    """Every recorded number that was computed and not measured, exactly, by step and name."""
    return {
        f"step {event['step']} {name}": repr(value)
        for event in events(run, "metrics")
        for name, value in event["values"].items()
        if not name.startswith(MEASURED)
    }


def numbers_row(what: str, before: Path, after: Path) -> Row:
    old, new = computed(before), computed(after)
    details = [
        f"{name}: {old.get(name)} → {new.get(name)}" for name in {**old, **new} if old.get(name) != new.get(name)
    ]
    return Row(what, count_of(old), count_of(new), old == new, tuple(details))


def count_of(numbers: dict[str, str]) -> str:
    return f"{len(numbers)} numbers {digest(json.dumps(numbers, sort_keys=True).encode())}"


def predictions(run: Path) -> str:
    """How many, and a digest of all columns and values; numbers are written so that no bit is lost."""
    frame = pd.read_parquet(run / "predictions.parquet")
    return f"{len(frame)} rows {digest(frame.to_csv(index=False).encode())}"


def tensors(run: Path) -> str:
    """How many, and a digest of names, types, shapes and values."""
    content = load_file(run / "checkpoint.safetensors")
    parts = [f"{name} {content[name].dtype} {content[name].shape}".encode() for name in sorted(content)]
    values = [content[name].tobytes() for name in sorted(content)]
    return f"{len(content)} tensors {digest(*parts, *values)}"


def digest(*contents: bytes) -> str:
    return hashlib.sha256(b"\0".join(contents)).hexdigest()[:8]


def brief(text: str) -> str:
    return text if len(text) <= 20 else f"{len(text.split())} keys {digest(text.encode())}"


# --- cache


def run_cached(side: Side) -> None:
    """The first checkout fills cache.dir and then uses it; the second uses a copy of it, as the first has left it."""
    if side.before is not None:
        shutil.copytree(side.before / "rows", side.folder / "rows")
    attempts = ("cold", "warm") if side.before is None else ("warm",)
    for attempt in attempts:
        for job, words in CACHED.items():
            train(side, side.folder, f"{attempt}/{job}", f"{words} resume=force")


def cached_rows(before: Path, after: Path) -> Iterator[Row]:
    for job in CACHED:
        (cold,), (old,), (new,) = (
            runs_in(folder / job) for folder in (before / "cold", before / "warm", after / "warm")
        )
        yield usage_row(f"{job}: frozen stages' rows", old, new)
        yield numbers_row(f"{job}: numbers, computed and then kept", cold, new)
    old_files, new_files = kept_files(before / "rows"), kept_files(after / "rows")
    old_text, new_text = (f"{len(files)} files {sum(files.values())} bytes" for files in (old_files, new_files))
    added = [f"{name}: {size} bytes" for name, size in sorted(new_files.items() - old_files.items())]
    yield Row("cache.dir after all jobs", old_text, new_text, old_files == new_files, tuple(added))


def usage_row(what: str, before: Path, after: Path) -> Row:
    """Equal where as many rows were found as by the first checkout, and none was computed."""
    (old_found, _, _), (new_found, new_computed, new_written_mb) = usage(before), usage(after)
    same = new_found == old_found and new_computed == 0 and new_written_mb == 0
    return Row(what, usage_text(before), usage_text(after), same, (f"{new_written_mb} MB were written",))


def usage(run: Path) -> tuple[float, float, float]:
    """Rows that were found and rows that were computed, and the MB that these take."""
    values = events(run, "metrics")[-1]["values"]
    found, computed, written_mb = (values.get(f"cache/{name}", math.nan) for name in USAGE)
    return found, computed, written_mb


def usage_text(run: Path) -> str:
    found, computed, _ = usage(run)
    return f"{found:.0f} found, {computed:.0f} computed"


def kept_files(folder: Path) -> dict[str, int]:
    """Bytes by name; every entry's description is among them. Locks are none of the content."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]
    return {str(path.relative_to(folder)): path.stat().st_size for path in files}


# --- compare


def run_comparisons(side: Side) -> None:
    """Both checkouts read the first one's runs, and start from the speeds that the first one has measured."""
    if side.before is None:
        collect_runs(side)
    else:
        shutil.copytree(side.before / "beside", side.folder / "beside")
    for runs in ("trained", "generated"):
        where = (side.before or side.folder) / runs
        words = (f"output.dir={where}", "tracking.uri=null", "weights.dir=beside/weights")
        for form in ("json", "csv"):
            text = run_python(side, side.folder, "-m", "tl_sweep.compare", *words, "--format", form)
            (side.folder / f"{runs}.{form}").write_text(text)


def collect_runs(side: Side) -> None:
    """The runs of the part ``metrics`` in one folder, and generated ones in another."""
    for run in (side.folder.parent / "metrics" / "runs").glob("*/*/record.jsonl"):
        shutil.copytree(run.parent, side.folder / "trained" / run.parent.name)
    (maker,) = side.checkout.glob("*/make_runs.py")  # scripts/ or benchmarks/
    run_python(side, side.folder, str(maker), "generated", str(GENERATED_RUNS))


def comparisons_rows(before: Path, after: Path) -> Iterator[Row]:
    for runs in ("trained", "generated"):
        for form, read in (("json", json.loads), ("csv", read_csv)):
            old, new = (read((folder / f"{runs}.{form}").read_text()) for folder in (before, after))
            yield study_row(f"{runs} runs as {form}", renamed(old), renamed(new))


def renamed(value: Any) -> Any:
    """With each key under its newest name; a csv's column begins with its group's."""
    if isinstance(value, dict):
        return {newest(name): renamed(item) for name, item in value.items()}
    return [renamed(item) for item in value] if isinstance(value, list) else value


def newest(key: str) -> str:
    return next((new + key[len(old) :] for old, new in RENAMED.items() if key.startswith(old)), key)


def read_csv(text: str) -> list[dict[str, Any]]:
    return [{name: value_of(cell) for name, cell in row.items()} for row in csv.DictReader(text.splitlines())]


def value_of(cell: str) -> object:
    if cell in ("True", "False"):
        return cell == "True"
    try:
        return float(cell)
    except ValueError:
        return cell


def study_row(what: str, before: Any, after: Any) -> Row:
    numbers, words = [], []
    for place, old, new in pairs(before, after):
        if repr(old) == repr(new) or (is_number(old) and is_number(new) and old == new):
            continue
        if is_number(old) or is_number(new):
            numbers.append(f"{place}: {old} → {new}")
        else:
            words.append((str(old), str(new)))
    return Row(what, summary_of(before), summary_of(after), not numbers, tuple(numbers), tuple(words))


def summary_of(study: Any) -> str:
    """How many numbers, and a digest of them, whatever their order."""
    numbers = sorted(repr(float(number)) for number in numbers_in(study))
    return f"{len(numbers)} numbers {digest(*(text.encode() for text in numbers))}"


def pairs(before: Any, after: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Values that stand in the same place of both: under the same key, or at the same position of equally long lists.
    What only the first one has is compared with nothing; what only the second one has is new, and left out."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in before:
            if name in after:
                yield from pairs(before[name], after[name], f"{place}.{name}")
            else:
                yield from ((f"{place}.{name}: gone", leaf, None) for leaf in leaves(before[name]))
    elif isinstance(before, list) and isinstance(after, list):
        if len(before) != len(after):
            yield f"{place}: length", len(before), len(after)
        for position, (old, new) in enumerate(zip(before, after, strict=False)):
            yield from pairs(old, new, f"{place}[{position}]")
    else:
        yield place, before, after


def numbers_in(value: Any) -> list[Any]:
    return [leaf for leaf in leaves(value) if is_number(leaf)]


def leaves(value: Any) -> Iterator[Any]:
    """Everything in it that holds nothing itself, in order; of a dictionary its keys, too."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def is_number(value: object) -> bool:
    return isinstance(value, (int, float))


# --- all of it

PARTS = {
    "keys": Part(run_keys, keys_rows, CONFIGURATIONS),
    "metrics": Part(run_training, training_rows, (TRAINING, ALWAYS)),
    "cache": Part(run_cached, cached_rows, (CACHED, ALWAYS)),
    "compare": Part(run_comparisons, comparisons_rows, (TRAINING, ALWAYS, GENERATED_RUNS)),
}


def make_before(part: str, side: Side) -> float | None:
    """The first checkout's results, unless they are there. Returns the seconds that it took; None: they were kept."""
    asked = json.dumps([str(side.checkout), repr(PARTS[part].asked)])
    kept = side.folder / KEPT
    if kept.exists() and kept.read_text() == asked:
        return None
    took_s = make_anew(part, side)
    kept.write_text(asked)
    return took_s


def make_anew(part: str, side: Side) -> float:
    shutil.rmtree(side.folder, ignore_errors=True)
    side.folder.mkdir(parents=True)
    started_s = time.perf_counter()
    PARTS[part].run(side)
    return time.perf_counter() - started_s


def compared(part: str, before: Side, after: Side) -> list[Row]:
    """Run what has to be run; an error of the second checkout is a difference."""
    needed = ["metrics", "compare"] if part == "compare" else [part]  # it compares the runs of that one
    for name in needed:
        took_s = make_before(name, inside(before, name))
    print(f"{part}, before: {'kept' if took_s is None else f'{took_s:.0f} s'}", flush=True)
    try:
        took_s = make_anew(part, inside(after, part))
    except Failed as error:
        return [Row(f"{part}, after", "ran", "failed", False, tuple(str(error).splitlines()[-MOST_DETAILS:]))]
    print(f"{part}, after: {took_s:.0f} s", flush=True)
    return list(PARTS[part].rows(before.folder / part, after.folder / part))


def inside(side: Side, part: str) -> Side:
    other = None if side.before is None else side.before / part
    return Side(side.checkout, side.folder / part, side.assets, side.photographs, other)


def take_photographs(assets: Path, folder: Path) -> None:
    """A few photographs of each class, by name."""
    for source in sorted((assets / "data" / "trashnet_160").iterdir()):
        target = folder / source.name
        target.mkdir(parents=True, exist_ok=True)
        for path in sorted(source.iterdir())[:PHOTOGRAPHS_PER_CLASS]:
            if not (target / path.name).exists():
                shutil.copyfile(path, target / path.name)


def show(part: str, row: Row) -> None:
    verdict = "equal" if row.same else "DIFFERENT"
    print(f"{verdict:<9}  {part:<7}  {row.before:<26}  {row.after:<26}  {row.what}", flush=True)
    if not row.same:
        for detail in row.details[:MOST_DETAILS]:
            print(f"           {detail[:MOST_CHARACTERS]}")
        if len(row.details) > MOST_DETAILS:
            print(f"           and {len(row.details) - MOST_DETAILS} more")


def show_words(rows: Sequence[Row]) -> None:
    """Texts that differ, each once, with how often."""
    counts: dict[tuple[str, str], int] = {}
    for row in rows:
        for pair in row.words:
            counts[pair] = counts.get(pair, 0) + 1
    if not counts:
        return
    print(f"\nwords that differ, which is no failure: {len(counts)}")
    for (old, new), count in list(counts.items())[:MOST_WORDS]:
        mark = "" if digits_of(old) == digits_of(new) else "   (other digits in it)"
        print(f"  {count} ×  {old[:MOST_CHARACTERS]!r} → {new[:MOST_CHARACTERS]!r}{mark}")
    if len(counts) > MOST_WORDS:
        print(f"  and {len(counts) - MOST_WORDS} more")


def digits_of(text: str) -> list[str]:
    return re.findall(r"\d+(?:\.\d+)?", text)


def read_arguments(arguments: Sequence[str]) -> dict[str, str]:
    """``key=value`` words. tl_sweep has such a function, but this tool imports nothing that may move."""
    if {"-h", "--help"} & set(arguments):
        print(__doc__)
        sys.exit(0)
    given = dict(word.partition("=")[::2] for word in arguments)
    values = DEFAULTS | given
    unknown = [*(given.keys() - DEFAULTS.keys()), *(part for part in values["part"].split(",") if part not in PARTS)]
    if unknown:
        sys.exit(f"error: {', '.join(unknown)}: keys: {', '.join(DEFAULTS)}; parts: {', '.join(PARTS)}")
    for name in ("before", "after"):
        if not (Path(values[name]) / "tl_sweep").is_dir():
            sys.exit(f"error: {name}={values[name]}: a folder with tl_sweep/ in it is needed")
    if not (Path(values["assets"]) / "data" / "trashnet_160").is_dir():
        sys.exit(f"error: assets={values['assets']}: no data/trashnet_160 there")
    return values


def run(values: dict[str, str], work: Path) -> list[Row]:
    assets, photographs = Path(values["assets"]).resolve(), work / "photographs"
    take_photographs(assets, photographs)
    before = Side(Path(values["before"]).resolve(), work / "before", assets, photographs)
    after = Side(Path(values["after"]).resolve(), work / "after", assets, photographs, before.folder)
    for side in (before, after):
        require_own_package(side)
    rows = []
    for part in values["part"].split(","):
        found = compared(part, before, after)
        for row in found:
            show(part, row)
        rows += found
    return rows


def main() -> None:
    values = read_arguments(sys.argv[1:])
    started_s = time.perf_counter()
    try:
        with tempfile.TemporaryDirectory() as temporary:
            rows = run(values, Path(values["work"] or temporary).resolve())
    except Failed as error:
        sys.exit(f"error: {error}")
    show_words(rows)
    different = sum(not row.same for row in rows)
    verdict = f"{different} of {len(rows)} DIFFERENT" if different else f"all {len(rows)} equal"
    print(f"\n{verdict}, after {time.perf_counter() - started_s:.0f} s")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
