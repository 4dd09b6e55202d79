"""Each level of each factor, averaged over everything else."""

import math
from collections.abc import Sequence

from study.analysis.parts import Sheet
from study.analysis.sheets.scores import (
    SHOWN,
    Score,
    Scores,
    diverged_note,
    interval_text,
    left_out,
    p_text,
    percent,
    sentence,
    unit_words,
)
from study.analysis.statistics.effects import effects as effects_of
from study.analysis.statistics.intervals import t_interval
from study.outputs.factors import all_levels, cell_level, varying_factors

COLUMNS = ("factor", "level", "cells", "mean", "95 % t")


def levels(scores: Scores, suffix: str = "") -> Sheet | None:
    """A row for each level of each factor that varies; None where none does."""
    factors = varying_factors(scores.cells)
    sound = [score for score in scores.scores if score.values]
    places = [(factor, level) for factor in factors for level in all_levels(scores.cells, factor)]
    if not places or not sound:
        return None
    rows, text = [], scores.metric.text
    for factor, level in places[:SHOWN]:
        own = [score for score in sound if cell_level(score.cell, factor) == level]
        means = by_seed(own) if own else []
        mean, interval = "–", "–"
        if means:
            found = t_interval(means)
            mean, interval = text(found.mean), interval_text(found.low, found.high, text)
        rows.append((factor, level, str(len(own)), mean, interval))
    few = sum(not score.values for score in scores.scores)
    notes = [
        *left_out(len(places), "levels"),
        *diverged_note(few),
        "mean: over the cells of a level for each seed, then over seeds, with its t interval.",
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


# Which choice matters most: the share of the variance that each factor accounts for.


def effects(scores: Scores, suffix: str = "") -> Sheet | None:
    """Main effects and two-factor interactions, the largest first; None where nothing varies."""
    factors = varying_factors(scores.cells)
    # Over the seeds that every cell has.
    seeds = set.intersection(*(set(score.all_values) for score in scores.scores))
    if not seeds or not factors:
        return None
    found = effects_of(
        {factor: [cell_level(cell, factor) for cell in scores.cells] for factor in factors},
        [[score.values.get(seed, math.nan) for seed in sorted(seeds)] for score in scores.scores],
    )
    if found is None:
        return None
    rows = [
        (
            " x ".join(term.factors),
            percent(term.share),
            str(term.degrees),
            "–" if term.f is None else f"{term.f:.3g}",
            p_text(term.p),
        )
        for term in found.terms
    ]
    rest = (
        ("three factors and more together", found.higher),
        ("seed, in all cells alike", found.seeds),
        ("seed, in one cell (noise)", found.noise),
    )
    notes = [*left_out(len(rows), "terms"), *diverged_note(found.num_left_out)]
    if found.num_missing:
        notes.append(
            f"{found.num_missing} combinations of levels have no cell that counts: terms overlap, "
            "each is what it adds to all others (type II), and the shares need not sum to 100 %."
        )
    if any(not term.degrees for term in found.terms):
        notes.append("0 degrees of freedom: the cells cannot tell this term from the others.")
    return Sheet(
        name=f"effects{suffix}",
        title=f"Which choice matters most{scores.where}",
        caption=f"Share of the variance of {unit_words(scores.metric)} that each factor, and each "
        f"two together, account for: {found.num_cells} cells x {found.num_seeds} seeds, at each "
        "cell's chosen learning rate.",
        columns=("factor", "share of variance", "degrees of freedom", "F", "p"),
        rows=(*rows[:SHOWN], *((name, percent(share), "–", "–", "–") for name, share in rest)),
        notes=(
            *notes,
            "F and p: against the noise, seeds being blocks; uncorrected. A share belongs to the "
            "levels that were chosen: one very bad level makes its factor matter.",
        ),
    )
