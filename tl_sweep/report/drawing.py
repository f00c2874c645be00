"""What all charts of the page are drawn with: lines, marks, axes, and texts that Plotly takes literally."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from typing import Any

Figure = dict[str, Any]

GRAY = "#858c96"
COLOURS = ("#3b7dd8", "#c46a17", "#2e9160", "#9a63c9", "#d0524f", "#1e8fa2", "#8c8420", "#cc5897")  # on white and black
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "star")
DASHES = ("solid", "dash", "dashdot", "longdash", "dot")
BASELINE_DASHES = ("dash", "dot", "dashdot")
KNOWN = ("none", "early", "all", "lp_ft", "gradual", "bn_only")  # have the same colour on every page


def plain(text: str) -> str:
    """``text`` as Plotly then shows it, letter by letter: it takes some tags and entities for markup."""
    return html.escape(" ".join(text.split()), quote=False)


def number(value: float) -> float | None:
    """To four digits; None where there is none."""
    return float(f"{value:.4g}") if math.isfinite(value) else None


def in_percent(share: float) -> float | None:
    """To two digits; None where there is none."""
    return round(100 * share, 2) if math.isfinite(share) else None


class Palette:
    """A colour and a symbol for each strategy, a dash for each source, the same in all charts.

    Baselines are gray. names: of lines, a strategy or ``strategy, source``. baselines: the strategies that are ones.
    """

    def __init__(self, names: Iterable[str], baselines: Iterable[str]) -> None:
        parts = [name.partition(", ") for name in names]
        self._baselines = sorted(set(baselines))
        others = {strategy for strategy, _, _ in parts} - {*KNOWN, *self._baselines}
        self._strategies = [*KNOWN, *sorted(others)]
        self._sources = sorted({source for _, _, source in parts})

    def colour(self, name: str) -> str:
        return GRAY if _strategy(name) in self._baselines else COLOURS[self._place(name) % len(COLOURS)]

    def line(self, name: str) -> Figure:
        """A trace of the line ``name``, without data."""
        colour, dash = self.colour(name), DASHES[self._sources.index(name.partition(", ")[2]) % len(DASHES)]
        symbol, width = SYMBOLS[self._place(name) % len(SYMBOLS)], 2
        if _strategy(name) in self._baselines:
            symbol, width = "x", 3
            dash = BASELINE_DASHES[self._baselines.index(_strategy(name)) % len(BASELINE_DASHES)]
        return {
            "type": "scatter",
            "mode": "lines+markers",
            "name": plain(name),
            "line": {"color": colour, "dash": dash, "width": width},
            "marker": {"color": colour, "symbol": symbol, "size": 8},
        }

    def order(self, name: str) -> tuple[int, str]:
        """Baselines come last."""
        return self._place(name), name

    def _place(self, name: str) -> int:
        return [*self._strategies, *self._baselines].index(_strategy(name))


def _strategy(name: str) -> str:
    return name.partition(", ")[0]


def ticks(names: Sequence[str], **axis: Any) -> Figure:
    """An axis on which ``names`` stand at 0, 1, …: those that look like numbers, or are equal once cut, stay apart."""
    return {"tickvals": list(range(len(names))), "ticktext": list(map(plain, names)), "zeroline": False} | axis


def rings(name: str) -> Figure:
    marker = {"symbol": "circle-open", "size": 15, "color": GRAY, "line": {"width": 2}}
    return {"type": "scatter", "mode": "markers", "name": name, "marker": marker, "hoverinfo": "skip"}
