"""A trained cell: what it leaves behind, and that it is the same every time."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch.plugins.environments import LightningEnvironment
from safetensors.torch import load_file

from study.files import sha256
from study.outputs.cell import _write_predictions, by_replica, read_predictions
from study.outputs.checkpoint import tensors_sha256
from study.outputs.metrics import METRIC_KEYS
from study.outputs.results import TrainedReplica, parse_result
from study.outputs.schema import CURVE_COLUMNS, check_seal
from study.outputs.series import read_curves
from tests import tiny
from tests.fabricated import entry

RATES = (0.01, 0.05)
OVERRIDES = ("seeds=2", "optimizer.lr=[0.01,0.05]", "trainer.max_epochs=3", "norm=batch")
RESULT_KEYS = {
    "schema", "status", "signature", "factors", "replicas", "chosen_lr", "chosen_lr_at_edge",
    "probes", "wall_seconds", "pretraining_seconds", "pretraining_updates", "files", "provenance",
    "sha256",
}  # fmt: skip
PROVENANCE = {
    "git_commit", "git_diff_sha256", "packages", "python", "processor", "gpu", "threads", "engine",
    "data_fingerprint", "command",
}  # fmt: skip


@pytest.fixture(scope="module")
def cell(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("study") / "cell"
    tiny.train_to(directory, root, *OVERRIDES)
    return directory


@pytest.fixture(scope="module")
def record(cell: Path) -> dict[str, Any]:
    return dict(json.loads((cell / "result.json").read_text(encoding="utf-8")))


def test_a_cell_leaves_its_files_and_no_other(cell: Path) -> None:
    files = {path.name for path in cell.iterdir()}
    written = {name for name in files if name.startswith("events.out.tfevents.")}
    assert len(written) == 2
    assert files - written == tiny.CELL_FILES
    assert {path.name for path in cell.parent.iterdir()} == {"cell"}


def test_nothing_is_left_in_the_current_directory(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny.train_to(tmp_path / "study" / "cell", root, "trainer.max_epochs=1")
    assert [path.name for path in tmp_path.iterdir()] == ["study"]


def test_the_record_has_every_key_and_its_seal(record: dict[str, Any]) -> None:
    assert set(record) >= RESULT_KEYS
    assert check_seal(record)
    parse_result(record, record["signature"])
    assert set(record["provenance"]) >= PROVENANCE
    assert record["wall_seconds"] > 0


def test_every_replica_has_every_number(record: dict[str, Any]) -> None:
    pairs = [(replica["seed"], replica["lr"]) for replica in record["replicas"]]
    assert pairs == [(seed, lr) for seed in (0, 1) for lr in RATES]
    for replica in record["replicas"]:
        assert replica["status"] == "trained"
        assert 1 <= replica["best_epoch"] <= 3
        assert all(0 <= replica[key] <= 1 for key in METRIC_KEYS if key.endswith("error"))
        assert all(replica[key] >= 0 for key in METRIC_KEYS if key.endswith("loss"))
        assert len(replica["weights_sha256"]) == 64


def test_the_chosen_learning_rate_is_best_on_validation(record: dict[str, Any]) -> None:
    def mean(lr: float, name: str) -> float:
        values = [replica[name] for replica in record["replicas"] if replica["lr"] == lr]
        return math.fsum(values) / len(values)

    best = min(RATES, key=lambda lr: (mean(lr, "val_error"), mean(lr, "val_loss"), lr))
    assert record["chosen_lr"] == best
    assert record["chosen_lr_at_edge"] == ("lowest" if best == RATES[0] else "highest")


def test_the_files_are_those_of_the_record(cell: Path, record: dict[str, Any]) -> None:
    assert set(record["files"]) == tiny.CELL_FILES - {"result.json"}
    for name, digest in record["files"].items():
        assert sha256(cell / name) == digest


def test_curves_have_a_row_for_each_replica_and_epoch(cell: Path, record: dict[str, Any]) -> None:
    header = (cell / "curves.csv").read_text(encoding="utf-8").split("\n")[0]
    assert header == ",".join(CURVE_COLUMNS)
    rows = read_curves(cell)
    keys = [(row["seed"], row["lr"], row["epoch"]) for row in rows]
    assert sorted(keys) == sorted(set(keys))
    assert len(keys) == 2 * 2 * (3 + 1)
    for replica in record["replicas"]:
        own = [row for row in rows if (row["seed"], row["lr"]) == (replica["seed"], replica["lr"])]
        assert [row["epoch"] for row in own] == [0, 1, 2, 3]
        assert math.isnan(own[0]["train_loss"])
        assert own[replica["best_epoch"]]["val_loss"] == pytest.approx(replica["val_loss"])
        assert own[-1]["val_error"] == pytest.approx(replica["last_val_error"])
        seconds = [row["seconds"] for row in own]
        assert seconds == sorted(seconds)


def test_predictions_have_the_recorded_test_error(cell: Path, record: dict[str, Any]) -> None:
    check_predictions(cell, record)


@pytest.mark.parametrize("engine", ["sequential", "stacked"])
@pytest.mark.parametrize("precision", ["64-true", "32-true"])
def test_so_have_those_of_diverged_replicas(
    root: Path, tmp_path: Path, engine: str, precision: str
) -> None:
    """Also where they were copied, and copies stand beside others.

    A net that explodes may keep finite outputs; of these, some do and some do not.
    """
    numbers = ("optimizer.lr=1e+30", f"trainer.precision={precision}")
    options = (*numbers, "trainer.max_epochs=1", f"population.engine={engine}")
    for name, seeds in (("two", 2), ("four", 4)):
        directory = tmp_path / "study" / name
        record = tiny.train_to(directory, root, f"seeds={seeds}", *options)
        assert record["replicas"][0]["status"] == "diverged"
        assert "copied_from" in record["replicas"][0] or name == "two"
        check_predictions(directory, record)
    assert 1.0 in {replica["test_error"] for replica in record["replicas"]}


def check_predictions(cell: Path, record: dict[str, Any]) -> None:
    """The error of the kept predictions is the recorded one: 255 is no class, so it is wrong."""
    labels = tiny_test_labels()
    with np.load(cell / "predictions.npz") as arrays:
        predictions, seeds = arrays["predictions"], arrays["seeds"]
        assert (arrays["labels"] == labels).all()
        assert float(arrays["lr"]) == record["chosen_lr"]
    assert predictions.dtype == np.uint8
    assert predictions.shape == (len(seeds), len(labels))
    for seed, row in zip(seeds.tolist(), predictions, strict=True):
        assert (row != labels).mean() == pytest.approx(
            replica_of(record, seed, record["chosen_lr"])["test_error"]
        )


@given(st.integers(0, 70_000), st.integers(0, 9))
def test_predictions_survive_the_file_whatever_the_number_of_classes(
    tmp_path_factory: pytest.TempPathFactory, largest: int, seed: int
) -> None:
    directory = tmp_path_factory.getbasetemp()
    draw = np.random.default_rng(seed)
    rows = {seed: draw.integers(-1, largest, 5, endpoint=True) for seed in (0, 7)}
    results = [
        TrainedReplica(entry(seed, 0.1, 0.5), [], predictions=row) for seed, row in rows.items()
    ]
    labels = draw.integers(0, largest, 5, endpoint=True)
    _write_predictions(directory, results, labels)
    with np.load(directory / "predictions.npz") as arrays:
        assert (arrays["labels"] == labels).all()
    lr, found = read_predictions(directory)
    assert lr == 0.1
    assert {key: row.tolist() for key, row in found.items()} == {
        key: row.tolist() for key, row in rows.items()
    }
    with np.load(directory / "predictions.npz") as arrays:
        top = np.iinfo(arrays["predictions"].dtype).max
        assert ((arrays["predictions"] == top) == (np.stack(list(rows.values())) == -1)).all()
        assert max(row.max() for row in rows.values()) < top


def tiny_test_labels() -> np.ndarray:
    """The labels of the image folder's test images, in its order: by class."""
    return np.sort(tiny.pixels(30, seed=2)[1].numpy())


def replica_of(record: dict[str, Any], seed: int, lr: float) -> dict[str, Any]:
    found = [r for r in record["replicas"] if (r["seed"], r["lr"]) == (seed, lr)]
    assert len(found) == 1
    return dict(found[0])


def test_filters_are_first_layer_images(cell: Path) -> None:
    with np.load(cell / "filters.npz") as arrays:
        filters = arrays["filters"]
    assert filters.shape == (8, 1, 16, 16)
    assert filters.dtype == np.uint8
    assert (np.abs(filters.astype(int) - 128).max(axis=(1, 2, 3)) == 127).all()


def test_kept_weights_are_those_of_the_last_and_of_the_best_epoch(
    cell: Path, record: dict[str, Any]
) -> None:
    kept = by_replica(load_file(cell / "weights.safetensors"))
    del kept["normalization"]
    expected = {}
    for seed in (0, 1):
        replica, name = replica_of(record, seed, record["chosen_lr"]), f"seed={seed},lr=0.05"
        assert (replica["best_weights_sha256"] == replica["weights_sha256"]) == (
            replica["best_epoch"] == 3
        )
        expected[name] = replica["weights_sha256"]
        if replica["best_epoch"] != 3:
            expected[f"{name},epoch={replica['best_epoch']}"] = replica["best_weights_sha256"]
    assert {name: tensors_sha256(state) for name, state in kept.items()} == expected


@pytest.mark.parametrize(("keep", "num_kept"), [("all", 2), ("chosen", 1), ("none", 0)])
def test_which_weights_are_kept(root: Path, tmp_path: Path, keep: str, num_kept: int) -> None:
    """Of one rate those of two epochs, of the other those of the last, which is its best."""
    rates = ("optimizer.lr=[0.01,0.05]", "trainer.max_epochs=4")
    record = tiny.train_to(tmp_path / "study" / "cell", root, f"outputs.weights={keep}", *rates)
    path = tmp_path / "study" / "cell" / "weights.safetensors"
    assert path.exists() == (num_kept > 0)
    assert (path.name in record["files"]) == path.exists()
    tensors = load_file(path) if num_kept else {}
    kept = {key.partition("/")[0] for key in tensors} - {"normalization"}
    assert len(kept) == num_kept + (num_kept > 0)
    assert ("seed=0,lr=0.05,epoch=3" in kept) == (num_kept > 0)


def test_the_same_cell_twice_gives_the_same_everything(
    root: Path, tmp_path: Path, cell: Path, record: dict[str, Any]
) -> None:
    again = tiny.train_to(tmp_path / "study" / "cell", root, *OVERRIDES)
    assert again["replicas"] == record["replicas"]
    assert again["signature"] == record["signature"]
    for name in ("predictions.npz", "filters.npz", "weights.safetensors"):
        assert again["files"][name] == record["files"][name]


def test_a_diverged_replica_is_recorded_as_such(root: Path, tmp_path: Path) -> None:
    overrides = ("optimizer.lr=[0.02,1e+30]", "trainer.max_epochs=1", "outputs.weights=all")
    record = tiny.train_to(tmp_path / "study" / "cell", root, *overrides)
    good, bad = record["replicas"]
    assert (good["status"], bad["status"]) == ("trained", "diverged")
    assert bad["best_epoch"] is None
    assert bad["test_loss"] is None
    assert bad["test_error"] == bad["last_test_error"] == 1.0
    assert record["chosen_lr"] == 0.02
    parse_result(record, record["signature"])
    text = (tmp_path / "study" / "cell" / "result.json").read_text(encoding="utf-8")
    assert "NaN" not in text
    assert "Infinity" not in text


def test_a_cell_of_which_every_replica_diverges_is_finished(root: Path, tmp_path: Path) -> None:
    record = tiny.train_to(
        tmp_path / "study" / "cell", root, "seeds=2", "optimizer.lr=1e+30", "trainer.max_epochs=1"
    )
    assert [replica["status"] for replica in record["replicas"]] == ["diverged"] * 2
    parse_result(record, record["signature"])


def test_a_slurm_allocation_is_not_distributed_training(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slurm = {"SLURM_NTASKS": "4", "SLURM_JOB_ID": "17", "SLURM_JOB_NAME": "study",
             "SLURM_PROCID": "2", "SLURM_LOCALID": "2", "SLURM_NODEID": "0",
             "SLURM_NTASKS_PER_NODE": "4", "SLURM_NODELIST": "node1"}  # fmt: skip
    expected = tiny.train_to(tmp_path / "plain" / "cell", root)
    for name, value in slurm.items():
        monkeypatch.setenv(name, value)
    trainer = tiny.trainer(tiny.config())
    assert isinstance(trainer._accelerator_connector.cluster_environment, LightningEnvironment)
    assert trainer.world_size == 1
    record = tiny.train_to(tmp_path / "slurm" / "cell", root)
    assert record["replicas"] == expected["replicas"]
    assert record["provenance"]["slurm_job"] == "17"


def test_the_signature_is_of_the_configuration_and_the_data(
    root: Path, cell: Path, record: dict[str, Any]
) -> None:
    config = tiny.config("data=image_folder", f"data.root={root}", *OVERRIDES)
    assert record["signature"] == config.signature(record["provenance"]["data_fingerprint"])
