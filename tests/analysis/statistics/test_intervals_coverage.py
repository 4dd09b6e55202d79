"""Simulations: how often an interval of normal seeds covers the truth."""

import numpy as np
import pytest

from study.analysis.statistics.effects import effects
from study.analysis.statistics.intervals import paired, t_interval

NUM_SAMPLES = 10_000


def covers(low: float | None, truth: float, high: float | None) -> bool:
    assert low is not None
    assert high is not None
    return low <= truth <= high


@pytest.mark.parametrize("num_seeds", [5, 10])
def test_t_intervals_cover_the_mean_19_times_of_20(num_seeds: int) -> None:
    rows = np.random.default_rng(num_seeds).normal(1.7, 0.3, (NUM_SAMPLES, num_seeds)).tolist()
    intervals = [t_interval(row) for row in rows]
    coverage = np.mean([covers(found.low, 1.7, found.high) for found in intervals])
    assert 0.93 <= coverage <= 0.97


@pytest.mark.parametrize("num_seeds", [5, 10])
def test_paired_and_welch_intervals_cover_the_difference(num_seeds: int) -> None:
    draw = np.random.default_rng(num_seeds)
    shared = draw.normal(size=(2_000, num_seeds))
    first, second = (shared + draw.normal(mean, 1, shared.shape) for mean in (0.5, 0.2))
    found = [paired(*row) for row in zip(first.tolist(), second.tolist(), strict=True)]
    coverage = np.mean([covers(row.low, 0.3, row.high) for row in found])
    welch = np.mean([covers(row.welch.low, 0.3, row.welch.high) for row in found])
    assert 0.93 <= coverage <= 0.97
    assert welch > coverage  # seeds in common make it wider than it need be


def test_a_factor_without_effect_is_significant_one_time_in_twenty() -> None:
    draw = np.random.default_rng(0)
    levels = {"a": ["x", "x", "y", "y"], "b": ["u", "v", "u", "v"]}
    found = [effects(levels, draw.normal(size=(4, 5))) for _ in range(1_000)]
    small = [term.p is not None and term.p < 0.05 for row in found if row for term in row.terms]
    assert np.mean(small) == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / len(small)))
