"""What a network learns: what its outputs are compared with, and how far they are from it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from study.config.configuration import CLASSIFICATION, RECONSTRUCTION, Config, task_of
from study.data import IN_UNIT_INTERVAL
from study.errors import InputError, unknown

# Losses per example, and which predictions are wrong.


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


# Reconstruction losses of an autoencoder.
#
# A loss is summed over an example's inputs, as the published squared errors are (Hinton &
# Salakhutdinov 2006), and then averaged over examples. Vincent et al. 2010, section 2.2, has both.


CROSS_ENTROPY = "cross_entropy"


def squared(outputs: Tensor, targets: Tensor) -> Tensor:
    """Squared distance of each example to its target, without a half: [N, ...] twice -> [N]."""
    return (outputs - targets).square().flatten(1).sum(dim=1)


def reconstruction_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
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
    CROSS_ENTROPY: Reconstruction(reconstruction_cross_entropy, torch.sigmoid),
}


def make_reconstruction(name: str) -> Reconstruction:
    """The reconstruction of `pretraining.loss`; raises InputError for an unknown name."""
    if name not in RECONSTRUCTIONS:
        raise unknown("pretraining.loss", name, RECONSTRUCTIONS)
    return RECONSTRUCTIONS[name]


@dataclass(frozen=True)
class Task:
    """What the networks of a population learn. All functions are per example.

    `target` makes of a batch's inputs [B, C, H, W] and labels [B] what outputs are compared with,
    [B] or [B, D]. `loss`, which is minimized, and `error`, by which epochs and learning rates are
    chosen, take outputs [N, D] and targets and return [N]. `predicted` gives the class of outputs
    [N, D], int64 [N], -1 for none.

    `updates_at_once`: how many updates' outputs are kept until they are counted.
    """

    name: str
    target: Callable[[Tensor, Tensor], Tensor]
    loss: Loss
    error: Loss
    predicted: Callable[[Tensor], Tensor]
    updates_at_once: int


def make_task(config: Config) -> Task:
    """The task of a configuration; `InputError` for a loss or for inputs that it cannot have."""
    return TASKS[task_of(config)](config)


def _classification(config: Config) -> Task:
    """Labels, and the share of the examples that are misclassified."""
    if config.loss not in LOSSES:
        raise unknown("loss", config.loss, LOSSES)
    return Task(
        name=CLASSIFICATION,
        target=_labels,
        loss=LOSSES[config.loss],
        error=wrong,
        predicted=predicted,
        # Counting after each update would cost a small network a tenth of its step.
        updates_at_once=64,
    )


RECONSTRUCTION_LOSSES = {
    "cross_entropy": RECONSTRUCTIONS["cross_entropy"],
    "squared_error": RECONSTRUCTIONS["squared"],
}
"""What `loss` means where the target is an image."""


def _reconstruction(config: Config) -> Task:
    """The network's own inputs, and the squared error summed over them.

    With `loss=cross_entropy` the outputs are logits of the reconstruction, with
    `loss=squared_error` the reconstruction itself (Hinton & Salakhutdinov 2006 minimize the former
    and report the squared error of either). Outputs are as many as inputs, so that few are kept.
    """
    if config.loss not in RECONSTRUCTION_LOSSES:
        raise unknown("loss", config.loss, RECONSTRUCTION_LOSSES)
    _check_inputs(config)
    kind = RECONSTRUCTION_LOSSES[config.loss]
    return Task(
        name=RECONSTRUCTION,
        target=_inputs,
        loss=kind.loss,
        error=partial(reconstruction_error, kind),
        predicted=_no_class,
        updates_at_once=1,
    )


TASKS: dict[str, Callable[[Config], Task]] = {
    CLASSIFICATION: _classification,
    RECONSTRUCTION: _reconstruction,
}


def reconstruction_error(kind: Reconstruction, outputs: Tensor, targets: Tensor) -> Tensor:
    """Squared error of each reconstruction, summed over inputs: [N, D] twice -> [N].

    Infinite where an output is not finite, so that an epoch with a number is better.
    """
    errors = squared(kind.shown(outputs), targets)
    return torch.nan_to_num(errors, nan=torch.inf, posinf=torch.inf)


def _labels(inputs: Tensor, labels: Tensor) -> Tensor:
    return labels


def _inputs(inputs: Tensor, labels: Tensor) -> Tensor:
    return inputs.flatten(1)


def _no_class(outputs: Tensor) -> Tensor:
    return torch.full((len(outputs),), -1, device=outputs.device)


def _check_inputs(config: Config) -> None:
    """Refuses what would change the images to reconstruct, or take them out of a loss's range."""
    model, data = f"model={config.model.name}", config.data
    changes = {"input_noise": config.input_noise}
    changes |= {f"data.{key}": getattr(data, key) for key in ("flip", "crop")}
    for key, value in changes.items():
        if value:
            off = str(type(value)(0)).lower()
            raise InputError(
                f"{key}={str(value).lower()} beside {model}: it reconstructs its inputs as they "
                f"are; set {key}={off}"
            )
    if config.loss == "cross_entropy" and data.normalize not in IN_UNIT_INTERVAL:
        raise InputError(
            f"{model} with loss=cross_entropy reconstructs inputs in [0, 1], which "
            f"data.normalize={data.normalize} does not give: set data.normalize=unit or "
            "data.normalize=binary, or loss=squared_error"
        )
