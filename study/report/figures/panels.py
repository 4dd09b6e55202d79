"""Panels in one style: a line for each level of a factor, told apart in grey by dash and marker."""

import io
import math
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import matplotlib
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.collections import FillBetweenPolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from study.analysis.parts import Drawn
from study.outputs.factors import shared_parts, without_parts
from study.outputs.metrics import Metric
from study.outputs.records import CellRecord
from study.report.figures.layout import Layout
from study.report.figures.shown import Point
from study.report.figures.style import UNDATED, styled

WIDTH = 7.0
PER_ROW = 4
"""Panels in a row where one factor's levels are wrapped."""

USUAL = 0.95
BEYOND = 10.0
"""Centres more than so many times the USUAL quantile of all of them leave their axis."""
ROOM = 1.25
"""By what a logarithmic axis is longer than what it is to show, at either end."""

_DASHES: tuple[Any, ...] = (
    "solid",
    (0, (4, 1.5)),
    (0, (1, 1)),
    (0, (6, 1.2, 1, 1.2)),
    (0, (8, 2)),
    (0, (3, 1, 1, 1, 1, 1)),
)
_MARKERS = "os^Dvx"
_NUM_COLORS = 6
Fill = Callable[[Axes, CellRecord, dict[str, Any]], None]
"""Draws one cell into a panel in a line's style."""


def style(place: int) -> dict[str, Any]:
    """Colour, dash and marker of a panel's line."""
    return {
        "color": f"C{place % _NUM_COLORS}",
        "linestyle": _DASHES[place % len(_DASHES)],
        "marker": _MARKERS[place % len(_MARKERS)],
        "markersize": 3.2,
        "markeredgewidth": 0.8,
    }


def draw_panels(
    layout: Layout,
    fill: Fill,
    *,
    x_label: str,
    y_label: str,
    finish: Callable[[Axes], None],
    empty: str = "nothing to show",
) -> Figure:
    """A panel for each row and column, its cells drawn by `fill`; the axes are shared.

    `finish` sets scales and ticks, once, when everything is drawn. A panel of which nothing is
    drawn says `empty`.
    """
    figure, panels = grid(layout)
    names = layout.of(layout.lines)
    for (row, column), axes in panels.items():
        for place, line in enumerate(names):
            if cell := layout.cells.get((row, column, line)):
                fill(axes, cell, style(place))
        if not axes.lines:
            with styled():
                look: dict[str, Any] = {"ha": "center", "va": "center", "size": 7}
                axes.text(0.5, 0.5, empty, color="#666666", transform=axes.transAxes, **look)
    finish(next(iter(panels.values())))
    label(panels, layout, x_label, y_label)
    if layout.lines:
        handles = [Line2D([], [], **style(place)) for place in range(len(names))]
        legend(figure, layout.lines, names, handles)
    return figure


def grid(layout: Layout, *, square: bool = False) -> tuple[Figure, dict[tuple[str, str], Axes]]:
    """A figure with axes by row and column level; one factor's panels are wrapped.

    `square` panels are images, without axes.
    """
    rows, columns = layout.of(layout.rows), layout.of(layout.columns)
    places = [(row, column) for row in rows for column in columns]
    per_row = len(columns) if len(rows) > 1 and len(columns) > 1 else min(PER_ROW, len(places))
    num_rows = math.ceil(len(places) / per_row)
    wide = WIDTH if per_row > 2 else 5.0 if per_row == 1 else 6.2
    tall = 2.9 if len(places) == 1 else 2.1 if num_rows == 1 else 1.5
    height = num_rows * (wide - 0.3) / per_row + 0.3 if square else tall * num_rows + 0.75
    with styled():
        figure = Figure(figsize=(wide, height))
        shared = not square
        every = list(
            figure.subplots(num_rows, per_row, squeeze=False, sharex=shared, sharey=shared).flat
        )
    for axes in every[len(places) :]:
        axes.remove()
    for axes in every[: len(places)]:
        # The room that ticks need is theirs already: an edge that asks for it makes them twice.
        axes.spines[:].set_in_layout(False)
    return figure, dict(zip(places, every, strict=False))


def label(
    panels: Mapping[tuple[str, str], Axes], layout: Layout, x_label: str, y_label: str
) -> None:
    """Titles and axis labels: what all panels share is written once, at the edge."""
    rows, columns = layout.of(layout.rows), layout.of(layout.columns)
    crossed = len(rows) > 1 and len(columns) > 1
    per_row = len(columns) if crossed else min(PER_ROW, len(panels))
    width = 26 if per_row <= 4 else 21
    with styled():
        for place, ((row, column), axes) in enumerate(panels.items()):
            below = place + per_row >= len(panels)
            axes.tick_params(labelbottom=below)
            # Axes without texts move nothing, and their ticks need not be made to find that out.
            axes.xaxis.set_in_layout(below)
            axes.yaxis.set_in_layout(place % per_row == 0)
            if below:
                axes.set_xlabel(x_label)
            side = level_words(layout.rows, row, rows, width)
            above = level_words(layout.columns, column, columns, width)
            if not crossed:
                axes.set_title("\n".join(filter(None, (side, above))))
            elif place < per_row:
                axes.set_title(above)
            if place % per_row == 0:
                axes.set_ylabel("\n".join(filter(None, (side, y_label))) if crossed else y_label)


def level_words(factor: str | None, level: str, levels: Sequence[str], width: int = 26) -> str:
    """`init = he_normal` without the parts that all its levels share, in lines of some width."""
    if not factor:
        return ""
    words = f"{factor} = {without_parts(level, shared_parts(levels))}"
    return "\n".join(textwrap.wrap(printable(words), width))


def legend(figure: Figure, factor: str, levels: Sequence[str], handles: Sequence[Any]) -> None:
    """The levels of a factor above the panels."""
    labels = [level_words(factor, level, levels, width=46) for level in levels]
    legend_of(figure, labels, handles)


def legend_of(figure: Figure, labels: Sequence[str], handles: Sequence[Any]) -> None:
    """What lines mean, above the panels, in as many columns as fit."""
    longest = max(len(line) for each in labels for line in each.split("\n"))
    columns = max(1, min(len(labels), int(figure.get_figwidth() * 15 / (longest + 7))))
    with styled():
        figure.legend(handles, labels, loc="outside upper center", ncols=columns, handlelength=3.2)


def band(
    axes: Axes, places: Sequence[float], points: Sequence[Point], line: Mapping[str, Any]
) -> None:
    """The centres as a line with markers, and the intervals as a band around it."""
    centers, low, high = zip(*((each.center, each.low, each.high) for each in points), strict=True)
    area(axes, places, low, high, color=line["color"], alpha=0.18, zorder=2)
    every = max(1, math.ceil(len(places) / 8))
    axes.plot(places, centers, markevery=every, zorder=3, **line)


def area(
    axes: Axes, places: Sequence[float], low: Sequence[float], high: Sequence[float], **look: Any
) -> None:
    """What lies between two curves, filled; it has no part in finding the axes' limits."""
    import numpy as np

    lower, upper = np.ma.masked_invalid([low, high])
    if (lower + upper).count():
        at = np.asarray(places, dtype=float)
        between = FillBetweenPolyCollection("x", at, lower, upper, linewidth=0, **look)
        between.set_in_layout(False)
        axes.add_collection(between, autolim=False)


def centers(panels: Axes) -> list[float]:
    """The finite centres drawn on all axes that share this one's y, sorted."""
    shared = panels.get_shared_y_axes().get_siblings(panels)
    numbers = (float(y) for axes in shared for line in axes.lines for y in line.get_ydata())
    return sorted(filter(math.isfinite, numbers))


def extent(panels: Axes) -> tuple[float, float]:
    """The smallest and the largest of the centres; NaN where there are none."""
    numbers = centers(panels)
    return (numbers[0], numbers[-1]) if numbers else (math.nan, math.nan)


@dataclass(frozen=True)
class ErrorAxis:
    """An axis of errors or losses, from what is drawn on it: the centres of points.

    It is logarithmic where they spread, and never far beyond them. Nor far beyond most of them: a
    net that explodes for an epoch would flatten all others. `words` say what is above the axis
    then.
    """

    low: float
    high: float
    logarithmic: bool
    words: str = ""

    @classmethod
    def over(cls, points: Iterable[Point]) -> "ErrorAxis":
        """The axis on which the points are drawn."""
        numbers = sorted(filter(math.isfinite, (each.center for each in points)))
        if not numbers:
            return cls(math.nan, math.nan, False)
        low, high = numbers[0], numbers[-1]
        most = max(BEYOND * numbers[math.floor(USUAL * (len(numbers) - 1))], 4 * low)
        words = ""
        if low > 0 and high > most * ROOM:
            high = most
            words = f"What is above {short(high)} is not shown."
        return cls(low, high, low > 0 and high >= 4 * low, words)

    def shown(self, each: Point, metric: Metric) -> Point:
        """A point as it is drawn: its interval that of the logarithm, or cut where nothing can be.

        On a logarithmic axis one that reaches 0 would have no end.
        """
        return (each.of_logarithm() if self.logarithmic else each).within(*metric.range)

    def set(self, axes: Axes) -> None:
        """Gives the axes its scale, limits and ticks."""
        if self.logarithmic:
            axes.set_yscale("log")
            axes.set_ylim(self.low / ROOM, self.high * ROOM)
            plain_decades(axes.yaxis, self.high / self.low)
        elif math.isfinite(self.low):
            room = 0.08 * (self.high - self.low) or 0.05 * abs(self.high) or 1.0
            axes.set_ylim(self.low - 3 * room, self.high + 3 * room)


def plain_decades(axis: Any, ratio: float) -> None:
    """Ticks of a logarithmic axis as plain numbers: 3, 10, 30, or every so many decades."""
    decades = math.log10(ratio)
    subs = (1.0, 2.0, 5.0) if decades < 1.3 else (1.0, 3.0) if decades < 3 else (1.0,)
    axis.set_major_locator(LogLocator(subs=subs, numticks=9 if decades < 3 else 6))
    axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axis.set_minor_locator(NullLocator())


def short(value: float) -> str:
    """0.03, 100, 1e-06 as 1e-6."""
    text = f"{value:.3g}" if 1e-3 <= abs(value) < 1e5 or not value else f"{value:.0e}"
    mantissa, exponent, power = text.partition("e")
    return f"{mantissa}e{int(power)}" if exponent else text


def updates_axis(axes: Axes, last: float) -> None:
    """Updates on an axis of log(1 + updates), from initialization on."""
    import numpy as np

    axes.set_xscale("function", functions=(np.log1p, np.expm1))
    ticks = [0, 1, *(10**power for power in range(1, 12) if 10**power <= last)]
    while len(ticks) > 5:
        ticks = [0, *ticks[2::2]]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axes.xaxis.set_minor_locator(NullLocator())


def finished(
    figure: Figure, name: str, title: str, caption: str, cells: Sequence[CellRecord]
) -> Drawn:
    """The figure as bytes, the same wherever and whenever it is drawn."""
    with styled():
        # The layout is the slowest part, and the same for both formats: it is found once.
        engine = figure.get_layout_engine()
        assert engine is not None
        engine.execute(figure)
        with matplotlib.rc_context({"figure.constrained_layout.use": False}):
            figure.set_layout_engine(None)
            svg, png = (_bytes(figure, name, kind) for kind in ("svg", "png"))
    return Drawn(name, title, caption, svg, png, tuple(cell.directory for cell in cells))


def _bytes(figure: Figure, name: str, kind: str) -> bytes:
    stream = io.BytesIO()
    # Figures stand in one page: each has identifiers of its own.
    with matplotlib.rc_context({"svg.hashsalt": f"study {name}"}):
        figure.savefig(stream, format=kind, metadata=UNDATED[kind])
    return stream.getvalue()


def printable(text: str) -> str:
    """The text without mathematics, and with ? for what the font has no glyph of."""
    known = _glyphs()
    return "".join(each if ord(each) in known else "?" for each in text).replace("$", r"\$")


@lru_cache
def _glyphs() -> frozenset[int]:
    path = font_manager.findfont(font_manager.FontProperties(family="DejaVu Sans"))
    return frozenset(font_manager.get_font(path).get_charmap())
