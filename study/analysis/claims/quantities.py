"""The quantities by name: metrics, probes, their differences, and what learning curves say."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from study.analysis.claims.quantity import (
    NotDecidableError,
    Numbers,
    Quantity,
    Read,
    replicas_of,
    require_trained,
)
from study.analysis.frames import Frames
from study.analysis.lookup import ProbeMetric, find_metric, with_probe
from study.config.configuration import CLASSIFICATION, RECONSTRUCTION
from study.errors import InputError, unknown
from study.outputs.metrics import METRICS, OF_TASK, PAIRS, POINTS, PROBES, QUANTITIES, Metric
from study.outputs.records import CellRecord
from study.outputs.schema import PAIRS_FILE
from study.outputs.series import CURVES_FILE, Row, barrier, by_pair, read_probe

# A probe summed up over training: its mean, or its range, over the moments it was taken at.


Reduce = Callable[[Sequence[float]], float]
Find = Callable[[str], Quantity]
"""The quantity of a probe's name with its moment."""


OVER_TRAINING: Mapping[str, tuple[str, Reduce]] = {
    "mean": ("mean over training", fmean),
    "range": ("largest minus smallest over training", lambda each: max(each) - min(each)),
}
"""By what stands in the place of a moment, its words and what it makes of all moments' numbers."""


def over_training(name: str, layer: str | None, find: Find) -> Quantity:
    """`PROBE@mean` or `PROBE@range`; `find` is asked for the quantity of each single moment."""
    probe, _, summary = name.partition("@")
    words, reduce = OVER_TRAINING[summary]
    start = find_metric(f"{probe}@start", layer=layer)

    def read(frames: Frames, cells: Sequence[CellRecord], lr: float | None) -> Numbers:
        values = {}
        for cell in cells:
            reading = read_probe(cell, probe)
            numbers = reading.numbers or {}
            steps = {place[2] for place, number in numbers.items() if number is not None}
            if not steps:
                why = f" ({start.lacking})" if start.lacking else ""
                reason = f"{probe} was not measured in {cell.directory}{why}"
                raise NotDecidableError(reading.problem or reason)
            moments = [find(f"{probe}@{step}") for step in sorted(steps)]
            taken = [each.read(frames, [cell], lr).values[cell.directory] for each in moments]
            values[cell.directory] = {
                seed: reduce([by_seed[seed] for by_seed in taken]) for seed in taken[0]
            }
        return Numbers(values)

    label = f"{start.label.replace(' at initialization', '')}, {words}"
    return Quantity(name, label, find(f"{probe}@end").unit, read)


# Quantities from learning curves: the epochs to an error, and the seconds of an epoch.


EPOCHS_TO = {f"epochs_to_{error}": error for error in ("train_error", "val_error")}
"""By name the column of curves.csv of which a target can be reached."""
EPOCH_SECONDS = "epoch_seconds"


def epochs_to(name: str, target: float | None) -> Quantity:
    """The epochs until an error is at most `target`, in percent where errors are shares."""
    if target is None:
        raise InputError(f"of: {name} needs target, the error to reach, such as target: 5")
    error = EPOCHS_TO[name]

    def read(frames: Frames, cells: Sequence[CellRecord], lr: float | None) -> Numbers:
        values: dict[str, dict[int, float]] = {}
        missed = set()
        for cell in cells:
            scale = 100.0 if cell.finished.task == CLASSIFICATION else 1.0
            for seed, curve in _curves(frames, cell, lr, error).items():
                reached = [epoch for epoch, value in curve.items() if value * scale <= target]
                values.setdefault(cell.directory, {})[seed] = min(reached, default=max(curve) + 1)
                if not reached:
                    missed.add(cell.directory)
        return Numbers(values, at_least=frozenset(missed))

    row = QUANTITIES[name]
    return Quantity(
        name, row.label.replace("`target`", f"{target:g}"), row.unit, read, of_data=True
    )


def epoch_seconds() -> Quantity:
    """The mean seconds of an epoch, of seeds that were trained one by one."""

    def read(frames: Frames, cells: Sequence[CellRecord], lr: float | None) -> Numbers:
        values: dict[str, dict[int, float]] = {}
        for cell in cells:
            # Seeds of one clock were trained together: a time of all is no sample of each.
            seen: dict[tuple[float, ...], int] = {}
            numbers = values[cell.directory] = {}
            for seed, clock in _curves(frames, cell, lr, "seconds").items():
                other = seen.setdefault(tuple(clock.values()), seed)
                if other != seed:
                    raise NotDecidableError(
                        f"seeds {other} and {seed} of {cell.directory} were trained together and "
                        "have one time: train them one by one, with population.max_replicas=1"
                    )
                first, last = min(clock), max(clock)
                if first == last:
                    raise NotDecidableError(f"{cell.directory} was trained for no epoch")
                numbers[seed] = (clock[last] - clock[first]) / (last - first)
        return Numbers(values)

    row = QUANTITIES[EPOCH_SECONDS]
    return Quantity(EPOCH_SECONDS, row.label, row.unit, read)


def _curves(
    frames: Frames, cell: CellRecord, lr: float | None, column: str
) -> dict[int, dict[int, float]]:
    """{seed: {epoch: number}} of a cell's replicas at a learning rate, or at the chosen one."""
    rate = replicas_of(cell, lr)[0].lr
    if not frames.sound(cell, CURVES_FILE):
        raise NotDecidableError(
            f"{cell.directory}/{CURVES_FILE} is not the file that result.json names"
        )
    curves = frames.curve(cell, column, rate)
    if not curves:
        raise NotDecidableError(
            f"{cell.directory}/{CURVES_FILE} has no epoch at learning rate {rate:g}"
        )
    return curves


# Quantities of pairs of networks: what lies between the solutions of neighbouring seeds.


def _barrier(column: str) -> Callable[[Sequence[Row]], float]:
    return lambda line: barrier(line, column)


def _end(column: str) -> Callable[[Sequence[Row]], float]:
    return lambda line: float(line[-1][column])


OF_IMAGES: Mapping[str, Callable[[Sequence[Row]], float]] = {
    f"{PAIRS}barrier": _barrier("train_loss"),
    f"{PAIRS}test_barrier": _barrier("test_loss"),
    f"{PAIRS}error_barrier": _barrier("test_error"),
    f"{PAIRS}disagreement": _end("disagreement"),
}
"""How a number of a line that hangs on images is read."""
OF_PAIRS = {
    **OF_IMAGES,
    **{f"{PAIRS}{name}": _end(name) for name in ("distance", "relative_distance", "cosine")},
}
"""How each number of a line is read."""


def of_pairs(name: str) -> Quantity:
    """The quantity of that name: of each seed the number of its pair with the next one."""
    row, of_data = QUANTITIES[name], name in OF_IMAGES
    plain = Quantity(name, row.label, "", _reader(name, 1.0), of_data, of_neighbours=True)
    if row.unit != POINTS:
        return plain
    read = _reader(name, 100.0)
    return replace(plain, unit=POINTS, read=read, by_task={RECONSTRUCTION: plain})


def _reader(name: str, scale: float) -> Read:
    def read(frames: Frames, cells: Sequence[CellRecord], lr: float | None) -> Numbers:
        values: dict[str, dict[int, float]] = {}
        for cell in cells:
            replicas = replicas_of(cell, lr)
            require_trained(cell, replicas)
            if PAIRS_FILE not in cell.finished.files:
                raise NotDecidableError(
                    f"{cell.directory} has no {PAIRS_FILE}: "
                    "train it with pairs.points=11 and two seeds or more"
                )
            lines = by_pair(frames.rows(cell, PAIRS_FILE))
            place = f"{cell.directory}/{PAIRS_FILE}"
            if not frames.sound(cell, PAIRS_FILE):
                raise NotDecidableError(f"{place} is not the file that result.json names")
            rate = replicas[0].lr
            if any(row["lr"] != rate for line in lines.values() for row in line):
                raise NotDecidableError(f"{place} is of the chosen learning rate, not of {rate:g}")
            own = {seed: OF_PAIRS[name](line) for seed, line in lines.items()}
            for seed, value in own.items():
                if not math.isfinite(value):
                    raise NotDecidableError(
                        f"{name} is not finite in {cell.directory}, seed {seed}"
                    )
            values[cell.directory] = {seed: value * scale for seed, value in own.items()}
        return Numbers(values)

    return read


def check_name(name: str, layer: str | None) -> None:
    """InputError unless this is one of OF_PAIRS, and asked for without a layer."""
    if name not in OF_PAIRS:
        raise InputError(f"of: {name} is no number of pairs; choose from: {', '.join(OF_PAIRS)}")
    if layer is not None:
        raise InputError(f"layer: {layer}: {name} has no layers, as probes have")


DIVERGED = "diverged"
MINUS = " - "


def find_quantity(name: str, *, layer: str | None = None, target: float | None = None) -> Quantity:
    """What is called so: a metric, a probe at a moment or over training, a quantity, or `A - B`.

    `target`: the error to reach, in percent; only of the epochs to it. InputError if nothing is.
    """
    if name.startswith(PAIRS) and MINUS not in name:
        check_name(name, layer)
    base, _, moment = name.partition("@")
    if MINUS not in name and (
        base not in (*METRICS, *PROBES, *QUANTITIES) or (layer and base in QUANTITIES)
    ):
        raise _unknown(name, layer)
    if name in EPOCHS_TO:
        return epochs_to(name, target)
    if target is not None:
        raise InputError(f"target: {name} has none; it is for {' and '.join(EPOCHS_TO)}")
    if MINUS in name:
        first, second = (find_quantity(part.strip(), layer=layer) for part in name.rsplit(MINUS, 1))
        if first.units != second.units:
            raise InputError(
                f"of: {first.name} is in {first.unit or 'a bare number'} and {second.name} in "
                f"{second.unit or 'a bare number'}: a difference needs one unit"
            )
        return _minus(name, first, second)
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
    if name in QUANTITIES:
        return InputError(f"layer: {layer}: {name} has no layers, as probes have")
    per_seed = [metric.name for metric in METRICS.values() if not metric.per_cell]
    error = str(unknown("quantity", name, [*per_seed, *QUANTITIES, *PROBES]))
    listed = ", ".join([*per_seed, *QUANTITIES])
    return InputError(
        f"of: {error.partition('; choose from')[0]}; choose from: {listed}; the difference of two, "
        "as test_error - train_error; or a probe, as dead_fraction@end (docs/probes.md lists them)"
    )


def _of_metric(metric: Metric) -> Quantity:
    def read(frames: Frames, cells: Sequence[CellRecord], lr: float | None) -> Numbers:
        if isinstance(metric, ProbeMetric):
            try:
                cells = with_probe(cells, metric)
            except InputError as error:
                raise NotDecidableError(str(error).replace("--layer ", "layer: ")) from None
        values: dict[str, dict[int, float]] = {}
        for cell in cells:
            replicas = replicas_of(cell, lr)
            require_trained(cell, replicas)
            numbers = values[cell.directory] = {}
            for replica in replicas:
                taken = metric.is_measured(replica)
                value = metric.value(replica) if taken else None
                if value is None or not math.isfinite(value):
                    what = "is not finite" if taken else "was not measured"
                    why = cell.problems[-1] if cell.problems else "" if taken else metric.lacking
                    raise NotDecidableError(
                        f"{metric.name} {what} in {cell.directory}, seed {replica.seed}"
                        f"{f' ({why})' if why else ''}"
                    )
                numbers[replica.seed] = value * metric.scale
        return Numbers(values)

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


_DIVERGED = Quantity(
    DIVERGED,
    QUANTITIES[DIVERGED].label,
    POINTS,
    lambda frames, cells, lr: Numbers(
        {
            cell.directory: {each.seed: 100.0 * each.diverged for each in replicas_of(cell, lr)}
            for cell in cells
        }
    ),
)
