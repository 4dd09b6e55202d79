"""Effects that set cells against other cells, or against a prediction."""

import math
from collections.abc import Sequence

from study.claims.cells import require_pairs
from study.claims.quantity import NotDecidableError
from study.claims.question import (
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
from study.claims.schema import Where
from study.report.factors import all_levels


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
    sides = [
        question.side(*changes, {over: (level,)}, apart=[over]) for level in _levels(question, over)
    ]
    for side in sides[1:]:
        require_pairs(sides[0], side)
    numbers = [question.numbers(side) for side in sides]
    require_exact(*numbers)
    samples = [by_pair(side, each) for side, each in zip(sides, numbers, strict=True)]
    ranges = [_spread([by_key[key] for by_key in samples]) for key in samples[0]]
    cells = tuple(cell for side in sides for cell in side.all)
    return Effect(mean(ranges), cells, largest_of(*numbers))


def _spread(levels: Sequence[Seeds]) -> Seeds:
    """By seed the largest minus the smallest."""
    return {
        seed: max(each[seed] for each in levels) - min(each[seed] for each in levels)
        for seed in mean(levels)
    }


def _levels(question: Question, over: str) -> list[str]:
    """The levels that a range goes over: those that the claim names, or all of the study's."""
    levels = list(question.claim.cells.get(over) or all_levels(question.frames.cells, over))
    if len(levels) < 2:
        raise NotDecidableError(
            f"a range over {over} needs 2 levels, and {levels[0]} is the only one"
        )
    return levels


def _decades(number: float) -> float:
    if number <= 0:
        raise NotDecidableError(f"a ratio is one of numbers above 0, and {number:g} is among them")
    return math.log10(number)
