"""What the command calls things: counts, and a cell by what sets it apart in its launch."""

from collections.abc import Mapping, Sequence
from typing import Any

MAIN_GROUPS = ("data", "model", "activation", "init", "norm")


def counted(number: int, noun: str) -> str:
    """`1 cell`, `2 cells`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def cell_words(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """For each cell, given as its factors, the levels that vary over `cells`.

    `optimizer=adam, batch_size=64`; the main levels where nothing varies, and the pretraining if
    there is one.
    """
    names = dict.fromkeys(name for cell in cells for name in cell)
    varying = [name for name in names if len({str(cell.get(name)) for cell in cells}) > 1]
    if not varying:
        return [_main_levels(cell) for cell in cells]
    return [
        ", ".join(f"{name}={cell.get(name, '(default)')}" for name in varying) for cell in cells
    ]


def _main_levels(cell: Mapping[str, Any]) -> str:
    levels = [str(cell[group]) for group in MAIN_GROUPS]
    if cell.get("pretraining", "none") != "none":
        levels.append(f"pretraining {cell['pretraining']}")
    return ", ".join(levels)
