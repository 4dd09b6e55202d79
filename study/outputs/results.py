"""From trained replicas to the numbers of a cell: which learning rate stands for it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from study.files import finite

CELL_SECONDS = ("wall_seconds", "pretraining_seconds")
"""The two parts of a cell's time in its record."""
WEIGHTS_SHA256 = ("weights_sha256", "best_weights_sha256")
"""The hashes in a replica's entry: of its weights at its last epoch, and of those of its headline.

Records from before the best epoch's were kept have the first alone.
"""


def training_seconds(record: Mapping[str, Any]) -> float:
    """The whole time that a cell took, by its record."""
    return float(sum(record.get(name) or 0.0 for name in CELL_SECONDS))


@dataclass(frozen=True)
class ReplicaResult:
    """All that one replica leaves.

    `numbers` is its entry of result.json, `curve` its rows of curves.csv; `predictions` (classes
    of the test images at its best epoch, [N]; -1: its outputs are not finite), `weights` (last
    epoch) and `best_weights` may be absent where the replica was copied from an earlier record that
    did not keep them; the last are absent, too, where the best epoch is the last.
    `probes` are its rows of probes.csv, by step and layer; `samples` are values for histograms,
    {(step, layer, "activation" or "gradient"): float32 [n]}, which no file keeps.
    """

    seed: int
    lr: float
    numbers: dict[str, Any]
    curve: list[dict[str, Any]]
    predictions: Any = None
    weights: dict[str, Any] | None = None
    probes: list[dict[str, Any]] = field(default_factory=list)
    samples: dict[tuple[int, int, str], Any] = field(default_factory=dict)
    best_weights: dict[str, Any] | None = None

    @property
    def lacks_weights(self) -> bool:
        """Whether the weights of its last epoch or of its best were not kept."""
        last_is_best = is_best(self.numbers, self.curve[-1]["epoch"])
        return self.weights is None or (self.best_weights is None and not last_is_best)

    def state(self) -> dict[str, Any]:
        """All of it as a checkpoint keeps it, for `of`."""
        samples = [[*place, values] for place, values in self.samples.items()]
        return {**vars(self), "samples": samples}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> "ReplicaResult":
        """The result that `state` was taken of."""
        samples = {(step, layer, name): values for step, layer, name, values in state["samples"]}
        return cls(**{**state, "samples": samples})


def is_best(numbers: Mapping[str, Any], epoch: int) -> bool:
    """Whether a replica's headline is of its weights after `epoch`, by its entry of result.json.

    That of a diverged one, which has no best epoch, is of its last.
    """
    return numbers["status"] == "diverged" or numbers.get("best_epoch") == epoch


def choose_lr(results: Sequence[ReplicaResult]) -> float:
    """The learning rate that stands for a cell.

    Lowest mean validation error over all seeds, diverged ones included; then lowest mean
    validation loss; then the smaller.
    """
    rates = sorted({result.lr for result in results})

    def key(lr: float) -> tuple[float, float, float]:
        group = [result.numbers for result in results if result.lr == lr]
        return _mean(group, "val_error"), _mean(group, "val_loss"), lr

    return min(rates, key=key)


def _mean(group: Sequence[Mapping[str, Any]], name: str) -> float:
    """The mean, infinite where a value is missing or not finite."""
    values = [math.inf if finite(numbers[name]) is None else numbers[name] for numbers in group]
    return math.fsum(values) / len(values)


def edge(chosen: float, rates: Sequence[float]) -> str | None:
    """Whether the chosen learning rate is the `lowest` or `highest` of a grid of several."""
    if len(rates) < 2 or min(rates) < chosen < max(rates):
        return None
    return "lowest" if chosen == min(rates) else "highest"
