"""Which runs can be compared, and with which: nothing is mixed that differs, nothing is left out silently."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import PurePath

from tl_sweep.base.errors import UserError
from tl_sweep.comparison.evidence import Evidence
from tl_sweep.comparison.model_selection import DEFAULTS, backbone_and_strategy, value_of
from tl_sweep.comparison.study import Excluded
from tl_sweep.config.keys import keys_with, keys_without_default
from tl_sweep.tracking.names import Metric, Tag
from tl_sweep.tracking.record import DAMAGED, REASONS, RunRecord

FEWEST_IMAGES = 2  # that show how much images differ
NEEDED = (Metric.BEST_VAL_ACC, Metric.BEST_VAL_LOSS, Metric.TEST_ACC)
NEEDED_TAGS = (Tag.BACKBONE, Tag.STRATEGY, Tag.TRAINABLE_PARAMETERS, Tag.DATA_FINGERPRINT)
UNFINISHED = {
    "RUNNING": "not finished: running, or cut short",
    "KILLED": "not finished: stopped",
    "PAUSED": "not finished: paused",
    "FAILED": "failed",
    DAMAGED: "its record is damaged",
}


def sort_out(runs: Sequence[RunRecord], evidence: Evidence) -> tuple[list[RunRecord], list[Excluded]]:
    """The finished, whole and newest runs, each on the images that the others of its data set were tested on; and why
    the others are left out."""
    left_out: dict[str, list[str]] = defaultdict(list)
    usable = []
    for run in runs:
        why, detail = _defect(run, evidence)
        if why:
            left_out[why].append(f"{run.name} ({detail})" if detail else run.name)
        else:
            usable.append(run)
    for keep_newest in (_once, _same_files, _same_test, _same_val, _same_weights, _same_meaning):
        usable, others = keep_newest(usable, evidence)
        for why, run in others:
            left_out[why].append(run.name)
    return usable, [Excluded(why, tuple(names)) for why, names in left_out.items()]


def datasets_of(runs: Sequence[RunRecord]) -> dict[str, list[RunRecord]]:
    """Runs by data set: its name, or its folder's for files of one's own; by the whole path where two folders that hold
    different files have one name."""
    contents: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for run in runs:
        contents[_short(run)][run.params.get("data.root", "")].add(run.tags.get(Tag.DATA_FINGERPRINT, ""))
    groups: dict[str, list[RunRecord]] = defaultdict(list)
    for run in runs:
        clash = not set.intersection(*contents[_short(run)].values())
        groups[run.params["data.root"] if clash else _short(run)].append(run)
    return groups


def _short(run: RunRecord) -> str:
    name, root = run.params["data.name"], run.params.get("data.root", "null")
    return PurePath(root).name if name == "image_folder" and root != "null" else name


def _defect(run: RunRecord, evidence: Evidence) -> tuple[str, str]:
    """Why this run cannot be compared, whatever the others are, and what of that is the run's own; empty if it can."""
    if run.status != "FINISHED":
        reason = run.tags.get(REASONS.get(run.status, ""), "")
        return UNFINISHED.get(run.status, run.status.lower()), reason.partition("\n")[0]
    unknown = [
        *(name for name in NEEDED_TAGS if name not in run.tags),
        *(name for name in keys_without_default() if name not in run.params),
    ]
    if unknown:
        return "not recorded as this version of tl_sweep records runs", f"no {', '.join(unknown)}"
    lacking = [name for name in NEEDED if not math.isfinite(run.metrics.get(name, math.nan))]
    if lacking:
        return f"no finite {', '.join(lacking)}", ""
    try:
        if len(evidence.outcomes(run, "test").correct_N) < FEWEST_IMAGES:
            return f"tested on fewer than {FEWEST_IMAGES} images", ""
        if not len(evidence.outcomes(run, "val").correct_N):
            return "its predictions on validation are missing", ""
    except UserError as error:
        return "its predictions cannot be read", str(error)
    return "", ""


Sort = Callable[[RunRecord], object]
Kept = tuple[list[RunRecord], list[tuple[str, RunRecord]]]


def _once(runs: Sequence[RunRecord], evidence: Evidence) -> Kept:
    """Of runs that mean the same, the newest."""
    return _newest(
        runs, lambda run: run.tags.get(Tag.KEY, run.name), lambda run: run.name, "a newer run means the same"
    )


def _same_files(runs: Sequence[RunRecord], evidence: Evidence) -> Kept:
    why = "other files, or other labels, than the newest runs on this data set had"
    return _newest(runs, _by(keys_with(asks="data")), lambda run: run.tags.get(Tag.DATA_FINGERPRINT, ""), why)


def _same_test(runs: Sequence[RunRecord], evidence: Evidence) -> Kept:
    why = "tested on other images than the newest runs on this data set were"
    return _newest(runs, _by(keys_with(asks="data")), lambda run: evidence.image_set(run, "test"), why)


def _same_val(runs: Sequence[RunRecord], evidence: Evidence) -> Kept:
    why = "validated on other images than the newest run of this data set and seed was"
    same_draw = _by([key for asks in ("data", "labels", "images") for key in keys_with(asks=asks)])
    return _newest(runs, same_draw, lambda run: evidence.image_set(run, "val"), why)


def _same_weights(runs: Sequence[RunRecord], evidence: Evidence) -> Kept:
    why = "started from other weights than the newest run with weights of this name did"
    return _newest(runs, _source, lambda run: run.tags.get(Tag.WEIGHTS_SHA256, ""), why)


def _same_meaning(runs: Sequence[RunRecord], evidence: Evidence) -> Kept:
    """By their configuration: another version of the program may have given the same another key."""
    execution = set(keys_with(role="execution"))

    def configured(run: RunRecord) -> tuple[str, ...]:
        what = (*backbone_and_strategy(run), run.tags.get(Tag.DATA_FINGERPRINT, ""))
        return (*what, *(value_of(run, key) for key in sorted({*run.params, *DEFAULTS} - execution)))

    return _newest(runs, configured, lambda run: run.name, "a newer run means the same")


def _source(run: RunRecord) -> tuple[str, ...]:
    has_weights = "weights" if Tag.WEIGHTS_SHA256 in run.tags else "none"
    return run.tags[Tag.BACKBONE], run.params.get("model.weights", "null"), has_weights


def _by(keys: Sequence[str]) -> Sort:
    """By what was configured."""
    return lambda run: tuple(value_of(run, key) for key in keys)


def _newest(runs: Sequence[RunRecord], same: Sort, kind: Sort, why: str) -> Kept:
    """Within each group of ``same``, the runs of the newest run's ``kind``; the others with ``why``."""
    newest: dict[object, RunRecord] = {}
    for run in runs:
        if same(run) not in newest or run.started_s >= newest[same(run)].started_s:
            newest[same(run)] = run
    kinds = [kind(run) for run in runs]
    wanted = {group: kind(run) for group, run in newest.items()}
    fits = [found == wanted[same(run)] for run, found in zip(runs, kinds, strict=True)]
    kept = [run for run, is_kept in zip(runs, fits, strict=True) if is_kept]
    return kept, [(why, run) for run, is_kept in zip(runs, fits, strict=True) if not is_kept]
