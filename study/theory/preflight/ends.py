"""The two ends of a prediction: what the images are, and the gradient that a loss starts with."""

import math
from collections.abc import Sequence
from functools import cache, partial

import torch
from torch import Tensor, nn

from study.config.configuration import RECONSTRUCTION, Config, task_of
from study.theory.preflight.response import APART, Field, respond
from study.theory.preflight.shapes import LayerShape
from study.theory.preflight.theory import SAME_PLACE, OutputGradient, Signal, neighbours

NUM_DRAWS = 10_000
LARGEST_VARIANCE = 1e30
"""Softmax is one-hot long before."""


def input_signal(inputs: Tensor, layers: Sequence[LayerShape]) -> Signal:
    """E[x^2] of images [N, C, H, W], and what two examples and two neighbours have in common."""
    x = inputs.detach().cpu().double()
    second = float(x.square().mean())
    if not (layers and layers[0].convolves):
        return Signal(second, {APART: _common(x, second)})
    shared = {
        APART: float(x.mean((0, 2, 3)).square().mean()),
        SAME_PLACE: _common(x, second),
    }
    num_pools = sum(shape.pool is not None for shape in layers)
    for distance in (2**power for power in range(num_pools)):
        shared[neighbours(distance)] = _neighbours(x, distance, shared[APART])
    return Signal(second, shared)


def _common(x: Tensor, second: float) -> float:
    """E[x_i(a) x_i(b)] over pairs of different examples: without bias, whatever their number."""
    count = len(x)
    squared_mean = float(x.mean(0).square().mean())
    return (count * squared_mean - second) / (count - 1) if count > 1 else second


def _neighbours(x: Tensor, distance: int, otherwise: float) -> float:
    """The mean product of two of four pixels in a square of this side: six pairs."""
    if min(x.shape[2:]) <= distance:
        return otherwise
    left, right = x[..., :-distance], x[..., distance:]
    up, down = x[..., :-distance, :], x[..., distance:, :]
    beside, below = float((left * right).mean()), float((up * down).mean())
    one = float((left[..., :-distance, :] * right[..., distance:, :]).mean())
    other = float((left[..., distance:, :] * right[..., :-distance, :]).mean())
    return (2 * beside + 2 * below + one + other) / 6


def output_gradient(config: Config, num_outputs: int, inputs: Tensor) -> OutputGradient:
    """What the loss of a configuration sends back, its outputs independent of the targets.

    Of softmax and cross-entropy that is p - y (Bridle 1990), of the squared error 2 (o - y), of
    an autoencoder's cross-entropy s(o) - x, s the logistic function.
    """
    squared = config.loss == "squared_error"
    if task_of(config) == RECONSTRUCTION:
        x = inputs.detach().cpu().double()
        moments = num_outputs, float(x.mean()), float(x.square().mean())
        return partial(_squared if squared else _logistic, *moments)
    if squared:
        return partial(_squared, num_outputs, 1 / num_outputs, 1 / num_outputs)
    return partial(_softmax, num_outputs)


def _squared(num: int, mean_target: float, second_target: float, mean: float, var: float) -> float:
    return 4 * num * (var + mean * mean - 2 * mean * mean_target + second_target)


def _logistic(num: int, mean_target: float, second_target: float, mean: float, var: float) -> float:
    shown = respond(nn.Sigmoid(), Field(mean, var, {APART: 0.0}))
    return num * (shown.second - 2 * shown.mean * mean_target + second_target)


def _softmax(num_classes: int, mean: float, variance: float) -> float:
    """Sum over classes of E[(p - y)^2] = E[sum p^2] - 2/C + 1, every class as likely as another.

    E[sum p^2] is taken over fixed draws: its standard error is below 1 %.
    """
    if math.isnan(variance):
        return math.nan
    std = math.sqrt(min(variance, LARGEST_VARIANCE))
    p = torch.softmax(std * _draws(num_classes), dim=1)
    return float(p.square().sum(1).mean()) - 2 / num_classes + 1


@cache
def _draws(num_classes: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(NUM_DRAWS, num_classes, generator=generator, dtype=torch.float64)
