"""Whether a finished cell's files are those of its record, and say what it says."""

import csv
import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from study.outputs.cell import CONTENT, best_name, by_replica, replica_name
from study.outputs.digests import tensors_sha256
from study.outputs.measurements import FILE as PROBES_FILE
from study.outputs.measurements import parsed_row, summary
from study.outputs.pairs import FILE as PAIRS
from study.outputs.pairs import num_points
from study.outputs.readings import contents
from study.outputs.records import CellRecord
from study.outputs.results import ReplicaResult
from study.proof.cell_identity import identity_problems
from study.proof.pairs_file import pair_problems
from study.proof.saved import parsed_config
from study.tasks import RECONSTRUCTION, recorded_task

WEIGHTS = "weights.safetensors"
CLOSE = 1e-4
"""An evaluation that is repeated in other batches gives the same loss to so much of it."""
Problem = tuple[str, str]
"""A file of the cell, and what is wrong with it."""


@dataclass(frozen=True)
class Files:
    """What a finished cell's files hold: those that are the ones its record names."""

    cell: CellRecord
    result: Mapping[str, Any]

    @property
    def named(self) -> Mapping[str, Any]:
        return dict(self.result.get("files") or {})

    @cached_property
    def sound(self) -> dict[str, bytes]:
        """The contents by name."""
        return {name: found for name, found in self._read.items() if isinstance(found, bytes)}

    @cached_property
    def unsound(self) -> list[Problem]:
        """The files that are not what the record says, each with the reason."""
        return [(name, str(why)) for name, why in self._read.items() if isinstance(why, ValueError)]

    @cached_property
    def _read(self) -> dict[str, bytes | ValueError]:
        return dict(contents(self.cell.path, self.named))

    @cached_property
    def chosen(self) -> list[Mapping[str, Any]]:
        """The replicas' entries at the chosen learning rate."""
        lr = self.result["chosen_lr"]
        return [entry for entry in self.result["replicas"] if entry["lr"] == lr]


def cell_problems(cell: CellRecord) -> Iterator[Problem]:
    """Everything in a finished cell's directory that does not fit its sound record."""
    assert cell.result is not None
    files = Files(cell, cell.result)
    foreign = [name for name in files.named if name not in CONTENT]
    if foreign:
        yield "result.json", f"it names {foreign[0]!r}, which is no file of a cell"
        return
    yield from files.unsound
    for name in CONTENT:
        if name not in files.named and (cell.path / name).exists():
            yield name, "result.json does not name it, so it is not of this training"
    for name, check in CHECKS.items():
        if name in files.sound:
            yield from _tried(name, check, files)


def _tried(
    name: str, check: Callable[[Files], Iterator[Problem]], files: Files
) -> Iterator[Problem]:
    """What a check finds; a file that it cannot read is a problem itself."""
    try:
        yield from check(files)
    except (ValueError, KeyError, TypeError, IndexError, ArithmeticError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        yield name, f"it cannot be read as such a file ({type(error).__name__}: {reason})"


def _config(files: Files) -> Iterator[Problem]:
    config = parsed_config(files.sound["config.yaml"])
    yield from identity_problems(files.cell, config)
    if num_points(config) and PAIRS not in files.named:
        yield "result.json", f"it names no {PAIRS}, though pairs.points={num_points(config)}"


def _curves(files: Files) -> Iterator[Problem]:
    """The epochs of each replica, its best one, and the record's validation numbers there."""
    text = files.sound["curves.csv"].decode("utf-8")
    rows: dict[str, list[dict[str, str]]] = {}
    for row in csv.DictReader(io.StringIO(text, newline="")):
        rows.setdefault(replica_name(int(row["seed"]), float(row["lr"])), []).append(row)
    names = [replica_name(entry["seed"], entry["lr"]) for entry in files.result["replicas"]]
    if set(rows) != set(names):
        yield "curves.csv", "its replicas are not those of result.json"
        return
    for name, entry in zip(names, files.result["replicas"], strict=True):
        for what in _curve(rows[name], entry):
            yield "curves.csv", f"{name}: {what}"


def _curve(rows: Sequence[Mapping[str, str]], entry: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with one replica's rows."""
    if [int(row["epoch"]) for row in rows] != list(range(len(rows))):
        yield "its epochs do not follow each other from 0"
        return
    val = [(_number(row["val_error"]), _number(row["val_loss"])) for row in rows]
    places = {"last_": len(rows) - 1}
    if entry["best_epoch"] is not None:
        best = min(range(1, len(rows)), key=val.__getitem__, default=0)
        if best != entry["best_epoch"]:
            yield f"its best epoch is {best}, and result.json says {entry['best_epoch']}"
        places[""] = best
    for prefix, place in places.items():
        for name, value in zip(("val_error", "val_loss"), val[place], strict=True):
            if not _close(value, entry[prefix + name]):
                recorded = entry[prefix + name]
                yield f"{name} of epoch {place} is {value:g}, and result.json says {recorded}"


def _number(text: str) -> float:
    """A field; infinite where it is empty, as what is not finite is written."""
    return float(text or "inf")


def _close(value: float, recorded: float | None) -> bool:
    if recorded is None or not math.isfinite(value):
        return recorded is None and not math.isfinite(value)
    return math.isclose(value, recorded, rel_tol=CLOSE, abs_tol=1e-9)


def _predictions(files: Files) -> Iterator[Problem]:
    """The seeds and learning rate, and the test error that predictions and labels give."""
    import numpy as np

    with np.load(io.BytesIO(files.sound["predictions.npz"]), allow_pickle=False) as arrays:
        stored, seeds, lr = arrays["predictions"], arrays["seeds"], float(arrays["lr"])
        labels = arrays.get("labels")
    entries = {entry["seed"]: entry for entry in files.chosen}
    if lr != files.result["chosen_lr"] or set(seeds.tolist()) != set(entries):
        yield "predictions.npz", "its seeds or learning rate are not those that were chosen"
    elif labels is not None and recorded_task(files.result) != RECONSTRUCTION:
        for seed, row in zip(seeds.tolist(), stored, strict=True):
            error = float((row != labels).mean())
            if not math.isclose(error, entries[seed]["test_error"], rel_tol=1e-6, abs_tol=1e-9):
                recorded = entries[seed]["test_error"]
                yield (
                    "predictions.npz",
                    f"seed {seed} has test error {error:g}, and result.json says {recorded:g}",
                )


def _probes(files: Files) -> Iterator[Problem]:
    """The means at the first and the last moment that the record quotes."""
    rows = csv.DictReader(io.StringIO(files.sound[PROBES_FILE].decode("utf-8"), newline=""))
    best = {
        entry["seed"]: ReplicaResult(entry["seed"], entry["lr"], {}, []) for entry in files.chosen
    }
    lr = files.result["chosen_lr"]
    for row in rows:
        if float(row["lr"]) == lr:
            best[int(row["seed"])].probes.append(parsed_row(row))
    means = summary([best[seed] for seed in sorted(best)])
    if _with_numbers(means) != _with_numbers(files.result["probes"]):
        yield PROBES_FILE, "its means are not the probes that result.json says"


def _with_numbers(moments: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The probes with a number in some layer: a file cannot tell what is not finite from none."""
    return {
        moment: {name: values for name, values in probes.items() if _has_number(values)}
        for moment, probes in moments.items()
    }


def _has_number(values: Any) -> bool:
    return not isinstance(values, list) or any(value is not None for value in values)


def _pairs(files: Files) -> Iterator[Problem]:
    """The pairs, their points, and the losses of their ends, where the configuration is known."""
    if "config.yaml" not in files.sound:
        return
    config = parsed_config(files.sound["config.yaml"])
    text = files.sound[PAIRS].decode("utf-8")
    for what in pair_problems(text, files.chosen, config):
        yield PAIRS, what


def _weights(files: Files) -> Iterator[Problem]:
    """The hashes of each kept replica's weights, at its last epoch and at its best."""
    from safetensors.numpy import load

    kept = by_replica(load(files.sound[WEIGHTS]))
    recorded: dict[str, str | None] = {}
    for entry in files.result["replicas"]:
        last, best = replica_name(entry["seed"], entry["lr"]), best_name(entry)
        recorded |= {best: entry.get("best_weights_sha256"), last: entry["weights_sha256"]}
        if last in kept and best not in kept and recorded[best] not in (None, recorded[last]):
            yield WEIGHTS, f"it lacks {best}, which result.json says are not the last weights"
    for name, state in kept.items():
        if name != "normalization" and tensors_sha256(state) != recorded.get(name):
            yield WEIGHTS, f"{name} has not the hash of its weights that result.json says"


CHECKS: dict[str, Callable[[Files], Iterator[Problem]]] = {
    "config.yaml": _config,
    "curves.csv": _curves,
    "predictions.npz": _predictions,
    PROBES_FILE: _probes,
    PAIRS: _pairs,
    WEIGHTS: _weights,
}
