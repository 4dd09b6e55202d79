"""Several studies as one: every cell keeps its study's name, as a factor."""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from study.analysis.frames import Frames
from study.analysis.origins import by_origin
from study.config.labels import counted
from study.errors import InputError
from study.outputs.records import Ledger, LedgerCell

FACTOR = "study"


@dataclass(frozen=True)
class JoinedFrames(Frames):
    """Frames over the cells of several studies, told apart by the factor `study`.

    A cell's directory is `STUDY/DIRECTORY`; its path is where its files are.
    """

    parts: tuple[Frames, ...] = ()
    names: tuple[str, ...] = ()

    @cached_property
    def preflight(self) -> dict[str, Any] | None:
        """None: each study has its own."""
        return None

    @property
    def unsound(self) -> dict[str, str]:
        """Those of all studies, each under its study's name."""
        of_parts = {
            f"{name}/{place}": reason
            for name, part in zip(self.names, self.parts, strict=True)
            for place, reason in part.unsound.items()
        }
        return {**of_parts, **super().unsound}


def join(parts: Sequence[Frames]) -> JoinedFrames:
    """The studies as one; InputError if they have no data in common, and cannot be compared.

    Studies of one name are numbered.
    """
    names = distinct_names([part.name for part in parts])
    # Each cell is under its study's name; a factor called `study` of its own gives way.
    cells = [
        replace(
            cell,
            directory=f"{name}/{cell.directory}",
            factors={FACTOR: name} | {f: v for f, v in cell.factors.items() if f != FACTOR},
            problems=tuple(f"{name}: {problem}" for problem in cell.problems),
        )
        for name, part in zip(names, parts, strict=True)
        for cell in part.cells
    ]
    entries = tuple(LedgerCell(cell.directory, cell.signature, cell.factors) for cell in cells)
    title = " + ".join(names)
    ledger = Ledger(Path(), title, None, None, [], entries, [])
    unlisted = [each for part in parts for each in part.unlisted]
    joined = JoinedFrames(ledger, cells, unlisted, parts=tuple(parts), names=tuple(names))
    shared = [
        {cell.factors[FACTOR] for cell in cells} for cells in by_origin(joined.cells).values()
    ]
    if all(len(studies) < 2 for studies in shared):
        lines = [line.removesuffix(".") for line in origin_remarks(joined)[1:]]
        raise InputError(
            "these studies have no data and split in common, so their cells cannot be compared "
            f"({'; '.join(lines)}); report each by itself"
        )
    return joined


def distinct_names(names: Sequence[str]) -> list[str]:
    """The names, numbered where one comes twice."""
    counts = Counter(names)
    number = {name: itertools.count(1) for name in counts}
    return [f"{name} ({next(number[name])})" if counts[name] > 1 else name for name in names]


def origin_remarks(frames: Frames) -> list[str]:
    """A line for each origin if there are several: they are neither pooled nor compared."""
    groups = by_origin(frames.cells)
    if len(groups) < 2:
        return []
    lines = ["Cells of different data or splits are neither pooled nor compared:"]
    for origin, cells in groups.items():
        names = dict.fromkeys(str(cell.factors[FACTOR]) for cell in cells if FACTOR in cell.factors)
        whose = f" of {', '.join(names)}" if names else ""
        lines.append(f"{counted(len(cells), 'cell')}{whose}: {origin.words}.")
    return lines
