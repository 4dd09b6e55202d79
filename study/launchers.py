"""Cells handed to one of Hydra's launchers: a cell a job, wherever the launcher runs jobs.

What a launcher says of its jobs is not believed: a cell is done when its result.json is there.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf

from study.compose import composed, one_line
from study.errors import InputError
from study.launch import FINISHED, Failure, LaunchCell, Outcome, identify, run, status_of
from study.outputs.records import Ledger, read_ledger
from study.progress import SweepProgress
from study.sweep import planned_cell
from study.words import cell_words


def run_on_launcher(
    study: Path, cells: Sequence[LaunchCell], hydra_overrides: Sequence[str]
) -> Outcome:
    """Launches a job for each cell and waits; the cells that are not finished then have failed.

    `hydra_overrides` choose and set the launcher (`hydra/launcher=joblib`). Every cell is tried:
    jobs know nothing of each other's failures. Raises `InputError` for a launcher that is not
    installed.
    """
    launcher = _launcher(hydra_overrides)
    jobs = [
        [text for text in cell.planned.overrides if not text.startswith("hydra")] for cell in cells
    ]
    print("a launcher tries every cell: sweep.max_failures is not applied", flush=True)
    if jobs:
        launcher.launch(jobs, initial_job_idx=0)
    records = [(cell, status_of(study, cell)) for cell in cells]
    return Outcome(
        [
            Failure(cell.entry.directory, record.status, record.error or "its job left no result")
            for cell, record in records
            if record.status not in FINISHED
        ]
    )


def _launcher(hydra_overrides: Sequence[str]) -> Any:
    from hydra._internal.callbacks import Callbacks

    loader = GlobalHydra.instance().config_loader()
    try:
        config = loader.load_configuration("config", list(hydra_overrides), RunMode.MULTIRUN)
        context = HydraContext(config_loader=loader, callbacks=Callbacks(config=config))
        return Plugins.instance().instantiate_launcher(
            hydra_context=context, task_function=train_job, config=config
        )
    except HydraException as error:
        raise InputError(one_line(error, hydra_overrides)) from None


def train_job(config: DictConfig) -> None:
    """One job: trains its cell unless it is finished; a failure is in the cell's error.txt."""
    choices = dict(HydraConfig.get().runtime.choices)
    plain: Any = OmegaConf.to_container(config, resolve=True)
    cell = identify([planned_cell(composed(plain, choices), ())])[0]
    study = Path(cell.config["outputs_dir"]) / cell.config["study"]
    ledger = read_ledger(study)
    threads = ledger.threads or 1
    progress = SweepProgress(1, cell.replica_epochs, alone=True)
    run(study, [_expected(cell, ledger)], threads=threads, max_failures=1, progress=progress)


def _expected(cell: LaunchCell, ledger: Ledger) -> LaunchCell:
    """The cell as the launch wrote it into the ledger, where the sweep's own factors are known."""
    words = cell_words([entry.factors for entry in ledger.cells])
    for entry, text in zip(ledger.cells, words, strict=True):
        if entry.signature == cell.entry.signature:
            return replace(cell, entry=entry, words=text)
    raise InputError(
        f"{cell.words}: {ledger.directory}/study.json does not list this cell any more"
    )
