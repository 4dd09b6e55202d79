"""study.probe_frame against the files it is made of."""

import csv
from pathlib import Path

import pytest

import study
from study.errors import InputError
from study.outputs.metrics import PROBES, ROW
from study.outputs.records import read_cells
from study.outputs.series import read_probe
from tests.synthetic import (
    change_result,
    diverge,
    fail,
    ledger_cell,
    make_probes,
    make_result,
    make_study,
    write_ledger,
    write_probes,
    write_result,
)

THREE = {"activation": ["relu", "tanh", "elu"], "norm": ["none"]}


def make_probed(directory: Path) -> list[Path]:
    paths = make_study(directory, THREE, seeds=2, rates=(0.1, 1.0))
    for path in paths:
        write_probes(path, make_probes(path))
    return paths


def test_a_row_per_replica_moment_and_layer(tmp_path: Path) -> None:
    paths = make_probed(tmp_path)
    change_result(paths[0], diverge(1))
    fail(paths[1])
    table = study.probe_frame(tmp_path)
    assert len(table) == 2 * (2 * 2) * 3 * 3
    replicas = study.frame(tmp_path)
    shared = ["cell", "data", "model", "activation", "norm", "seed", "lr", "status", "chosen"]
    assert list(table.columns) == [*shared, "step", "epoch", "layer", *PROBES]
    assert table[shared].drop_duplicates().reset_index(drop=True).equals(replicas[shared])
    assert {str(table[name].dtype) for name in ("lr", *PROBES)} == {"float64"}
    assert {str(table[name].dtype) for name in ("seed", "step", "epoch", "layer")} == {"int64"}


def test_every_number_is_the_files(tmp_path: Path) -> None:
    paths = make_probed(tmp_path)
    rows = make_probes(paths[0])
    rows[4]["gamma_mean"] = None
    write_probes(paths[0], rows)
    table = study.probe_frame(tmp_path)
    own = table[table.cell == paths[0].name]
    with (paths[0] / "probes.csv").open(encoding="utf-8", newline="") as file:
        for line, (_, row) in zip(csv.DictReader(file), own.iterrows(), strict=True):
            for name in (*ROW, *PROBES):
                assert row[name] == float(line[name]) if line[name] else row[name] != row[name]
    assert own.gamma_mean.isna().sum() == 1


def test_cells_without_sound_probes_have_no_rows_and_a_warning(tmp_path: Path) -> None:
    paths = make_probed(tmp_path)
    (paths[0] / "probes.csv").unlink()
    with pytest.warns(UserWarning, match=f"{paths[0].name}/probes.csv is not used: it is missing"):
        assert set(study.probe_frame(tmp_path).cell) == {path.name for path in paths[1:]}
    change_result(paths[0], lambda result: result["files"].pop("probes.csv"))
    assert set(study.probe_frame(tmp_path).cell) == {path.name for path in paths[1:]}
    for path in paths[1:]:
        change_result(path, lambda result: result["files"].pop("probes.csv"))
    with pytest.raises(InputError, match="and probes=default"):
        study.probe_frame(tmp_path)


@pytest.mark.parametrize(
    ("text", "lacks"), [("", "seed"), ("seed,lr\n", "step"), ("a\nb\n", "seed")]
)
def test_a_file_of_another_kind_is_named(tmp_path: Path, text: str, lacks: str) -> None:
    import hashlib

    path, *_ = make_probed(tmp_path)
    (path / "probes.csv").write_text(text)
    digest = hashlib.sha256(text.encode()).hexdigest()
    change_result(path, lambda result: result["files"].update({"probes.csv": digest}))
    reading = read_probe(read_cells(tmp_path)[0], "weight_norm")
    assert reading.numbers is None
    assert reading.problem == f"{path.name}/probes.csv is not used: it lacks the column {lacks}"


def test_a_file_older_than_a_probe_has_none_of_it(tmp_path: Path) -> None:
    make_probed(tmp_path)
    (record, *_) = read_cells(tmp_path)
    assert read_probe(record, "a_later_probe").numbers == {}


def test_factors_are_those_of_the_frame_also_where_a_cell_lacks_one(tmp_path: Path) -> None:
    cells = [ledger_cell(f) for f in ({"norm": "none"}, {"norm": "none", "epochs": 5, "note": "x"})]
    write_ledger(tmp_path, cells)
    for cell in cells:
        path = write_result(tmp_path, cell, make_result(cell, 1, (0.1,)))
        write_probes(path, make_probes(path, steps=(0,), depth=1))
    names = ["cell", "data", "model", "norm", "epochs", "note", "seed", "lr", "status", "chosen"]
    assert study.probe_frame(tmp_path)[names].equals(study.frame(tmp_path)[names])
