"""Pairs of cells that differ in one factor alone, and pairs that are asked for."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from study.analysis.factors import cell_level, varying_factors
from study.analysis.parts import Sheet
from study.analysis.requests import Comparison
from study.analysis.sheets.scores import (
    SHOWN,
    Score,
    Scores,
    asked_pairs,
    count_text,
    interval_text,
    left_out,
    p_text,
    short_levels,
    signed,
    unit_words,
)
from study.analysis.statistics.corrections import holm_known
from study.analysis.statistics.equivalence import smallest_margin, tost
from study.analysis.statistics.intervals import has_spread, mean_and_error, paired, paired_p
from study.analysis.statistics.power import resolvable_difference, seeds_needed, seeds_to_resolve
from study.analysis.statistics.robust import MIN_SEEDS, probability_of_improvement, signed_rank_test
from study.config.labels import counted

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
    "signed rank",
    "seeds to tell",
    "same within",
)
ASKED = "*"
ALPHA = 0.05


@dataclass(frozen=True)
class Pair:
    """Two cells that differ in `factors` alone; `values` are those of their common seeds."""

    factors: tuple[str, ...]
    levels: tuple[str, str]
    first: Score
    second: Score
    values: tuple[tuple[float, ...], tuple[float, ...]]

    @property
    def factor(self) -> str:
        """What they differ in, in words."""
        return " / ".join(self.factors)

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
    return [pair for factor in factors for pair in _pairs_along(scores, factor, factors, levels)]


def _pairs_along(
    scores: Scores, factor: str, factors: list[str], levels: dict[str, list[str]]
) -> Iterator[Pair]:
    short = short_levels(levels[factor])
    first: dict[tuple[str, ...], tuple[str, Score]] = {}
    for place, score in enumerate(scores.scores):
        surroundings = tuple(levels[other][place] for other in factors if other != factor)
        level, base = first.setdefault(surroundings, (short[place], score))
        values = _shared(base, score)
        if base is not score and len(values[0]) >= 2:
            yield Pair((factor,), (level, short[place]), base, score, values)


def pairs_asked(scores: Scores, compare: Sequence[Comparison]) -> list[Pair]:
    """The pairs that the experiment's file asks for; without two seeds in common, none."""
    factors = varying_factors(scores.cells)
    found = []
    for first, second in asked_pairs(scores, compare):
        sides = [[cell_level(each.cell, f) for f in factors] for each in (first, second)]
        apart = [a != b for a, b in zip(*sides, strict=True)]
        levels = [" / ".join(itertools.compress(side, apart)) for side in sides]
        values = _shared(first, second)
        if len(values[0]) >= 2:
            differing = tuple(itertools.compress(factors, apart))
            found.append(Pair(differing, (levels[0], levels[1]), first, second, values))
    return found


def _shared(first: Score, second: Score) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The values of both at the seeds that both have."""
    seeds = [seed for seed in first.values if seed in second.values]
    return tuple(first.values[s] for s in seeds), tuple(second.values[s] for s in seeds)


def pairs(
    scores: Scores,
    suffix: str = "",
    *,
    compare: Sequence[Comparison] = (),
    margin: float | None = None,
) -> Sheet | None:
    """The pairs asked for, then the others, the largest differences first; None if there is none.

    `margin`: the difference within which two cells count as the same, as recorded.
    """
    asked = _tested(pairs_asked(scores, compare), ASKED)
    others = sorted(_tested(pairs_of(scores)), key=lambda line: -abs(line.pair.difference))
    shown = [*asked, *others][:SHOWN]
    if not shown:
        return None
    factors = varying_factors(scores.cells)
    rows = [_row(scores, line, factors) for line in shown]
    families = shown[: len(asked)], shown[len(asked) :]
    within = [] if margin is None else [f"within {scores.metric.text(margin)}"]
    alike = [text for family in families for text in _within(family, margin)]
    return Sheet(
        name=f"pairs{suffix}",
        title=f"Cells in pairs{scores.where}",
        caption=f"Difference of {unit_words(scores.metric)} between two cells that differ in one "
        "factor alone, second minus first, the largest first"
        + (
            f"; before them ({ASKED}) the pairs that the experiment's file asks for."
            if asked
            else "."
        ),
        columns=(*COLUMNS, *within),
        rows=tuple((*row, *text) for row, text in zip(rows, alike, strict=True)),
        notes=(
            *left_out(len(asked) + len(others), "pairs"),
            *_lost(len(asked_pairs(scores, compare)) - len(asked)),
            *_NOTES,
            *(_MARGIN_NOTE for _ in within),
        ),
    )


_NOTES = (
    "95 % paired: the t interval of the differences seed by seed; this one decides. 95 % Welch: "
    "as if the seeds did not pair the cells; correlation: of the two cells over seeds; where it "
    "is positive, pairing helps.",
    "p (Holm): of no difference, paired, corrected over all pairs of this study that differ in "
    "one factor, or over those that the experiment's file asks for. Where all seeds have the same "
    "difference there is no spread, and so neither interval nor p.",
    "P(better): the probability that a replica of the second cell beats one of the first "
    "(a tie counts half), over all pairs of seeds, with its 95 % interval (Newcombe 2006).",
    f"signed rank: p of Wilcoxon's test of the differences, uncorrected, for those who doubt that "
    f"they are normal; below {MIN_SEEDS} seeds it can show nothing. It decides nothing here.",
    "seeds to tell: how many seeds would show this difference four times in five (paired t test "
    "at 5 %), if its size and spread are as measured.",
    "same within: the smallest margin within which these seeds show the two to be the same (two "
    "one-sided t tests at 5 %, uncorrected: a smaller one than `within` may not be shown there).",
)
_MARGIN_NOTE = (
    "within: whether two one-sided t tests (5 %) show the difference to be smaller than the margin "
    "that the experiment's file states; p corrected (Holm) over the rows of this table, those "
    "that the experiment's file asks for apart. Not shown does not mean that they differ."
)


@dataclass(frozen=True)
class _Line:
    """A pair, its p corrected over its family, and what marks it."""

    pair: Pair
    p: float | None
    mark: str


def _tested(pairs: Sequence[Pair], mark: str = "") -> list[_Line]:
    """The pairs of one family."""
    adjusted = holm_known([pair.p for pair in pairs])
    return [_Line(pair, p, mark) for pair, p in zip(pairs, adjusted, strict=True)]


def _row(scores: Scores, line: _Line, factors: Sequence[str]) -> tuple[str, ...]:
    metric, pair = scores.metric, line.pair
    first, second = pair.values
    difference = paired(second, first)
    low, high = (difference.low, difference.high) if pair.has_spread else (None, None)
    welch = difference.welch if any(len(set(each)) > 1 for each in pair.values) else None
    others = [cell_level(pair.first.cell, f) for f in factors if f not in pair.factors]
    return (
        f"{pair.factor} {line.mark}".strip(),
        *pair.levels,
        " / ".join(others) or "–",
        signed(metric, difference.mean),
        interval_text(low, high, metric.text),
        p_text(line.p),
        interval_text(welch and welch.low, welch and welch.high, metric.text),
        "–" if difference.correlation is None else f"{difference.correlation:.2f}",
        *_beside(scores, pair),
    )


def _beside(scores: Scores, pair: Pair) -> tuple[str, str, str, str]:
    first, second = pair.values
    better = probability_of_improvement(second, first)
    ranks = signed_rank_test(second, first)
    margin = smallest_margin(second, first) if pair.has_spread else None
    needed = seeds_to_resolve(second, first, pair.difference) if pair.has_spread else None
    return (
        f"{better.value:.2f} {interval_text(better.low, better.high, '{:.2f}'.format)}",
        f"n < {MIN_SEEDS}" if ranks is None else p_text(ranks.p),
        "–" if needed is None else count_text(needed.num),
        "–" if margin is None else scores.metric.text(margin),
    )


def _lost(num: int) -> list[str]:
    """The note on pairs asked for that nothing can be said of."""
    return [f"{num} of the pairs asked for share fewer than two sound seeds."] if num else []


def _within(lines: Sequence[_Line], margin: float | None) -> list[list[str]]:
    """Whether each pair of one family is shown to be the same; nothing without a margin."""
    if margin is None:
        return [[] for _ in lines]
    tests = [tost(*line.pair.values, margin) if line.pair.has_spread else None for line in lines]
    adjusted = holm_known([test.p if test else None for test in tests])
    return [["–" if p is None else _verdict(p)] for p in adjusted]


def _verdict(p: float) -> str:
    return f"{'same' if p < ALPHA else 'not shown'} (p {p_text(p)})"


# How many seeds a difference needs.


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
