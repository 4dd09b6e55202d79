"""A study as it is saved, read once: for statistics, claims, figures and the page."""

import json
import os
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from study.outputs.cell import read_predictions
from study.outputs.files import sha256
from study.outputs.records import (
    CellRecord,
    Ledger,
    factor_names,
    read_cells,
    read_ledger,
    require_finished,
    stale_directories,
)


@dataclass(frozen=True)
class Frames:
    """One study: its ledger, a record for each cell of it, and files that are read when asked for.

    Nothing here writes. A file that is not what its cell's record says is never used.
    """

    ledger: Ledger
    cells: list[CellRecord]
    stale: list[str]

    @classmethod
    def read(cls, directory: str | os.PathLike[str]) -> "Frames":
        """The study in a directory; InputError if it is none or has no finished cell."""
        ledger = read_ledger(directory)
        return cls(ledger, require_finished(ledger, read_cells(ledger)), stale_directories(ledger))

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
        """preflight.json, if `study preflight` was run."""
        try:
            text = (self.ledger.directory / "preflight.json").read_text(encoding="utf-8")
        except OSError:
            return None
        return dict(json.loads(text))

    def sound(self, cell: CellRecord, name: str) -> bool:
        """Whether a file of a finished cell is the one that its record names."""
        path = cell.path / name
        known = (cell.result or {}).get("files", {}).get(name)
        return known is not None and path.exists() and sha256(path) == known

    def predictions(self, cell: CellRecord) -> dict[int, Any] | None:
        """By seed the predicted test classes at the chosen learning rate; None if not sound."""
        if not self.sound(cell, "predictions.npz"):
            return None
        return read_predictions(cell.path)[1]
