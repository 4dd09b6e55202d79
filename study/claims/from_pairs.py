"""Quantities of pairs of networks: what lies between the solutions of neighbouring seeds."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from study.claims.quantity import (
    POINTS,
    NotDecidableError,
    Numbers,
    Quantity,
    replicas_of,
    require_trained,
)
from study.errors import InputError
from study.outputs.pairs import FILE, Row, barrier, by_pair, parsed
from study.outputs.records import CellRecord
from study.report.frames import Frames
from study.tasks import RECONSTRUCTION

PREFIX = "pairs."


@dataclass(frozen=True)
class _Kind:
    """A number of a line: words, whether it hangs on the images, how it is read, what it is."""

    words: str
    of_data: bool
    read: Callable[[Sequence[Row]], float]
    is_share: bool = False


def _barrier(column: str) -> Callable[[Sequence[Row]], float]:
    return lambda line: barrier(line, column)


def _end(column: str) -> Callable[[Sequence[Row]], float]:
    return lambda line: float(line[-1][column])


KINDS: Mapping[str, _Kind] = {
    "barrier": _Kind("barrier of the training loss", True, _barrier("train_loss")),
    "test_barrier": _Kind("barrier of the test loss", True, _barrier("test_loss")),
    "error_barrier": _Kind(
        "barrier of the test error", True, _barrier("test_error"), is_share=True
    ),
    "disagreement": _Kind(
        "share of test images classified differently",
        True,
        _end("disagreement"),
        is_share=True,
    ),
    "distance": _Kind("distance of the weights", False, _end("distance")),
    "relative_distance": _Kind(
        "relative distance of the weights", False, _end("relative_distance")
    ),
    "cosine": _Kind("cosine of the weights", False, _end("cosine")),
}
OF_PAIRS = tuple(f"{PREFIX}{name}" for name in KINDS)
"""The quantities of this module."""


def of_pairs(name: str) -> Quantity:
    """The quantity of that name: of each seed the number of its pair with the next one."""
    kind = KINDS[name.removeprefix(PREFIX)]
    label = f"{kind.words}, neighbouring seeds"
    plain = Quantity(name, label, "", _reader(name, kind, 1.0), kind.of_data, of_neighbours=True)
    if not kind.is_share:
        return plain
    read = _reader(name, kind, 100.0)
    return replace(plain, unit=POINTS, read=read, by_task={RECONSTRUCTION: plain})


def _reader(
    name: str, kind: _Kind, scale: float
) -> Callable[[Frames, Sequence[CellRecord], float | None], Numbers]:
    def read(frames: Frames, cells: Sequence[CellRecord], lr: float | None) -> Numbers:
        return Numbers(
            {cell.directory: _of_cell(name, kind, scale, frames, cell, lr) for cell in cells}
        )

    return read


def _of_cell(
    name: str, kind: _Kind, scale: float, frames: Frames, cell: CellRecord, lr: float | None
) -> dict[int, float]:
    replicas = replicas_of(cell, lr)
    require_trained(cell, replicas)
    found = {}
    for seed, line in _lines(frames, cell, replicas[0]["lr"]).items():
        value = kind.read(line)
        if not math.isfinite(value):
            raise NotDecidableError(f"{name} is not finite in {cell.directory}, seed {seed}")
        found[seed] = value * scale
    return found


def _lines(frames: Frames, cell: CellRecord, rate: float) -> dict[int, list[Row]]:
    """The lines of a cell by their first seed."""
    assert cell.result is not None
    if FILE not in (cell.result.get("files") or {}):
        raise NotDecidableError(
            f"{cell.directory} has no {FILE}: train it with pairs.points=11 and two seeds or more"
        )
    content = frames.content(cell, FILE)
    if content is None:
        raise NotDecidableError(f"{cell.directory}/{FILE} is not the file that result.json names")
    lines = by_pair(parsed(content.decode("utf-8")))
    if any(row["lr"] != rate for line in lines.values() for row in line):
        raise NotDecidableError(
            f"{cell.directory}/{FILE} is of the chosen learning rate, not of {rate:g}"
        )
    return lines


def check_name(name: str, layer: str | None) -> None:
    """InputError unless this is one of OF_PAIRS, and asked for without a layer."""
    if name not in OF_PAIRS:
        raise InputError(f"of: {name} is no number of pairs; choose from: {', '.join(OF_PAIRS)}")
    if layer is not None:
        raise InputError(f"layer: {layer}: {name} has no layers, as probes have")
