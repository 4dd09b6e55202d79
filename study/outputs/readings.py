"""Files of finished cells, read only where they are those that result.json names; probes.csv."""

import csv
import hashlib
import itertools
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.errors import InputError
from study.outputs.measurements import FILE
from study.outputs.records import (
    CellRecord,
    factor_names,
    read_cells,
    read_ledger,
    require_finished,
)
from study.outputs.rows import check_rows
from study.outputs.sealed import TOO_DEEP, require_shallow
from study.probes.names import PROBES

if TYPE_CHECKING:
    import pandas

Place = tuple[int, float, int, int]
"""Seed, learning rate, step and layer."""
NONE_TAKEN = "no finished cell has probes: train nets with hidden layers, and probes=default"


def sound_content(record: CellRecord, name: str) -> bytes | None:
    """What a file of a finished cell holds; None if result.json names no such file.

    ValueError, saying why, where the file is not the one that result.json names.
    """
    expected = (record.result or {}).get("files", {}).get(name)
    return None if expected is None else verified(record.path / name, expected)


MAY_BE_ABSENT = ("weights.safetensors",)
"""What a record may name and a directory lack: weights are large, and often not carried along."""


def verified(path: Path, expected: str) -> bytes:
    """What a file holds that result.json names with this SHA-256; ValueError where it is not it.

    Nor is it where it is a table, and not made as one: one that was made by hand and sealed anew.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ValueError("it is missing, though result.json names it") from None
    except OSError as error:
        raise ValueError(f"it cannot be read ({error.strerror})") from None
    if hashlib.sha256(content).hexdigest() != expected:
        raise ValueError("its sha256 is not the one in result.json, so it was altered")
    check_rows(path.name, content)
    return content


def parsed_yaml(text: str) -> Any:
    """What YAML says, as `yaml.safe_load` reads it, but by libyaml where that is installed.

    ValueError, too, where it is nested deeper than `require_shallow` allows.
    """
    import yaml

    try:
        content = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    require_shallow(content)
    return content


def contents(directory: Path, files: Mapping[str, str]) -> Iterator[tuple[str, bytes | ValueError]]:
    """What each file holds that result.json names, or why it is not used; absent weights apart.

    `files`: their SHA-256 by name. One is read when it is asked for.
    """
    for name, expected in files.items():
        if name in MAY_BE_ABSENT and not (directory / name).exists():
            continue
        try:
            yield name, verified(directory / name, expected)
        except ValueError as reason:
            yield name, reason


def with_files_checked(record: CellRecord) -> CellRecord:
    """The record; that of a `damaged` cell where a file is not the one that result.json names."""
    files = (record.result or {}).get("files") or {}
    problems = tuple(
        f"{record.path.name}/{name} is not used: {found}"
        for name, found in contents(record.path, files)
        if isinstance(found, ValueError)
    )
    if not problems:
        return record
    return replace(record, status="damaged", result=None, problems=problems)


@dataclass(frozen=True)
class Reading:
    """One probe of one cell: a number at each place, None where the field is empty.

    `numbers` is None when there is no file to read, and `problem` says so if there should be one.
    """

    numbers: Mapping[Place, float | None] | None
    problem: str | None = None


def read_probe(record: CellRecord, probe: str) -> Reading:
    """What probes.csv of a cell holds of one probe. Never raises for what the file is or holds."""
    try:
        content = _content(record)
        return Reading(None if content is None else _column(content, probe))
    except ValueError as reason:
        return Reading(None, _problem(record, reason))


def probe_frame(study_dir: str | os.PathLike[str]) -> "pandas.DataFrame":
    """One row per seed, learning rate, step and layer of every finished cell, in that order.

    Columns: `cell` (directory), each factor, `seed`, `lr`, `status` of the replica, `chosen`
    (whether lr is the cell's chosen one), `step` (updates done; 0: initialization), `epoch` (whole
    epochs done), `layer` (from 1), and every probe of study.probes.names: shares are fractions,
    NaN was not measured or is not finite. A cell trained with probes=none has no rows; one whose
    probes.csv is missing or altered has none either, and a warning says so. Raises InputError when
    no cell has any.
    """
    import pandas

    ledger = read_ledger(study_dir)
    names = factor_names(ledger.cells)
    parts = []
    for record in require_finished(ledger, read_cells(ledger)):
        try:
            content = _content(record)
        except ValueError as reason:
            warnings.warn(_problem(record, reason), stacklevel=2)
            continue
        if content is not None:
            parts.append(_cell_columns(record, content, names))
    if not parts:
        raise InputError(f"{ledger.directory}: {NONE_TAKEN}")
    # As plain lists first: a factor that some cells lack gets the type it has in study.frame.
    columns = {name: [*itertools.chain(*(part[name] for part in parts))] for name in parts[0]}
    return pandas.DataFrame(columns)


def _cell_columns(
    record: CellRecord, content: bytes, names: Sequence[str]
) -> dict[str, Sequence[Any]]:
    """The rows of one cell with its factors, by column."""
    assert record.result is not None
    header, *rows = csv.reader(content.decode("utf-8").splitlines())
    texts = dict(zip(header, zip(*rows, strict=True), strict=True)) if rows else {}
    seeds, steps, epochs, layers = (
        [int(text) for text in texts.get(name, ())] for name in ("seed", "step", "epoch", "layer")
    )
    rates = [float(text) for text in texts.get("lr", ())]
    status = {(r["seed"], r["lr"]): r["status"] for r in record.result["replicas"]}
    empty = ("",) * len(rows)
    return {
        "cell": [record.directory] * len(rows),
        **{name: [record.factors.get(name)] * len(rows) for name in names},
        "seed": seeds,
        "lr": rates,
        "status": [status.get(replica) for replica in zip(seeds, rates, strict=True)],
        "chosen": [lr == record.result["chosen_lr"] for lr in rates],
        "step": steps,
        "epoch": epochs,
        "layer": layers,
        **{name: [float(text or "nan") for text in texts.get(name, empty)] for name in PROBES},
    }


def _column(content: bytes, probe: str) -> dict[Place, float | None]:
    """One probe by place; nothing where the file is older than the probe."""
    header, *rows = csv.reader(content.decode("utf-8").splitlines())
    if probe not in header:
        return {}
    seed, lr, step, layer, own = map(header.index, ("seed", "lr", "step", "layer", probe))
    return {
        (int(row[seed]), float(row[lr]), int(row[step]), int(row[layer])): _number(row[own])
        for row in rows
    }


def _problem(record: CellRecord, reason: ValueError) -> str:
    return f"{record.directory}/{FILE} is not used: {reason}"


def _number(text: str) -> float | None:
    return float(text) if text else None


def _content(record: CellRecord) -> bytes | None:
    """What a cell's probes.csv holds, None if it has none; ValueError if it is not sound."""
    return sound_content(record, FILE)
