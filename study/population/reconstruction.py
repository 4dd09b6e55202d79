"""Reconstruction losses of an autoencoder.

A loss is summed over an example's inputs, as the published squared errors are (Hinton &
Salakhutdinov 2006), and then averaged over examples. Vincent et al. 2010, section 2.2, has both.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from study.errors import unknown

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
