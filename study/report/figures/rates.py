"""Learning-rate curves: what each cell reaches at every learning rate of its grid."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator

from study.analysis.lookup import metric_of
from study.analysis.parts import Drawn
from study.outputs.metrics import METRICS
from study.outputs.records import CellRecord
from study.report.figures.panels import ErrorAxis, band, draw_panels, finished, plain_decades
from study.report.figures.shown import Shown, caption, error_point, interval_words, of_errors

MOST_TICKS = 4
"""Learning rates that are each a tick."""


def draw(shown: Shown) -> list[Drawn]:
    """Nothing where no cell has two learning rates."""
    layout = shown.layout
    cells = list(layout.cells.values())
    rates = sorted({rate for cell in cells for rate in by_rate(cell)})
    if len(rates) < 2:
        return []
    metric = metric_of(METRICS["val_error"], shown.cells)
    found = {
        cell.directory: {
            rate: error_point(values, metric, lost=lost)
            for rate, (values, lost) in by_rate(cell).items()
        }
        for cell in cells
    }
    axis = ErrorAxis.over(each for points in found.values() for each in points.values())

    def fill(axes: Axes, cell: CellRecord, line: dict[str, Any]) -> None:
        points = {rate: axis.shown(p, metric) for rate, p in found[cell.directory].items()}
        band(axes, list(points), list(points.values()), line)
        chosen = cell.finished.chosen_lr
        ring = {"color": line["color"], "marker": "o", "linestyle": "none"}
        at = [points[chosen].center]
        axes.plot([chosen], at, markersize=7.5, fillstyle="none", zorder=4, **ring)
        lost = [rate for rate, (_, diverged) in by_rate(cell).items() if diverged]
        cross = {"color": line["color"], "marker": "x", "linestyle": "none"}
        axes.plot(lost, [points[rate].center for rate in lost], markersize=8, zorder=4, **cross)

    def finish(axes: Axes) -> None:
        axes.set_xscale("log")
        plain_decades(axes.xaxis, rates[-1] / rates[0])
        if len(rates) <= MOST_TICKS:
            axes.xaxis.set_major_locator(FixedLocator(rates))
        axis.set(axes)

    unit = f" ({metric.unit})" if metric.unit else ""
    y_label = f"{metric.label.partition(',')[0]}{unit}"
    figure = draw_panels(layout, fill, x_label="learning rate", y_label=y_label, finish=finish)
    text = caption(
        f"{metric.label[0].upper()}{metric.label[1:]} of the best epoch, by learning rate. A ring "
        "marks the learning rate that validation chose, a cross one at which replicas diverged: "
        "there the median.",
        layout,
        axis.words,
        interval_words(cells, cut=of_errors(axis.logarithmic, metric)),
    )
    return [finished(figure, "learning_rates", "Learning-rate curves", text, cells)]


def by_rate(cell: CellRecord) -> Mapping[float, tuple[list[float | None], bool]]:
    """{learning rate: (validation errors of the seeds, whether one of them diverged)}."""
    groups = {rate: cell.finished.at(rate) for rate in cell.finished.rates}
    return {
        rate: ([each.val_error for each in group], any(each.diverged for each in group))
        for rate, group in groups.items()
    }
