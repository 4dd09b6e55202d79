"""Means, intervals and paired differences over seeds.

Sums are exact (`math.fsum`), so a result depends neither on the order of the seeds nor on the
machine's vector units.
"""

import math
from collections.abc import Collection
from functools import lru_cache
from typing import NamedTuple


class Interval(NamedTuple):
    """A mean and its two-sided interval; `low` and `high` are None with fewer than 2 values."""

    mean: float
    low: float | None
    high: float | None
    num: int

    @property
    def half_width(self) -> float | None:
        return None if self.high is None else self.high - self.mean


def mean_interval(values: Collection[float], *, confidence: float = 0.95) -> Interval:
    """The mean of `values` (shape [seeds]) and its t interval.

    mean +- t_{n-1}((1 + confidence) / 2) * s / sqrt(n), with s^2 = sum (x - mean)^2 / (n - 1).
    Assumes independent seeds and a normal mean; it is conditional on the data set and its split.
    With one value there is no interval; with none, ValueError.

    Source: Student (1908), The probable error of a mean, Biometrika 6; Casella & Berger (2002),
    Statistical Inference, section 9.2.
    """
    numbers = [float(value) for value in values]
    num = len(numbers)
    if not num:
        raise ValueError("the mean of no values")
    mean = math.fsum(numbers) / num
    if num < 2:
        return Interval(mean, None, None, num)
    variance = math.fsum((number - mean) ** 2 for number in numbers) / (num - 1)
    half_width = t_quantile((1 + confidence) / 2, num - 1) * math.sqrt(variance / num)
    return Interval(mean, mean - half_width, mean + half_width, num)


def paired_difference(
    first: Collection[float], second: Collection[float], *, confidence: float = 0.95
) -> Interval:
    """The mean of first - second, paired by seed, and its t interval.

    Both have shape [seeds], the same seeds in the same order; the interval is `mean_interval` of
    the differences. What two cells share through a seed (initial draws, batch order) cancels.

    Source: Student (1908), illustration I (two drugs, the same ten patients).
    """
    pairs = zip(first, second, strict=True)
    return mean_interval([float(a) - float(b) for a, b in pairs], confidence=confidence)


def distinguishable(
    first: Collection[float], second: Collection[float], *, confidence: float = 0.95
) -> bool | None:
    """Whether the interval of `paired_difference` leaves 0 out; None with fewer than 2 seeds.

    Differences that are all equal have an interval of width 0: equal cells are not
    distinguishable, a constant gap is. Rounding (1e-12 of the largest value) counts as 0.
    """
    if len(first) < 2:
        return None
    interval = paired_difference(first, second, confidence=confidence)
    assert interval.low is not None
    assert interval.high is not None
    rounding = 1e-12 * max(abs(float(value)) for value in (*first, *second))
    return interval.low > rounding or interval.high < -rounding


def median(values: Collection[float]) -> float:
    """The middle of `values` (shape [seeds]), or the mean of the two middle ones; inf allowed."""
    ordered = sorted(float(value) for value in values)
    if not ordered:
        raise ValueError("the median of no values")
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return low if low == high else (low + high) / 2


@lru_cache
def t_quantile(probability: float, degrees: int) -> float:
    """The quantile of Student's t distribution with `degrees` degrees of freedom."""
    # scipy.stats.t.ppf calls the same function; importing scipy.stats costs 0.3 s more.
    from scipy.special import stdtrit

    return float(stdtrit(degrees, probability))
