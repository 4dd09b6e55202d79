"""How many seeds a difference needs, and which difference so many seeds can resolve."""

import math
from collections.abc import Collection
from functools import lru_cache
from typing import NamedTuple

from study.analysis.statistics.intervals import mean_and_error

MOST_SEEDS = 1_000_000


class SeedsNeeded(NamedTuple):
    """The seeds that a difference needs, and the range from what its spread may really be.

    inf: more than MOST_SEEDS.
    """

    num: float
    low: float
    high: float


def seeds_needed(
    difference: float, deviation: float, *, power: float = 0.8, alpha: float = 0.05
) -> float:
    """The number of seeds with which a paired t test finds `difference` with probability `power`.

    `deviation`: the standard deviation of the differences between seeds, in the same unit. The
    smallest n >= 2 with P(|T'| > t_{n-1}(1 - alpha / 2)) >= power, where T' is noncentral t with
    n - 1 degrees of freedom and noncentrality sqrt(n) |difference| / deviation. inf for no
    difference, and beyond MOST_SEEDS; 2 without any deviation.

    Source: Cohen (1988), Statistical Power Analysis, chapter 2; statsmodels' TTestPower.
    """
    if difference == 0 or math.isinf(deviation):
        return math.inf
    return 2.0 if deviation == 0 else _seeds(abs(difference / deviation), power, alpha)


def seeds_to_resolve(
    first: Collection[float],
    second: Collection[float],
    difference: float,
    *,
    power: float = 0.8,
    alpha: float = 0.05,
    confidence: float = 0.95,
) -> SeedsNeeded | None:
    """`seeds_needed` for two measured cells (shape [seeds] each, paired), with its range.

    The deviation s is that of first - second; a few seeds know it badly, so the range is that of
    the interval s sqrt((n - 1) / chi2_{n-1}((1 +- confidence) / 2)) of a normal's deviation. None
    with fewer than 2 seeds.

    Source: Casella & Berger (2002), Statistical Inference, section 9.2 (the interval).
    """
    differences = [float(a) - float(b) for a, b in zip(first, second, strict=True)]
    error = mean_and_error(differences)[1]
    if error is None:
        return None
    from scipy.special import chdtri

    num = len(differences)
    spread, degrees = error * math.sqrt(num), num - 1
    # chdtri takes the upper tail: the smaller tail gives the larger quantile.
    factors = (
        math.sqrt(degrees / float(chdtri(degrees, tail)))
        for tail in (0.5 - confidence / 2, 0.5 + confidence / 2)
    )
    low, high = (
        seeds_needed(difference, spread * factor, power=power, alpha=alpha) for factor in factors
    )
    return SeedsNeeded(seeds_needed(difference, spread, power=power, alpha=alpha), low, high)


def resolvable_difference(
    deviation: float, num: int, *, power: float = 0.8, alpha: float = 0.05
) -> float | None:
    """The smallest difference that a paired t test of `num` seeds finds with probability `power`.

    `deviation` as in `seeds_needed`, whose equation this solves for the difference. None with fewer
    than 2 seeds.

    Source: Cohen (1988), Statistical Power Analysis, chapter 2; statsmodels' TTestPower.
    """
    if num < 2:
        return None
    return deviation * _effect(num, power, alpha)


@lru_cache(maxsize=4096)
def _seeds(effect: float, power: float, alpha: float) -> float:
    """Doubling, then bisection: power grows with n, and whole numbers need no tolerance."""
    high = 2
    while _power(effect, high, alpha) < power:
        if high >= MOST_SEEDS:
            return math.inf
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _power(effect, middle, alpha) >= power else (middle, high)
    return float(high)


@lru_cache(maxsize=256)
def _effect(num: int, power: float, alpha: float) -> float:
    from scipy.optimize import brentq

    high = 1.0
    while _power(high, num, alpha) < power:
        high *= 2
    return float(brentq(lambda effect: _power(effect, num, alpha) - power, 0.0, high, xtol=1e-12))


def _power(effect: float, num: int, alpha: float) -> float:
    from statsmodels.stats.power import ttest_power

    power = float(ttest_power(effect, num, alpha))
    if not math.isnan(power):
        return power
    # SciPy's noncentral t has no number for the far tail on the other side, which is 0 by then.
    upper = float(ttest_power(effect, num, alpha / 2, alternative="larger"))
    return 1.0 if math.isnan(upper) else upper
