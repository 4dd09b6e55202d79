"""`trainer.fast_dev_run`: whether cells train at all, of which nothing is kept."""

from collections.abc import Sequence
from pathlib import Path

import torch

from study.config.sweep import Cell
from study.data.module import StudyData, data_of
from study.errors import InputError
from study.probes.recorder import recorder_of
from study.training.build import build_population, replicas_of
from study.training.trainer import make_trainer, own_callbacks

PUBLISHED = Path("outputs/published")
"""Where studies are kept that documents quote."""


def try_cells(cells: Sequence[Cell], *, study: Path, threads: int) -> None:
    """One update, validation and test of each cell's first replicas, and a line when it is done.

    Pretraining is left out. Raises what training would.
    """
    if PUBLISHED.resolve() in study.resolve().parents:
        raise InputError(
            f"trainer.fast_dev_run=true keeps nothing, and {PUBLISHED} is for studies that are "
            "kept: leave out one of the two"
        )
    torch.set_num_threads(threads)
    for cell in cells:
        config, data = cell.config, data_of(cell.config)
        replicas = replicas_of(config)[: config.population.max_replicas]
        population = build_population(config, data, replicas)
        probes = recorder_of(config, data)
        callbacks = [*own_callbacks(config).values(), *([probes] if probes else [])]
        trainer = make_trainer(config, max_epochs=1, callbacks=callbacks)
        module = StudyData(config, data)
        trainer.fit(population, datamodule=module)
        trainer.test(population, datamodule=module, verbose=False)
        print(f"{cell.label}: one update and one evaluation done, nothing kept", flush=True)
