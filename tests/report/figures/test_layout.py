"""What a figure shows of a study: lines, panels, fixed levels, and the words for the rest."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from study.outputs.factors import cell_level
from study.outputs.records import read_cells
from study.report.figures.layout import Most, arrange, evenly, headline, line_axes, thinned
from tests.synthetic import change_result, fail, make_study

Factors = dict[str, list[Any]]


def test_norms_are_lines_and_the_factor_with_more_levels_is_the_columns(tmp_path: Path) -> None:
    factors = {"init": ["a", "b", "c"], "activation": ["r", "t"], "norm": ["none", "batch"]}
    make_study(tmp_path / "study", factors)
    cells = read_cells(tmp_path / "study")
    assert line_axes(cells) == ["norm", "init", "activation"]
    layout = arrange(cells, line_axes(cells))
    assert (layout.lines, layout.columns, layout.rows) == ("norm", "init", "activation")
    assert len(layout.cells) == len(cells)
    assert not layout.notes
    for (row, column, line), cell in layout.cells.items():
        assert cell_level(cell, "activation") == row
        assert cell_level(cell, "init") == column
        assert cell_level(cell, "norm") == line


def test_without_a_compared_factor_the_one_with_the_fewest_levels_is_the_lines(
    tmp_path: Path,
) -> None:
    make_study(tmp_path / "study", {"init": list("abcdefg"), "activation": ["relu", "tanh"]})
    assert line_axes(read_cells(tmp_path / "study")) == ["activation", "init"]


def test_a_study_of_one_cell_is_one_line(tmp_path: Path) -> None:
    make_study(tmp_path / "study", {"init": ["a"]})
    cells = read_cells(tmp_path / "study")
    layout = arrange(cells, line_axes(cells))
    assert list(layout.cells) == [("", "", "")]


def test_other_factors_are_fixed_where_the_error_is_lowest(tmp_path: Path) -> None:
    factors: Factors = {"norm": ["none", "batch"], "init": ["a", "b"], "batch_size": [16, 32]}
    paths = make_study(tmp_path / "study", factors)
    for path in paths:
        size = json.loads((path / "result.json").read_text())["factors"]["batch_size"]
        _set_error(path, 0.01 if size == 32 else 0.5)
    layout = arrange(read_cells(tmp_path / "study"), ["norm", "init"])
    assert layout.fixed == {"batch_size": "32"}
    assert len(layout.cells) == 4
    assert layout.notes == (
        "Fixed where the mean validation error is lowest: batch_size = 32.",
        "4 of 8 cells are shown.",
    )


def test_what_most_cells_have_is_fixed_in_a_partial_grid(tmp_path: Path) -> None:
    factors: Factors = {"norm": ["none", "batch"], "batch_size": [16, 32]}
    paths = make_study(tmp_path / "study", factors)
    best = paths[0]
    _set_error(best, 1e-4)
    fail(paths[2])
    layout = arrange(read_cells(tmp_path / "study"), ["norm"])
    assert layout.fixed == {"batch_size": "32"}
    assert "1 cell not finished." in layout.notes


def test_levels_are_in_the_order_of_the_study_whatever_has_failed(tmp_path: Path) -> None:
    paths = make_study(tmp_path / "study", {"norm": ["none", "batch"], "init": ["a", "b"]})
    fail(paths[0])
    layout = arrange(read_cells(tmp_path / "study"), ["norm", "init"])
    assert layout.of("norm") == ["none", "batch"]
    assert layout.of("init") == ["a", "b"]


def _set_error(path: Path, error: float) -> None:
    def change(result: dict[str, Any]) -> None:
        for replica in result["replicas"]:
            replica["val_error"] = error

    change_result(path, change)


@pytest.mark.parametrize("most", [1, 2, 3, 7, 10, 20])
def test_thinning_keeps_the_order_the_best_and_the_worst(tmp_path: Path, most: int) -> None:
    levels = [f"a{place}" for place in range(10)]
    random.Random(0).shuffle(levels)
    make_study(tmp_path / "study", {"activation": levels})
    cells = read_cells(tmp_path / "study")
    kept = thinned(cells, "activation", levels, most)
    assert len(kept) == min(most, 10)
    assert kept == [level for level in levels if level in kept]
    ranked = [cell_level(cell, "activation") for cell in sorted(cells, key=headline)]
    assert ranked[0] in kept
    assert most == 1 or ranked[-1] in kept


def test_numbers_are_thinned_in_equal_steps(tmp_path: Path) -> None:
    make_study(tmp_path / "study", {"batch_size": list(range(1, 10))})
    cells = read_cells(tmp_path / "study")
    layout = arrange(cells, ["batch_size"], Most(lines=5))
    assert layout.of("batch_size") == ["1", "3", "5", "7", "9"]
    assert layout.notes[0] == "5 of the 9 levels of batch_size, in equal steps."


def test_evenly() -> None:
    for number in range(1, 30):
        for most in range(1, 30):
            places = evenly(number, most)
            assert places == sorted(set(places))
            assert len(places) == min(number, most)
            assert places[0] == 0
            assert most == 1 or places[-1] == number - 1
