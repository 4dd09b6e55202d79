import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from study.analysis.statistics.intervals import (
    distinguishable,
    median,
    paired_difference,
    t_interval,
)

numbers = st.floats(-1e3, 1e3).map(lambda number: round(number, 6))
samples = st.lists(numbers, min_size=2, max_size=20)
pairs = st.lists(st.tuples(numbers, numbers), min_size=2, max_size=20)


@given(samples, st.sampled_from([0.8, 0.95, 0.99]))
def test_the_t_interval_is_scipys(values: list[float], confidence: float) -> None:
    assume(np.ptp(values) > 1e-3)
    interval = t_interval(values, confidence=confidence)
    scale = stats.sem(values)
    low, high = stats.t.interval(confidence, len(values) - 1, loc=np.mean(values), scale=scale)
    assert interval.low == pytest.approx(low, rel=1e-9, abs=1e-9)
    assert interval.high == pytest.approx(high, rel=1e-9, abs=1e-9)


@given(pairs)
def test_the_paired_interval_is_scipys(values: list[tuple[float, float]]) -> None:
    first, second = np.array(values).T
    assume(np.ptp(first - second) > 1e-3)
    interval = paired_difference(first, second)
    expected = stats.ttest_rel(first, second).confidence_interval(0.95)
    assert interval.low == pytest.approx(expected.low, rel=1e-9, abs=1e-9)
    assert interval.high == pytest.approx(expected.high, rel=1e-9, abs=1e-9)


@given(pairs)
def test_distinguishable_means_a_two_sided_p_below_5_percent(
    values: list[tuple[float, float]],
) -> None:
    first, second = np.array(values).T
    assume(np.ptp(first - second) > 1e-3)
    p = stats.ttest_rel(first, second).pvalue
    assume(abs(p - 0.05) > 1e-6)
    assert distinguishable(first, second) == (p < 0.05)


@given(samples, st.randoms())
def test_no_number_depends_on_the_order_of_seeds(values: list[float], random: object) -> None:
    shuffled = sorted(values, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert t_interval(shuffled) == t_interval(values)
    assert median(shuffled) == median(values) == pytest.approx(np.median(values))


@given(samples)
def test_low_mean_high_are_in_order(values: list[float]) -> None:
    interval = t_interval(values)
    assert interval.low is not None
    assert interval.high is not None
    assert interval.low <= interval.mean <= interval.high
    assert interval.half_width == interval.high - interval.mean


def test_one_seed_has_no_interval_and_tells_nothing_apart() -> None:
    interval = t_interval([0.25])
    assert (interval.mean, interval.low, interval.high, interval.num) == (0.25, None, None, 1)
    assert interval.half_width is None
    assert distinguishable([0.1], [0.9]) is None
    with pytest.raises(ValueError, match="no values"):
        t_interval([])


def test_seeds_without_spread() -> None:
    assert distinguishable([0.1, 0.2, 0.3], [0.1, 0.2, 0.3]) is False
    assert distinguishable([0.5, 0.5], [0.25, 0.25]) is True
    rounded = [0.1 + 0.2, 0.1 + 0.2, 0.1 + 0.2]
    assert distinguishable(rounded, [0.3, 0.3, 0.3]) is False


def test_a_gap_between_seeds_cancels_in_pairs() -> None:
    seeds = np.array([0.1, 0.5, 0.9, 0.3, 0.7])
    noise = np.array([0.001, -0.001, 0.0005, 0.0, -0.0005])
    assert distinguishable(seeds + 0.02 + noise, seeds)
    assert stats.ttest_ind(seeds + 0.02 + noise, seeds).pvalue > 0.5


def test_unequal_numbers_of_seeds_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match="shorter"):
        paired_difference([0.1, 0.2, 0.3], [0.1, 0.2])


def test_the_interval_covers_the_truth_95_percent_of_the_time() -> None:
    draws = np.random.default_rng(0).normal(size=(4000, 5))
    intervals = [t_interval(row.tolist()) for row in draws]
    covered = sum(i.low <= 0 <= i.high for i in intervals if i.low is not None and i.high)
    assert 0.93 < covered / len(draws) < 0.97


def test_a_median_may_be_infinite() -> None:
    assert median([0.1, math.inf, 0.2]) == 0.2
    assert median([0.1, math.inf]) == math.inf
    assert median([math.inf, math.inf]) == math.inf
