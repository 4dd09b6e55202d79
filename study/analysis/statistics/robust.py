"""Summaries that a lucky or a lost seed cannot move: interquartile mean, chance of improvement."""

import math
from collections.abc import Collection
from typing import Literal, NamedTuple

from study.analysis.statistics.intervals import t_quantile


class Estimate(NamedTuple):
    """A number and its interval; `low` and `high` are None where there is none."""

    value: float
    low: float | None
    high: float | None


def iqm(values: Collection[float], *, confidence: float = 0.95) -> Estimate:
    """The interquartile mean of `values` (shape [seeds]) and its Tukey-McLaughlin interval.

    The mean of the h values that remain without the floor(n / 4) smallest and largest. Interval:
    +- t_{h-1} sqrt(S / (h (h - 1))), with S the sum of squares about its mean of the winsorized
    sample (each value that was cut replaced by the nearest that was not). Below 4 values nothing is
    cut: the mean and its t interval. A kept value that is infinite leaves no interval. ValueError
    without a value.

    Source: Tukey & McLaughlin (1963), Less vulnerable confidence and significance procedures for
    location, Sankhya A 25 (scipy.stats.ttest_ind(trim=0.25) is Yuen's extension to two samples); as
    a summary of few runs: Agarwal et al. (2021), Deep reinforcement learning at the edge of the
    statistical precipice, section 4.
    """
    ordered = sorted(float(value) for value in values)
    if not ordered:
        raise ValueError("the interquartile mean of no value")
    cut = len(ordered) // 4
    kept = ordered[cut : len(ordered) - cut]
    if not all(math.isfinite(value) for value in kept):
        return Estimate(math.fsum(kept) / len(kept), None, None)
    mean, left = math.fsum(kept) / len(kept), len(kept)
    if left < 2:
        return Estimate(mean, None, None)
    winsorized = [kept[0]] * cut + kept + [kept[-1]] * cut
    centre = math.fsum(winsorized) / len(winsorized)
    squares = math.fsum((value - centre) ** 2 for value in winsorized)
    half_width = t_quantile((1 + confidence) / 2, left - 1) * math.sqrt(squares / left / (left - 1))
    return Estimate(mean, mean - half_width, mean + half_width)


def probability_of_improvement(
    first: Collection[float],
    second: Collection[float],
    *,
    direction: Literal["lower", "higher"] = "lower",
    confidence: float = 0.95,
) -> Estimate:
    """The probability that a run of the first cell is better than one of the second.

    U / (m n): the share of all pairs (shapes [m], [n]) in which the first is better, ties counted
    half; lost runs may be inf. The interval holds every p with |estimate - p| <= z sqrt(V(p)),
    V(p) = p (1 - p) (1 + ((m + n) / 2 - 1) ((1 - p) / (2 - p) + p / (1 + p))) / (m n): it stays
    within [0, 1] and has a width even where one cell always wins. It takes the runs as independent
    (seeds that pair the cells make it wider than it need be). ValueError without a run.

    Source: Mann & Whitney (1947), Annals of Mathematical Statistics 18 (scipy.stats.mannwhitneyu);
    Newcombe (2006), Confidence intervals for an effect size measure based on the Mann-Whitney
    statistic, part 2, Statistics in Medicine 25, method 5; Agarwal et al. (2021), section 4.
    """
    import numpy as np
    from scipy import stats

    one, other = (np.asarray(list(values), dtype=float) for values in (first, second))
    better, worse = (other, one) if direction == "lower" else (one, other)
    size = one.size * other.size
    if not size:
        raise ValueError("the probability of improvement of no run")
    share = float(stats.mannwhitneyu(better, worse, method="asymptotic").statistic) / size
    low, high = _newcombe(share, one.size, other.size, confidence)
    return Estimate(share, low, high)


def _newcombe(share: float, m: int, n: int, confidence: float) -> tuple[float, float]:
    """The two ends of Newcombe's interval, each the root of distance^2 = z^2 V(p) on its side."""
    from scipy.optimize import brentq
    from scipy.special import ndtri

    z = float(ndtri((1 + confidence) / 2))

    def beyond(p: float) -> float:
        spread = 1 + ((m + n) / 2 - 1) * ((1 - p) / (2 - p) + p / (1 + p))
        return (share - p) ** 2 - z**2 * p * (1 - p) * spread / (m * n)

    # At 0 and 1 there is a second root without meaning, where both sides are 0.
    inner = min(max(share, 1e-12), 1 - 1e-12)
    low = brentq(beyond, 0.0, inner) if share > 0 else 0.0
    high = brentq(beyond, inner, 1.0) if share < 1 else 1.0
    return float(low), float(high)


# The signed-rank test of paired differences, which says nothing below ten seeds.
#
# With n seeds the smallest two-sided p that it can give is 2 / 2^n: 0.0625 with 5 seeds, so that
# no difference however large is ever found there, and none survives a correction before 10.


MIN_SEEDS = 10


class RankTest(NamedTuple):
    """A test's statistic, its two-sided p, and the number of seeds."""

    statistic: float
    p: float
    num: int


def signed_rank_test(first: Collection[float], second: Collection[float]) -> RankTest | None:
    """Wilcoxon's signed-rank test of first - second (shape [seeds] each); None below 10 seeds.

    The statistic is the smaller sum of the ranks of |difference| over positive and over negative
    ones, those of 0 left out. p is exact up to 50 differences without ties or zeros. Assumes
    differences that are symmetric about their median.

    Source: Wilcoxon (1945), Individual comparisons by ranking methods, Biometrics Bulletin 1;
    scipy.stats.wilcoxon.
    """
    differences = [float(a) - float(b) for a, b in zip(first, second, strict=True)]
    if len(differences) < MIN_SEEDS:
        return None
    if not any(differences):
        return RankTest(0.0, 1.0, len(differences))
    from scipy import stats

    found = stats.wilcoxon(differences)
    return RankTest(float(found.statistic), float(found.pvalue), len(differences))
