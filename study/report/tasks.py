"""Tables and cells: how a metric is called of some cells, and what stands beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from study.errors import InputError
from study.outputs.records import CellRecord, factor_names
from study.probes.names import PROBES, label_among
from study.report.factors import activation_of, cell_level, varying_factors
from study.report.metrics import OF_TASK, Metric, depends_on_task
from study.report.probes import ProbeMetric
from study.tasks import RECONSTRUCTION, recorded_task


def metric_of(metric: Metric, cells: Sequence[CellRecord]) -> Metric:
    """The metric as it is of the task of these cells, and called as it is of their activations.

    InputError where they have several tasks and the metric is not the same thing in all of them.
    """
    tasks = sorted({recorded_task(cell.result) for cell in cells if cell.result})
    if len(tasks) > 1 and depends_on_task(metric):
        raise InputError(
            f"{metric.name} of a {tasks[0]} and of a {tasks[1]} cannot stand in one table; "
            f"choose the cells of one with --where{_example(cells)}"
        )
    if isinstance(metric, ProbeMetric):
        label = label_among(metric.probe, map(activation_of, cells))
        return replace(metric, label=metric.label.replace(PROBES[metric.probe].label, label, 1))
    return OF_TASK.get(tasks[0], {}).get(metric.name, metric) if len(tasks) == 1 else metric


def _example(cells: Sequence[CellRecord]) -> str:
    """A condition that the reconstructing cells meet."""
    models = [
        cell_level(cell, "model")
        for cell in cells
        if cell.result and recorded_task(cell.result) == RECONSTRUCTION
    ]
    return f" 'model={models[0]}'" if "model" in factor_names(cells) else ""


def reference_lines(metric: Metric, cells: Sequence[CellRecord]) -> list[str]:
    """PCA and the mean image beside errors of reconstructions, a line for each data and code.

    Where there are several, each line names the factors in which its cells differ from the others.
    """
    if not metric.name.endswith("_error"):
        return []
    found: dict[str, list[CellRecord]] = {}
    for cell in cells:
        if cell.result and "pca" in (cell.result.get("references") or {}):
            found.setdefault(_line(metric, cell.result["references"]), []).append(cell)
    if len(found) < 2:
        return [f"{line}." for line in found]
    apart = [factor for factor in varying_factors(cells) if _tells_apart(factor, found)]
    return [f"{line}, for {_levels(apart, found[line])}." for line in found]


def _line(metric: Metric, references: Mapping[str, Mapping[str, Any]]) -> str:
    """Such as `PCA-30 13.87 on test (14.21 on train), mean image 52.90 on test`."""
    pca, mean = references["pca"], references["mean_image"]
    first, second, third = (
        metric.text(error) for error in (pca["test_error"], pca["train_error"], mean["test_error"])
    )
    components = pca["components"]
    return f"PCA-{components} {first} on test ({second} on train), mean image {third} on test"


def _tells_apart(factor: str, found: Mapping[str, Sequence[CellRecord]]) -> bool:
    """Whether the cells of each line have one level of the factor, and not all the same."""
    levels = [{cell_level(cell, factor) for cell in cells} for cells in found.values()]
    return all(len(level) == 1 for level in levels) and len(set.union(*levels)) > 1


def _levels(factors: Sequence[str], cells: Sequence[CellRecord]) -> str:
    shown = [f"{factor} = {cell_level(cells[0], factor)}" for factor in factors]
    return ", ".join(shown) or "some of the cells"
