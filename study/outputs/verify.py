"""`study verify`: whether a study's files are whole, without training and without PyTorch."""

import csv
import hashlib
import io
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from study.config.configuration import (
    RECIPE,
    RECONSTRUCTION,
    directory_name,
    factors,
    flatten,
    signature,
    with_fingerprint,
)
from study.config.keys import GROUPS, KEYS
from study.config.labels import counted
from study.console import Parser, as_path, command, run_as_command, show
from study.errors import InputError
from study.outputs.cell import CONTENT, best_name, by_replica, replica_name
from study.outputs.checkpoint import read_weights, tensors_sha256
from study.outputs.clean import leftovers
from study.outputs.records import CellRecord, Ledger, read_cells, read_ledger, stale_directories
from study.outputs.results import (
    Moments,
    ReplicaResult,
    Result,
    TrainedReplica,
    choose_lr,
    edge,
    own_config,
)
from study.outputs.schema import PAIRS_FILE as PAIRS
from study.outputs.schema import PROBES_FILE, read_sealed
from study.outputs.series import (
    MAY_BE_ABSENT,
    by_pair,
    contents,
    neighbours,
    num_points,
    parsed_config,
    parsed_rows,
    summary,
)

# Whether a finished cell is what its configuration, its directory and the ledger say it is.


def identity_problems(cell: CellRecord, config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(file, what is wrong) wherever record, configuration, directory and ledger do not agree."""
    result = cell.finished
    yield from _record_problems(cell, result)
    unknown = [name for name, _ in flatten(config) if name not in KEYS]
    if unknown:
        yield "config.yaml", f"it has a key that this version has not: {unknown[0]}"
        return
    yield from _replica_problems(result, config)
    if result.provenance.recipe == RECIPE:
        yield from _signature_problems(cell, result, dict(config))


def _record_problems(cell: CellRecord, result: Result) -> Iterator[tuple[str, str]]:
    """What a record alone, its directory's name and the ledger contradict."""
    if result.factors != cell.factors:
        yield "result.json", "its factors are not those of study.json"
    if not cell.directory.endswith(result.signature[:8]):
        yield "result.json", "the directory's name does not end with its signature's first 8 digits"
    best = choose_lr(result.replicas)
    if best != result.chosen_lr:
        yield (
            "result.json",
            f"its numbers choose the learning rate {best:g}, it says {result.chosen_lr:g}",
        )
    elif edge(best, result.rates) != result.edge:
        yield "result.json", "chosen_lr_at_edge does not fit its learning rates"


def _replica_problems(result: Result, config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Whether every seed was trained at every learning rate."""
    asked = {(seed, lr) for seed in config["seeds"] for lr in config["optimizer"]["lr"]}
    if asked != {(each.seed, each.lr) for each in result.replicas}:
        yield "result.json", "its replicas are not the seeds and learning rates of config.yaml"


def _signature_problems(
    cell: CellRecord,
    result: Result,
    config: dict[str, Any],
) -> Iterator[tuple[str, str]]:
    """Whether signature, factors and directory are those that the configuration gives.

    With levels of the versions that trained the cell, whatever they are by now.
    """
    fingerprint = result.provenance.data_fingerprint
    signed = partial(signature, config, fingerprint, versions=result.provenance.levels)
    if signed() != result.signature:
        yield "config.yaml", "its signature is not the one of result.json"
        return
    if result.config != own_config(config):
        yield "result.json", "its config is not that of config.yaml"
    if signed(without_seeds=True) != result.family:
        yield "result.json", "its family is not its signature without seeds"
    named = result.factors
    choices = {group: str(named[group]).partition(" ")[0] for group in GROUPS}
    try:
        again = factors(config, choices, {name for name in named if "." in name})
    except (OSError, InputError):
        # A level whose file is no more: its defaults are not known.
        return
    if with_fingerprint(again, config, fingerprint) != named:
        yield "result.json", "its factors are not those of config.yaml"
    if directory_name(choices, result.signature) != cell.directory:
        yield "config.yaml", "the directory has not the name that its levels give"


# Whether pairs.csv holds the pairs of a finished cell, and fits its record.


CLOSE = 1e-4
"""A network that is evaluated again, in other batches, has the same loss to so much of it."""
EXACT = ("32-true", "64-true")
"""The precisions of training in which its evaluations are those of pairs.csv."""


def pair_problems(
    content: bytes, chosen: Sequence[ReplicaResult], config: Mapping[str, Any]
) -> Iterator[str]:
    """What is wrong with a pairs.csv that holds this; `chosen` are the replicas it is about."""
    lines = by_pair(parsed_rows(PAIRS, content))
    entries = {entry.seed: entry for entry in chosen}
    rates = {row["lr"] for line in lines.values() for row in line}
    found = [(seed, line[0]["other_seed"]) for seed, line in lines.items()]
    if found != neighbours(entries) or rates != {entry.lr for entry in chosen}:
        yield "its pairs are not the neighbouring seeds at the chosen learning rate"
        return
    points = num_points(config)
    evenly = [index / (points - 1) for index in range(points)] if points > 1 else []
    for seed, line in lines.items():
        if [row["alpha"] for row in line] != evenly:
            yield f"seed {seed}: its points are not the {points} of pairs.points"
        elif any(row["other_seed"] != line[0]["other_seed"] for row in line):
            yield f"seed {seed}: its line has several ends"
        elif _has_statistics_of_training(config):
            yield from _ends(line, entries)


def _has_statistics_of_training(config: Mapping[str, Any]) -> bool:
    """Whether the ends are evaluated as training evaluated them; BatchNorm's statistics are not."""
    is_plain = config.get("norm", {}).get("name") == "none"
    return is_plain and config.get("trainer", {}).get("precision") in EXACT


def _ends(line: Sequence[Mapping[str, Any]], entries: Mapping[int, ReplicaResult]) -> Iterator[str]:
    """Whether the ends have the test losses of their last epochs."""
    for row, end in ((line[0], "seed"), (line[-1], "other_seed")):
        recorded = entries[line[0][end]].last_test_loss
        expected = math.inf if recorded is None else recorded
        if math.isfinite(row["test_loss"]) != math.isfinite(expected) or (
            math.isfinite(expected)
            and not math.isclose(row["test_loss"], expected, rel_tol=CLOSE, abs_tol=1e-9)
        ):
            yield (
                f"seed {line[0][end]} has test loss {row['test_loss']:g} at an end of a line, and "
                f"result.json says {recorded}"
            )


# Whether a finished cell's files are those of its record, and say what it says.


WEIGHTS = "weights.safetensors"
Problem = tuple[str, str]
"""A file of the cell, and what is wrong with it."""


@dataclass(frozen=True)
class Files:
    """What a finished cell's files hold: those that are the ones its record names."""

    cell: CellRecord
    result: Result

    @property
    def named(self) -> Mapping[str, str]:
        return self.result.files

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


def cell_problems(cell: CellRecord) -> Iterator[Problem]:
    """Everything in a finished cell's directory that does not fit its sound record."""
    files = Files(cell, cell.finished)
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
    names = [replica_name(entry.seed, entry.lr) for entry in files.result.replicas]
    if set(rows) != set(names):
        yield "curves.csv", "its replicas are not those of result.json"
        return
    for name, entry in zip(names, files.result.replicas, strict=True):
        for what in _curve(rows[name], entry):
            yield "curves.csv", f"{name}: {what}"


def _curve(rows: Sequence[Mapping[str, str]], entry: ReplicaResult) -> Iterator[str]:
    """What is wrong with one replica's rows."""
    if [int(row["epoch"]) for row in rows] != list(range(len(rows))):
        yield "its epochs do not follow each other from 0"
        return
    val = [(_number(row["val_error"]), _number(row["val_loss"])) for row in rows]
    places = {"last_": len(rows) - 1}
    if entry.best_epoch is not None:
        best = min(range(1, len(rows)), key=val.__getitem__, default=0)
        if best != entry.best_epoch:
            yield f"its best epoch is {best}, and result.json says {entry.best_epoch}"
        places[""] = best
    for prefix, place in places.items():
        for name, value in zip(("val_error", "val_loss"), val[place], strict=True):
            recorded = getattr(entry, prefix + name)
            if not _close(value, recorded):
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
        labels = arrays["labels"]
    entries = {entry.seed: entry for entry in files.result.chosen}
    if lr != files.result.chosen_lr or set(seeds.tolist()) != set(entries):
        yield "predictions.npz", "its seeds or learning rate are not those that were chosen"
    elif files.result.task != RECONSTRUCTION:
        for seed, row in zip(seeds.tolist(), stored, strict=True):
            error = float((row != labels).mean())
            recorded = entries[seed].test_error
            if recorded is None or not math.isclose(error, recorded, rel_tol=1e-6, abs_tol=1e-9):
                yield (
                    "predictions.npz",
                    f"seed {seed} has test error {error:g}, and result.json says {recorded}",
                )


def _probes(files: Files) -> Iterator[Problem]:
    """The means at the first and the last moment that the record quotes."""
    best = {entry.seed: TrainedReplica(entry, []) for entry in files.result.chosen}
    lr = files.result.chosen_lr
    for row in parsed_rows(PROBES_FILE, files.sound[PROBES_FILE]):
        if row["lr"] == lr:
            best[row["seed"]].probes.append(dict(row))
    means = summary([best[seed] for seed in sorted(best)])
    if _with_numbers(means) != _with_numbers(files.result.probes):
        yield PROBES_FILE, "its means are not the probes that result.json says"


def _with_numbers(moments: Moments) -> list[tuple[int, dict[str, Sequence[float | None]]]]:
    """The probes with a number in some layer: a file cannot tell what is not finite from none."""
    return [
        (at.step, {name: values for name, values in at.layers.items() if set(values) != {None}})
        for at in (moments.start, moments.end)
        if at
    ]


def _pairs(files: Files) -> Iterator[Problem]:
    """The pairs, their points, and the losses of their ends, where the configuration is known."""
    if "config.yaml" not in files.sound:
        return
    config = parsed_config(files.sound["config.yaml"])
    for what in pair_problems(files.sound[PAIRS], files.result.chosen, config):
        yield PAIRS, what


def _weights(files: Files) -> Iterator[Problem]:
    """The hashes of each kept replica's weights, at its last epoch and at its best."""
    from safetensors.numpy import load

    kept = by_replica(load(files.sound[WEIGHTS]))
    recorded: dict[str, str | None] = {}
    for entry in files.result.replicas:
        last = replica_name(entry.seed, entry.lr)
        best = best_name(entry.seed, entry.lr, entry.best_epoch)
        recorded |= {best: entry.best_weights_sha256, last: entry.weights_sha256}
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


# What lies in a study's directory beside its cells: whether it is whole, and what is left over.


def study_problems(ledger: Ledger, cells: Sequence[CellRecord]) -> Iterator[Problem]:
    """Everything wrong with the ledger, the preflight and the kept pretraining of a study.

    And every finished cell that started from other pretrained weights than the kept ones.
    """
    yield from _ledger_problems(ledger)
    yield from _preflight_problems(ledger.directory / "preflight.json")
    kept: dict[tuple[str, str], str] = {}
    for path in sorted(ledger.directory.glob("pretraining/*/seed=*.safetensors")):
        try:
            header, digest = read_pretrained(path)
        except (OSError, ValueError) as reason:
            yield str(path.relative_to(ledger.directory)), str(reason)
        else:
            kept[header["signature"], header["seed"]] = digest
    for cell in cells:
        for seed, digest in _started_from(cell).items():
            if kept.get(seed, digest) != digest:
                name = f"{cell.directory}/result.json"
                yield name, f"the kept pretrained weights of seed {seed[1]} are not its own"


def _started_from(cell: CellRecord) -> dict[tuple[str, str], str]:
    """By signature and seed the hash of the pretrained weights that a cell started from."""
    found = cell.result and cell.result.pretraining
    hashes = found.weights_sha256 if found else {}
    return {(found.signature, seed): digest for seed, digest in hashes.items()} if found else {}


def _ledger_problems(ledger: Ledger) -> Iterator[Problem]:
    experiment: Any = ledger.experiment
    if experiment is None:
        return
    text = experiment.get("text")
    if not isinstance(text, str) or _sha256(text) != experiment.get("sha256"):
        yield "study.json", "the experiment's text has not the sha256 beside it"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _preflight_problems(path: Path) -> Iterator[Problem]:
    if not path.exists():
        return
    try:
        read_sealed(path)
    except (OSError, ValueError) as reason:
        yield path.name, str(reason)


def read_pretrained(path: Path) -> tuple[dict[str, str], str]:
    """The header of a file of pretrained weights, and their hash; ValueError if it is not whole."""
    header, state = read_weights(path)
    if not path.parent.name.endswith(f"-{header.get('signature', '')[:8]}"):
        raise ValueError("it is of another pretraining than its directory")
    return header, tensors_sha256(state)


DESCRIPTION = """Checks the integrity of studies without training.

  study verify outputs/quickstart

Schemas, hashes and seals, signatures against configurations, records against curves, predictions
and weights, pretrained weights, the preflight. Exit status 1 if anything is wrong."""


@dataclass(frozen=True)
class Verified:
    """What was found: `problems`, a line each, and how many cells were whole."""

    study: Path
    num_cells: int
    num_finished: int
    problems: list[str]
    remarks: list[str] = field(default_factory=list)


def main(arguments: Sequence[str]) -> int:
    """Runs the command; returns its exit status, 1 if a file is not what it should be."""
    parser = Parser("study verify", DESCRIPTION)
    parser.add_argument(
        "studies", nargs="+", type=as_path, metavar="study", help="as outputs/quickstart"
    )
    options = parser.parse_args(list(arguments))
    found = [verify(read_ledger(study)) for study in options.studies]
    for each in found:
        for line in (*each.problems, *each.remarks, _summary(each)):
            show(line)
    return int(any(each.problems for each in found))


def verify(ledger: Ledger) -> Verified:
    """Reads every file that a study's ledger stands for."""
    cells = read_cells(ledger)
    problems = [
        f"{ledger.directory / file}: {what}" for file, what in study_problems(ledger, cells)
    ]
    for cell in cells:
        problems += _of_cell(cell)
    finished = [cell for cell in cells if cell.result]
    return Verified(
        ledger.directory, len(cells), len(finished), problems, [*_remarks(ledger, cells)]
    )


def _of_cell(cell: CellRecord) -> list[str]:
    if cell.result is None:
        return [f"{cell.path.parent / problem}" for problem in cell.problems]
    try:
        return [f"{cell.path / file}: {what}" for file, what in cell_problems(cell)]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        return [f"{cell.path / 'result.json'}: it is not made as a record is ({reason})"]


def _remarks(ledger: Ledger, cells: Sequence[CellRecord]) -> Iterator[str]:
    """What is no damage, and should be known."""
    states = Counter(cell.status for cell in cells if not cell.result and not cell.problems)
    if states:
        words = ", ".join(f"{number} {state}" for state, number in states.items())
        yield f"not finished: {words}; see {command('status', ledger.directory)}"
    absent = sum(
        name in cell.result.files and not (cell.path / name).exists()
        for cell in cells
        if cell.result
        for name in MAY_BE_ABSENT
    )
    if absent:
        yield f"not checked: the weights of {counted(absent, 'cell')}, which are not here"
    if stale := stale_directories(ledger):
        yield f"not checked: {counted(len(stale), 'cell')} that study.json does not list"
    if found := leftovers(ledger, cells):
        words = counted(len(found), "left-over")
        yield f"{words}, which harm nothing; {command('clean', ledger.directory)} lists them"


def _summary(found: Verified) -> str:
    whole = f"{found.num_finished} of {counted(found.num_cells, 'cell')} finished"
    if not found.problems:
        return f"{found.study}: {whole}, and every file is whole"
    return f"{found.study}: {whole}, {counted(len(found.problems), 'problem')}"


if __name__ == "__main__":
    run_as_command("verify")
