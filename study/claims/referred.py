"""Predictions that stand in a cell's own record: its references."""

import math
from collections.abc import Mapping

from study.claims.quantity import NotDecidableError, Quantity
from study.errors import InputError
from study.outputs.records import CellRecord

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
    record = (cell.result or {}).get("references") or {}
    value = (record.get(name) or {}).get(number)
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise NotDecidableError(f"{cell.directory} has no {predicted} in its record")
    assert quantity.metric is not None
    return float(value) * quantity.metric.scale


def _parts(predicted: str) -> tuple[str, str]:
    """The reference and its number, of `references.ridge.test_error`."""
    _, _, rest = predicted.partition(".")
    name, _, number = rest.partition(".")
    return name, number
