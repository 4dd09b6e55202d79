"""The ledger of a study, written: which cells it should have, and under what file and claims."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.errors import InputError
from study.files import read_json, write_json
from study.locks import while_owned
from study.outputs.provenance import differs_from_commit, git_commit
from study.outputs.records import Experiment, Ledger, LedgerCell, listed, read_ledger
from study.outputs.schema import LEDGER_FILE as FILE
from study.outputs.schema import RESULT_FILE, SCHEMA, seal

if TYPE_CHECKING:
    from study.config.sweep import Cell


def record_launch(
    directory: Path,
    *,
    study: str,
    threads: int,
    cells: "Sequence[LedgerCell | Cell]",
    experiment: Path | None,
    claims: Sequence[Any],
    replaces: bool = False,
    accepts: Callable[[Ledger], bool] = lambda ledger: True,
) -> Ledger:
    """Writes what a launch expects into study.json, one launch at a time; returns the ledger.

    A launch that `replaces` the list of cells makes it its own; any other adds its cells, each in
    the place of one of equal factors (other seeds or learning rates). What was listed, and
    under which file and claims, is kept under `previous` where cells are lost or these are others
    now. The thread count is that of the first launch. The same launch once more, as of a second
    process, changes nothing. `InputError` if there is a ledger that the launch does not `accept`.
    """

    def record() -> Ledger:
        old = read_ledger(directory) if (directory / FILE).exists() else None
        if old is not None and not accepts(old):
            raise InputError(
                f"{directory} was taken by another launch just now: the same command again finds "
                "its place"
            )
        merged = (
            [*map(listed, cells)]
            if old is None
            else with_launch(old, cells, replaces=replaces).cells
        )
        fixed = list(claims) if experiment else (old.claims if old else [])
        file = _experiment(experiment) if experiment else (old.experiment if old else None)
        body: dict[str, Any] = {
            "schema": SCHEMA,
            "study": study,
            "threads": old.threads if old and old.threads else threads,
            "experiment": file,
            "claims": fixed,
            "cells": [_entry(cell) for cell in merged],
            "previous": _previous(old, merged, fixed, file),
        }
        content = seal(body)
        if old is None or read_json(directory / FILE) != content:
            write_json(directory / FILE, content)
        return read_ledger(directory)

    return while_owned(directory, record, files=(FILE,))


def with_launch(old: Ledger, new: "Sequence[LedgerCell | Cell]", *, replaces: bool) -> Ledger:
    """The ledger with the cells of a launch: no two of equal factors, or of one directory.

    One directory under two factors is a data directory that was renamed. Cells that were listed
    before stay as they were written; where some are lost, `previous` has all of them.
    """
    newest = {_key(cell): cell for cell in map(listed, new)}
    kept = [] if replaces else [newest.pop(_key(cell), cell) for cell in old.cells]
    merged = {cell.directory: cell for cell in [*kept, *newest.values()]}
    written = {cell.directory: cell for cell in old.cells if cell == merged.get(cell.directory)}
    cells = tuple((merged | written).values())
    previous = _previous(old, cells, old.claims, old.experiment)
    return replace(old, cells=cells, previous=previous)


def _key(cell: LedgerCell) -> str:
    return json.dumps(cell.factors, sort_keys=True)


def _previous(
    old: Ledger | None,
    merged: Sequence[LedgerCell],
    claims: Sequence[Any],
    experiment: Experiment | None,
) -> list[Any]:
    """The older launches, with the latest if cells are gone, or its file or claims were others.

    `num_finished`, its cells that were done by now, tells claims made beforehand from others.
    """
    if old is None:
        return []
    now = {cell.signature for cell in merged}
    same_file = (old.experiment or {}).get("text") == (experiment or {}).get("text")
    same_claims = old.claims == list(claims)
    if same_file and same_claims and all(cell.signature in now for cell in old.cells):
        return list(old.previous)
    done = [cell for cell in old.cells if (old.directory / cell.directory / RESULT_FILE).exists()]
    last = {
        "experiment": old.experiment,
        "claims": old.claims,
        "cells": [_entry(cell) for cell in old.cells],
        "num_finished": len(done),
    }
    return [*old.previous, last]


def _entry(cell: LedgerCell) -> dict[str, Any]:
    return {
        "directory": cell.directory,
        "signature": cell.signature,
        "factors": cell.factors,
        **({"family": cell.family, "seeds": list(cell.seeds)} if cell.family else {}),
    }


def _experiment(path: Path) -> Experiment:
    text, commit = path.read_text(encoding="utf-8"), git_commit()
    return {
        "name": path.stem,
        "text": text,
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "commit": commit,
        "modified": differs_from_commit(path, commit),
    }
