"""Time to target: how soon a cell's validation error is as low as that."""

import math

from study.analysis.frames import Frames
from study.analysis.parts import Sheet
from study.analysis.sheets.scores import SHOWN, Scores, count_text, left_out
from study.analysis.statistics.intervals import median
from study.analysis.statistics.sensitivity import time_to_target as time_of


def time_to_target(scores: Scores, suffix: str = "", *, frames: Frames) -> Sheet | None:
    """Median epochs, updates and seconds to `target_of` the cells; None where none has curves."""
    validation = scores.by("val_error")
    target = target_of(validation)
    if target is None:
        return None
    found = []
    for score in validation.scores:
        errors = frames.curve(score.cell, "val_error")
        longest = max(errors, key=lambda seed: len(errors[seed]), default=0)
        epochs = [epoch for epoch in errors.get(longest, ()) if epoch]
        if not epochs:
            continue
        seconds = frames.curve(score.cell, "seconds")[longest]
        time = time_of(
            [[curve.get(epoch, math.nan) for epoch in epochs] for curve in errors.values()],
            target,
            updates=[float(score.cell.finished.updates_per_epoch * epoch) for epoch in epochs],
            seconds=[seconds[epoch] for epoch in epochs],
        )
        found.append((score, time))
    if not found:
        return None
    found.sort(key=lambda row: row[1].epochs)
    text = validation.metric.text
    unit = f" {validation.metric.unit}" if validation.metric.unit else ""
    return Sheet(
        name=f"time-to-target{suffix}",
        title=f"Time to target{scores.where}",
        caption=f"Until the {validation.metric.label} is at most "
        f"{text(target)}{unit} (the median of the cells' own), medians over seeds at each cell's "
        "chosen learning rate.",
        columns=("target", scores.corner, "epochs", "updates", "seconds", "seeds that reach it"),
        rows=tuple(
            (
                text(target),
                score.words,
                f"{time.epochs:g}" if math.isfinite(time.epochs) else "∞",
                "–" if math.isnan(time.updates) else count_text(time.updates),
                f"{time.seconds:.1f}".replace("inf", "∞").replace("nan", "–"),
                f"{time.num_reached}/{time.num}",
            )
            for score, time in found[:SHOWN]
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


def target_of(validation: Scores) -> float | None:
    """The median over cells of their mean validation error, rounded up to two digits."""
    means = [score.mean for score in validation.scores if score.values]
    if not means:
        return None
    middle = median(means)
    if middle <= 0:
        return middle
    step = 10.0 ** (math.floor(math.log10(middle)) - 1)
    return float(f"{math.ceil(middle / step - 1e-9) * step:.2g}")
