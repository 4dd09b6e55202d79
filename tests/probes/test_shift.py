"""Internal covariate shift: distances between normals, and what leaves them alone."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from study.probes.signals import input_shift, unit_distribution


def signal(seed, replicas=2, units=4):
    return torch.randn(
        replicas, 30, units, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


@given(st.integers(0, 1000), st.sampled_from([torch.float32, torch.float64]))
def test_distribution_of_units_is_numpys(seed, dtype):
    x = signal(seed).to(dtype)
    mean, std = unit_distribution(x)
    assert mean.dtype == std.dtype == dtype
    np.testing.assert_allclose(mean, x.numpy().mean((1, 3)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(std, x.numpy().std((1, 3)), rtol=1e-4)


@given(st.integers(0, 1000))
def test_shift_is_the_distance_unit_by_unit(seed):
    before, after = (unit_distribution(signal(seed + place)) for place in (0, 5000))
    for replica in range(2):
        (m, s), (n, t) = ([part[replica].tolist() for part in each] for each in (before, after))
        distances = [math.hypot(n[unit] - m[unit], t[unit] - s[unit]) for unit in range(len(m))]
        scale = math.sqrt(sum(each**2 for each in s) / len(s))
        expected = sum(distances) / len(m) / scale
        assert float(input_shift(before, after)[replica]) == pytest.approx(expected)


@given(st.integers(0, 1000), st.floats(0.01, 100), st.floats(-10, 10))
def test_shift_has_no_unit(seed, scale, offset):
    x, y = signal(seed), signal(seed + 5000)
    shift = input_shift(unit_distribution(x), unit_distribution(y))
    x, y = scale * x + offset, scale * y + offset
    torch.testing.assert_close(
        input_shift(unit_distribution(x), unit_distribution(y)), shift, rtol=1e-6, atol=1e-9
    )


def test_inputs_that_move_by_their_spread_shift_by_one():
    x = signal(0)
    x = (x - x.mean((1, 3), keepdim=True)) / x.std((1, 3), correction=0, keepdim=True)
    before = unit_distribution(3 * x)
    torch.testing.assert_close(
        input_shift(before, unit_distribution(3 * x + 3)), torch.ones(2).double()
    )
    assert input_shift(before, before).tolist() == [0, 0]


def test_constant_inputs_shift_by_nothing_known_or_infinitely():
    still = unit_distribution(torch.zeros(1, 5, 2, 1))
    assert input_shift(still, still).isnan().all()
    assert input_shift(still, unit_distribution(torch.ones(1, 5, 2, 1))).tolist() == [math.inf]


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_what_is_not_finite_is_no_error(odd):
    x = signal(0)
    x[1, 3, 2, 0] = odd
    shift = input_shift(unit_distribution(signal(0)), unit_distribution(x))
    assert float(shift[0]) == 0
    assert not math.isfinite(shift[1])
