import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import TTestPower

from study.analysis.statistics.sensitivity import seeds_needed


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
    # statsmodels' own power is not a number for larger effects of two or three seeds.
    if num < 1_000 and difference / deviation < 5:
        assert power(difference / deviation, num, 0.05) >= 0.8
        assert num == 2 or power(difference / deviation, num - 1, 0.05) < 0.8
    assert num == seeds_needed(-difference, deviation)


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
