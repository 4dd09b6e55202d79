"""How much hangs on the learning rate: the region of good ones."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True)
class GoodRegion:
    """The learning rates around the best one whose mean is within d of it.

    `decades`: log10(highest / lowest). `open_below`, `open_above`: the region ends where the grid
    does, so the true one may be wider on that side.
    """

    best: float
    lowest: float
    highest: float
    decades: float
    open_below: bool
    open_above: bool


def good_region(means: Mapping[float, float], within: float) -> GoodRegion | None:
    """The unbroken run of a grid's learning rates around the best with mean <= best + `within`.

    `means`: {learning rate: mean error}, lower is better; inf or NaN is never good. Measured on the
    grid, without interpolation: the true region is at least as wide, unless it has a gap. None
    where no mean is finite. Of equal bests the smallest rate counts.

    Source: the width of the basin in decades, as in Wortsman et al. (2023), Small-scale proxies for
    large-scale Transformer training instabilities, section 2.2, who integrate the excess loss.
    """
    rates = sorted(means)
    finite = [rate for rate in rates if math.isfinite(means[rate])]
    if not finite:
        return None
    best = min(finite, key=lambda rate: means[rate])
    good = [means[rate] <= means[best] + within for rate in rates]
    first = last = rates.index(best)
    while first > 0 and good[first - 1]:
        first -= 1
    while last < len(rates) - 1 and good[last + 1]:
        last += 1
    decades = math.log10(rates[last] / rates[first])
    ends = first == 0, last == len(rates) - 1
    return GoodRegion(best, rates[first], rates[last], decades, *ends)


# Time to target: when a replica first reaches a given error, a miss counted as infinity.


@dataclass(frozen=True)
class TimeToTarget:
    """Medians over seeds, inf where too few reach the target; `by_seed` has the epochs.

    NaN where the target was reached at a time that nobody recorded. `seconds` are the population's,
    which trains all its replicas together.
    """

    epochs: float
    updates: float
    seconds: float
    num_reached: int
    num: int
    by_seed: tuple[float, ...]


def time_to_target(
    errors: "ArrayLike", target: float, *, updates: Sequence[float], seconds: Sequence[float]
) -> TimeToTarget:
    """When the error first is at most `target`: epochs, updates and seconds, medians over seeds.

    `errors`: shape [seeds, epochs], after each epoch (NaN is above every target); `updates`,
    `seconds`: shape [epochs], what had been done and had passed by then (NaN: not known). Epochs
    count from 1. The first time decides, whatever comes after. ValueError without a seed.

    Source: Dahl et al. (2023), Benchmarking neural network training algorithms (AlgoPerf): time to
    target, infinite for a miss, and the median over repetitions.
    """
    import numpy as np

    reached = np.atleast_2d(np.asarray(errors, dtype=float)) <= target
    if not len(reached):
        raise ValueError("time to target of no seed")
    if len(updates) != reached.shape[1] or len(seconds) != reached.shape[1]:
        raise ValueError("updates and seconds are not a number for each epoch")
    places = [int(row.argmax()) if row.any() else None for row in reached]
    epochs = _times(places, range(1, reached.shape[1] + 1))
    return TimeToTarget(
        epochs=median(epochs),
        updates=_median(_times(places, updates)),
        seconds=_median(_times(places, seconds)),
        num_reached=sum(place is not None for place in places),
        num=len(places),
        by_seed=tuple(epochs),
    )


def _times(places: Sequence[int | None], clock: Sequence[float]) -> list[float]:
    return [math.inf if place is None else float(clock[place]) for place in places]


def _median(times: Sequence[float]) -> float:
    """The median; NaN where it hangs on a time that is not known, which is finite all the same."""
    earliest = median([0.0 if math.isnan(time) else time for time in times])
    return math.nan if math.isfinite(earliest) and any(map(math.isnan, times)) else earliest


# How many seeds a difference needs.


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
