"""How soon the command trains: from its start to its first update, against importing libraries."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from benchmarks.turns import write
from study.theory.activations.timing import in_turns, median_ratio

ROUNDS = 9
ROOT = Path(__file__).parents[1]
IMPORTS = "import os, lightning, torchvision; os._exit(0)"
"""What is compared with; neither contestant's end is counted."""

FIRST_UPDATE = (
    "data.train_size=128",
    "batch_size=128",
    "seeds=1",
    "optimizer.lr=0.1",
    "model.widths=[8]",
    "trainer.accelerator=cpu",
)
"""A cell whose first epoch is one update."""


def main() -> None:
    """Measures both in turns, each in a process of its own; prints and writes start.csv."""
    rows = [measure(ROUNDS)]
    print(*rows)
    write("start", rows)


def measure(rounds: int) -> dict[str, Any]:
    """A row: milliseconds of both, and the median ratio."""
    with tempfile.TemporaryDirectory() as outputs:
        train = ["-m", "benchmarks.start", "train", *FIRST_UPDATE, f"outputs_dir={outputs}"]
        times = in_turns(
            {"imports": process_seconds(["-c", IMPORTS]), "first update": process_seconds(train)},
            rounds,
        )
    return {
        "first update, times as long as the imports": round(
            median_ratio(times["first update"], times["imports"]), 2
        ),
        "first_update_ms": round(1e3 * median(times["first update"])),
        "imports_ms": round(1e3 * median(times["imports"])),
    }


def process_seconds(arguments: Sequence[str]) -> Callable[[], float]:
    """A contestant: wall seconds of a Python process, from its start to its end."""

    def run() -> float:
        started = time.perf_counter()
        subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True)
        return time.perf_counter() - started

    return run


def train_one_update(arguments: Sequence[str]) -> int:
    """Runs the command `study`, and ends the process after the first update."""
    from study.__main__ import main as command
    from study.launch import progress

    @contextlib.contextmanager
    def cell(self: Any, cell: Any) -> Iterator[Callable[[float], None]]:
        yield lambda count: os._exit(0)

    progress.SweepProgress.cell = cell  # type: ignore[method-assign]
    return command(arguments) or 1


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(train_one_update(sys.argv[1:]))
    main()
