"""What lies in a study's directory and serves nobody, found without changing anything.

Nothing of a finished cell's record, of a cell that a process is training, or outside the study's
directory is ever among it; symbolic links are not followed. Finished cells that the ledger does not
list are found apart (`finished_cells`): a launch may list them again.
"""

import fnmatch
import os
import re
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from study.outputs.cell import CONTENT, OWNERSHIP, PASSING, is_set_aside
from study.outputs.checkpoint import CHECKPOINT, UNFIT
from study.outputs.files import PARTIAL
from study.outputs.kernel_lock import is_locked
from study.outputs.owner import STALE_SECONDS, owner_of
from study.outputs.records import CellRecord, Ledger
from study.outputs.unlisted import Unlisted, unlisted_cells

OLD_LOCK = "*.safetensors.lock"
"""The lock of one file, as versions before ownership left it."""
CELL = (*CONTENT, *PASSING, "result.json", UNFIT, *OWNERSHIP)
"""What a cell's directory holds of ours."""
CACHE = ("seed=*.safetensors", "seed=*.csv", CHECKPOINT, UNFIT, PARTIAL, OLD_LOCK, *OWNERSHIP)
CACHE_RUN = "seeds=*"
"""What a directory of pretrained weights holds of ours: files, and TensorBoard's runs."""
_WRITER = re.compile(r"\.(\d+)\.partial$")


@dataclass(frozen=True)
class Leftover:
    """Files that serve nobody: why, where to show them, and the directories that hold only them.

    `room` is the directory in which nobody else may work while they are removed.
    """

    reason: str
    place: Path
    files: tuple[Path, ...]
    directories: tuple[Path, ...] = ()
    room: Path | None = None

    @property
    def num_bytes(self) -> int:
        return sum(path.lstat().st_size for path in self.files)


def leftovers(ledger: Ledger, cells: Sequence[CellRecord]) -> list[Leftover]:
    """Everything that a study needs no more; `cells` are the records of its ledger."""
    unlisted = unlisted_cells(ledger, cells)
    finished = [*cells, *(each.record for each in unlisted if each.is_finished)]
    found = [
        *_stale(ledger, unlisted),
        *(each for cell in finished for each in _of_cell(cell)),
        *_pretraining(ledger.directory, finished),
        *_partial(ledger.directory, "an unfinished write"),
        *_locks(ledger.directory),
    ]
    return [each for each in found if each.files or _are_empty(each.directories)]


def finished_cells(unlisted: Sequence[Unlisted]) -> list[Leftover]:
    """The finished ones of cells that the ledger does not list."""
    reasons = {
        True: "finished, with fewer seeds than a cell of study.json",
        False: "finished, and not in study.json",
    }
    return [
        _whole(each.record.path, reasons[each.is_beginning])
        for each in unlisted
        if each.is_finished and not owner_of(each.record.path)
    ]


def _are_empty(directories: Collection[Path]) -> bool:
    """Whether there are directories, and nothing (of others, say) keeps them."""
    kept = set(directories)
    return bool(kept) and all(child in kept for each in kept for child in each.iterdir())


def _stale(ledger: Ledger, unlisted: Sequence[Unlisted]) -> Iterator[Leftover]:
    """Unfinished cells that the ledger does not list, and what of damaged ones was set aside."""
    listed = {cell.directory for cell in ledger.cells}
    names = {each.record.directory for each in unlisted if not each.is_finished}
    names |= {path.name for path in ledger.directory.iterdir() if is_set_aside(path)}
    for name in sorted(names - listed):
        directory = ledger.directory / name
        if directory.is_symlink() or not directory.is_dir() or owner_of(directory):
            continue
        damaged = is_set_aside(directory)
        unfinished = "an unfinished cell that study.json does not list"
        yield _whole(directory, "set aside as damaged" if damaged else unfinished)


def _whole(directory: Path, reason: str) -> Leftover:
    """All of a cell's directory that is ours."""
    files = tuple(_matching(directory, CELL))
    return Leftover(reason, directory, files, (directory,), room=directory)


def _of_cell(cell: CellRecord) -> Iterator[Leftover]:
    """What finished and unfinished cells of the ledger need no more."""
    if cell.path.is_symlink() or not cell.path.is_dir():
        return
    if cell.result is None:
        yield from () if owner_of(cell.path) else _partial(cell.path, "an unfinished write")
        return
    found = _matching(cell.path, (CHECKPOINT, UNFIT, "error.txt", PARTIAL, *OWNERSHIP))
    for path in () if found and owner_of(cell.path) else found:
        yield Leftover(f"a finished cell needs no {_called(path)}", path, (path,), room=cell.path)


def _called(path: Path) -> str:
    if path.match(PARTIAL):
        return "unfinished write"
    return "lock" if path.name in OWNERSHIP else path.name


def _pretraining(study: Path, cells: Sequence[CellRecord]) -> Iterator[Leftover]:
    """Pretrained weights from which no cell of the ledger started.

    None, where that is not known of every cell.
    """
    root, used = study / "pretraining", [_started_from(cell) for cell in cells]
    if root.is_symlink() or not root.is_dir() or None in used:
        return
    for directory in sorted(root.iterdir()):
        if directory.is_symlink() or not directory.is_dir() or owner_of(directory):
            continue
        if directory.name.rpartition("-")[2] in used:
            # All cells are finished here: the last launch died just before it removed these.
            for path in _matching(directory, (CHECKPOINT, UNFIT, PARTIAL, *OWNERSHIP)):
                reason = f"a finished pretraining needs no {_called(path)}"
                yield Leftover(reason, path, (path,), room=directory)
            for path in _matching(directory, (OLD_LOCK,)):
                if is_locked(path) is False:
                    yield Leftover("a lock of an older version", path, (path,), room=directory)
            continue
        runs = [path for path in directory.glob(CACHE_RUN) if _is_directory(path)]
        events = [path for run in runs for path in _matching(run, ("events.out.tfevents.*",))]
        yield Leftover(
            "pretrained weights that no cell of study.json started from",
            directory,
            (*events, *_matching(directory, CACHE)),
            (*runs, directory),
            room=directory,
        )


def _started_from(cell: CellRecord) -> str | None:
    """The first digits of the pretraining that a cell started from, "" if there was none.

    None if it is not known: of an unfinished cell, and by records from before they named it.
    """
    if cell.result is None:
        return None
    if "pretraining" in cell.result:
        return str(cell.result["pretraining"]["signature"])[:8]
    return None if cell.result.get("pretraining_seconds") else ""


def _is_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _partial(directory: Path, reason: str) -> Iterator[Leftover]:
    """Files whose writing was cut off: no process of this machine is still at it.

    Nor of another, where nobody wrote to them for as long as an owner may be silent.
    """
    for path in _matching(directory, (PARTIAL,)):
        if time.time() - path.lstat().st_mtime < STALE_SECONDS:
            continue
        writer = _WRITER.search(path.name)
        if writer is None or not _is_alive(int(writer[1])):
            yield Leftover(reason, path, (path,))


def _locks(study: Path) -> Iterator[Leftover]:
    """What tells who writes the study's own files, of one that died at it."""
    for path in () if owner_of(study) else _matching(study, OWNERSHIP):
        yield Leftover("the lock of a dead process", path, (path,), room=study)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def _matching(directory: Path, patterns: Collection[str]) -> list[Path]:
    """The files of a directory, links apart, that match a pattern; sorted."""
    with os.scandir(directory) as entries:
        names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
    return [
        directory / name
        for name in sorted(names)
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    ]
