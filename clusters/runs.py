"""The same small studies by one launcher after the other, and whether they came out the same."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from study.config.configuration import CONF
from study.launch.reproduce import comparable as saved
from study.outputs.records import read_cells, read_ledger

COMMON = (
    "data.train_size=2000",
    "data.val_size=500",
    "data.test_size=500",
    "data.normalize=unit",
    "model.widths=[32,32]",
    "seeds=2",
    "optimizer.lr=[0.05,0.2]",
    "trainer.threads=1",
    "trainer.accelerator=cpu",
)
SMALL = (
    *COMMON,
    "trainer.max_epochs=3",
    "activation=sigmoid,tanh,relu",
    "pretraining=none,autoencoder",
    "sweep.exclude=[{pretraining: autoencoder, activation: [tanh, relu]}]",
)
"""Four cells, one of them pretrained."""
LONG = (
    *COMMON,
    "trainer.max_epochs=60",
    "trainer.checkpoint_seconds=0",
    "activation=tanh,relu",
)
"""Two cells that are long enough to be stopped in the middle."""


@dataclass(frozen=True)
class Run:
    """How a study went: its directory, the command's status, seconds, and what is worth saying."""

    name: str
    directory: Path
    status: int
    seconds: float
    notes: Sequence[str] = field(default=())

    def cells(self) -> dict[str, Any]:
        """Everything comparable of each finished cell, by directory."""
        records = read_cells(read_ledger(self.directory))
        return {
            record.directory: saved.comparable(record.path) for record in records if record.result
        }


def start(
    study: Sequence[str], directory: Path, *launcher: str, environment: Mapping[str, str]
) -> "subprocess.Popen[str]":
    """Starts `study train` on the study; what it says goes to `<directory>.log`."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    place = [f"study={directory.name}", f"outputs_dir={directory.parent}"]
    with directory.with_suffix(".log").open("w", encoding="utf-8") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "study", "train", "-m", *study, *place, *launcher],
            cwd=CONF.parent,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            text=True,
        )


def run(
    study: Sequence[str],
    directory: Path,
    *launcher: str,
    environment: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
) -> Run:
    """Runs the study to its end."""
    begun = time.monotonic()
    status = start(study, directory, *launcher, environment=environment or {}).wait()
    return Run(directory.name, directory, status, time.monotonic() - begun, notes)


def compared(first: Run, other: Run) -> tuple[str, list[str]]:
    """How many replicas have the weights of `first`'s, and what else differs, a line each."""
    ours, theirs = first.cells(), other.cells()
    hashes, others = _hashes(ours), _hashes(theirs)
    equal = sum(others.get(replica) == digest for replica, digest in hashes.items())
    problems = [] if other.status == 0 else [f"{other.name}: exit status {other.status}"]
    for cell in ours:
        if cell not in theirs:
            problems.append(f"{other.name}: {cell} is not finished")
        elif ours[cell] != theirs[cell]:
            parts = [part for part in ours[cell] if ours[cell][part] != theirs[cell][part]]
            problems.append(f"{other.name}: {cell} differs in its {', '.join(parts)}")
    return f"{equal} of {len(hashes)}", problems


def _hashes(cells: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    return {
        (cell, replica): entry["weights_sha256"]
        for cell, content in cells.items()
        for replica, entry in content["replicas"].items()
    }
