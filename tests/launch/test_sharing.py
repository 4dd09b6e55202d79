"""Several processes train the cells of a study: each cell once, and none is lost."""

import errno
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from study.launch import sharing
from study.launch.progress import SweepProgress
from study.launch.sharing import Sharing
from study.locks import OWNER, Owner, Ownership, owned
from study.outputs.cell import write_error
from study.outputs.failures import Failure
from study.outputs.records import LedgerCell, read_cell
from study.outputs.results import Result
from tests.many_processes import Cell, await_that, cell, ended, finish, launched, notes
from tests.test_locks import of_another_host, taken_over

Train = Callable[[Cell, Path, Callable[[int], None]], Result]


def share(study: Path, cells: list[Cell], train: Train) -> list[Failure | None]:
    """What this process makes of the cells."""
    given: Any = train
    asked: Any = cells
    return list(Sharing(study, SweepProgress(len(cells), len(cells)), given).each(asked))


def trained(what: Cell, directory: Path, tick: Callable[[int], None]) -> Result:
    tick(1)
    return finish(what, directory)


def statuses(study: Path, num_cells: int) -> set[str]:
    cells = [cell(number) for number in range(num_cells)]
    listed = [LedgerCell(each.directory, each.signature, each.factors) for each in cells]
    return {read_cell(study / each.directory, each).status for each in listed}


def test_four_processes_train_each_cell_once(tmp_path: Path) -> None:
    printed = ended([launched("share", tmp_path, 24, 0.05) for _ in range(4)])
    counts = Counter((what, words) for what, words, _ in notes(tmp_path))
    assert counts == {(what, f"number={n}"): 1 for what in ("start", "end") for n in range(24)}
    assert statuses(tmp_path, 24) == {"done"}
    assert sum(text.count("test error") for text in printed) == 24
    assert {path.name for path in tmp_path.glob("*/*")} == {"result.json"}


def test_when_one_is_killed_the_others_finish_its_cell(tmp_path: Path) -> None:
    doomed = launched("share", tmp_path, 24, 0.02)
    (tmp_path / f"hold {doomed.pid}").touch()
    await_that(lambda: bool(notes(tmp_path)))
    processes = [launched("share", tmp_path, 24, 0.02) for _ in range(3)]
    await_that(lambda: [line[0] for line in notes(tmp_path)].count("end") == 23)
    await_that(lambda: len(list(tmp_path.glob("waiting *"))) == 3)
    doomed.kill()
    printed = ended(processes)
    doomed.communicate()
    (held,) = [words for what, words, who in notes(tmp_path) if who == str(doomed.pid)]
    counts = Counter((what, words) for what, words, _ in notes(tmp_path))
    assert counts.pop(("start", held)) == 2
    assert set(counts.values()) == {1}
    assert statuses(tmp_path, 24) == {"done"}
    waiting = [text for text in printed if "waiting for 1 cell of host " in text]
    assert all(f", process {doomed.pid}\n" in text for text in waiting)
    assert len(waiting) == 3
    assert sum(f"{held}: taken over from host " in text for text in printed) == 1


def test_a_result_that_appears_ends_the_wait(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = cell(0), cell(1)
    directory = tmp_path / first.directory
    directory.mkdir()
    of_another_host(directory, silent=0)

    def finish_it() -> None:
        await_that((tmp_path / second.directory / "result.json").exists)
        time.sleep(0.3)
        finish(first, directory)

    other = threading.Thread(target=finish_it)
    other.start()
    assert share(tmp_path, [first, second], trained) == [None, None]
    other.join()
    out = capsys.readouterr().out
    assert "waiting for 1 cell of host elsewhere, process 7\n" in out
    assert "number=0" not in out
    assert (directory / OWNER).exists()


def test_what_another_finished_on_the_way_to_its_lock_is_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Between the look at a cell and its lock another process can train all of it."""
    late = cell(0)

    def owned_late(directory: Path, **how: Any) -> AbstractContextManager[Ownership]:
        finish(late, directory)
        return owned(directory, **how)

    def train(*_: object) -> Result:
        raise AssertionError("it was finished already")

    monkeypatch.setattr(sharing, "owned", owned_late)
    assert share(tmp_path, [late], train) == [None]
    assert "number=0" not in capsys.readouterr().out
    assert statuses(tmp_path, 1) == {"done"}


def test_a_silent_owner_of_another_host_is_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / cell(0).directory
    directory.mkdir()
    of_another_host(directory, silent=89.5)
    assert share(tmp_path, [cell(0)], trained) == [None]
    out = capsys.readouterr().out
    assert "number=0: taken over from host elsewhere, process 7, which is gone\n" in out
    assert not (directory / OWNER).exists()


def test_what_another_process_failed_at_meanwhile_is_not_tried_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tried: list[str] = []
    failed_before, fails_now, fine = cell(0), cell(1), cell(2)
    old = tmp_path / failed_before.directory
    old.mkdir()
    (old / "error.txt").write_text("Traceback\nValueError: long ago\n")

    def train(what: Cell, directory: Path, tick: Callable[[int], None]) -> Result:
        tried.append(what.label)
        other = tmp_path / fails_now.directory
        other.mkdir(exist_ok=True)
        (other / "error.txt").write_text("OSError: [Errno 28] No space left on device: '/x'\n")
        (directory / "error.txt").unlink(missing_ok=True)
        return finish(what, directory)

    ends = share(tmp_path, [failed_before, fails_now, fine], train)
    words = [failure.label if failure else None for failure in ends]
    assert words == [None, "OSError: No space left on device", None]
    assert tried == ["number=0", "number=2"]
    assert "failed: number=1: No space left on device\n" in capsys.readouterr().out


def test_a_full_disk_hides_no_error_and_stops_no_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "somewhere")

    def train(what: Cell, directory: Path, tick: Callable[[int], None]) -> Result:
        if what.label == "number=0":
            monkeypatch.setattr("study.launch.sharing.write_error", full)
            raise RuntimeError("the first error")
        monkeypatch.undo()
        full()
        raise AssertionError

    ends = share(tmp_path, [cell(0), cell(1)], train)
    assert [failure.label for failure in ends if failure] == [
        "RuntimeError: the first error",
        "OSError: No space left on device",
    ]
    out = capsys.readouterr().out
    assert "failed: number=0: the first error\n" in out
    assert "error.txt cannot be written: No space left on device\n" in out
    error = (tmp_path / cell(1).directory / "error.txt").read_text()
    assert "No space left on device: 'somewhere'" in error


def next_epoch(directory: Path, tick: Callable[[int], None]) -> None:
    tick(1)


def late_write(directory: Path, tick: Callable[[int], None]) -> None:
    write_error(directory, {}, "late")


def other_error(directory: Path, tick: Callable[[int], None]) -> None:
    raise OSError(errno.ESTALE, "Stale file handle")


@pytest.mark.parametrize("goes_on", [next_epoch, late_write, other_error])
def test_a_cell_lost_to_another_host_is_left_to_it(
    tmp_path: Path,
    goes_on: Callable[[Path, Callable[[int], None]], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    def train(what: Cell, directory: Path, tick: Callable[[int], None]) -> Result:
        tick(1)
        with taken_over(directory):
            finish(what, directory)
            goes_on(directory, tick)
        raise AssertionError("it goes on")

    assert share(tmp_path, [cell(0)], train) == [None]
    out = capsys.readouterr().out
    assert out.startswith("number=0: taken over by ")
    assert out.endswith(" while this process slept; what it trained is dropped\n")
    assert out.count("\n") == 1
    assert {path.name for path in (tmp_path / cell(0).directory).iterdir()} == {"result.json"}


def test_a_cell_that_its_new_owner_left_unfinished_is_trained_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    attempts: list[str] = []

    def train(what: Cell, directory: Path, tick: Callable[[int], None]) -> Result:
        attempts.append(what.label)
        if len(attempts) == 1:
            with taken_over(directory):
                pass
        tick(1)
        return finish(what, directory)

    assert share(tmp_path, [cell(0)], train) == [None]
    assert attempts == ["number=0"] * 2
    assert "taken over by another process while this process slept" in capsys.readouterr().out
    assert statuses(tmp_path, 1) == {"done"}


def test_an_owner_that_cannot_be_read_for_a_moment_stops_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(path: Path) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    def train(what: Cell, directory: Path, tick: Callable[[int], None]) -> Result:
        with monkeypatch.context() as disk:
            disk.setattr(Path, "read_bytes", unreadable)
            tick(1)
            with pytest.raises(OSError, match="Input/output"):
                write_error(directory, {}, "whose is it?")
        return finish(what, directory)

    assert share(tmp_path, [cell(0)], train) == [None]
    assert not (tmp_path / cell(0).directory / "error.txt").exists()


def test_cells_of_a_pretraining_at_work_come_last(tmp_path: Path) -> None:
    """Who would only wait for another's pretraining trains other cells first."""
    weights = (Path("pretraining", "rbm-01", "seed=0.safetensors"),)
    cells = [*(cell(n, pretraining=weights) for n in range(3)), cell(3), cell(4)]
    owner = tmp_path / cells[0].directory
    owner.mkdir()
    of_another_host(owner, silent=0)
    order: list[str] = []

    def train(what: Cell, directory: Path, tick: Callable[[int], None]) -> Result:
        order.append(what.label)
        if what.label == "number=4":
            (tmp_path / weights[0]).parent.mkdir(parents=True)
            (tmp_path / weights[0]).touch()
            finish(cells[0], owner)
        return finish(what, directory)

    assert share(tmp_path, cells, train) == [None] * 5
    assert order == ["number=3", "number=4", "number=1", "number=2"]


def test_a_pretraining_that_is_owned_is_waited_for(tmp_path: Path) -> None:
    weights = tmp_path / "pretraining" / "rbm-01" / "seed=0.safetensors"
    weights.parent.mkdir(parents=True)
    order: list[str] = []
    given = cell(0, pretraining=(weights.relative_to(tmp_path),))

    def train(what: Cell, directory: Path, tick: Callable[[int], None]) -> Result:
        order.append(what.label)
        return finish(what, directory)

    with owned(weights.parent, wait=False):
        sharing = threading.Thread(target=share, args=(tmp_path, [given, cell(1)], train))
        sharing.start()
        await_that(lambda: order == ["number=1"])
        time.sleep(0.2)
        assert order == ["number=1"]
    sharing.join()
    assert order == ["number=1", "number=0"]


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_does_not_lead_a_cell_out_of_its_study(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study, elsewhere = tmp_path / "study", tmp_path / "elsewhere"
    study.mkdir()
    elsewhere.mkdir()
    (study / cell(0).directory).symlink_to(elsewhere)
    (failure,) = share(study, [cell(0)], trained)
    assert failure is not None
    assert "leads out of" in failure.message
    assert list(elsewhere.iterdir()) == []


def test_owners_are_told_apart() -> None:
    assert Owner().label == "another process"
    assert Owner.myself() != Owner.myself()
