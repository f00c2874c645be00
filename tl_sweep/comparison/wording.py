"""What is said of a family of comparisons: p-values adjusted, verdicts, and what a verdict needs. N test images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tl_sweep.comparison import proportions
from tl_sweep.comparison.collapse import break_even, is_better_all_counted
from tl_sweep.comparison.effects import Effects, of_one_seed
from tl_sweep.comparison.evidence import Evidence
from tl_sweep.comparison.looks import level_at
from tl_sweep.comparison.model_selection import FEWEST_SEEDS, Cell
from tl_sweep.comparison.multiplicity import holm
from tl_sweep.comparison.pairs import Pair, effects_in
from tl_sweep.comparison.proportions import LEVEL
from tl_sweep.comparison.sample_size import MOST_IMAGES, MOST_SEEDS, needed_sample_size
from tl_sweep.comparison.study import UNKNOWN, Comparison, SampleSize

FEWEST_GROUPS = 10  # of test images, as many as equal ones: fewer do not show how much groups differ


@dataclass(frozen=True)
class Test:
    """Of one pair. p, p_not_equivalent: for the number of looks; in a family adjusted for it, too. tests: in it."""

    pair: Pair
    effects: Effects
    p_alone: float
    p: float
    p_not_equivalent: float
    tests: int


def adjusted_verdicts(family: Sequence[Pair], evidence: Evidence, margin: float) -> dict[Cell, Comparison]:
    """Verdicts on methods where there are three seeds or more, adjusted for the whole family; else what can be said."""
    all_effects = list(effects_in(family))
    tested = [
        (pair, effects)
        for pair, effects in zip(family, all_effects, strict=True)
        if effects is not None and not _why_untested(pair, effects)
    ]
    levels = [LEVEL / (LEVEL if pair.planned else level_at(effects, pair.looks)) for pair, effects in tested]
    p_alone = [min(1.0, effects.p_value() * by) for (_, effects), by in zip(tested, levels, strict=True)]
    not_equivalent = [
        min(1.0, effects.p_not_equivalent(margin) * by) for (_, effects), by in zip(tested, levels, strict=True)
    ]
    columns = zip(tested, p_alone, holm(p_alone), holm(not_equivalent), strict=True)
    tests = {pair.ours.cell: Test(pair, effects, p, q, r, len(family)) for (pair, effects), p, q, r in columns}
    return {
        pair.ours.cell: _on_methods(tests[pair.ours.cell], margin)
        if pair.ours.cell in tests
        else _untested(pair, effects, evidence)
        for pair, effects in zip(family, all_effects, strict=True)
    }


def _why_untested(pair: Pair, effects: Effects) -> str:
    """Why there is no verdict on methods; empty if there is one."""
    if pair.num_seeds < FEWEST_SEEDS:
        return f"{pair.num_seeds} seeds: no verdict on methods"
    if pair.ours.shared_labels == 1:
        return "all seeds have the same labels: nothing can be said of other labels"
    if pair.planned and pair.num_seeds + pair.num_collapsed < pair.planned:
        return f"{pair.num_seeds + pair.num_collapsed} of {pair.planned} planned seeds are there: no verdict before"
    if effects.squares.effective_groups < FEWEST_GROUPS:
        return (
            f"{groups_text(effects)} of test images: no verdict with fewer than {FEWEST_GROUPS}, which do not show how "
            "much groups differ"
        )
    return ""


def groups_text(effects: Effects) -> str:
    """``12 groups``, ``40 groups (that count as 22 equal ones)``"""
    count, equal = effects.squares.num_groups, effects.squares.effective_groups
    return f"{count} groups" + (f" (that count as {equal:.3g} equal ones)" if equal < 0.95 * count else "")


def _on_methods(test: Test, margin: float) -> Comparison:
    """Its p-values are adjusted for the family."""
    pair, effects, other = test.pair, test.effects, test.pair.other.cell.label
    if test.p_not_equivalent < LEVEL:
        return _comparison(test, test.p_not_equivalent, "equivalent", f"within {_points(margin)} of {other}")
    if test.p < LEVEL:
        word = "better" if effects.mean > 0 else "worse"
        return _comparison(test, test.p, word, f"{word} than {other}{_collapse_clause(pair, effects)}")
    if pair.ours.shared_labels:
        wording = f"neither significantly different from {other} nor equivalent, for any labels; more labels would tell"
        return _comparison(test, test.p, "inconclusive", wording)
    seen = abs(effects.mean)
    size = needed_sample_size(effects, max(seen, margin - seen), test.tests, _next_level(pair))
    wording = f"neither significantly different from {other} nor equivalent{_needed_clause(size, effects)}"
    text = sample_size_text(size, pair.num_seeds, effects.squares.num_images)
    if pair.planned:  # and they are there: more of the same study cannot tell
        size, text = replace(size, seeds=None), text and f"{text}, in a study that is planned so"
    return _comparison(test, test.p, "inconclusive", wording, size, text)


def _next_level(pair: Pair) -> Callable[[Effects], float]:
    """More seeds are another look; other images are another study with as many looks. Beyond a plan there is no look:
    more seeds are another plan."""

    def level(expected: Effects) -> float:
        more = expected.squares.num_seeds
        if pair.planned:
            return LEVEL
        return level_at(expected, [*pair.looks, more] if more > pair.num_seeds else pair.looks)

    return level


def _comparison(
    test: Test, p: float, verdict: str, wording: str, needed: SampleSize | None = None, needed_text: str = ""
) -> Comparison:
    pair = test.pair
    shared = " in common" if pair.num_seeds + pair.num_collapsed < len(pair.ours.cell.runs) else ""
    looks = ", as planned" if pair.planned else f", look {len(pair.looks)} at it" if len(pair.looks) > 1 else ""
    groups = (
        f", {groups_text(test.effects)}" if test.effects.squares.num_groups < test.effects.squares.num_images else ""
    )
    return Comparison(
        test.effects.interval(),
        p,
        verdict,
        f"{wording}; Holm's p = {p:.2g}, {pair.num_seeds} seeds{shared}{looks}{groups}",
        needed,
        needed_text,
        p_alone=test.p_alone,
        all_counted=verdict == "better" and _all_counted(pair, test.effects),
    )


def _all_counted(pair: Pair, effects: Effects) -> bool:
    return is_better_all_counted(effects, pair.accuracy, pair.ours.chance, pair.ours.collapses)


def _collapse_clause(pair: Pair, effects: Effects) -> str:
    """Verdicts are about seeds that do not collapse; whether more seeds would, few cannot say."""
    ours, other = pair.ours.collapses, pair.other.collapses
    if effects.mean < 0:
        return f" when neither collapses ({other.count} of {other.runs} runs of that did)" if other.count else ""
    how_many = f"{ours.count} of {ours.runs} runs collapsed, up to {ours.most():.0%} may"
    if _all_counted(pair, effects):
        return f", collapses counted ({how_many})"
    up_to = break_even(effects, pair.accuracy, pair.ours.chance)
    return f" when it does not collapse ({how_many}; better also if fewer than {up_to:.0%} do)"


def _untested(pair: Pair, effects: Effects | None, evidence: Evidence) -> Comparison:
    """No verdict, but with one seed an exact test of these two networks."""
    other = pair.other.cell.label
    if pair.num_seeds < FEWEST_SEEDS <= pair.num_seeds + pair.num_collapsed:
        collapsed = f"{pair.num_collapsed} of {pair.num_seeds + pair.num_collapsed} seeds collapsed"
        left = f"fewer than {FEWEST_SEEDS} are left that did not on either side: no verdict"
        return Comparison(
            UNKNOWN if effects is None else effects.interval(), math.nan, "", f"unstable: {collapsed}; {left}"
        )
    if pair.num_seeds == 0:
        return Comparison(UNKNOWN, math.nan, "", f"no seed in common with {other}")
    if effects is None and pair.correct_2N is None:
        return Comparison(UNKNOWN, math.nan, "", "all test images are one group: that says nothing of other groups")
    if effects is not None:
        planned = SampleSize(pair.planned, None) if pair.planned else None
        return Comparison(effects.interval(), math.nan, "", _why_untested(pair, effects), needed=planned)
    return _on_networks(pair, evidence)


def _on_networks(pair: Pair, evidence: Evidence) -> Comparison:
    """Of one seed."""
    assert pair.correct_2N is not None
    ours_N, other_N = pair.correct_2N
    groups = evidence.groups(pair.ours.cell.runs[0])
    if groups is None:
        p, interval = proportions.mcnemar(ours_N, other_N), proportions.paired(ours_N, other_N)
        test = f"exact McNemar, p = {p:.2g}"
    else:
        effects = of_one_seed(ours_N.astype(float) - other_N, groups)
        p, interval = effects.p_value(), effects.interval()
        test = f"{groups_text(effects)} of test images, p = {p:.2g}"
    different = "differ" if p < LEVEL else "do not differ"
    wording = f"these two networks {different} significantly ({test}); one seed: no verdict on methods"
    return Comparison(interval, math.nan, "", wording)


def _needed_clause(size: SampleSize, effects: Effects) -> str:
    """What a difference as large as the one seen, or one within the margin, needs to become significant."""
    if size.seeds is None and size.images is None:
        return f"; neither {MOST_SEEDS} seeds alone nor {MOST_IMAGES:,} test images alone would be enough"
    needed = sample_size_text(size, effects.squares.num_seeds, effects.squares.num_images)
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
