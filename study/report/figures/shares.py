"""Dead units, and units that are off or saturated, over training."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from matplotlib.axes import Axes

from study.analysis.frames import Curve
from study.analysis.parts import Drawn
from study.outputs.factors import activation_of
from study.outputs.metrics import FLAT, OFF, OFF_OR_SATURATED, PROBES, SATURATED, label_among
from study.outputs.records import CellRecord
from study.report.figures.layout import Layout
from study.report.figures.panels import band, draw_panels, extent, finished, updates_axis
from study.report.figures.shown import (
    AT_CHOSEN,
    CUT,
    UPDATES,
    Point,
    Shown,
    caption,
    interval_words,
    lacking_words,
    of_probes,
    point,
)

QUANTITIES = ("dead_fraction", "saturated_fraction")


def draw(shown: Shown) -> list[Drawn]:
    """A figure for each of QUANTITIES that some cell was probed for at two moments."""
    return of_probes(shown, QUANTITIES, _draw)


def _draw(shown: Shown, layout: Layout, probe: str) -> list[Drawn]:
    curves = {
        cell.directory: over_layers(shown.frames.probe(cell, probe).values())
        for cell in layout.cells.values()
    }
    layout = layout.without({n for n, curve in curves.items() if _values(curve) == {0}}, "Always 0")
    probed = [cell for cell in layout.cells.values() if curves[cell.directory]]
    cells = [c for c in probed if any(map(math.isfinite, _values(curves[c.directory])))]
    last = max((step for curve in curves.values() for step in curve), default=0)
    if not last or not cells:
        return []

    def fill(axes: Axes, cell: CellRecord, line: dict[str, Any]) -> None:
        points = shares(curves[cell.directory], lost=cell.status == "diverged")
        if points:
            band(axes, list(points), list(points.values()), line)

    def finish(axes: Axes) -> None:
        updates_axis(axes, last)
        _, high = extent(axes)
        top = next((top for top in (5, 10, 20, 30, 50, 70) if high <= top), 100)
        axes.set_ylim(-0.04 * top, 1.04 * top)

    words = label_among(probe, map(activation_of, cells))
    label = f"{words} (%)"
    figure = draw_panels(layout, fill, x_label="updates", y_label=label, finish=finish)
    names = dict.fromkeys(map(activation_of, cells))
    kinds = {"off": OFF, "saturated": SATURATED}
    found = {w: [each for each in names if FLAT.get(each) == kind] for w, kind in kinds.items()}
    which = "; ".join(f"{word}: {', '.join(each)}" for word, each in found.items() if each)
    text = caption(
        f"{words[0].upper()}{words[1:]} over training: {PROBES[probe].help}; mean over hidden "
        f"layers. {AT_CHOSEN} {UPDATES}",
        layout,
        f"{which[0].upper()}{which[1:]}." if which and words == OFF_OR_SATURATED else "",
        interval_words(cells, cut=CUT),
        lacking_words(len(cells), len(probed), f"such a share ({PROBES[probe].lacking})"),
        lacking_words(len(shown.probed), shown.num_finished, "probes"),
    )
    title = f"{words[0].upper()}{words[1:]} over training"
    return [finished(figure, f"{probe}_over_training", title, text, cells)]


def _values(curve: Curve) -> set[float]:
    return {value for by_seed in curve.values() for value in by_seed.values()}


def over_layers(layers: Iterable[Curve]) -> dict[float, dict[int, float]]:
    """{updates: {seed: the mean over layers}} of each layer's curve."""
    sums: dict[float, dict[int, list[float]]] = {}
    for curve in layers:
        for step, by_seed in curve.items():
            for seed, value in by_seed.items():
                sums.setdefault(step, {}).setdefault(seed, []).append(value)
    return {
        step: {seed: sum(values) / len(values) for seed, values in by_seed.items()}
        for step, by_seed in sorted(sums.items())
    }


def shares(curve: Curve, *, lost: bool) -> Mapping[float, Point]:
    """In percent what a curve of fractions is at each moment."""
    return {
        step: point([100 * value for value in by_seed.values()], lost=lost).within(0, 100)
        for step, by_seed in curve.items()
    }
