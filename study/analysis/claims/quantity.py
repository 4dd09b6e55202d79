"""What a quantity is: a number for each seed of a cell, with its unit and how it is read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from study.analysis.frames import Frames
from study.analysis.lookup import ProbeMetric
from study.config.labels import counted
from study.outputs.metrics import Metric
from study.outputs.records import CellRecord
from study.outputs.results import CHOSEN, ReplicaResult


class NotDecidableError(Exception):
    """Why a claim cannot be decided from what the study has saved, in one line."""


@dataclass(frozen=True)
class Numbers:
    """{cell's directory: {seed: number}}.

    `at_least` names the cells of which some number is a lower bound of the true one, `at_most`
    those of which some is an upper bound.
    """

    values: dict[str, dict[int, float]]
    at_least: frozenset[str] = frozenset()
    at_most: frozenset[str] = frozenset()


Read = Callable[[Frames, Sequence[CellRecord], float | None], Numbers]
"""Frames, finished cells, and a learning rate or None for each cell's chosen one."""


@dataclass(frozen=True)
class Quantity:
    """A number for each seed of a cell, and how it is read.

    `unit` is that of its differences. `of_data`: it is an error or a loss, or hangs on one: of
    other images it would be another. `metric`: the metric of tables that it is, if it is one;
    `predicted_by`: its probe, where a pre-flight could predict it. `by_task`: the quantity as it is
    of each task that gives it another unit. `of_neighbours`: the number of a seed is that of its
    pair with the next seed, so that two pairs share each seed.
    """

    name: str
    label: str
    unit: str
    read: Read = field(repr=False)
    of_data: bool = False
    metric: Metric | None = None
    predicted_by: ProbeMetric | None = None
    by_task: Mapping[str, "Quantity"] = field(default_factory=dict, repr=False)
    of_neighbours: bool = False

    @property
    def units(self) -> tuple[str, ...]:
        """Every unit that it may have, that of a classification first."""
        return (self.unit, *(other.unit for other in self.by_task.values()))

    def of_task(self, task: str) -> "Quantity":
        """The quantity as it is of a task: the unit of an error depends on it."""
        return self.by_task.get(task, self)


def replicas_of(cell: CellRecord, lr: float | None) -> tuple[ReplicaResult, ...]:
    """A finished cell's replicas at a learning rate, or at the chosen one."""
    found = cell.finished.at(CHOSEN if lr is None else lr)
    if not found:
        raise NotDecidableError(f"{cell.directory} has no replica at learning rate {lr:g}")
    return found


def seeds_of(cell: CellRecord, lr: float | None) -> list[int]:
    """The seeds of a finished cell at a learning rate, or at the chosen one."""
    return [replica.seed for replica in replicas_of(cell, lr)]


def require_trained(cell: CellRecord, replicas: Sequence[ReplicaResult]) -> None:
    """NotDecidableError where a replica diverged: a mean over such seeds means nothing."""
    lost = sum(replica.diverged for replica in replicas)
    if lost:
        trained = counted(len(replicas), "replica")
        raise NotDecidableError(
            f"{lost} of {trained} of {cell.directory} diverged: their numbers have no mean; "
            "claim `of: diverged` instead"
        )
