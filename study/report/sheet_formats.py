"""Writers of a sheet: Markdown, CSV and LaTeX. The same sheet gives the same bytes."""

import csv
import io
from collections.abc import Callable

from study.report.formats import align, escape_latex, escape_markdown
from study.report.parts import Sheet

SheetWriter = Callable[[Sheet], str]


def sheet_markdown(sheet: Sheet) -> str:
    """Title, caption, an aligned table and the notes."""
    grid = [[escape_markdown(text) for text in row] for row in (sheet.columns, *sheet.rows)]
    notes = "\n".join(f"- {escape_markdown(note)}" for note in sheet.notes)
    title = f"# {escape_markdown(sheet.title)}"
    blocks = [title, escape_markdown(sheet.caption), align(grid), notes]
    return "\n\n".join(block for block in blocks if block) + "\n"


def sheet_csv(sheet: Sheet) -> str:
    """A header and the rows, as the page shows them."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([sheet.columns, *sheet.rows])
    return stream.getvalue()


def sheet_latex(sheet: Sheet) -> str:
    """A table that may run over pages, for the packages booktabs and longtable."""
    lines = [" & ".join(map(escape_latex, row)) + r" \\" for row in (sheet.columns, *sheet.rows)]
    notes = [rf"{escape_latex(note)}\par" for note in sheet.notes]
    parts = [
        rf"\begin{{longtable}}{{l{'r' * (len(sheet.columns) - 1)}}}",
        rf"\caption{{{escape_latex(f'{sheet.title}. {sheet.caption}')}}} \\",
        r"\toprule",
        lines[0],
        r"\midrule",
        r"\endhead",
        *lines[1:],
        r"\bottomrule",
        r"\end{longtable}",
        *([r"{\footnotesize", *notes, "}"] if notes else []),
    ]
    return "\n".join(parts) + "\n"


SHEET_WRITERS: dict[str, SheetWriter] = {
    "md": sheet_markdown,
    "csv": sheet_csv,
    "tex": sheet_latex,
}
