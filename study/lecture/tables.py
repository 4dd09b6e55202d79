"""Markdown tables of sentences: to the left, links and code kept."""

import re
from collections.abc import Iterable, Sequence


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of a header and rows; a header of empty names is there, as Markdown needs one."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    """Text on one line, with no column or emphasis of its own."""
    return re.sub(r"([|*<])", r"\\\1", " ".join(text.split()))
