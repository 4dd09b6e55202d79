"""`study clean`: lists what a study needs no more, and removes it on request."""

import contextlib
from collections.abc import Sequence

from study.arguments import Parser, show
from study.cleaning.leftovers import Leftover, leftovers
from study.errors import InputError
from study.outputs.cell import OWNERSHIP
from study.outputs.files import remove as remove_file
from study.outputs.ownership import Owned, owned
from study.outputs.records import read_cells, read_ledger
from study.program import command
from study.words import counted

DESCRIPTION = """Lists what a study needs no more; --yes removes it.

  study clean outputs/quickstart

Cells that study.json does not list, what was set aside as damaged, left-over checkpoints, locks and
unfinished writes, pretrained weights that no cell started from. Never a finished cell of the study
or one that is training, never a file that is not of this project."""


def main(arguments: Sequence[str]) -> int:
    """Runs the command; returns its exit status."""
    parser = Parser("study clean", DESCRIPTION)
    parser.add_argument("study", help="a study's directory, as outputs/quickstart")
    parser.add_argument("--yes", action="store_true", help="removes what is listed")
    options = parser.parse_args(list(arguments))
    ledger = read_ledger(options.study)
    found = leftovers(ledger, read_cells(ledger))
    for each in found:
        show(f"{each.reason}: {each.place} ({size_words(each.num_bytes)})")
    total = f"{counted(len(found), 'left-over')}, {size_words(sum(e.num_bytes for e in found))}"
    if not found:
        show(f"{ledger.directory}: nothing is left over")
    elif not options.yes:
        show(f"{total}; {command('clean', ledger.directory, '--yes')} removes them")
    else:
        for each in found:
            remove(each)
        show(f"removed {total}")
    return 0


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
