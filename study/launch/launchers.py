"""Cells handed to one of Hydra's launchers: a cell a job, wherever the launcher runs jobs.

What a launcher says of its jobs is not believed: a cell is done when its result.json is there.
"""

import getpass
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig

from study.config.compose import one_line
from study.config.configuration import added
from study.config.labels import counted
from study.config.own import named_folder
from study.config.sweep import Cell
from study.data.device import device_of
from study.errors import InputError
from study.launch.job import Job
from study.outputs.failures import Failure, Outcome
from study.outputs.provenance import available_threads
from study.outputs.records import FINISHED, read_cell, read_ledger

LIVE_STATES = "PENDING,RUNNING,SUSPENDED,COMPLETING"
LONGEST_PAUSE = 30.0
UNKNOWN = "unknown"
"""The state of a job that Slurm, asked, gives no answer on."""


def run_on_launcher(study: Path, cells: Sequence[Cell], hydra_overrides: Sequence[str]) -> Outcome:
    """Launches a job for each cell and waits; the cells that are not finished then have failed.

    `hydra_overrides` choose and set the launcher (`hydra/launcher=joblib`). Every cell is tried:
    jobs know nothing of each other's failures. When the launcher has returned, or has given up
    because a job died, which others may survive, cells that are being trained and jobs in Slurm's
    queue are waited for. Raises `InputError` for a launcher that is not installed.
    """
    if not cells:
        return Outcome([])
    print("a launcher tries every cell: sweep.max_failures is not applied", flush=True)
    threads = cells[0].config.trainer.threads or read_ledger(study).threads or 1
    launcher, config = _launcher(study, hydra_overrides, threads, cells[0])
    jobs = _slurm_jobs(config)
    gave_up = ""
    try:
        try:
            launcher.launch(
                [
                    [
                        *(text for text in cell.overrides if not text.startswith("hydra")),
                        f"hydra.job.name={_quoted(cell.directory)}",
                    ]
                    for cell in cells
                ],
                initial_job_idx=0,
            )
        except Exception as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            gave_up = ": ".join([type(error).__name__, *lines[:1]])
            print(f"the launcher gave up: {gave_up}", file=sys.stderr, flush=True)
        await_jobs(study, cells, jobs)
    except KeyboardInterrupt:
        if numbers := jobs.numbers() if jobs else []:
            arrays = " ".join(sorted({number.partition("_")[0] for number in numbers}))
            print(
                f"Slurm keeps the jobs of this launch: `scancel {arrays}` ends them",
                file=sys.stderr,
            )
        raise
    failures = []
    for index, cell in enumerate(cells):
        record = read_cell(study / cell.directory, cell)
        if record.status in FINISHED:
            continue
        if record.error:
            failures.append(Failure.recorded(record.directory, record.error))
            continue
        numbers = jobs.numbers() if jobs else []
        reason = gave_up or "the launcher said nothing of it"
        if jobs and len(numbers) == len(cells):  # Else it is not known which job was whose.
            reason = f"Slurm job {numbers[index]}: {jobs.last_line(numbers[index])}"
        message = f"its job left no result; {reason}"
        failures.append(Failure(record.directory, record.status, message))
    return Outcome(failures)


def _launcher(
    study: Path, hydra_overrides: Sequence[str], threads: int, cell: Cell
) -> tuple[Any, DictConfig]:
    """The launcher, set up, and the configuration that set it up.

    Presets see the study's thread count as `trainer.threads` and its name as that of all jobs.
    joblib's `n_jobs=-1` becomes as many jobs as the machine holds: of its GPUs, or its cores.
    """
    from hydra._internal.callbacks import Callbacks

    loader = GlobalHydra.instance().config_loader()
    hydra_dir = (study / ".hydra").absolute()
    common = [f"hydra.sweep.dir={_quoted(hydra_dir)}", f"hydra.job.name={_quoted(study.name)}"]
    overrides = [*common, f"trainer.threads={threads}", *hydra_overrides]
    try:
        config = loader.load_configuration("config", overrides, RunMode.MULTIRUN)
        settings = config.hydra.launcher
        if settings._target_.endswith(".JoblibLauncher") and settings.n_jobs == -1:
            on_gpus = device_of(cell.config.trainer.accelerator).type == "cuda"
            settings.n_jobs = (
                torch.cuda.device_count() if on_gpus else available_threads() // threads or 1
            )
            by_threads = f"{counted(threads, 'thread')} each (trainer.threads)"
            share = "a GPU each" if on_gpus else by_threads
            print(f"joblib: {counted(settings.n_jobs, 'job')} at a time, {share}", flush=True)
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=HydraContext(config_loader=loader, callbacks=Callbacks(config=config)),
            task_function=Job(Path.cwd(), study, next(iter(added), None), named_folder()),
            config=config,
        )
    except HydraException as error:
        raise InputError(one_line(error, hydra_overrides)) from None
    return launcher, config


def _quoted(text: object) -> str:
    """A text as a value of Hydra's grammar."""
    return "'" + str(text).replace("\\", "\\\\").replace("'", "\\'") + "'"


class SlurmJobs:
    """The jobs that submitit hands to Slurm for one launch, in the order of their cells.

    submitit makes a directory for each job in `folder`, by the job's number (`12_3` is job 3 of
    array 12). What is there at the beginning belongs to earlier launches.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._earlier = set(self._listed())

    def numbers(self) -> list[str]:
        """The numbers of the launch's jobs."""
        return [number for number in self._listed() if number not in self._earlier]

    def queued(self) -> dict[str, str]:
        """The state of each job that waits or runs.

        Raises OSError where there is no `squeue`, and `subprocess.SubprocessError` where it gets no
        answer: neither means that the queue is empty.
        """
        asked = ["squeue", "--noheader", "--array", "--format=%i %T", f"--states={LIVE_STATES}"]
        answer = subprocess.run(
            [*asked, f"--user={getpass.getuser()}"],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
        states = dict(line.split() for line in answer.stdout.splitlines() if line.strip())
        return {number: states[number] for number in self.numbers() if number in states}

    def last_line(self, number: str) -> str:
        """Where a job's errors went, and the last line of them, or of what Slurm says there."""
        log = self.folder / number / f"{number}_0_log.err"
        try:
            text = log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return f"it left no log in {log.parent}"
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if not lines:
            return f"{log} is empty"
        of_slurm = [line for line in lines if line.startswith(("slurmstepd", "srun: error"))]
        return f"{log} says: {(of_slurm or lines)[-1]}"

    def _listed(self) -> list[str]:
        if not self.folder.is_dir():
            return []
        names = [path.name for path in self.folder.iterdir()]
        numbers = list(filter(re.compile(r"\d+(_\d+)?").fullmatch, names))
        # A whole array has a directory as well, for what was submitted.
        arrays = {number.partition("_")[0] for number in numbers if "_" in number}
        return sorted(set(numbers) - arrays, key=lambda number: tuple(map(int, number.split("_"))))


def _slurm_jobs(config: DictConfig) -> SlurmJobs | None:
    """The launch's jobs in Slurm, if that is where it launches them."""
    if not config.hydra.launcher._target_.endswith(".SlurmLauncher"):
        return None
    return SlurmJobs(Path(config.hydra.launcher.submitit_folder.partition("%")[0]))


def await_jobs(study: Path, cells: Sequence[Cell], jobs: SlurmJobs | None) -> None:
    """Waits while a cell that is not finished is being trained, or has a job in Slurm's queue.

    Says what it waits for whenever that changes. Which job of the queue is whose is not asked: a
    queued job of the launch counts as long as any of its cells is not finished; where Slurm does
    not answer for now, all of them do.
    """
    said, pause = "", 0.5
    while True:
        # First the queue: what has left it by then has left its result.
        queued: Mapping[str, str] = {}
        if jobs is not None:
            try:
                queued = jobs.queued()
            except FileNotFoundError:
                pass
            except (OSError, subprocess.SubprocessError):
                queued = dict.fromkeys(jobs.numbers(), UNKNOWN)
        statuses = [read_cell(study / cell.directory, cell).status for cell in cells]
        num_running = statuses.count("running")
        if all(status in FINISHED for status in statuses) or not (queued or num_running):
            return
        parts = [f"{counted(num_running, 'cell')} in training"] if num_running else []
        if queued:
            states = Counter(queued.values()).most_common()
            shown = ", ".join(f"{number} {state.lower()}" for state, number in states)
            parts.append(f"{counted(len(queued), 'job')} in Slurm's queue ({shown})")
        if (line := f"waiting for {' and '.join(parts)}") != said:
            print(line, flush=True)
            said = line
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
