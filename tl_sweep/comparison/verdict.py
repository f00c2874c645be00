"""Which strategy is better than which: every comparison of a study, and its family. S seeds, N test images."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from tl_sweep.comparison import resampling
from tl_sweep.comparison.evidence import Evidence
from tl_sweep.comparison.looked import Looked, best_reference
from tl_sweep.comparison.model_selection import Cell, mean_of
from tl_sweep.comparison.multiplicity import discoveries
from tl_sweep.comparison.pairs import pair_of
from tl_sweep.comparison.proportions import LEVEL
from tl_sweep.comparison.ranking import Ranking, ranking_of
from tl_sweep.comparison.study import Comparison, Interval
from tl_sweep.comparison.wording import adjusted_verdicts
from tl_sweep.tracking.names import Metric
from tl_sweep.tracking.record import RunRecord


def against_baseline(looked: Mapping[Cell, Looked], evidence: Evidence, margin: float) -> dict[Cell, Comparison]:
    """Each strategy against the baseline of its backbone and task; these together are a family, declared beforehand."""
    verdicts: dict[Cell, Comparison] = {}
    for baseline, family in families_of(looked).items():
        if not baseline.is_baseline:
            continue
        pairs = [pair_of(looked[cell], looked[baseline], evidence) for cell in family if cell is not baseline]
        verdicts |= adjusted_verdicts(pairs, evidence, margin)
    return verdicts


def families_of(cells: Iterable[Cell]) -> dict[Cell, list[Cell]]:
    """By baseline, the cells that have it; it is one of them. Those without one are a family of their backbone and
    task, too, by their first."""
    cells = list(cells)
    families: dict[Cell, list[Cell]] = defaultdict(list)
    for cell in cells:
        same = (other for other in cells if (other.backbone, other.task) == (cell.backbone, cell.task))
        families[baseline_of(cell, cells) or next(same)].append(cell)
    return families


def against_best(
    ranking: Ranking,
    looked: Mapping[Cell, Looked],
    vs_baseline: Mapping[Cell, Comparison],
    evidence: Evidence,
    margin: float,
) -> dict[Cell, Comparison]:
    """Each cell of one task against the one that is best on validation, a family of its own.

    A pair that stands in the family against the baseline already (``vs_baseline``) has its verdict from there.
    """
    best, reference = ranking.best, best_reference(ranking)
    known: dict[Cell, Comparison] = {}
    for cell in ranking.cells:
        if cell is not best and baseline_of(cell, ranking.cells) is best:
            known[cell] = vs_baseline[cell]
        elif cell is not best and baseline_of(best, ranking.cells) is cell:
            known[cell] = mirrored(vs_baseline[best], best)
    others = [cell for cell in ranking.cells if cell is not best and cell not in known]
    pairs = [pair_of(looked[cell], looked[best], evidence, reference) for cell in others]
    return known | adjusted_verdicts(pairs, evidence, margin)


def claimed(comparisons: Sequence[Comparison | None]) -> list[Comparison | None]:
    """The same, each with whether the whole study may claim it: of what it claims, 5 % may be false.

    In a study of ten tasks one of its verdicts is false half of the time, if each is right in its own family at 5 %.
    """
    tested = [one for one in comparisons if one is not None and not math.isnan(one.p_alone)]
    told = iter(discoveries([one.p_alone for one in tested], LEVEL))
    return [
        one if one is None or math.isnan(one.p_alone) else replace(one, is_claimed=next(told)) for one in comparisons
    ]


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
    return resampling.share_that_choose(correct, losses, chosen, [sets.index(number) for number in sets])


def by_task(cells: Iterable[Cell]) -> list[list[Cell]]:
    """The cells of each task: what was asked the same."""
    groups: dict[object, list[Cell]] = defaultdict(list)
    for cell in cells:
        groups[cell.task].append(cell)
    return list(groups.values())
