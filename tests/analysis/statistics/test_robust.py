import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from study.analysis.statistics.intervals import t_interval
from study.analysis.statistics.robust import iqm, probability_of_improvement

numbers = st.floats(-100, 100).map(lambda number: round(number, 2))
samples = st.lists(numbers, min_size=2, max_size=25)


@given(samples)
def test_the_interquartile_mean_is_scipys_trimmed_mean(values: list[float]) -> None:
    found = iqm(values)
    assert found.value == pytest.approx(stats.trim_mean(values, 0.25), abs=1e-9)
    assert found.low is not None
    assert found.high is not None
    if found.high - found.low > 0.1:
        # Yuen's test against a sample without spread is that of Tukey and McLaughlin.
        yuen = stats.ttest_ind(values, [0.0] * 8, equal_var=False, trim=0.25)
        assert (found.low, found.high) == pytest.approx(tuple(yuen.confidence_interval()))


@given(st.lists(numbers, min_size=2, max_size=3))
def test_of_three_values_nothing_is_cut(values: list[float]) -> None:
    assert iqm(values) == pytest.approx(t_interval(values)[:3])


def test_a_lost_seed_does_not_move_it_and_two_of_five_do() -> None:
    values = [0.02, 0.021, 0.022, 0.023]
    assert iqm([*values, math.inf]) == iqm([*values, 0.9])
    found = iqm([*values[:3], math.inf, math.inf])
    assert (found.value, found.low, found.high) == (math.inf, None, None)
    assert iqm([0.5]) == (0.5, None, None)
    with pytest.raises(ValueError, match="no value"):
        iqm([])


@given(samples, samples)
def test_the_chance_of_improvement_is_the_share_of_pairs(
    first: list[float], second: list[float]
) -> None:
    found = probability_of_improvement(first, second)
    pairs = [(a < b) + (a == b) / 2 for a in first for b in second]
    assert found.value == pytest.approx(np.mean(pairs))
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high
    higher = probability_of_improvement(first, second, direction="higher")
    back = probability_of_improvement(second, first)
    assert higher == pytest.approx(tuple(back))
    assert back == pytest.approx((1 - found.value, 1 - found.high, 1 - found.low), abs=1e-9)


def test_five_clear_wins_are_not_certainty() -> None:
    found = probability_of_improvement([1, 2, 3, 4, 5], [6, 7, 8, 9, math.inf])
    assert (found.value, found.high) == (1, 1)
    assert found.low == pytest.approx(0.64, abs=0.01)


def test_newcombes_interval_solves_its_equation() -> None:
    draw = np.random.default_rng(0)
    first, second = draw.normal(size=8), draw.normal(0.4, 1, 11)
    found = probability_of_improvement(first, second, confidence=0.9)
    z = stats.norm.ppf(0.95)
    for end in (found.low, found.high):
        assert end is not None
        inner = 1 + (9.5 - 1) * ((1 - end) / (2 - end) + end / (1 + end))
        assert abs(found.value - end) == pytest.approx(z * np.sqrt(end * (1 - end) * inner / 88))


def test_no_run_improves_nothing() -> None:
    with pytest.raises(ValueError, match="no run"):
        probability_of_improvement([], [1.0])
