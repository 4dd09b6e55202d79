"""The files of a report: what each holds, written where it changed, compared with what is there."""

from collections.abc import Iterator
from pathlib import Path

from study.analysis.formats import SHEET_WRITERS, WRITERS
from study.analysis.frames import results_csv
from study.analysis.parts import Report, Sheet
from study.analysis.requests import pivot_names
from study.analysis.sheets.scores import verdict_sheet
from study.errors import InputError
from study.files import replacing

PAGE = "index.html"
FOLDERS = ("tables", "sheets", "figures")
"""Folders whose files are all the report's: what it no longer has is removed from them."""
_SUFFIXES = (".md", ".csv", ".tex", ".svg", ".png")


def files_of(report: Report) -> dict[str, bytes]:
    """{path within the report: content}, the page last. The same report gives the same bytes."""
    from study.report.page import write_page

    texts = {"results.csv": results_csv(report.frames), **dict(_tables(report))}
    for sheet in (*verdict_sheets(report), *report.sheets, *report.published):
        texts |= {f"sheets/{sheet.name}.{kind}": w(sheet) for kind, w in SHEET_WRITERS.items()}
    files = {path: text.encode() for path, text in texts.items()}
    for figure in report.figures:
        files[f"figures/{figure.name}.svg"] = figure.svg
        files[f"figures/{figure.name}.png"] = figure.png
    return {**files, PAGE: write_page(report).encode()}


def verdict_sheets(report: Report) -> list[Sheet]:
    """The verdicts as a sheet, if there are any: the page shows them as cards."""
    return [verdict_sheet(report.verdicts)] if report.verdicts else []


def write_folder(directory: Path, files: dict[str, bytes]) -> None:
    """Makes the folder hold these files; InputError where it cannot be written."""
    try:
        for name in FOLDERS:
            (directory / name).mkdir(parents=True, exist_ok=True)
        for path in _left_over(directory, files):
            path.unlink()
        for name, content in files.items():
            path = directory / name
            if _content(path) != content:
                with replacing(path) as file:
                    file.write(content)
    except OSError as error:
        raise InputError(f"cannot write {directory}: {error.strerror or error}") from None


def differences(directory: Path, files: dict[str, bytes]) -> list[str]:
    """The files of the folder that are not what they would be now, by name; PNGs left out.

    The bytes of a PNG depend on the platform's libraries, those of all other files do not.
    """
    stale = [path.relative_to(directory).as_posix() for path in _left_over(directory, files)]
    changed = [name for name, content in files.items() if _content(directory / name) != content]
    return sorted(name for name in (*stale, *changed) if not name.endswith(".png"))


def _tables(report: Report) -> Iterator[tuple[str, str]]:
    for pivot, name in zip(report.pivots, pivot_names(report.pivots), strict=True):
        for kind, writer in WRITERS.items():
            yield f"tables/{name}.{kind}", writer(pivot, report.title, ())


def _left_over(directory: Path, files: dict[str, bytes]) -> list[Path]:
    """Files of an earlier report that this one does not have."""
    return [
        path
        for name in FOLDERS
        for path in sorted((directory / name).glob("*"))
        if path.suffix in _SUFFIXES and f"{name}/{path.name}" not in files
    ]


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
