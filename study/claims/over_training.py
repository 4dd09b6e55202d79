"""A probe summed up over training: its mean, or its range, over the moments it was taken at."""

import math
from collections.abc import Callable, Mapping, Sequence

from study.claims.quantity import NotDecidableError, Numbers, Quantity
from study.outputs.readings import read_probe
from study.outputs.records import CellRecord
from study.report.frames import Frames
from study.report.probes import find_metric

Reduce = Callable[[Sequence[float]], float]
Find = Callable[[str], Quantity]
"""The quantity of a probe's name with its moment."""


def _mean(numbers: Sequence[float]) -> float:
    return math.fsum(numbers) / len(numbers)


def _range(numbers: Sequence[float]) -> float:
    return max(numbers) - min(numbers)


OVER_TRAINING: Mapping[str, tuple[str, Reduce]] = {
    "mean": ("mean over training", _mean),
    "range": ("largest minus smallest over training", _range),
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
            moments = [find(f"{probe}@{step}") for step in _steps(cell, probe)]
            taken = [each.read(frames, [cell], lr).values[cell.directory] for each in moments]
            values[cell.directory] = {
                seed: reduce([numbers[seed] for numbers in taken]) for seed in taken[0]
            }
        return Numbers(values)

    label = f"{start.label.replace(' at initialization', '')}, {words}"
    return Quantity(name, label, find(f"{probe}@end").unit, read)


def _steps(cell: CellRecord, probe: str) -> list[int]:
    """The moments at which a cell has numbers of the probe; NotDecidableError if there is none."""
    reading = read_probe(cell, probe)
    steps = {place[2] for place, number in (reading.numbers or {}).items() if number is not None}
    if not steps:
        lacking = find_metric(probe).lacking
        why = f" ({lacking})" if lacking else ""
        reason = reading.problem or f"{probe} was not measured in {cell.directory}{why}"
        raise NotDecidableError(reason)
    return sorted(steps)
