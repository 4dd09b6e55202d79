import json
import random
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from study.analysis.pivot import Request
from study.analysis.table import read_pivot, render
from study.errors import InputError
from study.outputs.factors import in_order
from tests.synthetic import (
    FACTORS,
    change_result,
    diverge,
    fail,
    ledger_cell,
    make_result,
    make_study,
    metric_of,
    rows_of,
    set_metric,
    write_ledger,
    write_result,
)

SMALL = {"activation": ["relu", "tanh"], "init": ["he_normal", "zeros"]}


def test_an_entry_is_the_t_interval_at_the_chosen_learning_rate(tmp_path: Path) -> None:
    (path,) = make_study(tmp_path, {"norm": ["none"]})
    values = metric_of(path, "val_loss")
    (row,) = rows_of(tmp_path, metric="val_loss")
    low, high = stats.t.interval(
        0.95, len(values) - 1, loc=sum(values) / len(values), scale=stats.sem(values)
    )
    numbers = [float(row[name]) for name in ("mean", "low", "high")]
    assert numbers == pytest.approx([sum(values) / len(values), low, high], rel=1e-8)


def test_other_varying_factors_make_tables_and_nothing_is_pooled(tmp_path: Path) -> None:
    paths = make_study(tmp_path)
    pivot, _, _ = read_pivot(tmp_path, Request())
    assert (pivot.rows, pivot.columns) == ("init", "activation")
    assert [table.levels for table in pivot.tables] == [{"norm": "none"}, {"norm": "batch"}]
    assert len(pivot.entries) == len(paths)
    assert all(entry.num_combinations == 1 for entry in pivot.entries)
    one, _, _ = read_pivot(tmp_path, Request(rows="norm"))
    assert len(one.tables) == len(FACTORS["activation"]) * len(FACTORS["init"])


def test_levels_keep_the_files_order_and_numbers_theirs(tmp_path: Path) -> None:
    make_study(tmp_path, {"activation": ["tanh", "relu"], "width": [64, 128, 16, 8.5]})
    (table,) = read_pivot(tmp_path, Request())[0].tables
    assert table.column_levels == ["tanh", "relu"]
    assert table.row_levels == ["8.5", "16", "64", "128"]
    assert in_order(["5", "(default)", "1e-1"]) == ["(default)", "1e-1", "5"]


def test_where_fixes_a_level_and_says_so(tmp_path: Path) -> None:
    make_study(tmp_path)
    pivot, name, _ = read_pivot(tmp_path, Request(where=["norm=batch", "init=zeros"]))
    (table,) = pivot.tables
    assert (pivot.rows, len(table.entries)) == ("activation", 3)
    text = render(tmp_path, Request(where=["norm=batch"]))
    assert f"study {name}, norm = batch; rows" in text
    several = ["activation=relu", "activation=leaky_relu slope=0.01"]
    pivot, _, _ = read_pivot(tmp_path, Request(where=several))
    assert pivot.tables[0].column_levels == ["relu", "leaky_relu slope=0.01"]


def test_lr_and_seed_are_factors(tmp_path: Path) -> None:
    (path,) = make_study(tmp_path, {"norm": ["none"]}, seeds=2, rates=(0.1, 1.0))
    (table,) = read_pivot(tmp_path, Request(rows="lr", columns="seed"))[0].tables
    for lr in (0.1, 1.0):
        for seed in (0, 1):
            entry = table.entries[f"{lr:g}", str(seed)]
            assert entry.mean == metric_of(path, lr=lr)[seed]
            assert (entry.low, entry.num_seeds, entry.best) == (None, 1, "")
    for row in rows_of(tmp_path, rows="norm", where=["lr=1e-1"]):
        assert float(row["mean"]) == pytest.approx(sum(metric_of(path, lr=0.1)) / 2)
    chosen = json.loads((path / "result.json").read_text())["chosen_lr"]
    marked = [e for e in read_pivot(tmp_path, Request(rows="lr"))[0].entries if e.chosen]
    assert [entry.chosen_lrs for entry in marked] == [(chosen,)]


def test_over_averages_each_seed_first(tmp_path: Path) -> None:
    factors = {"activation": ["relu", "tanh"], "norm": ["none", "batch"]}
    none, batch, *_ = make_study(tmp_path, factors)
    row = rows_of(tmp_path, rows="activation", over=["norm"])[0]
    values = [(a + b) / 2 for a, b in zip(metric_of(none), metric_of(batch), strict=True)]
    interval = stats.t.interval(0.95, 4, loc=sum(values) / 5, scale=stats.sem(values))
    assert float(row["mean"]) == pytest.approx(sum(values) / 5)
    assert [float(row["low"]), float(row["high"])] == pytest.approx(list(interval))
    assert (row["norm"], row["n"]) == ("mean", "5")
    text = render(tmp_path, Request(rows="activation", over=["norm"]))
    assert "averaged over norm (none, batch): first for each seed, then over seeds" in text


def test_over_lr_averages_the_grid(tmp_path: Path) -> None:
    (path,) = make_study(tmp_path, {"norm": ["none"]}, rates=(0.1, 1.0))
    (row,) = rows_of(tmp_path, rows="norm", over=["lr"])
    values = metric_of(path, lr=0.1) + metric_of(path, lr=1.0)
    assert float(row["mean"]) == pytest.approx(sum(values) / len(values))
    text = render(tmp_path, Request(rows="norm", over=["lr"]))
    assert ", averaged over the learning rates (0.1, 1): first for each seed" in text
    assert text.count("averaged over") == 1


def test_an_incomplete_average_is_marked_and_not_compared(tmp_path: Path) -> None:
    factors = {"activation": ["relu", "tanh", "elu"], "norm": ["none", "batch"]}
    paths = make_study(tmp_path, factors)
    fail(paths[0])
    rows = rows_of(tmp_path, rows="activation", over=["norm"])
    assert [row["status"] for row in rows] == ["incomplete", "done", "done"]
    assert rows[0]["best"] == ""
    text = render(tmp_path, Request(rows="activation", over=["norm"]))
    assert "(1/2 cells) |" in text


def test_only_seeds_of_every_averaged_cell_count(tmp_path: Path) -> None:
    paths = make_study(tmp_path, {"activation": ["relu"], "norm": ["none", "batch"]})

    def drop_a_seed(result: dict[str, Any]) -> None:
        result["replicas"] = [r for r in result["replicas"] if r["seed"] != 0]

    change_result(paths[0], drop_a_seed)
    (row,) = rows_of(tmp_path, rows="activation", over=["norm"])
    assert row["n"] == "4"


def test_one_seed_has_no_interval_and_no_verdict(tmp_path: Path) -> None:
    make_study(tmp_path, SMALL, seeds=1)
    rows = rows_of(tmp_path)
    assert {row["low"] for row in rows} == {""}
    assert {row["best"] for row in rows} == {"best", ""}
    text = render(tmp_path, Request())
    assert "One seed per entry, no interval" in text
    assert "±" not in text
    assert "one seed cannot tell" in text


@pytest.mark.parametrize(
    ("first", "second", "marks"),
    [
        ([0.10, 0.20, 0.30], [0.11, 0.21, 0.31], ["best", ""]),
        ([0.10, 0.20, 0.30], [0.12, 0.19, 0.32], ["best", "tied"]),
        ([0.10, 0.20, 0.30], [0.10, 0.20, 0.30], ["best", "best"]),
        ([0.2, 0.2, 0.2], [0.3, 0.3, 0.3], ["best", ""]),
        ([0.30, 0.20, 0.10], [0.10, 0.20, 0.24], ["tied", "best"]),
    ],
)
def test_best_and_what_is_not_distinguishable_from_it(
    tmp_path: Path, first: list[float], second: list[float], marks: list[str]
) -> None:
    paths = make_study(tmp_path, {"activation": ["relu", "tanh"]}, seeds=3)
    for path, values in zip(paths, (first, second), strict=True):
        change_result(path, set_metric(values))
    assert [row["best"] for row in rows_of(tmp_path)] == marks
    assert [row["best"] for row in rows_of(tmp_path, columns="activation")] == marks


def test_a_diverged_cell_shows_median_and_count_and_is_never_best(tmp_path: Path) -> None:
    paths = make_study(tmp_path, {"activation": ["relu", "tanh"]})
    change_result(paths[0], set_metric([0.0, 0.001, 0.002, 0.003, 0.004]))
    change_result(paths[0], diverge(4))
    (row, other) = rows_of(tmp_path)
    assert (row["mean"], row["low"], row["median"], row["diverged"]) == ("", "", "0.002", "1")
    assert (row["best"], other["best"]) == ("", "best")
    change_result(paths[0], diverge(0, 1, 2, 3, 4))
    (row, _) = rows_of(tmp_path, metric="test_loss")
    assert row["median"] == "inf"
    (row, _) = rows_of(tmp_path, metric="best_epoch")
    assert row["median"] == ""
    assert "– (5/5 diverged)" in render(tmp_path, Request(metric="best_epoch"))


def test_a_number_that_is_not_finite_is_counted(tmp_path: Path) -> None:
    (path,) = make_study(tmp_path, {"norm": ["none"]}, seeds=3)
    change_result(path, set_metric([1.0, None, 2.0], "test_loss"))
    (row,) = rows_of(tmp_path, metric="test_loss")
    assert (row["median"], row["mean"], row["not_finite"], row["diverged"]) == ("2", "", "1", "0")
    assert "(1/3 not finite)" in render(tmp_path, Request(metric="test_loss"))


@pytest.mark.parametrize(
    ("recorded", "edge"),
    [("lowest", "lowest"), ("highest", "highest"), (None, "")],
)
def test_an_edge_of_the_grid_is_marked(tmp_path: Path, recorded: object, edge: str) -> None:
    (path,) = make_study(tmp_path, {"norm": ["none"]}, rates=(0.1, 1.0))
    change_result(path, lambda r: r.update(chosen_lr_at_edge=recorded, chosen_lr=1.0))
    assert [row["edge"] for row in rows_of(tmp_path)] == [edge]
    text = render(tmp_path, Request())
    assert ("not fair" in text) == bool(edge)


def test_unfinished_cells_are_visible(tmp_path: Path) -> None:
    paths = make_study(tmp_path, {"activation": ["relu", "tanh", "elu", "selu"]})
    fail(paths[0])
    (paths[1] / "result.json").unlink()
    (paths[2] / "result.json").write_text("{")
    assert [r["status"] for r in rows_of(tmp_path)] == ["failed", "missing", "damaged", "done"]
    text = render(tmp_path, Request())
    assert "1 of 4 cells are finished (1 failed, 1 damaged, 1 missing)." in text
    assert f"{paths[2].name}/result.json is not used" in text


def test_excluded_combinations_are_not_in_the_study(tmp_path: Path) -> None:
    cells = [
        ledger_cell({"activation": a, "init": i}) for a, i in (("r", "h"), ("t", "h"), ("r", "z"))
    ]
    write_ledger(tmp_path, cells)
    for cell in cells:
        write_result(tmp_path, cell, make_result(cell, 2, (0.1,)))
    assert [row["status"] for row in rows_of(tmp_path)] == ["done", "done", "done", "absent"]
    assert "–: not in the study." in render(tmp_path, Request())


def test_a_key_swept_by_some_cells_only_has_a_default_level(tmp_path: Path) -> None:
    cells = [ledger_cell({"norm": "none"}), ledger_cell({"norm": "none", "epochs": 5})]
    write_ledger(tmp_path, cells)
    for cell in cells:
        write_result(tmp_path, cell, make_result(cell, 2, (0.1,)))
    assert [row["epochs"] for row in rows_of(tmp_path)] == ["(default)", "5"]


def test_equal_factors_with_other_signatures_are_refused(tmp_path: Path) -> None:
    cells = [ledger_cell({"norm": "none"}), ledger_cell({"norm": "none"}, recipe=2)]
    write_ledger(tmp_path, cells)
    for cell in cells:
        write_result(tmp_path, cell, make_result(cell, 2, (0.1,)))
    with pytest.raises(InputError, match="same factors but different signatures") as error:
        render(tmp_path, Request())
    assert all(cell["directory"] in str(error.value) for cell in cells)


def test_metrics_of_a_cell_have_one_number(tmp_path: Path) -> None:
    paths = make_study(tmp_path, {"activation": ["relu", "tanh"]})
    rows = rows_of(tmp_path, metric="wall_seconds")
    expected = [json.loads((path / "result.json").read_text())["wall_seconds"] for path in paths]
    assert [float(row["mean"]) for row in rows] == expected
    assert {row["low"] + row["n"] + row["best"] for row in rows} == {""}
    assert "One number per cell" in render(tmp_path, Request(metric="wall_seconds"))


def shuffle(directory: Path, seed: int) -> None:
    """Another order of cells in the ledger and of replicas in each result: the same numbers."""
    draw = random.Random(seed)
    ledger = json.loads((directory / "study.json").read_text())
    draw.shuffle(ledger["cells"])
    (directory / "study.json").write_text(json.dumps(ledger))
    for path in directory.glob("*/result.json"):
        change_result(path.parent, lambda result: draw.shuffle(result["replicas"]))


@pytest.mark.parametrize(
    "request_",
    [
        Request(rows="init", columns="activation"),
        Request(rows="activation", over=["norm", "init"]),
        Request(rows="activation", columns="lr", over=["norm"]),
        Request(rows="init", over=["activation", "lr"]),
    ],
)
def test_no_number_depends_on_the_order_of_cells_or_replicas(
    tmp_path: Path, request_: Request
) -> None:
    paths = make_study(tmp_path)
    change_result(paths[2], diverge(1))
    before = render(tmp_path, request_, "csv")
    for seed in range(3):
        shuffle(tmp_path, seed)
        assert sorted(render(tmp_path, request_, "csv").split()) == sorted(before.split())
