"""Time to target: how soon a cell's validation error is as low as that."""

import math
from collections.abc import Sequence

from study.report.curves import Curve, chosen_curves, updates_per_epoch
from study.report.frames import Frames
from study.report.parts import Sheet
from study.report.sheets.scores import SHOWN, Score, Scores, count_text, left_out
from study.report.statistics import median
from study.statistics.targets import TimeToTarget
from study.statistics.targets import time_to_target as time_of


def time_to_target(
    scores: Scores, suffix: str = "", *, frames: Frames, targets: Sequence[float] = ()
) -> Sheet | None:
    """Median epochs, updates and seconds to each target; None where no cell has curves.

    `targets`: validation errors; none: the median of the cells' own.
    """
    validation = scores.by("val_error")
    chosen = targets or default_targets(validation)
    found = [
        (target, score, time)
        for score in validation.scores
        if (curves := chosen_curves(frames, score.cell))
        for target in chosen
        if (time := _time(score, curves, target))
    ]
    if not found:
        return None
    found.sort(key=lambda row: (row[0], row[2].epochs))
    text = validation.metric.text
    unit = f" {validation.metric.unit}" if validation.metric.unit else ""
    source = "asked for by the experiment's file" if targets else "the median of the cells' own"
    return Sheet(
        name=f"time-to-target{suffix}",
        title=f"Time to target{scores.where}",
        caption=f"Until the {validation.metric.label} is at most "
        f"{', '.join(text(target) + unit for target in chosen)} ({source}), medians over seeds at "
        "each cell's chosen learning rate.",
        columns=("target", scores.corner, "epochs", "updates", "seconds", "seeds that reach it"),
        rows=tuple(
            (text(target), score.words, *_row(time)) for target, score, time in found[:SHOWN]
        ),
        notes=(
            *left_out(len(found), "rows"),
            "A seed that never reaches the target counts as infinite (∞). Epochs are whole ones: "
            "the error is known at their ends.",
            "seconds: of the whole population (every seed at every learning rate), on the machine "
            "that trained it; cells trained on other machines cannot be compared by them.",
            "–: the record does not say how many updates an epoch has.",
        ),
    )


def default_targets(validation: Scores) -> tuple[float, ...]:
    """The median over cells of their mean validation error, rounded up to two digits."""
    means = [score.mean for score in validation.scores if score.values]
    if not means:
        return ()
    middle = median(means)
    if middle <= 0:
        return (middle,)
    step = 10.0 ** (math.floor(math.log10(middle)) - 1)
    return (float(f"{math.ceil(middle / step - 1e-9) * step:.2g}"),)


def _time(score: Score, curves: dict[int, Curve], target: float) -> TimeToTarget | None:
    """The time of a cell; None for a curve of no epoch."""
    longest = max(curves.values(), key=lambda curve: len(curve.epochs))
    epochs = [epoch for epoch in longest.epochs if epoch]
    if not epochs:
        return None
    per_epoch = updates_per_epoch(score.cell, epochs[-1])
    errors = []
    for curve in curves.values():
        by_epoch = dict(zip(curve.epochs, curve.errors, strict=True))
        errors.append([by_epoch.get(epoch, math.nan) for epoch in epochs])
    seconds = dict(zip(longest.epochs, longest.seconds, strict=True))
    return time_of(
        errors,
        target,
        updates=[math.nan if per_epoch is None else per_epoch * epoch for epoch in epochs],
        seconds=[seconds[epoch] for epoch in epochs],
    )


def _row(time: TimeToTarget) -> tuple[str, ...]:
    updates = "–" if math.isnan(time.updates) else count_text(time.updates)
    return (
        f"{time.epochs:g}" if math.isfinite(time.epochs) else "∞",
        updates,
        _seconds_text(time.seconds),
        f"{time.num_reached}/{time.num}",
    )


def _seconds_text(seconds: float) -> str:
    if math.isnan(seconds):
        return "–"
    return "∞" if math.isinf(seconds) else f"{seconds:.1f}"
