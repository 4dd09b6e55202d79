"""The gain of an activation: the scale of weights that keeps a signal's second moment.

A layer z' = W f(z) of fan-in n with independent weights of mean 0 and variance gain^2 / n has
E[z'^2] = gain^2 E[f(z)^2]. With z ~ N(0, 1), as in a wide layer, the second moment stays 1 for

    gain(f) = 1 / sqrt(E[f(z)^2])

(He et al. 2015, section 2.2, do this for ReLU: sqrt 2; Poole et al. 2016, eq. 3, for any f).
"""

import copy
import math
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from study.networks.activations import make_activation, pieces_per_unit
from study.networks.registry import Arguments

EDGE = 14.0
"""The density of N(0, 1) beyond it is below 1e-42: nothing, in float64."""


def gain(activation: Arguments | str | nn.Module) -> float:
    """1 / sqrt(E[f(z)^2]) for z ~ N(0, 1), to about 1e-14 (PReLU: its slope is a float32).

    For maxout z is the largest of `pieces` independent normals, one per linear piece. These are
    not `torch.nn.init.calculate_gain`'s numbers but where that is exact (linear, ReLU, leaky
    ReLU): its tanh (5/3) and SELU (3/4) are conventions.

    Convention of `gain: auto`: a layer takes the gain of the activation that feeds it. The first
    layer takes 1; the later ones and the output take the activation's gain; a layer fed by
    BatchNorm after the activation takes 1. With lecun_normal and inputs of second moment 1 this
    keeps the second moment of every pre-activation at 1, exactly in the limit of wide layers.

    `data.normalize: standard` gives such inputs, and so does `pixel` but for constant pixels.
    After centre, unit, binary and whiten it is below 1, after none (pixels 0-255) far above, and
    the first pre-activations have it too. Pooling, padding, dropout and biases are not accounted
    for. The he levels instead use sqrt(2 / fan_in) in every layer, as He et al. 2015 do.

    >>> round(gain("relu") ** 2, 12)
    2.0
    """
    return 1 / math.sqrt(second_moment(activation))


def second_moment(activation: Arguments | str | nn.Module) -> float:
    """E[f(z)^2] for z ~ N(0, 1), or for the largest of `pieces` normals if f is maxout."""
    return expectation(Tensor.square, activation)


def mean_output(activation: Arguments | str | nn.Module) -> float:
    """E f(z) for z as in `second_moment`: 0 of an activation that is zero-centred."""
    return expectation(lambda values: values, activation)


def expectation(
    function: Callable[[Tensor], Tensor], activation: Arguments | str | nn.Module
) -> float:
    """E[function(f(z))] for z as in `second_moment`; `function` is elementwise.

    >>> round(expectation(torch.abs, "identity") ** 2, 12) == round(2 / math.pi, 12)
    True
    """
    module = activation if isinstance(activation, nn.Module) else make_activation(activation)
    module = copy.deepcopy(module).double().cpu()
    pieces = pieces_per_unit(module)
    points, weights = _nodes()
    with torch.no_grad():
        values = points if pieces > 1 else module(points[:, None]).flatten()
    density = pieces * _normal_density(points) * torch.special.ndtr(points) ** (pieces - 1)
    return float((weights * density * function(values)).sum())


def _normal_density(z: Tensor) -> Tensor:
    return torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi)


@cache
def _nodes() -> tuple[Tensor, Tensor]:
    """Composite Gauss-Legendre nodes and weights on [-EDGE, EDGE].

    Panels of width 1/2, so that every kink (0 of the ReLU family, +-1 of hard tanh) is a border
    and the integrand is smooth inside each.
    """
    nodes, weights = np.polynomial.legendre.leggauss(24)
    half = 0.25
    centres = np.arange(-EDGE + half, EDGE, 2 * half)
    points = (centres[:, None] + half * nodes).ravel()
    return torch.from_numpy(points), torch.from_numpy(np.tile(half * weights, len(centres)))
