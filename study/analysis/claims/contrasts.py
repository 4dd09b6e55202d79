"""Effects that set cells against other cells, or against a prediction."""

import math
from collections.abc import Sequence

from study.analysis.claims.cells import require_pairs
from study.analysis.claims.partners import read_partner
from study.analysis.claims.quantity import NotDecidableError, Numbers, Quantity
from study.analysis.claims.question import (
    Effect,
    Question,
    Seeds,
    by_pair,
    contrast,
    identity,
    largest_of,
    mean,
    minus,
    require_exact,
)
from study.analysis.claims.schema import Where
from study.analysis.frames import Frames
from study.config.labels import counted
from study.outputs.factors import all_levels
from study.outputs.records import CellRecord


def difference(question: Question) -> Effect:
    """First minus second, or minus a prediction."""
    return contrast(question, identity)


def ratio(question: Question) -> Effect:
    """log10 of first over second, or over a prediction; of several cells the geometric mean.

    A logarithm, so that twice and half are equally far from 1, and a mean over seeds is one of
    factors.
    """
    return contrast(question, _decades)


def difference_of_differences(question: Question) -> Effect:
    """First minus second, minus the same difference elsewhere: an interaction of two factors."""
    here = contrast(question, identity)
    there = contrast(question, identity, question.claim.elsewhere)
    if here.beyond and here.beyond == there.beyond:
        raise NotDecidableError(
            "some numbers of both differences are bounds only, so that the effect may be larger or "
            "smaller"
        )
    return Effect(
        minus(here.values, there.values),
        (*here.cells, *there.cells),
        max(here.largest, there.largest),
        here.beyond or -there.beyond,
    )


def range_over_levels(question: Question) -> Effect:
    """Largest minus smallest over the levels of a factor, minus the same range of the second.

    Ranges are taken for each combination of the other factors, then averaged.
    Noise alone makes a range positive, so that a single one can only be shown to be small.
    """
    first = _range(question)
    if question.claim.against is None:
        return first
    second = _range(question, question.claim.against)
    values, largest = minus(first.values, second.values), max(first.largest, second.largest)
    return Effect(values, (*first.cells, *second.cells), largest)


def _range(question: Question, *changes: Where | None) -> Effect:
    over = str(question.claim.over)
    names = list(question.claim.cells.get(over) or all_levels(question.frames.cells, over))
    if len(names) < 2:
        raise NotDecidableError(
            f"a range over {over} needs 2 levels, and {names[0]} is the only one"
        )
    sides = [question.side(*changes, {over: (name,)}, apart=[over]) for name in names]
    for side in sides[1:]:
        require_pairs(sides[0], side)
    numbers = [question.numbers(side) for side in sides]
    require_exact(*numbers)
    samples = [by_pair(side, each) for side, each in zip(sides, numbers, strict=True)]
    ranges = []
    for key in samples[0]:
        levels = [by_key[key] for by_key in samples]
        by_seed = {seed: [each[seed] for each in levels] for seed in mean(levels)}
        ranges.append({seed: max(numbers) - min(numbers) for seed, numbers in by_seed.items()})
    cells = tuple(cell for side in sides for cell in side.all)
    return Effect(mean(ranges), cells, largest_of(*numbers))


def _decades(number: float) -> float:
    if number <= 0:
        raise NotDecidableError(f"a ratio is one of numbers above 0, and {number:g} is among them")
    return math.log10(number)


# An effect across cells: how two quantities rank them.


FEWEST_CELLS = 4
"""Of fewer cells a rank correlation says nothing."""


def rank_correlation(question: Question) -> Effect:
    """Spearman's rank correlation over cells of the quantity with another.

    Pearson's correlation of the ranks, ties at their mean rank (Spearman 1904).
    """
    side = question.side()
    if len(side.all) < FEWEST_CELLS:
        words = counted(len(side.all), "cell")
        raise NotDecidableError(
            f"a rank correlation needs {FEWEST_CELLS} cells, and here is {words}"
        )
    first = question.numbers(side)
    second = read_partner(str(question.claim.partner), question.frames, side.all, side.lr)
    require_exact(first, second)
    columns = [(first.values[c.directory], second.values[c.directory]) for c in side.all]
    shared = mean([seeds for column in columns for seeds in column])
    values = {}
    for seed in shared:
        one, other = zip(*((x[seed], y[seed]) for x, y in columns), strict=True)
        if len(set(one)) < 2 or len(set(other)) < 2:
            raise NotDecidableError("one of the two quantities is the same in all cells")
        from scipy.stats import spearmanr

        values[seed] = float(spearmanr(one, other).statistic)
    return Effect(values, tuple(side.all), 1.0)


# The largest learning rate at which a cell is still about as good as at its best.


def largest_rate(question: Question) -> Effect:
    """log10 of the largest learning rate whose number is within `within` of the best one's.

    A diverged replica is infinitely bad. At the highest rate of a grid it is a lower bound: a
    larger one may be as good. Where the lowest rate alone is the best it is an upper bound: a still
    lower one may be better, and the distance is counted from the best.
    """
    within = question.claim.within
    assert within is not None

    def read(frames: Frames, cells: Sequence[CellRecord], lr: float | None) -> Numbers:
        values: dict[str, Seeds] = {}
        at_least, at_most = set(), set()
        for cell in cells:
            by_seed = _by_rate(question.quantity, cell)
            values[cell.directory] = {}
            for seed, by_rate in by_seed.items():
                best, lowest = min(by_rate.values()), min(by_rate)
                largest = max(rate for rate in by_rate if by_rate[rate] <= best + within)
                values[cell.directory][seed] = math.log10(largest)
                if largest == max(by_rate):
                    at_least.add(cell.directory)
                if list(by_rate.values()).count(best) == 1 and by_rate[lowest] == best:
                    at_most.add(cell.directory)
        return Numbers(values, frozenset(at_least), frozenset(at_most))

    rates = Quantity("largest_rate", "largest good learning rate", "decades", read)
    return contrast(Question(question.frames, question.claim, rates), identity)


def _by_rate(quantity: Quantity, cell: CellRecord) -> dict[int, dict[float, float]]:
    """{seed: {learning rate: number}}, infinite where a replica diverged."""
    assert quantity.metric is not None
    by_seed: dict[int, dict[float, float]] = {}
    for rate in cell.finished.rates:
        for replica in cell.finished.at(rate):
            value = None if replica.diverged else quantity.metric.value(replica)
            number = math.inf if value is None else value * quantity.metric.scale
            by_seed.setdefault(replica.seed, {})[rate] = number
    if any(len(by_rate) < 2 for by_rate in by_seed.values()):
        raise NotDecidableError(f"{cell.directory} has a single learning rate")
    if any(min(by_rate.values()) == math.inf for by_rate in by_seed.values()):
        raise NotDecidableError(f"a seed of {cell.directory} diverged at every learning rate")
    return by_seed
