"""Whether a long sweep slows down or fills the memory: 10, 100 and 1,000 tiny cells."""

import logging
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from benchmarks.turns import write
from study.config.compose import hydra_ready
from study.config.sweep import Cell, plan
from study.launch.cells import identify, run
from study.launch.progress import SweepProgress
from study.outputs.ledger import record_launch
from study.outputs.results import Result
from study.theory.activations.timing import in_turns, median_ratio

SIZES = (10, 100, 1000)
ROUNDS = 5
TINY = (
    "data.train_size=512",
    "data.val_size=64",
    "data.test_size=64",
    "seeds=1",
    "trainer.max_epochs=1",
    "trainer.accelerator=cpu",
)
AXES = (
    "model.widths=" + ",".join(f"[{width}]" for width in range(8, 18)),
    "init=he_normal,he_uniform,xavier_normal,xavier_uniform,lecun_normal,standard,uniform,normal,"
    "orthogonal,zeros",
    "activation=relu,tanh,sigmoid,elu,gelu,selu,silu,mish,softplus,softsign",
)
"""1,000 cells of nearly the same network."""


class Meter(SweepProgress):
    """A progress bar that prints nothing, and calls `note` with the wall seconds of each cell."""

    def __init__(self, cells: Sequence[Cell], note: Callable[[float], None]) -> None:
        super().__init__(len(cells), sum(cell.replica_epochs for cell in cells), alone=True)
        self.note = note
        self.last = time.perf_counter()

    def say(self, line: str) -> None:
        """Nothing: what a terminal costs is not measured."""

    def finished(self, cell: Cell, result: Result) -> None:
        super().finished(cell, result)
        now = time.perf_counter()
        self.note(now - self.last)
        self.last = time.perf_counter()


def planned(*overrides: str) -> tuple[list[Cell], float]:
    """The cells of a sweep, and the seconds that planning took: composing and checking them."""
    started = time.perf_counter()
    with hydra_ready():
        cells = identify(plan(overrides, multirun=True).cells)
    return cells, time.perf_counter() - started


def sweep(
    cells: Sequence[Cell],
    directory: Path,
    *,
    threads: int = 1,
    note: Callable[[float], None] = lambda seconds: None,
) -> None:
    """Trains the cells in a new directory as the command does; `note` gets each one's seconds."""
    record_launch(
        directory, study="growth", threads=threads, cells=cells, experiment=None, claims=[]
    )
    outcome = run(directory, cells, threads=threads, max_failures=1, progress=Meter(cells, note))
    assert not outcome.failures, outcome.failures


def seconds_per_cell(cells: Sequence[Cell], num_cells: int) -> Callable[[], float]:
    """A contestant: wall seconds of a cell in sweeps of `cells`, `num_cells` cells or more."""

    def measure() -> float:
        repeats = max(1, num_cells // len(cells))
        started = time.perf_counter()
        for _ in range(repeats):
            with tempfile.TemporaryDirectory() as directory:
                sweep(cells, Path(directory))
        return (time.perf_counter() - started) / repeats / len(cells)

    return measure


def resident() -> float:
    """Megabytes of this process that are in memory; NaN where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return float("nan")
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """Measures sweeps of every size; prints and writes results/growth.csv."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    rows = measure((*TINY, *AXES), SIZES, ROUNDS)
    print(*rows, sep="\n")
    write("growth", rows)


def measure(overrides: Sequence[str], sizes: Sequence[int], rounds: int) -> list[dict[str, Any]]:
    """A row for each size: planning, seconds a cell and memory, against the smallest size.

    Memory is that of one sweep of the largest size, the first in this process. Sweeps of all sizes
    then run in turns, the smaller ones several times.
    """
    cells, _ = planned(*overrides)
    megabytes: list[float] = []
    with tempfile.TemporaryDirectory() as directory:
        sweep(cells[: max(sizes)], Path(directory), note=lambda _: megabytes.append(resident()))
    num_cells = max(sizes) // 10
    times = in_turns(
        {str(size): seconds_per_cell(cells[:size], num_cells) for size in sizes}, rounds
    )
    first = min(sizes)
    return [
        {
            "cells": size,
            "ms_per_cell": round(1e3 * median(times[str(size)]), 1),
            f"time against {first} cells": round(
                median_ratio(times[str(size)], times[str(first)]), 3
            ),
            "resident_mb": round(megabytes[size - 1], 1),
            f"memory against {first} cells": round(megabytes[size - 1] / megabytes[first - 1], 3),
        }
        for size in sizes
    ]


if __name__ == "__main__":
    main()
