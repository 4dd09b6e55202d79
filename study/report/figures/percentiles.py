"""Pre-activations over training: their 15th, 50th and 85th percentiles in the last hidden layer."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from study.analysis.parts import Drawn
from study.outputs.factors import varying_factors
from study.outputs.records import CellRecord
from study.report.figures.layout import Most, arrange
from study.report.figures.panels import (
    area,
    band,
    finished,
    grid,
    label,
    legend_of,
    style,
    updates_axis,
)
from study.report.figures.shown import (
    AT_CHOSEN,
    UPDATES,
    Point,
    Shown,
    caption,
    interval_words,
    lacking_words,
    point,
)

PERCENTILES = ("preactivation_p85", "preactivation_p50", "preactivation_p15")
_WORDS = ("85th percentile", "median", "15th percentile")
SPREAD = 20.0
LOGARITHMIC = " Beyond -1 and 1 pre-activations are on logarithmic axes."
Curves = Mapping[str, Mapping[float, Point]]
"""{percentile: {updates: point}} of one cell."""


def draw(shown: Shown) -> list[Drawn]:
    """A panel a cell: with and without BatchNorm beside each other where the study has both."""
    if not shown.probed:
        return []
    layout = arrange(shown.probed, ["", *panel_factors(shown.probed)], Most(rows=4, columns=4))
    curves = {cell.directory: _curves(shown, cell) for cell in layout.cells.values()}
    cells = [cell for cell in layout.cells.values() if curves[cell.directory]]
    last = max((s for each in curves.values() for c in each.values() for s in c), default=0)
    if not last:
        return []
    figure, panels = grid(layout)
    for (row, column), axes in panels.items():
        if cell := layout.cells.get((row, column, "")):
            _fill(axes, curves[cell.directory])
    every = [p.center for each in curves.values() for c in each.values() for p in c.values()]
    largest = max((abs(value) for value in every if math.isfinite(value)), default=1.0)
    scale = LOGARITHMIC if largest > SPREAD else ""
    first = next(iter(panels.values()))
    updates_axis(first, last)
    if largest > SPREAD:
        first.set_yscale("symlog", linthresh=1, linscale=1)
    room = max(largest, 1e-12) * (1.6 if largest > SPREAD else 1.15)
    first.set_ylim(-room, room)
    label(panels, layout, "updates", "pre-activation")
    legend_of(figure, _WORDS, [Line2D([], [], **_style(place)) for place in range(3)])
    text = caption(
        "15th, 50th and 85th percentile of the pre-activations of the last hidden layer over "
        f"training, over all units and the probe batch (after Ioffe & Szegedy 2015, fig. 1). "
        f"{AT_CHOSEN} Light: from the 15th to the 85th. {UPDATES}{scale}",
        layout,
        interval_words(cells, what="dark band"),
        lacking_words(len(shown.probed), shown.num_finished, "probes"),
    )
    title = "Pre-activation percentiles over training"
    return [finished(figure, "preactivation_percentiles", title, text, cells)]


def panel_factors(cells: Sequence[CellRecord]) -> list[str]:
    """The factors of columns and rows: the norm beside whatever varies first."""
    names = varying_factors(cells)
    first = [name for name in ("norm",) if name in names]
    return [*first, *(name for name in names if name not in first)][:2]


def _curves(shown: Shown, cell: CellRecord) -> Curves:
    lost = cell.status == "diverged"
    found: dict[str, Mapping[float, Point]] = {}
    for name in PERCENTILES:
        layers = shown.frames.probe(cell, name)
        if layers:
            last = layers[max(layers)]
            found[name] = {s: point(list(seeds.values()), lost=lost) for s, seeds in last.items()}
    return found


def _style(place: int) -> dict[str, Any]:
    return style(place) | {"color": ("C1", "C6", "C0")[place]}


def _fill(axes: Axes, curves: Curves) -> None:
    if not all(curves.get(name) for name in PERCENTILES):
        return
    high, _, low = (curves[name] for name in PERCENTILES)
    steps = list(high)
    inside = [low[step].center for step in steps], [high[step].center for step in steps]
    area(axes, steps, *inside, color="#EEEEEE", zorder=1)
    for place, name in enumerate(PERCENTILES):
        band(axes, steps, [curves[name][step] for step in steps], _style(place))
