"""Figures that documents show: those of a study's report, and the activation functions.

`<!-- study figure STUDY NAME FILE -->` is followed by the figure NAME of the study's report, kept
in FILE, and its caption. A page that quotes `study activations` has their figure beside it.
"""

import functools
import re
from collections.abc import Sequence
from pathlib import Path

from docs.quoted import quotations
from study.analysis.frames import Frames
from study.analysis.parts import Drawn
from study.errors import InputError, unknown
from study.files import replacing
from study.report.figures import FIGURES
from study.report.figures.shown import Shown
from study.report.figures.style import save_figure
from study.theory.activations.command import chosen_levels

KIND = "study figure"
TOLERANCE = 0.01
"""Of coordinates in points: their last digits depend on the processor."""


def printed(arguments: Sequence[str]) -> str:
    """The figure's line and its caption."""
    drawn, file = _drawn(arguments)
    return f"![{drawn.title}]({file})\n\n{drawn.caption}\n"


def stale_files(text: str, *, write: bool) -> list[str]:
    """The files of a page's figures that are not what the outputs give; `write` draws them."""
    stale = []
    for match in quotations(KIND).finditer(text):
        drawn, file = _drawn(match[2].split())
        path = Path(file)
        if not path.exists() or not same(path.read_bytes(), drawn.svg):
            stale.append(file)
            if write:
                with replacing(path) as whole:
                    whole.write(drawn.svg)
    return stale


def draw_activations(path: Path) -> None:
    """Draws every level of the activation sheet into one file; it needs PyTorch."""
    from study.theory.activations.facts import check
    from study.theory.activations.figure import draw

    levels = chosen_levels([])
    save_figure(draw(levels, {name: check(config) for name, config in levels.items()}), path)


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
