import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.errors import InputError
from study.outputs import check_seal, frame, read_cells, read_ledger, seal, stale_directories
from study.outputs.metrics import METRIC_KEYS
from tests.synthetic import (
    change_result,
    diverge,
    fail,
    ledger_cell,
    make_study,
    set_metric,
    write_ledger,
)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # A lone surrogate has no UTF-8.
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("abcd"), inner),
)
records = st.dictionaries(st.sampled_from(["schema", "x", "é", "sha256"]), json_values)


@given(records)
def test_a_seal_survives_the_file_and_the_order_of_its_keys(record: dict[str, Any]) -> None:
    sealed = seal(record)
    reversed_keys = dict(reversed(list(sealed.items())))
    assert check_seal(json.loads(json.dumps(reversed_keys, indent=1)))
    assert seal(sealed) == sealed


@given(records, json_values)
def test_a_seal_breaks_when_anything_changes(record: dict[str, Any], value: object) -> None:
    sealed = seal(record)
    changed = {**sealed, "x": [value, sealed.get("x")]}
    assert not check_seal(changed)


def test_a_seal_refuses_numbers_that_json_lacks() -> None:
    with pytest.raises(ValueError, match="JSON"):
        seal({"loss": float("nan")})


def statuses(directory: Path) -> list[str]:
    return [cell.status for cell in read_cells(directory)]


def test_each_state_is_told_from_the_files_alone(tmp_path: Path) -> None:
    paths = make_study(tmp_path, {"norm": ["a", "b", "c", "d", "e", "f"]}, seeds=3)
    change_result(paths[1], diverge(2))
    fail(paths[2], "ValueError: last line")
    (paths[3] / "result.json").unlink()
    (paths[4] / "result.json").write_text('{"schema": 1, "rep', encoding="utf-8")
    (paths[5] / "result.json").unlink()
    paths[5].rmdir()
    cells = read_cells(tmp_path)
    expected = ["done", "diverged", "failed", "missing", "damaged", "missing"]
    assert [cell.status for cell in cells] == expected
    assert [cell.result is None for cell in cells] == [False, False, True, True, True, True]
    assert cells[1].num_diverged == 1
    assert cells[2].error == "ValueError: last line"
    assert cells[4].problems[0].startswith(f"{paths[4].name}/result.json is not used: truncated")


def test_divergence_away_from_the_chosen_learning_rate_is_not_the_cells(tmp_path: Path) -> None:
    (path,) = make_study(tmp_path, {"norm": ["none"]})

    def diverge_elsewhere(result: dict[str, Any]) -> None:
        others = [r for r in result["replicas"] if r["lr"] != result["chosen_lr"]]
        others[0]["status"] = "diverged"

    change_result(path, diverge_elsewhere)
    assert statuses(tmp_path) == ["done"]


def corrupt(path: Path, change: Any, sealed: bool = True) -> str:
    """Changes a result; returns the only problem the study then has."""
    if sealed:
        change_result(path, change)
    else:
        result = json.loads((path / "result.json").read_text())
        change(result)
        (path / "result.json").write_text(json.dumps(result))
    (cell,) = read_cells(path.parent)
    assert cell.status == "damaged"
    assert cell.result is None
    (problem,) = cell.problems
    return problem


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda result: result.update(signature="0" * 64), "foreign"),
        (lambda result: result.update(schema=9), "schema"),
        (lambda result: result.update(status="running"), "no finished replicas"),
        (lambda result: result.update(replicas=[]), "no finished replicas"),
        (lambda result: result.update(chosen_lr=7.0), "chosen_lr"),
        (lambda result: result["replicas"][0].pop("seed"), "replicas[0].seed is missing"),
        (lambda result: result["replicas"][0].update(status="fine"), "status"),
        (lambda result: result["replicas"][0].update(test_error="low"), "test_error"),
        (lambda result: result["replicas"].append(result["replicas"][0]), "same seed"),
    ],
)
def test_an_unsound_result_is_named_and_not_used(tmp_path: Path, change: Any, words: str) -> None:
    (path,) = make_study(tmp_path, {"norm": ["none"]})
    problem = corrupt(path, change)
    assert words in problem
    assert path.name in problem


def test_an_altered_number_breaks_the_seal(tmp_path: Path) -> None:
    (path,) = make_study(tmp_path, {"norm": ["none"]})
    altered = corrupt(path, lambda result: result["replicas"][0].update(test_error=0.0), False)
    assert "altered" in altered


@pytest.mark.parametrize("text", ["", "[1]", '{"a": NaN}', '"word"', "\x00", "{}"])
def test_no_text_is_mistaken_for_a_result(tmp_path: Path, text: str) -> None:
    (path,) = make_study(tmp_path, {"norm": ["none"]})
    (path / "result.json").write_text(text, encoding="utf-8")
    assert statuses(tmp_path) == ["damaged"]


@pytest.mark.skipif(sys.platform == "win32", reason="the lock of this test is flock")
def test_running_means_locked_by_a_living_process(tmp_path: Path) -> None:
    (path,) = make_study(tmp_path, {"norm": ["none"]})
    (path / "result.json").unlink()
    before = sorted(path.iterdir())
    assert statuses(tmp_path) == ["missing"]
    assert sorted(path.iterdir()) == before
    program = (
        "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX);"
        "print(flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert statuses(tmp_path) == ["running"]
        assert statuses(tmp_path) == ["running"]
        holder.communicate()
    assert statuses(tmp_path) == ["missing"]
    (path / "error.txt").write_text("KeyboardInterrupt\n")
    assert statuses(tmp_path) == ["failed"]


def test_directories_outside_the_ledger_are_stale_and_never_read(tmp_path: Path) -> None:
    first, second = make_study(tmp_path, {"norm": ["none", "batch"]})
    write_ledger(tmp_path, [ledger_cell({"norm": "batch"})])
    for name in (".hydra", "report", "notes"):
        (tmp_path / name).mkdir()
    (tmp_path / "by_hand").mkdir()
    (tmp_path / "by_hand" / "result.json").write_text("{}")
    assert stale_directories(read_ledger(tmp_path)) == ["by_hand", first.name]
    assert [cell.path for cell in read_cells(tmp_path)] == [second]
    assert set(frame(tmp_path)["cell"]) == {second.name}


def test_a_frame_has_one_row_per_replica(tmp_path: Path) -> None:
    paths = make_study(tmp_path, seeds=2, rates=(0.1, 1.0))
    change_result(paths[0], set_metric([0.5, None]))
    fail(paths[1])
    table = frame(tmp_path)
    assert len(table) == (len(paths) - 1) * 2 * 2
    columns = {"cell", "activation", "init", "norm", "seed", "lr", "status", "chosen"}
    assert columns | set(METRIC_KEYS) | {"best_epoch", "wall_seconds"} <= set(table.columns)
    chosen = table[table.chosen & (table.cell == paths[0].name)]
    assert chosen.test_error.iloc[0] == 0.5
    assert chosen.test_error.isna().tolist() == [False, True]
    assert (table.groupby("cell").chosen.sum() == 2).all()
    assert set(table.norm) == {"none", "batch"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "truncated"),
        ('{"schema": 2, "cells": []}', "schema"),
        ('{"schema": 1}', "its cells is missing"),
        ('{"schema": 1, "cells": [{"directory": "a"}]}', "signature"),
        (
            '{"schema": 1, "cells": [{"directory": "../a", "signature": "s", "factors": {}}]}',
            "directory",
        ),
    ],
)
def test_a_damaged_ledger_is_named(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "study.json").write_text(content)
    with pytest.raises(InputError, match=words) as error:
        read_ledger(tmp_path)
    assert str(tmp_path / "study.json") in str(error.value)
    assert "\n" not in str(error.value)


def test_a_directory_that_is_no_study_says_what_would_be(tmp_path: Path) -> None:
    paths = make_study(tmp_path / "one", {"norm": ["none"]})
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    for directory, words in {
        tmp_path / "nothing": "does not exist",
        tmp_path / "empty": "no study.json",
        tmp_path / "file": "is a file",
        tmp_path: "choose from: one",
        paths[0]: f"give {tmp_path / 'one'}",
    }.items():
        with pytest.raises(InputError) as error:
            read_ledger(directory)
        assert words in str(error.value)


def test_a_study_without_a_finished_cell_has_no_frame(tmp_path: Path) -> None:
    (path,) = make_study(tmp_path, {"norm": ["none"]})
    fail(path)
    with pytest.raises(InputError, match=r"no finished cell \(1 failed\)"):
        frame(tmp_path)
    write_ledger(tmp_path, [])
    with pytest.raises(InputError, match="no cells"):
        frame(tmp_path)


def test_a_thousand_cells_are_all_read(tmp_path: Path) -> None:
    factors: dict[str, list[int]] = {name: list(range(10)) for name in ("init", "norm", "width")}
    make_study(tmp_path, factors, seeds=2, rates=(0.1,))
    assert statuses(tmp_path) == ["done"] * 1000
