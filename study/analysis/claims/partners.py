"""The second quantity of a rank correlation: what is known of a cell beside what it measures."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from study.analysis.claims.quantities import find_quantity
from study.analysis.claims.quantity import NotDecidableError, Numbers, Quantity, seeds_of
from study.analysis.factors import cell_level
from study.analysis.frames import Frames
from study.config.keys import KEYS
from study.errors import InputError
from study.files import parse_json
from study.outputs.records import CellRecord

SHEET = ("mean_output", "gain")
"""What `study activations` computes of an activation, as `sheet.NAME`."""
FLAGS = "preflight.flags"


def check_partner(name: str) -> None:
    """InputError unless `name` is a quantity, a key with numbers, or one of this module's own."""
    if not _is_quantity(name):
        return
    try:
        find_quantity(name)
    except InputError as error:
        others = ", ".join((*OWN, "a swept key with numbers, as data.train_size"))
        raise InputError(f"with: {str(error).removeprefix('of: ')}; or {others}") from None


def is_of_data(name: str) -> bool:
    """Whether it is an error or a loss, or hangs on one."""
    return _is_quantity(name) and find_quantity(name).of_data


def _is_quantity(name: str) -> bool:
    """Whether each seed has its own number, not each cell."""
    return name not in OWN and not (name in KEYS and "." in name) and name != "batch_size"


def read_partner(
    name: str, frames: Frames, cells: Sequence[CellRecord], lr: float | None
) -> Numbers:
    """The partner's number for each seed of each cell."""
    if name in OWN or name in frames.factors:
        of_cell = OWN.get(name) or _level
        return Numbers(
            {
                cell.directory: dict.fromkeys(seeds_of(cell, lr), of_cell(name, frames, cell))
                for cell in cells
            }
        )
    return find_quantity(name).read(frames, cells, lr)


def _level(name: str, frames: Frames, cell: CellRecord) -> float:
    level = cell_level(cell, name)
    try:
        found = parse_json(level)
        return float(len(found) if isinstance(found, list) else found)
    except (TypeError, ValueError):
        raise NotDecidableError(f"with: {name}={level} is no number") from None


def _num_flags(name: str, frames: Frames, cell: CellRecord) -> float:
    return float(len(preflight_of(frames, cell)["flags"]["predicted"]))


def preflight_of(frames: Frames, cell: CellRecord) -> dict[str, Any]:
    """What preflight.json says of a cell; NotDecidableError if it says nothing."""
    try:
        checks = (frames.preflight or {}).get("cells", [])
    except ValueError:
        raise NotDecidableError("preflight.json is damaged; run study preflight again") from None
    for check in checks:
        if check.get("signature") == cell.signature:
            return dict(check)
    raise NotDecidableError(
        f"preflight.json says nothing of {cell.directory}: run study preflight with the study's "
        "overrides"
    )


def _of_sheet(name: str, frames: Frames, cell: CellRecord) -> float:
    return _checked(cell_level(cell, "activation"))[name.removeprefix("sheet.")]


@lru_cache(maxsize=256)
def _checked(level: str) -> dict[str, float]:
    from study.config.configuration import level_defaults
    from study.networks.gains import gain, mean_output

    try:
        name, *parts = level.split()
        changes = {key: parse_json(text) for key, text in (part.split("=", 1) for part in parts)}
        config = level_defaults("activation", name) | changes
        return {"mean_output": mean_output(config), "gain": gain(config)}
    except (OSError, ValueError):
        raise NotDecidableError(f"activation={level} is not known to this version") from None


OWN: dict[str, Callable[[str, Frames, CellRecord], float]] = {
    FLAGS: _num_flags,
    **{f"sheet.{name}": _of_sheet for name in SHEET},
}
"""Numbers of a cell that are the same for all its seeds."""


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
