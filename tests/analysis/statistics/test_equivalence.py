import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.weightstats import ttost_paired

from study.analysis.statistics.equivalence import smallest_margin, tost

numbers = st.floats(-100, 100).map(lambda number: round(number, 3))
pairs = st.lists(st.tuples(numbers, numbers), min_size=2, max_size=12)
margins = st.floats(0.01, 100)


@given(pairs, margins)
def test_tost_is_statsmodels_and_its_interval(
    rows: list[tuple[float, float]], margin: float
) -> None:
    first, second = np.array(rows).T
    found = tost(first, second, margin)
    assert found is not None
    assert found.low <= found.mean <= found.high
    if np.ptp(first - second) > 0.01:
        assert found.p == pytest.approx(ttost_paired(first, second, -margin, margin)[0])
        if abs(found.p - 0.05) > 1e-6:
            assert (found.p < 0.05) == (-margin < found.low and found.high < margin)


@given(pairs)
def test_the_smallest_margin_is_where_tost_turns(rows: list[tuple[float, float]]) -> None:
    first, second = np.array(rows).T
    margin = smallest_margin(first, second)
    assert margin is not None
    for factor, expected in ((1.001, True), (0.999, False)):
        found = tost(first, second, factor * margin + (margin == 0) * 1e-6)
        assert found is not None
        assert (found.p < 0.05) == (expected or margin == 0)
    assert smallest_margin(second, first) == margin


def test_equal_cells_are_equivalent_and_a_constant_gap_is_so_within_more_than_itself() -> None:
    same = tost([1.0, 2.0], [1.0, 2.0], 0.1)
    assert same is not None
    assert (same.p, same.low, same.high) == (0, 0, 0)
    assert (same.margin, same.num) == (0.1, 2)
    apart = [tost([2.0, 3.0], [1.0, 2.0], margin) for margin in (1.0, 1.5)]
    assert [found and found.p for found in apart] == [1, 0]


def test_one_seed_shows_no_sameness_and_a_margin_is_positive() -> None:
    assert tost([1.0], [1.0], 0.1) is None
    assert smallest_margin([1.0], [1.0]) is None
    for margin in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="not positive"):
            tost([1.0, 2.0], [1.0, 2.0], margin)


def test_a_seed_of_one_cell_alone_is_never_dropped() -> None:
    for test in (smallest_margin, lambda first, second: tost(first, second, 0.1)):
        with pytest.raises(ValueError, match="shorter"):
            test([1.0, 2.0, 3.0], [1.0, 2.0])
