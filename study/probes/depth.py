"""How fast a quantity changes from layer to layer. Pure Python: tables import it."""

import math
from collections.abc import Sequence


def depth_slope(values: Sequence[float]) -> float:
    """Decades by which values grow from one layer to the next; negative if they shrink.

    The least-squares slope of log10(value) over depth (compare Glorot & Bengio 2010, section 4.2:
    gradients that shrink or grow with depth). `values` are in order of depth; what is not a
    positive finite number is skipped, its place kept. nan if fewer than two are left.

    >>> round(depth_slope([1e-4, 1e-3, 0.0, 1e-1]), 6)
    1.0
    """
    points = [
        (depth, math.log10(value)) for depth, value in enumerate(values) if 0 < value < math.inf
    ]
    if len(points) < 2:
        return math.nan
    mean_depth = sum(depth for depth, _ in points) / len(points)
    mean_log = sum(log for _, log in points) / len(points)
    covariance = sum((depth - mean_depth) * (log - mean_log) for depth, log in points)
    return covariance / sum((depth - mean_depth) ** 2 for depth, _ in points)
