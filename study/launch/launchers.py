"""Cells handed to one of Hydra's launchers: a cell a job, wherever the launcher runs jobs.

What a launcher says of its jobs is not believed: a cell is done when its result.json is there.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig

from study.config.compose import one_line
from study.config.labels import counted
from study.config.sweep import Cell
from study.errors import InputError
from study.launch.cells import Failure, Outcome, status_of
from study.launch.job import Job
from study.launch.slurm import SlurmJobs, await_jobs
from study.outputs.provenance import available_threads
from study.outputs.records import FINISHED, CellRecord, read_ledger
from study.training.trainer import device_of


def run_on_launcher(study: Path, cells: Sequence[Cell], hydra_overrides: Sequence[str]) -> Outcome:
    """Launches a job for each cell and waits; the cells that are not finished then have failed.

    `hydra_overrides` choose and set the launcher (`hydra/launcher=joblib`). Every cell is tried:
    jobs know nothing of each other's failures. When the launcher has returned, or has given up
    because a job died, cells that are being trained and jobs in Slurm's queue are waited for.
    Raises `InputError` for a launcher that is not installed.
    """
    if not cells:
        return Outcome([])
    print("a launcher tries every cell: sweep.max_failures is not applied", flush=True)
    threads = cells[0].config.trainer.threads or read_ledger(study).threads or 1
    launcher, config = _launcher(study, hydra_overrides, threads, cells[0])
    jobs = _slurm_jobs(config)
    try:
        error = _launched(launcher, cells)
        await_jobs(study, cells, jobs)
    except KeyboardInterrupt:
        _say_what_goes_on(jobs)
        raise
    records = [(cell, status_of(study, cell)) for cell in cells]
    return Outcome(
        [
            _failure(record, error, _last_words(jobs, index, len(cells)))
            for index, (cell, record) in enumerate(records)
            if record.status not in FINISHED
        ]
    )


def _launcher(
    study: Path, hydra_overrides: Sequence[str], threads: int, cell: Cell
) -> tuple[Any, DictConfig]:
    """The launcher, set up, and the configuration that set it up.

    Presets see the study's thread count as `trainer.threads` and its name as that of all jobs.
    """
    from hydra._internal.callbacks import Callbacks

    loader = GlobalHydra.instance().config_loader()
    hydra_dir = (study / ".hydra").absolute()
    common = [f"hydra.sweep.dir={_quoted(hydra_dir)}", f"hydra.job.name={_quoted(study.name)}"]
    overrides = [*common, f"trainer.threads={threads}", *hydra_overrides]
    try:
        config = loader.load_configuration("config", overrides, RunMode.MULTIRUN)
        _limit_joblib(config.hydra.launcher, threads, cell.config.trainer.accelerator)
        context = HydraContext(config_loader=loader, callbacks=Callbacks(config=config))
        job = Job(Path.cwd(), study)
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=context, task_function=job, config=config
        )
    except HydraException as error:
        raise InputError(one_line(error, hydra_overrides)) from None
    return launcher, config


def _quoted(text: object) -> str:
    """A text as a value of Hydra's grammar."""
    return "'" + str(text).replace("\\", "\\\\").replace("'", "\\'") + "'"


def _limit_joblib(launcher: DictConfig, threads: int, accelerator: str) -> None:
    """Makes joblib's `n_jobs=-1` as many jobs as the machine holds: of its GPUs, or its cores."""
    if not launcher._target_.endswith(".JoblibLauncher") or launcher.n_jobs != -1:
        return
    on_gpus = device_of(accelerator).type == "cuda"
    launcher.n_jobs = torch.cuda.device_count() if on_gpus else available_threads() // threads or 1
    share = "a GPU each" if on_gpus else f"{counted(threads, 'thread')} each (trainer.threads)"
    print(f"joblib: {counted(launcher.n_jobs, 'job')} at a time, {share}", flush=True)


def _slurm_jobs(config: DictConfig) -> SlurmJobs | None:
    """The launch's jobs in Slurm, if that is where it launches them."""
    if not config.hydra.launcher._target_.endswith(".SlurmLauncher"):
        return None
    return SlurmJobs(Path(config.hydra.launcher.submitit_folder.partition("%")[0]))


def _launched(launcher: Any, cells: Sequence[Cell]) -> Exception | None:
    """Launches the jobs; returns what made the launcher give up, which other jobs may survive."""
    jobs = [
        [
            *(text for text in cell.overrides if not text.startswith("hydra")),
            f"hydra.job.name={_quoted(cell.directory)}",
        ]
        for cell in cells
    ]
    try:
        launcher.launch(jobs, initial_job_idx=0)
    except Exception as error:
        print(f"the launcher gave up: {_first_line(error)}", file=sys.stderr, flush=True)
        return error
    return None


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _say_what_goes_on(jobs: SlurmJobs | None) -> None:
    numbers = jobs.numbers() if jobs else []
    if numbers:
        arrays = " ".join(sorted({number.partition("_")[0] for number in numbers}))
        print(f"Slurm keeps the jobs of this launch: `scancel {arrays}` ends them", file=sys.stderr)


def _last_words(jobs: SlurmJobs | None, index: int, num_cells: int) -> str:
    """What the Slurm job of a cell said last, where it can be known which job that was."""
    numbers = jobs.numbers() if jobs else []
    if jobs is None or len(numbers) != num_cells:
        return ""
    return f"Slurm job {numbers[index]}: {jobs.last_words(numbers[index])}"


def _failure(record: CellRecord, error: Exception | None, last_words: str) -> Failure:
    """A cell that is neither finished, nor being trained, nor queued any more."""
    if record.error:
        return Failure.recorded(record.directory, record.error)
    reasons = [last_words, _first_line(error) if error else ""]
    reason = next(filter(None, reasons), "the launcher said nothing of it")
    return Failure(record.directory, record.status, f"its job left no result; {reason}")
