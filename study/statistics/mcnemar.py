"""McNemar's test between two cells: on one test set, seed by seed, never pooled over seeds.

Every seed's two networks see the same test images, so the images pair them. Pooling seeds would
count each image several times as if it were a new one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


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
