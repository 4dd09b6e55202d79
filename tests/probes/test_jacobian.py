"""The Jacobian's mean singular value: of the matrix that autograd builds, and in the limit."""

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
from study.probes.weights import mean_singular_value

ACTIVATIONS = {"tanh": nn.Tanh(), "relu": nn.ReLU(), "leaky_relu": nn.LeakyReLU(0.1)}
sizes = st.integers(1, 9)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


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
