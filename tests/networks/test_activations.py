"""Activations: their formulas, maxout's layout, and errors that help."""

import math
import re

import pytest
import torch
from torch.nn import functional

from study.config.level_source import OWN
from study.errors import InputError
from study.networks import Maxout, make_activation, pieces_per_unit

Z = torch.linspace(-4, 4, 161, dtype=torch.float64)[None]

FORMULAS = {
    "identity": lambda z: z,
    "sigmoid": lambda z: 1 / (1 + torch.exp(-z)),
    "tanh": torch.tanh,
    "hard_tanh": lambda z: z.clamp(-1, 1),
    "softsign": lambda z: z / (1 + z.abs()),
    "lecun_tanh": lambda z: 1.7159 * torch.tanh(2 * z / 3),
    "relu": lambda z: z.clamp(min=0),
    "leaky_relu": lambda z: torch.where(z > 0, z, 0.1 * z),
    "prelu": lambda z: torch.where(z > 0, z, 0.25 * z),
    "elu": lambda z: torch.where(z > 0, z, torch.exp(z) - 1),
    "selu": lambda z: (
        1.0507009873554805 * torch.where(z > 0, z, 1.6732632423543772 * (torch.exp(z) - 1))
    ),
    "gelu": lambda z: z * (1 + torch.erf(z / math.sqrt(2))) / 2,
    "silu": lambda z: z / (1 + torch.exp(-z)),
    "mish": lambda z: z * torch.tanh(torch.log1p(torch.exp(z))),
    "softplus": lambda z: torch.log1p(torch.exp(z)),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_activation_is_its_formula(name):
    module = make_activation(name).double()
    torch.testing.assert_close(module(Z), FORMULAS[name](Z), rtol=1e-7, atol=1e-7)


def test_each_of_the_projects_activations_has_a_formula_here_or_is_maxout():
    assert OWN["activation.name"] <= {*FORMULAS, "maxout"}


def test_parameters_reach_the_function():
    z = torch.tensor([-1.0, 2.0])
    assert make_activation({"name": "leaky_relu", "slope": 0.5})(z).tolist() == [-0.5, 2]
    assert make_activation({"name": "prelu", "slope": 0.5})(z).tolist() == [-0.5, 2]
    expected = functional.elu(z, alpha=3.0)
    torch.testing.assert_close(make_activation({"name": "elu", "alpha": 3.0})(z), expected)
    assert pieces_per_unit(make_activation({"name": "maxout", "pieces": 5})) == 5


def test_prelu_has_one_slope_a_layer():
    assert [tuple(p.shape) for p in make_activation("prelu").parameters()] == [(1,)]


@pytest.mark.parametrize("shape", [(3, 12), (2, 12, 4, 5)])
@pytest.mark.parametrize("pieces", [1, 2, 3])
def test_maxout_is_a_naive_loop(shape, pieces):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    out = Maxout(pieces)(x)
    units = shape[1] // pieces
    assert out.shape == (shape[0], units, *shape[2:])
    for n in range(shape[0]):
        for unit in range(units):
            own = torch.stack([x[n, piece * units + unit] for piece in range(pieces)])
            assert torch.equal(out[n, unit], own.max(dim=0).values)


def test_maxout_shares_the_gradient_of_a_tie():
    x = torch.zeros(1, 4, requires_grad=True)
    Maxout(2)(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[0.5] * 4]


@pytest.mark.parametrize("name", sorted(OWN["activation.name"]))
def test_only_maxout_needs_more_than_one_piece(name):
    assert pieces_per_unit(make_activation(name)) == (2 if name == "maxout" else 1)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("rleu", "unknown activation 'rleu' (did you mean 'relu'?); choose from: identity, "),
        ({}, "unknown activation 'None'"),
        ({"name": ["relu"]}, "unknown activation"),
        ({"name": "relu", "slope": 0.1}, "activation relu takes no parameters; leave 'slope' out"),
        ({"name": "elu", "alfa": 1.0}, "unknown key of activation elu 'alfa' (did you mean 'alph"),
    ],
)
def test_bad_input_is_named(config, message):
    with pytest.raises(InputError, match=re.escape(message)):
        make_activation(config)
