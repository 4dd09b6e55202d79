"""The form of a cell's CSV files, checked where they are read: what their readers rely on."""

import functools
import re

from study.outputs.cell import CURVE_COLUMNS
from study.outputs.measurements import FILE as PROBES
from study.outputs.pairs import COLUMNS as PAIR_COLUMNS
from study.outputs.pairs import ENDS
from study.outputs.pairs import FILE as PAIRS
from study.probes.names import ROW

_NEEDED = {"curves.csv": CURVE_COLUMNS, PROBES: ROW, PAIRS: PAIR_COLUMNS}
"""Columns that every such file has; those of probes have been added one by one."""
_WHOLE = ("seed", "other_seed", "epoch", "step", "layer")
_FULL = ("lr", "alpha", *_WHOLE, *ENDS)
"""Columns whose fields are never empty."""
_WHOLE_NUMBER = r"\d{1,18}"
_NUMBER = r"-?\d{1,20}(?:\.\d{1,40})?(?:e[-+]?(?:[12]?\d?\d|30[0-8]))?"


def check_rows(name: str, content: bytes) -> None:
    """ValueError, which says where and why, unless a cell's file of this name holds its rows.

    Numbers under the columns of such a file, whole ones where they count; the field of a number
    that is not finite is empty. Files that are no tables are not looked at.
    """
    if name not in _NEEDED:
        return
    head, _, body = content.partition(b"\n")
    columns = tuple(head.decode("utf-8", "replace").strip("\r").split(","))
    missing = [column for column in _NEEDED[name] if column not in columns]
    if missing:
        raise ValueError(f"it lacks the column {missing[0]}")
    if len(set(columns)) < len(columns):
        raise ValueError("it has a column twice")
    if not _table(columns).fullmatch(body):
        raise ValueError(_first_wrong(columns, body.decode("utf-8", "replace").splitlines()))


@functools.cache
def _table(columns: tuple[str, ...]) -> re.Pattern[bytes]:
    # All rows at once: a report reads some thousands of such files.
    line = ",".join(_field(column) for column in columns)
    return re.compile(rf"(?:{line}\r?\n)*+(?:{line})?".encode())


def _field(column: str) -> str:
    kind = _WHOLE_NUMBER if column in _WHOLE else _NUMBER
    return kind if column in _FULL else f"(?:{kind})?"


def _first_wrong(columns: tuple[str, ...], lines: list[str]) -> str:
    """Where a table is first not as it should be."""
    for number, line in enumerate(lines, 2):
        fields = line.split(",")
        if len(fields) != len(columns):
            return f"its line {number} has {len(fields)} fields under {len(columns)} columns"
        for column, text in zip(columns, fields, strict=True):
            if not re.fullmatch(_field(column), text):
                return f"its {column} in line {number} is {text!r:.40}, which is no number of such"
    return "its lines do not end as those of a table"
