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

from study.cell import train_cell
from study.configuration import Config, directory_name, signature, with_fingerprint
from study.data import read_images, split_indices
from study.data.split import subset_indices
from study.errors import InputError
from study.memory import (
    check_memory,
    check_pretraining_memory,
    check_probing_memory,
    num_replicas,
)
from study.networks import needs_sample
from study.outputs.cell import write_error
from study.outputs.records import CellRecord, LedgerCell, read_cell
from study.population.build import check_network
from study.pretraining.checks import check_pretraining
from study.pretraining.stage import epochs_of
from study.probes.moments import check_steps
from study.progress import SweepProgress
from study.sweep import PlannedCell
from study.trainer import check_precision, device_of
from study.words import cell_words, counted

FINISHED = ("done", "diverged")


@dataclass(frozen=True)
class LaunchCell:
    """One cell of a launch: what to train, where, under what name in the ledger and in print."""

    planned: PlannedCell
    entry: LedgerCell
    words: str
    epochs: int
    pretraining_epochs: int = 0

    @property
    def config(self) -> Config:
        return self.planned.config

    @property
    def replica_epochs(self) -> int:
        """Epochs of all replicas, and of their pretraining: the unit of the progress bar."""
        seeds = len(self.config["seeds"])
        return num_replicas(self.config) * self.epochs + seeds * self.pretraining_epochs


@dataclass(frozen=True)
class Failure:
    """A cell that failed: its directory, and the kind and text of its error."""

    directory: str
    kind: str
    message: str


@dataclass(frozen=True)
class Outcome:
    """The cells that failed, and how many were not tried because all before had failed alike."""

    failures: list[Failure]
    num_untried: int = 0


def identify(cells: Sequence[PlannedCell]) -> list[LaunchCell]:
    """Gives each planned cell its signature and directory, so that mistakes show here.

    Reads the data's fingerprint, splits them, and checks one network a cell: its names, shapes
    and rules, and that its replicas fit into memory. What then raises `InputError`, before
    anything is written, names the cell if there are several. What depends on the data themselves
    (an `init=lsuv` that finds no variance) is left to training, where one cell stops no other.
    """
    launched = []
    for cell, words in zip(cells, cell_words([cell.factors for cell in cells]), strict=True):
        try:
            launched.append(_identified(cell, words))
        except InputError as error:
            raise InputError(f"{words}: {error}" if len(cells) > 1 else str(error)) from None
    return launched


def _identified(cell: PlannedCell, words: str) -> LaunchCell:
    config, data = cell.config, cell.config["data"]
    device = device_of(config["trainer"]["accelerator"])
    check_precision(config["trainer"]["precision"], device)
    shape, num_classes, sizes, fingerprint = _checked_data(
        *(data[name] for name in ("name", "root", "val_size", "train_size")),
        *(data[name] for name in ("test_size", "split_seed")),
    )
    if data["crop"] > min(shape[1:]):
        side = min(shape[1:])
        raise InputError(f"data.crop={data['crop']} is above the side of the images, {side} pixels")
    num_whole, num_train, num_val = sizes
    check_memory(config, device, shape, num_classes)
    check_probing_memory(config, device, shape, num_classes)
    try:
        network = check_network(_without_measuring(config), shape, num_classes)
        check_pretraining(config, network)
    except RuntimeError as error:
        reason = str(error).split("\n")[0]
        raise InputError(f"the network cannot be built: {reason}") from None
    check_pretraining_memory(config, device, shape, num_classes, num_whole + 2 * num_val)
    digest = signature(config, fingerprint)
    factors = with_fingerprint(cell.factors, config, fingerprint)
    entry = LedgerCell(directory_name(cell.choices, digest), digest, factors)
    epochs = epochs_of(config, network, num_train=num_train, num_whole=num_whole)
    batch = min(config["batch_size"], num_train)
    check_steps(config["probes"], last=num_train // batch * epochs[0])
    return LaunchCell(cell, entry, words, *epochs)


def _without_measuring(config: Config) -> Config:
    """The configuration with an initialization that looks at no data in place of one that does."""
    if not needs_sample(config["init"]):
        return config
    return config | {"init": config["init"] | {"name": "orthogonal"}}


@functools.lru_cache(maxsize=64)
def _checked_data(
    name: str, root: str | None, val_size: float, train_size: Any, test_size: Any, seed: int
) -> tuple[tuple[int, int, int], int, tuple[int, int, int], str]:
    """What a data set whose sizes can be had is: image shape, number of classes, fingerprint.

    And before the last the sizes of the training split, of what is trained on, of validation.
    """
    images = read_images(name, root)
    whole, subset, val = split_indices(
        images.train_labels, val_size=val_size, train_size=train_size, split_seed=seed
    )
    subset_indices(images.test_labels, test_size, split_seed=seed)
    channels, height, width = images.train_images.shape[1:]
    sizes = len(whole), len(subset), len(val)
    return (channels, height, width), len(images.classes), sizes, images.fingerprint


def available_threads() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def status_of(study: Path, cell: LaunchCell) -> CellRecord:
    """What the cell's directory holds."""
    return read_cell(study / cell.entry.directory, cell.entry)


def run(
    study: Path,
    cells: Sequence[LaunchCell],
    *,
    threads: int,
    max_failures: int,
    progress: SweepProgress | None = None,
) -> Outcome:
    """Trains the cells that are not finished, in turn; returns those that failed.

    A cell that another process holds is passed over and looked at again at the end. Stops early
    when `max_failures` cells failed, none succeeded, and all with the same error.
    """
    failures: list[Failure] = []
    progress = progress or SweepProgress(len(cells), sum(cell.replica_epochs for cell in cells))
    with progress:
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
                untried = len(cells) - len(failures)
                if untried and not done and _all_alike(failures, max_failures):
                    progress.say(f"stopped: {_first(max_failures)} failed alike")
                    return Outcome(failures, untried)
            waiting = locked
            if waiting:
                words = counted(len(waiting), "cell")
                progress.say(f"waiting for {words} that another process trains")
    return Outcome(failures)


def _all_alike(failures: Sequence[Failure], limit: int) -> bool:
    errors = {(failure.kind, failure.message) for failure in failures}
    return len(failures) >= limit and len(errors) == 1


def _first(number: int) -> str:
    return "the first cell" if number == 1 else f"the first {number} cells all"


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
    progress.say(f"failed: {cell.words}: {message}")
    return Failure(cell.entry.directory, type(error).__name__, message)


def summary(study: Path, outcome: Outcome) -> str:
    """What failed, by kind of error."""
    failures = outcome.failures
    errors = Counter(f"{failure.kind}: {failure.message}" for failure in failures)
    untried = outcome.num_untried
    rest = f", {counted(untried, 'cell')} not tried" if untried else ""
    lines = [
        f"{counted(len(failures), 'cell')} failed{rest}; what is done is kept. "
        "The same command tries again."
    ]
    for error, count in errors.most_common():
        first = next(each for each in failures if f"{each.kind}: {each.message}" == error)
        lines.append(f"  {count} x {error} (see {study / first.directory / 'error.txt'})")
    return "\n".join(lines)
