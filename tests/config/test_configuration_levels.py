"""Initializations of one weight: the variance of each, and what is exact."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from study.config.level_source import OWN
from study.networks import INITIALIZERS, fans

DENSE = (300, 200)
CONVOLUTION = (64, 48, 5, 5)
NORMAL, UNIFORM = 3.0, 1.8
"""Kurtosis of the two distributions."""

VARIANCES = {
    "normal": (NORMAL, lambda fan_in, fan_out: 0.01**2),
    "uniform": (UNIFORM, lambda fan_in, fan_out: 0.05**2 / 3),
    "standard": (UNIFORM, lambda fan_in, fan_out: 1 / (3 * fan_in)),
    "lecun_normal": (NORMAL, lambda fan_in, fan_out: 1 / fan_in),
    "xavier_uniform": (UNIFORM, lambda fan_in, fan_out: 2 / (fan_in + fan_out)),
    "xavier_normal": (NORMAL, lambda fan_in, fan_out: 2 / (fan_in + fan_out)),
    "he_uniform": (UNIFORM, lambda fan_in, fan_out: 2 / fan_in),
    "he_normal": (NORMAL, lambda fan_in, fan_out: 2 / fan_in),
    "he_lecture": (UNIFORM, lambda fan_in, fan_out: (16 / 3) / (fan_in + fan_out) ** 2),
    "he_average": (NORMAL, lambda fan_in, fan_out: 4 / (fan_in + fan_out)),
    "torch_default": (UNIFORM, lambda fan_in, fan_out: 1 / (3 * fan_in)),
}
WITH_GAIN = [
    "standard",
    "lecun_normal",
    "xavier_uniform",
    "xavier_normal",
    "orthogonal",
    "delta_orthogonal",
]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def filled(name, shape, **keys):
    weight = torch.empty(shape)
    INITIALIZERS[name](weight, seeded(), **keys)
    return weight


def assert_variance(weight, variance, kurtosis):
    """Mean square within 4 standard errors of the variance, mean within 4 of 0."""
    n = weight.numel()
    squares = float(weight.double().square().mean())
    assert abs(squares - variance) < 4 * variance * math.sqrt((kurtosis - 1) / n)
    assert abs(float(weight.double().mean())) < 4 * math.sqrt(variance / n)
    if kurtosis == UNIFORM:
        assert float(weight.abs().max()) <= math.sqrt(3 * variance) * (1 + 1e-6)


@pytest.mark.parametrize("shape", [DENSE, CONVOLUTION])
@pytest.mark.parametrize("name", VARIANCES)
def test_variance_is_its_formula(name, shape):
    kurtosis, formula = VARIANCES[name]
    weight = filled(name, shape)
    assert_variance(weight, formula(*fans(weight)), kurtosis)
    fourth = float(weight.double().pow(4).mean() / weight.double().square().mean() ** 2)
    assert fourth == pytest.approx(kurtosis, rel=0.05)


def test_each_of_the_projects_initializers_is_tested():
    exact = {"zeros", "constant", "orthogonal", "delta_orthogonal", "lsuv"}
    assert OWN["init.name"] <= {*VARIANCES, *exact}


def test_fans_count_the_kernel():
    assert fans(torch.empty(DENSE)) == (200, 300)
    assert fans(torch.empty(CONVOLUTION)) == (48 * 25, 64 * 25)
    assert fans(torch.empty(CONVOLUTION)) == nn.init._calculate_fan_in_and_fan_out(
        torch.empty(CONVOLUTION)
    )


@pytest.mark.parametrize("shape", [DENSE, CONVOLUTION])
def test_zeros_and_constant_are_exact(shape):
    assert torch.equal(filled("zeros", shape), torch.zeros(shape))
    assert torch.equal(filled("constant", shape), torch.full(shape, 0.1))
    assert torch.equal(filled("constant", shape, value=-2.0), torch.full(shape, -2.0))


def test_parameters_set_the_scale():
    assert_variance(filled("normal", DENSE, std=0.3), 0.09, NORMAL)
    assert_variance(filled("uniform", DENSE, bound=0.3), 0.03, UNIFORM)
    assert torch.equal(filled("normal", DENSE, std=0.0), torch.zeros(DENSE))


@pytest.mark.parametrize("name", WITH_GAIN)
def test_gain_multiplies(name):
    torch.testing.assert_close(filled(name, CONVOLUTION, gain=3.0), 3 * filled(name, CONVOLUTION))


@pytest.mark.parametrize("shape", [(20, 50), (50, 20), (30, 30), (16, 8, 3, 3), (80, 8, 3, 3)])
@pytest.mark.parametrize("scale", [1.0, 1.5])
def test_orthogonal_is_orthogonal(shape, scale):
    matrix = filled("orthogonal", shape, gain=scale).flatten(1).double()
    matrix = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    expected = scale**2 * torch.eye(len(matrix), dtype=torch.float64)
    torch.testing.assert_close(matrix @ matrix.T, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("scale", [1.0, 1.5])
def test_delta_orthogonal_is_its_centre_tap_alone(scale):
    weight = filled("delta_orthogonal", (12, 7, 5, 5), gain=scale)
    centre = weight[:, :, 2, 2].double()
    expected = scale**2 * torch.eye(7, dtype=torch.float64)
    torch.testing.assert_close(centre.T @ centre, expected, rtol=0, atol=1e-6)
    weight[:, :, 2, 2] = 0
    assert torch.equal(weight, torch.zeros(12, 7, 5, 5))


def test_delta_orthogonal_keeps_an_images_norm():
    weight = filled("delta_orthogonal", (12, 3, 3, 3))
    out = functional.conv2d(torch.randn(4, 3, 8, 8, generator=seeded(1)), weight, padding=1)
    torch.testing.assert_close(
        out.square().sum(1), torch.randn(4, 3, 8, 8, generator=seeded(1)).square().sum(1)
    )
