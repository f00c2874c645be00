"""The engine of ``tl_sweep.comparison``, as ``simulated_promises`` asks. S seeds, N images, M methods, K settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
from plain_engine import Found

from tl_sweep.comparison.collapse import Collapses, collapsed, is_better_all_counted
from tl_sweep.comparison.effects import Effects, Groups, Member, effects_of, mean_squares, moderated
from tl_sweep.comparison.held_out import HeldOut, held_out
from tl_sweep.comparison.looks import level_at
from tl_sweep.comparison.model_selection import FEWEST_SEEDS
from tl_sweep.comparison.multiplicity import discoveries, holm
from tl_sweep.comparison.proportions import LEVEL
from tl_sweep.comparison.study import Interval


class Product:
    def differences(
        self,
        tables: Sequence[np.ndarray],
        group_N: np.ndarray | None,
        siblings: Sequence[Sequence[np.ndarray]] = (),
        looks: Sequence[int] = (),
    ) -> list[Found]:
        return [_found(effects.interval(), _p_of(effects, looks)) for effects in _effects(tables, group_N, siblings)]

    def accuracies(self, correct_MSN: np.ndarray, group_N: np.ndarray | None) -> list[Found]:
        return [_found(effects.proportion_interval()) for effects in _effects(correct_MSN.astype(float), group_N)]

    def claims(self, families: Sequence[Sequence[Found]]) -> list[list[bool]]:
        told = iter(discoveries([one.p for family in families for one in family], LEVEL))
        return [[next(told) and p < LEVEL for p in holm([one.p for one in family])] for family in families]

    def chosen(
        self, correct_KSN: np.ndarray, val_KSV: np.ndarray, other_KSN: np.ndarray, other_val_KSV: np.ndarray
    ) -> tuple[Found, Found]:
        ours, theirs = _held_out(val_KSV), _held_out(other_val_KSV)
        ours_SN, theirs_SN = correct_KSN[ours.of_all].astype(float), other_KSN[theirs.of_all].astype(float)
        mean, other_mean = (
            float(np.mean([right_KSN[k, s] for s, k in enumerate(choice.by_seed)]))
            for right_KSN, choice in ((correct_KSN, ours), (other_KSN, theirs))
        )
        accuracy = effects_of(ours_SN).held_out(mean, ours.disagreement)
        most = max(ours.disagreement, theirs.disagreement)
        difference = effects_of(ours_SN - theirs_SN).held_out(mean - other_mean, most)
        return _found(accuracy.proportion_interval()), _found(difference.interval(), difference.p_value())

    def worse_than_best(self, correct_MSN: np.ndarray, val_MSV: np.ndarray) -> list[bool]:
        best, values_MSN = _held_out(val_MSV), correct_MSN.astype(float)
        reference = float(np.mean([values_MSN[m, s] for s, m in enumerate(best.by_seed)]))
        others = [m for m in range(len(values_MSN)) if m != best.of_all]
        family = [
            effects.held_out(float(values_MSN[m].mean()) - reference, best.disagreement)
            for m, effects in zip(
                others, _effects([values_MSN[m] - values_MSN[best.of_all] for m in others], None), strict=True
            )
        ]
        p_values = holm([effects.p_value() for effects in family])
        return [p < LEVEL and effects.mean < 0 for p, effects in zip(p_values, family, strict=True)]

    def better_all_counted(
        self, correct_SN: np.ndarray, val_SV: np.ndarray, other_SN: np.ndarray, other_val_SV: np.ndarray, classes: int
    ) -> bool:
        flags = [collapsed(val_SV.mean(1), val_SV.shape[1], 1 / classes) for val_SV in (val_SV, other_val_SV)]
        clean_S = ~(flags[0] | flags[1])
        if clean_S.sum() < FEWEST_SEEDS:
            return False
        effects = effects_of(correct_SN[clean_S].astype(float) - other_SN[clean_S])
        collapses = Collapses(int(flags[0].sum()), len(correct_SN))
        return is_better_all_counted(effects, float(correct_SN[clean_S].mean()), 1 / classes, collapses)

    def networks(self, correct_MSN: np.ndarray, group_N: np.ndarray | None) -> list[Found]:
        return [
            _found(effects.of_one_network.proportion_interval())
            for effects in _effects(correct_MSN.astype(float), group_N)
        ]


def _p_of(effects: Effects, looks: Sequence[int]) -> float:
    """looks: none where the number of seeds was declared before."""
    return min(1.0, effects.p_value() * LEVEL / level_at(effects, looks)) if looks else effects.p_value()


def _held_out(val_KSV: np.ndarray) -> HeldOut:
    acc_KS = val_KSV.mean(2)
    return held_out(acc_KS.shape[1], lambda seeds: int(acc_KS[:, list(seeds)].mean(1).argmax()))


def _effects(
    tables: Sequence[np.ndarray] | np.ndarray,
    group_N: np.ndarray | None,
    siblings: Sequence[Sequence[np.ndarray]] = (),
) -> list[Effects]:
    groups = None if group_N is None else Groups.of(group_N)
    squares = [mean_squares(x_SN, groups) for x_SN in tables]
    variances = [[float(mean_S.var(ddof=1)) for mean_S in means] for means in siblings] or [[]] * len(squares)
    return list(
        moderated(
            [
                Member(one, tuple(one.num_groups * variance for variance in others))
                for one, others in zip(squares, variances, strict=True)
            ]
        )
    )


def _found(interval: Interval, p: float = float("nan")) -> Found:
    return Found(**asdict(interval), p=p)
