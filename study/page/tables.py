"""Pivots and sheets as the page's templates take them: text and marks, nothing computed."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from study.report.caption import caption, marks, notes, number_text, shared
from study.report.factors import INNER, cell_level, without_parts
from study.report.parts import Report, Sheet
from study.report.pivot import Pivot, Table

SHORT = 40
"""Characters of a text that still stays on one line."""
LINES = 80
"""Characters of a text that still fits into a narrow column."""
_NUMBER = re.compile(r"[-+−~<>≤≥ ]*[\d\[(∞–]|$|(median|inf|never)\b")
LONG = 12
"""Rows of a sheet beyond which it is closed until it is asked for."""


@dataclass(frozen=True)
class TableCell:
    """An entry as it is shown: its number, what follows it, and how it compares."""

    number: str
    spread: str
    marks: str
    best: str
    directory: str


@dataclass(frozen=True)
class ShownTable:
    """A pivot's table: `cells` by row."""

    caption: str
    corner: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[TableCell, ...]], ...]


@dataclass(frozen=True)
class ShownPivot:
    """A pivot's tables and the legend that all of them share."""

    title: str
    tables: tuple[ShownTable, ...]
    notes: tuple[str, ...]


def shown_pivots(report: Report) -> list[ShownPivot]:
    """The report's tables, as its files hold them."""
    return [_pivot(pivot, report.title) for pivot in report.pivots]


def _pivot(pivot: Pivot, study: str) -> ShownPivot:
    label = pivot.metric.label[0].upper() + pivot.metric.label[1:]
    return ShownPivot(
        title=label,
        tables=tuple(_table(pivot, table, study) for table in pivot.tables),
        notes=tuple(notes(pivot, "bold")),
    )


def _table(pivot: Pivot, table: Table, study: str) -> ShownTable:
    parts = shared(pivot)

    def header(level: str, factor: str | None) -> str:
        return without_parts(level, parts[factor]) if factor else pivot.metric.name

    places = _directories(pivot, table)
    return ShownTable(
        caption=caption(pivot, table, study),
        corner=" / ".join(axis for axis in (pivot.rows, pivot.columns) if axis),
        columns=tuple(header(level, pivot.columns) for level in table.column_levels),
        rows=tuple(
            (
                header(row, pivot.rows),
                tuple(
                    _cell(pivot, table, (row, column), places.get((row, column), ""))
                    for column in table.column_levels
                ),
            )
            for row in table.row_levels
        ),
    )


def _cell(pivot: Pivot, table: Table, at: tuple[str, str], directory: str) -> TableCell:
    entry = table.entries[at]
    number, _, spread = number_text(pivot, entry).partition(" ± ")
    return TableCell(
        number=number,
        spread=f"± {spread}" if spread else "",
        marks=" ".join(marks(pivot, entry)),
        best=entry.best,
        directory=directory,
    )


def _directories(pivot: Pivot, table: Table) -> Mapping[tuple[str, str], str]:
    """The cell behind each entry that is of one cell alone."""
    if any(factor not in INNER for factor in pivot.over):
        return {}
    outer = {factor: level for factor, level in table.levels.items() if factor not in INNER}
    places: dict[tuple[str, str], str] = {}
    for cell in pivot.cells:
        if not cell.result or any(cell_level(cell, f) != level for f, level in outer.items()):
            continue
        axes = [axis for axis in (pivot.rows, pivot.columns) if axis and axis not in INNER]
        own = {axis: cell_level(cell, axis) for axis in axes}
        for row in [own[pivot.rows]] if pivot.rows in own else table.row_levels:
            for column in [own[pivot.columns]] if pivot.columns in own else table.column_levels:
                places[row, column] = cell.directory
    return places


def shown_sheet(sheet: Sheet) -> dict[str, Any]:
    """A sheet for its template: each text with its column's kind."""
    kinds = column_kinds(sheet)
    return {
        "name": sheet.name,
        "title": sheet.title,
        "caption": sheet.caption,
        "columns": list(zip(sheet.columns, kinds, strict=True)),
        "rows": [list(zip(row, kinds, strict=True)) for row in sheet.rows],
        "notes": sheet.notes,
        "long": len(sheet.rows) > LONG,
    }


def column_kinds(sheet: Sheet) -> list[str]:
    """For each column `number` (set to the right), `short` (on one line), `long` or `prose`."""
    return [_kind([row[place] for row in sheet.rows]) for place in range(len(sheet.columns))]


def _kind(texts: Sequence[str]) -> str:
    if texts and all(_NUMBER.match(text) for text in texts):
        return "number"
    longest = max(map(len, texts), default=0)
    return "prose" if longest > LINES else "long" if longest > SHORT else "short"


def glossary_of(sheets: Sequence[Sheet]) -> tuple[tuple[str, str], ...]:
    """The terms and meanings of the sheet that is the glossary; none without it."""
    found = next((sheet for sheet in sheets if is_glossary(sheet)), None)
    return tuple((row[0], row[1]) for row in found.rows) if found else ()


def is_glossary(sheet: Sheet) -> bool:
    """Whether a sheet is the report's glossary, which has a section of its own."""
    return sheet.name == "glossary"
