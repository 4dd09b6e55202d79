"""Every file of docs/claims that is made, and the list that the README quotes."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from study.lecture.entries import Lecture, read_lecture
from study.lecture.index import index, verdict_list
from study.lecture.page import Findings, page
from study.lecture.verdicts import published_findings
from study.outputs.files import write_text
from study.report import quoted

INDEX = "README.md"


def _read() -> tuple[Lecture, Findings]:
    """The lecture and what the published studies say."""
    return read_lecture(), published_findings()


def documents() -> dict[str, str]:
    """{file of docs/claims: its text}."""
    lecture, known = _read()
    pages = {entry.file: page(entry, known) for entry in lecture.entries}
    return {INDEX: index(lecture, known), **pages}


def differing(folder: Path, files: Mapping[str, str]) -> list[str]:
    """The names of files that are stale, absent, or no page of a claim any more."""
    there = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}
    names = [name for name, text in files.items() if there.get(name) != text]
    return [*names, *sorted(name for name in there if name not in files)]


def write(folder: Path, files: Mapping[str, str], names: Iterable[str]) -> None:
    """Writes the files of these names; removes those that are no page any more."""
    for name in names:
        if name in files:
            write_text(folder / name, files[name])
        else:
            (folder / name).unlink()


PRINTERS = quoted.printer_without_arguments("study claims", lambda: verdict_list(*_read()))
"""The README's list of verdicts."""
