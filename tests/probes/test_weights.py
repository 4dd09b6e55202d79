"""Probes of weights: pairwise comparison, singular values, norms, and weights gone wrong."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from study.networks import Maxout
from study.probes.slopes import slope_of
from study.probes.weights import (
    distinct_units,
    effective_rank,
    mean_singular_value,
    update_ratio,
    weight_norm,
)

dtypes = st.sampled_from([torch.float32, torch.float64])


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def count(rows, tolerance):
    """Distinct rows of one replica."""
    return int(distinct_units(rows.unsqueeze(0), torch.tensor([tolerance], dtype=rows.dtype)))


def naive_count(rows, tolerance):
    """Compares all pairs, and joins what they join."""
    groups = list(range(len(rows)))
    for left, right in itertools.combinations(range(len(rows)), 2):
        if np.max(np.abs(rows[left] - rows[right])) <= tolerance:
            groups = [groups[left] if each == groups[right] else each for each in groups]
    return len(set(groups))


@given(
    st.integers(1, 12),
    st.integers(1, 4),
    st.integers(0, 2),
    st.integers(0, 2**32),
    st.integers(1, 5),
    dtypes,
)
def test_rows_are_counted_as_by_comparing_all_pairs(units, width, tolerance, seed, span, dtype):
    rows = np.random.default_rng(seed).integers(-span, span + 1, (2, units, width))
    found = distinct_units(
        torch.tensor(rows, dtype=dtype), torch.full((2,), tolerance, dtype=dtype)
    )
    assert found.tolist() == [naive_count(each, tolerance) for each in rows]
    assert found.dtype == torch.int64


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 1000), dtypes)
def test_copies_with_noise_are_one(originals, copies, seed, dtype):
    rows = normal(originals, 30, seed=seed, dtype=dtype).repeat(copies, 1)
    tolerance = 1e-6 * float(rows.abs().max())
    noisy = rows + 0.4 * tolerance * (2 * torch.rand(rows.shape, dtype=dtype) - 1)
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
    assert count(noisy[order], tolerance) == originals
    assert count(rows[order], 0.0) == originals


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("value", [0.0, 0.1, -1e30, 1e-30])
def test_constant_weights_are_one_unit(value, dtype):
    rows = torch.full((64, 784), value, dtype=dtype)
    assert count(rows, 0.0) == 1
    rows[17, 3] += abs(value) / 8 + 1e-30
    assert count(rows, 0.0) == 2


@given(st.integers(2, 40))
def test_chains_of_close_rows_are_one(length):
    rows = torch.arange(length, dtype=torch.float64).unsqueeze(1) * torch.tensor([1.0, -1.0])
    assert count(rows, 1.0) == 1
    assert count(rows, 0.99) == length


def test_groups_whose_projections_are_interleaved_are_told_apart():
    corners = torch.tensor(list(itertools.product([0.0, 1.0], repeat=6)))
    rows = corners.repeat(3, 1)
    assert count(rows, 0.9) == 64
    assert count(rows, 1.0) == 1


def test_units_that_only_their_last_number_tells_apart_differ():
    rows = torch.ones(2, 50, 100)
    rows[1, :, -1] = torch.arange(50)
    assert distinct_units(rows, torch.tensor([1e-6, 1e-6])).tolist() == [1, 50]


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_rows_that_are_not_finite_are_each_their_own(odd):
    rows = torch.zeros(8, 5)
    rows[2:4, 1] = odd
    assert count(rows, 0.1) == 3
    rows[:, 1] = odd
    assert count(rows, 0.1) == 8
    assert count(rows, math.nan) == 8
    assert count(torch.zeros(8, 5), math.nan) == 8


@given(st.integers(0, 1000), dtypes)
def test_norm_and_update_are_numpys(seed, dtype):
    before, after = normal(2, 4, 3, 5, 5, seed=seed, dtype=dtype).unbind(0)
    flat = before.double().flatten(1).numpy()
    norm = np.linalg.norm(flat, axis=1)
    step = np.linalg.norm(after.double().flatten(1).numpy() - flat, axis=1)
    assert weight_norm(before).dtype == update_ratio(before, after).dtype == dtype
    np.testing.assert_allclose(weight_norm(before), norm, rtol=1e-5)
    np.testing.assert_allclose(update_ratio(before, after), step / norm, rtol=1e-5)
    np.testing.assert_allclose(update_ratio(before, 1.25 * before), [0.25] * 4, rtol=1e-5)


def test_weights_that_stay_have_no_update_even_at_zero():
    before, after = torch.zeros(3, 2, 2), torch.zeros(3, 2, 2)
    after[1] = 1
    after[2, 0, 0] = math.nan
    ratio = update_ratio(before, after)
    assert ratio[:2].tolist() == [0, math.inf]
    assert ratio[2].isnan()


def naive_rank(matrix):
    values = np.linalg.svd(matrix, compute_uv=False)
    shares = values / values.sum()
    return math.exp(-sum(p * math.log(p) for p in shares if p > 0))


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 12), st.integers(0, 1000), dtypes)
def test_effective_rank_is_that_of_singular_values(units, inputs, rank, seed, dtype):
    weight = normal(2, units, rank, seed=seed) @ normal(2, rank, inputs, seed=seed + 1)
    weight = weight.to(dtype)
    found = effective_rank(weight)
    assert found.dtype == dtype
    np.testing.assert_allclose(
        found, [naive_rank(each) for each in weight.double().numpy()], rtol=1e-5
    )
    assert bool((found >= 1 - 1e-6).all())
    assert bool((found <= min(units, inputs, rank) * (1 + 1e-4)).all())


@given(st.integers(1, 30), st.floats(1e-30, 1e30))
def test_orthogonal_weights_have_full_rank_and_constant_ones_rank_one(size, scale):
    orthogonal = torch.linalg.qr(normal(size, size)).Q
    weight = torch.stack([scale * orthogonal, torch.full_like(orthogonal, scale)])
    np.testing.assert_allclose(effective_rank(weight), [size, 1], rtol=1e-5)


@pytest.mark.parametrize("shape", [(64, 784), (300, 300)])
def test_effective_rank_is_exact_for_large_matrices(shape):
    weight = normal(2, *shape, dtype=torch.float32)
    weight[1] = normal(shape[0], 1, dtype=torch.float32) @ normal(1, shape[1], dtype=torch.float32)
    expected = [naive_rank(each) for each in weight.double().numpy()]
    np.testing.assert_allclose(effective_rank(weight), expected, rtol=1e-4)


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_rank_of_nothing_and_of_what_is_not_finite_is_nan(odd):
    weight = normal(3, 4, 5)
    weight[0] = 0
    weight[2, 1, 1] = odd
    assert effective_rank(weight).isnan().tolist() == [True, False, True]


# The Jacobian's mean singular value: of the matrix that autograd builds, and in the limit.

ACTIVATIONS = {"tanh": nn.Tanh(), "relu": nn.ReLU(), "leaky_relu": nn.LeakyReLU(0.1)}
sizes = st.integers(1, 9)


def by_autograd(layer, inputs):
    """Mean singular value of a layer's Jacobians at inputs [E, F], the min(U, F) of each."""
    values = []
    for x in inputs:
        jacobian = torch.autograd.functional.jacobian(lambda x: layer(x.unsqueeze(0))[0], x)
        values.append(np.linalg.svd(jacobian.numpy(), compute_uv=False).mean())
    return np.mean(values)


@given(sizes, sizes, st.integers(1, 4), st.sampled_from(sorted(ACTIVATIONS)), st.integers(0, 1000))
def test_value_is_that_of_autograds_jacobian(units, features, examples, name, seed):
    weight, x = normal(2, units, features, seed=seed), normal(2, examples, features, seed=seed + 1)
    activation = ACTIVATIONS[name]
    found = mean_singular_value(weight, slope_of(activation, x @ weight.mT))
    for replica in range(2):
        own = weight[replica]
        expected = by_autograd(lambda z, own=own: activation(functional.linear(z, own)), x[replica])
        assert float(found[replica]) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@given(sizes, sizes, st.integers(2, 3), st.integers(0, 1000))
def test_value_of_maxout_is_that_of_autograds_jacobian(units, features, pieces, seed):
    weight = normal(1, pieces * units, features, seed=seed)
    x = normal(3, features, seed=seed + 1)
    out = (x @ weight[0].mT).unflatten(1, (pieces, units))
    slopes = (out == out.amax(1, keepdim=True)).flatten(1).double().unsqueeze(0)
    module = Maxout(pieces)
    expected = by_autograd(lambda z: module(functional.linear(z, weight[0])), x)
    found = mean_singular_value(weight, slopes, pieces)
    assert float(found) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_value_of_a_gaussian_matrix_tends_to_that_of_the_quarter_circle():
    size = 400
    weight = normal(2, size, size) / math.sqrt(size)
    ones = torch.ones(2, 1, size, dtype=torch.float64)
    expected = 8 / (3 * math.pi)
    assert mean_singular_value(weight, ones).tolist() == pytest.approx([expected] * 2, rel=1e-2)
    assert float(mean_singular_value(weight[:1], 0.5 * ones[:1])) == pytest.approx(
        expected / 2, rel=1e-2
    )


@given(st.integers(1, 30), st.integers(0, 30))
def test_orthogonal_layers_keep_the_share_of_units_that_are_on(size, num_on):
    weight = torch.linalg.qr(normal(size, size)).Q.unsqueeze(0)
    slopes = (torch.arange(size) < num_on).double().expand(1, 3, size)
    share = min(num_on, size) / size
    assert float(mean_singular_value(weight, slopes)) == pytest.approx(share, abs=1e-6)


def test_value_is_in_the_precision_of_the_weights_and_almost_exact():
    weight, slopes = normal(2, 64, 300), normal(2, 4, 64).relu()
    exact = mean_singular_value(weight, slopes)
    found = mean_singular_value(weight.float(), slopes.float())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=0)


@pytest.mark.parametrize("odd", [math.nan, math.inf, 1e300])
@pytest.mark.parametrize("pieces", [1, 2])
def test_what_is_not_finite_is_no_error(odd, pieces):
    weight, slopes = normal(3, 4, 5), torch.ones(3, 2, 4, dtype=torch.float64)
    weight[0, 1, 1] = odd
    slopes[2, 0, 3] = odd
    found = mean_singular_value(weight, slopes, pieces)
    assert found.isnan().tolist() == [True, False, True]
