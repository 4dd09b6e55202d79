"""A saved cell beside the same cell trained again: what is equal, and where they part."""

import contextlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from study.launch.reproduce.comparable import (
    ABSENT,
    Comparable,
    Difference,
    comparable,
    comparable_pretraining,
    differences,
)
from study.launch.reproduce.saved import Saved, pretraining_cache, replica_names
from study.outputs.cell import read_predictions
from study.outputs.results import WEIGHTS_SHA256
from study.outputs.schema import WEIGHTS_FILE

# How far numbers may lie apart when machine, versions or code are not those of the first time.


FOLLOWING = ("weights", "predictions", "filters")
"""Groups of a comparable that hold hashes of arrays."""


@dataclass(frozen=True)
class Kind:
    """Numbers of one kind: two are equal within tolerance up to `absolute + relative * larger`."""

    name: str
    absolute: float
    relative: float

    def allows(self, first: float, second: float) -> bool:
        """Whether two numbers are equal within the tolerance."""
        return abs(first - second) <= self.absolute + self.relative * max(abs(first), abs(second))

    def __str__(self) -> str:
        return f"{self.name} within {self.absolute:g} + {100 * self.relative:g} %"


@dataclass(frozen=True)
class Tolerance:
    """What is allowed of each kind of number, and where in a comparable numbers are judged."""

    kinds: Mapping[str, Kind]
    groups: Sequence[str]

    def allows(self, difference: Difference) -> bool:
        """Whether two values that differ are equal within the tolerance, or not judged by it."""
        name = kind_of(difference.place)
        if name is None:
            return False
        if name not in self.kinds or difference.place[0] not in self.groups:
            return True
        first, second = difference.first, difference.second
        return are_numbers(difference) and self.kinds[name].allows(first, second)

    def __str__(self) -> str:
        where = "every number" if "curves" in self.groups else "in the record"
        kinds = ", ".join(str(kind) for kind in self.kinds.values())
        return f"{where}: {kinds}, the same status and chosen_lr"


SINGLE = Tolerance(
    {kind.name: kind for kind in (Kind("errors", 0.01, 0.02), Kind("losses", 0.05, 0.1))},
    ("replicas", "record"),
)
"""In float32 and below: of what stands in a record, not of the course of training.

Rounding of 1e-7 grows with every update, and at a large learning rate to what another seed would
give (measured: at lr 3 validation errors on the way part by 2 points in two epochs).
"""
DOUBLE = Tolerance(
    {name: Kind(name, 1e-6, 1e-6) for name in ("errors", "losses", "probes")},
    ("replicas", "record", "curves", "probes", "pairs"),
)
"""In float64, whose rounding is 1e-16: of every number."""


def tolerance_of(precision: str) -> Tolerance:
    """The tolerance for a `trainer.precision`."""
    return DOUBLE if precision == "64-true" else SINGLE


def kind_of(place: Sequence[str]) -> str | None:
    """The kind of the number at a place of a comparable; None if it must be the same.

    "" where other numbers show it: hashes, the best epoch, how pretraining went, how far
    two networks lie apart.
    """
    group, last = place[0], place[-1]
    if group in (*FOLLOWING, "pretraining") or last in (*WEIGHTS_SHA256, "best_epoch"):
        return ""
    if "probes" in place[:2]:
        return "probes"
    if last.endswith("_error"):
        return "errors"
    if last.endswith("_loss"):
        return "losses"
    return "" if group == "pairs" else None


def distance(difference: Difference) -> float:
    """How far two numbers are apart, relative to the larger; infinite for anything else."""
    if not are_numbers(difference):
        return math.inf
    first, second = difference.first, difference.second
    return float(abs(first - second) / max(abs(first), abs(second)))


def are_numbers(difference: Difference) -> bool:
    """Whether both values are numbers."""
    return all(
        isinstance(value, int | float) and not isinstance(value, bool)
        for value in (difference.first, difference.second)
    )


BY_REPLICA = ("replicas", "curves", "probes", "pairs")
MOMENT = re.compile(r"(epoch|step) (\d+)")


@dataclass(frozen=True)
class Comparison:
    """All that two trainings of a cell do not share, and what was compared.

    `differences` are exact. `distances` are those of arrays that differ, as shares: the norm of the
    difference of kept weights by their norm, and the test images that are predicted otherwise.
    """

    replicas: list[str]
    diverged: list[str]
    equal_weights: list[str]
    num_values: int
    pretrained: list[str]
    differences: list[Difference]
    distances: list[Difference]
    tolerance: Tolerance

    @property
    def is_bitwise_equal(self) -> bool:
        return not self.differences

    @cached_property
    def beyond(self) -> list[Difference]:
        """What the tolerance does not allow; of a replica that diverged both times it judges none.

        Its numbers are those of an explosion.
        """
        judged = [each for each in self.differences if each.place[1] not in self.diverged]
        return [each for each in judged if not self.tolerance.allows(each)]

    def first_of(self, replica: str) -> Difference | None:
        """Where a replica parts first: in its curves or its probes, else in its numbers."""

        def moment(difference: Difference) -> tuple[float, float]:
            """(epochs, updates) done there; infinite where it is not of a moment."""
            if difference.place[0] not in ("curves", "probes"):
                return math.inf, math.inf
            done = {name: float(number) for name, number in MOMENT.findall(difference.place[2])}
            return done.get("epoch", math.inf), done.get("step", 0.0)

        own = [each for each in self.differences if each.place[1] == replica]
        return min(own, key=moment, default=None)


def compare(saved: Saved, again: Path) -> Comparison:
    """Compares a saved cell with the one trained again in `again`.

    What the saved one lacks (weights that were not kept, keys that are newer than it) is not
    compared, nor are the replicas that were copied into it.
    """
    trained = replica_names(saved.trained)
    first = _trained(comparable(saved.directory), trained)
    second = _trained(comparable(again), trained)
    pretrained, apart = _compared_pretraining(saved, second.pop("pretraining"), again.parent)
    first.pop("pretraining")
    found = [each for each in differences(first, second) if each.first != ABSENT]
    hashes = {each.place[1] for each in found if each.place[-1] in WEIGHTS_SHA256}
    return Comparison(
        replicas=trained,
        diverged=[
            name
            for name in trained
            if all(each["replicas"][name]["status"] == "diverged" for each in (first, second))
        ],
        equal_weights=[name for name in trained if name not in hashes],
        num_values=_count(first),
        pretrained=pretrained,
        differences=[*apart, *found],
        distances=[*_weights_apart(saved, again, found), *_predictions_apart(saved, again, found)],
        tolerance=tolerance_of(saved.config.trainer.precision),
    )


def _trained(content: Comparable, trained: list[str]) -> Comparable:
    """A comparable with the trained replicas alone; its record's `pretraining` stands apart."""
    record = {name: value for name, value in content["record"].items() if name != "files"}
    pretraining = {"pretraining": record.pop("pretraining")} if "pretraining" in record else {}
    own = {
        group: {name: content[group][name] for name in trained if name in content[group]}
        for group in BY_REPLICA
    }
    return content | own | {"record": record, "pretraining": pretraining}


def _weights_apart(saved: Saved, again: Path, found: Iterable[Difference]) -> list[Difference]:
    """Of each kept tensor that differs, the norm of the difference by the norm.

    Infinite for tensors of other shapes or not finite. Not of one that only one side has, as where
    another epoch is the best.
    """
    import numpy as np
    from safetensors.numpy import load_file

    shared = [each for each in found if each.place[0] == "weights" and each.second != ABSENT]
    names = [each.place[1] for each in shared]
    if not names:
        return []
    one, other = (load_file(path / WEIGHTS_FILE) for path in (saved.directory, again))
    apart = []
    for name in names:
        share = np.inf
        if one[name].shape == other[name].shape:
            first, second = one[name].astype(np.float64), other[name].astype(np.float64)
            size, far = np.linalg.norm(first), np.linalg.norm(first - second)
            share = float(far / size if size else far)
        share = share if np.isfinite(share) else np.inf
        apart.append(Difference(("weights", *name.partition("/")[::2]), 0.0, share))
    return apart


def _predictions_apart(saved: Saved, again: Path, found: Iterable[Difference]) -> list[Difference]:
    """The share of test images that are predicted otherwise, of each seed."""
    if not any(each.place[0] == "predictions" for each in found):
        return []
    (lr, one), (other_lr, other) = read_predictions(saved.directory), read_predictions(again)
    if lr != other_lr:
        return []
    shares = {seed: float((one[seed] != other[seed]).mean()) for seed in one}
    return [
        Difference(("predictions", f"seed={seed}"), 0.0, share)
        for seed, share in shares.items()
        if share
    ]


def _count(value: Any) -> int:
    """How many values a comparable holds."""
    if isinstance(value, Mapping):
        return sum(_count(entry) for entry in value.values())
    if isinstance(value, list):
        return sum(_count(entry) for entry in value)
    return 1


def _compared_pretraining(
    saved: Saved, again: Comparable, study: Path
) -> tuple[list[str], list[Difference]]:
    """The seeds whose pretrained weights could be compared, and how those differ.

    With the kept weights and their curves; where they are gone, with their hash in the record.
    """
    old, new = (pretraining_cache(saved, each) for each in (saved.directory.parent, study))
    if old is None or new is None:
        return [], []
    seeds = [f"seed={seed}" for seed in saved.seeds]
    recorded = saved.result.pretraining
    first = _pretrained_by_seed(old, recorded.weights_sha256 if recorded else {})
    hashes = again.get("pretraining", {}).get("weights_sha256", {})
    second = _pretrained_by_seed(new, hashes)
    pairs = {seed: (first[seed], second.get(seed, {})) for seed in seeds if seed in first}
    return list(pairs), [
        Difference(("pretraining", seed, *difference.place), difference.first, difference.second)
        for seed, (one, other) in pairs.items()
        for difference in differences(one, {name: other.get(name) for name in one})
    ]


def _pretrained_by_seed(cache: Path, hashes: Mapping[str, str]) -> dict[str, Comparable]:
    """For each seed all that is known of its pretrained weights."""
    found: dict[str, Comparable]
    found = {f"seed={seed}": {"weights_sha256": digest} for seed, digest in hashes.items()}
    with contextlib.suppress(OSError, ValueError):
        for seed, content in comparable_pretraining(cache).items():
            found[seed] = found.get(seed, {}) | content
    return found
