"""How many seeds a difference needs."""

import math
from collections.abc import Sequence

from study.report.parts import Sheet
from study.report.sheets.pairs import pairs_of
from study.report.sheets.scores import Scores, count_text, unit_words
from study.statistics.intervals import mean_and_error
from study.statistics.power import resolvable_difference, seeds_needed
from study.words import counted

POINTS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
"""Differences of shares that the sheet is about: 0.1 to 5 percentage points."""


def seeds(scores: Scores, suffix: str = "") -> Sheet | None:
    """The seeds for given differences, by how much pairs of cells vary over seeds."""
    deviations = sorted(
        math.sqrt(len(pair.differences)) * (mean_and_error(pair.differences)[1] or 0.0)
        for pair in pairs_of(scores)
    )
    if not deviations:
        return None
    typical, wide = _quantile(deviations, 0.5), _quantile(deviations, 0.9)
    text = scores.metric.text
    numbers = {len(score.values) for score in scores.ranked}
    return Sheet(
        name=f"seeds{suffix}",
        title=f"Seeds needed{scores.where}",
        caption=f"How many seeds a paired t test (5 %, two-sided) needs to find a difference of "
        f"{unit_words(scores.metric)} four times in five.",
        columns=("difference", "seeds, typical pair", "seeds, noisy pair"),
        rows=tuple(
            (text(size), *(count_text(seeds_needed(size, spread)) for spread in (typical, wide)))
            for size in _differences(scores)
        ),
        notes=(
            f"typical, noisy: the standard deviation over seeds of the paired difference is "
            f"{text(typical)}, {text(wide)}: the median and the 90th percentile of "
            f"{counted(len(deviations), 'pair')} of cells that differ in one factor.",
            *_resolved(scores, sorted(numbers), typical),
        ),
    )


def _differences(scores: Scores) -> Sequence[float]:
    """Percentage points of a share; of another error 1 to 50 % of the best cell's."""
    if scores.metric.unit == "%":
        return POINTS
    return [scores.ranked[0].mean * share for share in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)]


def _resolved(scores: Scores, numbers: Sequence[int], spread: float) -> list[str]:
    """What the study's own number of seeds can find."""
    found = [(num, resolvable_difference(spread, num)) for num in numbers]
    return [
        f"{num} seeds find a difference of {scores.metric.text(size)} in a typical pair."
        for num, size in found
        if size is not None
    ]


def _quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest of `ordered` that at least `share` of them do not exceed."""
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]
