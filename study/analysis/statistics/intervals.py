"""Intervals of a mean and of a difference: Student's t and Welch's.

Sums are exact (`math.fsum`), so a t interval depends neither on the order of the seeds nor on the
machine's vector units.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class PairedDifference:
    """The mean of first - second over `num` seeds, with everything a test of it needs.

    `low`, `high`: the t interval of the differences. `standard_error`: s / sqrt(num), with num - 1
    `degrees` of freedom. `p`: two-sided, of no difference. `correlation`: Pearson's, of the two
    cells over seeds, None where one of them does not vary; pairing pays where it is positive.
    `welch`: Welch's interval of the same difference, as if the seeds did not pair the cells.
    None instead of a number that needs two seeds.
    """

    mean: float
    low: float | None
    high: float | None
    num: int
    standard_error: float | None
    p: float | None
    correlation: float | None
    welch: Interval

    @property
    def degrees(self) -> int:
        return self.num - 1


def t_interval(values: Collection[float], *, confidence: float = 0.95) -> Interval:
    """The mean of `values` (shape [seeds]) and its t interval.

    mean +- t_{n-1}((1 + confidence) / 2) * s / sqrt(n), with s^2 = sum (x - mean)^2 / (n - 1).
    Assumes independent seeds and a normal mean; it is conditional on the data set and its split.
    With one value there is no interval; with none, ValueError.

    Source: Student (1908), The probable error of a mean, Biometrika 6; Casella & Berger (2002),
    Statistical Inference, section 9.2.
    """
    numbers = [float(value) for value in values]
    mean, error = mean_and_error(numbers)
    if error is None:
        return Interval(mean, None, None, len(numbers))
    half_width = t_quantile((1 + confidence) / 2, len(numbers) - 1) * error
    return Interval(mean, mean - half_width, mean + half_width, len(numbers))


def paired(
    first: Collection[float], second: Collection[float], *, confidence: float = 0.95
) -> PairedDifference:
    """The mean of first - second, paired by seed: its t interval, p, and Welch's beside it.

    Both have shape [seeds], the same seeds in the same order; the interval is `t_interval` of the
    differences. What two cells share through a seed (initial draws, batch order) cancels.
    ValueError for samples of different lengths or without a value.

    Source: Student (1908), illustration I (two drugs, the same ten patients); Welch (1947), The
    generalization of Student's problem, Biometrika 34.
    """
    one, other = [float(value) for value in first], [float(value) for value in second]
    differences = [a - b for a, b in zip(one, other, strict=True)]
    interval = t_interval(differences, confidence=confidence)
    error = mean_and_error(differences)[1]
    return PairedDifference(
        *interval,
        standard_error=error,
        p=None if error is None else t_test(interval.mean, error, len(one) - 1),
        correlation=correlation(one, other),
        welch=welch_interval(one, other, confidence=confidence),
    )


def welch_interval(
    first: Sequence[float], second: Sequence[float], *, confidence: float = 0.95
) -> Interval:
    """The difference of the means of two independent samples (shapes [m], [n]), Welch's interval.

    Half-width t_v((1 + confidence) / 2) sqrt(a + b) with a = s_1^2 / m, b = s_2^2 / n and
    v = (a + b)^2 / (a^2 / (m - 1) + b^2 / (n - 1)). `num` is the smaller sample's size; below 2
    there is no interval.

    Source: Welch (1947), Biometrika 34; statsmodels' CompareMeans.tconfint_diff(usevar="unequal").
    """
    (one, a), (other, b) = mean_and_error(first), mean_and_error(second)
    difference, num = one - other, min(len(first), len(second))
    if a is None or b is None:
        return Interval(difference, None, None, num)
    if a == b == 0:
        return Interval(difference, difference, difference, num)
    from statsmodels.stats.weightstats import CompareMeans

    compared = CompareMeans.from_data(list(first), list(second))
    low, high = compared.tconfint_diff(alpha=1 - confidence, usevar="unequal")
    return Interval(difference, float(low), float(high), num)


def correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Pearson's correlation of two samples (shape [seeds]); None where one does not vary.

    sum (x - mean x)(y - mean y) / sqrt(sum (x - mean x)^2 sum (y - mean y)^2). The variance of a
    difference is var x + var y - 2 corr sd x sd y: this is what pairing gained.

    Source: Pearson (1896), Phil. Trans. Royal Society A 187; numpy.corrcoef has the same number.
    """
    if len(first) < 2 or min(first) == max(first) or min(second) == max(second):
        return None
    (x, _), (y, _) = mean_and_error(first), mean_and_error(second)
    product = math.fsum((a - x) * (b - y) for a, b in zip(first, second, strict=True))
    size = math.fsum((a - x) ** 2 for a in first) * math.fsum((b - y) ** 2 for b in second)
    return max(-1.0, min(1.0, product / math.sqrt(size))) if size else None


def mean_and_error(values: Collection[float]) -> tuple[float, float | None]:
    """The mean of `values` (shape [seeds]) and its standard error s / sqrt(n), None for one value.

    s^2 = sum (x - mean)^2 / (n - 1), sums exact. ValueError for no values.
    """
    num = len(values)
    if not num:
        raise ValueError("the mean of no values")
    mean = math.fsum(values) / num
    if num < 2:
        return mean, None
    variance = math.fsum((value - mean) ** 2 for value in values) / (num - 1)
    return mean, math.sqrt(variance / num)


def t_test(estimate: float, standard_error: float, degrees: int) -> float:
    """The two-sided p of a mean of 0: 2 P(T_degrees > |estimate| / standard_error).

    Without any spread it is 1 for an estimate of 0 and 0 for any other.

    Source: Student (1908), Biometrika 6.
    """
    if standard_error == 0:
        return float(estimate == 0)
    from scipy.special import stdtr

    return 2 * float(stdtr(degrees, -abs(estimate) / standard_error))


@lru_cache
def t_quantile(probability: float, degrees: int) -> float:
    """The quantile of Student's t distribution with `degrees` degrees of freedom."""
    # scipy.stats.t.ppf calls the same function; importing scipy.stats costs 0.3 s more.
    from scipy.special import stdtrit

    return float(stdtrit(degrees, probability))


# What tables say of seeds: the best of a row, what cannot be told from it, and medians.


def paired_difference(
    first: Collection[float], second: Collection[float], *, confidence: float = 0.95
) -> Interval:
    """The mean of first - second, paired by seed, and its t interval.

    Both have shape [seeds], the same seeds in the same order: `paired`,
    without what needs more than the standard library.
    """
    pairs = zip(first, second, strict=True)
    return t_interval([float(a) - float(b) for a, b in pairs], confidence=confidence)


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
    rounding = _rounding(first, second)
    return interval.low > rounding or interval.high < -rounding


def has_spread(first: Collection[float], second: Collection[float]) -> bool:
    """Whether first - second (shape [seeds] each) is not the same for all seeds, but for rounding.

    Without spread a t test has nothing to measure the difference by.
    """
    differences = [float(a) - float(b) for a, b in zip(first, second, strict=True)]
    return max(differences) - min(differences) > _rounding(first, second)


def paired_p(first: Collection[float], second: Collection[float]) -> float | None:
    """The two-sided p of no difference, paired by seed (shape [seeds] each); None without spread.

    Source: Student (1908), Biometrika 6.
    """
    mean, error = mean_and_error([float(a) - float(b) for a, b in zip(first, second, strict=True)])
    if error is None or not has_spread(first, second):
        return None
    return t_test(mean, error, len(first) - 1)


def _rounding(first: Collection[float], second: Collection[float]) -> float:
    return 1e-12 * max(abs(float(value)) for value in (*first, *second))


def median(values: Collection[float]) -> float:
    """The middle of `values` (shape [seeds]), or the mean of the two middle ones; inf allowed."""
    ordered = sorted(float(value) for value in values)
    if not ordered:
        raise ValueError("the median of no values")
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return low if low == high else (low + high) / 2
