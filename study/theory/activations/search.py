"""What a function of one number does on the whole line, found numerically in float64."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from study.probes.slopes import FAR, rises_for_ever
from study.theory.activations.lines import Function

NEAR = 32

TOLERANCE = 1e-6
"""Jumps below it, relative to the values beside them, are rounding (or a library's cut-off)."""

POINT = 0.05
"""A function is within TOLERANCE of a largest value in an interval around it that is narrower."""


@dataclass(frozen=True)
class Interval:
    """From `low` to `high`; infinite for a half-line."""

    low: float
    high: float

    @property
    def is_bounded(self) -> bool:
        return math.isfinite(self.low) and math.isfinite(self.high)


@dataclass(frozen=True)
class Extreme:
    """A largest value, and where it is taken, to three decimals: at points and in intervals.

    A value that is only approached towards infinity is not `attained`; `where` then says on which
    side, and from where on it is nearly reached.
    """

    value: float
    attained: bool
    where: tuple[Interval, ...]


def whole_line() -> Tensor:
    """Ascending points from -FAR to FAR: 1/256 apart in [-NEAR, NEAR], ever wider beyond."""
    near = torch.arange(-256 * NEAR, 256 * NEAR + 1, dtype=torch.float64) / 256
    far = torch.logspace(math.log10(NEAR), math.log10(FAR), 257, dtype=torch.float64)[1:]
    return torch.cat([-far.flip(0), near, far])


def find_jumps(function: Function, points: Tensor) -> list[float]:
    """Where in [-NEAR, NEAR] a function jumps by more than TOLERANCE: halving finds the places.

    An interval is left alone once the function changes as much over its one half as over its
    other, which smooth ones do soon; the half with a jump is halved to its end.
    """
    near = points[points.abs() <= NEAR]
    low, high = near[:-1], near[1:]
    for _ in range(64):
        if not len(low):
            return []
        middle = (low + high) / 2
        left, right = function(middle) - function(low), function(high) - function(middle)
        scale = 1 + function(middle).abs()
        uneven = ~((left - right).abs() <= TOLERANCE * scale)
        steep = (left + right).abs() > 0.1 * scale
        kept = (uneven | steep).repeat(2)
        low, high = torch.cat([low, middle])[kept], torch.cat([middle, high])[kept]
    places: list[float] = []
    for place in high.sort().values.tolist():
        if not places or place - places[-1] > TOLERANCE:
            places.append(place)
    return places


def find_regions(holds: Callable[[Tensor], Tensor], points: Tensor) -> list[Interval]:
    """The intervals in which a condition holds, as the points show them; borders by halving."""
    inside = holds(points)
    places = (inside[1:] != inside[:-1]).nonzero().flatten()
    low, high = points[places], points[places + 1]
    for _ in range(60 if len(places) else 0):
        middle = (low + high) / 2
        as_low = holds(middle) == inside[places]
        low, high = torch.where(as_low, middle, low), torch.where(as_low, high, middle)
    borders = ((low + high) / 2).tolist()
    if inside[0]:
        borders.insert(0, -math.inf)
    if inside[-1]:
        borders.append(math.inf)
    return [Interval(*pair) for pair in zip(borders[::2], borders[1::2], strict=True)]


def find_highest(function: Function, points: Tensor) -> Extreme:
    """A function's largest value; infinite, and nowhere taken, if it `rises_for_ever`."""
    if rises_for_ever(function(points), points):
        return Extreme(math.inf, False, ())
    points = _with_summit(function, points)
    value = float(function(points).max())

    def near(share: float) -> list[Interval]:
        level = value - share * (1 + abs(value))
        return find_regions(lambda z: function(z) >= level, points)

    where = near(TOLERANCE)
    return Extreme(value, not _recedes(where, near(1e-3)), tuple(map(_rounded, where)))


def _rounded(interval: Interval) -> Interval:
    """An interval without the width that comes from the tolerance."""
    if interval.high - interval.low < POINT:
        return Interval(*[round((interval.low + interval.high) / 2, 3)] * 2)
    return Interval(round(interval.low, 3), round(interval.high, 3))


def _with_summit(function: Function, points: Tensor) -> Tensor:
    """The points and, beside the highest of them, the place where the function is highest."""
    around = points
    for _ in range(3):
        place = int(function(around).argmax())
        low, high = around[max(place - 1, 0)], around[min(place + 1, len(around) - 1)]
        around = torch.cat([around[place : place + 1], _between(low, high)]).sort().values
    summit = around[function(around).argmax()]
    return torch.cat([points, summit[None]]).unique()


def _between(low: Tensor, high: Tensor) -> Tensor:
    return low + (high - low) * torch.linspace(0, 1, 1025, dtype=torch.float64)


def _recedes(near: list[Interval], wider: list[Interval]) -> bool:
    """Whether the places near the largest value are half-lines that go away as it is neared."""
    if not near or any(interval.is_bounded for interval in near):
        return False
    if near == [Interval(-math.inf, math.inf)]:
        return False
    drifts = []
    for interval in near:
        if math.isinf(interval.low):
            drifts.append(wider[0].high - interval.high)
        else:
            drifts.append(interval.low - wider[-1].low)
    return min(drifts) > 1
