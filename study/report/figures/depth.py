"""Variances by depth at initialization: of activations, and of back-propagated gradients."""

import math
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from study.analysis.parts import Drawn
from study.config.labels import counted
from study.outputs.metrics import PROBES
from study.outputs.records import CellRecord
from study.report.figures.layout import Layout
from study.report.figures.panels import band, draw_panels, extent, finished, plain_decades
from study.report.figures.shown import (
    GEOMETRIC,
    Shown,
    caption,
    interval_words,
    lacking_words,
    of_probes,
    point,
)

QUANTITIES = {
    "activation_variance": "after Glorot & Bengio (2010), fig. 6",
    "gradient_variance": "after Glorot & Bengio (2010), fig. 7",
}
DEEPEST = 1e22
"""The largest variance over the smallest that an axis shows."""
EMPTY = "0 or not finite"


def draw(shown: Shown) -> list[Drawn]:
    """A figure for each of QUANTITIES; nothing without probes, or with one hidden layer."""
    return of_probes(shown, QUANTITIES, _draw)


def _draw(shown: Shown, layout: Layout, probe: str) -> list[Drawn]:
    by_layer = {
        cell.directory: {
            layer: point(list(steps[0].values()), decades=True)
            for layer, steps in shown.frames.probe(cell, probe).items()
            if 0 in steps
        }
        for cell in layout.cells.values()
    }
    cells = [cell for cell in layout.cells.values() if by_layer[cell.directory]]
    if max((len(points) for points in by_layer.values()), default=0) < 2:
        return []
    every = [p.center for c in cells for p in by_layer[c.directory].values() if p.center > 0]
    deep = bool(every) and max(every) > DEEPEST * min(every)

    def fill(axes: Axes, cell: CellRecord, line: dict[str, Any]) -> None:
        points = by_layer[cell.directory]
        if any(math.isfinite(each.center) for each in points.values()):
            band(axes, list(points), list(points.values()), line)

    def finish(axes: Axes) -> None:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
        low, high = extent(axes)
        if high > 0:
            low = max(low, high / DEEPEST)
            room = max(2.0, (high / low) ** 0.05)
            axes.set_yscale("log")
            axes.set_ylim(low / room, high * room)
            plain_decades(axes.yaxis, room**2 * high / low)

    # A logarithmic axis cannot show them.
    gaps = sum(
        any(not math.isfinite(p.center) for p in by_layer[c.directory].values()) for c in cells
    )
    words = PROBES[probe].label
    figure = draw_panels(
        layout, fill, x_label="hidden layer", y_label="variance", finish=finish, empty=EMPTY
    )
    text = caption(
        f"{words[0].upper()}{words[1:]} in each hidden layer before training, on the probe batch "
        f"({QUANTITIES[probe]}). A level line keeps its signal; one that falls or rises vanishes "
        "or explodes.",
        layout,
        interval_words(cells, cut=GEOMETRIC),
        lacking_words(len(shown.probed), shown.num_finished, "probes"),
        f"A variance under the largest / {DEEPEST:.0e} is below the axis." if deep else "",
        f"In {counted(gaps, 'cell')} a layer's variance is 0 or not finite: a gap." if gaps else "",
    )
    return [finished(figure, f"{probe}_by_depth", f"{words.capitalize()} by depth", text, cells)]
