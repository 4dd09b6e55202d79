"""Learning curves of a cell at its chosen learning rate, from the file that its record names."""

import csv
import math
from dataclasses import dataclass

from study.outputs.records import CellRecord
from study.report.frames import Frames
from study.report.protocol import training_images
from study.report.settings import batch_size, data_settings

FILE = "curves.csv"


@dataclass(frozen=True)
class Curve:
    """One replica epoch by epoch, 0 being before training: validation errors and seconds so far.

    The seconds are the whole population's: what it took to train all replicas of the cell.
    """

    epochs: tuple[int, ...]
    errors: tuple[float, ...]
    seconds: tuple[float, ...]


def chosen_curves(frames: Frames, cell: CellRecord) -> dict[int, Curve]:
    """By seed the curves at the chosen learning rate; none if curves.csv is not sound.

    An error that is not finite is infinite.
    """
    result = cell.result or {}
    content = frames.content(cell, FILE)
    if content is None:
        return {}
    header, *rows = csv.reader(content.decode("utf-8").splitlines())
    places = [header.index(name) for name in ("seed", "lr", "epoch", "val_error", "seconds")]
    seed, lr, epoch, error, seconds = places
    rate = result["chosen_lr"]
    found: dict[int, list[tuple[int, float, float]]] = {}
    for row in rows:
        if float(row[lr]) == rate:
            point = int(row[epoch]), float(row[error] or math.inf), float(row[seconds] or "nan")
            found.setdefault(int(row[seed]), []).append(point)
    return {
        own: Curve(*map(tuple, zip(*points, strict=True))) for own, points in sorted(found.items())
    }


def updates_per_epoch(cell: CellRecord, num_epochs: int) -> float | None:
    """Optimizer steps in an epoch: from the last probe's, or the number of training images."""
    steps = ((cell.result or {}).get("probes") or {}).get("end", {}).get("step")
    if isinstance(steps, int) and num_epochs:
        return steps / num_epochs
    size, batch = training_images(data_settings(cell)), batch_size(cell)
    return max(1, size // batch) if size and batch else None
