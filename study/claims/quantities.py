"""What a claim is about: a number for each seed of a cell, from the study's saved outputs."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from study.errors import InputError, unknown
from study.outputs.cell import read_curves
from study.outputs.records import CellRecord
from study.probes.names import PROBES
from study.report.frames import Frames
from study.report.measured import with_probe
from study.report.metrics import METRICS, OF_TASK, Metric, depends_on_task
from study.report.probes import ProbeMetric, find_metric
from study.tasks import recorded_task

POINTS = "points"
"""Percentage points: the unit of a difference between two shares."""
ERRORS_REACHED = ("train_error", "val_error")
"""The columns of curves.csv of which a target can be reached."""


class NotDecidableError(Exception):
    """Why a claim cannot be decided from what the study has saved, in one line."""


@dataclass(frozen=True)
class Numbers:
    """{cell's directory: {seed: number}}.

    `bounds` names the cells of which some number is a lower bound of the true one.
    """

    values: dict[str, dict[int, float]]
    bounds: frozenset[str] = frozenset()


Read = Callable[[Frames, Sequence[CellRecord], float | None], Numbers]
"""Frames, finished cells, and a learning rate or None for each cell's chosen one."""


@dataclass(frozen=True)
class Quantity:
    """A number for each seed of a cell, and how it is read.

    `unit` is that of its differences. `metric`: the metric of tables that it is, if it is one;
    `predicted_by`: its probe, where a pre-flight could predict it; `task_bound`: its unit depends
    on what the cells are trained for.
    """

    name: str
    label: str
    unit: str
    read: Read = field(repr=False)
    metric: Metric | None = None
    predicted_by: ProbeMetric | None = None
    task_bound: bool = False

    @property
    def units(self) -> tuple[str, ...]:
        """Every unit that it may have, that of a classification first."""
        return (self.unit, *(self.of_task(task).unit for task in OF_TASK))

    def of_task(self, task: str) -> "Quantity":
        """The quantity as it is of a task: the unit of an error depends on it."""
        special = OF_TASK.get(task, {}).get(self.metric.name) if self.metric else None
        return _of_metric(special) if special else self


def find_quantity(name: str, *, layer: str | None = None, target: float | None = None) -> Quantity:
    """A metric, a probe at a moment, `diverged`, or the epochs to an error; InputError if none.

    `target`: the error to reach, in percent; only of the epochs to it.
    """
    if name.startswith("epochs_to"):
        return _epochs_to(name, layer, target)
    if target is not None:
        raise InputError(f"target: {name} has none; it is for epochs_to_val_error")
    if name == "diverged" and layer is None:
        return Quantity(name, "share of diverged replicas", POINTS, _read_diverged)
    if name.partition("@")[0] not in (*METRICS, *PROBES):
        raise _unknown(name, layer)
    try:
        metric = find_metric(name, layer=layer)
    except InputError as error:
        raise InputError(f"of: {str(error).replace('--layer ', 'layer: ')}") from None
    if metric.per_cell:
        raise InputError(f"of: {name} is one number of a cell; a claim needs one for each seed")
    return _of_metric(metric)


def _unknown(name: str, layer: str | None) -> InputError:
    """Lists the quantities but for the probes, which are too many for a line."""
    own = ["diverged", *(f"epochs_to_{error}" for error in ERRORS_REACHED)]
    if name in own:
        return InputError(f"layer: {layer}: {name} has no layers, as probes have")
    per_seed = [metric.name for metric in METRICS.values() if not metric.per_cell]
    error = str(unknown("quantity", name, [*per_seed, *own, *PROBES]))
    listed = ", ".join([*per_seed, *own])
    return InputError(
        f"of: {error.partition('; choose from')[0]}; choose from: {listed}; or a probe, as "
        "dead_fraction@end (docs/probes.md lists them)"
    )


def _of_metric(metric: Metric) -> Quantity:
    def read(frames: Frames, cells: Sequence[CellRecord], lr: float | None) -> Numbers:
        return _read_metric(metric, cells, lr)

    of_start = isinstance(metric, ProbeMetric) and metric.moment == "start"
    return Quantity(
        metric.name,
        metric.label,
        POINTS if metric.unit == "%" else metric.unit,
        read,
        metric,
        metric if isinstance(metric, ProbeMetric) and of_start else None,
        depends_on_task(metric),
    )


def replicas_of(cell: CellRecord, lr: float | None) -> list[dict[str, Any]]:
    """A finished cell's replicas at a learning rate, or at the chosen one."""
    assert cell.result is not None
    rate = cell.result["chosen_lr"] if lr is None else lr
    found = [replica for replica in cell.result["replicas"] if replica["lr"] == rate]
    if not found:
        raise NotDecidableError(f"{cell.directory} has no replica at learning rate {rate:g}")
    return found


def seeds_of(cell: CellRecord, lr: float | None) -> list[int]:
    """The seeds of a finished cell at a learning rate, or at the chosen one."""
    return [int(replica["seed"]) for replica in replicas_of(cell, lr)]


def _read_metric(metric: Metric, cells: Sequence[CellRecord], lr: float | None) -> Numbers:
    if isinstance(metric, ProbeMetric):
        try:
            cells = with_probe(cells, metric)
        except InputError as error:
            raise NotDecidableError(str(error).replace("--layer ", "layer: ")) from None
    return Numbers({cell.directory: _seeds(metric, cell, lr) for cell in cells})


def _seeds(metric: Metric, cell: CellRecord, lr: float | None) -> dict[int, float]:
    replicas = replicas_of(cell, lr)
    require_trained(cell, replicas)
    numbers = {}
    for replica in replicas:
        value = metric.value(replica) if metric.is_measured(replica) else None
        if value is None or not math.isfinite(value):
            what = "is not finite" if metric.is_measured(replica) else "was not measured"
            problem = f" ({cell.problems[-1]})" if cell.problems else ""
            raise NotDecidableError(
                f"{metric.name} {what} in {cell.directory}, seed {replica['seed']}{problem}"
            )
        numbers[int(replica["seed"])] = value * metric.scale
    return numbers


def require_trained(cell: CellRecord, replicas: Sequence[Mapping[str, Any]]) -> None:
    """NotDecidableError where a replica diverged: a mean over such seeds means nothing."""
    lost = sum(replica["status"] == "diverged" for replica in replicas)
    if lost:
        raise NotDecidableError(
            f"{lost} of {len(replicas)} replicas of {cell.directory} diverged: their numbers have "
            "no mean; of: diverged is what can be claimed of them"
        )


def _read_diverged(frames: Frames, cells: Sequence[CellRecord], lr: float | None) -> Numbers:
    return Numbers(
        {
            cell.directory: {
                int(replica["seed"]): 100.0 * (replica["status"] == "diverged")
                for replica in replicas_of(cell, lr)
            }
            for cell in cells
        }
    )


def _epochs_to(name: str, layer: str | None, target: float | None) -> Quantity:
    error = name.removeprefix("epochs_to_")
    if error not in ERRORS_REACHED or layer is not None:
        raise _unknown(name, layer)
    if target is None:
        raise InputError(f"of: {name} needs target, the error to reach, such as target: 5")

    def read(frames: Frames, cells: Sequence[CellRecord], lr: float | None) -> Numbers:
        return _read_epochs(frames, cells, lr, error, target)

    words = METRICS[error].label.partition(",")[0]
    return Quantity(name, f"epochs until {words} is at most {target:g}", "epochs", read)


def _read_epochs(
    frames: Frames, cells: Sequence[CellRecord], lr: float | None, error: str, target: float
) -> Numbers:
    """The first epoch whose error is at most the target; one more than all epochs for a miss."""
    values: dict[str, dict[int, float]] = {}
    missed = set()
    for cell in cells:
        replicas = replicas_of(cell, lr)
        scale = 100.0 if recorded_task(cell.result or {}) == "classification" else 1.0
        for seed, curve in _curves(frames, cell, replicas[0]["lr"], error).items():
            reached = [epoch for epoch, value in curve if value * scale <= target]
            last = max(epoch for epoch, _ in curve)
            values.setdefault(cell.directory, {})[seed] = min(reached, default=last + 1)
            if not reached:
                missed.add(cell.directory)
    return Numbers(values, frozenset(missed))


def _curves(
    frames: Frames, cell: CellRecord, lr: float, error: str
) -> dict[int, list[tuple[int, float]]]:
    """{seed: (epoch, error) of every epoch} of a cell's replicas at a learning rate."""
    if not frames.sound(cell, "curves.csv"):
        raise NotDecidableError(
            f"{cell.directory}/curves.csv is not the file that result.json names"
        )
    curves: dict[int, list[tuple[int, float]]] = {}
    for row in read_curves(cell.path):
        if row["lr"] == lr:
            curves.setdefault(int(row["seed"]), []).append((int(row["epoch"]), row[error]))
    return curves
