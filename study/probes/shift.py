"""Internal covariate shift: how far the distributions of a layer's inputs have moved."""

from torch import Tensor


def unit_distribution(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each unit over examples and positions.

    [K or 1, N, U, P] to [K or 1, U] each.
    """
    mean = x.mean((1, 3), keepdim=True)
    variance = (x - mean).square().mean((1, 3))
    return mean[:, 0, :, 0], variance.sqrt()


def input_shift(before: tuple[Tensor, Tensor], after: tuple[Tensor, Tensor]) -> Tensor:
    """How far units moved between two moments, in standard deviations of the earlier, [K or 1].

    Each argument is a `unit_distribution`, [K or 1, U] each. A unit's distance is the 2-Wasserstein
    distance of the normals with its means and standard deviations (Givens & Shortt 1984,
    proposition 7): sqrt((m' - m)^2 + (s' - s)^2). The mean over units is divided by the root mean
    square of s over units. nan if no unit varied, nor moved; inf if one then moved.
    """
    (mean, std), (new_mean, new_std) = before, after
    distance = ((new_mean - mean).square() + (new_std - std).square()).sqrt()
    return distance.mean(1) / std.square().mean(1).sqrt()
