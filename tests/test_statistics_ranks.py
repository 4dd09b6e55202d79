import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from study.statistics.ranks import MIN_SEEDS, sign_test, signed_rank_test

TESTS = [sign_test, signed_rank_test]


@pytest.mark.parametrize("num_seeds", range(MIN_SEEDS))
def test_below_ten_seeds_there_is_no_verdict(num_seeds: int) -> None:
    for test in TESTS:
        assert test([1.0] * num_seeds, [0.0] * num_seeds) is None


@given(st.integers(0, 999), st.integers(MIN_SEEDS, 40))
def test_the_tests_are_scipys(seed: int, num_seeds: int) -> None:
    first, second = np.random.default_rng(seed).normal(size=(2, num_seeds))
    signed, sign = signed_rank_test(first, second), sign_test(first, second)
    assert signed is not None
    assert sign is not None
    assert signed[:2] == tuple(stats.wilcoxon(first, second))
    assert sign.p == stats.binomtest(int(np.sum(first > second)), num_seeds).pvalue
    assert sign.num == signed.num == num_seeds


@pytest.mark.parametrize("test", TESTS)
def test_ten_seeds_on_one_side_are_as_sure_as_a_coin_can_be(test: object) -> None:
    found = test([1.0 + seed for seed in range(10)], [0.0] * 10)  # type: ignore[operator]
    assert found.p == pytest.approx(2 / 2**10)


@pytest.mark.parametrize("test", TESTS)
def test_equal_cells_have_p_1(test: object) -> None:
    found = test([1.0] * 10, [1.0] * 10)  # type: ignore[operator]
    assert (found.p, found.num) == (1, 10)


def test_lost_seeds_have_a_sign() -> None:
    found = sign_test([np.inf] * 10, [1.0] * 9 + [np.inf])
    assert found is not None
    assert found.p == pytest.approx(2 / 2**9)
