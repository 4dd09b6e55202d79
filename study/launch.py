"""A plan made into cells with an identity, and those cells trained, whatever happens to one."""

import functools
import os
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from study.cell import device_of, train_cell
from study.configuration import Config, directory_name, signature
from study.data import read_images, split_indices
from study.data.split import subset_indices
from study.errors import InputError
from study.outputs.cell import write_error
from study.outputs.records import CellRecord, LedgerCell, read_cell
from study.population.build import check_network
from study.progress import SweepProgress, level_words
from study.sweep import PlannedCell

FINISHED = ("done", "diverged")


@dataclass(frozen=True)
class LaunchCell:
    """One cell of a launch: what to train, where, and under what name in the ledger."""

    planned: PlannedCell
    entry: LedgerCell

    @property
    def config(self) -> Config:
        return self.planned.config

    @property
    def replica_epochs(self) -> int:
        """Epochs to train, summed over replicas: the unit of the progress bar."""
        replicas = len(self.config["seeds"]) * len(self.config["optimizer"]["lr"])
        return int(replicas * self.config["trainer"]["max_epochs"])


@dataclass(frozen=True)
class Failure:
    """A cell that failed: its directory, and the kind and text of its error."""

    directory: str
    kind: str
    message: str


def identify(cells: Sequence[PlannedCell]) -> list[LaunchCell]:
    """Gives each planned cell its signature and directory; every mistake shows here.

    Reads the data's fingerprint, splits them and builds and initializes one network a cell, so
    that what cannot be trained raises `InputError` before anything is written.
    """
    launched = []
    for cell in cells:
        device_of(cell.config["trainer"]["accelerator"])
        data = cell.config["data"]
        shape, num_classes, fingerprint = _checked_data(
            *(data[name] for name in ("name", "root", "val_size", "train_size")),
            *(data[name] for name in ("test_size", "split_seed")),
        )
        try:
            check_network(cell.config, shape, num_classes)
        except RuntimeError as error:
            reason = str(error).split("\n")[0]
            raise InputError(f"cannot build {level_words(cell)}: {reason}") from None
        digest = signature(cell.config, fingerprint)
        name = directory_name(cell.choices, digest)
        launched.append(LaunchCell(cell, LedgerCell(name, digest, cell.factors)))
    return launched


@functools.lru_cache(maxsize=64)
def _checked_data(
    name: str, root: str | None, val_size: float, train_size: Any, test_size: Any, seed: int
) -> tuple[tuple[int, int, int], int, str]:
    """(image shape, number of classes, fingerprint) of a data set whose sizes can be had."""
    images = read_images(name, root)
    split_indices(images.train_labels, val_size=val_size, train_size=train_size, split_seed=seed)
    subset_indices(images.test_labels, test_size, split_seed=seed)
    channels, height, width = images.train_images.shape[1:]
    return (channels, height, width), len(images.classes), images.fingerprint


def available_threads() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def status_of(study: Path, cell: LaunchCell) -> CellRecord:
    """What the cell's directory holds."""
    return read_cell(study / cell.entry.directory, cell.entry)


def run(
    study: Path, cells: Sequence[LaunchCell], *, threads: int, max_failures: int
) -> list[Failure]:
    """Trains the cells that are not finished, in turn; returns those that failed.

    A cell that another process holds is passed over and looked at again at the end. Stops early
    when `max_failures` cells failed, none succeeded, and all in the same way.
    """
    failures: list[Failure] = []
    with SweepProgress(len(cells), sum(cell.replica_epochs for cell in cells)) as progress:
        waiting, done = list(cells), 0
        for patience in (0.0, -1.0):
            locked = []
            for cell in waiting:
                try:
                    failure = _run_locked(study, cell, threads, progress, patience)
                except Timeout:
                    locked.append(cell)
                    continue
                done += failure is None
                failures += [failure] if failure else []
                if not done and _all_alike(failures, max_failures):
                    progress.say(f"stopped: the first {max_failures} cells all failed alike")
                    return failures
            waiting = locked
            if waiting:
                progress.say(f"waiting for {len(waiting)} cells that another process trains")
    return failures


def _all_alike(failures: Sequence[Failure], limit: int) -> bool:
    return len(failures) >= limit and len({failure.kind for failure in failures}) == 1


def _run_locked(
    study: Path, cell: LaunchCell, threads: int, progress: SweepProgress, patience: float
) -> Failure | None:
    """Trains one cell under its lock, unless it is finished by then.

    Raises `filelock.Timeout` after `patience` seconds without the lock (-1 waits for ever).
    """
    directory = study / cell.entry.directory
    lock = directory / "lock"
    try:
        directory.mkdir(exist_ok=True)
    except OSError as error:
        return _failure(cell, error, progress)
    with FileLock(lock, timeout=patience), progress.cell(cell) as tick:
        try:
            if status_of(study, cell).status in FINISHED:
                return None
            threads = cell.config["trainer"]["threads"] or threads
            record = train_cell(
                cell.config, directory, factors=cell.entry.factors, threads=threads, tick=tick
            )
        except Exception as error:
            write_error(directory, traceback.format_exc())
            return _failure(cell, error, progress)
        finally:
            lock.unlink(missing_ok=True)
        progress.finished(cell, record)
    return None


def _failure(cell: LaunchCell, error: Exception, progress: SweepProgress) -> Failure:
    """Says that a cell failed, and why."""
    message = str(error).split("\n")[0]
    progress.say(f"failed: {level_words(cell.planned)}: {message}")
    return Failure(cell.entry.directory, type(error).__name__, message)


def summary(study: Path, failures: Sequence[Failure]) -> str:
    """What failed, by kind."""
    kinds = Counter(f"{failure.kind}: {failure.message}" for failure in failures)
    lines = [f"{len(failures)} cells failed; the others are kept. Run the same command to retry."]
    for kind, count in kinds.most_common():
        first = next(f for f in failures if f"{f.kind}: {f.message}" == kind)
        lines.append(f"  {count} x {kind} (see {study / first.directory / 'error.txt'})")
    return "\n".join(lines)
