"""One job of a launcher: it finds its cell, trains it, and leaves a result or an error behind."""

import contextlib
import getpass
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from study.config.compose import composed
from study.config.configuration import own_files, use_levels
from study.config.labels import cell_words
from study.config.sweep import planned_cell
from study.data.device import device_of
from study.errors import InputError
from study.launch.cells import identify, run
from study.launch.progress import SweepProgress
from study.locks import KernelLock, Owned, owned
from study.outputs.cell import write_error
from study.outputs.records import FINISHED, Ledger, LedgerCell, read_cell, read_ledger

# A GPU of its own for each job that shares a machine with other jobs.


POLL_SECONDS = 1.0


@contextlib.contextmanager
def own_gpu(accelerator: str, say: Callable[[str], None]) -> Iterator[None]:
    """A block that trains on a GPU which no other job of this user's is training on.

    The GPU becomes the process's current one, which `device_of` names. A job takes the one that
    its process had before, else the first that is free; while all are taken it waits, and `say` is
    told so once. Nothing is chosen where `accelerator` does not lead to CUDA, nor where the process
    sees a single GPU: that is what Slurm, Ray or CUDA_VISIBLE_DEVICES gave it.
    """
    if device_of(accelerator).type != "cuda" or torch.cuda.device_count() < 2:
        yield
        return
    current, count = torch.cuda.current_device(), torch.cuda.device_count()
    order = [current, *(number for number in range(count) if number != current)]
    is_told = False
    while True:
        locks = ((number, KernelLock(_lock_path(number))) for number in order)
        taken = next(((number, lock) for number, lock in locks if lock.acquire()), None)
        if taken is not None:
            break
        if not is_told:
            say(f"waiting for a GPU: other jobs have all {count}")
            is_told = True
        time.sleep(POLL_SECONDS)
    number, lock = taken
    try:
        torch.cuda.set_device(number)
        yield
    finally:
        lock.remove()
        lock.release()


def _lock_path(number: int) -> Path:
    """The lock of a GPU, named by the hardware: processes may number GPUs differently."""
    folder = Path(tempfile.gettempdir()) / f"study-gpus-{getpass.getuser()}"
    folder.mkdir(exist_ok=True)
    return folder / f"{torch.cuda.get_device_properties(number).uuid}.lock"


STOPPED_BY_SIGTERM = 128 + signal.SIGTERM


@dataclass(frozen=True)
class Job:
    """What all jobs of a launch share; a launcher calls it with the configuration of each.

    `here` is where the launch was started, from which relative paths count, and `study` the study's
    directory; `config_dir` holds configuration files of the user's own, `levels` levels. Hydra's
    name of a job is the directory of its cell.
    """

    here: Path
    study: Path
    config_dir: Path | None = None
    levels: Path | None = None

    def __call__(self, config: DictConfig) -> None:
        """Trains the cell unless it is finished; a failure is in the cell's error.txt.

        Raises what kept the job from its cell, which is in error.txt as well.
        """
        with contextlib.chdir(self.here), ended_by_sigterm(), own_files(self.config_dir):
            if self.levels:
                use_levels([f"levels={self.levels}"])
            ledger, name = read_ledger(self.study), HydraConfig.get().job.name
            labels = dict(
                zip(
                    (entry.directory for entry in ledger.cells),
                    cell_words([entry.factors for entry in ledger.cells]),
                    strict=True,
                )
            )
            entry = next((each for each in ledger.cells if each.directory == name), None)
            if entry is None:
                raise InputError(f"{ledger.directory}/study.json does not list {name} any more")
            plain: Any = OmegaConf.to_container(config, resolve=True)
            try:
                _train(plain, ledger, entry, labels[name])
            except Exception:
                _keep_error(self.study / entry.directory, entry, plain)
                raise


@contextlib.contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """A block that SIGTERM ends as an exit does: what is owned is given up on the way out.

    submitit would ignore the signal, and Lightning would make it an error of the cell.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(STOPPED_BY_SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _train(plain: dict[str, Any], ledger: Ledger, entry: LedgerCell, label: str) -> None:
    """Trains the cell of a configuration, if that is the one which the launch expects."""
    planned = planned_cell(composed(plain, dict(HydraConfig.get().runtime.choices)), ())
    progress = SweepProgress(1, 0, alone=True)
    with own_gpu(planned.config.trainer.accelerator, progress.say):
        (cell,) = identify([planned])
        if cell.signature != entry.signature:
            raise InputError(
                f"{label}: the data, the configuration files or the code of a level are not what "
                f"they were when the study was launched ({cell.directory} instead of "
                f"{entry.directory})"
            )
        expected = replace(cell, factors=dict(entry.factors), label=label)
        threads = ledger.threads or 1
        run(ledger.directory, [expected], threads=threads, max_failures=1, progress=progress)


def _keep_error(directory: Path, entry: LedgerCell, plain: Mapping[str, Any]) -> None:
    """Writes what went wrong into a cell that nobody finished or is training."""
    if read_cell(directory, entry).status in FINISHED:
        return
    directory.mkdir(exist_ok=True)
    with contextlib.suppress(Owned), owned(directory, wait=False):
        if read_cell(directory, entry).status not in FINISHED:
            write_error(directory, plain, traceback.format_exc())
