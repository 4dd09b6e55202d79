"""A saved cell beside the same cell trained again: what is equal, and where they part."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from study.outputs.cell import read_predictions
from study.outputs.comparable import ABSENT, Difference, comparable, differences
from study.outputs.results import WEIGHTS_SHA256
from study.proof.pretrainings import compared_pretraining
from study.proof.saved import Saved, names
from study.proof.tolerance import Tolerance, tolerance_of

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
        own = [each for each in self.differences if each.place[1] == replica]
        return min(own, key=_moment, default=None)


def _moment(difference: Difference) -> tuple[float, float]:
    """(epochs, updates) done at a place; infinite where it is not of a moment."""
    if difference.place[0] not in ("curves", "probes"):
        return math.inf, math.inf
    done = {name: float(number) for name, number in MOMENT.findall(difference.place[2])}
    return done.get("epoch", math.inf), done.get("step", 0.0)


def compare(saved: Saved, again: Path) -> Comparison:
    """Compares a saved cell with the one trained again in `again`.

    What the saved one lacks (weights that were not kept, keys that are newer than it) is not
    compared, nor are the replicas that were copied into it.
    """
    trained = names(saved.trained)
    first = _trained(comparable(saved.directory), trained)
    second = _trained(comparable(again), trained)
    pretrained, apart = compared_pretraining(saved, second.pop("pretraining"), again.parent)
    first.pop("pretraining")
    found = [each for each in differences(first, second) if each.first != ABSENT]
    hashes = {each.place[1] for each in found if each.place[-1] in WEIGHTS_SHA256}
    return Comparison(
        replicas=trained,
        diverged=[name for name in trained if _diverged(first, name) and _diverged(second, name)],
        equal_weights=[name for name in trained if name not in hashes],
        num_values=_count(first),
        pretrained=pretrained,
        differences=[*apart, *found],
        distances=[*_weights_apart(saved, again, found), *_predictions_apart(saved, again, found)],
        tolerance=tolerance_of(saved.config["trainer"]["precision"]),
    )


def _diverged(content: Mapping[str, Any], name: str) -> bool:
    return bool(content["replicas"][name]["status"] == "diverged")


def _trained(content: dict[str, Any], trained: list[str]) -> dict[str, Any]:
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

    Not of one that only one side has, as where another epoch is the best.
    """
    from safetensors.numpy import load_file

    shared = [each for each in found if each.place[0] == "weights" and each.second != ABSENT]
    names = [each.place[1] for each in shared]
    if not names:
        return []
    one, other = (load_file(path / "weights.safetensors") for path in (saved.directory, again))
    apart = []
    for name in names:
        value = _relative(one[name], other[name])
        apart.append(Difference(("weights", *name.partition("/")[::2]), 0.0, value))
    return apart


def _relative(one: Any, other: Any) -> float:
    """Norm of the difference by the norm; infinite for arrays of other shapes or not finite."""
    import numpy as np

    if one.shape != other.shape:
        return np.inf
    one, other = one.astype(np.float64), other.astype(np.float64)
    size, apart = np.linalg.norm(one), np.linalg.norm(one - other)
    share = float(apart / size if size else apart)
    return share if np.isfinite(share) else np.inf


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
