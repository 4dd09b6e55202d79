"""A copy of a study that took as long, and was made where and when, as another of the same cells.

What a report shows beside that must be the same, byte for byte.
"""

import csv
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from study.files import sha256, write_csv, write_json
from study.launch.reproduce.comparable import HASHES, PROVENANCE, TIMES
from study.outputs.cell import is_set_aside, read_result
from study.outputs.schema import seal

MEASURED = {*TIMES, *PROVENANCE, *HASHES}


def transplanted(study: Path, donor: Path, room: Path) -> Path:
    """Copies `study` into `room` and gives it the times and the provenance of `donor`."""
    copy = room / study.name
    shutil.copytree(study, copy, ignore=shutil.ignore_patterns("report"))
    for path in sorted(copy.glob("*/result.json")):
        if not is_set_aside(path.parent):
            _change_cell(path.parent, donor / path.parent.name)
    for path in sorted(copy.glob("pretraining/*/*.csv")):
        _change_times(path, donor / path.relative_to(copy))
    return copy


def _change_cell(cell: Path, donor: Path) -> None:
    for name in ("curves.csv", "probes.csv"):
        _change_times(cell / name, donor / name)
    record = _merged(read_result(cell), read_result(donor))
    record["files"] = {name: sha256(cell / name) for name in record["files"]}
    write_json(cell / "result.json", seal(record))


def _merged(value: Any, donor: Any) -> Any:
    """`value` with everything measured, and what is there of it at all, from `donor`."""
    if isinstance(value, Mapping) and isinstance(donor, Mapping):
        own = {name: each for name, each in value.items() if name not in MEASURED}
        merged = {name: _merged(each, donor.get(name)) for name, each in own.items()}
        merged |= {name: each for name, each in donor.items() if name in MEASURED}
        order = {name: place for place, name in enumerate(donor)}
        return dict(sorted(merged.items(), key=lambda item: order.get(item[0], len(order))))
    if isinstance(value, Sequence) and not isinstance(value, str) and isinstance(donor, list):
        return [_merged(one, other) for one, other in zip(value, donor, strict=True)]
    return value


def _change_times(path: Path, donor: Path) -> None:
    """Replaces the columns of times in a CSV file."""
    if not path.exists():
        return
    with path.open(encoding="utf-8", newline="") as one, donor.open(newline="") as other:
        rows, others = list(csv.DictReader(one)), list(csv.DictReader(other))
    for row, measured in zip(rows, others, strict=True):
        row |= {name: text for name, text in measured.items() if name in TIMES}
    write_csv(path, list(rows[0]) if rows else [], rows)
