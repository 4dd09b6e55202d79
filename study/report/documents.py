"""The project's documents, whose tables must be what the published outputs give."""

import contextlib
from pathlib import Path

from study.report.quoted import PRINTERS, quotations, refreshed

ROOT = Path(__file__).parents[2]


def stale_documents() -> list[str]:
    """README.md and the files of docs/ that quote a table other than its command gives now.

    Quoted commands name directories from the root, as `outputs/published/quickstart`.
    """
    stale = []
    with contextlib.chdir(ROOT):
        for path in quoting_documents():
            text = path.read_text(encoding="utf-8")
            if refreshed(text) != text:
                stale.append(path.as_posix())
    return stale


def quoting_documents() -> list[Path]:
    """The documents of the working directory that quote at least one table."""
    documents = [Path("README.md"), *sorted(Path("docs").glob("*.md"))]
    kinds = [quotations(kind) for kind in PRINTERS]
    return [
        path
        for path in documents
        if path.exists() and any(kind.search(path.read_text(encoding="utf-8")) for kind in kinds)
    ]
