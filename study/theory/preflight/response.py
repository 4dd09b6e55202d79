"""What an activation function does to a normal pre-activation: its moments, its slope, its dead.

In a wide layer of independent weights a pre-activation is normal over the draws of the weights,
and jointly normal on two examples (Poole et al. 2016, eq. 3-5; Schoenholz et al. 2017).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from study.networks import Maxout
from study.networks.gains import mean_output, second_moment
from study.probes.slopes import SATURATED, largest_slope, slope_of

# Integrals over normal distributions of any width, of functions that bend or have kinks near 0.


REACH = 8.5
"""Standard deviations: the share of a normal distribution further out is below 1e-16."""
BENDS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 9.0, 14.0, 22.0, 36.0)
"""Between these distances from 0, and beyond, activation functions are smooth."""


def nodes(centres: Tensor, std: float, order: int = 6) -> tuple[Tensor, Tensor]:
    """Points and weights [S, n] of the expectation under N(centre, std^2), for centres [S].

    Composite Gauss-Legendre quadrature. Panels end at every half standard deviation and at
    `BENDS`, so neither a density much wider than the function's bends nor one much narrower than
    they lie apart is missed.
    """
    centres = centres.double()
    if std == 0:
        return centres[:, None], torch.ones_like(centres)[:, None]
    half_steps = torch.arange(-2 * REACH, 2 * REACH + 1, dtype=torch.float64) / 2
    ends = centres[:, None] + std * half_steps
    bends = torch.tensor([-b for b in BENDS[:0:-1]] + list(BENDS), dtype=torch.float64)
    inside = bends.expand(len(centres), -1).clamp(ends[:, :1], ends[:, -1:])
    edges = torch.cat([ends, inside], dim=1).sort(dim=1).values
    places, shares = _legendre(order)
    width = edges.diff(dim=1)[:, :, None]
    points = edges[:, :-1, None] + width * places
    standard = (points - centres[:, None, None]) / std
    density = torch.exp(-standard.square() / 2) / (std * math.sqrt(2 * math.pi))
    return points.flatten(1), (density * width * shares).flatten(1)


@cache
def _legendre(order: int) -> tuple[Tensor, Tensor]:
    """Gauss-Legendre places and weights on [0, 1]."""
    places, shares = np.polynomial.legendre.leggauss(order)
    return torch.from_numpy((places + 1) / 2), torch.from_numpy(shares / 2)


APART = "apart"
"""Two examples (of a convolution: two places in them, too)."""
FARTHEST = 1e6
"""Where the saturated regions of activation functions are looked for, to either side of 0."""


@dataclass(frozen=True)
class Field:
    """Pre-activations z ~ N(mean, variance); `shared` has the covariances of two of one unit.

    By the pair's kind: `APART`, or others that are only carried along.
    """

    mean: float
    variance: float
    shared: Mapping[str, float]

    @property
    def common(self) -> float:
        """Variance over units of what all examples of a unit have in common."""
        return min(max(self.shared[APART], 0.0), self.variance)


@dataclass(frozen=True)
class Response:
    """Moments of f(z): E[f], E[f^2], E[f'^2], and E[f f'] of two of one unit.

    `by_unit` tells units apart by what their examples have in common: [4, S], a weight, and for
    such a unit E[f], E[f^2] and E[f'^2] over examples; None for maxout.
    """

    mean: float
    second: float
    slope: float
    shared: Mapping[str, float]
    by_unit: Tensor | None = None


def respond(activation: nn.Module, field: Field) -> Response:
    """The moments of f(z) over a field; those of a field beyond floats are as infinite as it is.

    `activation` is in float64. Of maxout the slope is that of one piece.
    """
    if not math.isfinite(field.mean + field.variance):
        return Response(0.0, field.variance, math.nan, dict.fromkeys(field.shared, math.nan))
    if isinstance(activation, Maxout):
        return _respond_maxout(activation.pieces, field)
    centres, weights = _units(field.mean, field.common)
    moments = _over_examples(activation, centres, field.variance - field.common)
    mean, second, slope = (moments @ weights).tolist()
    shared = {name: _cross(activation, field, value) for name, value in field.shared.items()}
    return Response(mean, second, slope, shared, torch.cat([weights[None], moments]))


def dead_share(activation: nn.Module, field: Field, num_examples: int) -> float:
    """The share of units whose |f'| stays under 1 % of its largest value on every example.

    The examples of a unit are taken as independent, given what all of them have in common. nan
    where |f'| has no bound.
    """
    if not math.isfinite(field.mean + field.variance):
        return math.nan
    if isinstance(activation, Maxout):
        return 0.0
    if not largest_slope(activation, 1).isfinite():
        return math.nan
    centres, weights = _units(field.mean, field.common)
    std = math.sqrt(field.variance - field.common)
    saturated = torch.zeros_like(centres)
    for low, high in _saturated(activation):
        if std == 0:
            saturated += (centres >= low) & (centres <= high)
        else:
            saturated += torch.special.ndtr((high - centres) / std)
            saturated -= torch.special.ndtr((low - centres) / std)
    return min(1.0, float(saturated.clamp(0, 1).pow(num_examples) @ weights))


def _units(mean: float, common: float) -> tuple[Tensor, Tensor]:
    """What a unit's examples have in common, nodes and weights over units: [S] each."""
    points, weights = nodes(torch.tensor([mean], dtype=torch.float64), math.sqrt(common), order=4)
    return points[0], weights[0]


def _over_examples(activation: nn.Module, centres: Tensor, variance: float) -> Tensor:
    """E[f], E[f^2] and E[f'^2] of z ~ N(centre, variance) for each centre: [3, S]."""
    points, weights = nodes(centres, math.sqrt(variance))
    with torch.no_grad():
        values = activation(points)
    slopes = slope_of(activation, points)
    return torch.stack([(weights * x).sum(1) for x in (values, values.square(), slopes.square())])


def _cross(activation: nn.Module, field: Field, covariance: float) -> float:
    """E[f(z1) f(z2)] of two pre-activations with this covariance, of either sign."""
    covariance = min(max(covariance, -field.variance), field.variance)
    centres, weights = _units(field.mean, abs(covariance))
    mean = _over_examples(activation, centres, field.variance - abs(covariance))[0]
    if covariance >= 0:
        return float(mean.square() @ weights)
    mirrored = _over_examples(
        activation, 2 * field.mean - centres, field.variance - abs(covariance)
    )[0]
    return float((mean * mirrored) @ weights)


def _respond_maxout(pieces: int, field: Field) -> Response:
    """Of the largest of `pieces` independent z.

    A unit's gradient reaches one piece of it, so E[f'^2] = 1/pieces. E[f f'] is exact at
    covariance 0 and at the variance, and has the right slope at 0: that of E[df/dz]^2.
    """
    spread = math.sqrt(field.variance)
    first, second = _largest_of(pieces)
    mean = field.mean + spread * first
    curved = second - first * first - 1 / pieces

    def cross(covariance: float) -> float:
        share = covariance / field.variance if field.variance else 0.0
        return mean * mean + field.variance * (share / pieces + curved * share * share)

    square = mean * mean + field.variance * (second - first * first)
    shared = {name: cross(value) for name, value in field.shared.items()}
    return Response(mean, square, 1 / pieces, shared)


@cache
def _largest_of(pieces: int) -> tuple[float, float]:
    """First and second moment of the largest of `pieces` standard normals."""
    module = Maxout(pieces)
    return mean_output(module), second_moment(module)


_SATURATED: WeakKeyDictionary[nn.Module, list[tuple[float, float]]] = WeakKeyDictionary()


def _saturated(activation: nn.Module) -> list[tuple[float, float]]:
    """The intervals where |f'| is under 1 % of its largest value; open ends are infinite."""
    if activation in _SATURATED:
        return _SATURATED[activation]
    limit = SATURATED * float(largest_slope(activation, 1))

    def is_saturated(z: Tensor) -> Tensor:
        return slope_of(activation, z[:, None])[:, 0].abs() < limit

    powers = torch.logspace(-6, math.log10(FARTHEST), 4000, dtype=torch.float64)
    grid = torch.cat([-powers.flip(0), torch.zeros(1, dtype=torch.float64), powers])
    state = is_saturated(grid)
    change = (state[1:] != state[:-1]).nonzero()[:, 0]
    low, high, before = grid[change], grid[change + 1], state[change]
    for _ in range(60 if len(change) else 0):
        middle = (low + high) / 2
        same = is_saturated(middle) == before
        low, high = torch.where(same, middle, low), torch.where(same, high, middle)
    ends = [-math.inf] if state[0] else []
    ends += high.tolist()
    ends += [math.inf] if state[-1] else []
    _SATURATED[activation] = list(zip(ends[::2], ends[1::2], strict=True))
    return _SATURATED[activation]
