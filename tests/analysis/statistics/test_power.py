import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import TTestPower

from study.analysis.statistics.intervals import paired
from study.analysis.statistics.power import resolvable_difference, seeds_needed, seeds_to_resolve


@settings(max_examples=20)
@given(st.floats(0.05, 1.0), st.sampled_from([0.5, 0.8, 0.95]))
def test_the_seeds_needed_are_statsmodels_rounded_up(effect: float, power: float) -> None:
    exact = TTestPower().solve_power(effect, alpha=0.05, power=power)
    assert seeds_needed(effect, 1.0, power=power) == math.ceil(float(exact))


@settings(max_examples=20)
@given(st.floats(0.01, 10), st.floats(0.01, 10))
def test_one_seed_fewer_is_not_enough(difference: float, deviation: float) -> None:
    num = seeds_needed(difference, deviation)
    power = TTestPower().power
    if num < 1_000 and difference / deviation < 20:
        assert power(difference / deviation, num, 0.05) >= 0.8
        assert num == 2 or power(difference / deviation, num - 1, 0.05) < 0.8
    assert num == seeds_needed(-difference, deviation)


@pytest.mark.parametrize("num", [2, 5, 10, 100])
def test_the_resolvable_difference_needs_just_these_seeds(num: int) -> None:
    difference = resolvable_difference(0.3, num)
    assert difference is not None
    assert seeds_needed(difference * 1.0001, 0.3) == num
    assert seeds_needed(difference * 0.9999, 0.3) == num + 1
    assert resolvable_difference(0.6, num) == pytest.approx(2 * difference)


def test_simulated_studies_of_that_size_find_the_difference_four_times_in_five() -> None:
    num = int(seeds_needed(0.4, 0.3))
    rows = np.random.default_rng(0).normal(0.4, 0.3, (4_000, num))
    found = stats.ttest_1samp(rows, 0, axis=1).pvalue < 0.05
    exact = TTestPower().power(0.4 / 0.3, num, 0.05)
    assert found.mean() == pytest.approx(exact, abs=0.02)
    assert exact >= 0.8


def test_the_ends_of_what_can_be_asked() -> None:
    assert seeds_needed(0.0, 1.0) == math.inf
    assert seeds_needed(1e-6, 1.0) == math.inf
    assert seeds_needed(1.0, 0.0) == 2
    assert seeds_needed(1e9, 1.0) == seeds_needed(1e3, 1.0) == 2
    assert resolvable_difference(1.0, 1) is None
    assert seeds_to_resolve([1.0], [2.0], 0.1) is None


def test_five_seeds_know_the_seeds_needed_badly() -> None:
    first, second = [1.0, 2.0, 3.0, 4.0, 5.0], [1.1, 2.2, 2.9, 4.5, 4.8]
    found = seeds_to_resolve(first, second, 0.2)
    assert found is not None
    deviation = float(np.std(np.subtract(first, second), ddof=1))
    assert found.num == seeds_needed(0.2, deviation)
    ends = [deviation * np.sqrt(4 / stats.chi2.ppf(q, 4)) for q in (0.975, 0.025)]
    assert (found.low, found.high) == tuple(seeds_needed(0.2, float(end)) for end in ends)
    assert found.low < found.num < found.high
    assert paired(first, second).num == 5
