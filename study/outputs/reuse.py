"""Replicas that an earlier record of the same cell holds, with other seeds."""

import contextlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from study.files import read_json, sha256
from study.outputs.cell import best_name, by_replica, is_set_aside, read_predictions, replica_name
from study.outputs.results import Result, TrainedReplica, parse_result
from study.outputs.schema import RESULT_FILE, WEIGHTS_FILE, Row
from study.outputs.series import read_curves, read_probes


def finished_replicas(
    study: Path, family: str, seeds: Iterable[int], *, with_weights: bool
) -> list[TrainedReplica]:
    """Finished replicas of `seeds` in other cells of the study that differ in seeds alone.

    `family` is the signature without the seeds. A record whose files are not what its hashes say
    is passed over: its replicas are trained again.
    """
    wanted = set(seeds)
    found: dict[tuple[int, float], TrainedReplica] = {}
    for directory in _relatives(study, family):
        try:
            record = parse_result(read_json(directory / RESULT_FILE))
            if record.family != family or not wanted & set(record.seeds):
                continue
            results = _read(directory, record, with_weights)
        except (OSError, ValueError, KeyError):
            continue
        found |= {(result.seed, result.lr): result for result in results if result.seed in wanted}
    return list(found.values())


_families: dict[Path, dict[str, str]] = {}
"""For each study, the families of the finished cells that this process has read, by directory."""


def _relatives(study: Path, family: str) -> list[Path]:
    """The directories of the finished cells of `family`, sorted.

    A directory's name tells its signature and so its family: each record is read once, or a cell
    of a sweep would take the longer the more cells were done before it. What was set aside as
    damaged has none: what of it is whole may be a part of the cell that is to be trained again,
    which then would not be trained as it was.
    """
    known = _families.setdefault(study.absolute(), {})
    with os.scandir(study) as entries:
        new = [entry.name for entry in entries if entry.name not in known]
    for name in new:
        if is_set_aside(study / name):
            continue
        with contextlib.suppress(OSError, ValueError, KeyError):
            known[name] = str(read_json(study / name / RESULT_FILE)["family"])
    return sorted(study / name for name, other in known.items() if other == family)


def _read(directory: Path, record: Result, with_weights: bool) -> list[TrainedReplica]:
    """The replicas of one record, each with whatever of it was kept."""
    from safetensors.torch import load_file

    for name, digest in record.files.items():
        if name != WEIGHTS_FILE and sha256(directory / name) != digest:
            raise ValueError(f"{name} is not what the record says")
    curves, probes = read_curves(directory), read_probes(directory)
    chosen, predictions = read_predictions(directory)
    path = directory / WEIGHTS_FILE
    kept = with_weights and path.exists() and sha256(path) == record.files.get(path.name)
    weights = by_replica(load_file(path)) if kept else {}
    # Each copied replica would name all those of its origin.
    origin = replace(record.provenance, signature=record.signature, populations=())
    results = []
    for entry in record.replicas:
        seed, lr = entry.seed, entry.lr
        results.append(
            TrainedReplica(
                replace(entry, copied_from=entry.copied_from or origin),
                _of(curves, seed, lr),
                predictions.get(seed) if lr == chosen else None,
                weights.get(replica_name(seed, lr)),
                _of(probes, seed, lr),
                best_weights=weights.get(best_name(seed, lr, entry.best_epoch)),
            )
        )
    return results


def _of(rows: Sequence[Row], seed: int, lr: float) -> list[Row]:
    """The rows of one replica."""
    return [row for row in rows if row["seed"] == seed and row["lr"] == lr]
