"""Measuring in turns: the machine drifts, so only ratios of neighbours are kept."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median


def in_turns(contestants: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Runs each contestant once a round, after one round that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for current in range(rounds + 1):
        for name, run in contestants.items():
            seconds = run()
            if current:
                times[name].append(seconds)
    return times


def median_ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """The median over rounds of slow / fast."""
    return median(a / b for a, b in zip(slow, fast, strict=True))
