"""The lecture's checklist of one activation function, computed in float64."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from study.networks.activations import make_activation
from study.networks.gains import expectation, gain
from study.probes.slopes import SATURATED
from study.theory.activations.lines import Function, Line, in_float64, lines_of, unit_slope
from study.theory.activations.search import (
    TOLERANCE,
    Extreme,
    Interval,
    find_highest,
    find_jumps,
    find_regions,
    whole_line,
)

BESIDE = 1e-9
"""How far from a kink the one-sided limits of the slope are taken."""


@dataclass(frozen=True)
class Kink:
    """A place where the slope jumps, and its limits from the left and from the right."""

    place: float
    left: float
    right: float


@dataclass(frozen=True)
class Checklist:
    """What is asked of an activation f. The `lower` bound is the highest value of -f, negated.

    `jumps`: where f is not continuous. `turns`: where f' changes sign. `mean_output`: E f(z) for
    z ~ N(0, 1). `saturated`: where |f'| is below 1 % of its largest value, `steepest`.
    """

    jumps: tuple[float, ...]
    kinks: tuple[Kink, ...]
    non_decreasing: bool
    turns: tuple[float, ...]
    lower: Extreme
    upper: Extreme
    mean_output: float
    saturated: tuple[Interval, ...]
    steepest: Extreme
    gain: float

    @property
    def continuous(self) -> bool:
        return not self.jumps

    @property
    def differentiable(self) -> bool:
        return not self.jumps and not self.kinks

    @property
    def zero_centred(self) -> bool:
        return abs(self.mean_output) < TOLERANCE


def check(activation: Mapping[str, Any] | str) -> Checklist:
    """The checklist of an activation's name, or its name and parameters.

    Of maxout every property must hold on both lines of `lines_of`.
    """
    module = in_float64(make_activation(activation))
    lines = lines_of(module)
    points = whole_line()
    kinks = [kink for line in lines for kink in find_kinks(line, points)]
    slope = unit_slope(module)
    steepest = find_highest(slope, _with_sides(points, kinks))
    lowers = [find_highest(_negated(line.value), points) for line in lines]
    return Checklist(
        jumps=tuple(place for line in lines for place in find_jumps(line.value, points)),
        kinks=tuple(kinks),
        non_decreasing=all(_never_falls(line, points) for line in lines),
        turns=tuple(place for line in lines for place in find_turns(line, points)),
        lower=_negative(max(lowers, key=_value)),
        upper=max((find_highest(line.value, points) for line in lines), key=_value),
        mean_output=expectation(lambda values: values, activation),
        saturated=tuple(_saturated(slope, steepest.value, points)),
        steepest=steepest,
        gain=gain(activation),
    )


def find_kinks(line: Line, points: Tensor) -> list[Kink]:
    """Where the slope's limits from the left and from the right differ."""
    found = []
    for place in find_jumps(line.slope, points):
        sides = torch.tensor([place - BESIDE, place + BESIDE], dtype=torch.float64)
        left, right = line.slope(sides).tolist()
        if not abs(right - left) <= TOLERANCE * (1 + abs(left)):
            found.append(Kink(place, left, right))
    return found


def find_turns(line: Line, points: Tensor) -> list[float]:
    """Where the slope changes sign, flat stretches left out."""
    slopes = line.slope(points)
    steep = points[slopes.abs() > BESIDE]
    rising = find_regions(lambda z: line.slope(z) > 0, steep)
    borders = [border for interval in rising for border in (interval.low, interval.high)]
    return [border for border in borders if math.isfinite(border)]


def _never_falls(line: Line, points: Tensor) -> bool:
    values = line.value(points)
    return bool((values.diff() >= -BESIDE * (1 + values[1:].abs())).all())


def _saturated(slope: Function, largest: float, points: Tensor) -> list[Interval]:
    if math.isinf(largest):
        return []
    return find_regions(lambda z: slope(z) < SATURATED * largest, points)


def _with_sides(points: Tensor, kinks: list[Kink]) -> Tensor:
    """The points and, on both sides of every kink, one more: a slope may be largest there."""
    sides = [kink.place + side for kink in kinks for side in (-BESIDE, BESIDE)]
    return torch.cat([points, torch.tensor(sides, dtype=torch.float64)]).unique()


def _negated(function: Function) -> Function:
    return lambda z: -function(z)


def _value(extreme: Extreme) -> float:
    return extreme.value


def _negative(extreme: Extreme) -> Extreme:
    return Extreme(-extreme.value, extreme.attained, extreme.where)
