"""The metrics a table can show: label, unit, direction and a glossary line each."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from study.tasks import RECONSTRUCTION


@dataclass(frozen=True)
class Metric:
    """What a number of `result.json` means and how a table prints it.

    `direction`: "lower" or "higher" is better, or "none". `scale` turns the recorded number into
    `unit`. `decimals`: None prints `digits` significant digits. `per_cell`: one number for the
    whole cell, not one per replica. `fixed`: {factor: level} that its name leaves out. `lacking`:
    of which nets there is no such number, "" if every one may have it.
    """

    name: str
    label: str
    unit: str
    direction: str
    help: str
    decimals: int | None = 4
    scale: float = 1.0
    per_cell: bool = False
    digits: int = 4
    fixed: Mapping[str, str] = field(default_factory=dict)
    lacking: str = ""

    def value(self, owner: Mapping[str, Any]) -> float | None:
        """The number in a replica (or in a result, if `per_cell`); None when not finite."""
        number = owner.get(self.name)
        return None if number is None else float(number)

    @property
    def is_of_data(self) -> bool:
        """Whether the number is a loss or an error: of other images it would be another."""
        return self.name.endswith(("_error", "_loss"))

    @property
    def range(self) -> tuple[float, float]:
        """The least and the most that an error, a loss or a share can be, in its unit."""
        return 0.0, 100.0 if self.unit == "%" else math.inf

    @property
    def follows_training(self) -> bool:
        """Whether training, and so its learning rate, changes the number."""
        return True

    def is_measured(self, replica: Mapping[str, Any]) -> bool:
        """Whether the number was taken of a replica, finite or not."""
        return True

    def text(self, number: float) -> str:
        """`number` in this metric's unit, with its decimals or significant digits."""
        scaled = number * self.scale
        if self.decimals is None:
            return f"{scaled + 0.0:.{self.digits}g}"  # + 0.0: no -0
        if scaled != 0 and not 1e-4 <= abs(scaled) < 1e5 and self.unit != "%":
            return f"{scaled:.3g}"
        text = f"{scaled:.{self.decimals}f}"
        return text.lstrip("-") if float(text) == 0 else text


_SPLITS = {
    "train": ("training", "the training set, in evaluation mode"),
    "val": ("validation", "the validation set"),
    "test": ("test", "the test set (read once, after training)"),
}
_STATES = {
    "": ("", "of the best epoch (lowest validation error)"),
    "last_": (", last epoch", "of the last epoch"),
}


def _split_metrics() -> list[Metric]:
    metrics = []
    for prefix, (suffix, weights) in _STATES.items():
        for split, (word, images) in _SPLITS.items():
            wrong = f"share of images of {images} that the weights {weights} classify wrongly"
            mean = f"mean loss over {images}, with the weights {weights}"
            label = f"{word} error{suffix}"
            name = f"{prefix}{split}_error"
            metrics.append(Metric(name, label, "%", "lower", wrong, 2, 100.0))
            name = f"{prefix}{split}_loss"
            metrics.append(Metric(name, f"{word} loss{suffix}", "", "lower", mean))
    return metrics


_OTHERS = [
    Metric(
        "best_epoch",
        "best epoch",
        "epochs",
        "none",
        "epoch with the lowest validation error (then validation loss, then the earliest); "
        "a diverged replica has none",
        decimals=1,
    ),
    Metric(
        "chosen_lr",
        "chosen learning rate",
        "",
        "none",
        "learning rate with the lowest validation error averaged over all seeds",
        decimals=None,
        per_cell=True,
    ),
    Metric(
        "wall_seconds",
        "training time",
        "s",
        "none",
        "wall time of training and evaluating the replicas that were trained in this cell; not of "
        "preparing the data, nor of replicas copied from an earlier cell",
        decimals=1,
        per_cell=True,
    ),
    Metric(
        "pretraining_seconds",
        "pretraining time",
        "s",
        "none",
        "wall time of pretraining, for all seeds of a cell",
        decimals=1,
        per_cell=True,
    ),
]

METRICS: dict[str, Metric] = {metric.name: metric for metric in [*_split_metrics(), *_OTHERS]}


def _reconstruction_metrics() -> list[Metric]:
    metrics = []
    for prefix, (suffix, weights) in _STATES.items():
        for split, (word, images) in _SPLITS.items():
            label = f"squared error summed over pixels, mean over {word} images{suffix}"
            meaning = (
                "squared difference of an image and its reconstruction, summed over pixels (as "
                f"normalized), mean over {images}, with the weights {weights}"
            )
            metrics.append(Metric(f"{prefix}{split}_error", label, "", "lower", meaning, 2))
    return metrics


OF_TASK: dict[str, dict[str, Metric]] = {
    RECONSTRUCTION: {metric.name: metric for metric in _reconstruction_metrics()}
}
"""The metrics that mean something else where the task is not classification."""


def depends_on_task(metric: Metric) -> bool:
    """Whether a number of one task cannot stand beside one of another."""
    return metric.is_of_data
