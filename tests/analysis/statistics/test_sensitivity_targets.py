import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.analysis.statistics.sensitivity import time_to_target

UPDATES, SECONDS = [100, 200, 300], [1.5, 2.5, 4.0]


def test_the_first_epoch_at_the_target_counts_whatever_comes_after() -> None:
    errors = [[0.3, 0.1, 0.9], [0.1, 0.2, 0.3], [0.9, 0.9, 0.2]]
    found = time_to_target(errors, 0.2, updates=UPDATES, seconds=SECONDS)
    assert found.by_seed == (2, 1, 3)
    assert (found.epochs, found.updates, found.seconds) == (2, 200, 2.5)
    assert (found.num_reached, found.num) == (3, 3)


@pytest.mark.parametrize(("num_lost", "expected"), [(0, 1), (1, 1), (2, math.inf), (3, math.inf)])
def test_a_miss_is_infinite(num_lost: int, expected: float) -> None:
    errors = [[math.nan, 0.9, 0.8]] * num_lost + [[0.1, 0.1, 0.1]] * (4 - num_lost - 1)
    found = time_to_target(errors, 0.2, updates=UPDATES, seconds=SECONDS)
    assert found.epochs == expected
    assert found.num_reached == 3 - num_lost


@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=6))
def test_an_easier_target_is_never_reached_later(errors: list[list[float]]) -> None:
    times = [
        time_to_target(errors, target, updates=UPDATES, seconds=SECONDS).seconds
        for target in np.linspace(0, 1, 9)
    ]
    assert times == sorted(times, reverse=True)
    assert times[-1] == 1.5


UNKNOWN = [math.nan] * 3


@pytest.mark.parametrize("num_lost", range(5))
def test_a_time_that_nobody_recorded_is_finite_whatever_the_order(num_lost: int) -> None:
    """Most seeds missed: never. Else: nobody knows when."""
    seeds = [[0.9, 0.9, 0.9]] * num_lost + [[0.9, 0.1, 0.1]] * (4 - num_lost)
    for errors in (seeds, seeds[::-1]):
        found = time_to_target(errors, 0.2, updates=UNKNOWN, seconds=SECONDS)
        assert math.isinf(found.updates) == math.isinf(found.epochs) == (num_lost >= 2)
        assert math.isnan(found.updates) == (num_lost < 2)


def test_no_seed_and_epochs_without_a_clock_are_refused() -> None:
    with pytest.raises(ValueError, match="each epoch"):
        time_to_target([[0.1, 0.2]], 0.2, updates=UPDATES, seconds=SECONDS)
    with pytest.raises(ValueError, match="no seed"):
        time_to_target(np.zeros((0, 3)), 0.2, updates=UPDATES, seconds=SECONDS)
