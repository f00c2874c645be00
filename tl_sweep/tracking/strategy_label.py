"""What a strategy is called in tables, on pages and in figures: as it is typed, and in the field's words."""

from __future__ import annotations

from collections.abc import Mapping

from tl_sweep.tracking.names import Tag
from tl_sweep.tracking.record import RunRecord

# Of the strategies of the version before labels were recorded; newer ones have theirs in conf/freeze.
OLDER: Mapping[str, str] = {
    "none": "full fine-tuning",
    "early": "partial fine-tuning",
    "depth": "partial fine-tuning",
    "all": "linear probe",
    "lp_ft": "linear probe, then fine-tuning",
    "gradual": "gradual unfreezing",
    "bn_only": "normalisation layers only",
    "scratch": "from random weights",
}


def labelled(name: str, frozen_stages: str, label: str, is_control: bool) -> str:
    """``none (full fine-tuning)``, ``depth 3 (partial fine-tuning)``, ``all (linear probe, random features)``.

    frozen_stages: their number for ``freeze=depth``, as it is recorded; else ``null``.
    """
    words = ", ".join(filter(None, [label, "random features" if is_control else ""]))
    typed = name if frozen_stages == "null" else f"{name} {frozen_stages}"
    return f"{typed} ({words})" if words else typed


def strategy_label(run: RunRecord) -> str:
    """As recorded, or by its name where the run is older."""
    if Tag.STRATEGY_LABEL in run.tags:
        return run.tags[Tag.STRATEGY_LABEL]
    name, frozen_stages = run.tags[Tag.STRATEGY], run.params.get("freeze.frozen_stages", "null")
    return labelled(name, frozen_stages, OLDER.get(name, ""), bool(run.tags.get(Tag.CONTROL)))
