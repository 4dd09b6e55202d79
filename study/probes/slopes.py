"""Slopes of activation functions: f', its largest value, and the units that hardly have one."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from study.probes.signals import share

SATURATED = 0.01
"""An activation is saturated where |f'| is under this share of its largest value."""
LINEAR = 0.5
"""It is in its linear region where |f'| is at least this share of its largest value."""

FAR = 1e8
"""Infinity, as far as functions are looked at."""

_LARGEST: dict[tuple[type[nn.Module], str], float] = {}


def slope_of(activation: nn.Module, z: Tensor) -> Tensor:
    """f'(z) by autograd, whatever shape and layout the module takes; nan at nan.

    At a kink it is what back-propagation takes for it. Of maxout: 1 for each of its outputs, as a
    unit's slope along its largest piece is. Calls no hook of the module, so hooks may call it.
    """
    if hasattr(activation, "pieces"):
        return z.new_ones(activation.forward(z.detach().to("meta")).shape)
    with torch.enable_grad():
        point = z.detach().requires_grad_()
        out = activation.forward(point)
        (slope,) = torch.autograd.grad(out, point, torch.ones_like(out))
    # The slopes of relu and its like are numbers even at nan.
    return slope.where(~z.isnan(), torch.nan) if bool(z.amax().isnan()) else slope


def largest_slope(activation: nn.Module, num_replicas: int) -> Tensor:
    """The supremum of |f'|, [K]: what it is on a fine grid with points beside every kink.

    Where it `rises_for_ever` it is infinite, as squared ReLU's is: no share of it means anything.
    float64, but for an activation with parameters: these may differ between replicas, and f' is
    in their precision, on their device. Without any, a function is looked at once a process.
    """
    if hasattr(activation, "pieces"):
        return torch.ones(num_replicas, dtype=torch.float64)
    parameter = next(activation.parameters(), None)
    if parameter is not None:
        grid = _GRID.to(parameter).view(1, -1, 1).expand(num_replicas, -1, 1)
        return _supremum(slope_of(activation, grid)[..., 0].abs())
    settings = {key: value for key, value in vars(activation).items() if key[0] != "_"}
    known = type(activation), repr(settings)
    if known not in _LARGEST:
        _LARGEST[known] = float(_supremum(slope_of(activation, _GRID.view(1, -1)).abs()))
    return torch.full((num_replicas,), _LARGEST[known], dtype=torch.float64)


def rises_for_ever(values: Tensor, points: Tensor) -> Tensor:
    """Whether a function has no upper bound, as its values at points from -FAR to FAR show it.

    values: [..., G]; points: [G]; returns bool [...]. It has none where its largest value beyond
    the square root of FAR is more than a thousandth above its largest value before it.
    """
    beyond = points.abs() > math.sqrt(FAR)
    near, far = values[..., ~beyond].amax(-1), values[..., beyond].amax(-1)
    return far - near > 1e-3 * (1 + near.abs())


def _supremum(slopes: Tensor) -> Tensor:
    """The supremum of |f'|, [...], by its values on the grid, [..., G]."""
    return slopes.amax(-1).where(~rises_for_ever(slopes, _GRID.to(slopes)), torch.inf)


_KINKS = torch.arange(-6, 7, dtype=torch.float64)
_OUT = torch.tensor([50, 1e3, 1e6, FAR], dtype=torch.float64)
_STEPS = torch.arange(-(2**14), 2**14 + 1, dtype=torch.float64) / 1024
_GRID = torch.cat([_STEPS, _KINKS - 1e-9, _KINKS + 1e-9, -_OUT, _OUT])
"""Multiples of 1/1024 up to +-16, their neighbours where kinks lie, and points far out."""


def saturated_fraction(slope: Tensor, largest: Tensor) -> Tensor:
    """The share of units x examples where f is saturated: |f'| < 1 % of its largest value.

    slope: [K, N, U, P]; largest: [K]; returns [K], nan where a slope is, or |f'| has no bound.
    """
    return _share(slope, lambda some, limit: abs(some) < limit, SATURATED * largest)


def linear_fraction(slope: Tensor, largest: Tensor) -> Tensor:
    """The share of units x examples in the linear region: |f'| >= half its largest value.

    slope: [K, N, U, P]; largest: [K]; returns [K], nan where a slope is, or |f'| has no bound.
    """
    return _share(slope, lambda some, limit: abs(some) >= limit, LINEAR * largest)


def dead_units(slope: Tensor, largest: Tensor) -> Tensor:
    """Whether a unit is saturated on all examples at all positions, bool [K, U].

    slope: [K, N, U, P]; largest: [K]. A unit with a slope of nan is not dead: it is unknown. Nor is
    one whose |f'| has no bound.
    """
    limits = (SATURATED * largest).to(slope).unsqueeze(1)
    return (slope.abs().amax((1, 3)) < limits) & limits.isfinite()


def _share(slope: Tensor, holds: Callable[[Any, Any], Any], limits: Tensor) -> Tensor:
    limits = limits.to(slope)
    return share(slope, holds, limits).where(limits.isfinite(), torch.nan)
