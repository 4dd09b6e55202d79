"""The headline: cells by their error at the chosen learning rate, and how sure the order is."""

from collections.abc import Mapping
from typing import NamedTuple

from study.analysis.caption import EDGE_MARKS
from study.analysis.parts import Sheet
from study.analysis.sheets.scores import (
    SHOWN,
    Score,
    Scores,
    interval_text,
    left_out,
    p_text,
    sentence,
    signed,
    unit_words,
)
from study.analysis.statistics.corrections import holm_known
from study.analysis.statistics.intervals import has_spread, median, paired_p, t_interval

COLUMNS = ("error", "seeds", "behind the best", "95 % interval", "p (Holm)", "learning rate")


_NOTES = (
    "p (Holm): of no difference to the first cell, corrected over all cells that are compared with "
    "it. The first cell is first partly by luck, so its lead is overstated.",
    "lr↑, lr↓: the chosen learning rate is the highest, the lowest of its grid, so a better one "
    "may lie beyond.",
    "A cell with diverged replicas has a median, no interval, and no rank.",
)


class _Behind(NamedTuple):
    """For each common seed how far a cell lies behind the best, whether the seeds differ, and p."""

    differences: list[float]
    has_spread: bool
    p: float | None


def ranking(scores: Scores, suffix: str = "") -> Sheet:
    """Every cell, best first; then those with diverged replicas, by their median."""
    ranked = scores.ranked
    others = [score for score in scores.scores if not score.values]
    others.sort(key=lambda score: median(score.all_values.values()))
    # By directory, how far every other cell lies behind the best one, paired by seed.
    behind: dict[str, _Behind] = {}
    for score in ranked[1:]:
        seeds = [seed for seed in ranked[0].values if seed in score.values]
        if seeds:
            own, best = ([each.values[seed] for seed in seeds] for each in (score, ranked[0]))
            apart = [a - b for a, b in zip(own, best, strict=True)]
            found = _Behind(apart, has_spread(own, best), paired_p(own, best))
            behind[score.cell.directory] = found
    adjusted = dict(zip(behind, holm_known([each.p for each in behind.values()]), strict=True))
    rows = [
        (str(place + 1), score.words, *_row(scores, score, behind, adjusted))
        for place, score in enumerate(ranked[:SHOWN])
    ]
    for score in others:
        num, lost = len(score.all_values), score.num_diverged
        state = f"{lost}/{num} diverged" if lost else "not finite"
        middle = f"median {scores.metric.text(median(score.all_values.values()))} ({state})"
        rows.append(("–", score.words, middle, str(num), "–", "–", "–", _rate(score)))
    notes = left_out(len(scores.scores), "cells")
    if any(len(score.values) < 2 for score in ranked):
        notes.append("A cell with fewer than 2 seeds has no interval and is not tested.")
    if any(len(each.differences) > 1 and not each.has_spread for each in behind.values()):
        notes.append("Where all seeds are equally far behind, there is neither interval nor p.")
    return Sheet(
        name=f"ranking{suffix}",
        title=f"Cells by {scores.metric.label}{scores.where}",
        caption=f"{sentence(unit_words(scores.metric))}, mean over seeds with the half-width of "
        f"its 95 % t interval, at each cell's chosen learning rate; "
        "the difference to the first cell is paired by seed.",
        columns=("rank", scores.corner, *COLUMNS),
        rows=tuple(rows[:SHOWN]),
        notes=(*notes, *_NOTES),
    )


def _row(
    scores: Scores,
    score: Score,
    behind: Mapping[str, _Behind],
    adjusted: Mapping[str, float | None],
) -> tuple[str, ...]:
    metric = scores.metric
    own = t_interval(score.values.values())
    half = "" if own.half_width is None else f" ± {metric.text(own.half_width)}"
    differences, spread, _ = behind.get(score.cell.directory, _Behind([], False, None))
    found = t_interval(differences) if differences else None
    return (
        metric.text(own.mean) + half,
        str(own.num),
        "–" if found is None else signed(metric, found.mean),
        interval_text(found.low, found.high, metric.text) if found and spread else "–",
        p_text(adjusted.get(score.cell.directory)),
        _rate(score),
    )


def _rate(score: Score) -> str:
    result = score.cell.finished
    edge = result.edge
    return f"{result.chosen_lr:g}" + (f" {EDGE_MARKS[edge]}" if edge else "")
