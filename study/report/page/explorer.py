"""What the heat map and the list of cells show: every metric of every cell, as the tables have it.

The numbers are made by the entries, and written by the words, that make and write the tables, so
that a cell reads the same in both.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from study.analysis.caption import ABSENT_MARK, marks, number_text
from study.analysis.frames import Frames
from study.analysis.lookup import SUMMARIES, find_metric, metric_of
from study.analysis.origins import by_origin, origin_of
from study.analysis.pivot import Entry, Pivot, Source, Table, make_entry
from study.outputs.factors import (
    all_levels,
    cell_level,
    shared_parts,
    varying_factors,
    without_parts,
)
from study.outputs.metrics import METRICS, OF_TASK, PROBES, Metric, depends_on_task
from study.outputs.records import CellRecord
from study.outputs.results import Moment
from study.report.page.packing import rounded

LISTED = (
    "test_error",
    "val_error",
    "train_error",
    "chosen_lr",
    "best_epoch",
    "wall_seconds",
)
"""The metrics of the list of cells."""
_GROUPS = {
    "start": "Inside the network, at initialization",
    "end": "Inside the network, at the end",
}
_OUTCOMES = "Outcome"
_LAYERS = "Mean over layers and seeds."


def explorer(frames: Frames) -> dict[str, Any]:
    """Factors, cells and metrics as plain data, for the page's script."""
    cells = frames.cells
    origins = list(by_origin(cells))
    varying = varying_factors(cells)
    levels = {factor: all_levels(cells, factor) for factor in varying}
    found = [*_metrics(cells), *_probes(cells)]
    names = {metric["name"] for metric in found}
    return {
        "factors": [
            {
                "name": factor,
                "levels": [
                    without_parts(each, shared_parts(levels[factor])) for each in levels[factor]
                ],
            }
            for factor in varying
        ],
        "cells": [
            {
                "name": cell.directory,
                "at": [levels[factor].index(cell_level(cell, factor)) for factor in varying],
                "status": cell.status,
                "origin": origins.index(origin_of(cell)) if cell.result else None,
            }
            for cell in cells
        ],
        "metrics": found,
        "listed": [name for name in LISTED if name in names],
    }


def _metrics(cells: Sequence[CellRecord]) -> Iterator[dict[str, Any]]:
    """The metrics of result.json that some cell has; one that means two things comes twice."""
    tasks = list(dict.fromkeys(cell.result.task for cell in cells if cell.result))
    for name, metric in METRICS.items():
        if not depends_on_task(metric):
            yield from _shown(name, metric, cells, cells)
            continue
        for task in tasks:
            # What is not finished does not say its task: it stands under the first.
            own = [
                cell for cell in cells if (cell.result.task if cell.result else tasks[0]) == task
            ]
            title = name if task == tasks[0] else f"{name} ({task})"
            yield from _shown(title, OF_TASK.get(task, {}).get(name, metric), cells, own)


def _shown(
    name: str, metric: Metric, cells: Sequence[CellRecord], own: Sequence[CellRecord]
) -> Iterator[dict[str, Any]]:
    """The metric over all cells, empty where a cell is not one of its `own`."""
    sources = [Source(cell, cell.result.chosen if cell.result else ()) for cell in own]
    entries = {(each.cell.directory, ""): make_entry([each], {()}, metric) for each in sources}
    values = [_value(entry) for entry in entries.values()]
    if not any(values):
        return  # Nothing was measured, or nothing was done, as where nothing is pretrained.
    table = Table({}, [row for row, _ in entries], [""], entries)
    pivot = Pivot(metric, None, None, {}, {}, [table], own)
    shown = [entries.get((cell.directory, "")) for cell in cells]
    yield {
        **_heading(name, metric, _OUTCOMES, metric.help),
        "texts": [ABSENT_MARK if entry is None else number_text(pivot, entry) for entry in shown],
        "values": [None if entry is None else _value(entry) for entry in shown],
        "marks": [[] if entry is None else marks(pivot, entry) for entry in shown],
    }


def _heading(name: str, metric: Metric, group: str, help: str) -> dict[str, Any]:
    label = metric.label.removesuffix(f", {SUMMARIES['mean']}")
    return {
        "name": name,
        "label": label[0].upper() + label[1:],
        "unit": metric.unit,
        "better": metric.direction,
        "of_data": depends_on_task(metric),
        "group": group,
        "help": f"{help[0].upper()}{help[1:]}.",
    }


def _value(entry: Entry) -> float | None:
    return rounded(entry.mean if entry.mean is not None else entry.median)


def _probes(cells: Sequence[CellRecord]) -> Iterator[dict[str, Any]]:
    """The probes that result.json sums up, at start and end."""
    lost = [cell.num_diverged for cell in cells]
    for moment, group in _GROUPS.items():
        for probe in PROBES:
            metric = metric_of(find_metric(f"{probe}@{moment}"), cells)
            numbers = [
                None if num and moment == "end" else _mean_over_layers(cell, probe, moment)
                for cell, num in zip(cells, lost, strict=True)
            ]
            if all(number is None for number in numbers):
                continue
            yield {
                **_heading(metric.name, metric, group, f"{metric.help}. {_LAYERS}"[:-1]),
                "texts": [
                    metric.text(number)
                    if number is not None
                    else ABSENT_MARK
                    if cell.result
                    else cell.status
                    for cell, number in zip(cells, numbers, strict=True)
                ],
                "values": [rounded(number) for number in numbers],
                "marks": [
                    [f"({num}/{len(cell.finished.chosen)} diverged)"]
                    if num and moment == "end"
                    else []
                    for cell, num in zip(cells, lost, strict=True)
                ],
            }


def _mean_over_layers(cell: CellRecord, probe: str, moment: str) -> float | None:
    """The mean over layers of the means over seeds, if all of them are numbers."""
    at: Moment | None = getattr(cell.result.probes, moment) if cell.result else None
    found = at.layers.get(probe, ()) if at else ()
    layers = [number for number in found if number is not None]
    if not layers or len(layers) < len(found):
        return None
    mean = math.fsum(layers) / len(layers)
    return mean if math.isfinite(mean) else None
