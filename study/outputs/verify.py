"""`study verify`: whether a study's files are whole, without training and without PyTorch."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from study.config.configuration import (
    RECIPE,
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
from study.outputs.cell import CONTENT
from study.outputs.checkpoint import read_weights, tensors_sha256
from study.outputs.clean import leftovers
from study.outputs.records import CellRecord, Ledger, read_cells, read_ledger, stale_directories
from study.outputs.results import choose_lr, own_config
from study.outputs.schema import CONFIG_FILE, LEDGER_FILE, RESULT_FILE, read_sealed
from study.outputs.series import MAY_BE_ABSENT, contents, parsed_config

# Whether a finished cell is what its configuration, its directory and the ledger say it is.


def identity_problems(cell: CellRecord, config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(file, what is wrong) wherever record, configuration, directory and ledger do not agree."""
    result = cell.finished
    if result.factors != cell.factors:
        yield RESULT_FILE, "its factors are not those of study.json"
    if not cell.directory.endswith(result.signature[:8]):
        yield RESULT_FILE, "the directory's name does not end with its signature's first 8 digits"
    if (best := choose_lr(result.replicas)) != result.chosen_lr:
        yield (
            RESULT_FILE,
            f"its numbers choose the learning rate {best:g}, it says {result.chosen_lr:g}",
        )
    # A folder of levels that is not named now may have brought keys to the groups of its levels.
    brought = {re.split("[.=]", level)[0] for level in result.provenance.levels}
    names = [name for name, _ in flatten(config) if name.partition(".")[0] not in brought]
    unknown = [name for name in names if name not in KEYS]
    if unknown:
        yield CONFIG_FILE, f"it has a key that this version has not: {unknown[0]}"
        return
    asked = {(seed, lr) for seed in config["seeds"] for lr in config["optimizer"]["lr"]}
    if asked != {(each.seed, each.lr) for each in result.replicas}:
        yield RESULT_FILE, "its replicas are not the seeds and learning rates of config.yaml"
    if result.provenance.recipe != RECIPE:
        return
    # With levels of the versions that trained the cell, whatever they are by now.
    fingerprint = result.provenance.data_fingerprint
    signed = partial(signature, config, fingerprint, versions=result.provenance.levels)
    if signed() != result.signature:
        yield CONFIG_FILE, "its signature is not the one of result.json"
        return
    if result.config != own_config(config):
        yield RESULT_FILE, "its config is not that of config.yaml"
    if signed(without_seeds=True) != result.family:
        yield RESULT_FILE, "its family is not its signature without seeds"
    named = result.factors
    choices = {group: str(named[group]).partition(" ")[0] for group in GROUPS}
    try:
        again = factors(config, choices, {*named} - {*GROUPS})
    except (OSError, InputError):
        # A level whose file is no more: its defaults are not known.
        return
    if with_fingerprint(again, config, fingerprint) != named:
        yield RESULT_FILE, "its factors are not those of config.yaml"
    if directory_name(choices, result.signature) != cell.directory:
        yield CONFIG_FILE, "the directory has not the name that its levels give"


# Whether a finished cell's files are those of its record.


Problem = tuple[str, str]
"""A file of the cell, and what is wrong with it."""


def cell_problems(cell: CellRecord) -> Iterator[Problem]:
    """Everything in a finished cell's directory that does not fit its sound record.

    A file whose sha256 is the record's says what it said when the record was sealed, so that its
    numbers are not compared with the record's again.
    """
    named = cell.finished.files
    if foreign := [name for name in named if name not in CONTENT]:
        yield RESULT_FILE, f"it names {foreign[0]!r}, which is no file of a cell"
        return
    for name in CONTENT:
        if name not in named and (cell.path / name).exists():
            yield name, "result.json does not name it, so it is not of this training"
    for name, content in contents(cell.path, named):
        if isinstance(content, ValueError):
            yield name, str(content)
        elif name == CONFIG_FILE:
            try:
                yield from identity_problems(cell, parsed_config(content))
            except (ValueError, KeyError, TypeError) as error:
                reason = " ".join(str(error).split()) or type(error).__name__
                yield name, f"it cannot be read as a configuration ({reason})"


# What lies in a study's directory beside its cells: whether it is whole, and what is left over.


def study_problems(ledger: Ledger, cells: Sequence[CellRecord]) -> Iterator[Problem]:
    """Everything wrong with the ledger, the preflight and the kept pretraining of a study.

    And every finished cell that started from other pretrained weights than the kept ones.
    """
    experiment: Any = ledger.experiment
    if experiment is not None:
        text = experiment.get("text")
        digest = hashlib.sha256(text.encode()).hexdigest() if isinstance(text, str) else None
        if digest != experiment.get("sha256"):
            yield LEDGER_FILE, "the experiment's text has not the sha256 beside it"
    preflight = ledger.directory / "preflight.json"
    try:
        if preflight.exists():
            read_sealed(preflight)
    except (OSError, ValueError) as reason:
        yield preflight.name, str(reason)
    kept: dict[tuple[str, str], str] = {}
    for path in sorted(ledger.directory.glob("pretraining/*/seed=*.safetensors")):
        try:
            header, digest = read_pretrained(path)
        except (OSError, ValueError) as reason:
            yield str(path.relative_to(ledger.directory)), str(reason)
        else:
            kept[header["signature"], header["seed"]] = digest
    for cell in cells:
        started = cell.result.pretraining if cell.result else None
        if started is None:
            continue
        for seed, digest in started.weights_sha256.items():
            if kept.get((started.signature, seed), digest) != digest:
                name = f"{cell.directory}/result.json"
                yield name, f"the kept pretrained weights of seed {seed} are not its own"


def read_pretrained(path: Path) -> tuple[dict[str, str], str]:
    """The header of a file of pretrained weights, and their hash; ValueError if it is not whole."""
    header, state = read_weights(path)
    if not path.parent.name.endswith(f"-{header.get('signature', '')[:8]}"):
        raise ValueError("it is of another pretraining than its directory")
    return header, tensors_sha256(state)


DESCRIPTION = """Checks the integrity of studies without training.

  study verify outputs/quickstart

Schemas and seals of records, hashes of their files, signatures against configurations, pretrained
weights, the preflight. Exit status 1 if anything is wrong."""


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
        for line in (*each.problems, *each.remarks):
            show(line)
        many = counted(len(each.problems), "problem")
        state = many if each.problems else "and every file is whole"
        cells = counted(each.num_cells, "cell")
        show(f"{each.study}: {each.num_finished} of {cells} finished, {state}")
    return int(any(each.problems for each in found))


def verify(ledger: Ledger) -> Verified:
    """Reads every file that a study's ledger stands for."""
    cells = read_cells(ledger)
    problems = [
        f"{ledger.directory / file}: {what}" for file, what in study_problems(ledger, cells)
    ]
    for cell in cells:
        if cell.result is None:
            problems += [f"{cell.path.parent / problem}" for problem in cell.problems]
        else:
            problems += [f"{cell.path / file}: {what}" for file, what in cell_problems(cell)]
    finished = [cell for cell in cells if cell.result]
    return Verified(
        ledger.directory, len(cells), len(finished), problems, [*_remarks(ledger, cells)]
    )


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


if __name__ == "__main__":
    run_as_command("verify")
