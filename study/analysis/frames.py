"""A study as it is saved, read once: for statistics, claims, figures and the page."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from study.analysis.factors import level_text
from study.outputs.metrics import METRIC_KEYS
from study.outputs.records import (
    CellRecord,
    Ledger,
    factor_names,
    read_cell,
    read_ledger,
    require_finished,
)
from study.outputs.results import CELL_SECONDS
from study.outputs.schema import read_sealed
from study.outputs.series import sound_content
from study.outputs.unlisted import Unlisted, unlisted_cells

Advance = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and of how much."""
PREFLIGHT = "preflight.json"


def quiet(stage: str, done: int, total: int) -> None:
    """An `Advance` that says nothing."""


@dataclass(frozen=True)
class Frames:
    """One study: its ledger, a record for each cell of it, and files that are read when asked for.

    Nothing here writes. A file that is not what its cell's record says is never used.
    `verdicts_on_files` is filled as files are asked for: why each cannot be used, "" if it can.
    """

    ledger: Ledger
    cells: list[CellRecord]
    unlisted: list[Unlisted]
    verdicts_on_files: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def read(cls, directory: str | os.PathLike[str], advance: Advance = quiet) -> "Frames":
        """The study in a directory; InputError if it is none or has no finished cell."""
        ledger = read_ledger(directory)
        cells = []
        for place, entry in enumerate(ledger.cells):
            advance("cells", place, len(ledger.cells))
            cells.append(read_cell(ledger.directory / entry.directory, entry))
        return cls(ledger, require_finished(ledger, cells), unlisted_cells(ledger, cells))

    @property
    def name(self) -> str:
        """The study's name."""
        return self.ledger.study

    @property
    def finished(self) -> list[CellRecord]:
        """The cells with a sound result, in the ledger's order."""
        return [cell for cell in self.cells if cell.result]

    @cached_property
    def factors(self) -> list[str]:
        """Every factor that some cell has."""
        return factor_names(self.ledger.cells)

    @cached_property
    def preflight(self) -> dict[str, Any] | None:
        """preflight.json, if `study preflight` was run and the file is whole."""
        path = self.ledger.directory / PREFLIGHT
        try:
            return read_sealed(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as reason:
            self.verdicts_on_files[PREFLIGHT] = str(reason)
            return None

    def content(self, cell: CellRecord, name: str) -> bytes | None:
        """What a file of a finished cell holds; None if its record names none, or another."""
        place = _place(cell, name)
        if self.verdicts_on_files.get(place):
            return None
        try:
            content = sound_content(cell, name)
        except ValueError as reason:
            self.verdicts_on_files[place] = str(reason)
            return None
        if content is not None:
            self.verdicts_on_files[place] = ""
        return content

    def sound(self, cell: CellRecord, name: str) -> bool:
        """Whether a file of a finished cell is the one that its record names."""
        verdict = self.verdicts_on_files.get(_place(cell, name))
        return self.content(cell, name) is not None if verdict is None else not verdict

    @property
    def unsound(self) -> dict[str, str]:
        """Of the files asked for so far, those that cannot be used, and why."""
        return {place: reason for place, reason in self.verdicts_on_files.items() if reason}


def _place(cell: CellRecord, name: str) -> str:
    return f"{cell.directory}/{name}"


# results.csv: every replica of a study on one line, for whatever else one wants to compute.


OF_REPLICA = ("seed", "lr", "status")


def results_csv(frames: Frames) -> str:
    """A line for each replica of every finished cell, in the ledger's order.

    Columns: the study, the cell's directory, each factor, the replica's seed, learning rate and
    status, whether it is the cell's chosen learning rate (1 or 0), its best epoch, losses and
    errors as recorded (the errors of a classification are shares), the cell's seconds and task.
    A number that is not finite, and a factor that a cell does not have, is empty.
    """
    import pandas

    factors = [factor for factor in frames.factors if factor != "study"]
    rows = []
    for cell in frames.finished:
        result = cell.finished
        study = str(cell.factors.get("study", frames.name))
        levels = [level_text(cell.factors[f]) if f in cell.factors else "" for f in factors]
        tail = [*(getattr(result, name) for name in CELL_SECONDS), result.task]
        for replica in result.replicas:
            chosen = int(replica.lr == result.chosen_lr)
            middle = [getattr(replica, name) for name in OF_REPLICA]
            numbers = [replica.best_epoch, *(getattr(replica, name) for name in METRIC_KEYS)]
            rows.append([study, cell.directory, *levels, *middle, chosen, *numbers, *tail])
    columns = ["study", "cell", *factors, *OF_REPLICA, "chosen", "best_epoch", *METRIC_KEYS]
    # As objects: a whole number in a column with gaps stays whole.
    table = pandas.DataFrame(rows, columns=[*columns, *CELL_SECONDS, "task"], dtype=object)
    return str(table.to_csv(index=False, lineterminator="\n"))
