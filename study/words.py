"""What the command calls things: counts, and a cell by what sets it apart in its launch."""

from collections.abc import Mapping, Sequence
from typing import Any

PLURALS = ("decades", "epochs", "points", "seconds")
"""The units that are counted: 1 decade, but 1 % and 1 s."""
MAIN_GROUPS = ("data", "model", "activation", "init", "norm")


def counted(number: int, noun: str) -> str:
    """`1 cell`, `2 cells`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def singular(unit: str) -> str:
    """`decade a layer` of `decades a layer`."""
    first, space, rest = unit.partition(" ")
    return first.removesuffix("s") + space + rest


def plural(unit: str) -> str:
    """`decades a layer` of `decade a layer`; what is not counted as it is."""
    first, space, rest = unit.partition(" ")
    return f"{first}s{space}{rest}" if f"{first}s" in PLURALS else unit


def measured(number: float, unit: str) -> str:
    """`1 decade`, `0.3 decades a layer`, `4`: to four digits, in a unit if there is one."""
    text = f"{number:.4g}"
    one = text in ("1", "-1") and unit.startswith(PLURALS)
    return f"{text} {singular(unit) if one else unit}".strip()


def span(seconds: float) -> str:
    """`74 s`, `26 min`, `2.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


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
