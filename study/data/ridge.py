"""Ridge regression of one-hot classes on images: what a linear network must come to."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

EXAMPLES_PER_CHUNK = 4096


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
