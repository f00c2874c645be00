"""The comparison as a table on a terminal."""

from __future__ import annotations

import math

from rich.table import Table

from tl_sweep.report.choice import Cell


def comparison(cells: list[Cell]) -> Table:
    """A row per cell: validation and test accuracy, seconds, trainable parameters, difference to scratch."""
    table = Table(title="chosen on validation; mean over seeds ± standard deviation")
    table.add_column("backbone")
    table.add_column("strategy")
    for axis in cells[0].axes:
        table.add_column(axis[0])
    for heading in ("chosen setting", "val acc", "test acc", "vs scratch", "seeds", "seconds", "trainable"):
        table.add_column(heading, justify="right")
    for cell in sorted(cells, key=lambda cell: (cell.backbone, cell.axes, -cell.mean("best/val_acc"))):
        table.add_row(*_row(cell, scratch_of(cell, cells)))
    return table


def scratch_of(cell: Cell, cells: list[Cell]) -> Cell | None:
    """The baseline that ``cell`` is compared with: scratch on the same backbone and the same further axes."""
    same = [other for other in cells if (other.backbone, other.axes) == (cell.backbone, cell.axes)]
    return next((other for other in same if other.strategy == "scratch"), None)


def _row(cell: Cell, scratch: Cell | None) -> list[str]:
    return [
        cell.backbone,
        cell.strategy,
        *(value for _, value in cell.axes),
        ", ".join(f"{key.removeprefix('optim.')}={value}" for key, value in cell.setting) or "–",
        _percent(cell, "best/val_acc"),
        _percent(cell, "test/acc"),
        _difference(cell, scratch),
        str(len(cell.runs)),
        f"{cell.mean('seconds'):.1f}",
        f"{int(cell.runs[0].tags['trainable_parameters']):,}",
    ]


def _percent(cell: Cell, metric: str) -> str:
    spread = cell.spread(metric)
    return f"{100 * cell.mean(metric):.1f}" + ("" if math.isnan(spread) else f" ± {100 * spread:.1f}")


def _difference(cell: Cell, scratch: Cell | None) -> str:
    if scratch is None or scratch is cell:
        return "–"
    return f"{100 * (cell.mean('test/acc') - scratch.mean('test/acc')):+.1f}"
