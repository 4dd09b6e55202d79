"""How much hangs on the learning rate: every cell's curve."""

import math
from collections.abc import Mapping, Sequence

from study.analysis.parts import Sheet
from study.analysis.sheets.scores import SHOWN, Score, Scores, left_out, score_of, unit_words
from study.analysis.statistics.sensitivity import good_region
from study.outputs.records import CellRecord

TOLERANCE = 0.1
"""A learning rate is good if its validation error is at most this share above the best one's."""
MOST_RATES = 12


def learning_rates(scores: Scores, suffix: str = "") -> Sheet | None:
    """Validation error at every learning rate, and how wide the good region is."""
    rates = rates_of(scores.cells)
    if len(rates) < 2:
        return None
    validation = scores.by("val_error")
    curves = {
        score.words: {r: score_of(score.cell, "", validation.metric, r) for r in own.rates}
        for score in scores.ranked[:SHOWN]
        if (own := score.cell.finished)
    }
    text = validation.metric.text
    texts = {
        words: {r: text(each.mean) if each.values else "diverged" for r, each in curve.items()}
        for words, curve in curves.items()
    }
    shown = rates if len(rates) <= MOST_RATES else []
    return Sheet(
        name=f"learning-rates{suffix}",
        title=f"Learning rates{scores.where}",
        caption=f"Mean {unit_words(validation.metric)} over seeds at every learning rate, cells "
        "ordered by their headline.",
        columns=(scores.corner, *(f"{rate:g}" for rate in shown), "good", "decades"),
        rows=tuple(
            (words, *(texts[words].get(rate, "–") for rate in shown), *_region(curve))
            for words, curve in curves.items()
        ),
        notes=(
            *left_out(len(scores.ranked), "cells"),
            "good: the unbroken run of learning rates around the best with a mean validation error "
            f"at most {100 * TOLERANCE:.0f} % above its; decades: its width, log10 of highest over "
            "lowest. < or >: it ends where the grid does, and may be wider.",
            "diverged: some seed diverged there, or its error is not finite.",
            *([] if shown else [f"There are {len(rates)} learning rates, too many to show each."]),
        ),
    )


def rates_of(cells: Sequence[CellRecord]) -> list[float]:
    """Every learning rate of some replica, in order."""
    return sorted({rate for cell in cells if cell.result for rate in cell.result.rates})


def _region(curve: Mapping[float, Score]) -> tuple[str, str]:
    means = {rate: score.mean for rate, score in curve.items()}
    best = min(means.values())
    region = good_region(means, TOLERANCE * best) if math.isfinite(best) else None
    if region is None:
        return "–", "–"
    below, above = "<" if region.open_below else "", ">" if region.open_above else ""
    return f"{below}{region.lowest:g} to {region.highest:g}{above}", f"{region.decades:.1f}"
