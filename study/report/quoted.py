"""Tables quoted in documents, kept equal to the saved outputs that they come from.

A document quotes a table between `<!-- study table ARGUMENTS -->` and `<!-- end -->`;
`python -m study.report.quoted README.md` writes what the command prints there, and with `--check`
says which quotations are stale.
"""

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from study.arguments import Parser
from study.errors import InputError
from study.report.table import printed

QUOTATION = re.compile(r"(<!-- study table (.*?) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def refreshed(text: str) -> str:
    """The document with every quoted table as the outputs give it now."""

    def fill(match: re.Match[str]) -> str:
        return f"{match[1]}\n{printed(shlex.split(match[2]))}\n{match[4]}"

    return QUOTATION.sub(fill, text)


def main(arguments: Sequence[str]) -> int:
    """Refreshes or checks the documents; exit status 1 if one is stale."""
    parser = Parser("python -m study.report.quoted", "Refreshes the tables that documents quote.")
    parser.add_argument("documents", nargs="+", type=Path)
    parser.add_argument("--check", action="store_true", help="change nothing, say what is stale")
    options = parser.parse_args(list(arguments))
    stale = []
    for document in options.documents:
        text = document.read_text(encoding="utf-8")
        fresh = refreshed(text)
        if fresh != text:
            stale.append(document)
            if not options.check:
                document.write_text(fresh, encoding="utf-8", newline="\n")
    for document in stale:
        print(f"{document}: {'stale; run `make published`' if options.check else 'refreshed'}")
    return int(options.check and bool(stale))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except InputError as error:
        sys.exit(f"study: {error}")
