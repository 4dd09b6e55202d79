"""What a network learns: what its outputs are compared with, and how far they are from it.

Every loss is of each example: [N, D] outputs and their targets -> [N].
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from study.config.configuration import CLASSIFICATION, RECONSTRUCTION, Config, task_of
from study.data import IN_UNIT_INTERVAL
from study.errors import InputError, shown, unknown

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Reconstruction:
    """What is minimized per example, and how a decoder's outputs become a reconstruction."""

    loss: Loss
    shown: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Task:
    """What the networks of a population learn. All functions are per example.

    `target` makes of a batch's inputs [B, C, H, W] and labels [B] what outputs are compared with,
    [B] or [B, D]. `loss`, which is minimized, takes outputs [N, D] and targets and returns [N].
    `judge` takes the same and returns the errors [N], by which epochs and learning rates are
    chosen, and the predicted classes, int64 [N], -1 for none.

    `updates_at_once`: how many updates' outputs are kept until they are counted.
    """

    name: str
    target: Callable[[Tensor, Tensor], Tensor]
    loss: Loss
    judge: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    updates_at_once: int


# Classification: targets are labels.


def cross_entropy(outputs: Tensor, labels: Tensor) -> Tensor:
    """-log softmax(outputs)[label] of each example, in nats: [N, C], [N] -> [N]."""
    return functional.cross_entropy(outputs, labels, reduction="none")


def cross_entropy_by_classes(outputs: Tensor, labels: Tensor) -> Tensor:
    """`cross_entropy`, with the examples of a class side by side in memory.

    For a few classes a processor's wide registers are full only so: half the time of an update's,
    an eighth of an evaluation's. Its last bits are others, so that it goes with NumPy's products.
    """
    columns = outputs.t().contiguous().unsqueeze(0)
    losses = functional.cross_entropy(columns, labels.unsqueeze(0), reduction="none")
    return losses.squeeze(0)


def squared_error(outputs: Tensor, labels: Tensor) -> Tensor:
    """Squared distance to the one-hot target, summed over classes: [N, C], [N] -> [N]."""
    targets = functional.one_hot(labels, outputs.shape[1]).to(outputs.dtype)
    return (outputs - targets).square().sum(dim=1)


LOSSES: dict[str, Loss] = {"cross_entropy": cross_entropy, "squared_error": squared_error}
FASTER: dict[str, Loss] = {"cross_entropy": cross_entropy_by_classes}
"""What stands for a loss beside NumPy's products."""


def judge_classes(outputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Which examples are misclassified, and what each is taken for: [N, C], [N] -> bool, int64 [N].

    An output that is not finite counts as wrong, whatever its largest entry, and is taken for -1.
    """
    # A number times zero is zero where it is finite and NaN elsewhere: their sum says of a row of
    # outputs whether it is, in a sixth of the time that it takes to ask each one.
    are_finite = (outputs * 0).sum(dim=1) == 0
    classes = torch.where(are_finite, outputs.argmax(dim=1), -1)
    return classes != labels, classes


def classification(config: Config, products: str) -> Task:
    """Labels, and the share of the examples that are misclassified."""
    if config.loss not in LOSSES:
        raise unknown("loss", config.loss, LOSSES)
    return Task(
        name=CLASSIFICATION,
        target=lambda inputs, labels: labels,
        loss=(LOSSES | FASTER if products == "numpy" else LOSSES)[config.loss],
        judge=judge_classes,
        # Counting after each update would cost a small network a tenth of its step.
        updates_at_once=64,
    )


# Reconstruction: targets are inputs. A loss is summed over them, as published squared errors are.


def squared_distance(outputs: Tensor, targets: Tensor) -> Tensor:
    """Squared distance of each example to its target, without a half: [N, ...] twice -> [N].

    Summed over inputs, as Hinton & Salakhutdinov 2006 do; Vincent et al. 2010, section 2.2.
    """
    return (outputs - targets).square().flatten(1).sum(dim=1)


def binary_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """-sum [t log s(z) + (1 - t) log(1 - s(z))], s(z) = 1 / (1 + exp(-z)): [N, ...] twice -> [N].

    In nats, from the logits z, so that no logarithm overflows; the targets t are in [0, 1]. Its
    minimum is the entropy of t, at s(z) = t (Vincent et al. 2010, section 2.2).
    """
    losses = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return losses.flatten(1).sum(dim=1)


RECONSTRUCTIONS: dict[str, Reconstruction] = {
    "squared": Reconstruction(squared_distance, lambda outputs: outputs),
    "cross_entropy": Reconstruction(binary_cross_entropy, torch.sigmoid),
}
"""By the values of `pretraining.loss`."""

RECONSTRUCTION_LOSSES = {
    "cross_entropy": RECONSTRUCTIONS["cross_entropy"],
    "squared_error": RECONSTRUCTIONS["squared"],
}
"""What `loss` means where the target is an image."""


def make_reconstruction(name: str) -> Reconstruction:
    """The reconstruction of `pretraining.loss`; raises InputError for an unknown name."""
    if name not in RECONSTRUCTIONS:
        raise unknown("pretraining.loss", name, RECONSTRUCTIONS)
    return RECONSTRUCTIONS[name]


def reconstruction(config: Config, products: str) -> Task:
    """The network's own inputs, and the squared error summed over them.

    With `loss=cross_entropy` the outputs are logits of the reconstruction, with
    `loss=squared_error` the reconstruction itself (Hinton & Salakhutdinov 2006 minimize the former
    and report the squared error of either). An error is infinite where an output is not finite, so
    that an epoch with a number is better. Outputs are as many as inputs, so that few are kept.

    `InputError` for what would change the images to reconstruct, or take them out of a loss's
    range.
    """
    if config.loss not in RECONSTRUCTION_LOSSES:
        raise unknown("loss", config.loss, RECONSTRUCTION_LOSSES)
    model, data = f"model={config.model.name}", config.data
    changes = {
        "input_noise": config.input_noise,
        "data.flip": data.flip,
        "data.crop": data.crop,
        "data.augment": [*data.augment],
    }
    for key, value in changes.items():
        if value:
            given, off = (shown(each) for each in (value, type(value)()))
            raise InputError(
                f"{key}={given} beside {model}: it reconstructs its inputs as they are; set "
                f"{key}={off}"
            )
    if config.loss == "cross_entropy" and data.normalize not in IN_UNIT_INTERVAL:
        raise InputError(
            f"{model} with loss=cross_entropy reconstructs inputs in [0, 1], which "
            f"data.normalize={data.normalize} does not give: set data.normalize=unit or "
            "data.normalize=binary, or loss=squared_error"
        )
    kind = RECONSTRUCTION_LOSSES[config.loss]

    def judge(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        errors = squared_distance(kind.shown(outputs), targets)
        classes = torch.full((len(outputs),), -1, device=outputs.device)
        return torch.nan_to_num(errors, nan=torch.inf, posinf=torch.inf), classes

    return Task(
        name=RECONSTRUCTION,
        target=lambda inputs, labels: inputs.flatten(1),
        loss=kind.loss,
        judge=judge,
        updates_at_once=1,
    )


TASKS: dict[str, Callable[[Config, str], Task]] = {
    CLASSIFICATION: classification,
    RECONSTRUCTION: reconstruction,
}


def make_task(config: Config, products: str = "torch") -> Task:
    """The task of a configuration; `InputError` for a loss or for inputs that it cannot have."""
    return TASKS[task_of(config)](config, products)
