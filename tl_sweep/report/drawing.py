"""What all charts of the page are drawn with: lines, marks, axes, and texts that Plotly takes literally."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from typing import Any

from tl_sweep.comparison.line import Line

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
    """A colour and a symbol for each strategy, a dash for each source, the same in all charts. Baselines are gray."""

    def __init__(self, lines: Iterable[Line]) -> None:
        found = set(lines)
        self._baselines = sorted({line.strategy for line in found if line.is_baseline})
        others = {line.strategy for line in found} - {*KNOWN, *self._baselines}
        self._strategies = [*KNOWN, *sorted(others), *self._baselines]
        self._further = sorted({line.further for line in found})

    def colour(self, line: Line) -> str:
        return GRAY if line.is_baseline else COLOURS[self._place(line) % len(COLOURS)]

    def line(self, line: Line) -> Figure:
        """A trace of ``line``, without data."""
        colour, dash = self.colour(line), DASHES[self._further.index(line.further) % len(DASHES)]
        symbol, width = SYMBOLS[self._place(line) % len(SYMBOLS)], 2
        if line.is_baseline:
            symbol, width = "x", 3
            dash = BASELINE_DASHES[self._baselines.index(line.strategy) % len(BASELINE_DASHES)]
        return {
            "type": "scatter",
            "mode": "lines+markers",
            "name": plain(line.name),
            "line": {"color": colour, "dash": dash, "width": width},
            "marker": {"color": colour, "symbol": symbol, "size": 8},
        }

    def order(self, line: Line) -> tuple[int, tuple[str, ...]]:
        """Baselines come last."""
        return self._place(line), line.further

    def _place(self, line: Line) -> int:
        return self._strategies.index(line.strategy)


def ticks(names: Sequence[str], **axis: Any) -> Figure:
    """An axis on which ``names`` stand at 0, 1, …: those that look like numbers, or are equal once cut, stay apart."""
    return {"tickvals": list(range(len(names))), "ticktext": list(map(plain, names)), "zeroline": False} | axis


def rings(name: str) -> Figure:
    marker = {"symbol": "circle-open", "size": 15, "color": GRAY, "line": {"width": 2}}
    return {"type": "scatter", "mode": "markers", "name": name, "marker": marker, "hoverinfo": "skip"}
