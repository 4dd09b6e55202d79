"""A number over seeds as figures draw it: a centre and, where there is one, an interval."""

import math
from collections.abc import Collection
from dataclasses import dataclass

from study.report.metrics import Metric
from study.report.statistics import mean_interval, median

NOTHING = math.nan
_LARGEST = 1e300
"""What a figure's axis can hold."""


@dataclass(frozen=True)
class Point:
    """`low` and `high` are NaN where there is no interval: one seed, or a median."""

    center: float
    low: float = NOTHING
    high: float = NOTHING

    def within(self, least: float, most: float) -> "Point":
        """The point, its interval cut where no value can be."""
        return Point(self.center, max(self.low, least), min(self.high, most))

    def of_logarithm(self) -> "Point":
        """The same positive centre with the interval of its logarithm, which is above 0 all over.

        By the delta method its half-width is the number's own over the number.
        """
        width = min((self.high - self.center) / self.center, math.log(_LARGEST))
        return Point(self.center, self.center * math.exp(-width), self.center * math.exp(width))

    def scaled(self, scale: float) -> "Point":
        """The point in another unit."""
        return Point(scale * self.center, scale * self.low, scale * self.high)


def point(values: Collection[float], *, lost: bool = False, decades: bool = False) -> Point:
    """The mean over seeds and its 95 % t interval; the median alone where replicas are lost.

    A value that is not finite loses its replica too. `decades`: of the logarithms of positive
    values, so the centre is their geometric mean; a value of 0 leaves no point.
    """
    if not values:
        return Point(NOTHING)
    if lost or not all(math.isfinite(value) for value in values):
        middle = median([math.inf if math.isnan(value) else value for value in values])
        return Point(middle if math.isfinite(middle) and (middle > 0 or not decades) else NOTHING)
    if not decades:
        return _with_interval(list(values))
    if min(values) <= 0:
        return Point(NOTHING)
    of_logs = _with_interval([math.log10(value) for value in values])
    return Point(*(_power(each) for each in (of_logs.center, of_logs.low, of_logs.high)))


def error_point(values: Collection[float | None], metric: Metric, *, lost: bool = False) -> Point:
    """The `point` of an error or a loss, in its unit; None is a value that is not finite."""
    numbers = [math.inf if value is None else value for value in values]
    return point(numbers, lost=lost).scaled(metric.scale)


def _with_interval(values: list[float]) -> Point:
    found = mean_interval(values)
    if found.low is None or found.high is None:
        return Point(found.mean)
    return Point(found.mean, found.low, found.high)


def _power(decades: float) -> float:
    """10 to this power, between 1 / _LARGEST and _LARGEST."""
    most = math.log10(_LARGEST)
    return math.nan if math.isnan(decades) else 10.0 ** min(max(decades, -most), most)
