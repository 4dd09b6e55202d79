"""Probes as metrics: the name, moment and layers asked for, and what they mean in words."""

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from study.analysis.frames import replicas_of
from study.config.configuration import RECONSTRUCTION
from study.errors import InputError, unknown
from study.outputs.factors import activation_of, cell_level, varying_factors
from study.outputs.metrics import (
    METRICS,
    OF_TASK,
    PROBES,
    Metric,
    depends_on_task,
    depth_slope,
    label_among,
)
from study.outputs.records import CellRecord, factor_names
from study.outputs.results import ReplicaResult
from study.outputs.series import NONE_TAKEN, Place, Reading, read_probe

SUMMARIES = {
    "min": "minimum over layers",
    "mean": "mean over layers",
    "max": "maximum over layers",
    "last": "last layer",
    "slope": "slope over depth",
}
"""What `--layer` takes beside a number, in words."""
_MOMENTS = {"start": "at initialization", "end": "at the end"}
_SLOPE_HELP = (
    "; of its log10 the least-squares slope over depth, over the layers where it is positive and "
    "finite"
)


@dataclass(frozen=True)
class ProbedReplica(ReplicaResult):
    """A replica with the number of a probe under its metric's name, if it was measured.

    `layer` is the one that the number is of, where layer is a factor.
    """

    measured: Mapping[str, float | None] = field(default_factory=dict)
    layer: int | None = None


@dataclass(frozen=True)
class ProbeMetric(Metric):
    """A probe at one moment, of one layer or summed up over layers.

    `moment`: start, end or a number of updates. `layer`: a number from 1, or one of SUMMARIES;
    None: layer is a factor, as seed is, and each replica has a number for each layer.
    """

    probe: str = ""
    moment: str = "end"
    layer: str | None = "mean"

    @property
    def follows_training(self) -> bool:
        return self.moment != "start"

    def is_measured(self, replica: object) -> bool:
        return isinstance(replica, ProbedReplica) and self.name in replica.measured

    def value(self, owner: object) -> float | None:
        assert isinstance(owner, ProbedReplica), "`with_probe` made the records"
        number = owner.measured[self.name]
        return None if number is None else float(number)


def find_metric(name: str, *, layer: str | None = None, by_layer: bool = False) -> Metric:
    """The metric or probe that a command line asks for; `by_layer`: layer is one of its factors.

    A probe's name may end in @start, @end (the default) or @STEP, a number of updates. InputError
    where there is no such metric, moment or layer, or where the metric has none.
    """
    base, at, moment = name.partition("@")
    if base in PROBES:
        if layer and by_layer:
            raise InputError(f"--layer {layer}: layer is a factor of this table already; drop one")
        return _probe_metric(name, moment if at else "end", layer, by_layer)
    if base not in METRICS:
        # The metrics, then the probes nearest to the name: all of them make no readable line.
        error = str(unknown("metric", base, [*METRICS, *PROBES])).partition("; choose from")[0]
        near = difflib.get_close_matches(base, PROBES, n=3, cutoff=0.0)
        raise InputError(
            f"{error}; choose from: {', '.join(METRICS)}; or one of {len(PROBES)} probes, as "
            f"{', '.join(near)} (study table --help lists all)"
        )
    if at:
        raise InputError(f"{name}: {base} has no moments, as probes have; leave @{moment} out")
    if layer or by_layer:
        raise InputError(f"{name} has no layers; choose a probe, as dead_fraction@end")
    return METRICS[name]


def _probe_metric(asked: str, moment: str, layer: str | None, by_layer: bool) -> ProbeMetric:
    name = asked.partition("@")[0]
    if moment not in _MOMENTS:
        if not (moment.isascii() and moment.isdecimal()):
            raise InputError(
                f"{asked}: write its moment as @start, @end or @STEP, a number of updates, "
                f"as {name}@end"
            )
        # A step without leading zeros; that of step 0 is the start.
        moment = str(int(moment)) if int(moment) else "start"
    layer = None if by_layer else "mean" if layer is None else layer
    if layer is not None and layer not in SUMMARIES:
        if not (layer.isascii() and layer.isdecimal() and int(layer)):
            raise unknown("layer", layer, ["a number from 1", *SUMMARIES])
        layer = str(int(layer))
    row = vars(PROBES[name])
    if layer == "slope":
        unit = "decades a layer"
        row = {**row, "unit": unit, "help": row["help"] + _SLOPE_HELP, "decimals": None, "scale": 1}
    words = "" if layer is None else f", {SUMMARIES.get(layer, f'layer {layer}')}"
    updates = f"after {moment} {'update' if moment == '1' else 'updates'}"
    row = {
        **row,
        "name": f"{name}@{moment}",
        "label": f"{row['label']} {_MOMENTS.get(moment, updates)}{words}",
        "per": "replica",
        "fixed": {} if layer is None else {"layer": layer},
    }
    return ProbeMetric(**row, probe=name, moment=moment, layer=layer)


# Tables and cells: how a metric is called of some cells, and what stands beside it.


def metric_of(metric: Metric, cells: Sequence[CellRecord]) -> Metric:
    """The metric as it is of the task of these cells, and called as it is of their activations.

    InputError where they have several tasks and the metric is not the same thing in all of them.
    """
    tasks = sorted({cell.result.task for cell in cells if cell.result})
    if len(tasks) > 1 and depends_on_task(metric):
        # A condition that the reconstructing cells meet.
        own = [c for c in cells if c.result and c.result.task == RECONSTRUCTION]
        named = "model" in factor_names(cells)
        example = f" 'model={cell_level(own[0], 'model')}'" if named else ""
        raise InputError(
            f"{metric.name} of a {tasks[0]} and of a {tasks[1]} cannot stand in one table; "
            f"choose the cells of one with --where{example}"
        )
    if isinstance(metric, ProbeMetric):
        label = label_among(metric.probe, map(activation_of, cells))
        return replace(metric, label=metric.label.replace(PROBES[metric.probe].label, label, 1))
    return OF_TASK.get(tasks[0], {}).get(metric.name, metric) if len(tasks) == 1 else metric


def reference_lines(metric: Metric, cells: Sequence[CellRecord]) -> list[str]:
    """PCA and the mean image beside errors of reconstructions, a line for each data and code.

    Where there are several, each line names the factors in which its cells differ from the others.
    """
    if not metric.name.endswith("_error"):
        return []
    found: dict[str, list[CellRecord]] = {}
    for cell in cells:
        if cell.result and cell.result.references.pca:
            pca, mean = cell.result.references.pca, cell.result.references.mean_image
            assert pca, "a record that has none has no line"
            assert mean, "a record has both or none"
            errors = (pca.test_error, pca.train_error, mean.test_error)
            first, second, third = map(metric.text, errors)
            line = f"PCA-{pca.components} {first} on test ({second} on train)"
            found.setdefault(f"{line}, mean image {third} on test", []).append(cell)
    if len(found) < 2:
        return [f"{line}." for line in found]
    # The factors of which the cells of each line have one level, and not all the same.
    apart = []
    for factor in varying_factors(cells):
        levels = [{cell_level(cell, factor) for cell in own} for own in found.values()]
        if all(len(level) == 1 for level in levels) and len(set.union(*levels)) > 1:
            apart.append(factor)
    return [
        f"{line}, for {', '.join(f'{f} = {cell_level(own[0], f)}' for f in apart)}."
        if apart
        else f"{line}, for some of the cells."
        for line, own in found.items()
    ]


# Cell records whose replicas carry a probe's numbers, read from each cell's probes.csv.


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
    read = list(readings.values())
    if all(reading.numbers is None for reading in read):
        problems = [reading.problem for reading in read if reading.problem]
        raise InputError(problems[0] if problems else NONE_TAKEN)
    known = {place[2] for reading in read for place in reading.numbers or ()}
    if metric.moment.isdecimal() and known and int(metric.moment) not in known:
        raise unknown(f"step of {metric.probe}", metric.moment, sorted(known))
    taken = {
        record.directory: _at_moment(record, readings[record.directory].numbers or {}, metric)
        for record in records
        if record.result
    }
    depths = [max(found) for found in taken.values() if found]
    if not depths:
        steps = sorted(
            {
                place[2]
                for reading in readings.values()
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
    step = {"start": 0, "end": max((place[2] for place in numbers), default=0)}.get(metric.moment)
    step = int(metric.moment) if step is None else step
    layers: Layers = {}
    for (seed, lr, at, layer), number in numbers.items():
        if at == step:
            layers.setdefault(layer, {})[seed, lr] = number
    lost = bool(step) and all(replica.diverged for replica in replicas_of(record))
    always = lost or PROBES[metric.probe].always
    return {
        layer: found
        for layer, found in sorted(layers.items())
        if always or any(number is not None for number in found.values())
    }


def _carrying(
    record: CellRecord, reading: Reading, taken: Layers, metric: ProbeMetric, layers: list[int]
) -> CellRecord:
    replicas: list[ReplicaResult] = []
    wanted, fewest = metric.layer or "", 2 if metric.layer == "slope" else 1
    # What diverges later has not at initialization, nor while a number of it is finite. The last
    # moment is the one at which a replica has diverged, however finite its numbers are.
    last = max((step for _, _, step, _ in reading.numbers or ()), default=0)
    passing = metric.moment.isdecimal() and int(metric.moment) < last
    for replica in replicas_of(record):
        key, lost = (replica.seed, replica.lr), replica.diverged
        # Those that a diverged one lacks are not finite.
        values = {at: found.get(key) for at, found in taken.items() if lost or key in found}
        for layer in [None] if metric.layer is not None else layers:
            if layer is not None:
                number = {metric.name: values[layer]} if layer in values else {}
            elif len(values) < fewest or (wanted.isdecimal() and int(wanted) not in values):
                number = {}
            else:
                number = {metric.name: summed_up(wanted, values)}
            sound = passing and number.get(metric.name) is not None
            told = vars(replica)
            if metric.moment == "start" or sound:
                told = told | {"status": "trained"}
            replicas.append(ProbedReplica(**told, measured=number, layer=layer))
    problems = record.problems + ((reading.problem,) if reading.problem else ())
    result = replace(record.finished, replicas=tuple(replicas))
    return replace(record, result=result, problems=problems)
