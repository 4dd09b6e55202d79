"""Which choice matters most: main effects and two-factor interactions, by share of variance."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Factors = tuple[str, ...]


@dataclass(frozen=True)
class Term:
    """A factor, or two that interact: the share of the variance it explains, its F and p.

    `degrees` of 0: the cells that there are cannot tell it from the other terms. `f` and `p` are
    None there, with one seed, and without noise.
    """

    factors: Factors
    share: float
    degrees: int
    f: float | None
    p: float | None


@dataclass(frozen=True)
class Effects:
    """Where the variance of a table of cells x seeds comes from; shares are of its total.

    `terms`: largest share first. `higher`: cells that no sum of terms explains, interactions of
    three factors and more. `seeds`: what a seed does to all cells alike. `noise`: the rest, what a
    seed does to one cell. `num_missing`: combinations of levels without a cell that counts;
    `num_left_out`: cells that were given but have a number that is not finite. With none missing
    and one cell each the shares sum to 1; on a partial grid terms overlap and they need not.
    """

    terms: tuple[Term, ...]
    higher: float
    seeds: float
    noise: float
    num_cells: int
    num_seeds: int
    num_left_out: int
    num_missing: int


def effects(levels: Mapping[str, Sequence[str]], values: "ArrayLike") -> Effects | None:
    """The analysis of variance of a grid, seeds as blocks, by type II sums of squares.

    `levels`: {factor: each cell's level, shape [cells]}; `values`: shape [cells, seeds], the same
    seeds everywhere. y = seed + main effects + two-factor interactions + rest. A term's sum of
    squares is what it takes from the residual of all terms that do not contain it (on a full grid
    simply its own, in any order); F compares its mean square with that of the noise, cell x seed,
    with (cells - 1)(seeds - 1) degrees of freedom. Cells with a number that is not finite are left
    out. A factor with one level has no term. None with fewer than 2 cells or without variance.

    Source: Yates (1934), The analysis of multiple classifications with unequal numbers in the
    different classes, JASA 29; Fisher (1925), Statistical Methods for Research Workers (blocks);
    statsmodels' anova_lm(typ=2) has the same sums of squares.
    """
    import numpy as np

    table = np.asarray(values, dtype=float)
    if table.ndim != 2 or any(len(names) != len(table) for names in levels.values()):
        raise ValueError(
            f"effects need a level for each cell and [cells, seeds], not {table.shape}"
        )
    kept = np.isfinite(table).all(axis=1)
    table = table[kept]
    split = _split(table)
    if split is None:
        return None
    present = {name: list(itertools.compress(names, kept)) for name, names in levels.items()}
    varying = {name: names for name, names in present.items() if len(set(names)) > 1}
    design = _Design(varying, table.mean(axis=1) - table.mean())
    terms = [_term(design, factors, split) for factors in design.terms]
    possible = math.prod(len(set(names)) for names in varying.values())
    return Effects(
        terms=tuple(sorted(terms, key=lambda term: -term.share)),
        higher=max(0.0, split.cells / split.total - split.share(design.fit(design.terms).squares)),
        seeds=split.seeds / split.total,
        noise=split.noise / split.total,
        num_cells=len(table),
        num_seeds=split.num_seeds,
        num_left_out=int(len(kept) - kept.sum()),
        num_missing=possible - max(1, len(set(zip(*varying.values(), strict=True)))),
    )


class _Split(NamedTuple):
    """The total sum of squares about the grand mean, and that of cells, seeds and the noise."""

    total: float
    cells: float
    seeds: float
    noise: float
    num_cells: int
    num_seeds: int

    @property
    def noise_degrees(self) -> int:
        return (self.num_cells - 1) * (self.num_seeds - 1)

    def share(self, squares: float) -> float:
        """The share of the total that a sum of squares of cell means explains."""
        return max(0.0, squares * self.num_seeds / self.total)


class _Fit(NamedTuple):
    """What a model explains of the cell means: sum of squares, and its rank."""

    squares: float
    rank: int


class _Design:
    """Indicator columns of every term, and what any set of terms explains of the cell means.

    Only products of columns are kept: counts of cells, so that 10,000 cells cost no more to fit
    than 100.
    """

    def __init__(self, levels: Mapping[str, Sequence[str]], means: Any) -> None:
        import numpy as np
        from scipy import sparse

        pairs = list(itertools.combinations(levels, 2))
        self.terms: list[Factors] = [*((factor,) for factor in levels), *pairs]
        # Each cell's combination of a term's levels, counted from 0; the constant has one.
        codes = [np.zeros(len(means), dtype=int)]
        for factors in self.terms:
            found = list(zip(*(levels[factor] for factor in factors), strict=True))
            numbers = {levels: place for place, levels in enumerate(dict.fromkeys(found))}
            codes.append(np.array([numbers[each] for each in found]))
        ends = np.cumsum([int(code.max()) + 1 for code in codes])
        starts = [0, *ends[:-1]]
        self.columns = {
            factors: np.arange(start, end)
            for factors, start, end in zip([(), *self.terms], starts, ends, strict=True)
        }
        places = np.stack([code + start for code, start in zip(codes, starts, strict=True)], axis=1)
        rows = np.repeat(np.arange(len(means)), len(codes))
        shape = (len(means), int(ends[-1]))
        indicators = sparse.csr_array((np.ones(places.size), (rows, places.ravel())), shape=shape)
        self.products = (indicators.T @ indicators).toarray()
        self.sums = indicators.T @ means

    def fit(self, terms: Sequence[Factors]) -> _Fit:
        """The least-squares fit of a constant and `terms`, by a pivoted Cholesky factor.

        Columns that depend on others (there are many) end behind the rank and are left out.
        """
        import numpy as np
        from scipy.linalg import solve_triangular
        from scipy.linalg.lapack import dpstrf

        columns = np.concatenate([self.columns[factors] for factors in [(), *terms]])
        products = self.products[np.ix_(columns, columns)]
        factor, pivots, rank, _ = dpstrf(products, lower=1, tol=1e-9 * products.max())
        sums = self.sums[columns][pivots[:rank] - 1]
        explained = solve_triangular(factor[:rank, :rank], sums, lower=True)
        return _Fit(float(explained @ explained), int(rank))


def _split(table: Any) -> _Split | None:
    """The split of a table (shape [cells, seeds]); None if there is nothing to split."""
    if len(table) < 2 or not table.shape[1]:
        return None
    centred = table - table.mean()
    total = float((centred**2).sum())
    if total <= 1e-24 * float((table**2).sum()):
        return None
    cells = float((centred.mean(axis=1) ** 2).sum()) * table.shape[1]
    seeds = float((centred.mean(axis=0) ** 2).sum()) * len(table)
    rest = total - cells - seeds
    return _Split(total, cells, seeds, rest if rest > 1e-12 * total else 0.0, *table.shape)


def _term(design: _Design, factors: Factors, split: _Split) -> Term:
    from scipy.special import fdtrc

    others = [term for term in design.terms if not set(factors) <= set(term)]
    without, whole = design.fit(others), design.fit([*others, factors])
    degrees = whole.rank - without.rank
    share = split.share(whole.squares - without.squares) if degrees else 0.0
    if not degrees or not split.noise_degrees or not split.noise:
        return Term(factors, share, degrees, None, None)
    f = share * split.total / degrees / (split.noise / split.noise_degrees)
    return Term(factors, share, degrees, f, float(fdtrc(degrees, split.noise_degrees, f)))
