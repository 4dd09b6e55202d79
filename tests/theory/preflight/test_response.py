import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from study.networks import ACTIVATIONS, make_activation, pieces_per_unit
from study.probes.slopes import SATURATED, largest_slope, slope_of
from study.theory.preflight.response import APART, Field, dead_share, nodes, respond

EXAMPLES = 400_000
FIELDS = [Field(0.3, 2.0, {APART: 0.8}), Field(-0.5, 0.04, {APART: -0.01})]


def made(name: str) -> nn.Module:
    return make_activation(name).double()


def pairs(field: Field, pieces: int) -> tuple[Tensor, Tensor]:
    """Two examples [EXAMPLES, pieces] of a field."""
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, EXAMPLES, pieces, generator=generator, dtype=torch.float64)
    share = field.shared[APART] / field.variance
    second = share * first + math.sqrt(1 - share**2) * second
    std = math.sqrt(field.variance)
    return field.mean + std * first, field.mean + std * second


@pytest.mark.parametrize("std", [1e-6, 0.3, 1.0, 40.0, 1e6])
def test_nodes_integrate_polynomials_and_kinks_at_any_width(std: float) -> None:
    points, weights = nodes(torch.tensor([0.0, 3.0]), std)
    assert weights.sum(1) == pytest.approx([1, 1])
    assert (weights * points).sum(1) == pytest.approx([0, 3], rel=1e-9, abs=1e-9 * std)
    assert (weights * points**2).sum(1)[0] == pytest.approx(std**2)
    assert (weights * points.relu()).sum(1)[0] == pytest.approx(std / math.sqrt(2 * math.pi))
    inside = 2 * torch.special.ndtr(torch.tensor(1 / std, dtype=torch.float64)) - 1
    hit = (weights * (points.abs() < 1)).sum(1)[0]
    assert float(hit) == pytest.approx(float(inside), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_moments_are_those_of_drawn_pairs(name: str, field: Field) -> None:
    activation = made(name)
    pieces = pieces_per_unit(activation)
    first, second = pairs(field, pieces)
    with torch.no_grad():
        f, other = activation(first).flatten(), activation(second).flatten()
    response = respond(activation, field)
    scale = float(f.std())
    assert response.mean == drawn(f, 0)
    assert response.second == drawn(f.square(), 0.02 * float(f.square().mean()))
    covariance = response.shared[APART] - response.mean**2
    assert covariance == drawn((f - f.mean()) * (other - other.mean()), 0.02 * scale**2)
    slopes = slope_of(activation, first).square()
    slope = torch.full_like(slopes, 1 / pieces) if pieces > 1 else slopes
    assert response.slope == drawn(slope, 0.02 * float(slope.mean()))


def drawn(values: torch.Tensor, close: float) -> Any:
    """The mean of draws, within `close` or what it may stray by."""
    sampled = 6 * float(values.std()) / math.sqrt(EXAMPLES)
    return pytest.approx(float(values.mean()), abs=max(close, sampled))


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "hard_tanh", "lecun_tanh"])
def test_a_bend_far_narrower_than_the_field_is_seen(name: str) -> None:
    std = 1e5
    slope = respond(made(name), Field(0, std**2, {APART: 0})).slope
    z = torch.linspace(-60, 60, 240_001, dtype=torch.float64)
    area = float(slope_of(made(name), z[:, None]).square().sum() * (z[1] - z[0]))
    assert slope == pytest.approx(area / (std * math.sqrt(2 * math.pi)), rel=1e-3)


def test_nothing_varies_or_all_is_shared() -> None:
    still = respond(made("sigmoid"), Field(0.0, 0.0, {APART: 0.0}))
    assert (still.mean, still.second, still.shared[APART]) == pytest.approx((0.5, 0.25, 0.25))
    same = respond(made("relu"), Field(0.0, 2.0, {APART: 2.0}))
    assert same.second == pytest.approx(same.shared[APART]) == pytest.approx(1.0)
    assert respond(made("relu"), Field(0.0, math.inf, {APART: 0.0})).second == math.inf
    assert math.isnan(respond(made("relu"), Field(0.0, math.nan, {APART: 0.0})).second)


@pytest.mark.parametrize("name", ["relu", "sigmoid", "hard_tanh", "gelu", "elu"])
@pytest.mark.parametrize("examples", [1, 5])
def test_dead_units_are_those_of_drawn_ones(name: str, examples: int) -> None:
    activation = made(name)
    field = Field(-1.0, 40.0, {APART: 30.0})
    generator = torch.Generator().manual_seed(1)
    units = math.sqrt(30) * torch.randn(200_000, 1, generator=generator, dtype=torch.float64)
    own = torch.randn(200_000, examples, generator=generator, dtype=torch.float64)
    slopes = slope_of(activation, field.mean + units + math.sqrt(10) * own).abs()
    dead = (slopes < SATURATED * float(largest_slope(activation, 1))).all(1).double().mean()
    assert dead_share(activation, field, examples) == pytest.approx(float(dead), abs=0.006)


def test_nothing_is_said_of_death_where_the_slope_has_no_bound() -> None:
    class SquaredReLU(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return z.relu() ** 2

    assert math.isnan(dead_share(SquaredReLU(), Field(0.0, 3.0, {APART: 3.0}), 3))


def test_units_without_saturation_never_die() -> None:
    field = Field(0.0, 3.0, {APART: 3.0})
    for name in ("identity", "leaky_relu", "prelu", "maxout"):
        assert dead_share(made(name), field, 3) == 0
    assert dead_share(made("relu"), field, 1000) == pytest.approx(0.5, abs=1e-6)
    assert dead_share(made("relu"), Field(0.0, 0.0, {APART: 0.0}), 1000) == 1
