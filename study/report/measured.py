"""Cell records whose replicas carry a probe's numbers, read from each cell's probes.csv."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from study.errors import InputError, unknown
from study.outputs.readings import NONE_TAKEN, Place, Reading, read_probe
from study.outputs.records import CellRecord
from study.probes.depth import depth_slope
from study.probes.names import PROBES
from study.report.probes import ProbeMetric

Numbers = Mapping[Place, float | None]
Layers = dict[int, dict[tuple[int, float], float | None]]
"""{layer: {(seed, lr): number}} of one cell at one moment, layers in order."""


def with_probe(records: Sequence[CellRecord], metric: ProbeMetric) -> list[CellRecord]:
    """The records with `metric.name` in each replica of which it was measured, None: not finite.

    Where layer is a factor, a replica for each layer of the deepest net takes the replica's
    place. A file that is not sound is one more of its record's problems. InputError when no cell
    has the probe, the moment or the layer.
    """
    readings = {
        record.directory: read_probe(record, metric.probe) for record in records if record.result
    }
    _require_probes(metric, readings.values())
    taken = {
        record.directory: _at_moment(record, readings[record.directory].numbers or {}, metric)
        for record in records
        if record.result
    }
    _require_layers(metric, readings.values(), taken.values())
    layers = sorted({layer for found in taken.values() for layer in found})
    return [
        _carrying(record, readings[record.directory], taken[record.directory], metric, layers)
        if record.result
        else record
        for record in records
    ]


def summed_up(layer: str, values: Mapping[int, float | None]) -> float | None:
    """One number of a replica's {layer: number}; None where it is not finite.

    `layer`: one of `values`, or one of SUMMARIES; a minimum, maximum or mean of numbers of which
    one is not finite is not finite.
    """
    numbers = [math.nan if value is None else value for value in values.values()]
    if layer == "slope":
        depths = range(min(values), max(values) + 1)
        known = dict(zip(values, numbers, strict=True))
        return _finite(depth_slope([known.get(depth, math.nan) for depth in depths]))
    if layer == "last":
        return _finite(numbers[-1])
    if layer not in ("min", "mean", "max"):
        return values[int(layer)]
    mean = math.fsum(numbers) / len(numbers)
    found = {"min": min(numbers), "mean": mean, "max": max(numbers)}[layer]
    return None if math.isnan(mean) else _finite(found)


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _at_moment(record: CellRecord, numbers: Numbers, metric: ProbeMetric) -> Layers:
    """The numbers of a cell at the moment, of the layers in which they were taken."""
    step = _step(metric, numbers)
    layers: Layers = {}
    for (seed, lr, at, layer), number in numbers.items():
        if at == step:
            layers.setdefault(layer, {})[seed, lr] = number
    assert record.result is not None
    lost = bool(step) and all(r["status"] == "diverged" for r in record.result["replicas"])
    always = lost or PROBES[metric.probe].always
    return {
        layer: found
        for layer, found in sorted(layers.items())
        if always or any(number is not None for number in found.values())
    }


def _step(metric: ProbeMetric, numbers: Numbers) -> int:
    if metric.moment == "end":
        return max((step for _, _, step, _ in numbers), default=0)
    return 0 if metric.moment == "start" else int(metric.moment)


def _carrying(
    record: CellRecord, reading: Reading, taken: Layers, metric: ProbeMetric, layers: list[int]
) -> CellRecord:
    assert record.result is not None
    replicas: list[dict[str, Any]] = []
    for replica in record.result["replicas"]:
        values = _of_replica(replica, taken)
        if metric.layer is not None:
            number = _summary(metric, values)
            state = _state(metric, reading, number)
            replicas.append({**replica, **state, **number})
            continue
        for layer in layers:
            number = {metric.name: values[layer]} if layer in values else {}
            state = _state(metric, reading, number)
            replicas.append({**replica, **state, "layer": layer, **number})
    problems = record.problems + ((reading.problem,) if reading.problem else ())
    return replace(record, result={**record.result, "replicas": replicas}, problems=problems)


def _state(
    metric: ProbeMetric, reading: Reading, number: Mapping[str, float | None]
) -> dict[str, str]:
    """What diverges later has not at initialization, nor while a number of it is finite.

    The last moment is the one at which a replica has diverged, however finite its numbers are.
    """
    if metric.moment == "start":
        return {"status": "trained"}
    last = max((step for _, _, step, _ in reading.numbers or ()), default=0)
    passing = metric.moment.isdecimal() and int(metric.moment) < last
    return {"status": "trained"} if passing and number.get(metric.name) is not None else {}


def _of_replica(replica: Mapping[str, Any], taken: Layers) -> dict[int, float | None]:
    """One replica's numbers; those that a diverged one lacks are not finite."""
    key = replica["seed"], replica["lr"]
    diverged = replica["status"] == "diverged"
    return {layer: found.get(key) for layer, found in taken.items() if diverged or key in found}


def _summary(metric: ProbeMetric, values: Mapping[int, float | None]) -> dict[str, float | None]:
    assert metric.layer is not None
    fewest = 2 if metric.layer == "slope" else 1
    if len(values) < fewest or (metric.layer.isdecimal() and int(metric.layer) not in values):
        return {}
    return {metric.name: summed_up(metric.layer, values)}


def _require_probes(metric: ProbeMetric, readings: Iterable[Reading]) -> None:
    """InputError unless some cell has probes, and some was probed at the moment."""
    readings = list(readings)
    if all(reading.numbers is None for reading in readings):
        problems = [reading.problem for reading in readings if reading.problem]
        raise InputError(problems[0] if problems else NONE_TAKEN)
    steps = {place[2] for reading in readings for place in reading.numbers or ()}
    if metric.moment.isdecimal() and steps and int(metric.moment) not in steps:
        raise unknown(f"step of {metric.probe}", metric.moment, sorted(steps))


def _require_layers(
    metric: ProbeMetric, readings: Iterable[Reading], taken: Iterable[Layers]
) -> None:
    """InputError unless some cell has the probe at the moment, in the layer."""
    depths = [max(found) for found in taken if found]
    if not depths:
        steps = sorted(
            {
                place[2]
                for reading in readings
                for place, number in (reading.numbers or {}).items()
                if number is not None
            }
        )
        name, moment = metric.name.split("@")
        where = f", but at {', '.join(map(str, steps))} updates" if steps else " in any cell"
        at = f" @{moment}" if steps else ""
        about = "; ".join(filter(None, (PROBES[name].help, metric.lacking)))
        raise InputError(f"{name} was not measured{at}{where} ({about})")
    deepest = max(depths)
    if metric.layer and metric.layer.isdecimal() and int(metric.layer) > deepest:
        raise InputError(f"--layer {metric.layer}: no net has it; layers are 1 to {deepest}")
    if metric.layer == "slope" and deepest < 2:
        raise InputError("--layer slope: every net has a single layer, and no depth to speak of")
