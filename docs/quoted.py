"""Tables quoted in documents, kept equal to the saved outputs that they come from.

A document quotes a table between `<!-- study table ARGUMENTS -->` and `<!-- end -->`;
`python -m docs.quoted README.md` writes what the command prints there, and with `--check`
says which quotations are stale.
"""

import contextlib
import functools
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from study.analysis.table import printed
from study.console import Parser
from study.errors import InputError
from study.files import write_text

Printer = Callable[[list[str]], str]
PRINTERS: dict[str, Printer] = {"study table": printed}
"""What prints each kind of quotation from its arguments."""
KINDS = (
    *PRINTERS,
    "study activations",
    "study effects",
    "study claims",
    "study experiments",
    "study figure",
    "study keys",
    "study metrics",
    "study papers",
    "benchmark",
)
"""Every kind of quotation that some document has, other modules' among them."""


def printer_without_arguments(kind: str, text: Callable[[], str]) -> dict[str, Printer]:
    """The one printer of a kind of quotation that is always the same text."""

    def printed(arguments: list[str]) -> str:
        if arguments:
            raise InputError(f"{kind} {' '.join(arguments)}: it takes no arguments")
        return text()

    return {kind: printed}


def quotations(kind: str) -> re.Pattern[str]:
    """Finds `<!-- KIND ARGUMENTS -->`, what is quoted there, and `<!-- end -->`, however spaced."""
    return re.compile(
        rf"(<!--\s*{_spaced(kind)}\s+([^<>]*?)\s*-->[ \t]*\n)(.*?)(<!--\s*end\s*-->)", re.DOTALL
    )


def broken_marks(text: str) -> list[str]:
    """The first line of each comment that starts as a quotation's mark and is not one."""
    found = []
    for kind in PRINTERS:
        whole = {match.start() for match in quotations(kind).finditer(text)}
        marks = re.finditer(rf"<!-*\s*{_spaced(kind)}\b[^\n]*", text, re.IGNORECASE)
        found += [mark[0] for mark in marks if mark.start() not in whole]
    return found


def num_lone_ends(text: str) -> int:
    """How many `<!-- end -->` end no quotation: their opening mark is misspelt, or gone."""
    opening = "|".join(map(_spaced, KINDS))
    lone, is_open = 0, False
    for mark in re.finditer(rf"<!--\s*(?:(end)\s*-->|(?:{opening})\b)", text):
        lone += bool(mark[1]) and not is_open
        is_open = not mark[1]
    return lone


def _spaced(kind: str) -> str:
    return r"\s+".join(map(re.escape, kind.split()))


def refreshed(text: str, printers: Mapping[str, Printer] = PRINTERS) -> str:
    """The document with every quotation of these kinds as its printer gives it now."""
    for kind, printer in printers.items():
        text = quotations(kind).sub(functools.partial(_filled, printer), text)
    return text


def _filled(printer: Printer, match: re.Match[str]) -> str:
    return f"{match[1]}\n{printer(shlex.split(match[2]))}\n{match[4]}"


def main(
    arguments: Sequence[str],
    printers: Mapping[str, Printer] = PRINTERS,
    prog: str = "python -m docs.quoted",
) -> int:
    """Refreshes or checks the documents; exit status 1 if one is stale."""
    parser = Parser(prog, "Refreshes the tables that documents quote.")
    parser.add_argument("documents", nargs="+", type=Path)
    parser.add_argument("--check", action="store_true", help="change nothing, say what is stale")
    options = parser.parse_args(list(arguments))
    fresh = functools.partial(refreshed, printers=printers)
    return refresh(options.documents, fresh, check=options.check)


def refresh(documents: Sequence[Path], fresh: Callable[[str], str], *, check: bool) -> int:
    """Writes each document as `fresh` makes its text, or with `check` says which are stale.

    Returns the exit status: 1 if it only checked, and one is stale.
    """
    stale = []
    for document in documents:
        text = document.read_text(encoding="utf-8")
        if (new := fresh(text)) != text:
            stale.append(document)
            if not check:
                write_text(document, new)
    return announce(stale, check=check)


def announce(stale: Iterable[object], *, check: bool) -> int:
    """Says of each file that it is stale, or no more; exit status 1 if they were only checked."""
    names = list(stale)
    for name in names:
        print(f"{name}: {'stale; run `make published`' if check else 'refreshed'}")
    return int(check and bool(names))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except InputError as error:
        sys.exit(f"study: {error}")


# The project's documents, whose tables must be what the published outputs give.


ROOT = Path(__file__).parents[1]


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
