"""What a source of images is."""

from pathlib import Path
from typing import Protocol

from study.data.images import Images

EMBEDDED_ROOT = Path(__file__).resolve().parents[2] / "data"
"""This repository's own directory of data, where git ignores what is made."""


class Source(Protocol):
    """Where images come from: files below a root, and the way to decode them."""

    def cache(self, root: Path) -> Path:
        """The file that keeps the decoded tensors, beside the source."""
        ...

    def files(self, root: Path) -> list[str]:
        """The files present now: their names, sizes and times are the state of the source.

        Strings below `root`: an image folder may have a million of them at every start.
        """
        ...

    def decode(self, root: Path) -> Images:
        """The images, decoded and verified; `InputError` names the file that prevents it."""
        ...


def shown(path: str | Path) -> str:
    """`path` as a message shows it: relative where it lies below the current directory."""
    path = Path(path).absolute()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
