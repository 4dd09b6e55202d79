"""The command where something is the matter with the disk, or with what is on it."""

import os
from pathlib import Path

import pytest
from tiny_launch import TINY

from study.__main__ import main


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
    monkeypatch.setattr("study.outputs.files.os.fsync", full)
    assert train(tmp_path) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"study: cannot write to {study}: No space left on device; choose")
    assert train(tmp_path) == 2
    err = capsys.readouterr().err
    assert err == f"study: cannot write {study / 'study.json'}: No space left on device\n"
    assert [path.name for path in study.iterdir()] == [".study.json.lock"]
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
