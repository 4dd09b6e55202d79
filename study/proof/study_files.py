"""What lies in a study's directory beside its cells: whether it is whole, and what is left over."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from study.outputs.digests import header_sha256, tensors_sha256
from study.outputs.files import sha256
from study.outputs.records import CellRecord, Ledger
from study.outputs.sealed import check_schema, check_seal, read_json

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
        content = read_json(path)
        check_schema(content)
        if not check_seal(content):
            raise ValueError("its sha256 does not fit its content, so it was altered")
    except (OSError, ValueError) as reason:
        yield path.name, str(reason)


def read_pretrained(path: Path) -> tuple[dict[str, str], str]:
    """The header of a file of pretrained weights, and their hash; ValueError if it is not whole."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            header = dict(file.metadata() or {})
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"it cannot be read ({' '.join(str(error).split())})") from None
    if header.get("sha256") != header_sha256(header, state):
        raise ValueError("its content is not what its hash says")
    if path.stem != f"seed={header.get('seed')}":
        raise ValueError(f"it holds the weights of seed {header.get('seed')}")
    if not path.parent.name.endswith(f"-{header.get('signature', '')[:8]}"):
        raise ValueError("it is of another pretraining than its directory")
    if not path.with_suffix(".csv").exists():
        raise ValueError("the curves beside it are missing")
    curves = sha256(path.with_suffix(".csv"))
    if header.get("curves_sha256", curves) != curves:
        raise ValueError("the curves beside it are not those its header names")
    return header, tensors_sha256(state)
