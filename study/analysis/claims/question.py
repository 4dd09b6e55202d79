"""A claim put to a study: its cells on both sides, and their numbers seed by seed.

An effect is computed seed by seed and never from means over seeds: what a seed gives to all cells
(its draws, its order of batches) cancels in it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from study.analysis.claims.cells import Key, Side, require_pairs, side_of
from study.analysis.claims.partners import reference_of
from study.analysis.claims.quantity import NotDecidableError, Numbers, Quantity, seeds_of
from study.analysis.claims.schema import PREFLIGHT, Claim, Where
from study.analysis.frames import Frames
from study.analysis.lookup import summed_up
from study.outputs.records import CellRecord

Seeds = dict[int, float]
"""{seed: number}."""
Transform = Callable[[float], float]
ROUNDING = 1e-12
"""Effects that differ by no more, relative to the numbers behind them, are one and the same."""


@dataclass(frozen=True)
class Effect:
    """The effect of each seed, and the cells behind it.

    `largest`: the largest absolute number that it was computed from. `beyond`: 1 where some true
    effects may be larger than the numbers (an error that no epoch reached), -1 where they may be
    smaller, else 0.
    """

    values: Seeds
    cells: tuple[CellRecord, ...]
    largest: float
    beyond: int = 0

    @property
    def has_spread(self) -> bool:
        """Whether the seeds have different effects, by more than rounding."""
        effects = self.values.values()
        return max(effects) - min(effects) > ROUNDING * self.largest


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


def transformed(numbers: Numbers, transform: Transform) -> Numbers:
    """Each number transformed, by a function that keeps their order."""
    values = {
        directory: {seed: transform(number) for seed, number in seeds.items()}
        for directory, seeds in numbers.values.items()
    }
    return replace(numbers, values=values)


def largest_of(*numbers: Numbers) -> float:
    """The largest absolute number."""
    return max(
        abs(number)
        for each in numbers
        for seeds in each.values.values()
        for number in seeds.values()
    )


def by_pair(side: Side, numbers: Numbers) -> dict[Key, Seeds]:
    """By what pairs the sides the mean over the cells that have it, of each seed."""
    return {
        key: mean([numbers.values[cell.directory] for cell in cells])
        for key, cells in side.cells.items()
    }


def of_side(side: Side, numbers: Numbers) -> Seeds:
    """By seed the mean over the side's cells, those that pair with one cell taken together."""
    return mean(list(by_pair(side, numbers).values()))


def contrast(question: Question, transform: Transform, *changes: Where | None) -> Effect:
    """The claim's cells minus those of `against`, or minus what was predicted of them.

    `changes` replace levels on both sides.
    """
    against = question.claim.against
    first = question.side(*changes)
    second = first if against is None else question.side(*changes, against)
    require_pairs(first, second)
    numbers = transformed(question.numbers(first), transform)
    if against is None:
        # What was predicted of each cell, for each of its seeds.
        predicted = {
            cell.directory: dict.fromkeys(seeds_of(cell, first.lr), _prediction(question, cell))
            for cell in first.all
        }
    others = Numbers(predicted) if against is None else question.numbers(second)
    others = transformed(others, transform)
    values = minus(of_side(first, numbers), of_side(second, others))
    cells = (*first.all, *second.all)
    larger, smaller = numbers.at_least | others.at_most, numbers.at_most | others.at_least
    if larger and smaller:
        raise NotDecidableError(
            f"some numbers of {min(larger)} and of {min(smaller)} are bounds only, so that the "
            "effect may be larger or smaller"
        )
    beyond = int(bool(larger)) - int(bool(smaller))
    return Effect(values, cells, largest_of(numbers, others), beyond)


def require_exact(*numbers: Numbers) -> None:
    """NotDecidableError where a number is a bound only."""
    for each in numbers:
        for directory in sorted(each.at_least | each.at_most)[:1]:
            raise NotDecidableError(f"numbers of {directory} are bounds only")


def _prediction(question: Question, cell: CellRecord) -> float:
    predicted, metric = question.claim.predicted, question.quantity.predicted_by
    if isinstance(predicted, float):
        return predicted
    if predicted != PREFLIGHT or metric is None:
        assert predicted is not None
        return reference_of(cell, predicted, question.quantity)
    try:
        cells = (question.frames.preflight or {}).get("cells", [])
    except ValueError:
        raise NotDecidableError("preflight.json is damaged; run study preflight again") from None
    own = next((each for each in cells if each.get("signature") == cell.signature), None)
    if own is None:
        raise NotDecidableError(
            f"preflight.json says nothing of {cell.directory}: run study preflight with the "
            "study's overrides"
        )
    layers = own["predicted"].get(metric.probe) or []
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
