"""Whether two cells are the same within a margin, and the margin that their seeds can show."""

from collections.abc import Collection
from dataclasses import dataclass

from study.statistics.intervals import mean_and_error, t_quantile


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests of |first - second| < margin, paired by seed.

    `low`, `high`: the 1 - 2 alpha t interval of the mean difference, which is inside +-margin
    exactly where `p` < alpha.
    """

    mean: float
    low: float
    high: float
    p: float
    margin: float
    num: int


def tost(
    first: Collection[float], second: Collection[float], margin: float, *, alpha: float = 0.05
) -> Equivalence | None:
    """Two one-sided paired t tests (shape [seeds] each) of a difference of at least `margin`.

    p = max(P(T >= (mean + margin) / e), P(T <= (mean - margin) / e)), with e = s / sqrt(n) of the
    differences and n - 1 degrees of freedom. None with fewer than 2 seeds; ValueError for a margin
    that is not positive.

    Source: Schuirmann (1987), J. Pharmacokinetics and Biopharmaceutics 15; statsmodels'
    ttost_paired.
    """
    if not margin > 0:
        raise ValueError(f"the margin of an equivalence is {margin}, not positive")
    differences = [float(a) - float(b) for a, b in zip(first, second, strict=True)]
    mean, error = mean_and_error(differences)
    if error is None:
        return None
    half_width = t_quantile(1 - alpha, len(differences) - 1) * error
    p = float(abs(mean) >= margin) if error == 0 else _p(differences, margin)
    low, high = mean - half_width, mean + half_width
    return Equivalence(mean, low, high, p, margin, len(differences))


def smallest_margin(
    first: Collection[float], second: Collection[float], *, alpha: float = 0.05
) -> float | None:
    """The smallest margin within which these seeds show two cells to be the same.

    |mean| + t_{n-1}(1 - alpha) s / sqrt(n) of the differences (shape [seeds]): `tost` has p < alpha
    for every larger margin, and for no smaller one. None with fewer than 2 seeds.

    Source: Schuirmann (1987), J. Pharmacokinetics and Biopharmaceutics 15, solved for the margin.
    """
    differences = [float(a) - float(b) for a, b in zip(first, second, strict=True)]
    mean, error = mean_and_error(differences)
    if error is None:
        return None
    return abs(mean) + t_quantile(1 - alpha, len(differences) - 1) * error


def _p(differences: list[float], margin: float) -> float:
    import numpy as np
    from statsmodels.stats.weightstats import ttost_paired

    values = np.asarray(differences)
    return float(ttost_paired(values, np.zeros_like(values), -margin, margin)[0])
