"""Losses per example, and which predictions are wrong."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Loss = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(outputs: Tensor, labels: Tensor) -> Tensor:
    """-log softmax(outputs)[label] of each example, in nats: [N, C], [N] -> [N]."""
    return functional.cross_entropy(outputs, labels, reduction="none")


def squared_error(outputs: Tensor, labels: Tensor) -> Tensor:
    """Squared distance to the one-hot target, summed over classes: [N, C], [N] -> [N]."""
    targets = functional.one_hot(labels, outputs.shape[1]).to(outputs.dtype)
    return (outputs - targets).square().sum(dim=1)


LOSSES: dict[str, Loss] = {"cross_entropy": cross_entropy, "squared_error": squared_error}


def wrong(outputs: Tensor, labels: Tensor) -> Tensor:
    """Which examples are misclassified: [N, C], [N] -> bool [N].

    An output that is not finite counts as wrong, whatever its largest entry.
    """
    return (outputs.argmax(dim=1) != labels) | ~torch.isfinite(outputs).all(dim=1)


def predicted(outputs: Tensor) -> Tensor:
    """The predicted class of each example, -1 where an output is not finite: [N, C] -> int64 [N].

    So `predicted(outputs) != labels` is `wrong(outputs, labels)`.
    """
    return torch.where(torch.isfinite(outputs).all(dim=1), outputs.argmax(dim=1), -1)
