"""Gains: the closed forms, torch's table where it is exact, and sampling for the rest."""

import math

import pytest
import torch

from study.networks import ACTIVATIONS, gain, make_activation, second_moment
from study.networks.gains import expectation


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        ("relu", math.sqrt(2)),
        ("identity", 1.0),
        *[({"name": "leaky_relu", "slope": s}, math.sqrt(2 / (1 + s * s))) for s in (0, 0.1, 1)],
        ({"name": "prelu", "slope": 0.25}, math.sqrt(2 / (1 + 0.25**2))),
        ({"name": "maxout", "pieces": 1}, 1.0),
        # The larger of two normals has the second moment of one: each is as often the smaller.
        ({"name": "maxout", "pieces": 2}, 1.0),
        ({"name": "maxout", "pieces": 3}, 1 / math.sqrt(1 + math.sqrt(3) / (2 * math.pi))),
    ],
)
def test_gain_is_its_closed_form(activation, expected):
    assert gain(activation) == pytest.approx(expected, abs=1e-12)


def test_selu_has_unit_variance_as_its_fixed_point():
    assert gain("selu") == pytest.approx(1, abs=1e-12)


def test_hard_tanh_is_its_closed_form():
    # E[min(z^2, 1)] = 1 - 2 phi(1), by parts.
    moment = 1 - 2 * math.exp(-0.5) / math.sqrt(2 * math.pi)
    assert second_moment("hard_tanh") == pytest.approx(moment, abs=1e-12)


def test_equals_torch_where_torch_is_exact():
    assert gain("identity") == pytest.approx(torch.nn.init.calculate_gain("linear"), abs=1e-12)
    assert gain("relu") == pytest.approx(torch.nn.init.calculate_gain("relu"), abs=1e-12)
    leaky = torch.nn.init.calculate_gain("leaky_relu", 0.3)
    assert gain({"name": "leaky_relu", "slope": 0.3}) == pytest.approx(leaky, abs=1e-12)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_agrees_with_sampling(name):
    module = make_activation(name).double()
    generator = torch.Generator().manual_seed(0)
    pieces = 2 if name == "maxout" else 1
    z = torch.randn(400_000, pieces, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        squares = module(z).square()
    standard_error = float(squares.std()) / math.sqrt(len(squares))
    assert abs(float(squares.mean()) - second_moment(name)) < 4 * standard_error


def test_a_module_has_the_gain_of_its_configuration():
    module = make_activation({"name": "elu", "alpha": 2.0})
    assert gain(module) == gain({"name": "elu", "alpha": 2.0})
    assert gain(torch.nn.ReLU()) == gain("relu")


def test_gain_leaves_its_module_alone():
    module = make_activation("prelu")
    gain(module)
    assert next(module.parameters()).dtype == torch.float32


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_second_moment_is_variance_and_squared_mean(name):
    mean = expectation(lambda values: values, name)
    variance = expectation(lambda values: (values - mean) ** 2, name)
    assert variance + mean**2 == pytest.approx(second_moment(name), abs=1e-12)
