"""A heat map of the test error over two factors, a panel for each level of a third."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, NullLocator

from study.analysis.lookup import metric_of
from study.analysis.parts import Drawn
from study.analysis.pivot import Entry, Source, make_entry, mark_best
from study.outputs.factors import cell_level, shared_parts, without_parts
from study.outputs.metrics import METRICS, Metric
from study.outputs.records import CellRecord
from study.report.figures.layout import Layout, Most, arrange, line_axes
from study.report.figures.panels import WIDTH, finished, level_words, plain_decades, printable
from study.report.figures.shown import AT_CHOSEN, Shown, caption, seeds_words
from study.report.figures.style import styled

MOST = Most(lines=4, rows=20, columns=10)
MOST_TEXTS = 300
"""More entries than these have no numbers: the tables have them."""
COLORS = "cividis"
"""Ordered by lightness, so it is the same map in grey; the darker, the lower the error."""

Entries = Mapping[tuple[str, str], Entry]
"""{(row, column): entry} of one panel."""


def draw(shown: Shown) -> list[Drawn]:
    """Nothing where fewer than two factors vary."""
    axes = heat_axes([cell for cell in shown.cells if cell.result])
    if not all(axes[1:]):
        return []
    layout = arrange(shown.cells, axes, MOST)
    metric = metric_of(METRICS["test_error"], shown.cells)
    panels = {line: _entries(shown, layout, line, metric) for line in layout.of(layout.lines)}
    figure = _figure(layout, panels, metric)
    cells = list(layout.cells.values())
    title = f"{metric.label[0].upper()}{metric.label[1:]} by {layout.rows} and {layout.columns}"
    return [finished(figure, "heat_map", title, _caption(layout, metric), cells)]


def heat_axes(cells: Sequence[CellRecord]) -> list[str]:
    """The factors of panels, columns and rows; rows have at least as many as columns."""
    names = line_axes(cells)
    lines, others = (names[0], names[1:]) if len(names) > 2 else ("", names)
    counts = {name: len({cell_level(cell, name) for cell in cells}) for name in others}
    return [lines, *sorted(others, key=lambda name: counts[name]), "", ""][:3]


def _entries(shown: Shown, layout: Layout, line: str, metric: Metric) -> Entries:
    """The panel's entries, the best one marked, and those it is not distinguishable from."""
    found: dict[tuple[str, str], Entry] = {}
    for (row, column, at), cell in layout.placed(shown.cells).items():
        if at == line:
            chosen = cell.result.chosen if cell.result else ()
            found[row, column] = make_entry([Source(cell, chosen)], {()}, metric)
    return dict(zip(found, mark_best(list(found.values()), metric.direction), strict=True))


def _figure(layout: Layout, panels: Mapping[str, Entries], metric: Metric) -> Figure:
    rows, columns = layout.of(layout.rows), layout.of(layout.columns)
    per_row = max(1, min(len(panels), 10 // len(columns)))
    num_rows = math.ceil(len(panels) / per_row)
    per_row = math.ceil(len(panels) / num_rows)
    total = sum(len(entries) for entries in panels.values())
    lines = 2 if total <= MOST_TEXTS // 3 else 1
    slanted = 0.045 * max(map(len, _levels(columns))) if _slanted(_levels(columns)) else 0.0
    height = num_rows * (len(rows) * (0.14 + 0.1 * lines) + slanted + 0.6) + 0.5
    wide = min(WIDTH, 2.3 + 0.72 * per_row * len(columns))
    with styled(), matplotlib.rc_context({"axes.grid": False}):
        figure = Figure(figsize=(wide, min(height, 9.5)))
        grid = figure.subplots(num_rows, per_row, squeeze=False, sharex=True, sharey=True)
        scale = _scale(panels, metric)
        for place, (axes, (line, entries)) in enumerate(
            zip(grid.flat, panels.items(), strict=False)
        ):
            values = [[_value(entries.get((r, c)), metric) for c in columns] for r in rows]
            mesh = axes.pcolormesh(values, norm=scale, cmap=COLORS, edgecolors="white", lw=0.8)
            axes.set_facecolor("#EFEFEF")
            _name_axes(axes, layout, first=place % per_row == 0)
            axes.set_title(
                level_words(layout.lines, line, list(panels), int(13 * (wide - 2) / per_row))
            )
            if total <= MOST_TEXTS:
                for y, row in enumerate(layout.of(layout.rows)):
                    for x, column in enumerate(layout.of(layout.columns)):
                        entry = entries.get((row, column))
                        value = _value(entry, metric)
                        # Dark on light, or light on dark.
                        red, green, blue, _ = mesh.to_rgba(value)
                        light = 0.3 * red + 0.6 * green + 0.1 * blue > 0.5
                        color = "#555555" if math.isnan(value) else "black" if light else "white"
                        look = {"ha": "center", "va": "center", "size": 6, "color": color}
                        axes.text(x + 0.5, y + 0.5, _text(entry, metric, lines), **look)
            _frame_best(axes, layout, entries)
        for axes in list(grid.flat)[len(panels) :]:
            axes.remove()
        shown = list(grid.flat)[: len(panels)]
        bar = figure.colorbar(mesh, ax=shown, pad=0.02, aspect=40, fraction=0.05)
        bar.outline.set_visible(False)
        unit = f" ({metric.unit})" if metric.unit else ""
        bar.set_label(metric.label.partition(",")[0] + unit)
        if isinstance(scale, LogNorm):
            assert scale.vmin is not None
            assert scale.vmax is not None
            plain_decades(bar.ax.yaxis, scale.vmax / scale.vmin)
        else:
            bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
        bar.ax.yaxis.set_minor_locator(NullLocator())
    return figure


def _scale(panels: Mapping[str, Entries], metric: Metric) -> Normalize:
    every = [_value(entry, metric) for entries in panels.values() for entry in entries.values()]
    known = [value for value in every if math.isfinite(value)]
    if not known:
        return Normalize(0, 1)
    low, high = min(known), max(known)
    if low > 0 and high > 3 * low:
        return LogNorm(low, high)
    return Normalize(low, high if high > low else low + 1)


def _value(entry: Entry | None, metric: Metric) -> float:
    number = None if entry is None else entry.mean if entry.median is None else entry.median
    return math.nan if number is None or not math.isfinite(number) else number * metric.scale


def _name_axes(axes: Axes, layout: Layout, *, first: bool) -> None:
    rows, columns = layout.of(layout.rows), layout.of(layout.columns)
    axes.set_xticks([place + 0.5 for place in range(len(columns))])
    axes.set_yticks([place + 0.5 for place in range(len(rows))])
    names = _levels(columns)
    across: dict[str, Any] = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticklabels(names, **(across if _slanted(names) else {}))
    axes.set_yticklabels(_levels(rows))
    axes.tick_params(length=0, labelbottom=True)
    axes.set_ylim(len(rows), 0)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_xlabel(printable(layout.columns or ""))
    axes.set_ylabel(printable(layout.rows or "") if first else "")


def _slanted(names: Sequence[str]) -> bool:
    """Whether names are too long to stand below their columns side by side."""
    return max(map(len, names)) > 60 // max(len(names), 4)


def _levels(levels: Sequence[str]) -> list[str]:
    parts = shared_parts(levels)
    return [level_words(" ", without_parts(level, parts), [], 24)[4:] for level in levels]


def _text(entry: Entry | None, metric: Metric, lines: int) -> str:
    if entry is None:
        return "–"
    number = entry.mean if entry.median is None else entry.median
    if number is None:
        return entry.status
    text = metric.text(number) + (" ≈" if entry.best == "tied" else "")
    if entry.median is not None:
        return f"{text}\n{entry.num_diverged}/{entry.num_replicas} div."
    if lines == 1 or entry.high is None or entry.mean is None:
        return text
    return f"{text}\n±{metric.text(entry.high - entry.mean)}"


def _frame_best(axes: Axes, layout: Layout, entries: Entries) -> None:
    for y, row in enumerate(layout.of(layout.rows)):
        for x, column in enumerate(layout.of(layout.columns)):
            entry = entries.get((row, column))
            if entry and entry.best == "best":
                # Black within white is seen on dark fields and on light ones.
                for color, width in (("white", 3.2), ("black", 1.4)):
                    look: dict[str, Any] = {"fill": False, "lw": width, "ec": color}
                    axes.add_patch(Rectangle((x + 0.03, y + 0.03), 0.94, 0.94, **look))


def _caption(layout: Layout, metric: Metric) -> str:
    cells = list(layout.cells.values())
    unit = f" in {metric.unit}" if metric.unit else ""
    first = f"{metric.label[0].upper()}{metric.label[1:]}{unit}"
    darker = "Darker is lower; frame: the lowest of its panel"
    if seeds_words(cells) == "n = 1 seed":
        said = f"one seed (n = 1), so no interval. {AT_CHOSEN} {darker}."
        return caption(f"{first}: {said}", layout)
    large = " (left out in so large a table)" if len(cells) > MOST_TEXTS // 3 else ""
    return caption(
        f"{first}: mean over {seeds_words(cells)} ± half-width of the 95 % t interval{large}. "
        f"{AT_CHOSEN} {darker}; ≈: not distinguishable from it (the 95 % t interval of the "
        "difference, paired by seed, holds 0).",
        layout,
    )
