"""Activations as functions of one number: values and slopes [G] of points [G], in float64."""

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from study.networks.activations import Maxout, pieces_per_unit
from study.probes.slopes import slope_of

Function = Callable[[Tensor], Tensor]


class AlongPieces(nn.Module):
    """A maxout unit whose linear pieces are multiples of one number: piece i is direction[i] z."""

    def __init__(self, maxout: nn.Module, direction: Sequence[float]) -> None:
        super().__init__()
        self.maxout = maxout
        self.direction = tuple(direction)

    def forward(self, z: Tensor) -> Tensor:
        pieces = z.flatten()[:, None] * z.new_tensor(self.direction)
        return self.maxout(pieces).view(z.shape)


class Line:
    """A function of one number, and its derivative by automatic differentiation."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module

    def value(self, z: Tensor) -> Tensor:
        with torch.no_grad():
            return self._module(z)

    def slope(self, z: Tensor) -> Tensor:
        return slope_of(self._module, z)


def in_float64(module: nn.Module) -> nn.Module:
    """A copy that computes in float64, on the CPU."""
    return copy.deepcopy(module).double().cpu()


def lines_of(activation: nn.Module) -> list[Line]:
    """The lines on which an activation is looked at: one, but for maxout.

    A maxout unit of p pieces is a function of p numbers. It is looked at where one of them varies
    and the others are 0, and where all are equal.
    """
    if not isinstance(activation, Maxout):
        return [Line(activation)]
    pieces = activation.pieces
    one, all_equal = [1.0] + [0.0] * (pieces - 1), [1.0] * pieces
    return [Line(AlongPieces(activation, direction)) for direction in (one, all_equal)]


def unit_slope(activation: nn.Module) -> Function:
    """|f'| as the probes take it: a maxout unit's is 1, the slope along its largest piece."""
    pieces = pieces_per_unit(activation)
    return lambda z: slope_of(activation, z[:, None].repeat(1, pieces)).flatten().abs()
