"""Holm's correction of a family of tests: adjusted p values, and bounds that agree with them."""

from collections.abc import Sequence
from typing import NamedTuple


class Bounds(NamedTuple):
    """The two bounds of an effect, adjusted for the family it belongs to."""

    low: float
    high: float


def holm(pvalues: Sequence[float]) -> list[float]:
    """Holm's adjusted p values of a family (shape [tests]), in the given order.

    The j-th smallest of m becomes max over i <= j of min(1, (m - i + 1) p_(i)). Rejecting what is
    at most alpha makes any false rejection at most alpha likely, however the tests depend on each
    other (claims that share a cell do).

    Source: Holm (1979), A simple sequentially rejective multiple test procedure, Scandinavian
    Journal of Statistics 6; statsmodels' multipletests(method="holm") has the same numbers.
    """
    # statsmodels collects all garbage at every call: 40 ms, more with a study in memory.
    adjusted: dict[float, float] = {}
    least, num = 0.0, len(pvalues)
    for place, p in enumerate(sorted(pvalues)):
        least = max(least, min(1.0, (num - place) * p))
        adjusted.setdefault(p, least)
    return [adjusted[p] for p in pvalues]


def holm_known(pvalues: Sequence[float | None]) -> list[float | None]:
    """`holm` over those tests of a family that have a p; None for the others, as it was."""
    adjusted = iter(holm([p for p in pvalues if p is not None]))
    return [None if p is None else next(adjusted) for p in pvalues]


def holm_steps(pvalues: Sequence[float], alpha: float) -> list[int]:
    """By how much Holm divides alpha for each test of a family (shape [tests]).

    A rejected test: by the number of tests whose p is no smaller. The others: by the number of
    tests that are not rejected, where the procedure stops. So p <= alpha / step exactly where Holm
    rejects, and equal p values have equal steps.

    Source: Holm (1979), section 2.
    """
    ordered = sorted(pvalues)
    steps: dict[float, int] = {}
    for place, p in enumerate(ordered):
        stops = steps.setdefault(p, len(ordered) - place)
        if p > alpha / stops:
            return [steps.get(value, stops) for value in pvalues]
    return [steps[p] for p in pvalues]


def bounds_at(estimate: float, standard_error: float, degrees: float, alpha: float) -> Bounds:
    """The two-sided t interval with `alpha` outside: estimate +- t_dof(1 - alpha / 2) error.

    `standard_error` is above 0: without spread there is no such interval.

    Source: Student (1908), Biometrika 6.
    """
    # The lower tail keeps its digits where 1 - alpha / 2 rounds to 1.
    from scipy.special import stdtrit

    half_width = -float(stdtrit(degrees, alpha / 2)) * standard_error
    return Bounds(estimate - half_width, estimate + half_width)


def upper_p(
    estimate: float, standard_error: float, degrees: float, threshold: float = 0.0
) -> float:
    """The one-sided p of effect <= threshold: P(T_dof >= (estimate - threshold) / standard_error).

    `standard_error` is above 0.

    Source: Student (1908), Biometrika 6.
    """
    return lower_p(-estimate, standard_error, degrees, -threshold)


def lower_p(
    estimate: float, standard_error: float, degrees: float, threshold: float = 0.0
) -> float:
    """The one-sided p of effect >= threshold: P(T_dof <= (estimate - threshold) / standard_error).

    `standard_error` is above 0.

    Source: Student (1908), Biometrika 6.
    """
    from scipy.special import stdtr

    return float(stdtr(degrees, (estimate - threshold) / standard_error))
