"""What two trainings of one cell share, and that nothing else is left out of the comparison."""

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from study.launch.reproduce.comparable import (
    ABSENT,
    Difference,
    array_identity,
    comparable,
    differences,
    without_measured,
)
from study.outputs.cell import best_name
from tests import tiny
from tests.synthetic import change_result

OVERRIDES = (
    "seeds=2", "optimizer.lr=[0.01,0.05]", "probes=default", "outputs.weights=all",
    "pairs.points=3", "trainer.max_epochs=4",
)  # fmt: skip


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tiny.folder(tmp_path_factory.mktemp("images"))
    directory = tmp_path_factory.mktemp("study") / "cell"
    tiny.train_to(directory, root, *OVERRIDES)
    return directory


@pytest.fixture
def altered(cell: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(cell, tmp_path / "cell"))


def test_a_cell_is_comparable_with_itself(cell: Path) -> None:
    content = comparable(cell)
    assert json.loads(json.dumps(content)) == content
    assert differences(content, copy.deepcopy(content)) == []
    assert set(content["replicas"]) == set(content["curves"]) == set(content["probes"])
    best = {
        best_name(entry["seed"], entry["lr"], entry["best_epoch"])
        for entry in content["replicas"].values()
        if entry["best_epoch"] != 4
    }
    assert best
    assert {name.partition("/")[0] for name in content["weights"]} == {
        *content["replicas"],
        *best,
        "normalization",
    }


def test_times_and_provenance_are_no_part_of_it(cell: Path, altered: Path) -> None:
    def change(record: dict[str, Any]) -> None:
        record["wall_seconds"] += 1
        record["pretraining_seconds"] += 1
        record["provenance"] = {}
        record["files"] = dict.fromkeys(record["files"], "0" * 64)
        record["replicas"][0]["copied_from"] = {"signature": "0"}

    change_result(altered, change)
    lines = (altered / "curves.csv").read_text(encoding="utf-8").splitlines()
    moved = [lines[0], *(f"{line.rpartition(',')[0]},99.5" for line in lines[1:])]
    (altered / "curves.csv").write_text("\n".join(moved) + "\n", encoding="utf-8")
    assert comparable(altered) == comparable(cell)


@pytest.mark.parametrize("key", ["status", "best_epoch", "test_error", "last_val_loss"])
def test_every_number_of_a_replica_is(cell: Path, altered: Path, key: str) -> None:
    change_result(altered, lambda record: record["replicas"][1].update({key: 17}))
    (found,) = differences(comparable(cell), comparable(altered))
    assert found.place == ("replicas", "seed=0,lr=0.05", key)
    assert found.second == 17


@pytest.mark.parametrize(("name", "column"), [("curves.csv", 4), ("probes.csv", 6)])
def test_so_is_every_row_of_the_files(cell: Path, altered: Path, name: str, column: int) -> None:
    path = altered / name
    header, *rows = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]
    rows[-1][column] = "0.125"
    path.write_text("\n".join(",".join(row) for row in [header, *rows]) + "\n", encoding="utf-8")
    (found,) = differences(comparable(cell), comparable(altered))
    assert found.place[:2] == (name.partition(".")[0], "seed=1,lr=0.05")
    assert "epoch 4" in found.place[2]
    assert found.place[3] == header[column]


def test_so_is_every_number_of_a_pair(cell: Path, altered: Path) -> None:
    path = altered / "pairs.csv"
    header, first, second, *rows = path.read_text(encoding="utf-8").splitlines()
    changed = ",".join([*second.split(",")[:-1], "0.125"])
    path.write_text("\n".join([header, first, changed, *rows]) + "\n", encoding="utf-8")
    (found,) = differences(comparable(cell), comparable(altered))
    lr = comparable(cell)["record"]["chosen_lr"]
    assert found.place == ("pairs", f"seed=0,lr={lr}", "alpha 0.5", "cosine")


def test_one_bit_of_a_weight_shows(cell: Path, altered: Path) -> None:
    path = altered / "weights.safetensors"
    arrays = load_file(path)
    name = "seed=1,lr=0.01/output.weight"
    arrays[name][0, 0] = np.nextafter(arrays[name][0, 0], 1)
    save_file(arrays, path)
    (found,) = differences(comparable(cell), comparable(altered))
    assert found.place == ("weights", name)


def test_files_that_are_damaged_are_named(altered: Path) -> None:
    for name in ("weights.safetensors", "predictions.npz", "filters.npz"):
        content = (altered / name).read_bytes()
        (altered / name).write_bytes(content[: len(content) // 2])
        with pytest.raises(ValueError, match=name):
            comparable(altered)
        (altered / name).write_bytes(content)


def test_an_array_is_told_by_type_shape_and_bytes() -> None:
    arrays = [np.zeros((2, 3)), np.zeros((3, 2)), np.zeros((2, 3), "f4"), -np.zeros((2, 3))]
    assert len({array_identity(array) for array in arrays}) == 4
    assert array_identity(np.zeros((3, 2)).T) == array_identity(np.zeros((2, 3)))


def test_differences_are_places_in_order() -> None:
    first = {"a": 1, "b": [{"epoch": 0, "x": 1.0}, {"epoch": 1, "x": 2.0}], "c": [1, 2], "d": None}
    second = {"a": 1, "b": [{"epoch": 0, "x": 1.0}, {"epoch": 1, "x": 3.0}], "c": [1], "e": 5}
    assert differences(first, second) == [
        Difference(("b", "epoch 1", "x"), 2.0, 3.0),
        Difference(("c",), [1, 2], [1]),
        Difference(("d",), None, ABSENT),
        Difference(("e",), ABSENT, 5),
    ]


def test_what_is_measured_is_left_out_at_any_depth() -> None:
    value = {"a": [{"seconds": 1, "x": float("nan")}], "sha256": "0", "weights_sha256": "1"}
    assert without_measured(value) == {"a": [{"x": None}], "weights_sha256": "1"}
