"""How far numbers may lie apart when machine, versions or code are not those of the first time."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from study.outputs.comparable import Difference
from study.outputs.results import WEIGHTS_SHA256

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
    return _is_number(difference.first) and _is_number(difference.second)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
