"""Integrals over normal distributions of any width, of functions that bend or have kinks near 0."""

import math
from functools import cache

import numpy as np
import torch
from torch import Tensor

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
