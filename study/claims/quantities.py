"""The quantities by name: metrics, probes, their differences, and what learning curves say."""

import math
from collections.abc import Sequence

from study.claims.from_curves import EPOCH_SECONDS, EPOCHS_TO, epoch_seconds, epochs_to
from study.claims.from_pairs import OF_PAIRS, PREFIX, check_name, of_pairs
from study.claims.over_training import OVER_TRAINING, over_training
from study.claims.quantity import (
    POINTS,
    NotDecidableError,
    Numbers,
    Quantity,
    replicas_of,
    require_trained,
)
from study.errors import InputError, unknown
from study.outputs.records import CellRecord
from study.probes.names import PROBES
from study.report.frames import Frames
from study.report.measured import with_probe
from study.report.metrics import METRICS, OF_TASK, Metric
from study.report.probes import ProbeMetric, find_metric

DIVERGED = "diverged"
MINUS = " - "
OWN = (DIVERGED, EPOCH_SECONDS, *EPOCHS_TO, *OF_PAIRS)
"""The quantities that no table shows."""


def find_quantity(name: str, *, layer: str | None = None, target: float | None = None) -> Quantity:
    """What is called so: a metric, a probe at a moment or over training, one of OWN, or `A - B`.

    `target`: the error to reach, in percent; only of the epochs to it. InputError if nothing is.
    """
    if name.startswith(PREFIX) and MINUS not in name:
        check_name(name, layer)
    base, _, moment = name.partition("@")
    if MINUS not in name and (base not in (*METRICS, *PROBES, *OWN) or (layer and base in OWN)):
        raise _unknown(name, layer)
    if name in EPOCHS_TO:
        return epochs_to(name, target)
    if target is not None:
        raise InputError(f"target: {name} has none; it is for {' and '.join(EPOCHS_TO)}")
    if MINUS in name:
        return _between(name, layer)
    if base in PROBES and moment in OVER_TRAINING:
        return over_training(name, layer, lambda each: _of_metric(_metric(each, layer)))
    if name in OF_PAIRS:
        return of_pairs(name)
    if name in (DIVERGED, EPOCH_SECONDS):
        return _DIVERGED if name == DIVERGED else epoch_seconds()
    return _of_metric(_metric(name, layer))


def _metric(name: str, layer: str | None) -> Metric:
    """A metric that each seed has."""
    try:
        metric = find_metric(name, layer=layer)
    except InputError as error:
        raise InputError(f"of: {str(error).replace('--layer ', 'layer: ')}") from None
    if metric.per_cell:
        raise InputError(f"of: {name} is one number of a cell; a claim needs one for each seed")
    return metric


def _unknown(name: str, layer: str | None) -> InputError:
    """Lists the quantities but for the probes, which are too many for a line."""
    if name in OWN:
        return InputError(f"layer: {layer}: {name} has no layers, as probes have")
    per_seed = [metric.name for metric in METRICS.values() if not metric.per_cell]
    error = str(unknown("quantity", name, [*per_seed, *OWN, *PROBES]))
    listed = ", ".join([*per_seed, *OWN])
    return InputError(
        f"of: {error.partition('; choose from')[0]}; choose from: {listed}; the difference of two, "
        "as test_error - train_error; or a probe, as dead_fraction@end (docs/probes.md lists them)"
    )


def _of_metric(metric: Metric) -> Quantity:
    def read(frames: Frames, cells: Sequence[CellRecord], lr: float | None) -> Numbers:
        return _read_metric(metric, cells, lr)

    probe = metric if isinstance(metric, ProbeMetric) else None
    special = {task: metrics.get(metric.name) for task, metrics in OF_TASK.items()}
    return Quantity(
        metric.name,
        metric.label,
        POINTS if metric.unit == "%" else metric.unit,
        read,
        metric.is_of_data,
        metric,
        probe if probe and probe.moment == "start" else None,
        {task: _of_metric(each) for task, each in special.items() if each and each != metric},
    )


def _between(name: str, layer: str | None) -> Quantity:
    """`A - B`: of each network the first minus the second, as its test and training error."""
    first, second = (find_quantity(part.strip(), layer=layer) for part in name.rsplit(MINUS, 1))
    if first.units != second.units:
        raise InputError(
            f"of: {first.name} is in {first.unit or 'a bare number'} and {second.name} in "
            f"{second.unit or 'a bare number'}: a difference needs one unit"
        )
    return _minus(name, first, second)


def _minus(name: str, first: Quantity, second: Quantity) -> Quantity:
    def read(frames: Frames, cells: Sequence[CellRecord], lr: float | None) -> Numbers:
        one, other = first.read(frames, cells, lr), second.read(frames, cells, lr)
        return Numbers(
            {
                cell: {seed: number - other.values[cell][seed] for seed, number in seeds.items()}
                for cell, seeds in one.values.items()
            }
        )

    return Quantity(
        name,
        f"{first.label} minus {second.label}",
        first.unit,
        read,
        first.of_data or second.of_data,
        by_task={
            task: _minus(name, each, second.of_task(task)) for task, each in first.by_task.items()
        },
        of_neighbours=first.of_neighbours or second.of_neighbours,
    )


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
            taken = metric.is_measured(replica)
            what = "is not finite" if taken else "was not measured"
            why = cell.problems[-1] if cell.problems else "" if taken else metric.lacking
            raise NotDecidableError(
                f"{metric.name} {what} in {cell.directory}, seed {replica['seed']}"
                f"{f' ({why})' if why else ''}"
            )
        numbers[int(replica["seed"])] = value * metric.scale
    return numbers


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


_DIVERGED = Quantity(DIVERGED, "share of diverged replicas", POINTS, _read_diverged)
