"""Which images train, which validate: stratified, exact and reproducible.

Sizes are shared out over the classes by the largest remainders: a class of n_c of N images gets
m n_c / N of m, rounded down, and what is left goes to the largest fractions, ties in an order that
the seed draws. Within a class the seed draws one order, and every subset is a beginning of it, so
a larger subset holds a smaller one (sizes that differ by N / min n_c always nest).
"""

import math
from collections.abc import Sequence

import torch

from study.errors import InputError


def split_indices(
    labels: torch.Tensor, *, val_size: float, train_size: int | None = None, split_seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Indices (training split, training subset, validation split), each int64 and ascending.

    labels: int64 [N]. `val_size` is a count, or a share of N below 1. The training split is what
    validation leaves; the subset has `train_size` of it (all of it with None).
    """
    total = len(labels)
    num_val = _count(val_size, total, "data.val_size")
    if num_val >= total:
        raise InputError(
            f"data.val_size={val_size} leaves no image to train on: there are {total} for both"
        )
    classes = _shuffled_classes(labels, split_seed)
    counts = apportion(num_val, [len(members) for members in classes])
    val = [members[:count] for members, count in zip(classes, counts, strict=True)]
    train = [members[count:] for members, count in zip(classes, counts, strict=True)]
    num_train = _train_count(train_size, total - num_val)
    subset = _beginnings(train, num_train)
    return _ascending(train), _ascending(subset), _ascending(val)


def subset_indices(labels: torch.Tensor, size: int | None, *, split_seed: int = 0) -> torch.Tensor:
    """Ascending int64 indices of a stratified subset of the test images (all with None)."""
    if size is None:
        return torch.arange(len(labels))
    num_test = _whole(size, "data.test_size")
    if not 1 <= num_test <= len(labels):
        raise InputError(
            f"data.test_size={size} must be from 1 to {len(labels)}, the number of test images"
        )
    return _ascending(_beginnings(_shuffled_classes(labels, split_seed), num_test))


def apportion(total: int, class_sizes: Sequence[int]) -> list[int]:
    """`total` shared out in proportion to `class_sizes` by the largest remainders (Hamilton).

    Sums to `total`; no class gets more than it has, or differs from its quota by 1 or more. Of
    equal fractions the earlier class is served first.
    """
    available = sum(class_sizes)
    counts = [total * size // available for size in class_sizes]
    remainders = [total * size % available for size in class_sizes]
    by_remainder = sorted(range(len(class_sizes)), key=lambda i: -remainders[i])
    for i in by_remainder[: total - sum(counts)]:
        counts[i] += 1
    return counts


def _shuffled_classes(labels: torch.Tensor, seed: int) -> list[torch.Tensor]:
    """The indices of each class that occurs, in random order, the classes in random order too."""
    generator = torch.Generator().manual_seed(seed)
    classes = []
    for label in labels.unique().tolist():
        members = (labels == label).nonzero().squeeze(1)
        classes.append(members[torch.randperm(len(members), generator=generator)])
    order = torch.randperm(len(classes), generator=generator).tolist()
    return [classes[i] for i in order]


def _beginnings(classes: list[torch.Tensor], total: int) -> list[torch.Tensor]:
    counts = apportion(total, [len(members) for members in classes])
    return [members[:count] for members, count in zip(classes, counts, strict=True)]


def _ascending(parts: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat(parts).sort().values


def _count(size: float, total: int, key: str) -> int:
    """The number of images that a count, or a share below 1, means."""
    if isinstance(size, float) and 0 < size < 1:
        count = math.floor(size * total + 0.5)
        if count < 1:
            raise InputError(f"{key}={size} of {total} images is none: give a larger share")
        return count
    count = _whole(size, key)
    if count < 1:
        raise InputError(f"{key}={size} must be a count of at least 1, or a share between 0 and 1")
    return count


def _train_count(size: int | None, available: int) -> int:
    if size is None:
        return available
    count = _whole(size, "data.train_size")
    if not 1 <= count <= available:
        raise InputError(
            f"data.train_size={size} must be from 1 to {available}, "
            "the number of training images that validation leaves"
        )
    return count


def _whole(size: float, key: str) -> int:
    number = isinstance(size, int | float) and not isinstance(size, bool)
    if not number or not math.isfinite(size) or size != int(size):
        raise InputError(f"{key}={size} must be a whole number of images")
    return int(size)
