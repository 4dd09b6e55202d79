import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from study.analysis.statistics.robust import MIN_SEEDS, signed_rank_test


@pytest.mark.parametrize("num_seeds", range(MIN_SEEDS))
def test_below_ten_seeds_there_is_no_verdict(num_seeds: int) -> None:
    assert signed_rank_test([1.0] * num_seeds, [0.0] * num_seeds) is None


def test_a_seed_of_one_cell_alone_is_never_dropped() -> None:
    with pytest.raises(ValueError, match="longer"):
        signed_rank_test([1.0] * MIN_SEEDS, [0.0] * (MIN_SEEDS + 1))


@given(st.integers(0, 999), st.integers(MIN_SEEDS, 40))
def test_the_test_is_scipys(seed: int, num_seeds: int) -> None:
    first, second = np.random.default_rng(seed).normal(size=(2, num_seeds))
    found = signed_rank_test(first, second)
    assert found is not None
    assert found[:2] == tuple(stats.wilcoxon(first, second))
    assert found.num == num_seeds


def test_ten_seeds_on_one_side_are_as_sure_as_a_coin_can_be() -> None:
    found = signed_rank_test([1.0 + seed for seed in range(10)], [0.0] * 10)
    assert found is not None
    assert found.p == pytest.approx(2 / 2**10)


def test_equal_cells_have_p_1() -> None:
    found = signed_rank_test([1.0] * 10, [1.0] * 10)
    assert found is not None
    assert found == (0.0, 1.0, 10)
