"""Verdicts as the page shows them: their texts, and where effect and bounds stand on a line."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from study.analysis.parts import Verdict
from study.analysis.sheets.scores import COLUMNS, verdict_sheet

GLYPHS = {"supported": "✓", "refuted": "✕", "undecided": "?", "not decidable": "–"}
_MARGIN = 0.07


@dataclass(frozen=True)
class Line:
    """Positions along a verdict's line, in percent of its length.

    `marks` are where the effects stand that matter, `low` and `high` the bounds (None: there are
    none; one that is not finite is the line's end).
    """

    zero: float
    marks: tuple[float, ...]
    estimate: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Card:
    """A verdict and its texts, which are those of the sheet of verdicts."""

    verdict: Verdict
    slug: str
    glyph: str
    effect: str
    bounds: str
    p: str
    smallest: str
    smallest_name: str
    line: Line | None


def cards(verdicts: Sequence[Verdict]) -> list[Card]:
    """A card for each verdict."""
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in verdict_sheet(verdicts).rows]
    return [
        Card(
            verdict=verdict,
            slug=verdict.outcome.replace(" ", "-"),
            glyph=GLYPHS.get(verdict.outcome, "–"),
            effect=row["effect"],
            bounds=row["bounds"],
            p=row["p (Holm)"],
            smallest=row["smallest that matters"],
            smallest_name="margin" if _is_margin(verdict) else "matters from",
            line=line_of(verdict),
        )
        for verdict, row in zip(verdicts, rows, strict=True)
    ]


def counts(verdicts: Sequence[Verdict]) -> list[tuple[str, str, int]]:
    """Glyph, outcome and number of the outcomes that occur, in a fixed order."""
    found = Counter[str](verdict.outcome for verdict in verdicts)
    return [(glyph, name, found[name]) for name, glyph in GLYPHS.items() if found.get(name)]


def line_of(verdict: Verdict) -> Line | None:
    """Where a verdict's effect stands among 0 and the effects that matter; None without effect."""
    if verdict.estimate is None or not math.isfinite(verdict.estimate):
        return None
    smallest = verdict.smallest
    marks: tuple[float, ...] = (smallest,)
    if _is_margin(verdict):
        marks = (-smallest, smallest) if "same" in verdict.kind else (-smallest,)
    bounds = (verdict.low, verdict.high)
    known = [bound for bound in bounds if bound is not None and math.isfinite(bound)]
    points = [0.0, *marks, verdict.estimate, *known]
    width = max(points) - min(points) or 1.0
    start, length = min(points) - _MARGIN * width, (1 + 2 * _MARGIN) * width

    def place(number: float) -> float:
        return round(min(max((number - start) / length, 0.0), 1.0) * 100, 2)

    return Line(
        zero=place(0.0),
        marks=tuple(place(mark) for mark in marks),
        estimate=place(verdict.estimate),
        low=None if verdict.low is None else place(verdict.low),
        high=None if verdict.high is None else place(verdict.high),
    )


def _is_margin(verdict: Verdict) -> bool:
    """Whether the smallest effect bounds what is still alike, not what is different."""
    return "same" in verdict.kind or "at least" in verdict.kind
