"""Learning curves: validation error and training loss by epoch."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from study.outputs.records import CellRecord
from study.report.figures.panels import band, draw_panels, error_axis, finished
from study.report.figures.points import point
from study.report.figures.shown import Shown
from study.report.figures.words import AT_CHOSEN, caption, interval_words, lacking_words
from study.report.metrics import METRICS
from study.report.parts import Drawn
from study.report.tasks import metric_of


def draw(shown: Shown) -> list[Drawn]:
    """Validation error, and the training loss that was being minimized."""
    error = metric_of(METRICS["val_error"], shown.cells)
    running = "Running mean of each epoch's batches, as they were trained."
    return [
        *_draw(shown, "val_error", error.label, error.unit, error.scale, ""),
        *_draw(shown, "train_loss", "training loss", "", 1.0, running),
    ]


def _draw(
    shown: Shown, quantity: str, words: str, unit: str, scale: float, more: str
) -> list[Drawn]:
    layout = shown.layout
    cells = [cell for cell in layout.cells.values() if shown.curve(cell, quantity)]
    if not cells:
        return []

    def fill(axes: Axes, cell: CellRecord, line: dict[str, Any]) -> None:
        curve = shown.curve(cell, quantity)
        lost = cell.status == "diverged"
        points = [
            point([scale * value for value in by_seed.values()], lost=lost)
            for by_seed in curve.values()
        ]
        if points:
            band(axes, list(curve), points, line)

    beyond: list[str] = []

    def finish(axes: Axes) -> None:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        beyond.append(error_axis(axes))

    label = f"{words.partition(',')[0]}{f' ({unit})' if unit else ''}"
    figure = draw_panels(layout, fill, x_label="epoch", y_label=label, finish=finish)
    in_unit = f", in {unit}" if unit else ""
    first = f"{words[0].upper()}{words[1:]} by epoch{in_unit}. {AT_CHOSEN}"
    text = caption(
        first,
        layout,
        more,
        *beyond,
        interval_words(cells),
        lacking_words(len(cells), len(layout.cells), "usable curves"),
    )
    title = f"Learning curves: {words.partition(',')[0]}"
    return [finished(figure, f"curves_{quantity}", title, text, cells)]
