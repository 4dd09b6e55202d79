"""A claim put to a study: its cells on both sides, and their numbers seed by seed.

An effect is computed seed by seed and never from means over seeds: what a seed gives to all cells
(its draws, its order of batches) cancels in it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from study.claims.cells import Key, Side, require_pairs, side_of
from study.claims.partners import flight_of
from study.claims.quantities import NotDecidableError, Numbers, Quantity, seeds_of
from study.claims.schema import PREFLIGHT, Claim, Where
from study.outputs.records import CellRecord
from study.report.frames import Frames
from study.report.measured import summed_up

Seeds = dict[int, float]
"""{seed: number}."""
Transform = Callable[[float], float]


@dataclass(frozen=True)
class Effect:
    """The effect of each seed, and the cells behind it.

    `beyond`: 1 where some true effects may be larger than the numbers (an error that no epoch
    reached), -1 where they may be smaller, else 0.
    """

    values: Seeds
    cells: tuple[CellRecord, ...]
    beyond: int = 0


@dataclass(frozen=True)
class Question:
    """A claim whose levels have their whole names, what it measures, and the study."""

    frames: Frames
    claim: Claim
    quantity: Quantity

    def side(self, *changes: Where | None, apart: Sequence[str] = ()) -> Side:
        """The claim's cells, their levels replaced by `changes` in turn.

        They pair with those of another side by the factors that no side replaces, but `apart`.
        """
        where = dict(self.claim.cells)
        for change in changes:
            where |= change or {}
        replaced = {name for change in self.claim.wheres[1:] for name in change}
        return side_of(self.frames, where, replaced | set(apart))

    def numbers(self, side: Side) -> Numbers:
        """The quantity in each of the side's cells."""
        return self.quantity.read(self.frames, side.all, side.lr)


def identity(number: float) -> float:
    """The number itself."""
    return number


def mean(samples: Sequence[Seeds]) -> Seeds:
    """By seed the mean over samples, of the seeds that all of them have."""
    shared = [seed for seed in sorted(samples[0]) if all(seed in each for each in samples)]
    return {seed: math.fsum(each[seed] for each in samples) / len(samples) for seed in shared}


def minus(first: Seeds, second: Seeds) -> Seeds:
    """By seed first - second, of the seeds that both have."""
    return {seed: number - second[seed] for seed, number in first.items() if seed in second}


def by_pair(side: Side, numbers: Numbers, transform: Transform = identity) -> dict[Key, Seeds]:
    """By what pairs the sides the mean over the cells that have it, of each seed."""
    taken = {
        directory: {seed: transform(number) for seed, number in seeds.items()}
        for directory, seeds in numbers.values.items()
    }
    return {
        key: mean([taken[cell.directory] for cell in cells]) for key, cells in side.cells.items()
    }


def of_side(side: Side, numbers: Numbers, transform: Transform) -> Seeds:
    """By seed the mean over the side's cells, those that pair with one cell taken together."""
    return mean(list(by_pair(side, numbers, transform).values()))


def contrast(question: Question, transform: Transform, *changes: Where | None) -> Effect:
    """The claim's cells minus those of `against`, or minus what was predicted of them.

    `changes` replace levels on both sides.
    """
    first = question.side(*changes)
    numbers = question.numbers(first)
    values = of_side(first, numbers, transform)
    if question.claim.against is None:
        predicted = of_side(first, _predicted(question, first), transform)
        return Effect(minus(values, predicted), tuple(first.all), int(bool(numbers.bounds)))
    second = question.side(*changes, question.claim.against)
    require_pairs(first, second)
    others = question.numbers(second)
    difference = minus(values, of_side(second, others, transform))
    return Effect(difference, (*first.all, *second.all), _beyond(numbers, others))


def _beyond(first: Numbers, second: Numbers) -> int:
    """In which direction the true effect may lie beyond the numbers."""
    if first.bounds and second.bounds:
        one, other = min(first.bounds), min(second.bounds)
        raise NotDecidableError(
            f"numbers of both sides are lower bounds only, those of {one} and {other} among them"
        )
    return int(bool(first.bounds)) - int(bool(second.bounds))


def require_exact(*numbers: Numbers) -> None:
    """NotDecidableError where a number is a lower bound only."""
    for each in numbers:
        if each.bounds:
            raise NotDecidableError(f"numbers of {min(each.bounds)} are lower bounds only")


def _predicted(question: Question, side: Side) -> Numbers:
    """What was predicted of each cell, for each of its seeds."""
    values = {
        cell.directory: dict.fromkeys(seeds_of(cell, side.lr), _prediction(question, cell))
        for cell in side.all
    }
    return Numbers(values)


def _prediction(question: Question, cell: CellRecord) -> float:
    predicted, metric = question.claim.predicted, question.quantity.predicted_by
    if predicted != PREFLIGHT or metric is None:
        assert isinstance(predicted, float)
        return predicted
    layers = flight_of(question.frames, cell)["predicted"].get(metric.probe) or []
    known = dict(enumerate(layers, 1))
    layer = metric.layer or "mean"
    if not known or (layer.isdecimal() and int(layer) not in known):
        raise NotDecidableError(
            f"the pre-flight does not predict {metric.name} of {cell.directory}"
        )
    number = summed_up(layer, known)
    if number is None:
        raise NotDecidableError(
            f"the prediction of {metric.name} of {cell.directory} is not finite"
        )
    return number * metric.scale
