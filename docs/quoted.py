"""What documents quote: the text between `<!-- KIND ARGUMENTS -->` and `<!-- end -->`.

A printer makes the text of its kind from the arguments. cogapp would do this by Python that stands
in the page; here a page names what it quotes, most often a command that a reader can type, and
nothing of it is executed. That is as short, and says too which marks are damaged.
"""

import functools
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping

from study.errors import InputError

Printer = Callable[[list[str]], str]


def without_arguments(text: Callable[[], str]) -> Printer:
    """The printer of a quotation that is always the same text."""

    def printed(arguments: list[str]) -> str:
        if arguments:
            raise InputError(f"{' '.join(arguments)}: this quotation takes no arguments")
        return text()

    return printed


def quotations(kind: str) -> re.Pattern[str]:
    """Finds `<!-- KIND ARGUMENTS -->`, what is quoted there, and `<!-- end -->`, however spaced."""
    return re.compile(
        rf"(<!--\s*{_spaced(kind)}\s+([^<>]*?)\s*-->[ \t]*\n)(.*?)(<!--\s*end\s*-->)", re.DOTALL
    )


def refreshed(text: str, printers: Mapping[str, Printer]) -> str:
    """The document with every quotation of these kinds as its printer gives it now."""

    def filled(printer: Printer, match: re.Match[str]) -> str:
        return f"{match[1]}\n{printer(shlex.split(match[2]))}\n{match[4]}"

    for kind, printer in printers.items():
        text = quotations(kind).sub(functools.partial(filled, printer), text)
    return text


def damaged_marks(text: str, kinds: Iterable[str]) -> Iterator[str]:
    """A line for each mark that opens no quotation, and one for those that end none.

    `kinds` are all that a document may quote: what stands between others' marks would be passed by.
    """
    for kind in kinds:
        whole = {match.start() for match in quotations(kind).finditer(text)}
        for mark in re.finditer(rf"<!-*\s*{_spaced(kind)}\b[^\n]*", text, re.IGNORECASE):
            if mark.start() not in whole:
                yield f"the mark {mark[0]} is not whole; write <!-- {kind} ... -->, <!-- end -->"
    opening = "|".join(map(_spaced, kinds))
    num_lone, is_open = 0, False
    for mark in re.finditer(rf"<!--\s*(?:(end)\s*-->|(?:{opening})\b)", text):
        num_lone += bool(mark[1]) and not is_open
        is_open = not mark[1]
    if num_lone:
        yield f"{num_lone} of the marks <!-- end --> end no quotation; restore what opened it"


def _spaced(kind: str) -> str:
    return r"\s+".join(map(re.escape, kind.split()))
