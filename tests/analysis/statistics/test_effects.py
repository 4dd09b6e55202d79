import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pandas
import pytest
import statsmodels.api
import statsmodels.formula.api

from study.analysis.statistics.effects import Effects, Term, effects

SIZES = {"a": 3, "b": 2, "c": 4}
Levels = dict[str, list[str]]


def grid(sizes: Mapping[str, int]) -> Levels:
    combinations = list(itertools.product(*(range(size) for size in sizes.values())))
    return {name: [f"{name}{row[at]}" for row in combinations] for at, name in enumerate(sizes)}


def draws(num_cells: int, num_seeds: int = 5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(num_cells, num_seeds))


def analysed(levels: Levels, values: np.ndarray) -> Effects:
    found = effects(levels, values)
    assert found is not None
    return found


def terms(found: Effects) -> dict[tuple[str, ...], Term]:
    return {term.factors: term for term in found.terms}


def anova(levels: Levels, values: np.ndarray) -> pandas.DataFrame:
    """The analysis of variance of statsmodels, seeds as blocks, type II."""
    cells = pandas.DataFrame(levels)
    parts = [cells.assign(seed=f"s{at}", y=column) for at, column in enumerate(values.T)]
    model = f"y ~ seed + ({' + '.join(levels)}) ** 2"
    fitted = statsmodels.formula.api.ols(model, pandas.concat(parts, ignore_index=True)).fit()
    return statsmodels.api.stats.anova_lm(fitted, typ=2)


def kept(levels: Levels, places: Sequence[int]) -> Levels:
    return {name: [names[place] for place in places] for name, names in levels.items()}


def assert_squares(found: Effects, table: pandas.DataFrame, total: float) -> None:
    for term in found.terms:
        row = table.loc[":".join(term.factors)]
        assert term.share * total == pytest.approx(row["sum_sq"], rel=1e-8, abs=1e-10)
        assert term.degrees == row["df"]
    assert found.seeds * total == pytest.approx(table.loc["seed", "sum_sq"])


def test_a_full_grid_of_two_factors_is_statsmodels_to_the_p_value() -> None:
    levels = grid({"a": 3, "b": 4})
    values = draws(12) + np.arange(12)[:, None] / 6
    found, table = analysed(levels, values), anova(levels, values)
    assert_squares(found, table, float(((values - values.mean()) ** 2).sum()))
    for term in found.terms:
        row = table.loc[":".join(term.factors)]
        assert (term.f, term.p) == pytest.approx((row["F"], row["PR(>F)"]))


@pytest.mark.parametrize("missing", [[], [5], [0, 7, 13]])
def test_three_factors_have_statsmodels_sums_of_squares_with_cells_missing(
    missing: list[int],
) -> None:
    places = [place for place in range(24) if place not in missing]
    levels, values = kept(grid(SIZES), places), draws(len(places))
    found = analysed(levels, values)
    assert_squares(found, anova(levels, values), float(((values - values.mean()) ** 2).sum()))
    assert (found.num_cells, found.num_missing, found.num_left_out) == (
        len(places),
        len(missing),
        0,
    )


@pytest.mark.parametrize("num_seeds", [1, 2, 5])
def test_the_shares_of_a_full_grid_sum_to_1(num_seeds: int) -> None:
    found = analysed(grid(SIZES), draws(24, num_seeds))
    explained = sum(term.share for term in found.terms)
    assert explained + found.higher + found.seeds + found.noise == pytest.approx(1)
    assert [term.share for term in found.terms] == sorted(
        (term.share for term in found.terms), reverse=True
    )
    assert all((term.p is None) == (num_seeds == 1) for term in found.terms)


def test_what_was_planted_is_found() -> None:
    levels = grid(SIZES)
    a, b = (np.array([int(name[1:]) for name in levels[factor]]) for factor in "ab")
    noise = 0.01 * draws(24)
    main = analysed(levels, 3.0 * a[:, None] + noise)
    assert main.terms[0].factors == ("a",)
    assert main.terms[0].share > 0.99
    crossed = analysed(levels, np.where(a == b, 1.0, 0.0)[:, None] + noise)
    assert terms(crossed)[("a", "b")].share > 0.3
    assert max(terms(crossed)[pair].share for pair in [("a", "c"), ("b", "c")]) < 0.001
    seeds = analysed(levels, np.arange(5.0)[None, :] + noise)
    assert seeds.seeds > 0.99
    parity = np.array([int(a + b + c) % 2 for a, b, c in np.ndindex(2, 2, 2)], dtype=float)
    third = analysed(grid({"a": 2, "b": 2, "c": 2}), parity[:, None] + 0.01 * draws(8))
    assert third.higher > 0.99


def test_neither_order_nor_names_nor_unit_matter() -> None:
    levels, values = grid(SIZES), draws(24)
    found = terms(analysed(levels, values))
    order = np.random.default_rng(1).permutation(24).tolist()
    renamed = {f: [f"level {name}" for name in names] for f, names in kept(levels, order).items()}
    again = terms(analysed(renamed, 7 - 100 * values[order]))
    for factors, term in found.items():
        assert again[factors].share == pytest.approx(term.share)
        assert again[factors].p == pytest.approx(term.p)


def test_cells_that_are_not_finite_are_left_out_and_counted() -> None:
    levels, values = grid(SIZES), draws(24)
    values[3, 1], values[9, 0] = np.nan, np.inf
    places = [place for place in range(24) if place not in (3, 9)]
    found = analysed(levels, values)
    expected = analysed(kept(levels, places), values[places])
    assert found.terms == expected.terms
    assert (found.num_left_out, found.num_missing, found.num_cells) == (2, 2, 22)


def test_factors_that_vary_together_cannot_be_told_apart() -> None:
    levels = {"a": ["x", "x", "y", "y"], "b": ["u", "u", "v", "v"], "c": ["p", "q", "p", "q"]}
    found = terms(analysed(levels, draws(4)))
    assert (found[("a",)].degrees, found[("a",)].share, found[("a",)].p) == (0, 0, None)
    assert found[("c",)].degrees == 1


def test_a_factor_with_one_level_has_no_term() -> None:
    levels = {"a": ["x", "y"], "b": ["u", "u"]}
    assert [term.factors for term in analysed(levels, draws(2)).terms] == [("a",)]


def test_two_cells_of_one_combination_differ_by_what_no_term_explains() -> None:
    found = analysed({"a": ["x", "x", "x"]}, draws(3) + np.arange(3.0)[:, None] * 9)
    assert found.terms == ()
    assert found.higher > 0.9


def test_without_variance_or_a_second_cell_there_is_nothing_to_explain() -> None:
    assert effects({"a": ["x", "y"]}, np.full((2, 3), 0.9)) is None
    assert effects({"a": ["x"]}, [[0.1, 0.2]]) is None
    assert effects({"a": ["x", "y"]}, np.full((2, 3), np.nan)) is None
    exact = analysed({"a": ["x", "y"]}, np.array([[0.1, 0.1], [0.9, 0.9]]))
    assert exact.terms[0].share == pytest.approx(1)
    assert exact.terms[0].p is None


def test_a_level_for_each_cell_is_asked_for() -> None:
    with pytest.raises(ValueError, match="a level for each cell"):
        effects({"a": ["x"]}, np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"\(2,\)"):
        effects({"a": ["x", "y"]}, [1.0, 2.0])


def test_ten_thousand_cells_are_analysed() -> None:
    found = analysed(grid({"a": 20, "b": 20, "c": 5, "d": 5}), draws(10_000))
    assert found.num_cells == 10_000
    assert found.noise > 0.7
