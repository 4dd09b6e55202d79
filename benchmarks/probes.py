"""What the default probes cost a cell: against the same cell without, and by the clock inside."""

import contextlib
import functools
import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from benchmarks.growth import planned, sweep
from benchmarks.turns import write
from study.config.sweep import Cell
from study.outputs.provenance import available_threads
from study.probes.recorder import Liveness, Recorder
from study.theory.activations.timing import in_turns, median_ratio

AGAINST = "time against probes=none"
INSIDE = "share of the time inside probes"
QUICKSTART = ("experiment=quickstart", "init=he_normal")
LONG = (
    "model.widths=[128,128,128]",
    "seeds=2",
    "optimizer.lr=0.1",
    "trainer.max_epochs=20",
    "data.train_size=null",
)
CELLS: dict[str, tuple[str, ...]] = {
    "quickstart, relu": (*QUICKSTART, "activation=relu", "norm=none"),
    "quickstart, tanh, BatchNorm": (*QUICKSTART, "activation=tanh", "norm=batch"),
    "20 epochs on 55,000 images, 2 of 3x128": LONG,
}
ROUNDS = {"quickstart, relu": 7, "quickstart, tanh, BatchNorm": 7}
FEW_ROUNDS = 3
PARTS = (
    (Recorder, "_take"),
    (Recorder, "_remember"),
    (Liveness, "see"),
)
"""What takes probes; none of them calls another."""


def main() -> None:
    """Measures every cell; prints and writes results/probes.csv."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    rows = []
    for name, overrides in CELLS.items():
        rows.append(measure(name, overrides, rounds=ROUNDS.get(name, FEW_ROUNDS)))
        print(rows[-1], flush=True)
    write("probes", rows)


def measure(name: str, overrides: Sequence[str], *, rounds: int) -> dict[str, Any]:
    """A row: both measures of one cell, medians over the rounds."""
    shares: list[float] = []
    contestants = {
        level: functools.partial(seconds, planned(*overrides, f"probes={level}")[0], shares)
        for level in ("none", "default")
    }
    times = in_turns(contestants, rounds)
    return {
        "cell": name,
        AGAINST: round(median_ratio(times["default"], times["none"]), 3),
        INSIDE: round(median([share for share in shares if share]), 4),
        "seconds": round(median(times["default"]), 2),
        "rounds": rounds,
    }


def seconds(cells: Sequence[Cell], shares: list[float]) -> float:
    """Wall seconds of a sweep; adds to `shares` what part of all threads' time probes took."""
    threads = available_threads()
    with tempfile.TemporaryDirectory() as directory, clocked() as inside:
        started = time.perf_counter()
        sweep(cells, Path(directory), threads=threads)
        wall = time.perf_counter() - started
    shares.append(inside() / threads / wall)
    return wall


@contextlib.contextmanager
def clocked() -> Iterator[Callable[[], float]]:
    """Within it the seconds in probes are added up, over all threads; yields what tells them."""
    spent: list[float] = []
    lock = threading.Lock()

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def run(*args: Any, **keys: Any) -> Any:
            started = time.perf_counter()
            result = function(*args, **keys)
            with lock:
                spent.append(time.perf_counter() - started)
            return result

        return run

    with contextlib.ExitStack() as stack:
        for owner, name in PARTS:
            stack.enter_context(patch.object(owner, name, timed(getattr(owner, name))))
        yield lambda: sum(spent)


if __name__ == "__main__":
    main()
