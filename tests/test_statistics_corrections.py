import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from study.statistics.corrections import (
    bounds_at,
    holm,
    holm_bounds,
    holm_steps,
    lower_p,
    upper_p,
)

FEW = 10  # multipletests is slow: it collects garbage
shares = st.floats(0, 1).map(lambda p: round(p, 4))
families = st.lists(
    st.tuples(st.floats(-9, 9), st.floats(0.1, 3), st.integers(1, 20)), min_size=1, max_size=12
)
Family = list[tuple[float, float, int]]


@settings(max_examples=FEW)
@given(st.lists(shares, min_size=1, max_size=30))
def test_holm_is_statsmodels(pvalues: list[float]) -> None:
    assert holm(pvalues) == pytest.approx(multipletests(pvalues, method="holm")[1])


@given(st.lists(shares, min_size=1, max_size=30))
def test_holm_makes_no_p_smaller_and_keeps_their_order(pvalues: list[float]) -> None:
    rows = sorted(zip(pvalues, holm(pvalues), strict=True))
    assert all(before <= after <= 1 for before, after in rows)
    assert [after for _, after in rows] == sorted(after for _, after in rows)


def test_the_family_of_no_test_is_empty() -> None:
    assert [*holm([]), *holm_steps([], 0.05), *holm_bounds([], [], [])] == []


@settings(max_examples=FEW)
@given(st.lists(shares, min_size=1, max_size=30), st.sampled_from([0.01, 0.05, 0.3]))
def test_a_test_is_rejected_at_its_step(pvalues: list[float], alpha: float) -> None:
    rejected = multipletests(pvalues, alpha, method="holm")[0]
    steps = holm_steps(pvalues, alpha)
    assert [p <= alpha / k for p, k in zip(pvalues, steps, strict=True)] == rejected.tolist()
    assert all(1 <= step <= len(pvalues) for step in steps)


@given(families)
def test_bounds_pass_their_threshold_where_holm_rejects(family: Family) -> None:
    estimates, errors, dofs = (list(column) for column in zip(*family, strict=True))
    bounds = holm_bounds(estimates, errors, dofs, above=1.0, below=2.0)
    for tails, passed in (
        ([upper_p(*row, 1.0) for row in family], [bound.low > 1 for bound in bounds]),
        ([lower_p(*row, 2.0) for row in family], [bound.high < 2 for bound in bounds]),
    ):
        assert [p <= 0.025 for p in holm(tails)] == passed


@given(families)
def test_bounds_lie_between_one_alone_and_bonferronis(family: Family) -> None:
    estimates, errors, dofs = (list(column) for column in zip(*family, strict=True))
    for row, found in zip(family, holm_bounds(estimates, errors, dofs), strict=True):
        alone, bonferroni = (bounds_at(*row, 0.05 / k) for k in (1, len(family)))
        assert bonferroni.low <= found.low <= alone.low < row[0]
        assert row[0] < alone.high <= found.high <= bonferroni.high


def test_one_effect_has_the_ordinary_interval() -> None:
    values = np.random.default_rng(0).normal(0.4, 1, 10)
    expected = stats.ttest_1samp(values, 0)
    (found,) = holm_bounds([values.mean()], [stats.sem(values)], [9])
    assert found == pytest.approx(tuple(expected.confidence_interval(0.95)))
    one_sided = stats.ttest_1samp(values, 0.2, alternative="greater").pvalue
    assert upper_p(values.mean(), stats.sem(values), 9, 0.2) == pytest.approx(one_sided)


def test_thresholds_may_differ_and_an_effect_without_spread_is_certain() -> None:
    bounds = holm_bounds([1.0, 1.0], [0.0, 0.0], [4, 4], above=[0.0, 2.0], below=[3.0, 0.0])
    assert bounds == [(1, 1), (1, 1)]
    assert (upper_p(1, 0, 4), upper_p(0, 0, 4), lower_p(0, 0, 4), lower_p(-1, 0, 4)) == (0, 1, 1, 0)


def test_bounds_of_a_large_family_are_finite() -> None:
    bounds = holm_bounds([0.1] * 10_000, [1.0] * 10_000, [4] * 10_000)
    assert np.isfinite(bounds).all()
    assert len(set(bounds)) == 1
