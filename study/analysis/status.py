"""`study status`: what of a study is done, as a map of its cells."""

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from study.config.labels import counted
from study.console import Parser, as_path, padded, run_as_command, show
from study.outputs.checkpoint import reached_epoch
from study.outputs.factors import all_levels, cell_level, varying_factors
from study.outputs.failures import Failure
from study.outputs.records import CellRecord, Ledger, count_statuses, read_cells, read_ledger
from study.outputs.unlisted import Unlisted, listed_again, unlisted_cells
from study.outputs.versions import changed_levels, other_versions

GLYPHS = {
    "done": "o",
    "diverged": "D",
    "running": "R",
    "failed": "F",
    "damaged": "!",
    "missing": ".",
    "absent": "-",
}
_MEANING = {
    "diverged": "done, with diverged replicas at the chosen learning rate",
    "damaged": "result.json not usable",
    "absent": "not in the study",
}
_NUM_LISTED = 10


def main(arguments: list[str]) -> int:
    """Prints the state of a study, as a map or as JSON."""
    parser = Parser("study status", "Shows which cells of a study are done, and which are not.")
    parser.add_argument(
        "directory", type=as_path, help="a study's directory, as outputs/quickstart"
    )
    parser.add_argument("--json", action="store_true", help="for scripts: every cell and its state")
    options = parser.parse_args(arguments)
    ledger = read_ledger(options.directory)
    cells = read_cells(ledger)
    unlisted = unlisted_cells(ledger, cells)
    if options.json:
        print(json.dumps(as_record(ledger, cells, unlisted), indent=2))
    else:
        show("\n".join(as_lines(ledger, cells, unlisted)))
    return 0


def as_record(
    ledger: Ledger, cells: Sequence[CellRecord], unlisted: Sequence[Unlisted]
) -> dict[str, Any]:
    """The state as plain data: counts (they add up to `total`), cells, stale directories."""
    return {
        "schema": 1,
        "study": ledger.study,
        "counts": {**count_statuses(cells), "total": len(cells), "stale": len(unlisted)},
        "cells": [
            {
                "directory": cell.directory,
                "signature": cell.signature,
                "status": cell.status,
                "factors": cell.factors,
                "diverged_replicas": cell.num_diverged,
                "error": cell.error,
                "problems": list(cell.problems),
                "owner": asdict(cell.owner) if cell.owner else None,
                "checkpoint_epoch": None if cell.result else reached_epoch(cell.path),
                "changed_levels": changed_levels(cell),
            }
            for cell in cells
        ],
        "stale": [each.record.directory for each in unlisted],
    }


def as_lines(
    ledger: Ledger, cells: Sequence[CellRecord], unlisted: Sequence[Unlisted]
) -> list[str]:
    """The state for people: counts, map, legend; what is not done, not listed, of other code."""
    counts = count_statuses(cells)
    states = [f"{number} {status}" for status, number in counts.items() if number]
    lines = [f"{ledger.study}: {counted(len(cells), 'cell')}: {', '.join(states) or 'none'}"]
    if cells:
        told, missing = [], []
        if lost := [
            f"{cell.directory} ({cell.num_diverged} of {counted(len(result.chosen), 'replica')} "
            f"at {result.chosen_lr:g})"
            for cell in cells
            if (result := cell.result) and cell.num_diverged
        ]:
            told.append(f"diverged: {_listed(lost)}")
        for cell in cells:
            # Who trains it, how far it is, its error.
            parts = [cell.owner.label] if cell.owner else []
            if cell.owner and cell.owner.started:
                parts.append(f"since {cell.owner.started}")
            if cell.result is None and (epoch := reached_epoch(cell.path)) is not None:
                parts.append(f"checkpoint after epoch {epoch}")
            facts = ", ".join([*parts, *([cell.error] if cell.error else [])])
            if cell.status in ("failed", "running") or facts:
                told.append(f"{cell.status}: {cell.directory}{f'  {facts}' if facts else ''}")
            elif cell.status == "missing":
                missing.append(cell.directory)
            told += [f"{cell.status}: {problem}" for problem in cell.problems]
        failures = [Failure.recorded(cell.directory, cell.error) for cell in cells if cell.error]
        kinds = Counter(failure.label for failure in failures)
        if kinds.total() > 1:
            each = (f"{count} x {words}" for words, count in kinds.most_common())
            told.append(f"failed by kind: {'; '.join(each)}")
        told += [f"missing: {_listed(missing)}"] if missing else []
        lines += ["", *_map(cells), "", *told, *other_versions(cells)]
    lines += _not_listed(unlisted)
    return lines if lines[-1] else lines[:-1]


def _not_listed(unlisted: Sequence[Unlisted]) -> Iterator[str]:
    """Cells outside study.json, those apart that are finished: nothing is wrong with them."""
    begun = [each for each in unlisted if each.is_beginning]
    finished = [each for each in unlisted if each.is_left_out]
    others = [each for each in unlisted if not each.is_finished]
    if begun:
        what = counted(len(begun), "finished cell")
        yield f"{what} with fewer seeds, which those above begin with: {_names(begun)}"
    if finished:
        what = counted(len(finished), "finished cell")
        yield f"{what} outside study.json, in no table: {_names(finished)}"
        yield f"  {listed_again(finished)}"
    if others:
        yield f"stale (not in study.json, in no table): {_names(others)}"


def _names(cells: Sequence[Unlisted]) -> str:
    return _listed([each.record.directory for each in cells])


def _map(cells: Sequence[CellRecord]) -> list[str]:
    """Rows and columns: the two factors with most levels; a field has a glyph per other level."""
    varying = sorted(varying_factors(cells), key=lambda f: -len(all_levels(cells, f)))
    axes, inner = varying[:2], varying[2:]
    places: dict[tuple[str, ...], list[CellRecord]] = {}
    for cell in cells:
        at = tuple(cell_level(cell, name) for name in (*axes, *inner))
        places.setdefault(at, []).append(cell)
    fields = [
        fields
        for fields in itertools.product(*(all_levels(cells, factor) for factor in inner))
        if any(place[len(axes) :] == fields for place in places)
    ]
    rows = [(level,) for level in all_levels(cells, axes[0])] if axes else [()]
    columns = [(level,) for level in all_levels(cells, axes[1])] if len(axes) > 1 else [()]
    grid = [[" / ".join(axes) or "cell", *("".join(column) or "" for column in columns)]]
    for row in rows:
        grid.append(["".join(row)])
        for column in columns:
            found = (places.get((*row, *column, *field), []) for field in fields)
            glyphs = ["".join(GLYPHS[c.status] for c in own) or GLYPHS["absent"] for own in found]
            grid[-1].append("".join(glyphs))
    lines = ["  ".join(row).rstrip() for row in padded(grid)]
    used = "".join("".join(row[1:]) for row in grid[1:])
    marks = [
        f"{glyph} {_MEANING.get(state, state)}" for state, glyph in GLYPHS.items() if glyph in used
    ]
    lines += ["", "   ".join(marks)]
    if inner:
        order = ", ".join(" ".join(field) for field in fields)
        lines.append(f"in each field, in this order ({' '.join(inner)}): {order}")
    return lines


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NUM_LISTED])
    more = len(names) - _NUM_LISTED
    return f"{shown} and {more} more (--json lists all)" if more > 0 else shown


if __name__ == "__main__":
    run_as_command("status")
