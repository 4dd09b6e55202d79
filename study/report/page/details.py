"""What opens with a cell: its curves, learning rates, probes, filters, configuration, command."""

import base64
import io
import math
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from study.analysis.caption import ABSENT_MARK
from study.analysis.frames import Frames
from study.analysis.parts import Report
from study.analysis.statistics.intervals import median
from study.config.labels import level_words
from study.outputs.factors import activation_of
from study.outputs.metrics import METRICS, OF_TASK, PROBES, Metric, label_among
from study.outputs.records import CellRecord
from study.outputs.results import Result
from study.outputs.schema import PROBES_FILE
from study.outputs.series import CURVES_FILE
from study.report.figures.shown import Point, error_point
from study.report.page.packing import rounded

DETAILED = 300
"""Cells that open with curves and probes: those of verdicts and figures first, then as they come.

The rest open with their numbers and their command, so that a page of thousands stays small.
"""
POINTS = 60
"""Epochs of a curve at most, evenly taken, with the first and the last."""
MOST_FILTERS = 64
GREYS = 16
"""Of filters of one channel; coloured ones have 64 levels a channel."""
FILTER_BYTES = 620_000
"""Bytes that the pictures of all cells may take, before compression."""
CURVES = ("train_error", "val_error", "train_loss", "val_loss")
_PLACES = re.compile(r"^(outputs_dir|study):.*\n", re.MULTILINE)


def details(report: Report) -> dict[str, Any]:
    """By directory, what opens with a finished cell beside its numbers."""
    frames = report.frames
    cells = {cell.directory: cell for cell in frames.finished}
    named = [part.cells for part in report.verdicts] + [part.cells for part in report.figures]
    order = [name for name in dict.fromkeys(chain(*named, cells)) if name in cells]
    budget = FILTER_BYTES // max(min(len(order), DETAILED), 1)
    return {
        name: _detail(frames, cells[name], budget if place < DETAILED else None)
        for place, name in enumerate(order)
    }


def detail_words(num_finished: int) -> str:
    """Which cells open with less than all, where a study has too many; "" where it has not."""
    if num_finished <= DETAILED:
        return ""
    return (
        f"Of the {num_finished:,} finished cells {DETAILED} open with curves and probes: those "
        "that verdicts and figures show, then the first; the others with their numbers and their "
        "command."
    )


def probe_labels(cells: Sequence[CellRecord]) -> dict[str, tuple[str, str, float]]:
    """What each probe is called, its unit, and what its recorded number is multiplied by for it."""
    return {
        name: (label_among(name, map(activation_of, cells)), probe.unit, _scale_of_probe(name))
        for name, probe in PROBES.items()
    }


def _scale_of_probe(name: str) -> float:
    return 100.0 if PROBES[name].unit == "%" else 1.0


def reproducing_command(cell: CellRecord, study: str) -> str:
    """The command that trains the cell again and compares, as it is typed in the checkout.

    Where the study lies under a directory `outputs`, the path starts there; else it is the one that
    a launch would give it, whatever its place on this machine.
    """
    parts = cell.path.resolve().parts
    if "outputs" in parts[:-2]:
        start = len(parts) - 1 - parts[::-1].index("outputs")
        return f"study reproduce {shlex.quote('/'.join(parts[start:]))}"
    directory = cell.directory if "/" in cell.directory else f"{study}/{cell.directory}"
    return f"study reproduce {shlex.quote(f'outputs/{directory}')}"


def _detail(frames: Frames, cell: CellRecord, budget: int | None) -> dict[str, Any]:
    """Its numbers and its command; with a budget for the bytes of its filters, all else too."""
    result = cell.finished
    metrics = OF_TASK.get(result.task, {})
    words = result.provenance.command.split(" ")
    keys = ("train_error", "val_error", "test_error")
    shown = [metrics.get(key, METRICS[key]) for key in keys]
    short = {
        "factors": [[name, str(level_words(name, level))] for name, level in cell.factors.items()],
        "command": reproducing_command(cell, frames.name),
        # Without where it wrote to, which is of no meaning elsewhere.
        "trained_by": " ".join(each for each in words if not each.startswith("outputs_dir=")),
        "replicas": [
            [
                str(replica.seed),
                f"{replica.lr:g}",
                replica.status,
                ABSENT_MARK if replica.best_epoch is None else str(replica.best_epoch),
                *(
                    ABSENT_MARK
                    if (number := metric.value(replica)) is None
                    else metric.text(number)
                    for metric in shown
                ),
            ]
            for rate in result.rates
            for replica in sorted(result.at(rate), key=lambda each: each.seed)
        ],
    }
    if budget is None:
        return short
    config = None
    if frames.sound(cell, "config.yaml"):
        config = _PLACES.sub("", (cell.path / "config.yaml").read_text(encoding="utf-8"))
    return {
        **short,
        "rates": _rates(cell.finished),
        "curves": _curves(frames, cell),
        "probes": _probes(frames, cell),
        "filters": filters(frames, cell, budget),
        "config": config,
    }


def _rates(result: Result) -> dict[str, Any]:
    """By learning rate, validation and test error with bounds, and the diverged replicas.

    Where a replica diverged, they are medians without bounds, as in every table.
    """
    rates = result.rates
    groups = [result.at(rate) for rate in rates]
    diverged = [sum(replica.diverged for replica in group) for group in groups]
    error = _error(result)
    return {
        "lr": rates,
        "chosen": result.chosen_lr,
        "diverged": diverged,
        **{
            key: _columns(
                _cut([getattr(r, key) for r in group], error, lost=bool(lost))
                for group, lost in zip(groups, diverged, strict=True)
            )
            for key in ("val_error", "test_error")
        },
    }


def _error(result: Result) -> Metric:
    return OF_TASK.get(result.task, {}).get("test_error", METRICS["test_error"])


def _cut(values: Sequence[float | None], metric: Metric, *, lost: bool) -> Point:
    """An error or a loss over seeds, its interval cut where nothing can be."""
    return error_point(values, metric, lost=lost).within(*metric.range)


def _columns(points: Iterable[Point]) -> list[list[Any]]:
    """The centres, the lows and the highs of points; none where there is none."""
    rows = [[rounded(x, 4) for x in (each.center, each.low, each.high)] for each in points]
    return [list(column) for column in zip(*rows, strict=True)]


def _curves(frames: Frames, cell: CellRecord) -> dict[str, Any] | None:
    """The curves at the chosen learning rate; none if curves.csv is not what the record names."""
    if not frames.sound(cell, CURVES_FILE):
        return None
    error = _error(cell.finished)
    curves = {key: list(frames.curve(cell, key).values()) for key in CURVES}
    every = curves["val_error"]
    epochs = thinned(sorted({epoch for curve in every for epoch in curve}), POINTS)
    metrics = {key: error if key.endswith("error") else METRICS["test_loss"] for key in CURVES}
    lost = bool(cell.num_diverged)
    return {
        "epochs": epochs,
        "seeds": len(every),
        "diverged": cell.num_diverged,
        **{
            key: _columns(
                _cut([curve[at] for curve in curves[key] if at in curve], metric, lost=lost)
                for at in epochs
            )
            for key, metric in metrics.items()
        },
    }


def thinned(items: Sequence[int], most: int) -> list[int]:
    """At most so many of the items, evenly taken, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    places = [round(place * (len(items) - 1) / (most - 1)) for place in range(most)]
    return [items[place] for place in places]


def _probes(frames: Frames, cell: CellRecord) -> dict[str, Any] | None:
    """By probe its means over seeds in each layer, at start and end, in the probe's unit.

    At the end medians, where replicas diverged. A probe of which there is no number has no place.
    """
    start, end = cell.finished.probes.start, cell.finished.probes.end
    if start is None or end is None:
        return None
    last = _medians(frames, cell, end.step) if cell.num_diverged else end.layers
    moments = (start.layers, last)
    taken = {
        name: [
            [None if n is None else rounded(n * _scale_of_probe(name), 4) for n in moment[name]]
            if moment.get(name)
            else None
            for moment in moments
        ]
        for name in PROBES
        if any(number is not None for moment in moments for number in moment.get(name, ()))
    }
    steps = [start.step, end.step]
    return {"steps": steps, "diverged": cell.num_diverged, "taken": taken} if taken else None


def _medians(frames: Frames, cell: CellRecord, step: int) -> Mapping[str, Sequence[float | None]]:
    """What a record sums up of its last probes, with medians over seeds in place of means."""
    rows = frames.rows(cell, PROBES_FILE)
    last = [r for r in rows if r["step"] == step and r["lr"] == cell.finished.chosen_lr]
    layers = sorted({row["layer"] for row in last})

    def over_seeds(name: str, layer: int) -> float | None:
        numbers = [row.get(name) for row in last if row["layer"] == layer]
        return rounded(median([math.inf if n is None else n for n in numbers]), 7)

    return {name: [over_seeds(name, at) for at in layers] for name in PROBES}


def filter_grid(num: int, filter_bytes: float, budget: int) -> tuple[int, int]:
    """Rows and columns of at most `num` filters in that many bytes: full rows, nearly a square."""
    fitting = max(1, min(num, MOST_FILTERS, int(budget / filter_bytes)))
    columns = math.ceil(math.sqrt(fitting))
    return fitting // columns, columns


def filters(frames: Frames, cell: CellRecord, budget: int) -> dict[str, Any] | None:
    """A PNG of the first filters, as a data URI, with how many of how many it shows.

    None if the cell has none, or filters.npz is not what its record names. Grey filters have 16
    greys, coloured ones 64 levels a channel: the eye sees no more, and they compress.
    """
    import numpy as np

    if not frames.sound(cell, "filters.npz"):
        return None
    with np.load(cell.path / "filters.npz", allow_pickle=False) as arrays:
        images = arrays["filters"]
    if not len(images) or images.shape[1] not in (1, 3):
        return None
    num, channels, height, width = images.shape
    filter_bytes = height * width * (0.5 if channels == 1 else 2.25)
    rows, columns = filter_grid(num, filter_bytes, budget)
    shown = images[: rows * columns]
    from PIL import Image

    sheet = _tiled(shown, columns)
    if channels == 1:
        picture = Image.fromarray(sheet[..., 0] // (256 // GREYS), mode="P")
        grey = [round(level * 255 / (GREYS - 1)) for level in range(GREYS)]
        picture.putpalette([channel for level in grey for channel in (level,) * 3])
    else:
        picture = Image.fromarray(sheet & 0xFC)
    file = io.BytesIO()
    bits = {"bits": 4} if channels == 1 else {}
    picture.save(file, "PNG", optimize=False, compress_level=9, **bits)
    return {
        "png": f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}",
        "shown": len(shown),
        "of": num,
        "size": [columns * (width + 1) + 1, rows * (height + 1) + 1],
    }


def _tiled(images: Any, columns: int) -> Any:
    """The filters in rows with a pixel between them; uint8 [height, width, channels]."""
    import numpy as np

    num, channels, height, width = images.shape
    rows = num // columns
    sheet = np.full((rows * (height + 1) + 1, columns * (width + 1) + 1, channels), 255, np.uint8)
    for place, image in enumerate(images):
        top, left = place // columns * (height + 1) + 1, place % columns * (width + 1) + 1
        sheet[top : top + height, left : left + width] = image.transpose(1, 2, 0)
    return sheet
