"""Which choice matters most: the share of the variance that each factor accounts for."""

import math

from study.report.factors import cell_level, varying_factors
from study.report.parts import Sheet
from study.report.sheets.scores import (
    SHOWN,
    Scores,
    diverged_note,
    left_out,
    p_text,
    percent,
    unit_words,
)
from study.statistics.effects import Effects
from study.statistics.effects import effects as effects_of


def effects(scores: Scores, suffix: str = "") -> Sheet | None:
    """Main effects and two-factor interactions, the largest first; None where nothing varies."""
    factors = varying_factors(scores.cells)
    found = _found(scores, factors)
    if found is None or not factors:
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
    return Sheet(
        name=f"effects{suffix}",
        title=f"Which choice matters most{scores.where}",
        caption=f"Share of the variance of {unit_words(scores.metric)} that each factor, and each "
        f"two together, account for: {found.num_cells} cells x {found.num_seeds} seeds, at each "
        "cell's chosen learning rate.",
        columns=("factor", "share of variance", "degrees of freedom", "F", "p"),
        rows=(*rows[:SHOWN], *((name, percent(share), "–", "–", "–") for name, share in rest)),
        notes=tuple(_notes(found, len(rows))),
    )


def _found(scores: Scores, factors: list[str]) -> Effects | None:
    """The analysis over the seeds that every cell has."""
    seeds = set.intersection(*(set(score.all_values) for score in scores.scores))
    if not seeds:
        return None
    levels = {factor: [cell_level(cell, factor) for cell in scores.cells] for factor in factors}
    values = [
        [score.values.get(seed, math.nan) for seed in sorted(seeds)] for score in scores.scores
    ]
    return effects_of(levels, values)


def _notes(found: Effects, total: int) -> list[str]:
    notes = [*left_out(total, "terms"), *diverged_note(found.num_left_out)]
    if found.num_missing:
        notes.append(
            f"{found.num_missing} combinations of levels have no cell that counts: terms overlap, "
            "each is what it adds to all others (type II), and the shares need not sum to 100 %."
        )
    if any(not term.degrees for term in found.terms):
        notes.append("0 degrees of freedom: the cells cannot tell this term from the others.")
    return [
        *notes,
        "F and p: against the noise, seeds being blocks; uncorrected. A share belongs to the "
        "levels that were chosen: one very bad level makes its factor matter.",
    ]
