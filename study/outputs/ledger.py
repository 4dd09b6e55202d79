"""The ledger of a study, written: which cells it should have, and under what file and claims."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from study.outputs.files import write_json
from study.outputs.provenance import git_commit
from study.outputs.records import Ledger, LedgerCell, read_ledger
from study.outputs.sealed import SCHEMA

FILE = "study.json"
LOCK = ".study.json.lock"


def record_launch(
    directory: Path,
    *,
    study: str,
    threads: int,
    cells: Sequence[LedgerCell],
    experiment: Path | None,
    claims: Sequence[Any],
) -> Ledger:
    """Writes what a launch expects into study.json, under a lock; returns the ledger.

    A launch of an experiment's file replaces the list of cells; any other launch adds its cells,
    each in the place of one of equal factors (other seeds or learning rates). A list that lost
    cells is kept under `previous`. The thread count is that of the first launch.
    """
    with FileLock(directory / LOCK):
        old = read_ledger(directory) if (directory / FILE).exists() else None
        merged = _merged(old, cells, replace=bool(experiment))
        content: dict[str, Any] = {
            "schema": SCHEMA,
            "study": study,
            "threads": old.threads if old and old.threads else threads,
            "experiment": _experiment(experiment) if experiment else (old and old.experiment),
            "claims": list(claims) if experiment else (old.claims if old else []),
            "cells": [_entry(cell) for cell in merged],
            "previous": _previous(old, merged),
        }
        write_json(directory / FILE, content)
        return read_ledger(directory)


def _merged(old: Ledger | None, new: Sequence[LedgerCell], *, replace: bool) -> list[LedgerCell]:
    """The cells after a launch: no two of equal factors, or of one directory.

    One directory under two factors is a data directory that was renamed.
    """
    if old is None or replace:
        return list(new)
    newest = {_key(cell): cell for cell in new}
    kept = [newest.pop(_key(cell), cell) for cell in old.cells]
    merged = {cell.directory: cell for cell in [*kept, *newest.values()]}
    return list(merged.values())


def _key(cell: LedgerCell) -> str:
    return json.dumps(cell.factors, sort_keys=True)


def _previous(old: Ledger | None, merged: Sequence[LedgerCell]) -> list[Any]:
    """The older lists, with the latest if cells of it are gone."""
    if old is None:
        return []
    now = {cell.signature for cell in merged}
    if all(cell.signature in now for cell in old.cells):
        return list(old.previous)
    last = {"experiment": old.experiment, "cells": [_entry(cell) for cell in old.cells]}
    return [*old.previous, last]


def _entry(cell: LedgerCell) -> dict[str, Any]:
    return {
        "directory": cell.directory,
        "signature": cell.signature,
        "factors": cell.factors,
    }


def _experiment(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8")
    return {
        "name": path.stem,
        "text": text,
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "commit": git_commit(),
    }
