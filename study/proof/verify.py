"""`study verify`: whether a study's files are whole, without training and without PyTorch."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from study.arguments import Parser, as_path, show
from study.cleaning.leftovers import leftovers
from study.outputs.readings import MAY_BE_ABSENT
from study.outputs.records import CellRecord, Ledger, read_cells, read_ledger, stale_directories
from study.program import command, run_as_command
from study.proof.cell_files import cell_problems
from study.proof.study_files import study_problems
from study.words import counted

DESCRIPTION = """Checks the integrity of studies without training.

  study verify outputs/quickstart

Schemas, hashes and seals, signatures against configurations, records against curves, predictions
and weights, pretrained weights, the preflight. Exit status 1 if anything is wrong."""


@dataclass(frozen=True)
class Verified:
    """What was found: `problems`, a line each, and how many cells were whole."""

    study: Path
    num_cells: int
    num_finished: int
    problems: list[str]
    remarks: list[str] = field(default_factory=list)


def main(arguments: Sequence[str]) -> int:
    """Runs the command; returns its exit status, 1 if a file is not what it should be."""
    parser = Parser("study verify", DESCRIPTION)
    parser.add_argument(
        "studies", nargs="+", type=as_path, metavar="study", help="as outputs/quickstart"
    )
    options = parser.parse_args(list(arguments))
    found = [verify(read_ledger(study)) for study in options.studies]
    for each in found:
        for line in (*each.problems, *each.remarks, _summary(each)):
            show(line)
    return int(any(each.problems for each in found))


def verify(ledger: Ledger) -> Verified:
    """Reads every file that a study's ledger stands for."""
    cells = read_cells(ledger)
    problems = [
        f"{ledger.directory / file}: {what}" for file, what in study_problems(ledger, cells)
    ]
    for cell in cells:
        problems += _of_cell(cell)
    finished = [cell for cell in cells if cell.result]
    return Verified(
        ledger.directory, len(cells), len(finished), problems, [*_remarks(ledger, cells)]
    )


def _of_cell(cell: CellRecord) -> list[str]:
    if cell.result is None:
        return [f"{cell.path.parent / problem}" for problem in cell.problems]
    try:
        return [f"{cell.path / file}: {what}" for file, what in cell_problems(cell)]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        return [f"{cell.path / 'result.json'}: it is not made as a record is ({reason})"]


def _remarks(ledger: Ledger, cells: Sequence[CellRecord]) -> Iterator[str]:
    """What is no damage, and should be known."""
    states = Counter(cell.status for cell in cells if not cell.result and not cell.problems)
    if states:
        words = ", ".join(f"{number} {state}" for state, number in states.items())
        yield f"not finished: {words}; see {command('status', ledger.directory)}"
    absent = sum(
        name in (cell.result.get("files") or {}) and not (cell.path / name).exists()
        for cell in cells
        if cell.result
        for name in MAY_BE_ABSENT
    )
    if absent:
        yield f"not checked: the weights of {counted(absent, 'cell')}, which are not here"
    if stale := stale_directories(ledger):
        yield f"not checked: {counted(len(stale), 'cell')} that study.json does not list"
    if found := leftovers(ledger, cells):
        words = counted(len(found), "left-over")
        yield f"{words}, which harm nothing; {command('clean', ledger.directory)} lists them"


def _summary(found: Verified) -> str:
    whole = f"{found.num_finished} of {counted(found.num_cells, 'cell')} finished"
    if not found.problems:
        return f"{found.study}: {whole}, and every file is whole"
    return f"{found.study}: {whole}, {counted(len(found.problems), 'problem')}"


if __name__ == "__main__":
    run_as_command("verify")
