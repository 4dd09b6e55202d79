"""How many seeds a difference needs."""

import math
from functools import lru_cache

MOST_SEEDS = 1_000_000


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


def _power(effect: float, num: int, alpha: float) -> float:
    from statsmodels.stats.power import ttest_power

    power = float(ttest_power(effect, num, alpha))
    if not math.isnan(power):
        return power
    # SciPy's noncentral t has no number for the far tail on the other side, which is 0 by then.
    upper = float(ttest_power(effect, num, alpha / 2, alternative="larger"))
    return 1.0 if math.isnan(upper) else upper
