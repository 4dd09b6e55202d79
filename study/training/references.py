"""What stands beside a cell's numbers in its record: what is known without training.

Beside a reconstruction what a linear code of the same size leaves, beside a linear network the
solution of ridge regression.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import torch

from study.config.configuration import RECONSTRUCTION, Config, task_of
from study.data import Data

EXAMPLES_PER_CHUNK = 4096
Energies = tuple[torch.Tensor, torch.Tensor]
"""Mean squared lengths along each component, [D]: of the training images, of the test images."""
_kept: dict[tuple[Any, ...], Energies] = {}
"""The energies of each data set that a cell of this process was trained on: a few kB each."""


@dataclass(frozen=True)
class Ridge:
    """Scores x W + b: `weights` [D, C] and `intercept` [C], float64 on the CPU."""

    weights: torch.Tensor
    intercept: torch.Tensor

    def loss_and_error(self, images: torch.Tensor, labels: torch.Tensor) -> tuple[float, float]:
        """Squared error summed over classes, without the penalty, and share of wrong classes.

        Means over the images [N, ...] with labels [N].
        """
        loss, wrong = 0.0, 0
        for inputs, targets, classes in _chunks(images, labels, len(self.intercept)):
            scores = inputs @ self.weights + self.intercept
            loss += float((scores - targets).square().sum())
            wrong += int((scores.argmax(1) != classes).sum())
        return loss / len(labels), wrong / len(labels)


# Ridge regression of one-hot classes on images: what a linear network must come to.


def ridge(images: torch.Tensor, labels: torch.Tensor, num_classes: int, *, penalty: float) -> Ridge:
    """Minimizes sum_n |W^T x_n + b - y_n|^2 + penalty |W|^2 over W and b; y_n is one-hot.

    images: [N, ...], labels: int64 [N]; `penalty` is above 0, and leaves the intercept free, so
    that W solves (X^T X + penalty I) W = X^T Y for centred X and Y, and b = mean y - W^T mean x
    (Hoerl & Kennard 1970; Hastie, Tibshirani & Friedman 2009, equation 3.44). With a penalty of
    N sigma^2 it is the minimum of the mean loss under noise N(0, sigma^2) on every input (Bishop
    1995, "Training with noise is equivalent to Tikhonov regularization", exact for a linear model).
    """
    assert penalty > 0, "without a penalty there may be many solutions"
    size = images[0].numel()
    sums = torch.zeros(size, dtype=torch.float64)
    totals = torch.zeros(num_classes, dtype=torch.float64)
    for inputs, targets, _ in _chunks(images, labels, num_classes):
        sums += inputs.sum(0)
        totals += targets.sum(0)
    mean, target = sums / len(labels), totals / len(labels)
    scatter = penalty * torch.eye(size, dtype=torch.float64)
    products = torch.zeros(size, num_classes, dtype=torch.float64)
    for inputs, targets, _ in _chunks(images, labels, num_classes):
        inputs -= mean
        scatter.addmm_(inputs.T, inputs)
        products.addmm_(inputs.T, targets - target)
    weights = torch.cholesky_solve(products, torch.linalg.cholesky(scatter))
    return Ridge(weights, target - mean @ weights)


def _chunks(
    images: torch.Tensor, labels: torch.Tensor, num_classes: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Copies of images [n, D] and one-hot targets [n, C], float64 on the CPU, and labels [n]."""
    chunks = zip(images.split(EXAMPLES_PER_CHUNK), labels.split(EXAMPLES_PER_CHUNK), strict=True)
    for inputs, classes in chunks:
        flat = inputs.flatten(1).to(device="cpu", dtype=torch.float64, copy=True)
        own = classes.to("cpu")
        yield flat, torch.nn.functional.one_hot(own, num_classes).double(), own


# Principal components of a set of images: how much squared error a code of any size must leave.


def principal_energies(train: Sequence[torch.Tensor], test: torch.Tensor) -> Energies:
    """Mean squared length of the images along each principal component of the training images.

    `train`: tensors [N, ...], together the images to fit; `test`: [M, ...]. Returns those of the
    training images, in descending order, and those of the test images, each [D], float64.

    Lengths are from the mean of the training images. The sum of all but the first k is the squared
    error, summed over pixels, mean over images, of the reconstruction from k components: of all
    linear codes of that size the one that leaves least on the training images (Eckart & Young
    1936; Hotelling 1933). For k = 0 it is the error of the mean image.

    Exact but for rounding: the eigenvectors of the scatter matrix, in float64.
    """
    num_examples = sum(len(images) for images in train)
    size = test[0].numel()
    total = torch.zeros(size, dtype=torch.float64)
    for part in chain.from_iterable(map(_flat, train)):
        total += part.sum(0)
    mean = total / num_examples
    scatter = torch.zeros(size, size, dtype=torch.float64)
    for part in chain.from_iterable(map(_flat, train)):
        part -= mean
        scatter.addmm_(part.T, part)
    energies, directions = torch.linalg.eigh(scatter / num_examples)
    tested = torch.zeros_like(energies)
    for part in _flat(test):
        tested += ((part - mean) @ directions).square().sum(0)
    return energies.clamp(min=0).flip(0), (tested / len(test)).flip(0)


def _flat(images: torch.Tensor) -> Iterator[torch.Tensor]:
    """Copies of the images, [n, D], in float64 on the CPU, some at a time."""
    for chunk in images.split(EXAMPLES_PER_CHUNK):
        yield chunk.flatten(1).to(device="cpu", dtype=torch.float64, copy=True)


# What a result.json says of its task.


def task_record(config: Config, data: Data) -> dict[str, Any]:
    """What a result.json says of its task: `task` and, where there are any, `references`."""
    task = task_of(config)
    found = linear_codes(config, data) if task == RECONSTRUCTION else ridge_solution(config, data)
    return {"task": task, "references": found} if found else {"task": task}


def linear_codes(config: Config, data: Data) -> dict[str, Any]:
    """Squared errors, summed over pixels, mean over images, of PCA and of the mean image.

    PCA has as many components as the network's code has units. Both are fitted to the training and
    the validation images of the cell together, normalized as the network is given them:
    `train_error` is of those images, `test_error` of the test images.
    """
    key = (data.fingerprint, replace(config.data, root=None))
    if key not in _kept:
        fitted = (data.train.inputs, data.val.inputs)
        _kept[key] = principal_energies(fitted, data.test.inputs)
    train, test = _kept[key]

    def errors(components: int) -> dict[str, float]:
        return {
            "train_error": float(train[components:].sum()),
            "test_error": float(test[components:].sum()),
        }

    components = min(config.model.code, len(train))
    return {"pca": {"components": components, **errors(components)}, "mean_image": errors(0)}


def ridge_solution(config: Config, data: Data) -> dict[str, Any]:
    """What a penalized linear network with squared error comes to at last; {} of other networks.

    Its mean loss under input noise of std sigma and weight decay lambda, whose gradient is
    lambda W, has the minimum of ridge regression with `penalty` N (sigma^2 + lambda / 2) on its N
    training images. Losses and errors are as those of a network in evaluation mode, without noise
    and penalty, on its training and on the test images.
    """
    strength = _penalty(config)
    if not strength:
        return {}
    train, test = data.train, data.test
    penalty = len(train) * strength
    solution = ridge(train.inputs, train.labels, data.num_classes, penalty=penalty)
    record = {"penalty": penalty}
    for name, split in (("train", train), ("test", test)):
        loss, error = solution.loss_and_error(split.inputs, split.labels)
        record |= {f"{name}_loss": loss, f"{name}_error": error}
    return {"ridge": record}


def _penalty(config: Config) -> float:
    """sigma^2 + lambda / 2 of a cell that minimizes a ridge regression's loss; 0 of any other.

    AdamW's decay is none of the loss; flips, crops and augmentations change the images.
    """
    model, data, optimizer = config.model, config.data, config.optimizer
    is_linear = model.name == "mlp" and not model.widths
    is_plain = config.norm.name == "none" and config.pretraining.name == "none"
    decay = optimizer.weight_decay
    if (
        not (is_linear and is_plain and config.loss == "squared_error")
        or (data.flip or data.crop or data.augment)
        or (decay and optimizer.name == "adamw")
    ):
        return 0.0
    return float(config.input_noise**2 + decay / 2)
