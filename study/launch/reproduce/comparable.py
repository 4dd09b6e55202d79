"""What of a finished cell is its result, and what a measured time or where it comes from.

Two trainings of one cell are bit-identical when `comparable` gives the same for both. It names, in
one place, everything that may differ between them.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from study.files import finite
from study.outputs.cell import read_result, replica_name
from study.outputs.results import CELL_SECONDS
from study.outputs.schema import FILTERS_FILE, PREDICTIONS_FILE, WEIGHTS_FILE, Row
from study.outputs.series import read_curves, read_pairs, read_probes

TIMES = (*CELL_SECONDS, "seconds")
"""Measured times, wherever they stand: in a record, in curves.csv, in a pretraining's curves."""
PROVENANCE = ("provenance", "copied_from", "command", "config")
"""Where, by whom and as what something was trained; the signature says what counts of that."""
HASHES = ("sha256",)
"""Hashes over bytes that hold times; what the bytes say besides is compared itself."""
ROW_NAMES = ("epoch", "step", "layer", "alpha")
ABSENT = "absent"
"""What `differences` shows for a value that one side lacks."""


Comparable = dict[str, Any]
"""A tree of plain values by name, whose first names are its groups: `record`, `curves`, ..."""


def comparable(directory: Path) -> Comparable:
    """Everything of a finished cell that training it again must give bit for bit.

    `record` (result.json without times, provenance and the hashes of files), and by replica
    (`seed=0,lr=0.1`) its `replicas` entry, `curves`, `probes` and `pairs` (of which it is the
    first; rows without times); of `predictions`, `filters` and `weights` the type, shape and
    SHA-256 of each array. Plain values that `==` compares; what is not finite is None. Weights that
    were not kept, or not carried along, are {}. Raises OSError or ValueError where a file is
    missing or damaged.
    """
    record = read_result(directory)
    replicas = record.pop("replicas")
    return {
        "record": without_measured(record) | {"files": sorted(record["files"])},
        "replicas": {_name(entry): without_measured(entry) for entry in replicas},
        "curves": _by_replica(read_curves(directory)),
        "probes": _by_replica(read_probes(directory)),
        "pairs": _by_replica(read_pairs(directory)),
        "predictions": _npz(directory / PREDICTIONS_FILE),
        "filters": _npz(directory / FILTERS_FILE),
        "weights": tensors(directory / WEIGHTS_FILE),
    }


def comparable_pretraining(directory: Path) -> Comparable:
    """Everything of a cache of pretrained weights that pretraining again must give bit for bit.

    By seed (`seed=0`), `weights` (type, shape and SHA-256 of each tensor) and `curves` (rows of
    its CSV file without times).
    """
    import csv

    found = {}
    for path in sorted(directory.glob("seed=*.safetensors")):
        with path.with_suffix(".csv").open(encoding="utf-8", newline="") as file:
            rows = [without_measured(row) for row in csv.DictReader(file)]
        found[path.stem] = {"weights": tensors(path), "curves": rows}
    return found


def without_measured(value: Any) -> Any:
    """`value` without its times, provenance and hashes over them, at any depth."""
    left_out = {*TIMES, *PROVENANCE, *HASHES}
    if isinstance(value, Mapping):
        return {name: without_measured(v) for name, v in value.items() if name not in left_out}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [without_measured(entry) for entry in value]
    return finite(value)


def array_identity(array: Any) -> str:
    """A NumPy array's type, shape and the SHA-256 of its bytes."""
    import numpy as np

    content = np.ascontiguousarray(array).tobytes()
    return f"{array.dtype} {list(array.shape)} {hashlib.sha256(content).hexdigest()}"


def tensors(path: Path) -> dict[str, str]:
    """The identity of every tensor of a safetensors file, by name; {} without the file."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if not path.exists():
        return {}
    try:
        arrays = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path.name} is damaged ({error})") from None
    return {name: array_identity(arrays[name]) for name in sorted(arrays)}


def _npz(path: Path) -> dict[str, str]:
    """The identity of every array of an npz file."""
    import zipfile
    import zlib

    import numpy as np

    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: array_identity(arrays[name]) for name in sorted(arrays)}
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError) as error:
        raise ValueError(f"{path.name} is damaged ({error})") from None


def _by_replica(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(_name(row), []).append(without_measured(row))
    return found


def _name(row: Row) -> str:
    return replica_name(row["seed"], row["lr"])


@dataclass(frozen=True)
class Difference:
    """One value in which two comparables part: its place, and what each has there."""

    place: tuple[str, ...]
    first: Any
    second: Any

    def __str__(self) -> str:
        return f"{' '.join(self.place)}: {self.first} and {self.second}"


def differences(first: Any, second: Any) -> list[Difference]:
    """Every value that two comparables do not share, in the first's order; [] if they are equal.

    A row of a list is named by its epoch, step, layer and alpha, where it has them.
    """
    return list(_differing(first, second, ()))


def _differing(first: Any, second: Any, place: tuple[str, ...]) -> Iterator[Difference]:
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for name in dict.fromkeys([*first, *second]):
            sides = first.get(name, ABSENT), second.get(name, ABSENT)
            yield from _differing(*sides, (*place, str(name)))
    elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        for index, (one, other) in enumerate(zip(first, second, strict=True)):
            row = one if isinstance(one, Mapping) else {}
            name = ", ".join(f"{key} {row[key]}" for key in ROW_NAMES if key in row)
            yield from _differing(one, other, (*place, name or str(index + 1)))
    elif first != second:
        yield Difference(place, first, second)
