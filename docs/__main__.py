"""`python -m docs [PAGE ...]`: everything that README.md and docs/ quote, made again.

It comes from saved outputs and from the code itself. `--check` changes nothing, takes seconds, and
says what is stale; what needs PyTorch (the activation sheet, pages whose code is run) is then left
to the tests.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import summary
from docs import architecture, code, figures, manual, quoted
from docs.lecture import experiments, pages, papers
from docs.lecture.entries import inconsistencies, read_lecture
from docs.lecture.findings import published_findings, stated_claims
from docs.quoted import Printer, without_arguments
from study.analysis import table
from study.console import Parser, show
from study.errors import InputError
from study.files import write_text
from study.theory.activations import command as activations

PRINTERS: dict[str, Printer] = {
    "study table": table.printed,
    "study figure": figures.printed,
    "study claims": without_arguments(
        lambda: pages.verdict_list(read_lecture(), published_findings())
    ),
    "study papers": without_arguments(papers.sections),
    "study experiments": without_arguments(experiments.overview),
    "study keys": manual.printed_keys,
    "study effects": manual.printed_effects,
    "study habits": manual.printed_habits,
    "study metrics": manual.printed_metrics,
    "benchmark": summary.printed,
    "wings": without_arguments(architecture.wings),
}
"""What prints each kind of quotation that needs no PyTorch."""
TORCH_PRINTERS: dict[str, Printer] = {"study activations": activations.printed}
RUN = ("docs/notebook.md", "docs/exercises/*.md")
"""Pages that quote what their own code prints."""


def main(arguments: Sequence[str]) -> int:
    """Writes or checks; exit status 1 if something is stale, or is wrong and cannot be written."""
    parser = Parser("python -m docs", "Writes what README.md and docs/ quote.")
    parser.add_argument(
        "pages", nargs="*", type=Path, metavar="PAGE", help="as docs/studies.md; default: all"
    )
    parser.add_argument("--check", action="store_true", help="change nothing, say what is stale")
    options = parser.parse_args(list(arguments))
    write = not options.check
    num_stale = 0
    for name in stale(options.pages, write=write):
        show(f"{name}: {'refreshed' if write else 'stale; run `make published`'}")
        num_stale += 1
    wrong = list(mistakes(options.pages))
    for line in wrong:
        show(line)
    if not (write or num_stale or wrong):
        show("everything is current")
    return int(bool(wrong or (num_stale and not write)))


def stale(chosen: Sequence[Path], *, write: bool) -> Iterator[object]:
    """Each file that is not what the outputs and the code give; with `write` it is written.

    The chosen pages; if there are none, all, the lecture's claims and experiments' headers too.
    """
    for page in chosen or everything():
        text = read(page)
        yield from figures.stale_files(text, write=write)
        if (new := renewed(page, text, run=write)) != text:
            yield page
            if write:
                write_text(page, new)
        if write and quoted.quotations("study activations").search(text):
            figures.draw_activations(page.with_suffix(".svg"))
    if not chosen:
        made = pages.documents(read_lecture(), published_findings())
        yield from pages.stale_pages(made, write=write)
        yield from experiments.stale_headers(published_findings(), write=write)


def renewed(page: Path, text: str, *, run: bool) -> str:
    """The page with what its quotations give now; with `run` those that need PyTorch as well."""
    text = quoted.refreshed(text, PRINTERS | TORCH_PRINTERS if run else PRINTERS)
    if run and any(page.match(pattern) for pattern in RUN):
        with code.workplace():
            text = code.refreshed(text)
    return text


def mistakes(chosen: Sequence[Path]) -> Iterator[str]:
    """A line for what has to be mended by hand: damaged marks, claims that one side names alone."""
    for page in chosen or everything():
        text = read(page)
        if page == Path("README.md") and not quoted.quotations("study table").search(text):
            yield f"{page}: quotes no study table; restore the marks of its tables"
        for line in quoted.damaged_marks(text, PRINTERS | TORCH_PRINTERS):
            yield f"{page}: {line}"
    if not chosen:
        yield from inconsistencies(read_lecture(), stated_claims())


def everything() -> list[Path]:
    """README.md, the pages of docs/ and the exercises, from the root."""
    return [
        Path("README.md"),
        *sorted(Path("docs").glob("*.md")),
        *sorted(Path("docs/exercises").glob("*.md")),
    ]


def read(page: Path) -> str:
    """The text of a page; InputError if there is none."""
    try:
        return page.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{page} does not exist; name a page as docs/studies.md") from None


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except InputError as error:
        print(f"docs: {error}", file=sys.stderr)
        sys.exit(2)
