"""What a cell costs beside its training, in a running sweep."""

import contextlib
import functools
import logging
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import study.launch.attempt
import study.launch.cell
from benchmarks.growth import TINY, planned, sweep
from benchmarks.turns import write
from study.config.sweep import Cell
from study.outputs.provenance import available_threads
from study.probes.recorder import Recorder
from study.tensorboard.loggers import CellLogger
from study.training import Population
from study.training.engine import Engine

NUM_FIRST = 3
"""Cells that are not counted: they read the data, and load what is loaded late."""

SWEEPS = {
    "1 replica of 784-8-10, 512 images": (
        *TINY,
        "model.widths=" + ",".join(f"[{width}]" for width in range(8, 28)),
    ),
    "12 replicas of quickstart, 10,000 images": (
        "data.train_size=10000",
        "model.widths=[64,64,64,64,64]",
        "seeds=3",
        "optimizer.lr=[0.003,0.03,0.3,3.0]",
        "trainer.max_epochs=1",
        "trainer.accelerator=cpu",
        "norm=none,batch",
        "activation=sigmoid,tanh,relu,elu,silu",
    ),
}
"""Cells of one epoch, by their description."""

STEPS = ("training", "evaluation", "probes")
PARTS: dict[str, Sequence[tuple[Any, str]]] = {
    "training": [(Population, "training_step")],
    "evaluation": [(Engine, "evaluate")],
    "probes": [
        (Recorder, "on_fit_start"),
        (Recorder, "on_train_batch_end"),
        (Recorder, "on_test_batch_start"),
        (Recorder, "on_test_batch_end"),
    ],
    "networks": [(study.launch.attempt, "build_population")],
    "Trainer": [(study.launch.attempt, "make_trainer")],
    "TensorBoard": [
        (study.launch.cell, "open_writer"),
        (study.launch.cell, "write_summary"),
        (CellLogger, "log_metrics"),
    ],
    "records": [
        (study.launch.cell, "read_checkpoint"),
        (study.launch.cell, "clear_unfinished"),
        (study.launch.cell, "write_config"),
        (study.launch.cell, "finished_replicas"),
        (study.launch.cell, "write_cell"),
    ],
}
"""The parts of a cell, each with its functions; none of them calls another."""


def main() -> None:
    """Measures every sweep; prints and writes results/cells.csv."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    rows = []
    for name, overrides in SWEEPS.items():
        rows.append(measure(name, overrides))
        print(rows[-1], flush=True)
    write("cells", rows)


def measure(name: str, overrides: Sequence[str], *, num_first: int = NUM_FIRST) -> dict[str, Any]:
    """A row: milliseconds of a cell by part, the medians over all cells but the first few.

    What is fixed is all but the steps that grow with data and epochs, training, evaluation and
    probes: planning is in it, and `the rest` (Lightning's own loops, the lock, the progress bar).
    """
    cells, planning_seconds = planned(*overrides)
    costs = [cost | {"planning": planning_seconds / len(cells)} for cost in measured(cells)]
    seconds = {
        "fixed": [_fixed(cost) for cost in costs[num_first:]],
        **{part: [cost[part] for cost in costs[num_first:]] for part in costs[0]},
    }
    row = {"cell": name, "cells": len(cells)}
    return row | {f"{part}_ms": round(1e3 * median(own), 1) for part, own in seconds.items()}


def _fixed(cost: Mapping[str, float]) -> float:
    return sum(seconds for part, seconds in cost.items() if part not in STEPS)


def measured(cells: Sequence[Cell]) -> list[dict[str, float]]:
    """Wall seconds of each part of each cell; they add up to the cell's."""
    spent: dict[str, float] = defaultdict(float)
    costs: list[dict[str, float]] = []

    def note(seconds: float) -> None:
        parts = {part: spent[part] for part in PARTS}
        costs.append(parts | {"the rest": seconds - sum(parts.values())})
        spent.clear()

    with tempfile.TemporaryDirectory() as directory, timed(PARTS, spent):
        sweep(cells, Path(directory), threads=available_threads(), note=note)
    return costs


@contextlib.contextmanager
def timed(
    parts: Mapping[str, Sequence[tuple[Any, str]]], spent: dict[str, float]
) -> Iterator[None]:
    """Adds the wall seconds of each call of a part's functions to `spent`."""
    with contextlib.ExitStack() as stack:
        for part, functions in parts.items():
            for owner, name in functions:
                timer = _timer(getattr(owner, name), part, spent)
                stack.enter_context(patch.object(owner, name, timer))
        yield


def _timer(function: Callable[..., Any], part: str, spent: dict[str, float]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*arguments: Any, **keywords: Any) -> Any:
        started = time.perf_counter()
        try:
            return function(*arguments, **keywords)
        finally:
            spent[part] += time.perf_counter() - started

    return call


if __name__ == "__main__":
    main()
