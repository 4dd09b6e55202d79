"""Cells that several processes train side by side, each of them once."""

import contextlib
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from study.config.labels import counted
from study.errors import InputError
from study.files import make_directory
from study.launch.progress import SweepProgress
from study.locks import Owned, Owner, Ownership, owned, owner_of
from study.outputs.cell import write_error
from study.outputs.failures import Failure
from study.outputs.records import FINISHED, last_error, read_cell
from study.outputs.results import Result
from study.outputs.schema import ERROR_FILE, RESULT_FILE
from study.outputs.series import with_files_checked

if TYPE_CHECKING:
    from study.config.sweep import Cell
    from study.launch.cell import Tick

_SHORTEST_WAIT, _LONGEST_WAIT = 0.05, 2.0
_NUM_NAMED = 3

Train = Callable[["Cell", Path, "Tick"], Result]


class Sharing:
    """This process's share of a study's cells.

    `train` trains a cell in a directory that this process owns, and returns its record.
    """

    def __init__(self, study: Path, progress: SweepProgress, train: Train) -> None:
        self.study, self.progress, self._train = study, progress, train
        self._failed_before: dict[str, int | None] = {}
        self._owners: dict[str, Owner] = {}
        self._pretraining: dict[Path, Owner] = {}
        self._waited_for: dict[str, Owner] = {}

    def each(self, cells: Sequence["Cell"]) -> Iterator[Failure | None]:
        """Sees to it that every cell ends, and yields how it did: None, or why it failed.

        In order, but for cells of others: they are looked at again, until they have ended or their
        owners are dead. Whoever waits is told once for whom.
        """
        self._failed_before = {cell.directory: self._failed_at(cell) for cell in cells}
        waiting, pause = list(cells), _SHORTEST_WAIT
        while waiting:
            self._owners, self._pretraining, left = {}, {}, []
            for cell in waiting:
                try:
                    failure = self._end_of(cell)
                except Owned as other:
                    self._owners[cell.directory] = other.owner
                    self._pretraining |= dict.fromkeys(cell.pretraining, other.owner)
                    left.append(cell)
                    continue
                yield failure
            pause = min(2 * pause, _LONGEST_WAIT) if len(left) == len(waiting) else _SHORTEST_WAIT
            if left:
                self._wait(pause)
            waiting = left

    def _wait(self, pause: float) -> None:
        if pause >= 4 * _SHORTEST_WAIT and not self._waited_for:
            owners = list(dict.fromkeys(owner.label for owner in self._owners.values()))
            more = f" and {len(owners) - _NUM_NAMED} more" if len(owners) > _NUM_NAMED else ""
            cells = counted(len(self._owners), "cell")
            self.progress.say(f"waiting for {cells} of {'; '.join(owners[:_NUM_NAMED])}{more}")
            self._waited_for = self._owners
        time.sleep(pause)

    def _end_of(self, cell: "Cell") -> Failure | None:
        """How a cell ended, here or elsewhere; raises `Owned` if another process has it."""
        directory = self.study / cell.directory
        if (directory / RESULT_FILE).exists() and self._is_finished(cell):
            self.progress.passed(cell)
            return None
        if other := self._pretrains(cell):
            raise Owned(directory, other)
        try:
            make_directory(directory, within=self.study)
            with owned(directory, wait=False) as ownership:
                return self._owned_end_of(cell, ownership)
        except (OSError, InputError) as error:
            return self._failed(cell, Failure.of(cell.directory, error))

    def _owned_end_of(self, cell: "Cell", ownership: Ownership) -> Failure | None:
        directory, name = ownership.directory, cell.directory
        if self._is_finished(cell):
            self.progress.passed(cell)
            return None
        if self._failed_at(cell) != self._failed_before[name] and (error := last_error(directory)):
            self.progress.passed(cell)
            return self._failed(cell, Failure.recorded(name, error))
        if last := self._waited_for.get(name):
            self.progress.say(f"{cell.label}: taken over from {last.label}, which is gone")
        return self._trained(cell, ownership)

    def _trained(self, cell: "Cell", ownership: Ownership) -> Failure | None:
        with self.progress.cell(cell) as tick:

            def checked(count: float) -> None:
                with contextlib.suppress(OSError):
                    ownership.check()
                tick(count)

            try:
                record = self._train(cell, ownership.directory, checked)
            except Exception as error:
                if lost := ownership.loss(error):
                    self.progress.say(
                        f"{cell.label}: taken over by {lost.owner.label} while this process slept; "
                        "what it trained is dropped"
                    )
                    raise lost from None
                failure = self._failed(cell, Failure.of(cell.directory, error))
                try:
                    write_error(ownership.directory, cell.config.mapping, traceback.format_exc())
                except OSError as other:  # Said beside the first error, it stops nothing.
                    path = ownership.directory / ERROR_FILE
                    self.progress.say(f"{path} cannot be written: {other.strerror}")
                return failure
        self.progress.finished(cell, record)
        return None

    def _failed(self, cell: "Cell", failure: Failure) -> Failure:
        self.progress.say(f"failed: {cell.label}: {failure.message or failure.kind}")
        return failure

    def _is_finished(self, cell: "Cell") -> bool:
        record = read_cell(self.study / cell.directory, cell)
        return with_files_checked(record).status in FINISHED

    def _failed_at(self, cell: "Cell") -> int | None:
        """When its last attempt failed, if it did."""
        with contextlib.suppress(OSError):
            return (self.study / cell.directory / ERROR_FILE).stat().st_mtime_ns
        return None

    def _pretrains(self, cell: "Cell") -> Owner | None:
        """Who is at the pretraining that a cell would wait for, as far as is known.

        The owner of another cell of the same pretraining is, or will be in a moment.
        """
        for path in cell.pretraining:
            if not (self.study / path).exists():
                return self._pretraining.get(path) or owner_of((self.study / path).parent)
        return None
