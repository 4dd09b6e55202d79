"""Files of finished cells, read only where they are those that result.json names; probes.csv."""

import csv
import hashlib
import itertools
import math
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.errors import InputError
from study.files import TOO_DEEP, finite, require_shallow, write_csv
from study.outputs.metrics import PROJECTS, ROW
from study.outputs.records import (
    CellRecord,
    factor_names,
    read_cells,
    read_ledger,
    require_finished,
)
from study.outputs.results import Moment, Moments, TrainedReplica
from study.outputs.schema import (
    CURVES_FILE,
    PAIRS_COLUMNS,
    PAIRS_FILE,
    PROBES_FILE,
    WEIGHTS_FILE,
    WHOLE,
    Row,
    check_rows,
)

if TYPE_CHECKING:
    import pandas

RETIRED = ("compare", "margin", "targets")
"""Keys of `report` that configurations were saved with and that no longer exist."""


def parsed_rows(name: str, content: bytes) -> list[Row]:
    """The rows of a curves.csv, probes.csv or pairs.csv, as `name` is called, with this content.

    An empty field is NaN, of probes.csv None: it was not measured, or is not finite.
    """
    empty = None if name == PROBES_FILE else math.nan
    header, *lines = csv.reader(content.decode("utf-8").splitlines())
    kinds = [int if column in WHOLE else float for column in header]
    return [
        {
            column: kind(text) if text else empty
            for column, kind, text in zip(header, kinds, line, strict=True)
        }
        for line in lines
    ]


def read_curves(directory: Path) -> list[Row]:
    """The rows of curves.csv, a replica's epoch each."""
    return parsed_rows(CURVES_FILE, (directory / CURVES_FILE).read_bytes())


def read_probes(directory: Path) -> list[Row]:
    """The rows of probes.csv, a replica's layer at a moment each; none without the file."""
    path = directory / PROBES_FILE
    return parsed_rows(PROBES_FILE, path.read_bytes()) if path.exists() else []


def read_pairs(directory: Path) -> list[Row]:
    """The rows of pairs.csv, a point of a line each; none without the file."""
    path = directory / PAIRS_FILE
    return parsed_rows(PAIRS_FILE, path.read_bytes()) if path.exists() else []


# probes.csv: what was measured inside the networks of a cell.


def write_probes(directory: Path, results: Iterable[TrainedReplica]) -> None:
    """A row for each replica, moment and layer, if there is one; what was not measured is empty."""
    results = list(results)
    names = _taken(row for result in results for row in result.probes)
    empty = dict.fromkeys(names)
    rows = [
        {**empty, **row, "seed": result.seed, "lr": result.lr}
        for result in results
        for row in result.probes
    ]
    if rows:
        write_csv(directory / PROBES_FILE, (*ROW, *names), rows)


def _taken(columns: Iterable[Iterable[str]]) -> list[str]:
    """The project's probes, then what else is among these columns: a user's own."""
    found = dict.fromkeys(itertools.chain(PROJECTS, *columns))
    return [name for name in found if name not in ROW]


def summary(chosen: Sequence[TrainedReplica]) -> Moments:
    """The probes of a cell at the first and the last moment: means over the replicas.

    None where a number is not finite for one of them or was not taken.
    """
    probed = [result.probes for result in chosen if result.probes]
    if not probed:
        return Moments()
    names, moments = _taken(row for rows in probed for row in rows), []
    for step in (probed[0][0]["step"], probed[0][-1]["step"]):
        replicas = [[row for row in rows if row["step"] == step] for rows in probed]
        means = {}
        for name in names:
            by_layer = [[row.get(name) for row in rows] for rows in zip(*replicas, strict=True)]
            if any(value is not None for values in by_layer for value in values):
                means[name] = tuple(_mean(values) for values in by_layer)
        moments.append(Moment(step, means))
    return Moments(*moments)


def _mean(values: Sequence[float | None]) -> float | None:
    numbers = [value for value in values if finite(value) is not None and value is not None]
    if len(numbers) < len(values):
        return None
    return float(f"{sum(numbers) / len(numbers):.7g}")


Place = tuple[int, float, int, int]
"""Seed, learning rate, step and layer."""
NONE_TAKEN = "no finished cell has probes: train nets with hidden layers, and probes=default"


def sound_content(record: CellRecord, name: str) -> bytes | None:
    """What a file of a finished cell holds; None if result.json names no such file.

    ValueError, saying why, where the file is not the one that result.json names.
    """
    expected = record.result.files.get(name) if record.result else None
    return None if expected is None else verified(record.path / name, expected)


MAY_BE_ABSENT = (WEIGHTS_FILE,)
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


def parsed_config(content: bytes) -> dict[str, Any]:
    """What a config.yaml holds; ValueError if that is not a configuration."""
    import yaml

    try:
        config = parsed_yaml(content.decode())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"it is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(config, dict):
        raise ValueError("it holds no keys")
    if isinstance(report := config.get("report"), dict):
        for name in RETIRED:
            report.pop(name, None)
    return config


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
    files = record.result.files if record.result else {}
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
        content = sound_content(record, PROBES_FILE)
        if content is None:
            return Reading(None)
        header, *rows = csv.reader(content.decode("utf-8").splitlines())
        if probe not in header:
            return Reading({})  # The file is older than the probe.
        seed, lr, step, layer, own = map(header.index, ("seed", "lr", "step", "layer", probe))
        return Reading(
            {
                (int(row[seed]), float(row[lr]), int(row[step]), int(row[layer])): (
                    float(row[own]) if row[own] else None
                )
                for row in rows
            }
        )
    except ValueError as reason:
        return Reading(None, _problem(record, reason))


def probe_frame(study_dir: str | os.PathLike[str]) -> "pandas.DataFrame":
    """One row per seed, learning rate, step and layer of every finished cell, in that order.

    Columns: `cell` (directory), each factor, `seed`, `lr`, `status` of the replica, `chosen`
    (whether lr is the cell's chosen one), `step` (updates done; 0: initialization), `epoch` (whole
    epochs done), `layer` (from 1), and every probe of study.outputs.metrics and of folders of
    levels: shares are fractions, NaN was not measured or is not finite. A cell trained with
    probes=none has no rows; one whose probes.csv is missing or altered has none either, and a
    warning says so. Raises InputError when no cell has any.
    """
    import pandas

    ledger = read_ledger(study_dir)
    names = factor_names(ledger.cells)
    found = []
    for record in require_finished(ledger, read_cells(ledger)):
        try:
            content = sound_content(record, PROBES_FILE)
        except ValueError as reason:
            warnings.warn(_problem(record, reason), stacklevel=2)
            continue
        if content is not None:
            found.append((record, list(csv.reader(content.decode("utf-8").splitlines()))))
    if not found:
        raise InputError(f"{ledger.directory}: {NONE_TAKEN}")
    probes = _taken(lines[0] for _, lines in found)
    parts = [_cell_columns(record, lines, names, probes) for record, lines in found]
    # As plain lists first: a factor that some cells lack gets the type it has in study.frame.
    columns = {name: [*itertools.chain(*(part[name] for part in parts))] for name in parts[0]}
    return pandas.DataFrame(columns)


def _cell_columns(
    record: CellRecord, lines: list[list[str]], names: Sequence[str], probes: Sequence[str]
) -> dict[str, Sequence[Any]]:
    """The rows of one cell with its factors, by column."""
    header, *rows = lines
    texts = dict(zip(header, zip(*rows, strict=True), strict=True)) if rows else {}
    seeds, steps, epochs, layers = (
        [int(text) for text in texts.get(name, ())] for name in ("seed", "step", "epoch", "layer")
    )
    rates = [float(text) for text in texts.get("lr", ())]
    status = {(replica.seed, replica.lr): replica.status for replica in record.finished.replicas}
    empty = ("",) * len(rows)
    return {
        "cell": [record.directory] * len(rows),
        **{name: [record.factors.get(name)] * len(rows) for name in names},
        "seed": seeds,
        "lr": rates,
        "status": [status.get(replica) for replica in zip(seeds, rates, strict=True)],
        "chosen": [lr == record.finished.chosen_lr for lr in rates],
        "step": steps,
        "epoch": epochs,
        "layer": layers,
        **{name: [float(text or "nan") for text in texts.get(name, empty)] for name in probes},
    }


def _problem(record: CellRecord, reason: ValueError) -> str:
    return f"{record.directory}/{PROBES_FILE} is not used: {reason}"


# pairs.csv: the straight line between the trained networks of neighbouring seeds.


def neighbours(seeds: Iterable[int]) -> list[tuple[int, int]]:
    """Each seed with the next one, the last with the first; of two seeds a single pair."""
    ordered = sorted(seeds)
    pairs = list(zip(ordered, [*ordered[1:], *ordered[:1]], strict=True))
    return pairs[: len(ordered) * (len(ordered) - 1) // 2]


def write_pairs(directory: Path, rows: Sequence[Row]) -> None:
    """The rows, if there are any; a number that is not finite is left empty."""
    if rows:
        write_csv(directory / PAIRS_FILE, PAIRS_COLUMNS, rows)


def by_pair(rows: Iterable[Row]) -> dict[int, list[Row]]:
    """The rows of each pair along its line, by its first seed."""
    found: dict[int, list[Row]] = {}
    for row in rows:
        found.setdefault(row["seed"], []).append(row)
    return found


def barrier(line: Sequence[Row], column: str) -> float:
    """How far a loss or an error rises above the straight line between its ends, 0 at least.

    max over alpha of L((1 - alpha) w + alpha w') - [(1 - alpha) L(w) + alpha L(w')] (Entezari et
    al. 2022, section 2; Frankle et al. 2020 subtract the mean of the ends). NaN where one is.
    """
    values = [row[column] for row in line]
    if not all(map(math.isfinite, values)):
        return math.nan
    first, last = values[0], values[-1]
    straight = [first + row["alpha"] * (last - first) for row in line[1:-1]]
    return max([0.0, *(v - s for v, s in zip(values[1:-1], straight, strict=True))])
