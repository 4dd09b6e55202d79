"""Reads a study's files: the ledger `study.json` and every cell's `result.json`.

Nothing here writes. A file that cannot be trusted is named in `CellRecord.problems` and never used.
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.errors import InputError
from study.files import read_json
from study.locks import Owner, owner_of
from study.outputs.metrics import METRIC_KEYS
from study.outputs.results import Result, parse_result
from study.outputs.schema import (
    ERROR_FILE,
    LEDGER_FILE,
    RESULT_FILE,
    Count,
    CountFromOne,
    Level,
    Row,
    check_schema,
    reader,
    require_seal,
)

if TYPE_CHECKING:
    import pandas

    from study.config.sweep import Cell

STATUSES = ("done", "diverged", "running", "failed", "damaged", "missing")
FINISHED = ("done", "diverged")
_CELL_NAME = re.compile(r".+-[0-9a-f]{8}")


@dataclass(frozen=True)
class LedgerCell:
    """A cell that a launch expects: its directory's name, full signature and factor levels.

    `family` is the signature without the seeds, `seeds` are those; older ledgers have neither.
    """

    directory: str
    signature: str
    factors: Mapping[str, Level]
    family: str | None = field(default=None, compare=False)
    seeds: tuple[Count, ...] = field(default=(), compare=False)


Experiment = Mapping[str, str | bool | None]
"""What the ledger says of the file of a launch, as it was written: see `_Experiment`."""


@dataclass(frozen=True)
class _Experiment:
    """The file of a launch: its name, its text with its hash, and the commit that it is of."""

    name: str | None = None
    text: str | None = None
    sha256: str | None = None
    commit: str | None = None
    modified: bool | None = None


@dataclass(frozen=True)
class _File:
    """study.json as it is written; its claims and their history are read by others."""

    cells: tuple[LedgerCell, ...]
    experiment: _Experiment | None = None
    claims: tuple[Any, ...] | None = None
    study: str | None = None
    threads: CountFromOne | None = None
    previous: tuple[Any, ...] | None = None


def listed(cell: "LedgerCell | Cell") -> LedgerCell:
    """A cell of a launch as the ledger has it."""
    if isinstance(cell, LedgerCell):
        return cell
    seeds = tuple(cell.config.seeds)
    return LedgerCell(cell.directory, cell.signature, cell.factors, family=cell.family, seeds=seeds)


@dataclass(frozen=True)
class Ledger:
    """`study.json`: what a study consists of, in the order of its experiment's file."""

    directory: Path
    study: str
    threads: int | None
    experiment: Experiment | None
    claims: list[Any]
    cells: tuple[LedgerCell, ...]
    previous: list[Any]


@dataclass(frozen=True)
class CellRecord:
    """A cell of the ledger and what its directory holds.

    `status` is one of STATUSES:
      done      a sound result.json, and every replica at the chosen learning rate trained;
      diverged  a sound result.json, and at least one replica at the chosen learning rate diverged
                (at other learning rates replicas may: a grid is meant to reach that far);
      running   no sound result.json, and a living process owns the cell (`owner`);
      failed    an error.txt (its last line is `error`);
      damaged   a result.json that is truncated, altered or foreign;
      missing   nothing of these.
    `result` is the sound result.json, else None. `problems` names every file not trusted, and why.
    """

    directory: str
    path: Path
    signature: str
    factors: Mapping[str, Level]
    status: str
    result: Result | None = field(default=None, repr=False)
    error: str | None = None
    problems: tuple[str, ...] = ()
    owner: Owner | None = None

    @property
    def finished(self) -> Result:
        """The result of a cell that is known to have one."""
        assert self.result is not None, f"{self.directory} is not finished"
        return self.result

    @property
    def num_diverged(self) -> int:
        """Number of diverged replicas at the chosen learning rate; 0 without a result."""
        return self.result.num_diverged if self.result else 0


def read_ledger(study_dir: str | os.PathLike[str]) -> Ledger:
    """The ledger of a study's directory; InputError when there is none or it is damaged."""
    directory = Path(study_dir)
    path = directory / LEDGER_FILE
    try:
        content = read_json(path)
        if "sha256" in content:
            require_seal(content)
        check_schema(content)
        file: _File = reader(_File)(content)
        for cell in file.cells:
            if not re.fullmatch(r"[^./\\][^/\\]*", cell.directory):
                raise ValueError(
                    f"it lists the directory {cell.directory!r:.40}, which is no plain name"
                )
        if len({cell.directory for cell in file.cells}) < len(file.cells):
            raise ValueError("it lists a directory twice")
    except FileNotFoundError:
        raise InputError(_not_a_study(directory)) from None
    except NotADirectoryError:
        raise InputError(f"{directory} is a file; give the directory of a study") from None
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be used ({error}); move it away and launch the study again: "
            "finished cells are kept"
        ) from None
    return Ledger(
        directory=directory,
        study=file.study or directory.resolve().name,
        threads=file.threads,
        experiment=content.get("experiment"),
        claims=list(file.claims or ()),
        cells=file.cells,
        previous=list(file.previous or ()),
    )


def read_cells(study: str | os.PathLike[str] | Ledger) -> list[CellRecord]:
    """One record for each cell of the ledger, in the ledger's order."""
    ledger = study if isinstance(study, Ledger) else read_ledger(study)
    return [read_cell(ledger.directory / cell.directory, cell) for cell in ledger.cells]


def stale_directories(ledger: Ledger) -> list[str]:
    """Names of cell directories that the ledger does not list, sorted: left by earlier launches."""
    expected = {cell.directory for cell in ledger.cells}
    with os.scandir(ledger.directory) as entries:
        names = sorted(
            e.name for e in entries if e.is_dir() and e.name[0] != "." and e.name not in expected
        )
    return [
        name
        for name in names
        if _CELL_NAME.fullmatch(name) or (ledger.directory / name / RESULT_FILE).exists()
    ]


def frame(study_dir: str | os.PathLike[str]) -> "pandas.DataFrame":
    """One row per replica of every finished cell, in the ledger's order.

    Columns: `cell` (directory), each factor, `seed`, `lr`, `status`, `chosen` (whether lr is the
    cell's chosen one), `best_epoch`, the losses and errors (NaN: not finite), `wall_seconds` of
    the cell (of what was trained in it), its `task`: errors of a classification are the shares of
    misclassified images, those of a reconstruction squared errors. Raises InputError when no cell
    is finished.
    """
    import pandas

    ledger = read_ledger(study_dir)
    names = factor_names(ledger.cells)
    records = require_finished(ledger, read_cells(ledger))
    rows = [row for record in records if record.result for row in replica_rows(record, names)]
    columns = ["cell", *names, "seed", "lr", "status", "chosen", "best_epoch", *METRIC_KEYS]
    table = pandas.DataFrame(rows, columns=[*columns, "wall_seconds", "task"])
    numbers = ["lr", "best_epoch", *METRIC_KEYS, "wall_seconds"]
    return table.astype(dict.fromkeys(numbers, "float64"))


def factor_names(cells: Iterable[LedgerCell | CellRecord]) -> list[str]:
    """Every factor that some cell has, in order of appearance."""
    return list(dict.fromkeys(name for cell in cells for name in cell.factors))


def require_finished(ledger: Ledger, records: list[CellRecord]) -> list[CellRecord]:
    """`records`, or an InputError when none of them is finished."""
    if not records:
        raise InputError(
            f"{ledger.directory} has no cells: its study.json lists none; launch the study first"
        )
    if not any(record.result for record in records):
        counts = count_statuses(records)
        states = ", ".join(f"{number} {status}" for status, number in counts.items() if number)
        raise InputError(
            f"{ledger.directory} has no finished cell ({states}); "
            f"see study status {ledger.directory}"
        )
    return records


def count_statuses(records: Iterable[CellRecord]) -> dict[str, int]:
    """The number of cells in each of STATUSES."""
    found = [record.status for record in records]
    return {status: found.count(status) for status in STATUSES}


def replica_rows(record: CellRecord, names: Iterable[str]) -> Iterable[Row]:
    """A row for each replica of a finished cell, with the levels of these factors."""
    shared = {"cell": record.directory, **{name: record.factors.get(name) for name in names}}
    result = record.finished
    for replica in result.replicas:
        yield {
            **shared,
            **vars(replica),
            "chosen": replica.lr == result.chosen_lr,
            "wall_seconds": result.wall_seconds,
            "task": result.task,
        }


def read_cell(path: Path, cell: "LedgerCell | Cell") -> CellRecord:
    """The record of one cell, `path` being its directory."""
    record = CellRecord(cell.directory, path, cell.signature, cell.factors, "missing")
    try:
        result = parse_result(read_json(path / RESULT_FILE), cell.signature)
        status = "diverged" if result.num_diverged else "done"
        return replace(record, status=status, result=result)
    except (FileNotFoundError, NotADirectoryError):
        return _unfinished(record)
    except (OSError, ValueError) as reason:
        # The text of an OSError names the absolute path, and a report's bytes must not.
        why = reason.strerror if isinstance(reason, OSError) else reason
        problem = f"{path.name}/result.json is not used: {why}"
        record = _unfinished(replace(record, problems=(problem,)))
        return record if record.owner else replace(record, status="damaged")


def _unfinished(record: CellRecord) -> CellRecord:
    """Whether somebody trains it now, or how the last attempt ended."""
    if owner := owner_of(record.path):
        return replace(record, status="running", owner=owner)
    if (error := last_error(record.path)) is None:
        return record
    return replace(record, status="failed", error=error)


def last_error(path: Path) -> str | None:
    """The last line of a cell's error.txt, if there is one."""
    try:
        text = (path / ERROR_FILE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    return lines[-1] if lines else "error.txt is empty"


def _not_a_study(directory: Path) -> str:
    if not directory.exists():
        return f"{directory} does not exist; give the directory of a study, as outputs/quickstart"
    if (directory.parent / LEDGER_FILE).exists():
        return f"{directory} is not a study but a cell of one; give {directory.parent}"
    studies = sorted(path.parent.name for path in directory.glob("*/study.json"))
    if studies:
        return f"{directory} is not a study but holds studies; choose from: {', '.join(studies)}"
    return f"{directory} is not a study (it has no study.json); give one that study train wrote"
