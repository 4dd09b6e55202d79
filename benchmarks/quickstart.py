"""The whole of `quickstart`, against the same grid trained by the recipe of templates.

Ours is measured whole. The recipe takes many times as long, so it is measured on one training of
each part of the grid and extrapolated: every training of a part counts as long as that one.
"""

import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from torch.utils.data import DataLoader, Subset

from benchmarks.recipe import RecipeModule, mnist, quiet, recipe_trainer
from benchmarks.summary import in_words
from benchmarks.turns import write
from study.config.compose import hydra_ready
from study.config.configuration import Config
from study.config.sweep import Cell, plan
from study.data import Data
from study.data.module import data_of
from study.launch.cells import identify, run
from study.outputs.failures import summary
from study.outputs.provenance import available_threads
from study.training import Replica
from study.training.build import initial_network, replicas_of

OVERRIDES = ("experiment=quickstart", "trainer.accelerator=cpu")
NUM_PARTS = 9


def main() -> None:
    """Trains both ways, in turns; prints and writes results/quickstart.csv."""
    rows = measure(OVERRIDES, NUM_PARTS)
    write("quickstart", rows)
    print(in_words(rows[-1]))


def measure(overrides: Sequence[str], num_parts: int) -> list[dict[str, Any]]:
    """A row for planning, one for each part of the grid, and their sum.

    Of each part ours trains every cell, in a directory that is removed; the recipe trains one
    replica of its middle cell.
    """
    with hydra_ready(), tempfile.TemporaryDirectory(prefix="benchmark-") as directory:
        started = time.perf_counter()
        cells = identify(plan(list(overrides), multirun=True).cells)
        rows = [_row("planning", [], None, time.perf_counter() - started)]
        for part in range(num_parts):
            chosen = cells[len(cells) * part // num_parts : len(cells) * (part + 1) // num_parts]
            sampled = chosen[len(chosen) // 2]
            replicas = replicas_of(sampled.config)
            peer = peer_seconds(sampled.config, replicas[part % len(replicas)])
            ours = our_seconds(Path(directory), chosen)
            rows.append(_row(sampled.label, chosen, peer, ours))
            print(rows[-1], flush=True)
    return [*rows, _total(rows)]


def our_seconds(study: Path, cells: Sequence[Cell]) -> float:
    """Seconds to train and record these cells, as `study train` does."""
    started = time.perf_counter()
    outcome = run(study, cells, threads=available_threads(), max_failures=1)
    seconds = time.perf_counter() - started
    if outcome.failures:
        raise RuntimeError(summary(study, outcome))
    return seconds


def peer_seconds(config: Config, replica: Replica) -> float:
    """Seconds of one replica's training by the recipe, validated each epoch and tested.

    It starts from the same weights and sees as many images as ours; reading the data set and
    starting the program are not counted.
    """
    data = data_of(config)
    network = initial_network(config, data, replica.seed)
    train, val, test = _loaders(data, config.batch_size)
    started = time.perf_counter()
    momentum = config.optimizer.level["momentum"]
    assert isinstance(momentum, float)
    module = RecipeModule(network, lr=replica.lr, momentum=momentum)
    with quiet():
        trainer = recipe_trainer(max_epochs=config.trainer.max_epochs)
        trainer.fit(module, train, val)
        trainer.test(module, test, verbose=False)
    return time.perf_counter() - started


def _loaders(
    data: Data, batch_size: int
) -> tuple[DataLoader[Any], DataLoader[Any], DataLoader[Any]]:
    """Training, validation and test images by torchvision: as many as in `data`."""
    num_train, num_val = len(data.train), len(data.val)
    train = Subset(mnist(train=True), range(num_train))
    val = Subset(mnist(train=True), range(num_train, num_train + num_val))
    test = Subset(mnist(train=False), range(len(data.test)))
    return (
        DataLoader(train, batch_size=min(batch_size, num_train), shuffle=True, drop_last=True),
        DataLoader(val, batch_size=batch_size),
        DataLoader(test, batch_size=batch_size),
    )


def _row(sampled: str, cells: Sequence[Cell], peer: float | None, ours: float) -> dict[str, Any]:
    """What was measured on a part of the grid; `peer` are seconds of one training."""
    trainings = sum(len(replicas_of(cell.config)) for cell in cells)
    return {
        "sampled cell": sampled,
        "cells": len(cells),
        "trainings": trainings,
        "ours_seconds": round(ours, 2),
        "trainings by the template": int(peer is not None),
        "template_seconds_each": "" if peer is None else round(peer, 2),
        "template_seconds_extrapolated": round(trainings * (peer or 0.0), 2),
        "times as fast as a template": "" if peer is None else round(trainings * peer / ours, 1),
    }


def _total(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The row of the whole grid."""

    def total(column: str) -> Any:
        return sum(row[column] for row in rows)

    ours, peer = total("ours_seconds"), total("template_seconds_extrapolated")
    return {
        "sampled cell": "all",
        "cells": total("cells"),
        "trainings": total("trainings"),
        "ours_seconds": round(ours, 2),
        "trainings by the template": total("trainings by the template"),
        "template_seconds_each": round(peer / total("trainings"), 2),
        "template_seconds_extrapolated": round(peer, 2),
        "times as fast as a template": round(peer / ours, 1),
    }


if __name__ == "__main__":
    main()
