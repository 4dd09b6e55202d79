"""Quantities from learning curves: the epochs to an error, and the seconds of an epoch."""

from collections.abc import Mapping, Sequence

from study.claims.quantity import NotDecidableError, Numbers, Quantity, replicas_of
from study.errors import InputError
from study.outputs.cell import read_curves
from study.outputs.records import CellRecord
from study.report.frames import Frames
from study.report.metrics import METRICS
from study.tasks import recorded_task

EPOCHS_TO = {f"epochs_to_{error}": error for error in ("train_error", "val_error")}
"""By name the column of curves.csv of which a target can be reached."""
EPOCH_SECONDS = "epoch_seconds"
FILE = "curves.csv"


def epochs_to(name: str, target: float | None) -> Quantity:
    """The epochs until an error is at most `target`, in percent where errors are shares."""
    if target is None:
        raise InputError(f"of: {name} needs target, the error to reach, such as target: 5")
    error = EPOCHS_TO[name]

    def read(frames: Frames, cells: Sequence[CellRecord], lr: float | None) -> Numbers:
        return _read_epochs(frames, cells, lr, error, target)

    words = METRICS[error].label.partition(",")[0]
    label = f"epochs until {words} is at most {target:g}"
    return Quantity(name, label, "epochs", read, of_data=True)


def epoch_seconds() -> Quantity:
    """The mean seconds of an epoch, of seeds that were trained one by one."""
    return Quantity(EPOCH_SECONDS, "seconds of an epoch", "seconds", _read_seconds)


def _read_epochs(
    frames: Frames, cells: Sequence[CellRecord], lr: float | None, error: str, target: float
) -> Numbers:
    """The first epoch whose error is at most the target; one more than all epochs for a miss."""
    values: dict[str, dict[int, float]] = {}
    missed = set()
    for cell in cells:
        scale = 100.0 if recorded_task(cell.result or {}) == "classification" else 1.0
        for seed, curve in _curves(frames, cell, lr, error).items():
            reached = [epoch for epoch, value in curve.items() if value * scale <= target]
            values.setdefault(cell.directory, {})[seed] = min(reached, default=max(curve) + 1)
            if not reached:
                missed.add(cell.directory)
    return Numbers(values, at_least=frozenset(missed))


def _read_seconds(frames: Frames, cells: Sequence[CellRecord], lr: float | None) -> Numbers:
    values = {}
    for cell in cells:
        clocks = _curves(frames, cell, lr, "seconds")
        _require_own_clocks(cell, clocks)
        values[cell.directory] = {seed: _per_epoch(cell, each) for seed, each in clocks.items()}
    return Numbers(values)


def _require_own_clocks(cell: CellRecord, clocks: Mapping[int, Mapping[int, float]]) -> None:
    """NotDecidableError where seeds have one clock: a time of all is no sample of each."""
    seen: dict[tuple[float, ...], int] = {}
    for seed, clock in clocks.items():
        other = seen.setdefault(tuple(clock.values()), seed)
        if other != seed:
            raise NotDecidableError(
                f"seeds {other} and {seed} of {cell.directory} were trained together and have one "
                "time: train them one by one, with population.max_replicas=1"
            )


def _per_epoch(cell: CellRecord, clock: Mapping[int, float]) -> float:
    first, last = min(clock), max(clock)
    if first == last:
        raise NotDecidableError(f"{cell.directory} was trained for no epoch")
    return (clock[last] - clock[first]) / (last - first)


def _curves(
    frames: Frames, cell: CellRecord, lr: float | None, column: str
) -> dict[int, dict[int, float]]:
    """{seed: {epoch: number}} of a cell's replicas at a learning rate, or at the chosen one."""
    rate = replicas_of(cell, lr)[0]["lr"]
    if not frames.sound(cell, FILE):
        raise NotDecidableError(f"{cell.directory}/{FILE} is not the file that result.json names")
    curves: dict[int, dict[int, float]] = {}
    for row in read_curves(cell.path):
        if row["lr"] == rate:
            curves.setdefault(int(row["seed"]), {})[int(row["epoch"])] = row[column]
    if not curves:
        raise NotDecidableError(f"{cell.directory}/{FILE} has no epoch at learning rate {rate:g}")
    return curves
