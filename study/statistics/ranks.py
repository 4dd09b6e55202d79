"""The signed-rank test of paired differences, which says nothing below ten seeds.

With n seeds the smallest two-sided p that it can give is 2 / 2^n: 0.0625 with 5 seeds, so that
no difference however large is ever found there, and none survives a correction before 10.
"""

from collections.abc import Collection
from typing import NamedTuple

MIN_SEEDS = 10


class RankTest(NamedTuple):
    """A test's statistic, its two-sided p, and the number of seeds."""

    statistic: float
    p: float
    num: int


def signed_rank_test(first: Collection[float], second: Collection[float]) -> RankTest | None:
    """Wilcoxon's signed-rank test of first - second (shape [seeds] each); None below 10 seeds.

    The statistic is the smaller sum of the ranks of |difference| over positive and over negative
    ones, those of 0 left out. p is exact up to 50 differences without ties or zeros. Assumes
    differences that are symmetric about their median.

    Source: Wilcoxon (1945), Individual comparisons by ranking methods, Biometrics Bulletin 1;
    scipy.stats.wilcoxon.
    """
    differences = [float(a) - float(b) for a, b in zip(first, second, strict=True)]
    if len(differences) < MIN_SEEDS:
        return None
    if not any(differences):
        return RankTest(0.0, 1.0, len(differences))
    from scipy import stats

    found = stats.wilcoxon(differences)
    return RankTest(float(found.statistic), float(found.pvalue), len(differences))
