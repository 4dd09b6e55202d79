"""Reconstruction losses of an autoencoder, and whether its inputs suit them.

A loss is summed over an example's inputs, as the published squared errors are (Hinton &
Salakhutdinov 2006), and then averaged over examples. Vincent et al. 2010, section 2.2, has both.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from study.errors import InputError, unknown
from study.networks import Block

CROSS_ENTROPY = "cross_entropy"


def squared(outputs: Tensor, targets: Tensor) -> Tensor:
    """Squared distance of each example to its target, without a half: [N, ...] twice -> [N]."""
    return (outputs - targets).square().flatten(1).sum(dim=1)


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """-sum [t log s(z) + (1 - t) log(1 - s(z))], s(z) = 1 / (1 + exp(-z)): [N, ...] twice -> [N].

    In nats, from the logits z, so that no logarithm overflows; the targets t are in [0, 1]. Its
    minimum is the entropy of t, at s(z) = t.
    """
    losses = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return losses.flatten(1).sum(dim=1)


@dataclass(frozen=True)
class Reconstruction:
    """What is minimized per example, and how a decoder's outputs become a reconstruction."""

    loss: Callable[[Tensor, Tensor], Tensor]
    shown: Callable[[Tensor], Tensor]


RECONSTRUCTIONS: dict[str, Reconstruction] = {
    "squared": Reconstruction(squared, lambda outputs: outputs),
    CROSS_ENTROPY: Reconstruction(cross_entropy, torch.sigmoid),
}


def make_reconstruction(name: str) -> Reconstruction:
    """The reconstruction of `pretraining.loss`; raises InputError for an unknown name."""
    if name not in RECONSTRUCTIONS:
        raise unknown("pretraining.loss", name, RECONSTRUCTIONS)
    return RECONSTRUCTIONS[name]


def check_inputs(name: str, inputs: Tensor) -> None:
    """Refuses cross-entropy for images with values outside [0, 1]. NaN passes: it has diverged."""
    if name != CROSS_ENTROPY:
        return
    low, high = (float(bound) for bound in torch.aminmax(inputs))
    if low < 0 or high > 1:
        raise InputError(
            f"pretraining.loss=cross_entropy reconstructs values in [0, 1], but the inputs are "
            f"from {low:.4g} to {high:.4g}; use data.normalize=unit, data.normalize=binary or "
            "pretraining.loss=squared"
        )


def check_blocks(name: str, blocks: Iterable[Block]) -> None:
    """Refuses cross-entropy where a block feeds the next with values that can leave [0, 1].

    `blocks`: those to pretrain, in forward order. Needs no data, so it can go before training.
    """
    if name != CROSS_ENTROPY:
        return
    for layer, (block, _) in enumerate(pairwise(blocks), start=2):
        if not isinstance(block.activation, nn.Sigmoid):
            feeds, remedy = type(block.activation).__name__, "activation=sigmoid"
        elif block.output_is_normalized:
            feeds, remedy = "a norm after the activation", "norm.position=before"
        else:
            continue
        raise InputError(
            f"pretraining.loss=cross_entropy reconstructs values in [0, 1], but layer {layer} is "
            f"fed by {feeds}; use {remedy} or pretraining.loss=squared"
        )
