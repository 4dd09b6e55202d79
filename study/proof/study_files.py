"""What lies in a study's directory beside its cells: whether it is whole, and what is left over."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from study.outputs.digests import tensors_sha256
from study.outputs.records import CellRecord, Ledger
from study.outputs.sealed import read_sealed
from study.pretraining.weights_file import read_weights

Problem = tuple[str, str]
"""A file by its path below the study, and what is wrong with it."""


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
    found = (cell.result or {}).get("pretraining") or {}
    hashes = found.get("weights_sha256") or {}
    return {(found["signature"], seed): digest for seed, digest in hashes.items()}


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
