"""The second quantity of a rank correlation: what is known of a cell beside what it measures."""

from collections.abc import Mapping, Sequence

from study.analysis.claims.quantities import find_quantity
from study.analysis.claims.quantity import NotDecidableError, Numbers, Quantity, seeds_of
from study.analysis.frames import Frames
from study.config.keys import KEYS
from study.errors import InputError
from study.files import parse_json
from study.outputs.factors import cell_level
from study.outputs.records import CellRecord


def check_partner(name: str) -> None:
    """InputError unless `name` is a quantity or a key with numbers."""
    if not _is_quantity(name):
        return
    try:
        find_quantity(name)
    except InputError as error:
        known = str(error).removeprefix("of: ")
        raise InputError(
            f"with: {known}; or a swept key with numbers, as data.train_size"
        ) from None


def is_of_data(name: str) -> bool:
    """Whether it is an error or a loss, or hangs on one."""
    return _is_quantity(name) and find_quantity(name).of_data


def _is_quantity(name: str) -> bool:
    """Whether each seed has its own number, not each cell."""
    return not (name in KEYS and "." in name) and name != "batch_size"


def read_partner(
    name: str, frames: Frames, cells: Sequence[CellRecord], lr: float | None
) -> Numbers:
    """The partner's number for each seed of each cell."""
    if name in frames.factors:
        values = {}
        for cell in cells:
            level = cell_level(cell, name)
            try:
                found = parse_json(level)
                number = float(len(found) if isinstance(found, list) else found)
            except (TypeError, ValueError):
                raise NotDecidableError(f"with: {name}={level} is no number") from None
            values[cell.directory] = dict.fromkeys(seeds_of(cell, lr), number)
        return Numbers(values)
    return find_quantity(name).read(frames, cells, lr)


# Predictions that stand in a cell's own record: its references.


NUMBERS: Mapping[str, tuple[str, ...]] = {
    "ridge": ("train_loss", "train_error", "test_loss", "test_error"),
    "pca": ("train_error", "test_error"),
    "mean_image": ("train_error", "test_error"),
}
"""Of each reference in a result.json what can be predicted of a network."""


def check_reference(predicted: str, quantity: Quantity) -> None:
    """InputError unless this is the place of a number of the same kind as the quantity."""
    name, number = _parts(predicted)
    if number not in NUMBERS.get(name, ()):
        choices = ", ".join(f"references.{n}.{each}" for n, own in NUMBERS.items() for each in own)
        raise InputError(f"predicted: {predicted} is no reference; choose from: {choices}")
    if quantity.metric is None or quantity.name.removeprefix("last_") != number:
        raise InputError(
            f"predicted: {predicted} says nothing of {quantity.name}: write of: last_{number}"
        )


def reference_of(cell: CellRecord, predicted: str, quantity: Quantity) -> float:
    """The number in a finished cell's record, in the unit of the quantity."""
    name, number = _parts(predicted)
    value = getattr(getattr(cell.finished.references, name, None), number, None)
    if value is None:
        raise NotDecidableError(f"{cell.directory} has no {predicted} in its record")
    assert quantity.metric is not None
    return float(value) * quantity.metric.scale


def _parts(predicted: str) -> tuple[str, str]:
    """The reference and its number, of `references.ridge.test_error`."""
    _, _, rest = predicted.partition(".")
    name, _, number = rest.partition(".")
    return name, number
