"""A study as it is saved, read once: for statistics, claims, figures and the page."""

import functools
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from study.outputs.factors import level_text
from study.outputs.metrics import METRIC_KEYS
from study.outputs.records import (
    CellRecord,
    Ledger,
    factor_names,
    read_cell,
    read_ledger,
    replica_rows,
    require_finished,
)
from study.outputs.results import CELL_SECONDS, CHOSEN, ReplicaResult
from study.outputs.schema import read_sealed
from study.outputs.series import CURVES_FILE, Row, parsed_rows, read_probe, sound_content
from study.outputs.unlisted import Unlisted, unlisted_cells

Advance = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and of how much."""
PREFLIGHT = "preflight.json"
Curve = Mapping[float, Mapping[int, float]]
"""{epoch or updates: {seed: number}} of one cell at its chosen learning rate."""


def quiet(stage: str, done: int, total: int) -> None:
    """An `Advance` that says nothing."""


@dataclass(frozen=True)
class Frames:
    """One study: its ledger, a record for each cell of it, and files that are read when asked for.

    Nothing here writes. A file that is not what its cell's record says is never used.
    `file_errors` is filled as files are asked for: why each cannot be used, "" if it can.

    A frame has a row for each replica (`Result.replicas`, with `chosen`, `at` and `value`), for
    each replica and epoch (`curve`), or for each replica, layer and moment (`probe`). They are
    typed rows: importing pandas takes 0.27 s of the second that a table of 1,000 cells may take.
    """

    ledger: Ledger
    cells: list[CellRecord]
    unlisted: list[Unlisted]
    file_errors: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

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
            self.file_errors[PREFLIGHT] = str(reason)
            return None

    def content(self, cell: CellRecord, name: str) -> bytes | None:
        """What a file of a finished cell holds; None if its record names none, or another."""
        place = _place(cell, name)
        if self.file_errors.get(place):
            return None
        try:
            content = sound_content(cell, name)
        except ValueError as reason:
            self.file_errors[place] = str(reason)
            return None
        if content is not None:
            self.file_errors[place] = ""
        return content

    def sound(self, cell: CellRecord, name: str) -> bool:
        """Whether a file of a finished cell is the one that its record names."""
        verdict = self.file_errors.get(_place(cell, name))
        return self.content(cell, name) is not None if verdict is None else not verdict

    def rows(self, cell: CellRecord, name: str) -> Sequence[Row]:
        """The rows of a finished cell's curves.csv, probes.csv or pairs.csv; none if not sound."""
        content = self.content(cell, name)
        return () if content is None else _parsed(name, content)

    def curve(
        self, cell: CellRecord, column: str, lr: float | Literal["chosen"] = CHOSEN
    ) -> dict[int, dict[int, float]]:
        """{seed: {epoch: number}} of curves.csv at a learning rate; NaN where it is not finite."""
        rate = cell.finished.chosen_lr if lr == CHOSEN else lr
        found: dict[int, dict[int, float]] = {}
        for row in self.rows(cell, CURVES_FILE):
            if row["lr"] == rate:
                found.setdefault(row["seed"], {})[row["epoch"]] = row[column]
        return dict(sorted(found.items()))

    def probe(self, cell: CellRecord, name: str) -> dict[int, Curve]:
        """{layer: {updates: {seed: number}}} at the chosen learning rate.

        NaN where a number is not finite or was not taken.
        """
        found: dict[int, dict[int, dict[int, float]]] = {}
        for (seed, lr, step, layer), number in (read_probe(cell, name).numbers or {}).items():
            if lr == cell.finished.chosen_lr:
                at = found.setdefault(layer, {}).setdefault(step, {})
                at[seed] = math.nan if number is None else number
        return {layer: dict(sorted(steps.items())) for layer, steps in sorted(found.items())}

    @property
    def unsound(self) -> dict[str, str]:
        """Of the files asked for so far, those that cannot be used, and why."""
        return {place: reason for place, reason in self.file_errors.items() if reason}


def replicas_of(cell: CellRecord) -> tuple[ReplicaResult, ...]:
    """Every replica of a finished cell, at all learning rates, as they stand in its record.

    Those of a record that `with_probe` made carry a probe's number, of each layer by itself where
    layer is a factor.
    """
    return cell.finished.replicas


# Several columns of one cell are asked for in turn, and thousands of cells at most once.
_parsed = functools.lru_cache(maxsize=64)(parsed_rows)


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
        own = {"study": str(cell.factors.get("study", frames.name))}
        own |= {f: level_text(cell.factors[f]) for f in factors if f in cell.factors}
        own |= {name: getattr(cell.finished, name) for name in CELL_SECONDS}
        rows += [row | own | {"chosen": int(row["chosen"])} for row in replica_rows(cell, factors)]
    columns = ["study", "cell", *factors, *OF_REPLICA, "chosen", "best_epoch", *METRIC_KEYS]
    # As objects: a whole number in a column with gaps stays whole.
    table = pandas.DataFrame(rows, columns=[*columns, *CELL_SECONDS, "task"], dtype=object)
    return str(table.to_csv(index=False, lineterminator="\n"))
