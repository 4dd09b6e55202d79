"""What measurements share: the clock, and the files that they are kept in."""

import csv
import json
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import RESULTS
from study.outputs.provenance import code_and_machine


def now(device: torch.device) -> float:
    """Seconds of a clock, read once the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def write(name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes results/NAME.csv, and results/NAME.machine.json beside it."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    machine = code_and_machine()
    about = {key: machine[key] for key in ("packages", "python", "processor", "git_commit")}
    about |= {"threads": torch.get_num_threads(), "system": platform.system()}
    if torch.cuda.is_available():
        about["gpu"] = torch.cuda.get_device_name()
    text = json.dumps(about, indent=1) + "\n"
    (RESULTS / f"{name}.machine.json").write_text(text, encoding="utf-8")
    print(f"wrote {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
