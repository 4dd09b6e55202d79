"""A full disk and a read-only one: a real one, small, where it may be mounted; else a pretended."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from faults.kills import forget_images
from faults.launches import Launch
from faults.moments import Plan
from faults.workshop import Row, Study, Workshop

AMPLE_BYTES = 2**28
REFUSED = (1, 2)
"""The exit statuses of a launch that could not write: failed cells, or nothing to be done."""
FULL, READ_ONLY = "No space left on device", "Read-only file system"


def disks(workshop: Workshop, *, number: int) -> Iterator[Row]:
    """Disks that fill up or turn read-only at random moments, pretended, and real ones."""
    yield _pretended(workshop, "full", FULL, number)
    yield _pretended(workshop, "read-only", READ_ONLY, number)
    if not may_mount(workshop.room()):
        yield Row("a small disk", result="left out: only root can mount one")
        return
    yield _filled(workshop, number)
    yield _read_only(workshop)


def _pretended(workshop: Workshop, kind: str, words: str, number: int) -> Row:
    """From a random change of the disk on, each is refused; then the disk is as it was."""
    row = Row(f"a disk that turns {kind} (pretended)")
    for _ in range(number):
        study = workshop.study()
        forget_images(workshop)
        moment = workshop.draw.randint(1, workshop.reference().moments)
        running = study.launch(Plan(kind, moment))
        _check_refused(row, study, running, words)
        _check_mended(row, study)
    row.result = "one line or failed cells, then finished"
    return row


def _check_refused(row: Row, study: Study, running: Launch, words: str) -> None:
    """What a launch must say to a disk that it cannot write to."""
    status, said = running.end(), running.output
    row.struck += 1
    row.expect(status in (0, *REFUSED), f"{study.log}: exit status {status}: {said}")
    if status:
        row.expect(words in said, f"{study.log}: the disk is not named: {said}")
    if status == REFUSED[1]:
        last = said.splitlines()[-1] if said else ""
        row.expect(last.startswith("study: cannot"), f"{study.log}: {said}")
    study.check_unfinished(row, {})


def _check_mended(row: Row, study: Study) -> None:
    finished = study.finished()
    status = study.launch().end()
    row.expect(status == 0, f"{study.log}: exit status {status} afterwards")
    study.check_unfinished(row, finished)
    study.check_finished(row)


def may_mount(directory: Path) -> bool:
    """Whether this process may mount a file system."""
    with contextlib.suppress(OSError, subprocess.CalledProcessError), small_disk(directory, 2**20):
        return True
    return False


@contextlib.contextmanager
def small_disk(directory: Path, num_bytes: int) -> Iterator[Path]:
    """An empty file system of so many bytes, in memory."""
    _mount("-t", "tmpfs", "-o", f"size={num_bytes}", "tmpfs", str(directory))
    try:
        yield directory
    finally:
        subprocess.run(["umount", str(directory)], check=True)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)


def _filled(workshop: Workshop, number: int) -> Row:
    """Disks that are too small by a random amount, and then large enough."""
    row = Row("a small disk (tmpfs), full")
    needed = _size(workshop.reference().study.directory)
    for _ in range(number):
        with small_disk(workshop.room(), workshop.draw.randint(2**14, needed)) as disk:
            study = workshop.study(outputs=disk)
            _check_refused(row, study, study.launch(), FULL)
            _mount("-o", f"remount,size={AMPLE_BYTES}", str(disk))
            _check_mended(row, study)
    row.result = "one line or failed cells, then finished"
    return row


def _size(directory: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in directory.rglob("*"))


def _read_only(workshop: Workshop) -> Row:
    """A disk that is read-only from the start, and one that is so after half of the study."""
    row = Row("a read-only disk (tmpfs)")
    for moment in (None, workshop.reference().moments // 2):
        with small_disk(workshop.room(), AMPLE_BYTES) as disk:
            study = workshop.study(outputs=disk)
            if moment is not None:
                study.launch(Plan("kill", moment)).end()
            before = _tree(disk)
            _mount("-o", "remount,ro", str(disk))
            _check_refused(row, study, study.launch(), READ_ONLY)
            row.expect(_tree(disk) == before, f"{study.log}: a read-only disk has changed")
            _mount("-o", "remount,rw", str(disk))
            _check_mended(row, study)
    row.result = "one line, then finished"
    return row


def _tree(directory: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for path in directory.rglob("*"):
        state = os.lstat(path)
        found[str(path)] = (state.st_size, state.st_mtime_ns)
    return found
