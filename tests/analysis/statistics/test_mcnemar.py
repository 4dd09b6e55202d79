import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats import contingency_tables

from study.analysis.statistics.equivalence import mcnemar, mcnemar_by_seed

answers = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


@given(answers)
def test_mcnemar_is_statsmodels_and_the_binomial_test(rows: list[tuple[bool, bool]]) -> None:
    first, second = np.array(rows).T
    found = mcnemar(first, second)
    table = [
        [np.sum(first & second), np.sum(first & ~second)],
        [np.sum(~first & second), np.sum(~first & ~second)],
    ]
    assert found.p == pytest.approx(contingency_tables.mcnemar(table, exact=True).pvalue)
    if unequal := found.only_first + found.only_second:
        assert found.p == pytest.approx(stats.binomtest(found.only_first, unequal).pvalue)
    assert found.difference == pytest.approx((~first).mean() - (~second).mean())
    back = mcnemar(second, first)
    assert (back.p, back.difference) == (found.p, -found.difference)


def test_each_seed_has_its_own_test_and_seeds_of_one_cell_have_none() -> None:
    labels = np.array([0, 1, 2, 3, 4, 5, 6, 7])
    wrong = (labels + 1) % 8
    found = mcnemar_by_seed({3: labels, 1: labels, 2: labels}, {1: labels, 3: wrong}, labels)
    assert list(found) == [1, 3]
    assert (found[1].p, found[3].p) == (1, 2 / 2**8)
    assert (found[3].only_first, found[3].only_second, found[3].num) == (8, 0, 8)
    assert found[3].difference == -1


def test_predictions_on_different_examples_are_not_paired() -> None:
    with pytest.raises(ValueError, match=r"\(2,\) and \(3,\)"):
        mcnemar([True, False], [True, False, True])
    with pytest.raises(ValueError, match="cannot pair"):
        mcnemar([], [])


def test_answers_of_0_and_1_are_those_of_wrong_and_right() -> None:
    first, second = [1, 1, 1, 0, 0, 1], [0, 0, 1, 0, 1, 0]
    expected = mcnemar([bool(x) for x in first], [bool(x) for x in second])
    assert mcnemar(first, second) == expected
    assert (expected.only_first, expected.only_second) == (3, 1)


def test_equal_networks_have_p_1_on_a_large_test_set() -> None:
    correct = np.ones(10_000, dtype=bool)
    assert mcnemar(correct, correct).p == 1
