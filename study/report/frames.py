"""A study as it is saved, read once: for statistics, claims, figures and the page."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from study.outputs.cell import read_predictions
from study.outputs.readings import sound_content
from study.outputs.records import (
    CellRecord,
    Ledger,
    factor_names,
    read_cell,
    read_ledger,
    require_finished,
)
from study.outputs.sealed import read_sealed
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

    def predictions(self, cell: CellRecord) -> dict[int, Any] | None:
        """By seed the predicted test classes at the chosen learning rate; None if not sound."""
        if not self.sound(cell, "predictions.npz"):
            return None
        return read_predictions(cell.path)[1]


def _place(cell: CellRecord, name: str) -> str:
    return f"{cell.directory}/{name}"
