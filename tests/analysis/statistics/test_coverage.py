"""Simulations: how often an interval of normal seeds covers the truth."""

import re
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from study.analysis.statistics.effects import effects
from study.analysis.statistics.intervals import bootstrap_interval, paired, t_interval
from study.analysis.statistics.robust import iqm, probability_of_improvement

NUM_SAMPLES = 10_000
BOOTSTRAP_SEEDS = (5, 10, 20)


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


def bootstrap_coverage(num_seeds: int) -> float:
    rows = np.random.default_rng(num_seeds).normal(size=(2_000, num_seeds))
    # One seed for all would draw the same places from every sample, and share their error.
    found = [bootstrap_interval(row, seed=at, resamples=999) for at, row in enumerate(rows)]
    return float(np.mean([covers(row.low, 0, row.high) for row in found]))


@pytest.mark.parametrize("num_seeds", BOOTSTRAP_SEEDS)
def test_the_bootstrap_covers_what_its_docstring_says(
    num_seeds: int, record_property: Callable[[str, object], None]
) -> None:
    coverage = bootstrap_coverage(num_seeds)
    print(f"the bootstrap of {num_seeds} normal values covers the mean {coverage:.1%} of the time")
    record_property(f"bootstrap_coverage_{num_seeds}", coverage)
    stated = [int(share) for share in re.findall(r"(\d+) %", bootstrap_interval.__doc__ or "")]
    assert abs(100 * coverage - dict(zip(BOOTSTRAP_SEEDS, stated, strict=True))[num_seeds]) < 2


@pytest.mark.parametrize(("num_seeds", "least"), [(5, 0.92), (10, 0.93), (20, 0.93)])
def test_interquartile_intervals_cover_nearly_as_often(num_seeds: int, least: float) -> None:
    rows = np.random.default_rng(num_seeds).normal(size=(4_000, num_seeds)).tolist()
    coverage = np.mean([covers(row.low, 0, row.high) for row in map(iqm, rows)])
    assert least <= coverage <= 0.97


@pytest.mark.parametrize("gap", [0.0, 1.5])
@pytest.mark.parametrize("num_seeds", [5, 10])
def test_intervals_of_the_chance_of_improvement_cover_it(num_seeds: int, gap: float) -> None:
    draw = np.random.default_rng(num_seeds)
    first, second = (draw.normal(mean, 1, (1_000, num_seeds)) for mean in (0, gap))
    found = [probability_of_improvement(*row) for row in zip(first, second, strict=True)]
    truth = float(stats.norm.cdf(gap / np.sqrt(2)))
    assert 0.92 <= np.mean([covers(row.low, truth, row.high) for row in found]) <= 0.98


def test_a_factor_without_effect_is_significant_one_time_in_twenty() -> None:
    draw = np.random.default_rng(0)
    levels = {"a": ["x", "x", "y", "y"], "b": ["u", "v", "u", "v"]}
    found = [effects(levels, draw.normal(size=(4, 5))) for _ in range(1_000)]
    small = [term.p is not None and term.p < 0.05 for row in found if row for term in row.terms]
    assert np.mean(small) == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / len(small)))
