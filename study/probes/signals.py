"""Statistics of what flows through a layer, for K replicas at once.

A signal is [K, N, U, P]: examples, units, positions (1 of a dense layer), in any memory layout.
Every statistic is over all but the replicas, and nan where one of the values is.
"""

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor


def mean_and_variance(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance, [K, ...] to [K] and [K]."""
    flat = x.flatten(1)
    mean = flat.mean(1)
    spread = torch.linalg.vector_norm(flat - mean.unsqueeze(1), dim=1)
    return mean, spread.square() / flat.shape[1]


def percentiles(x: Tensor, ranks: Sequence[float] = (15, 50, 85)) -> Tensor:
    """Percentiles, [K, ...] to [K, R] for R ranks from 0 to 100.

    Percentile q of n values is the ceil(n q / 100)-th smallest, one that occurs: numpy's method
    "inverted_cdf". Ioffe & Szegedy 2015, figure 1, draw the 15th, 50th and 85th.
    """
    flat = x.flatten(1)
    size = flat.shape[1]
    places = [max(math.ceil(size * rank / 100), 1) - 1 for rank in ranks]
    if flat.device.type != "cpu":
        order = flat.sort(dim=1).values
    else:
        rows = np.array(flat.detach().numpy(), order="C")
        for row in rows:
            _partition(row, sorted(set(places)))
        order = torch.from_numpy(rows)
    # nan is the largest of all numbers in every order.
    holds_nan = order[:, max(places) :].amax(1, keepdim=True).isnan()
    return order[:, places].where(~holds_nan, math.nan)


def _partition(row: np.ndarray, places: Sequence[int]) -> None:
    """Partitions a row in place, one place at a time: ten times as fast as numpy for several."""
    if not places:
        return
    half = len(places) // 2
    middle = places[half]
    row.partition(middle)
    _partition(row[:middle], places[:half])
    _partition(row[middle + 1 :], [place - middle - 1 for place in places[half + 1 :]])


def zero_fraction(x: Tensor) -> Tensor:
    """The share of values that are exactly 0, [K, ...] to [K]."""
    return share(x, operator.eq, x.new_zeros(len(x)))


def share(x: Tensor, holds: Callable[[Any, Any], Any], limits: Tensor) -> Tensor:
    """The share of values for which holds(value, limit), [K, ...] and limits [K] to [K].

    `holds` takes arrays of numpy, which compares faster on the CPU, and tensors elsewhere.
    """
    if x.device.type != "cpu":
        count = holds(x.flatten(1), limits.unsqueeze(1)).sum(1)
    else:
        pairs = zip(x.detach().numpy(), limits.numpy(), strict=True)
        count = torch.tensor([np.count_nonzero(holds(*pair)) for pair in pairs])
    fraction = count.double() / x[0].numel()
    return fraction.to(x).where(~x.flatten(1).amax(1).isnan(), math.nan)


# Internal covariate shift: how far the distributions of a layer's inputs have moved.

Distribution = tuple[Tensor, Tensor]
"""Mean and standard deviation of each unit."""


def unit_distribution(x: Tensor) -> Distribution:
    """Mean and standard deviation of each unit over examples and positions.

    [K or 1, N, U, P] to [K or 1, U] each.
    """
    mean = x.mean((1, 3), keepdim=True)
    variance = (x - mean).square().mean((1, 3))
    return mean[:, 0, :, 0], variance.sqrt()


def input_shift(before: Distribution, after: Distribution) -> Tensor:
    """How far units moved between two moments, in standard deviations of the earlier, [K or 1].

    Each argument is a `unit_distribution`, [K or 1, U] each. A unit's distance is the 2-Wasserstein
    distance of the normals with its means and standard deviations (Givens & Shortt 1984,
    proposition 7): sqrt((m' - m)^2 + (s' - s)^2). The mean over units is divided by the root mean
    square of s over units. nan if no unit varied, nor moved; inf if one then moved.
    """
    (mean, std), (new_mean, new_std) = before, after
    distance = ((new_mean - mean).square() + (new_std - std).square()).sqrt()
    return distance.mean(1) / std.square().mean(1).sqrt()
