"""Loss and error over epochs: live for each learning rate, at the end for the chosen one."""

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

import lightning

from study.outputs.results import TrainedReplica
from study.tensorboard.writer import CellWriter

CURVES = {
    "error/train": "train_error",
    "error/val": "val_error",
    "loss/train": "train_loss",
    "loss/val": "val_loss",
}
ABOUT = {
    "error/train": "Training error (running mean over the epoch) at the chosen learning rate, mean "
    "over seeds; over epochs.",
    "error/val": "Validation error at the chosen learning rate, mean over seeds; over epochs.",
    "loss/train": "Training loss (running mean over the epoch) at the chosen learning rate, mean "
    "over seeds; over epochs.",
    "loss/val": "Validation loss at the chosen learning rate, mean over seeds; over epochs.",
}
RATES = "learning rates"
RANGE = "range over seeds"


class EpochCurves(lightning.Callback):
    """Writes each learning rate's mean over seeds as the epochs end.

    With `replicas` every replica has a curve of its own beside them.
    """

    def __init__(self, writer: CellWriter, *, replicas: bool) -> None:
        self.writer = writer
        self.replicas = replicas

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        self.write(pl_module, pl_module.epoch + 1)

    def write(self, pl_module: Any, epoch: int) -> None:
        """One epoch of the population, trained by this attempt or an earlier one."""
        rows = {
            replica: progress.curve[epoch]
            for replica, progress in zip(pl_module.engine.replicas, pl_module.progress, strict=True)
        }
        values = _rate_means((replica.lr, row) for replica, row in rows.items())
        if self.replicas:
            values |= {
                f"replicas {tag}/{replica}": row[name]
                for tag, name in CURVES.items()
                for replica, row in rows.items()
            }
        self.writer.scalars(epoch, values)


def write_curves(
    writer: CellWriter, results: Sequence[TrainedReplica], chosen: Sequence[TrainedReplica]
) -> None:
    """The chosen learning rate's curves with their bands; medians where replicas diverged.

    The curves of all learning rates too, where they were not drawn live: some replicas were copied
    from an earlier record, or they were not all trained at once.
    """
    lost = num_diverged(chosen)
    about = {tag: text.replace("mean over seeds", over_seeds(lost)) for tag, text in ABOUT.items()}
    for rows in zip(*(result.curve for result in chosen), strict=True):
        values: dict[str, float] = {}
        for tag, name in CURVES.items():
            seeds = [float(row[name]) for row in rows]
            values[tag] = middle(seeds, lost)
            if all(map(math.isfinite, seeds)):
                lowest, _, highest = band(tag)
                values |= {lowest: min(seeds), highest: max(seeds)}
        writer.scalars(int(rows[0]["epoch"]), values, about)
    if any(tag.startswith(f"{RATES}/") for tag in writer.written):
        return
    rates = [result.lr for result in results]
    for rows in zip(*(result.curve for result in results), strict=True):
        if epoch := int(rows[0]["epoch"]):
            writer.scalars(epoch, _rate_means(zip(rates, rows, strict=True)))


def band(tag: str) -> tuple[str, str, str]:
    """The tags of the smallest value over seeds, of the mean and of the largest."""
    name = f"{RANGE}/{tag.replace('/', ' ')}"
    return f"{name} lowest", tag, f"{name} highest"


def _rate_means(rows: Iterable[tuple[float, Mapping[str, Any]]]) -> dict[str, float]:
    """Under `learning rates` the mean over seeds of every curve, from (learning rate, row)."""
    by_rate: dict[float, list[Mapping[str, Any]]] = {}
    for lr, row in rows:
        by_rate.setdefault(lr, []).append(row)
    return {
        f"{RATES}/{tag.replace('/', ' ')} lr={lr}": mean([row[name] for row in by_rate[lr]])
        for tag, name in CURVES.items()
        for lr in sorted(by_rate)
    }


def num_diverged(results: Sequence[TrainedReplica]) -> int:
    """How many of the replicas diverged."""
    return sum(result.entry.diverged for result in results)


def over_seeds(lost: int) -> str:
    """What `middle` is, of replicas of which so many diverged."""
    return f"median over seeds ({lost} diverged)" if lost else "mean over seeds"


def middle(values: Sequence[float], lost: int) -> float:
    """The mean; where replicas are lost the median, in which they are the largest; NaN: neither."""
    if not lost:
        return mean(values)
    found = median([value if math.isfinite(value) else math.inf for value in values])
    return found if math.isfinite(found) else math.nan


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean; NaN if a value is not finite."""
    return math.fsum(values) / len(values) if all(map(math.isfinite, values)) else math.nan
