"""Time to target: when a replica first reaches a given error, a miss counted as infinity."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


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
