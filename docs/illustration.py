"""Figures of a report that documents show, drawn again from the saved outputs.

`<!-- study figure STUDY NAME FILE -->` is followed by the figure NAME of the study's report, kept
in FILE, and its caption.
"""

import functools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from docs import quoted
from study.analysis.frames import Frames
from study.analysis.parts import Drawn
from study.errors import InputError, unknown
from study.files import replacing
from study.report.figures import FIGURES
from study.report.figures.shown import Shown

KIND = "study figure"
TOLERANCE = 0.01
"""Of coordinates in points: their last digits depend on the processor."""


def printed(arguments: Sequence[str]) -> str:
    """The figure's line and its caption."""
    drawn, file = _drawn(arguments)
    return f"![{drawn.title}]({file})\n\n{drawn.caption}\n"


PRINTERS: dict[str, quoted.Printer] = {KIND: printed}


def stale_files(documents: Sequence[Path], *, write: bool) -> list[str]:
    """The files of figures that are not what the outputs give; with `write` they are drawn."""
    stale = []
    for arguments in _quoted(documents):
        drawn, file = _drawn(arguments)
        path = Path(file)
        if not path.exists() or not same(path.read_bytes(), drawn.svg):
            stale.append(file)
            if write:
                with replacing(path) as whole:
                    whole.write(drawn.svg)
    return stale


def same(first: bytes, second: bytes) -> bool:
    """Whether two SVGs show the same: equal text, and numbers within TOLERANCE."""
    (one, numbers), (other, others) = _apart(first), _apart(second)
    return one == other and all(
        abs(a - b) <= TOLERANCE for a, b in zip(numbers, others, strict=True)
    )


def _apart(svg: bytes) -> tuple[list[str], list[float]]:
    """Text and numbers; identifiers, which are hashes of such numbers, are left out."""
    text = re.sub(r"\b[a-z][0-9a-f]{10}\b", "", svg.decode("utf-8"))
    pieces = re.split(r"(-?\d+\.\d+)", text)
    return pieces[::2], [float(piece) for piece in pieces[1::2]]


def _quoted(documents: Sequence[Path]) -> Iterator[list[str]]:
    for document in documents:
        text = document.read_text(encoding="utf-8")
        yield from (match[2].split() for match in quoted.quotations(KIND).finditer(text))


@functools.cache
def _found(study: str, name: str) -> Drawn:
    """The figure of that name; those of other kinds are drawn until it is found."""
    shown = Shown(Frames.read(study))
    names: list[str] = []
    for draw in FIGURES.values():
        figures = {drawn.name: drawn for drawn in draw(shown)}
        if name in figures:
            return figures[name]
        names += figures
    raise unknown("figure", name, names)


def _drawn(arguments: Sequence[str]) -> tuple[Drawn, str]:
    if len(arguments) != 3:
        raise InputError(f"{KIND} {' '.join(arguments)}: write {KIND} STUDY NAME FILE")
    study, name, file = arguments
    return _found(study, name), file
