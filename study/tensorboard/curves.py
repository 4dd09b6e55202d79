"""Loss and error over epochs: live for each learning rate, at the end for the chosen one."""

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

import lightning

from study.outputs.results import TrainedReplica
from study.tensorboard.writer import CellWriter
from study.training.population import CURVES, RATES, Population, mean, rate_means

ABOUT = {
    "error/train": "Training error (running mean over the epoch) at the chosen learning rate, mean "
    "over seeds; over epochs.",
    "error/val": "Validation error at the chosen learning rate, mean over seeds; over epochs.",
    "loss/train": "Training loss (running mean over the epoch) at the chosen learning rate, mean "
    "over seeds; over epochs.",
    "loss/val": "Validation loss at the chosen learning rate, mean over seeds; over epochs.",
}
RANGE = "range over seeds"


class ReplicaCurves(lightning.Callback):
    """Writes a curve of each replica's own as the epochs end."""

    def __init__(self, writer: CellWriter) -> None:
        self.writer = writer

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        for epoch in range(1, pl_module.epochs + 1):
            self._write(pl_module, epoch)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        self._write(pl_module, pl_module.epochs)

    def _write(self, population: Population, epoch: int) -> None:
        replicas = zip(population.engine.replicas, population.progress, strict=True)
        rows = {replica: progress.curve[epoch] for replica, progress in replicas}
        values = {
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
    for epoch, means in rates_by_epoch(results):
        writer.scalars(epoch, means)


def rates_by_epoch(results: Sequence[TrainedReplica]) -> Iterator[tuple[int, dict[str, float]]]:
    """The mean over seeds of each learning rate's curves, after each epoch of training."""
    for rows in zip(*(result.curve for result in results), strict=True):
        if epoch := int(rows[0]["epoch"]):
            by_rate: dict[float, list[Mapping[str, Any]]] = {}
            for result, row in zip(results, rows, strict=True):
                by_rate.setdefault(result.lr, []).append(row)
            yield epoch, rate_means(by_rate)


def band(tag: str) -> tuple[str, str, str]:
    """The tags of the smallest value over seeds, of the mean and of the largest."""
    name = f"{RANGE}/{tag.replace('/', ' ')}"
    return f"{name} lowest", tag, f"{name} highest"


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
