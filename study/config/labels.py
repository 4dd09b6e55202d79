"""What the command calls things: counts, and a cell by what sets it apart in its launch."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from study.config.keys import KEYS, LAYER_WIDTHS
from study.config.kinds import shown_widths

PLURALS = ("decades", "epochs", "points", "seconds")
"""The units that are counted: 1 decade, but 1 % and 1 s."""
MAIN_GROUPS = ("data", "model", "activation", "init", "norm")


WIDTHS = tuple(name for name, key in KEYS.items() if key.kind is LAYER_WIDTHS)
_OWN_WIDTHS = re.compile(rf"(?<= )({'|'.join(name.partition('.')[2] for name in WIDTHS)})=(\S+)")


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


def level_words(factor: str, level: Any) -> Any:
    """A level of a cell's factor as it is shown, and may be typed: equal widths as `5x256`.

    >>> level_words("model.widths", "[256,256]"), level_words("model", "mlp widths=[64,64]")
    ('2x256', 'mlp widths=2x64')
    """
    if not isinstance(level, str):
        return level
    if factor in WIDTHS:
        return _width_words(level)
    if factor == "model":
        return _OWN_WIDTHS.sub(lambda part: f"{part[1]}={_width_words(part[2])}", level)
    return level


def _width_words(text: str) -> str:
    """The widths that `[256,256]` or `2x256` stands for, the shorter way; else `text`."""
    listed = re.fullmatch(r"\[([0-9, ]+)\]", text)
    try:
        given = [int(width) for width in listed[1].split(",")] if listed else text
        return shown_widths(LAYER_WIDTHS.parse(given))
    except ValueError:
        return text


def cell_words(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """For each cell, given as its factors, the levels that vary over `cells`.

    `optimizer=adam, batch_size=64`; the main levels where nothing varies, and the pretraining if
    there is one.
    """
    cells = [{name: level_words(name, level) for name, level in cell.items()} for cell in cells]
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
