"""How much hangs on the learning rate: the region of good ones."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
