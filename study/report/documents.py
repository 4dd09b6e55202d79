"""The project's documents, whose tables must be what the published outputs give."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from study.report.quoted import PRINTERS, broken_marks, num_lone_ends, quotations, refreshed

ROOT = Path(__file__).parents[2]


def stale_documents() -> list[str]:
    """A line for each of README.md and docs/ that quotes a table other than its command gives now.

    One too for a quotation whose marks are damaged, and for a README.md that quotes nothing.
    Quoted commands name directories from the root, as `outputs/published/quickstart`.
    """
    lines = []
    with contextlib.chdir(ROOT):
        for path in (Path("README.md"), *sorted(Path("docs").glob("*.md"))):
            text = path.read_text(encoding="utf-8") if path.exists() else ""
            lines += [f"{path.as_posix()}: {problem}" for problem in _problems(path, text)]
    return lines


def _problems(path: Path, text: str) -> Iterator[str]:
    """What is wrong with the quotations of one document."""
    if path == Path("README.md") and not any(quotations(kind).search(text) for kind in PRINTERS):
        yield f"quotes no {' or '.join(PRINTERS)}; restore the marks of its tables"
    for mark in broken_marks(text):
        yield f"the mark {mark} is not whole; write <!-- study table ARGUMENTS -->, <!-- end -->"
    if lone := num_lone_ends(text):
        yield f"{lone} of the marks <!-- end --> end no quotation; restore what opened it"
    if refreshed(text) != text:
        yield "stale; run `make published`"
