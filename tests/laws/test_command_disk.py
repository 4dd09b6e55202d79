"""The command where something is the matter with the disk, or with what is on it."""

import os
from pathlib import Path

import pytest

from study.__main__ import main
from study.launch.reproduce.comparable import comparable
from study.outputs.cell import read_result
from tests.tiny_launch import TINY


def train(outputs: Path) -> int:
    return main(["train", *TINY, f"outputs_dir={outputs}"])


def test_the_same_launch_once_more_leaves_the_ledger_as_it_is(tmp_path: Path) -> None:
    assert train(tmp_path) == 0
    ledger = tmp_path / "scratch" / "study.json"
    first = ledger.read_bytes(), ledger.stat().st_mtime_ns
    assert train(tmp_path) == 0
    assert (ledger.read_bytes(), ledger.stat().st_mtime_ns) == first


def test_a_full_disk_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    study = tmp_path / "scratch"
    monkeypatch.setattr("study.files.os.fsync", full)
    assert train(tmp_path) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"study: cannot write to {study}: No space left on device; choose")
    assert train(tmp_path) == 2
    err = capsys.readouterr().err
    assert err == f"study: cannot write {study / 'owner.json'}: No space left on device\n"
    assert [path.name for path in study.iterdir()] == ["lock"]
    monkeypatch.undo()
    assert train(tmp_path) == 0


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_does_not_lead_a_study_out_of_the_output_directory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs, elsewhere = tmp_path / "outputs", tmp_path / "elsewhere"
    outputs.mkdir()
    elsewhere.mkdir()
    (outputs / "scratch").symlink_to(elsewhere)
    assert train(outputs) == 2
    assert f"{outputs / 'scratch'} leads out of {outputs}" in capsys.readouterr().err
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("name", ["../x", "/x", "a/b", "..", "a\\b", "~/x"])
def test_no_name_of_a_study_is_a_path(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    quoted = name.replace("\\", "\\\\")
    assert main(["train", *TINY, f"outputs_dir={tmp_path / 'outputs'}", f"study='{quoted}'"]) == 2
    assert "it takes a plain name" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["config.yaml", "curves.csv", "predictions.npz"])
def test_a_damaged_file_of_a_finished_cell_is_named_and_the_cell_trained_again(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(tmp_path) == 0
    (cell,) = (tmp_path / "scratch").glob("mnist-*")
    before = comparable(cell)
    (cell / name).write_bytes((cell / name).read_bytes()[:-1])
    capsys.readouterr()
    assert train(tmp_path) == 0
    out, err = capsys.readouterr()
    assert f"{cell / name} is not used: its sha256 is not the one in result.json" in err
    assert "1 to train" in out
    assert comparable(cell) == before
    assert (cell.with_name(f"{cell.name}.damaged-1") / "result.json").exists()


def test_weights_that_were_not_carried_along_are_no_damage(tmp_path: Path) -> None:
    assert train(tmp_path) == 0
    (cell,) = (tmp_path / "scratch").glob("mnist-*")
    (cell / "weights.safetensors").unlink()
    assert train(tmp_path) == 0
    assert not (cell / "weights.safetensors").exists()


def test_a_damaged_cell_is_trained_as_it_was_and_nothing_of_it_copied(tmp_path: Path) -> None:
    """Replicas that are trained without others of their stack have other last bits."""
    several = ("seeds=2", "optimizer.lr=[0.01,0.1]", f"outputs_dir={tmp_path}")
    assert main(["train", *TINY, *several]) == 0
    (cell,) = (tmp_path / "scratch").glob("mnist-*")
    before = comparable(cell)
    weights = cell / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert main(["train", *TINY, *several]) == 0
    assert comparable(cell) == before
    assert not [entry for entry in read_result(cell)["replicas"] if "copied_from" in entry]


def test_a_full_disk_stops_tensorboard_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(writer: object, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("tensorboard.summary.writer.record_writer.RecordWriter.write", full)
        assert train(tmp_path) == 1
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert "1 x OSError: No space left on device" in err
    assert train(tmp_path) == 0
