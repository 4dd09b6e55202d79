"""What lies in a study's directory and serves nobody, found without changing anything.

Nothing of a finished cell's record, of a cell that a process is training, or outside the study's
directory is ever among it; symbolic links are not followed. Finished cells that the ledger does not
list are found apart (`finished_cells`): a launch may list them again.
"""

import contextlib
import fnmatch
import os
import re
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from study.config.labels import counted
from study.console import Parser, as_path, command, run_as_command, show
from study.errors import InputError
from study.files import PARTIAL
from study.files import remove as remove_file
from study.locks import STALE_SECONDS, Owned, owned, owner_of
from study.outputs.cell import CONTENT, OWNERSHIP, PASSING, is_set_aside
from study.outputs.checkpoint import CHECKPOINT, UNFIT
from study.outputs.records import CellRecord, Ledger, read_cells, read_ledger
from study.outputs.schema import ERROR_FILE, EVENT_FILES, RESULT_FILE
from study.outputs.unlisted import Unlisted, listed_again, unlisted_cells

CELL = (*CONTENT, *PASSING, RESULT_FILE, UNFIT, *OWNERSHIP)
"""What a cell's directory holds of ours."""
CACHE = ("seed=*.safetensors", "seed=*.csv", CHECKPOINT, UNFIT, PARTIAL, *OWNERSHIP)
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
    study = ledger.directory
    finished = [*cells, *(each.record for each in unlisted if each.is_finished)]
    # What tells who writes the study's own files, of one that died at it.
    locks = [] if owner_of(study) else _matching(study, OWNERSHIP)
    found = [
        *_stale(ledger, unlisted),
        *(each for cell in finished for each in _of_cell(cell)),
        *_pretraining(study, finished),
        *_partial(study, "an unfinished write"),
        *(Leftover("the lock of a dead process", path, (path,), room=study) for path in locks),
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


def _is_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _stale(ledger: Ledger, unlisted: Sequence[Unlisted]) -> Iterator[Leftover]:
    """Unfinished cells that the ledger does not list, and what of damaged ones was set aside."""
    listed = {cell.directory for cell in ledger.cells}
    names = {each.record.directory for each in unlisted if not each.is_finished}
    names |= {path.name for path in ledger.directory.iterdir() if is_set_aside(path)}
    for name in sorted(names - listed):
        directory = ledger.directory / name
        if not _is_directory(directory) or owner_of(directory):
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
    if not _is_directory(cell.path):
        return
    if cell.result is None:
        yield from () if owner_of(cell.path) else _partial(cell.path, "an unfinished write")
        return
    found = _matching(cell.path, (CHECKPOINT, UNFIT, ERROR_FILE, PARTIAL, *OWNERSHIP))
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
    if not _is_directory(root) or None in used:
        return
    for directory in sorted(root.iterdir()):
        if not _is_directory(directory) or owner_of(directory):
            continue
        if directory.name.rpartition("-")[2] in used:
            # All cells are finished here: the last launch died just before it removed these.
            for path in _matching(directory, (CHECKPOINT, UNFIT, PARTIAL, *OWNERSHIP)):
                reason = f"a finished pretraining needs no {_called(path)}"
                yield Leftover(reason, path, (path,), room=directory)
            continue
        runs = [path for path in directory.glob(CACHE_RUN) if _is_directory(path)]
        events = [path for run in runs for path in _matching(run, (EVENT_FILES,))]
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
    if cell.result.pretraining:
        return cell.result.pretraining.signature[:8]
    return None if cell.result.pretraining_seconds else ""


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


# `study clean`: lists what a study needs no more, and removes it on request.


DESCRIPTION = """Lists what a study needs no more; --yes removes it.

  study clean outputs/quickstart

Unfinished cells that study.json does not list, what was set aside as damaged, left-over
checkpoints, locks and unfinished writes, pretrained weights that no cell started from. Finished
cells that study.json does not list are listed apart, and removed with --yes --finished alone. Never
a finished cell of the study or one that is training, never a file that is not of this project."""


def main(arguments: Sequence[str]) -> int:
    """Runs the command; returns its exit status."""
    parser = Parser("study clean", DESCRIPTION)
    parser.add_argument("study", type=as_path, help="a study's directory, as outputs/quickstart")
    parser.add_argument("--yes", action="store_true", help="removes what is listed")
    parser.add_argument(
        "--finished", action="store_true", help="with --yes: finished cells that are not listed too"
    )
    options = parser.parse_args(list(arguments))
    ledger = read_ledger(options.study)
    cells = read_cells(ledger)
    unlisted = unlisted_cells(ledger, cells)
    found, finished = leftovers(ledger, cells), finished_cells(unlisted)
    for each in (*finished, *found):
        show(f"{each.reason}: {each.place} ({size_words(each.num_bytes)})")
    if not found and not finished:
        show(f"{ledger.directory}: nothing is left over")
    if finished:
        show(_of_finished(ledger, unlisted, finished, going=options.finished, gone=options.yes))
    going = [*finished, *found] if options.finished else found
    flags = ("--yes", "--finished") if options.finished else ("--yes",)
    totals = [_total(found, "left-over")] if found else []
    if finished and options.finished:
        totals.insert(0, _total(finished, "finished cell"))
    if going and not options.yes:
        show(f"{'; '.join(totals)}; {command('clean', ledger.directory, *flags)} removes them")
    elif going:
        for each in going:
            remove(each)
        show(f"removed {'; '.join(totals)}")
    return 0


def _of_finished(
    ledger: Ledger,
    unlisted: Sequence[Unlisted],
    finished: Sequence[Leftover],
    *,
    going: bool,
    gone: bool,
) -> str:
    """That finished cells stay, or are going: what brings them back, and what removes them."""
    left_out = [each for each in unlisted if each.is_left_out]
    begun = sum(each.is_beginning for each in unlisted)
    again = command("clean", ledger.directory, "--yes", "--finished")
    does = "trains" if going and gone else "lists"
    why = [
        *([listed_again(left_out, does=does)] if left_out else []),
        *(
            [f"listed cells copy the seeds of {begun}, and are reproduced from there"]
            if begun
            else []
        ),
        *([] if going else [f"{again} removes {'it' if len(finished) == 1 else 'them'}"]),
    ]
    kept = "" if going else "kept: "
    return f"{kept}{_total(finished, 'finished cell')}, not in study.json; {'; '.join(why)}"


def _total(found: Sequence[Leftover], noun: str) -> str:
    return f"{counted(len(found), noun)}, {size_words(sum(each.num_bytes for each in found))}"


def remove(leftover: Leftover) -> None:
    """Removes the files, then the directories that are empty by that.

    Nobody works in their room meanwhile: where somebody does by now, all of it stays. What another
    process has removed is no error. Locks go as the ownership of the room ends.
    """
    try:
        with contextlib.ExitStack() as stack:
            if leftover.room is not None:
                stack.enter_context(owned(leftover.room, wait=False))
            for path in leftover.files:
                if path.name not in OWNERSHIP:
                    remove_file(path)
        for directory in leftover.directories:
            if not any(directory.iterdir()):
                directory.rmdir()
    except (FileNotFoundError, Owned):
        return
    except OSError as error:
        raise InputError(f"cannot remove {leftover.place}: {error.strerror or error}") from None


def size_words(num_bytes: int) -> str:
    """Such as `1.2 MB`."""
    size = float(num_bytes)
    for unit in ("B", "kB", "MB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


if __name__ == "__main__":
    run_as_command("clean")
