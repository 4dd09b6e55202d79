"""Whether the gradients of a unit's incoming weights agree in sign, example by example.

If all inputs of a unit are positive, all its weights must rise together or fall together, and
can only zigzag elsewhere (LeCun et al. 1998, "Efficient BackProp", section 4.3). The agreement is
the share of the incoming weight gradients that have the sign of most of them, leaving out those
that are 0: from 0.5 to 1. It is averaged over the pairs of example and unit that have a gradient.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

CHUNK = 2**20
"""Numbers of a chunk of patches or of weight gradients."""


def sign_agreement(inputs: Tensor, gradient: Tensor) -> Tensor:
    """Of a dense layer: inputs [K or 1, N, F] and gradient [K, N, U] to [K]; nan without any.

    `gradient` is of each example's loss by the layer's outputs, or any multiple of it but 0. An
    example's weight gradients are its inputs times a number, so they agree as the inputs do.
    """
    agreement, some = _agreement(inputs)
    weight = some * gradient.sign().abs().sum(2).double()
    mean = (agreement * weight).sum(1) / weight.sum(1)
    return mean.where(_known(inputs) & _known(gradient), math.nan).to(gradient)


def convolution_sign_agreement(
    inputs: Tensor,
    gradient: Tensor,
    kernel_size: int | tuple[int, int],
    padding: int | tuple[int, ...],
) -> Tensor:
    """Of a convolution of stride 1: inputs [K or 1, N, C, H, W], gradient [K, N, U, P] to [K].

    A unit is a channel, and an example's gradient by one of its weights is summed over the P
    positions. nan without any gradient.
    """
    num_patch = functional.unfold(inputs[0, :1], kernel_size, padding=padding)[0].numel()
    num_weights = num_patch // gradient.shape[3] * gradient.shape[2]
    size = max(1, CHUNK // max(num_patch, num_weights))
    images = inputs.expand(len(gradient), *inputs.shape[1:])
    means = []
    for own, own_gradient in zip(images, gradient, strict=True):
        total, count = gradient.new_zeros(2, dtype=torch.float64)
        for some, slopes in zip(own.split(size), own_gradient.split(size), strict=True):
            patches = functional.unfold(some, kernel_size, padding=padding)
            agreement, there = _agreement(slopes @ patches.mT)
            total, count = total + agreement.sum(), count + there.sum()
        means.append(total / count)
    return torch.stack(means).where(_known(inputs) & _known(gradient), math.nan).to(gradient)


def _agreement(x: Tensor) -> tuple[Tensor, Tensor]:
    """Agreement in sign along the last axis, 0 where all is 0, and whether anything is not."""
    signs = x.sign()
    balance, count = signs.sum(-1).abs(), signs.abs().sum(-1)
    some = count > 0
    return ((1 + balance / count) / 2).where(some, 0).double(), some


def _known(x: Tensor) -> Tensor:
    """Which replicas have no nan, [K]: its sign would be 0."""
    return ~x.flatten(1).amax(1).isnan()
