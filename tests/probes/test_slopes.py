"""Slopes of every activation: finite differences, largest values, saturated and dead units."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from study.config.level_source import OWN
from study.networks import ACTIVATIONS, Maxout, make_activation
from study.outputs.metrics import FLAT, NEITHER, OFF, OFF_OR_SATURATED, label_among
from study.outputs.metrics import SATURATED as LABEL
from study.probes.slopes import (
    FAR,
    LINEAR,
    SATURATED,
    dead_units,
    largest_slope,
    linear_fraction,
    saturated_fraction,
    slope_of,
)
from study.training.stacking import StackedMaxout, StackedPReLU

SELU = 1.0507009873554805 * 1.6732632423543772
LARGEST = {
    "identity": 1,
    "sigmoid": 1 / 4,
    "tanh": 1,
    "hard_tanh": 1,
    "softsign": 1,
    "lecun_tanh": 1.7159 * 2 / 3,
    "relu": 1,
    "leaky_relu": 1,
    "prelu": 1,
    "elu": 1,
    "selu": SELU,
    "gelu": 0.5 + 0.5 * math.erf(1) + math.exp(-1) / math.sqrt(math.pi),
    "silu": 1.0998393194,
    "mish": 1.0884981613,
    "softplus": 1,
    "maxout": 1,
}
KINKS = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
ELEMENTWISE = sorted(ACTIVATIONS.keys() - {"maxout"})


def grid():
    """Points of a line [N, 1] that keep off every kink."""
    z = torch.linspace(-9, 9, 1801, dtype=torch.float64) + 0.003
    return z[(z.unsqueeze(1) - KINKS).abs().amin(1) > 1e-4].unsqueeze(1)


def stacked_prelu(*slopes):
    module = StackedPReLU(nn.PReLU(), len(slopes)).double()
    module.weight.data = torch.tensor(slopes, dtype=torch.float64)
    return module


def signal(seed, shape=(2, 7, 4, 3)):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_each_of_the_projects_activations_is_looked_at():
    assert OWN["activation.name"] <= LARGEST.keys()


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_slope_is_a_finite_difference(name):
    module, z, step = make_activation(name).double(), grid(), 1e-6
    with torch.no_grad():
        difference = (module(z + step) - module(z - step)) / (2 * step)
        slope = slope_of(module, z)
    torch.testing.assert_close(slope, difference, rtol=1e-6, atol=1e-7)
    assert not slope.requires_grad


@pytest.mark.parametrize("name", sorted(LARGEST))
def test_largest_slope_is_reached_and_never_passed(name):
    module = make_activation(name)
    largest = largest_slope(module, 3)
    assert largest.tolist() == pytest.approx([LARGEST[name]] * 3, abs=2e-7)
    z = grid().expand(-1, 2).float()
    assert float(slope_of(module, z).abs().max()) <= float(largest[0]) * (1 + 1e-6)


class Function(nn.Module):
    """An activation that no level has."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, z):
        return self.function(z)


class Powers(nn.Module):
    """|z|^p with p of each of K replicas: what a level with weights may be."""

    def __init__(self, *powers):
        super().__init__()
        self.power = nn.Parameter(torch.tensor(powers, dtype=torch.float64).view(-1, 1, 1))

    def forward(self, z):
        return z.abs() ** self.power


UNBOUNDED = {
    "squared_relu": lambda z: z.relu() ** 2,
    "cube": lambda z: z**3,
    "exp": torch.exp,
    "slow": lambda z: z * z.abs().log1p(),
}
BOUNDED = {
    "sine": (torch.sin, 1),
    "snake": (lambda z: z + z.sin() ** 2, 2),
    "approached": (lambda z: (1 + z**2).sqrt(), 1),
}


@pytest.mark.parametrize("name", UNBOUNDED)
def test_of_a_slope_without_bound_no_share_is_taken(name):
    module, z = Function(UNBOUNDED[name]), signal(0, (2, 5, 4))
    largest = largest_slope(module, 2)
    assert largest.tolist() == [math.inf] * 2
    slope = slope_of(module, z).unsqueeze(3)
    assert saturated_fraction(slope, largest).isnan().all()
    assert linear_fraction(slope, largest).isnan().all()
    assert not dead_units(slope, largest).any()


def test_each_replica_has_a_bound_or_none():
    assert largest_slope(Powers(1.0, 2.0), 2).tolist() == [1, math.inf]


@pytest.mark.parametrize("name", BOUNDED)
def test_a_slope_with_a_bound_has_it(name):
    function, largest = BOUNDED[name]
    assert float(largest_slope(Function(function), 1)) == pytest.approx(largest, abs=1e-6)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_a_unit_is_off_where_one_end_is_flat_and_saturated_where_both_are(name):
    module = make_activation("leaky_relu" if name == "prelu" else name)
    far = torch.tensor([[-FAR], [FAR]], dtype=torch.float64)
    flat = slope_of(module, far).abs() < SATURATED * largest_slope(module, 1)
    words = {0: (NEITHER, OFF), 1: (OFF,), 2: (LABEL,)}[int(flat.sum())]
    assert FLAT[name] in words


def test_a_leaky_relu_that_hardly_leaks_is_off():
    flat = slope_of(nn.LeakyReLU(0.001), torch.tensor([[-FAR]]))
    assert abs(float(flat)) < SATURATED
    assert label_among("saturated_fraction", ["leaky_relu", "relu", "identity"]) == OFF
    assert label_among("saturated_fraction", ["tanh", "relu"]) == OFF_OR_SATURATED
    assert label_among("saturated_fraction", ["tanh", "swish"]) == OFF_OR_SATURATED


@pytest.mark.parametrize("alpha", [0.1, 1.0, 2.5])
def test_modules_of_one_kind_are_told_apart(alpha):
    assert float(largest_slope(nn.ELU(alpha), 1)) == pytest.approx(max(alpha, 1))
    assert float(largest_slope(nn.LeakyReLU(2 * alpha), 1)) == pytest.approx(max(2 * alpha, 1))


def test_each_replica_of_prelu_has_its_own_slopes():
    module, z = stacked_prelu(0.25, -3.0), signal(0, (2, 5, 4))
    assert largest_slope(module, 2).tolist() == [1, 3]
    expected = torch.where(z > 0, 1, torch.tensor([0.25, -3.0]).double().view(2, 1, 1))
    assert torch.equal(slope_of(module, z), expected)
    plain = nn.PReLU(init=1.5)
    assert largest_slope(plain, 1).tolist() == [1.5]


def test_replicas_of_prelu_lie_in_the_channels_of_images():
    module, z = stacked_prelu(0.25, -3.0), signal(0, (5, 6, 4, 4))
    own = torch.tensor([0.25] * 3 + [-3.0] * 3).double().view(6, 1, 1)
    assert torch.equal(slope_of(module, z), torch.where(z > 0, 1, own))


@pytest.mark.parametrize(
    ("module", "shape", "out"),
    [
        (Maxout(2), (5, 6), (5, 3)),
        (Maxout(3), (5, 6, 4, 4), (5, 2, 4, 4)),
        (StackedMaxout(Maxout(2), 3), (3, 5, 8), (3, 5, 4)),
        (StackedMaxout(Maxout(2), 3), (5, 12, 4, 4), (5, 6, 4, 4)),
    ],
)
def test_units_of_maxout_have_slope_one(module, shape, out):
    z = signal(0, shape)
    assert torch.equal(slope_of(module, z), torch.ones(out, dtype=z.dtype))
    assert module(z).shape == out
    assert largest_slope(module, 3).tolist() == [1, 1, 1]


def test_slope_is_in_the_precision_and_layout_of_its_argument():
    z = signal(0, (5, 4, 3, 3)).float().contiguous(memory_format=torch.channels_last)
    slope = slope_of(nn.Tanh(), z)
    assert (slope.dtype, slope.stride()) == (torch.float32, z.stride())


def test_a_hook_of_the_activation_may_ask_for_its_slope():
    module, seen = nn.Tanh(), []
    module.register_forward_pre_hook(lambda _, args: seen.append(slope_of(module, args[0])))
    module(torch.zeros(2, 2))
    assert [each.tolist() for each in seen] == [[[1, 1], [1, 1]]]


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_slope_of_nan_is_nan(name):
    z = torch.tensor([[math.nan, 0.5]])
    assert slope_of(make_activation(name), z).isnan().tolist() == [[True, False]]


@given(st.integers(0, 1000), st.floats(-3, 3), st.booleans())
def test_shares_are_counted(seed, log_scale, channels_last):
    slope = signal(seed) * 10**log_scale
    largest = torch.tensor([1.0, 0.1], dtype=torch.float64)
    z = slope.transpose(0, 1).contiguous().transpose(0, 1) if channels_last else slope
    saturated, linear = saturated_fraction(z, largest), linear_fraction(z, largest)
    dead = dead_units(z, largest)
    for replica, (values, top) in enumerate(zip(slope.abs().numpy(), (1.0, 0.1), strict=True)):
        assert float(saturated[replica]) == pytest.approx((values < SATURATED * top).mean())
        assert float(linear[replica]) == pytest.approx((values >= LINEAR * top).mean())
        np.testing.assert_array_equal(dead[replica], (values < SATURATED * top).all((0, 2)))


def test_limits_themselves_are_alive_and_linear():
    largest = torch.ones(1, dtype=torch.float64)
    for dtype in (torch.float32, torch.float64):
        assert saturated_fraction(torch.full((1, 2, 2, 1), 0.01, dtype=dtype), largest).item() == 0
        assert linear_fraction(torch.full((1, 2, 2, 1), -0.5, dtype=dtype), largest).item() == 1


def test_relu_units_are_dead_where_no_example_is_positive():
    z = signal(0, (1, 50, 6))
    z[..., 2:5] = -z[..., 2:5].abs()
    slope, largest = slope_of(nn.ReLU(), z).unsqueeze(3), largest_slope(nn.ReLU(), 1)
    assert dead_units(slope, largest).tolist() == [[False, False, True, True, True, False]]
    assert float(saturated_fraction(slope, largest)) == pytest.approx(
        float((z <= 0).double().mean())
    )
    assert float(linear_fraction(slope, largest)) == pytest.approx(float((z > 0).double().mean()))


def test_nothing_is_said_of_a_replica_with_nan():
    slope, largest = signal(0), torch.ones(2)
    slope[0, 1, 2, 0] = math.nan
    assert saturated_fraction(slope, largest).isnan().tolist() == [True, False]
    assert linear_fraction(slope, largest).isnan().tolist() == [True, False]
    assert not dead_units(slope, largest)[0, 2]
