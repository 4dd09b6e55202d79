"""Learning curves: validation error and training loss by epoch."""

from dataclasses import replace
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from study.analysis.lookup import metric_of
from study.analysis.parts import Drawn
from study.outputs.metrics import METRICS, Metric
from study.outputs.records import CellRecord
from study.report.figures.panels import ErrorAxis, band, draw_panels, finished
from study.report.figures.shown import (
    AT_CHOSEN,
    Shown,
    caption,
    error_point,
    interval_words,
    lacking_words,
    of_errors,
)


def draw(shown: Shown) -> list[Drawn]:
    """Validation error, and the training loss that was being minimized."""
    loss = replace(METRICS["test_loss"], name="train_loss", label="training loss")
    running = "Running mean of each epoch's batches, as they were trained."
    error = metric_of(METRICS["val_error"], shown.cells)
    return [*_draw(shown, error, ""), *_draw(shown, loss, running)]


def _draw(shown: Shown, metric: Metric, more: str) -> list[Drawn]:
    layout = shown.layout
    found = {
        cell.directory: {
            epoch: error_point(by_seed.values(), metric, lost=cell.status == "diverged")
            for epoch, by_seed in shown.curve(cell, metric.name).items()
        }
        for cell in layout.cells.values()
    }
    cells = [cell for cell in layout.cells.values() if found[cell.directory]]
    if not cells:
        return []
    axis = ErrorAxis.over(each for points in found.values() for each in points.values())

    def fill(axes: Axes, cell: CellRecord, line: dict[str, Any]) -> None:
        if points := found[cell.directory]:
            band(axes, list(points), [axis.shown(p, metric) for p in points.values()], line)

    def finish(axes: Axes) -> None:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axis.set(axes)

    words, unit = metric.label, metric.unit
    label = f"{words.partition(',')[0]}{f' ({unit})' if unit else ''}"
    figure = draw_panels(layout, fill, x_label="epoch", y_label=label, finish=finish)
    in_unit = f", in {unit}" if unit else ""
    text = caption(
        f"{words[0].upper()}{words[1:]} by epoch{in_unit}. {AT_CHOSEN}",
        layout,
        more,
        axis.words,
        interval_words(cells, cut=of_errors(axis.logarithmic, metric)),
        lacking_words(len(cells), len(layout.cells), "usable curves"),
    )
    title = f"Learning curves: {words.partition(',')[0]}"
    return [finished(figure, f"curves_{metric.name}", title, text, cells)]
