"""Predicted against measured variances at initialization, from preflight.json."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from study.analysis.frames import Frames
from study.analysis.parts import Drawn
from study.config.labels import counted
from study.outputs.factors import DEFAULT_LEVEL, shown_level
from study.outputs.metrics import PROBES
from study.outputs.schema import check_seal
from study.report.figures.layout import COMPARED, MOST_LINES, counted_cells, evenly
from study.report.figures.panels import (
    WIDTH,
    finished,
    legend,
    legend_of,
    plain_decades,
    printable,
    style,
)
from study.report.figures.shown import Point, Shown, point
from study.report.figures.style import styled

QUANTITIES = ("activation_variance", "gradient_variance")
MOST_CELLS = 60
SMALLEST = 1e-30
"""Smaller variances are underflow, and would set the scale for all others."""

Entry = Mapping[str, Any]
"""A cell of preflight.json."""


def draw(shown: Shown) -> list[Drawn]:
    """A panel for each of QUANTITIES, a point a layer; nothing without a sound preflight.json."""
    known = {cell.signature: cell for cell in shown.cells}
    entries = [entry for entry in _entries(shown.frames) if entry.get("signature") in known]
    entries = [
        entry for entry in entries if any(any(layer_points(entry, probe)) for probe in QUANTITIES)
    ]
    if not entries:
        return []
    taken = [entries[place] for place in evenly(len(entries), MOST_CELLS)]
    # Told apart by colours and markers are the levels of a factor that has few enough.
    names = dict.fromkeys(name for entry in taken for name in entry["factors"])
    counts = {name: len({_level(entry, name) for entry in taken}) for name in names}
    few = [name for name in names if 1 < counts[name] <= MOST_LINES]
    factor = next((name for name in (*COMPARED, "activation", *few) if name in few), "")
    levels = list(dict.fromkeys(_level(entry, factor) for entry in taken))
    with styled():
        figure = Figure(figsize=(WIDTH, 3.9))
        for axes, probe in zip(figure.subplots(1, 2), QUANTITIES, strict=True):
            found = {
                level: [
                    each
                    for entry in taken
                    if _level(entry, factor) == level
                    for each in layer_points(entry, probe)
                ]
                for level in levels
            }
            _panel(axes, list(found.values()))
            axes.set_title(printable(PROBES[probe].label))
        same = Line2D([], [], color="black", linewidth=0.7)
    handles = [Line2D([], [], **_marks(place)) for place in range(len(levels))]
    if factor:
        legend(figure, factor, levels, handles)
    else:
        legend_of(figure, ["measured as predicted"], [same])
    cells = [known[entry["signature"]] for entry in taken]
    title = "Predicted against measured variances before training"
    numbers = sorted({len(entry["measured"]) for entry in taken})
    seeds = counted(numbers[0], "seed")
    seeds = seeds if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]} seeds"
    bars = (
        f"One seed (n = {numbers[0]}), so no interval."
        if numbers == [1]
        else f"Geometric mean over n = {seeds}; bar: its 95 % t interval, of the logarithms."
    )
    text = (
        "Variances before training, predicted by mean-field theory and measured on the probe "
        f"batch: a point for each hidden layer of each cell; on the line they agree. {bars} "
        f"Variances under {SMALLEST:g} are left out."
    )
    if len(taken) < len(entries):
        text += f" {len(taken)} of {counted_cells(len(entries))}, evenly."
    return [finished(figure, "preflight", title, text, cells)]


def _entries(frames: Frames) -> list[Entry]:
    """The cells of preflight.json that have predictions and measurements; none if it is altered."""
    try:
        content = frames.preflight
    except (TypeError, ValueError):
        return []
    if content is None or not check_seal(content):
        return []
    return [each for each in content["cells"] if each["predicted"] and each["measured"]]


def layer_points(entry: Entry, probe: str) -> Iterator[tuple[float, Point]]:
    """(predicted, measured over seeds) of each layer where both are more than SMALLEST."""
    seeds = [each["probes"].get(probe, []) for each in entry["measured"]]
    for predicted, *values in zip(entry["predicted"].get(probe, []), *seeds, strict=False):
        numbers = [math.nan if value is None else float(value) for value in values]
        known = predicted is not None and all(value > SMALLEST for value in numbers)
        if known and predicted > SMALLEST:
            yield float(predicted), point(numbers, decades=True)


def _level(entry: Entry, factor: str) -> str:
    return shown_level(factor, entry["factors"].get(factor, DEFAULT_LEVEL)) if factor else ""


def _panel(axes: Axes, by_level: Sequence[Sequence[tuple[float, Point]]]) -> None:
    every = [value for level in by_level for x, y in level for value in (x, y.center)]
    if not every:
        axes.text(0.5, 0.5, "none", ha="center", transform=axes.transAxes)
        return
    low, high = min(every) / 3, max(every) * 3
    axes.plot([low, high], [low, high], color="black", linewidth=0.7, zorder=2)
    for place, points in enumerate(by_level):
        marks = _marks(place)
        bars = [(x, y.low, y.high) for x, y in points if y.low < y.high]
        if bars:
            axes.vlines(*zip(*bars, strict=True), color=marks["color"], linewidth=0.5, zorder=3)
        if points:
            x, y = zip(*((x, y.center) for x, y in points), strict=True)
            axes.plot(x, y, zorder=4, **marks)
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    axes.set(xlabel="predicted", ylabel="measured", aspect="equal")
    for axis in (axes.xaxis, axes.yaxis):
        plain_decades(axis, high / low)


def _marks(place: int) -> dict[str, Any]:
    hollow = {"markerfacecolor": "none"} if place else {}
    return style(place) | {"linestyle": "none", "markeredgewidth": 0.7} | hollow
