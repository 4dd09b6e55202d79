"""results.csv: every replica of a study on one line, for whatever else one wants to compute."""

import csv
import io
from collections.abc import Iterator
from typing import Any

from study.outputs.results import CELL_SECONDS
from study.outputs.sealed import METRIC_KEYS
from study.report.factors import level_text
from study.report.frames import Frames
from study.tasks import recorded_task

OF_REPLICA = ("seed", "lr", "status")


def results_csv(frames: Frames) -> str:
    """A line for each replica of every finished cell, in the ledger's order.

    Columns: the study, the cell's directory, each factor, the replica's seed, learning rate and
    status, whether it is the cell's chosen learning rate (1 or 0), its best epoch, losses and
    errors as recorded (the errors of a classification are shares), the cell's seconds and task.
    A number that is not finite, and a factor that a cell does not have, is empty.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    head = ["study", "cell", *_factors(frames), *OF_REPLICA, "chosen", "best_epoch"]
    writer.writerow([*head, *METRIC_KEYS, *CELL_SECONDS, "task"])
    writer.writerows(_rows(frames))
    return stream.getvalue()


def _factors(frames: Frames) -> list[str]:
    return [factor for factor in frames.factors if factor != "study"]


def _rows(frames: Frames) -> Iterator[list[Any]]:
    for cell in frames.finished:
        result = cell.result
        assert result is not None
        study = str(cell.factors.get("study", frames.name))
        levels = [
            level_text(cell.factors[f]) if f in cell.factors else "" for f in _factors(frames)
        ]
        tail = [*(result.get(name) for name in CELL_SECONDS), recorded_task(result)]
        for replica in result["replicas"]:
            chosen = int(replica["lr"] == result["chosen_lr"])
            middle = [replica[name] for name in OF_REPLICA]
            numbers = [replica.get("best_epoch"), *(replica[name] for name in METRIC_KEYS)]
            yield [study, cell.directory, *levels, *middle, chosen, *numbers, *tail]
