"""Pairs of cells that differ in one factor alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from study.analysis.parts import Sheet
from study.analysis.sheets.scores import (
    SHOWN,
    Score,
    Scores,
    count_text,
    interval_text,
    left_out,
    p_text,
    short_levels,
    signed,
    unit_words,
)
from study.analysis.statistics.corrections import holm_known
from study.analysis.statistics.intervals import has_spread, paired, paired_p
from study.analysis.statistics.sensitivity import seeds_needed
from study.outputs.factors import cell_level, varying_factors

COLUMNS = (
    "factor",
    "from",
    "to",
    "the others",
    "difference",
    "95 % paired",
    "p (Holm)",
    "95 % Welch",
    "correlation",
    "seeds to tell",
)


@dataclass(frozen=True)
class Pair:
    """Two cells that differ in `factor` alone; `values` are those of their common seeds."""

    factor: str
    levels: tuple[str, str]
    first: Score
    second: Score
    values: tuple[tuple[float, ...], tuple[float, ...]]

    @property
    def differences(self) -> list[float]:
        """For each common seed second - first."""
        return [b - a for a, b in zip(*self.values, strict=True)]

    @property
    def difference(self) -> float:
        """The mean of the differences."""
        return math.fsum(self.differences) / len(self.differences)

    @property
    def has_spread(self) -> bool:
        """Whether the seeds differ in the difference."""
        return has_spread(*self.values)

    @property
    def p(self) -> float | None:
        """The two-sided p of no difference, paired by seed; None without spread."""
        first, second = self.values
        return paired_p(second, first)


def pairs_of(scores: Scores) -> list[Pair]:
    """For each factor, every level against the first one that its surroundings have.

    Cells with diverged replicas, and pairs with fewer than two seeds in common, are left out.
    """
    factors = varying_factors(scores.cells)
    levels = {factor: [cell_level(cell, factor) for cell in scores.cells] for factor in factors}
    found = []
    for factor in factors:
        short = short_levels(levels[factor])
        first: dict[tuple[str, ...], tuple[str, Score]] = {}
        for place, score in enumerate(scores.scores):
            surroundings = tuple(levels[other][place] for other in factors if other != factor)
            level, base = first.setdefault(surroundings, (short[place], score))
            seeds = [seed for seed in base.values if seed in score.values]
            values = tuple(base.values[s] for s in seeds), tuple(score.values[s] for s in seeds)
            if base is not score and len(seeds) >= 2:
                found.append(Pair(factor, (level, short[place]), base, score, values))
    return found


def pairs(scores: Scores, suffix: str = "") -> Sheet | None:
    """The pairs, the largest differences first; None if there is none."""
    found = pairs_of(scores)
    adjusted = holm_known([pair.p for pair in found])
    tested = sorted(zip(found, adjusted, strict=True), key=lambda line: -abs(line[0].difference))
    if not tested:
        return None
    factors = varying_factors(scores.cells)
    return Sheet(
        name=f"pairs{suffix}",
        title=f"Cells in pairs{scores.where}",
        caption=f"Difference of {unit_words(scores.metric)} between two cells that differ in one "
        "factor alone, second minus first, the largest first.",
        columns=COLUMNS,
        rows=tuple(_row(scores, pair, p, factors) for pair, p in tested[:SHOWN]),
        notes=(*left_out(len(tested), "pairs"), *_NOTES),
    )


_NOTES = (
    "95 % paired: the t interval of the differences seed by seed; this one decides. 95 % Welch: "
    "as if the seeds did not pair the cells; correlation: of the two cells over seeds; where it "
    "is positive, pairing helps.",
    "p (Holm): of no difference, paired, corrected over all pairs of this study that differ in "
    "one factor. Where all seeds have the same difference there is no spread, and so neither "
    "interval nor p.",
    "seeds to tell: how many seeds would show this difference four times in five (paired t test "
    "at 5 %), if its size and spread are as measured.",
)


def _row(scores: Scores, pair: Pair, p: float | None, factors: Sequence[str]) -> tuple[str, ...]:
    metric = scores.metric
    first, second = pair.values
    difference = paired(second, first)
    low, high = (difference.low, difference.high) if pair.has_spread else (None, None)
    needed = None
    if pair.has_spread and difference.standard_error is not None:
        deviation = difference.standard_error * math.sqrt(difference.num)
        needed = seeds_needed(pair.difference, deviation)
    welch = difference.welch if any(len(set(each)) > 1 for each in pair.values) else None
    others = [cell_level(pair.first.cell, f) for f in factors if f != pair.factor]
    return (
        pair.factor,
        *pair.levels,
        " / ".join(others) or "–",
        signed(metric, difference.mean),
        interval_text(low, high, metric.text),
        p_text(p),
        interval_text(welch and welch.low, welch and welch.high, metric.text),
        "–" if difference.correlation is None else f"{difference.correlation:.2f}",
        "–" if needed is None else count_text(needed),
    )
