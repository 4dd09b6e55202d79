"""The benchmarks of cells, sweeps and the start run, and parts add up; no time is asserted."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import cells, growth, start, turns
from study.config.compose import hydra_ready, parse_overrides
from tests import tiny_launch

OVERRIDES = (*tiny_launch.TINY, "model.widths=[8],[9]")


def test_the_parts_of_a_cell_add_up_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    whole: list[float] = []
    sweep = growth.sweep

    def spy(*arguments: Any, note: Callable[[float], None], **keywords: Any) -> None:
        def both(seconds: float) -> None:
            whole.append(seconds)
            note(seconds)

        sweep(*arguments, note=both, **keywords)

    monkeypatch.setattr(cells, "sweep", spy)
    planned, planning_seconds = growth.planned(*OVERRIDES)
    costs = cells.measured(planned)
    assert [sum(cost.values()) for cost in costs] == pytest.approx(whole)
    assert len(costs) == 2
    assert planning_seconds > 0
    for cost in costs:
        assert cost.keys() == {*cells.PARTS, "the rest"}
        assert all(0 < seconds < math.inf for seconds in cost.values())


def test_timing_ends_with_its_block() -> None:
    before = {
        (owner, name): getattr(owner, name)
        for functions in cells.PARTS.values()
        for owner, name in functions
    }
    with cells.timed(cells.PARTS, {}):
        assert all(getattr(*place) is not function for place, function in before.items())
    assert all(getattr(*place) is function for place, function in before.items())


def test_every_benchmark_writes_a_row_for_what_it_measures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "RESULTS", tmp_path)
    turns.write("cells", [cells.measure("tiny", OVERRIDES, num_first=1)])
    rows = growth.measure(OVERRIDES, (1, 2), rounds=1)
    turns.write("growth", rows)
    assert [row["cells"] for row in rows] == [1, 2]
    assert rows[0]["time against 1 cells"] == rows[0]["memory against 1 cells"] == 1.0
    assert {path.name for path in tmp_path.glob("*.csv")} == {"cells.csv", "growth.csv"}


def test_the_sweep_that_grows_has_cells_for_every_size() -> None:
    with hydra_ready():
        axes = parse_overrides(growth.AXES)
    assert math.prod(len(axis.values) for axis in axes) == max(growth.SIZES)


def test_the_command_is_ended_by_its_first_update(tmp_path: Path) -> None:
    train = ["-m", "benchmarks.start", "train", *start.FIRST_UPDATE, f"outputs_dir={tmp_path}"]
    assert start.process_seconds([*train, "trainer.max_epochs=100000"])() > 0
    assert not list(tmp_path.glob("*/*/result.json"))
    assert len(list(tmp_path.glob("*/*/config.yaml"))) == 1
