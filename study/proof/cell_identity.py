"""Whether a finished cell is what its configuration, its directory and the ledger say it is."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from study.configuration import (
    RECIPE,
    directory_name,
    factors,
    flatten,
    signature,
    with_fingerprint,
)
from study.errors import InputError
from study.keys import GROUPS, KEYS
from study.outputs.records import CellRecord
from study.outputs.results import ReplicaResult, choose_lr, edge


def identity_problems(cell: CellRecord, config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(file, what is wrong) wherever record, configuration, directory and ledger do not agree."""
    assert cell.result is not None
    result = cell.result
    yield from _record_problems(cell, result)
    unknown = [name for name, _ in flatten(config) if name not in KEYS]
    if unknown:
        yield "config.yaml", f"it has a key that this version has not: {unknown[0]}"
        return
    yield from _replica_problems(result, config)
    provenance = result.get("provenance") or {}
    if provenance.get("recipe") == RECIPE and "data_fingerprint" in provenance:
        yield from _signature_problems(cell, result, dict(config), provenance)


def _record_problems(cell: CellRecord, result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What a record alone, its directory's name and the ledger contradict."""
    if result["factors"] != cell.factors:
        yield "result.json", "its factors are not those of study.json"
    if not cell.directory.endswith(result["signature"][:8]):
        yield "result.json", "the directory's name does not end with its signature's first 8 digits"
    entries = [ReplicaResult(each["seed"], each["lr"], each, []) for each in result["replicas"]]
    best = choose_lr(entries)
    if best != result["chosen_lr"]:
        yield (
            "result.json",
            f"its numbers choose the learning rate {best:g}, it says {result['chosen_lr']:g}",
        )
    elif edge(best, sorted({each.lr for each in entries})) != result.get("chosen_lr_at_edge"):
        yield "result.json", "chosen_lr_at_edge does not fit its learning rates"


def _replica_problems(
    result: Mapping[str, Any], config: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """Whether every seed was trained at every learning rate."""
    asked = {(seed, lr) for seed in config["seeds"] for lr in config["optimizer"]["lr"]}
    if asked != {(each["seed"], each["lr"]) for each in result["replicas"]}:
        yield "result.json", "its replicas are not the seeds and learning rates of config.yaml"


def _signature_problems(
    cell: CellRecord,
    result: Mapping[str, Any],
    config: dict[str, Any],
    provenance: Mapping[str, Any],
) -> Iterator[tuple[str, str]]:
    """Whether signature, factors and directory are those that the configuration gives.

    With levels of the versions that trained the cell, whatever they are by now.
    """
    fingerprint = provenance["data_fingerprint"]
    signed = partial(signature, config, fingerprint, versions=provenance.get("levels", {}))
    if signed() != result["signature"]:
        yield "config.yaml", "its signature is not the one of result.json"
        return
    if "family" in result and signed(without_seeds=True) != result["family"]:
        yield "result.json", "its family is not its signature without seeds"
    named: Mapping[str, Any] = result["factors"]
    choices = {group: str(named[group]).partition(" ")[0] for group in GROUPS}
    try:
        again = factors(config, choices, {name for name in named if "." in name})
    except (OSError, InputError):
        # A level whose file is no more: its defaults are not known.
        return
    if with_fingerprint(again, config, fingerprint) != named:
        yield "result.json", "its factors are not those of config.yaml"
    if directory_name(choices, result["signature"]) != cell.directory:
        yield "config.yaml", "the directory has not the name that its levels give"
