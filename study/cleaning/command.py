"""`study clean`: lists what a study needs no more, and removes it on request."""

import contextlib
from collections.abc import Sequence

from study.arguments import Parser, as_path, show
from study.cleaning.leftovers import Leftover, finished_cells, leftovers
from study.errors import InputError
from study.outputs.cell import OWNERSHIP
from study.outputs.files import remove as remove_file
from study.outputs.ownership import Owned, owned
from study.outputs.records import Ledger, read_cells, read_ledger
from study.outputs.unlisted import Unlisted, listed_again, unlisted_cells
from study.program import command, run_as_command
from study.words import counted

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
