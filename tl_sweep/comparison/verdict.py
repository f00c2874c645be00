"""Which strategy is better than which: every comparison of a study, its family, its wording. S seeds, N test images."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tl_sweep.comparison import statistics
from tl_sweep.comparison.evidence import Evidence
from tl_sweep.comparison.model_selection import FEWEST_SEEDS, Cell, mean_of, seed_of
from tl_sweep.comparison.ranking import Ranking, ranking_of
from tl_sweep.comparison.statistics import LEVEL, MOST_IMAGES, MOST_SEEDS, Effects
from tl_sweep.comparison.study import Comparison, Interval, SampleSize
from tl_sweep.tracking.names import Metric
from tl_sweep.tracking.record import RunRecord


@dataclass(frozen=True)
class PairedDifference:
    """Two cells on the seeds and test images that they share, before anything is adjusted."""

    ours: Cell
    other: Cell
    difference: Interval
    p: float
    p_not_equivalent: float
    num_seeds: int
    effects: Effects | None


def paired_difference(ours: Cell, other: Cell, evidence: Evidence, margin: float) -> PairedDifference:
    """How much more accurate ``ours`` is on test, over the seeds that both have and the images of these.

    Raises:
        UserError: predictions are missing, or were made on other images.
    """
    theirs = {seed_of(run): run for run in other.runs}
    pairs = [(run, theirs[seed_of(run)]) for run in ours.runs if seed_of(run) in theirs]
    if not pairs:
        return PairedDifference(ours, other, Interval(math.nan, math.nan, math.nan), math.nan, math.nan, 0, None)
    both_PSN = evidence.table([run for pair in pairs for run in pair], "test").reshape(len(pairs), 2, -1)
    ours_SN, other_SN = both_PSN[:, 0], both_PSN[:, 1]
    if len(pairs) == 1:
        p = statistics.mcnemar(ours_SN[0], other_SN[0])
        return PairedDifference(ours, other, statistics.paired(ours_SN[0], other_SN[0]), p, math.nan, 1, None)
    effects = statistics.two_way(ours_SN.astype(float) - other_SN.astype(float))
    p, p_not_equivalent = effects.p_value(), effects.p_not_equivalent(margin)
    return PairedDifference(ours, other, effects.interval(), p, p_not_equivalent, len(pairs), effects)


def against_baseline(cells: Sequence[Cell], evidence: Evidence, margin: float) -> dict[Cell, Comparison]:
    """Each strategy against the baseline of its backbone and task; these together are a family, declared beforehand."""
    families: dict[Cell, list[PairedDifference]] = defaultdict(list)
    for cell in cells:
        baseline = baseline_of(cell, cells)
        if baseline is not None and baseline is not cell:
            families[baseline].append(paired_difference(cell, baseline, evidence, margin))
    return {
        cell: verdict for family in families.values() for cell, verdict in adjusted_verdicts(family, margin).items()
    }


def against_best(
    cells: Sequence[Cell], vs_baseline: Mapping[Cell, Comparison], evidence: Evidence, margin: float
) -> dict[Cell, Comparison]:
    """Each cell of one task against the one that is best on validation, a family of its own.

    A pair that stands in the family against the baseline already (``vs_baseline``) has its verdict from there.
    """
    best = ranking_of(cells).best
    known: dict[Cell, Comparison] = {}
    for cell in cells:
        if cell is not best and baseline_of(cell, cells) is best:
            known[cell] = vs_baseline[cell]
        elif cell is not best and baseline_of(best, cells) is cell:
            known[cell] = mirrored(vs_baseline[best], best)
    others = [cell for cell in cells if cell is not best and cell not in known]
    return known | adjusted_verdicts([paired_difference(cell, best, evidence, margin) for cell in others], margin)


def mirrored(comparison: Comparison, ours: Cell) -> Comparison:
    """The same comparison as the other side has it; ``ours`` is the side that it was made for."""
    seen, opposite = comparison.difference, {"better": "worse", "worse": "better"}
    verdict = opposite.get(comparison.verdict, comparison.verdict)
    wording = f"{verdict or 'no verdict'}, seen from {ours.label}: {comparison.wording}"
    return replace(
        comparison, difference=Interval(-seen.estimate, -seen.high, -seen.low), verdict=verdict, wording=wording
    )


def baseline_of(cell: Cell, cells: Iterable[Cell]) -> Cell | None:
    """The baseline that ``cell`` is compared with: of those on the same backbone and task, the best on validation."""
    same = (other for other in cells if (other.backbone, other.task) == (cell.backbone, cell.task))
    baselines = [other for other in same if other.is_baseline]
    return ranking_of(baselines).best if baselines else None


def adjusted_verdicts(family: Sequence[PairedDifference], margin: float) -> dict[Cell, Comparison]:
    """Verdicts on methods where there are three seeds or more, adjusted for the whole family; else what can be said."""
    is_tested = [pair.num_seeds >= FEWEST_SEEDS for pair in family]
    p_values = statistics.holm([pair.p if tested else 1.0 for pair, tested in zip(family, is_tested, strict=True)])
    not_equivalent = statistics.holm(
        [pair.p_not_equivalent if tested else 1.0 for pair, tested in zip(family, is_tested, strict=True)]
    )
    return {
        pair.ours: _on_methods(replace(pair, p=p, p_not_equivalent=q), len(family), margin)
        if tested
        else _on_networks(pair)
        for pair, tested, p, q in zip(family, is_tested, p_values, not_equivalent, strict=True)
    }


def _on_methods(pair: PairedDifference, tests: int, margin: float) -> Comparison:
    """tests: in the family; the pair's p-values are adjusted for it."""
    assert pair.effects is not None
    other = pair.other.label
    if pair.p_not_equivalent < LEVEL:
        return _comparison(pair, pair.p_not_equivalent, "equivalent", f"within {_points(margin)} of {other}")
    if pair.p < LEVEL:
        word = "better" if pair.difference.estimate > 0 else "worse"
        return _comparison(pair, pair.p, word, f"{word} than {other}")
    seen = abs(pair.difference.estimate)
    size = statistics.needed_sample_size(pair.effects, max(seen, margin - seen), tests)
    wording = f"neither significantly different from {other} nor equivalent{_needed_clause(size, pair.effects)}"
    return replace(
        _comparison(pair, pair.p, "inconclusive", wording),
        needed=size,
        needed_text=sample_size_text(size, pair.num_seeds, pair.effects.num_images),
    )


def _comparison(pair: PairedDifference, p: float, verdict: str, wording: str) -> Comparison:
    seeds = f"{pair.num_seeds} seeds" + (" in common" if pair.num_seeds < len(pair.ours.runs) else "")
    return Comparison(pair.difference, p, verdict, f"{wording}; Holm's p = {p:.2g}, {seeds}")


def _on_networks(pair: PairedDifference) -> Comparison:
    """Of one or two seeds: no verdict, but with one an exact test of these two networks."""
    if pair.num_seeds == 0:
        return Comparison(pair.difference, math.nan, "", f"no seed in common with {pair.other.label}")
    if pair.num_seeds == 1:
        different = "differ" if pair.p < LEVEL else "do not differ"
        wording = (
            f"these two networks {different} significantly (exact McNemar, p = {pair.p:.2g}); "
            "one seed: no verdict on methods"
        )
        return Comparison(pair.difference, math.nan, "", wording)
    return Comparison(pair.difference, math.nan, "", f"{pair.num_seeds} seeds: no verdict on methods")


def _needed_clause(size: SampleSize, effects: Effects) -> str:
    """What a difference as large as the one seen, or one within the margin, needs to become significant."""
    if size.seeds is None and size.images is None:
        return f"; neither {MOST_SEEDS} seeds alone nor {MOST_IMAGES:,} test images alone would be enough"
    needed = sample_size_text(size, effects.num_seeds, effects.num_images)
    return f"; about {needed} are needed" if needed else ""


def sample_size_text(size: SampleSize, num_seeds: int, num_images: int) -> str:
    """``12 seeds of both or 3,000 test images``; empty where neither alone is enough, or the power was there."""
    ways = [f"{size.seeds} seeds of both"] if size.seeds and size.seeds > num_seeds else []
    if size.images and size.images > num_images:
        ways.append(f"{_round(size.images):,} test images")
    return " or ".join(ways)


def _round(count: int) -> int:
    """To two digits: it is an estimate."""
    digits = max(0, len(str(count)) - 2)
    return round(count, -digits)


def _points(margin: float) -> str:
    return f"{100 * margin:g} point{'s' if margin != 0.01 else ''}"


def selection_frequency(cell: Cell, evidence: Evidence) -> float:
    """Share of resamples of validation images and seeds that choose the cell's setting again; nan without rivals."""
    rivals = [candidate.runs for candidate in cell.candidates]
    return _share_of_resamples(rivals, cell.candidates.index(cell.chosen), evidence)


def best_frequency(ranking: Ranking, evidence: Evidence) -> float:
    """Share of resamples of validation images and seeds, of those that are compared, in which the best cell is best
    again; nan without rivals."""
    return _share_of_resamples([ranking.counted[cell] for cell in ranking.whole], 0, evidence)


def _share_of_resamples(rivals: Sequence[Sequence[RunRecord]], chosen: int, evidence: Evidence) -> float:
    """rivals: the runs of each, on the same seeds in the same order."""
    if len(rivals) < 2:
        return math.nan
    correct = [list(evidence.table(same_seed, "val")) for same_seed in zip(*rivals, strict=True)]
    sets = [evidence.image_set(run, "val") for run in rivals[0]]  # one for all seeds where data.subset_seed is fixed
    losses = [mean_of(runs, Metric.BEST_VAL_LOSS) for runs in rivals]
    return statistics.share_that_choose(correct, losses, chosen, [sets.index(number) for number in sets])


def by_task(cells: Iterable[Cell]) -> list[list[Cell]]:
    """The cells of each task: what was asked the same."""
    groups: dict[object, list[Cell]] = defaultdict(list)
    for cell in cells:
        groups[cell.task].append(cell)
    return list(groups.values())
