"""What tables say of seeds: the best of a row, what cannot be told from it, and medians."""

from collections.abc import Collection

from study.statistics.intervals import Interval, mean_and_error, t_test
from study.statistics.intervals import t_interval as mean_interval

__all__ = [
    "Interval",
    "distinguishable",
    "has_spread",
    "mean_interval",
    "median",
    "paired_difference",
    "paired_p",
]


def paired_difference(
    first: Collection[float], second: Collection[float], *, confidence: float = 0.95
) -> Interval:
    """The mean of first - second, paired by seed, and its t interval.

    Both have shape [seeds], the same seeds in the same order: `study.statistics.intervals.paired`
    without what needs more than the standard library.
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
