"""Statistics of signals: numpy's, in every layout, and nan where a value is."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from study.probes.signals import (
    input_shift,
    mean_and_variance,
    percentiles,
    unit_distribution,
    zero_fraction,
)

PROBES = {
    "mean": lambda x: mean_and_variance(x)[0],
    "variance": lambda x: mean_and_variance(x)[1],
    "percentiles": percentiles,
    "zeros": zero_fraction,
}


@st.composite
def signals(draw):
    """[K, N, U, P], with values that repeat, as a dense or a convolutional network lays it out."""
    replicas, examples, units, positions = draw(
        st.tuples(*[st.integers(1, n) for n in (3, 9, 4, 5)])
    )
    stream = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape, mean = (examples, replicas, units, positions), draw(st.sampled_from([0, 3, -1000]))
    values = stream.normal(mean, 1, shape)
    values = np.where(stream.random(shape) < 0.3, stream.integers(-1, 2, shape), values)
    x = torch.tensor(values, dtype=draw(st.sampled_from([torch.float32, torch.float64])))
    x = x.transpose(0, 1)
    return x if draw(st.booleans()) else x.contiguous()


def nearest_rank(values, rank):
    """The smallest value that at least so many per cent of all are not above."""
    ordered = sorted(values)
    counts = ((index + 1, value) for index, value in enumerate(ordered))
    return next(value for count, value in counts if count >= Fraction(rank) * len(values) / 100)


@given(signals())
def test_mean_and_variance_are_numpys(x):
    mean, variance = mean_and_variance(x)
    assert mean.dtype == variance.dtype == x.dtype
    flat = x.double().flatten(1).numpy()
    tolerance = 1e-5 if x.dtype == torch.float32 else 1e-12
    np.testing.assert_allclose(mean, flat.mean(1), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(variance, flat.var(1), rtol=100 * tolerance, atol=tolerance)


@given(signals())
def test_percentiles_are_values_of_nearest_rank(x):
    found = percentiles(x)
    assert found.shape == (len(x), 3)
    assert found.dtype == x.dtype
    for row, values in zip(found.tolist(), x.flatten(1).tolist(), strict=True):
        assert row == [nearest_rank(values, rank) for rank in (15, 50, 85)]


@given(signals(), st.lists(st.integers(0, 100), min_size=1, max_size=6))
def test_percentiles_of_any_ranks_are_in_their_order(x, ranks):
    found = percentiles(x, ranks)
    for column, rank in enumerate(ranks):
        for value, values in zip(found[:, column].tolist(), x.flatten(1).tolist(), strict=True):
            assert value == (nearest_rank(values, rank) if rank else min(values))


@pytest.mark.parametrize("size", [1, 2, 99, 100, 4096, 65_537])
def test_percentiles_are_numpys_inverted_cdf(size):
    x = torch.randn(2, size, generator=torch.Generator().manual_seed(size))
    expected = np.percentile(x.numpy(), [15, 50, 85], axis=1, method="inverted_cdf").T
    np.testing.assert_array_equal(percentiles(x), expected)


@given(signals())
def test_zeros_are_counted(x):
    expected = (x.numpy() == 0).reshape(len(x), -1).mean(1)
    assert zero_fraction(x).dtype == x.dtype
    np.testing.assert_allclose(zero_fraction(x), expected, rtol=1e-6)


@pytest.mark.parametrize("probe", PROBES)
def test_nothing_is_said_of_a_replica_with_nan(probe):
    x = torch.randn(3, 40, 5, 2, generator=torch.Generator().manual_seed(0))
    alone = PROBES[probe](x)
    x[1, 7, 2, 1] = math.nan
    found = PROBES[probe](x)
    assert found[1].isnan().all()
    assert torch.equal(found[[0, 2]], alone[[0, 2]])


@pytest.mark.parametrize("probe", PROBES)
def test_infinities_are_no_error(probe):
    x = torch.full((1, 20, 5, 1), math.inf)
    x[0, 0] = -math.inf
    assert not PROBES[probe](x).isfinite().any() or probe == "zeros"


def test_percentiles_leave_their_argument_alone():
    x = torch.randn(2, 30, 3, 1, generator=torch.Generator().manual_seed(0))
    kept = x.clone()
    percentiles(x)
    assert torch.equal(x, kept)


# Internal covariate shift: distances between normals, and what leaves them alone.


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
