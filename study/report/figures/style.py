"""Figures: one style, and the same bytes for the same data (on one version of matplotlib)."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import matplotlib.style
from matplotlib.figure import Figure

from study.files import replacing

STYLE = Path(__file__).with_name("style.mplstyle")

UNDATED: dict[str, dict[str, None]] = {
    "svg": dict.fromkeys(("Date", "Creator")),
    "png": {"Software": None},
    "pdf": dict.fromkeys(("CreationDate", "Creator", "Producer")),
}
"""What matplotlib would write into a file of each format beside the figure."""


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """The project's style, whatever the user's is, for what is drawn within."""
    with matplotlib.style.context(STYLE, after_reset=True):
        yield


def save_figure(figure: Figure, path: Path) -> None:
    """Writes a figure as svg, png or pdf, by the path's suffix; the file is whole or absent."""
    kind = path.suffix[1:]
    with styled(), replacing(path) as file:
        figure.savefig(file, format=kind, metadata=UNDATED[kind])
