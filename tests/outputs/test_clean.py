"""`study clean` removes what serves nobody, and nothing else."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from study.__main__ import main
from study.locks import KernelLock
from study.outputs.clean import leftovers
from study.outputs.records import read_cells, read_ledger
from tests.synthetic import change_result, make_study

Output = pytest.CaptureFixture[str]


@pytest.fixture
def cells(tmp_path: Path) -> list[Path]:
    """Four finished cells, of which two are pretrained."""
    paths = make_study(
        tmp_path / "s", {"activation": ["relu", "tanh"], "norm": ["a", "b"]}, seeds=1
    )
    for path, digits in zip(paths[:2], ("11111111", "22222222"), strict=True):
        record = {"signature": digits * 8, "sha256": {}}
        change_result(path, lambda result, r=record: result.update(pretraining=r))  # type: ignore[misc]
        cache(path.parent, digits)
    return paths


def cache(study: Path, digits: str) -> Path:
    directory = study / "pretraining" / f"rbm-{digits}"
    run = directory / "seeds=0"
    run.mkdir(parents=True)
    for path in (directory / "seed=0.safetensors", directory / "seed=0.csv",
                 run / "events.out.tfevents.1"):  # fmt: skip
        path.write_text("x")
    return directory


def content(study: Path) -> set[str]:
    return {str(path.relative_to(study)) for path in study.rglob("*")}


def clean(study: Path, *options: str) -> int:
    return main(["clean", str(study), *options])


def test_a_study_without_leftovers_has_none(cells: list[Path], capsys: Output) -> None:
    before = content(cells[0].parent)
    assert clean(cells[0].parent, "--yes") == 0
    assert "nothing is left over" in capsys.readouterr().out
    assert content(cells[0].parent) == before


def litter(cells: list[Path]) -> set[str]:
    """Leaves one of everything behind; returns what is to go."""
    study = cells[0].parent
    stale = shutil.copytree(cells[0], study / "mnist-mlp-01234567")
    (stale / "result.json").rename(stale / "weights.safetensors")
    damaged = study / f"{cells[1].name}.damaged-1"
    damaged.mkdir()
    (damaged / "weights.safetensors").write_text("old")
    unused = cache(study, "33333333")
    (unused / "lock").touch()
    used = study / "pretraining" / "rbm-11111111"
    files = [used / "checkpoint.safetensors", used / "lock",
             cells[0] / "checkpoint.safetensors", cells[0] / "lock", cells[0] / "owner.json",
             cells[1] / ".curves.csv.999999999.partial", study / ".study.json.999999999.partial",
             cells[1] / "error.txt"]  # fmt: skip
    for path in files:
        path.write_text("left")
    for path in files:
        os.utime(path, (0, 0))
    trees = [each for tree in (stale, damaged, unused) for each in (tree, *tree.rglob("*"))]
    return {str(path.relative_to(study)) for path in (*files, *trees)}


def test_it_lists_everything_and_touches_nothing(cells: list[Path], capsys: Output) -> None:
    study = cells[0].parent
    going = litter(cells)
    before = content(study)
    assert clean(study) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "11 left-overs" in lines[-1]
    assert "--yes removes them" in lines[-1]
    listed = [line.partition(": ")[2].rpartition(" (")[0] for line in lines[:-1]]
    assert all(Path(path).exists() for path in listed)
    assert {str(Path(path).relative_to(study)) for path in listed} <= going
    assert content(study) == before


def test_with_yes_it_removes_exactly_that(cells: list[Path], capsys: Output) -> None:
    study = cells[0].parent
    before = content(study)
    going = litter(cells)
    assert clean(study, "--yes") == 0
    assert "removed 11 left-overs" in capsys.readouterr().out
    assert content(study) == before - going
    assert all(cell.result for cell in read_cells(study))


def test_a_finished_cell_that_is_not_listed_goes_by_a_word_of_its_own(
    cells: list[Path], capsys: Output
) -> None:
    """Nor do the pretrained weights go that it started from; what it needs no more does."""
    study, (gone, *_) = cells[0].parent, cells
    ledger = json.loads((study / "study.json").read_text())
    ledger["cells"] = ledger["cells"][1:]
    (study / "study.json").write_text(json.dumps(ledger))
    kept = content(study)
    (gone / "checkpoint.safetensors").write_text("left")
    assert clean(study, "--yes") == 0
    assert content(study) == kept
    out = capsys.readouterr().out
    assert "kept: 1 finished cell, " in out
    assert "the launch that trained it lists it again" in out
    assert clean(study, "--yes", "--finished") == 0
    assert not gone.exists()
    assert clean(study, "--yes") == 0
    assert not (study / "pretraining" / "rbm-11111111").exists()
    assert [cell.status for cell in read_cells(study)] == ["done"] * 3


def test_a_write_that_was_cut_off_just_now_goes_where_all_is_finished(cells: list[Path]) -> None:
    study = cells[0].parent
    cut = [
        directory / ".owner.json.01234567.999999999.partial"
        for directory in (cells[1], study / "pretraining" / "rbm-11111111")
    ]
    for path in cut:
        path.write_text("cut")
    assert clean(study, "--yes") == 0
    assert not any(path.exists() for path in cut)


def test_the_lock_of_a_launch_that_was_killed_goes(cells: list[Path], capsys: Output) -> None:
    study = cells[0].parent
    before = content(study)
    for name in ("lock", "owner.json"):
        (study / name).touch()
        os.utime(study / name, (0, 0))
    assert clean(study) == 0
    assert capsys.readouterr().out.count("the lock of a dead process") == 2
    assert clean(study, "--yes") == 0
    assert content(study) == before


def test_files_of_others_stay_and_keep_their_directory(cells: list[Path]) -> None:
    study = cells[0].parent
    litter(cells)
    for name in ("mnist-mlp-01234567/notes.txt", "pretraining/rbm-33333333/mine.txt"):
        (study / name).write_text("mine")
    (study / "own").mkdir()
    assert clean(study, "--yes") == 0
    assert {path.name for path in (study / "mnist-mlp-01234567").iterdir()} == {"notes.txt"}
    assert {path.name for path in (study / "pretraining/rbm-33333333").iterdir()} == {"mine.txt"}
    assert (study / "own").is_dir()


def test_a_checkpoint_that_a_cell_goes_on_from_stays(cells: list[Path]) -> None:
    (cells[0] / "result.json").unlink()
    (cells[0] / "checkpoint.safetensors").write_text("half")
    (cells[0] / "error.txt").write_text("why")
    cut = cells[0] / ".curves.csv.999999999.partial"
    cut.write_text("cut")
    os.utime(cut, (0, 0))
    assert clean(cells[0].parent, "--yes") == 0
    assert {path.name for path in cells[0].iterdir()} == {"checkpoint.safetensors", "error.txt"}


def test_while_a_cell_is_unfinished_no_pretrained_weights_go(cells: list[Path]) -> None:
    unused = cache(cells[0].parent, "33333333")
    (cells[3] / "result.json").unlink()
    assert clean(cells[0].parent, "--yes") == 0
    assert unused.is_dir()
    shutil.rmtree(cells[3])
    ledger = json.loads((cells[0].parent / "study.json").read_text())
    ledger["cells"] = ledger["cells"][:3]
    (cells[0].parent / "study.json").write_text(json.dumps(ledger))
    assert clean(cells[0].parent, "--yes") == 0
    assert not unused.exists()


def test_what_another_process_holds_is_left_alone(cells: list[Path]) -> None:
    study = cells[0].parent
    litter(cells)
    (cells[2] / "result.json").unlink()
    (cells[2] / ".curves.csv.999999999.partial").write_text("being written")
    held = [study / "mnist-mlp-01234567", cells[2], study / "pretraining/rbm-33333333"]
    before = {path: content(path) for path in held}
    locks = [KernelLock(path / "lock") for path in held]
    assert all(lock.acquire() for lock in locks)
    try:
        found = leftovers(read_ledger(study), read_cells(study))
        assert not {each.place.parent for each in found} & {*held, study / "pretraining"}
        run = [sys.executable, "-m", "study", "clean", str(study), "--yes"]
        subprocess.run(run, check=True, capture_output=True, cwd=Path(__file__).parents[2])
        assert {path: content(path) for path in held} == {
            path: {*names, "lock"} for path, names in before.items()
        }
    finally:
        for lock in locks:
            lock.release()


def test_a_heartbeat_of_another_host_keeps_what_it_works_in(cells: list[Path]) -> None:
    study = cells[0].parent
    litter(cells)
    for name in ("mnist-mlp-01234567", "pretraining/rbm-33333333"):
        (study / name / "owner.json").write_text('{"host": "another", "pid": 1}')
    before = content(study / "mnist-mlp-01234567") | content(study / "pretraining/rbm-33333333")
    assert clean(study, "--yes") == 0
    after = content(study / "mnist-mlp-01234567") | content(study / "pretraining/rbm-33333333")
    assert after == before


def test_a_write_of_a_living_process_stays(cells: list[Path]) -> None:
    path = cells[0].parent / f".study.json.{os.getpid()}.partial"
    path.write_text("being written")
    os.utime(path, (0, 0))
    # Perhaps another host's process has this number.
    of_another_host = cells[0].parent / ".study.json.999999999.partial"
    of_another_host.write_text("being written")
    assert clean(cells[0].parent, "--yes") == 0
    assert path.exists()
    assert of_another_host.exists()


def test_links_are_not_followed(cells: list[Path], tmp_path: Path) -> None:
    study = cells[0].parent
    outside = tmp_path / "outside"
    (outside / "pretraining" / "rbm-44444444").mkdir(parents=True)
    for name in ("result.json", "weights.safetensors", "checkpoint.safetensors"):
        (outside / name).write_text("mine")
    (outside / "pretraining/rbm-44444444/seed=0.csv").write_text("mine")
    (study / "mnist-mlp-01234567").symlink_to(outside)
    (study / "mnist-mlp-76543210").mkdir()
    (study / "mnist-mlp-76543210/weights.safetensors").symlink_to(outside / "weights.safetensors")
    (study / "pretraining/rbm-44444444").symlink_to(outside / "pretraining/rbm-44444444")
    (cells[0] / "checkpoint.safetensors").symlink_to(outside / "checkpoint.safetensors")
    before = content(outside)
    assert clean(study, "--yes") == 0
    assert content(outside) == before
    assert (cells[0] / "checkpoint.safetensors").is_symlink()


def test_a_directory_that_is_no_study_is_bad_input(tmp_path: Path, capsys: Output) -> None:
    assert clean(tmp_path, "--yes") == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
