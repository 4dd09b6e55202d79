"""A report as one HTML page: its texts, its tables and where it comes from."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from study.analysis.caption import caption, marks, notes, number_text, shared
from study.analysis.frames import Frames, replicas_of
from study.analysis.parts import Drawn, Report, Sheet
from study.analysis.pivot import Pivot, Table
from study.config.labels import counted
from study.outputs.factors import INNER, cell_level, without_parts
from study.report.page import verdicts
from study.report.page.details import detail_words, details, probe_labels
from study.report.page.explorer import explorer
from study.report.page.packing import (
    LARGEST,
    asset,
    charting_library,
    packed,
    png_uri,
    script,
    script_hash,
    share_of_width,
    style,
    svg_uri,
)

TEMPLATES = Path(__file__).parent / "templates"
SHORT = 40
"""Characters of a text that still stays on one line."""
LINES = 80
"""Characters of a text that still fits into a narrow column."""
_NUMBER = re.compile(r"[-+−~<>≤≥ ]*[\d\[(∞–]|$|(median|inf|never)\b")
LONG = 12
"""Rows of a sheet beyond which it is closed until it is asked for."""
_FACTS = {
    "git_commit": "commit",
    "git_diff_sha256": "uncommitted changes (sha256)",
    "python": "Python",
    "platform": "platform",
    "processor": "processor",
    "gpu": "GPU",
    "device": "device",
    "threads": "threads",
    "engine": "engine",
    "data_fingerprint": "data fingerprint",
    "recipe": "recipe",
}
_FACTS_SHOWN = 4
_TITLE = re.compile(r"^#\s*(?:[\w-]+:\s*)?(.+)$")


def write_page(report: Report) -> str:
    """The page as text: the same report gives the same bytes.

    It asks for nothing: scripts, styles, pictures and data are in it, and its policy forbids
    browsers to fetch or to run anything else. All texts are escaped, whatever a level is called.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    library, library_hash = charting_library()
    theme, own = asset("theme.js"), script()
    shown = {
        **explorer(report.frames),
        "study": report.title,
        "probes": probe_labels(report.frames.cells),
    }
    content = {
        "style": Markup(style()),
        "theme": Markup(theme),
        "script": Markup(own),
        "hashes": Markup(" ".join([script_hash(theme), script_hash(own), library_hash])),
        "library": library,
        "explorer": packed(shown),
        "details": packed(details(report)),
        "report": report,
        "question": question(report.frames),
        "extent": extent(report.frames),
        "facts": facts(report.frames),
        "opened": detail_words(len(report.frames.finished)),
        "experiment": experiment_text(report.frames),
        "cards": verdicts.cards(report.verdicts),
        "counts": verdicts.counts(report.verdicts),
        "figures": [_figure(figure) for figure in report.figures],
        "pivots": shown_pivots(report),
        "sheets": [shown_sheet(s) for s in report.sheets if not is_glossary(s)],
        "published": [shown_sheet(sheet) for sheet in report.published],
        "glossary": glossary_of(report.sheets),
    }
    return environment.get_template("page.html").render(content) + "\n"


def _figure(figure: Drawn) -> dict[str, Any]:
    svg = svg_uri(figure.svg)
    fits = len(svg) <= LARGEST
    return {
        "name": figure.name,
        "title": figure.title,
        "caption": figure.caption,
        "uri": Markup(svg if fits else png_uri(figure.png)),
        "share": share_of_width(figure.svg),
        "lines": fits and b"<image" not in figure.svg,
    }


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
    return [
        ShownPivot(
            title=pivot.metric.label[0].upper() + pivot.metric.label[1:],
            tables=tuple(_table(pivot, table, report.title) for table in pivot.tables),
            notes=tuple(notes(pivot, "bold")),
        )
        for pivot in report.pivots
    ]


def _table(pivot: Pivot, table: Table, study: str) -> ShownTable:
    parts = shared(pivot)

    def header(level: str, factor: str | None) -> str:
        return without_parts(level, parts[factor]) if factor else pivot.metric.name

    places = _directories(pivot, table)
    rows = []
    for row in table.row_levels:
        cells = []
        for column in table.column_levels:
            entry = table.entries[row, column]
            number, _, spread = number_text(pivot, entry).partition(" ± ")
            cells.append(
                TableCell(
                    number=number,
                    spread=f"± {spread}" if spread else "",
                    marks=" ".join(marks(pivot, entry)),
                    best=entry.best,
                    directory=places.get((row, column), ""),
                )
            )
        rows.append((header(row, pivot.rows), tuple(cells)))
    return ShownTable(
        caption=caption(pivot, table, study),
        corner=" / ".join(axis for axis in (pivot.rows, pivot.columns) if axis),
        columns=tuple(header(level, pivot.columns) for level in table.column_levels),
        rows=tuple(rows),
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
    kinds = []
    for place in range(len(sheet.columns)):
        texts = [row[place] for row in sheet.rows]
        longest = max(map(len, texts), default=0)
        kind = "prose" if longest > LINES else "long" if longest > SHORT else "short"
        kinds.append("number" if texts and all(map(_NUMBER.match, texts)) else kind)
    return kinds


def glossary_of(sheets: Sequence[Sheet]) -> tuple[tuple[str, str], ...]:
    """The terms and meanings of the sheet that is the glossary; none without it."""
    found = next((sheet for sheet in sheets if is_glossary(sheet)), None)
    return tuple((row[0], row[1]) for row in found.rows) if found else ()


def is_glossary(sheet: Sheet) -> bool:
    """Whether a sheet is the report's glossary, which has a section of its own."""
    return sheet.name == "glossary"


def facts(frames: Frames) -> list[tuple[str, str]]:
    """What the study rests on, a name and a text each; of what differs between cells all of it."""
    records = [cell.finished.provenance for cell in frames.finished]
    experiment = frames.ledger.experiment or {}
    modified = ", with uncommitted changes" if experiment.get("modified") else ""
    commit = experiment.get("commit")
    first = {
        "experiment": experiment.get("name"),
        "commit of the experiment's file": commit and f"{commit}{modified}",
        "sha256 of the experiment's file": experiment.get("sha256"),
    }
    found = [(name, str(value)) for name, value in first.items() if value]
    found += [
        (label, text)
        for key, label in _FACTS.items()
        if (text := _values(getattr(record, key) for record in records))
    ]
    packages = dict.fromkeys(name for record in records for name in record.packages)
    versions = {name: _values(record.packages.get(name) for record in records) for name in packages}
    return [*found, *versions.items()]


def experiment_text(frames: Frames) -> str:
    """The experiment's file as it was when the study was launched; empty without one."""
    return str((frames.ledger.experiment or {}).get("text") or "")


def question(frames: Frames) -> str:
    """The first line that the experiment's file says of itself; empty if it says nothing."""
    for line in experiment_text(frames).splitlines():
        found = _TITLE.match(line)
        if found and not found[1].startswith("@"):
            text = found[1].strip()
            return text[0].upper() + text[1:]
        if line.strip() and not line.startswith("#"):
            break
    return ""


def extent(frames: Frames) -> list[tuple[str, str]]:
    """How large the study is: numbers and what they count."""
    finished, total = len(frames.finished), len(frames.cells)
    results = [cell.finished for cell in frames.finished]
    seeds = {seed for result in results for seed in result.seeds}
    rates = {rate for result in results for rate in result.rates}
    networks = sum(len(replicas_of(cell)) for cell in frames.finished)
    share = f"{finished}" if finished == total else f"{finished} of {total}"
    nouns = {"seed": len(seeds), "learning rate": len(rates), "network": networks}
    texts = [counted(number, noun).partition(" ") for noun, number in nouns.items()]
    return [
        (share, "cell" if total == 1 else "cells"),
        *((number, noun) for number, _, noun in texts),
    ]


def _values(found: Iterable[object]) -> str:
    """The distinct values, but for None, the first of them in full."""
    texts = list(dict.fromkeys(str(value) for value in found if value is not None))
    more = f" and {len(texts) - _FACTS_SHOWN} more" if len(texts) > _FACTS_SHOWN else ""
    return ", ".join(texts[:_FACTS_SHOWN]) + more
