"""Whether two cells are the same within a margin, and the margin that their seeds can show."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from study.analysis.statistics.intervals import mean_and_error, t_quantile

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


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


# McNemar's test between two cells: on one test set, seed by seed, never pooled over seeds.
#
# Every seed's two networks see the same test images, so the images pair them. Pooling seeds would
# count each image several times as if it were a new one.


@dataclass(frozen=True)
class McNemar:
    """How often one network alone is right, and the p of that being even.

    `difference`: error of the first minus error of the second, a fraction of `num` examples.
    """

    only_first: int
    only_second: int
    num: int
    p: float

    @property
    def difference(self) -> float:
        return (self.only_second - self.only_first) / self.num


def mcnemar(correct_first: "ArrayLike", correct_second: "ArrayLike") -> McNemar:
    """The exact test of two networks on the same examples (both: bool, shape [examples]).

    With b examples that only the first has right and c that only the second has, b is
    Binomial(b + c, 1/2) if their error is the same: p = min(1, 2 P(B <= min(b, c))). It says
    whether these two trained networks differ, nothing about other seeds. ValueError for different
    shapes or no example.

    Source: McNemar (1947), Note on the sampling error of the difference between correlated
    proportions or percentages, Psychometrika 12; Dietterich (1998), Approximate statistical tests
    for comparing supervised classification learning algorithms, Neural Computation 10;
    statsmodels' mcnemar(exact=True).
    """
    import numpy as np
    from statsmodels.stats import contingency_tables

    one, other = (np.asarray(correct, dtype=bool) for correct in (correct_first, correct_second))
    if one.shape != other.shape or one.ndim != 1 or not one.size:
        raise ValueError(f"cannot pair predictions of shapes {one.shape} and {other.shape}")
    first, second = int((one & ~other).sum()), int((~one & other).sum())
    table = [[0, first], [second, 0]]  # Examples that both have right, or wrong, tell nothing.
    p = float(contingency_tables.mcnemar(table, exact=True).pvalue)
    return McNemar(first, second, one.size, p)


def mcnemar_by_seed(
    first: Mapping[int, Any], second: Mapping[int, Any], labels: "ArrayLike"
) -> dict[int, McNemar]:
    """`mcnemar` for every seed that both cells have, in order.

    `first`, `second`: by seed the predicted classes (shape [examples]) of each cell's chosen
    learning rate; `labels`: the true classes. p values of a family of seeds still need `holm`.
    """
    import numpy as np

    truth = np.asarray(labels)
    return {
        seed: mcnemar(np.asarray(first[seed]) == truth, np.asarray(second[seed]) == truth)
        for seed in sorted(first.keys() & second.keys())
    }
