import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.report.page.verdicts import GLYPHS, cards, counts, line_of
from tests.page_reports import verdict

NUMBERS = st.floats(-1e6, 1e6)


@given(
    NUMBERS,
    NUMBERS,
    NUMBERS,
    st.sampled_from(["lower by", "at least as low within", "same within"]),
)
def test_places_on_the_line_are_in_the_order_of_the_numbers(
    first: float, second: float, third: float, kind: str
) -> None:
    low, estimate, high = sorted((first, second, third))
    line = line_of(verdict(kind=kind, effect=(estimate, low, high)))
    assert line is not None
    assert line.low is not None
    assert line.high is not None
    assert 0 <= line.low <= line.estimate <= line.high <= 100
    assert (line.zero <= line.estimate) if estimate >= 0 else (line.zero >= line.estimate)
    assert all(0 <= mark <= 100 for mark in line.marks)


@pytest.mark.parametrize(
    ("kind", "num_before", "num_after"),
    [("higher by", 0, 1), ("at least as high within", 1, 0), ("same within", 1, 1)],
)
def test_marks_stand_on_the_side_that_the_kind_asks_for(
    kind: str, num_before: int, num_after: int
) -> None:
    line = line_of(verdict(kind=kind))
    assert line is not None
    assert sum(mark < line.zero for mark in line.marks) == num_before
    assert sum(mark > line.zero for mark in line.marks) == num_after


@pytest.mark.parametrize("effect", [(None, None, None), (math.inf, None, None)])
def test_without_a_finite_effect_there_is_no_line(
    effect: tuple[float | None, float | None, float | None],
) -> None:
    assert line_of(verdict(effect=effect)) is None


def test_an_endless_bound_ends_at_the_lines_end() -> None:
    line = line_of(verdict(effect=(1.0, 0.5, math.inf)))
    assert line is not None
    assert line.high == 100


def test_cards_have_every_verdict_and_counts_every_outcome() -> None:
    verdicts = [verdict(), verdict("refuted"), verdict(), verdict("not decidable")]
    assert [card.glyph for card in cards(verdicts)] == [GLYPHS[v.outcome] for v in verdicts]
    assert [card.slug for card in cards(verdicts)][-1] == "not-decidable"
    assert [(name, number) for _, name, number in counts(verdicts)] == [
        ("supported", 2),
        ("refuted", 1),
        ("not decidable", 1),
    ]
