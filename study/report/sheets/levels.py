"""Each level of each factor, averaged over everything else."""

import math
from collections.abc import Sequence

from study.report.factors import all_levels, cell_level, varying_factors
from study.report.parts import Sheet
from study.report.sheets.scores import (
    SHOWN,
    Score,
    Scores,
    diverged_note,
    interval_text,
    left_out,
    sentence,
    unit_words,
)
from study.statistics.intervals import FEW_SEEDS, bootstrap_interval, t_interval
from study.statistics.robust import iqm

COLUMNS = ("factor", "level", "cells", "mean", "95 % t", "95 % bootstrap", "interquartile mean")


def levels(scores: Scores, suffix: str = "") -> Sheet | None:
    """A row for each level of each factor that varies; None where none does."""
    factors = varying_factors(scores.cells)
    sound = [score for score in scores.scores if score.values]
    places = [(factor, level) for factor in factors for level in all_levels(scores.cells, factor)]
    if not places or not sound:
        return None
    rows = []
    for factor, level in places[:SHOWN]:
        own = [score for score in sound if cell_level(score.cell, factor) == level]
        rows.append((factor, level, *_row(scores, own)))
    few = sum(not score.values for score in scores.scores)
    notes = [
        *left_out(len(places), "levels"),
        *diverged_note(few),
        "mean: over the cells of a level for each seed, then over seeds; its t interval, and the "
        "bootstrap's (BCa) beside it"
        + (f", which is approximate below {FEW_SEEDS} seeds (~)." if _is_few(sound) else "."),
        "interquartile mean: of the cells' means, the middle half of them; one cell at chance does "
        "not move it.",
        "Levels are compared fairly only where each has the same surroundings (see cells).",
    ]
    return Sheet(
        name=f"levels{suffix}",
        title=f"Levels, averaged over the rest{scores.where}",
        caption=f"{sentence(unit_words(scores.metric))}, at each cell's chosen learning rate.",
        columns=COLUMNS,
        rows=tuple(rows),
        notes=tuple(notes),
    )


def by_seed(scores: Sequence[Score]) -> list[float]:
    """For each seed that all of the cells have, the mean over the cells."""
    seeds = set.intersection(*(set(score.values) for score in scores))
    return [
        math.fsum(score.values[seed] for score in scores) / len(scores) for seed in sorted(seeds)
    ]


def _row(scores: Scores, own: Sequence[Score]) -> tuple[str, ...]:
    means = by_seed(own) if own else []
    if not means:
        return (str(len(own)), "–", "–", "–", "–")
    text = scores.metric.text
    interval = t_interval(means)
    return (
        str(len(own)),
        text(interval.mean),
        interval_text(interval.low, interval.high, text),
        _bootstrap(means, scores),
        text(iqm([score.mean for score in own]).value),
    )


def _bootstrap(means: Sequence[float], scores: Scores) -> str:
    if len(means) < 2:
        return "–"
    low, high, approximate = bootstrap_interval(means)
    return ("~ " if approximate else "") + interval_text(low, high, scores.metric.text)


def _is_few(scores: Sequence[Score]) -> bool:
    return any(len(score.values) < FEW_SEEDS for score in scores)
