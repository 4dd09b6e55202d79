"""Pairs of cells that differ in one factor alone: what each step of a factor does."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from study.report.factors import cell_level, varying_factors
from study.report.parts import Sheet
from study.report.sheets.scores import (
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
from study.statistics.corrections import holm
from study.statistics.equivalence import smallest_margin
from study.statistics.intervals import PairedDifference, mean_and_error, paired, t_test
from study.statistics.power import seeds_to_resolve
from study.statistics.robust import probability_of_improvement

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
    "P(better)",
    "same within",
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
    def p(self) -> float:
        """The two-sided p of no difference, paired by seed."""
        mean, error = mean_and_error(self.differences)
        assert error is not None
        return t_test(mean, error, len(self.differences) - 1)


def pairs_of(scores: Scores) -> list[Pair]:
    """For each factor, every level against the first one that its surroundings have.

    Cells with diverged replicas, and pairs with fewer than two seeds in common, are left out.
    """
    factors = varying_factors(scores.cells)
    levels = {factor: [cell_level(cell, factor) for cell in scores.cells] for factor in factors}
    return [pair for factor in factors for pair in _pairs_along(scores, factor, factors, levels)]


def _pairs_along(
    scores: Scores, factor: str, factors: list[str], levels: dict[str, list[str]]
) -> Iterator[Pair]:
    short = short_levels(levels[factor])
    first: dict[tuple[str, ...], tuple[str, Score]] = {}
    for place, score in enumerate(scores.scores):
        surroundings = tuple(levels[other][place] for other in factors if other != factor)
        level, base = first.setdefault(surroundings, (short[place], score))
        seeds = [seed for seed in base.values if seed in score.values]
        if base is not score and len(seeds) >= 2:
            values = tuple(tuple(each.values[s] for s in seeds) for each in (base, score))
            yield Pair(factor, (level, short[place]), base, score, (values[0], values[1]))


def pairs(scores: Scores, suffix: str = "") -> Sheet | None:
    """The pairs, the largest differences first; None if there is none."""
    found = pairs_of(scores)
    if not found:
        return None
    adjusted = holm([pair.p for pair in found])
    order = sorted(range(len(found)), key=lambda place: -abs(found[place].difference))
    factors = varying_factors(scores.cells)
    return Sheet(
        name=f"pairs{suffix}",
        title=f"One factor at a time{scores.where}",
        caption=f"Difference of {unit_words(scores.metric)} between two cells that differ in one "
        "factor alone, second minus first, the largest first.",
        columns=COLUMNS,
        rows=tuple(_row(scores, found[at], adjusted[at], factors) for at in order[:SHOWN]),
        notes=(*left_out(len(found), "pairs"), *_NOTES),
    )


_NOTES = (
    "95 % paired: the t interval of the differences seed by seed; this one decides. 95 % Welch: "
    "as if the seeds did not pair the cells; correlation: of the two cells over seeds; where it "
    "is positive, pairing helps.",
    "p (Holm): of no difference, paired, corrected over all pairs of this study.",
    "P(better): the probability that a replica of the second cell beats one of the first "
    "(a tie counts half), over all pairs of seeds, with its 95 % interval (Newcombe 2006).",
    "same within: the smallest margin within which these seeds show the two to be the same (two "
    "one-sided t tests at 5 %).",
    "seeds to tell: how many seeds would show this difference four times in five (paired t test "
    "at 5 %), if its size and spread are as measured.",
)


def _row(scores: Scores, pair: Pair, adjusted: float, factors: list[str]) -> tuple[str, ...]:
    metric = scores.metric
    first, second = pair.values
    difference = paired(second, first)
    others = [cell_level(pair.first.cell, factor) for factor in factors if factor != pair.factor]
    return (
        pair.factor,
        *pair.levels,
        " / ".join(others) or "–",
        signed(metric, difference.mean),
        interval_text(difference.low, difference.high, metric.text),
        p_text(adjusted),
        interval_text(difference.welch.low, difference.welch.high, metric.text),
        "–" if difference.correlation is None else f"{difference.correlation:.2f}",
        *_robust(scores, pair, difference),
    )


def _robust(scores: Scores, pair: Pair, difference: PairedDifference) -> tuple[str, str, str]:
    first, second = pair.values
    better = probability_of_improvement(second, first)
    margin = smallest_margin(second, first)
    needed = seeds_to_resolve(second, first, difference.mean)
    return (
        f"{better.value:.2f} {interval_text(better.low, better.high, '{:.2f}'.format)}",
        "–" if margin is None else scores.metric.text(margin),
        "–" if needed is None else count_text(needed.num),
    )
