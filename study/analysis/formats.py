"""Writers of a pivot: Markdown, CSV and LaTeX. The same pivot gives the same bytes."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence

from study.analysis.caption import caption, marks, notes, number_text, shared
from study.analysis.parts import Sheet
from study.analysis.pivot import Entry, Pivot, Table
from study.console import aligned_table, escape_markdown
from study.errors import unknown
from study.outputs.factors import without_parts

Writer = Callable[[Pivot, str, Sequence[str]], str]

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "$": r"\$",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    # After a line's \\ these would be read as its arguments.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "±": r"$\pm$",
    "≈": r"$\approx$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "°": r"$^\circ$",
    "–": "--",
}


def write_markdown(pivot: Pivot, study: str, remarks: Sequence[str] = ()) -> str:
    """Aligned Markdown tables, each under its caption, and one legend; `remarks` end it."""
    blocks = []
    for table in pivot.tables:
        blocks.append(escape_markdown(caption(pivot, table, study)))
        blocks.append(aligned_table(list(_grid(pivot, table, escape_markdown, "**{}**".format))))
    legend = [escape_markdown(line) for line in (*notes(pivot, "bold"), *remarks)]
    return "\n\n".join([*blocks, "\n".join(f"- {line}" for line in legend)]) + "\n"


def write_latex(pivot: Pivot, study: str, remarks: Sequence[str] = ()) -> str:
    """A `table` environment for each table, for the booktabs package, each with its legend."""
    legend = [escape_latex(line) for line in (*notes(pivot, "bold"), *remarks)]
    texts = []
    for table in pivot.tables:
        header, *rows = (
            " & ".join(row) + r" \\"
            for row in _grid(pivot, table, escape_latex, r"\textbf{{{}}}".format)
        )
        lines = [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape_latex(caption(pivot, table, study))}}}",
            rf"\begin{{tabular}}{{l{'r' * len(table.column_levels)}}}",
            r"\toprule",
            header,
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            r"\par\smallskip\footnotesize",
            *(rf"{line}\par" for line in legend),
            r"\end{table}",
        ]
        texts.append("\n".join(lines) + "\n")
    return "\n".join(texts)


def write_csv(pivot: Pivot, study: str, remarks: Sequence[str] = ()) -> str:
    """Tidy: a line per entry. Numbers as recorded (classification errors: shares), 10 digits."""
    fixed = {factor: " or ".join(levels) for factor, levels in pivot.where.items()}
    fixed |= pivot.metric.fixed
    averaged = {factor: "mean" for factor in pivot.over if factor != "seed"}
    axes = [axis for axis in (pivot.rows, pivot.columns) if axis]
    split = list(pivot.tables[0].levels)
    names = [name for name in (*fixed, *averaged) if name not in (*split, *axes)]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["study", *names, *split, *axes, "metric", *_CSV_COLUMNS])
    for table in pivot.tables:
        constants = [study, *({**fixed, **averaged}[name] for name in names)]
        for (row, column), entry in table.entries.items():
            levels = [level for level, axis in ((row, pivot.rows), (column, pivot.columns)) if axis]
            head = [*constants, *table.levels.values(), *levels, pivot.metric.name]
            writer.writerow([*head, *(write(entry) for write in _CSV_COLUMNS.values())])
    return stream.getvalue()


WRITERS: dict[str, Writer] = {"md": write_markdown, "csv": write_csv, "tex": write_latex}


def find_writer(name: str) -> Writer:
    """The writer of a format; InputError lists the formats when there is none."""
    if name not in WRITERS:
        raise unknown("format", name, WRITERS)
    return WRITERS[name]


def escape_latex(text: str) -> str:
    """`text` without LaTeX of its own, on one line."""
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))


def _digits(number: float | None) -> str:
    return "" if number is None else f"{number:.10g}"


_CSV_COLUMNS: dict[str, Callable[[Entry], str]] = {
    "mean": lambda entry: _digits(entry.mean),
    "low": lambda entry: _digits(entry.low),
    "high": lambda entry: _digits(entry.high),
    "median": lambda entry: _digits(entry.median),
    "n": lambda entry: str(entry.num_seeds or ""),
    "diverged": lambda entry: str(entry.num_diverged),
    "not_finite": lambda entry: str(entry.num_not_finite),
    "chosen_lr": lambda entry: ";".join(map(_digits, entry.chosen_lrs)),
    "edge": lambda entry: ";".join(entry.edges),
    "best": lambda entry: entry.best,
    "status": lambda entry: entry.status,
}


def _grid(
    pivot: Pivot, table: Table, escape: Callable[[str], str], embolden: Callable[[str], str]
) -> Iterator[list[str]]:
    """The table's header and rows as escaped text."""
    parts = shared(pivot)

    def header(level: str, factor: str | None) -> str:
        return escape(without_parts(level, parts[factor]) if factor else pivot.metric.name)

    corner = " / ".join(axis for axis in (pivot.rows, pivot.columns) if axis)
    yield [escape(corner), *(header(level, pivot.columns) for level in table.column_levels)]
    for row in table.row_levels:
        cells = []
        for column in table.column_levels:
            entry = table.entries[row, column]
            number = escape(number_text(pivot, entry))
            number = embolden(number) if entry.best == "best" else number
            cells.append(" ".join([number, *map(escape, marks(pivot, entry))]))
        yield [header(row, pivot.rows), *cells]


# Writers of a sheet: Markdown, CSV and LaTeX. The same sheet gives the same bytes.


SheetWriter = Callable[[Sheet], str]


def sheet_markdown(sheet: Sheet) -> str:
    """Title, caption, an aligned table and the notes."""
    grid = [[escape_markdown(text) for text in row] for row in (sheet.columns, *sheet.rows)]
    notes = "\n".join(f"- {escape_markdown(note)}" for note in sheet.notes)
    title = f"# {escape_markdown(sheet.title)}"
    blocks = [title, escape_markdown(sheet.caption), aligned_table(grid), notes]
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
