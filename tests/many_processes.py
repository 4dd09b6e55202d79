"""Work for several real processes, which do nothing but keep out of each other's way.

    python many_processes.py rounds DIRECTORY NUMBER [HOST]
    python many_processes.py share STUDY NUM_CELLS SECONDS [HOST]

What each does is a line of the file `log`, which the operating system appends whole.
"""

import json
import os
import platform
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from study import locks
from study.files import write_json
from study.launch.progress import SweepProgress
from study.launch.sharing import Sharing
from study.outputs.failures import Failure
from study.outputs.results import Result, parse_result
from study.outputs.schema import seal
from tests.made_records import PROVENANCE

HERE = Path(__file__)


@dataclass
class Cell:
    """What of a launch's cell is needed to share it."""

    directory: str
    signature: str
    factors: dict[str, Any]
    label: str
    config: SimpleNamespace
    pretraining: tuple[Path, ...] = ()
    replica_epochs: int = 1


def cell(number: int, **options: Any) -> Cell:
    digest = f"{number:064x}"
    factors = {"number": number}
    config = SimpleNamespace(mapping=factors, seeds=(0,))
    name = f"cell-{digest[-8:]}"
    return Cell(name, digest, factors, f"number={number}", config, **options)


def finish(cell: Cell, directory: Path) -> Result:
    """A cell's result.json, written, whoever owns its directory; the record."""
    record = record_of(cell)
    (directory / "result.json").write_text(json.dumps(record), encoding="utf-8")
    return parse_result(record)


def record_of(cell: Cell) -> dict[str, Any]:
    """What a finished cell's result.json holds."""
    replica = {"seed": 0, "lr": 0.1, "status": "trained", "best_epoch": 1}
    replica["weights_sha256"] = f"{0:064x}"
    replica |= {
        f"{prefix}{split}_{what}": 0.1
        for prefix in ("", "last_")
        for split in ("train", "val", "test")
        for what in ("loss", "error")
    }
    record = {
        "schema": 1,
        "status": "done",
        "signature": cell.signature,
        "factors": cell.factors,
        "files": {},
        "replicas": [replica],
        "chosen_lr": 0.1,
        "task": "classification",
        "wall_seconds": 0.1,
        "provenance": PROVENANCE,
        "family": cell.signature,
        "config": {},
        "num_train": 1,
        "num_val": 1,
        "num_test": 1,
        "updates_per_epoch": 1,
        "updates": 1,
        "pretraining_seconds": 0.0,
        "pretraining_updates": 0,
        "chosen_lr_at_edge": None,
        "probes": {},
    }
    return seal(record)


def note(directory: Path, *words: object) -> None:
    """A line of the log, with this process's number."""
    line = " ".join(map(str, [*words, os.getpid()])) + "\n"
    log = os.open(directory / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(log, line.encode())
    os.close(log)


def notes(directory: Path) -> list[list[str]]:
    """The log so far."""
    path = directory / "log"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def rounds(directory: Path, number: int, host: str | None) -> None:
    """Owns the directory so many times, for a moment."""
    if host is not None:
        _move_to(host)
    draw = random.Random(os.getpid())
    for _ in range(number):
        with locks.owned(directory, wait=True, say=lambda line: None):
            note(directory, "in")
            time.sleep(0.002 * draw.random())
            note(directory, "out")
        time.sleep(0.002 * draw.random())


def _move_to(host: str) -> None:
    """Makes this process one of another host, on a disk that keeps locks apart for each host."""
    platform.node = lambda: host
    locks.LOCK = f"lock of {host}"
    locks.HEARTBEAT_SECONDS, locks.STALE_SECONDS = 0.1, 2.0


class Watched(SweepProgress):
    """Shows by a file, too, that its process waits."""

    def say(self, line: str) -> None:
        super().say(line)
        if line.startswith("waiting for"):
            Path(sys.argv[2], f"waiting {os.getpid()}").touch()


def share(study: Path, num_cells: int, seconds: float, host: str | None) -> None:
    """Trains cells with whoever else does."""
    if host is not None:
        _move_to(host)

    def train(cell: Any, directory: Path, tick: Callable[[int], None]) -> Result:
        note(study, "start", cell.label)
        tick(1)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline or (study / f"hold {os.getpid()}").exists():
            time.sleep(0.005)
        record = record_of(cell)
        write_json(directory / "result.json", record)
        note(study, "end", cell.label)
        return parse_result(record)

    progress = Watched(num_cells, num_cells)
    cells: list[Any] = [cell(number) for number in range(num_cells)]
    failures: list[Failure | None] = list(Sharing(study, progress, train).each(cells))
    assert failures == [None] * num_cells
    assert progress.bar.tasks[0].completed == num_cells


def launched(*arguments: object) -> "subprocess.Popen[str]":
    """A process that does this file's work."""
    command = [sys.executable, str(HERE), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def ended(processes: "list[subprocess.Popen[str]]") -> list[str]:
    """What each has printed, once all have ended well."""
    printed = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), printed
    return printed


def await_that(happened: Callable[[], bool]) -> None:
    """Waits for something to be so."""
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.01)


if __name__ == "__main__":
    place = Path(sys.argv[2])
    if sys.argv[1] == "rounds":
        rounds(place, int(sys.argv[3]), sys.argv[4] if len(sys.argv) > 4 else None)
    else:
        host = sys.argv[5] if len(sys.argv) > 5 else None
        share(place, int(sys.argv[3]), float(sys.argv[4]), host)
