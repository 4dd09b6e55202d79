"""TensorBoard: one run per cell, the mean over seeds with its band.

While a cell trains, each learning rate's mean over seeds is a curve under `learning rates`. At
the end the chosen one is written as `error` and `loss`, so that cells compare under equal tags,
with the smallest and the largest seed as a margin chart of the custom-scalars page.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from study.configuration import notable
from study.outputs.results import ReplicaResult

CURVES = {
    "error/train": "train_error",
    "error/val": "val_error",
    "loss/train": "train_loss",
    "loss/val": "val_loss",
}


class EpochCurves(lightning.Callback):
    """Writes each learning rate's mean over seeds as the epochs end.

    With `replicas` every replica has a curve of its own beside them.
    """

    def __init__(self, writer: SummaryWriter, *, replicas: bool) -> None:
        self.writer = writer
        self.replicas = replicas

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        rows = {
            replica: progress.curve[-1]
            for replica, progress in zip(pl_module.engine.replicas, pl_module.progress, strict=True)
        }
        epoch = trainer.current_epoch + 1
        for tag, name in CURVES.items():
            for lr in sorted({replica.lr for replica in rows}):
                values = [row[name] for replica, row in rows.items() if replica.lr == lr]
                tagged = f"learning rates/{tag.replace('/', ' ')} lr={lr}"
                self.writer.add_scalar(tagged, _mean(values), epoch)
            if self.replicas:
                for replica, row in rows.items():
                    self.writer.add_scalar(f"replicas {tag}/{replica}", row[name], epoch)


def write_summary(
    writer: SummaryWriter,
    results: Sequence[ReplicaResult],
    chosen_lr: float,
    factors: Mapping[str, Any],
) -> None:
    """The chosen learning rate's curves with their bands, the final metrics and the hparams."""
    chosen = [result for result in results if result.lr == chosen_lr]
    for tag, name in CURVES.items():
        for rows in zip(*(result.curve for result in chosen), strict=True):
            values = [row[name] for row in rows]
            if all(math.isfinite(value) for value in values):
                epoch = int(rows[0]["epoch"])
                for band, value in zip(_band(tag), _mean_low_high(values), strict=True):
                    writer.add_scalar(band, value, epoch)
    writer.add_custom_scalars(
        {"mean and range over seeds": {tag: ["Margin", list(_band(tag))] for tag in CURVES}}
    )
    metrics = {
        f"final/{name}": _mean([_number(result.numbers[name]) for result in chosen])
        for name in ("test_error", "test_loss", "val_error", "train_error")
    }
    events = writer.file_writer
    assert events is not None, "the writer is open"
    for summary in hparams(notable(factors) | {"chosen lr": chosen_lr}, metrics):
        events.add_summary(summary)
    for tag, value in metrics.items():
        writer.add_scalar(tag, value, int(chosen[0].curve[-1]["epoch"]))


def _band(tag: str) -> tuple[str, str, str]:
    return (
        tag,
        f"range over seeds/{tag.replace('/', ' ')} lowest",
        f"range over seeds/{tag.replace('/', ' ')} highest",
    )


def _mean_low_high(values: Sequence[float]) -> tuple[float, float, float]:
    return _mean(values), min(values), max(values)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def open_writer(directory: Path) -> SummaryWriter:
    """A writer of one run: the cell's own directory."""
    return SummaryWriter(log_dir=str(directory))
