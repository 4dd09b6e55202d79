import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from study.analysis.statistics.corrections import bounds_at, holm, holm_known, holm_steps, upper_p

FEW = 10  # multipletests is slow: it collects garbage
shares = st.floats(0, 1).map(lambda p: round(p, 4))


@settings(max_examples=FEW)
@given(st.lists(shares, min_size=1, max_size=30))
def test_holm_is_statsmodels(pvalues: list[float]) -> None:
    assert holm(pvalues) == pytest.approx(multipletests(pvalues, method="holm")[1])


@given(st.lists(shares, min_size=1, max_size=30))
def test_holm_makes_no_p_smaller_and_keeps_their_order(pvalues: list[float]) -> None:
    rows = sorted(zip(pvalues, holm(pvalues), strict=True))
    assert all(before <= after <= 1 for before, after in rows)
    assert [after for _, after in rows] == sorted(after for _, after in rows)


@given(st.lists(st.none() | shares, max_size=30))
def test_what_has_no_p_is_of_no_family(pvalues: list[float | None]) -> None:
    found = holm_known(pvalues)
    assert [p is None for p in found] == [p is None for p in pvalues]
    known = [p for p in pvalues if p is not None]
    assert [p for p in found if p is not None] == holm(known)


def test_the_family_of_no_test_is_empty() -> None:
    assert [*holm([]), *holm_steps([], 0.05)] == []


@settings(max_examples=FEW)
@given(st.lists(shares, min_size=1, max_size=30), st.sampled_from([0.01, 0.05, 0.3]))
def test_a_test_is_rejected_at_its_step(pvalues: list[float], alpha: float) -> None:
    rejected = multipletests(pvalues, alpha, method="holm")[0]
    steps = holm_steps(pvalues, alpha)
    assert [p <= alpha / k for p, k in zip(pvalues, steps, strict=True)] == rejected.tolist()
    assert all(1 <= step <= len(pvalues) for step in steps)


def test_one_effect_has_the_ordinary_interval() -> None:
    values = np.random.default_rng(0).normal(0.4, 1, 10)
    expected = stats.ttest_1samp(values, 0)
    found = bounds_at(values.mean(), stats.sem(values), 9, 0.05)
    assert found == pytest.approx(tuple(expected.confidence_interval(0.95)))
    one_sided = stats.ttest_1samp(values, 0.2, alternative="greater").pvalue
    assert upper_p(values.mean(), stats.sem(values), 9, 0.2) == pytest.approx(one_sided)
