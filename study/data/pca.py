"""Principal components of a set of images: how much squared error a code of any size must leave."""

from collections.abc import Iterator, Sequence
from itertools import chain

import torch

EXAMPLES_PER_CHUNK = 4096


def principal_energies(
    train: Sequence[torch.Tensor], test: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
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
