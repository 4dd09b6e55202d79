"""probes.csv: what was measured inside the networks of a cell."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from study.outputs.files import finite, write_csv
from study.outputs.results import ReplicaResult
from study.probes.names import PROBES, ROW

FILE = "probes.csv"
_WHOLE = ("seed", "step", "epoch", "layer")


def write_probes(directory: Path, results: Iterable[ReplicaResult]) -> None:
    """A row for each replica, moment and layer, if there is one; what was not measured is empty."""
    empty = dict.fromkeys(PROBES)
    rows = [
        {**empty, **row, "seed": result.seed, "lr": result.lr}
        for result in results
        for row in result.probes
    ]
    if rows:
        write_csv(directory / FILE, (*ROW, *PROBES), rows)


def read_probes(directory: Path) -> list[dict[str, Any]]:
    """The rows of probes.csv; an empty field is None. Without the file there are none."""
    path = directory / FILE
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [parsed_row(row) for row in csv.DictReader(file)]


def parsed_row(row: Mapping[str, str]) -> dict[str, Any]:
    """The values of a row of probes.csv; an empty field is None."""
    return {name: _value(name, text) for name, text in row.items()}


def _value(name: str, text: str) -> int | float | None:
    if not text:
        return None
    return int(text) if name in _WHOLE else float(text)


def summary(chosen: Sequence[ReplicaResult]) -> dict[str, Any]:
    """The probes of a cell at the first and the last moment, as result.json has them.

    {"start" and "end": {"step": updates done, probe: [a number for each layer]}}: means over the
    replicas, None where a number is not finite for one of them or was not taken.
    """
    probed = [result.probes for result in chosen if result.probes]
    if not probed:
        return {}
    moments = {"start": probed[0][0]["step"], "end": probed[0][-1]["step"]}
    return {
        name: {"step": step} | _means([_at(rows, step) for rows in probed])
        for name, step in moments.items()
    }


def _at(rows: Sequence[Mapping[str, Any]], step: int) -> list[Mapping[str, Any]]:
    """One replica's rows at a moment, a layer each."""
    return [row for row in rows if row["step"] == step]


def _means(replicas: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, list[float | None]]:
    """{probe: its mean over replicas in each layer}, of the probes that were taken."""
    means = {}
    for name in PROBES:
        by_layer = [[row.get(name) for row in rows] for rows in zip(*replicas, strict=True)]
        layers = [_mean(values) for values in by_layer]
        if any(value is not None for values in by_layer for value in values):
            means[name] = layers
    return means


def _mean(values: Sequence[float | None]) -> float | None:
    numbers = [value for value in values if finite(value) is not None and value is not None]
    if len(numbers) < len(values):
        return None
    return float(f"{sum(numbers) / len(numbers):.7g}")
