"""Everything that README.md and docs/ quote, made from saved outputs and from the code itself.

`python -m study.refresh` writes it; `--check` changes nothing, takes seconds, and says what is
stale. What needs PyTorch (the activation sheet, pages whose code is run) is written, but checked by
the tests alone.
"""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from study.arguments import Parser
from study.errors import InputError
from study.lecture import __main__ as lecture
from study.lecture.entries import ROOT
from study.manual.__main__ import PRINTERS as MANUAL
from study.proof import effects
from study.report import illustration, quoted

RUN = (
    ("study.activation_sheet.document", "docs/activations.md"),
    ("study.exercises", "docs/exercises/*.md", "docs/notebook.md"),
)
"""Modules that need PyTorch, and their documents."""


def printers() -> dict[str, quoted.Printer]:
    """Of every quotation but those that the lecture's claims and figures have files beside."""
    from benchmarks import summary

    return {**quoted.PRINTERS, **summary.PRINTERS, **effects.PRINTERS, **MANUAL}


def documents() -> list[str]:
    """README.md and the pages of docs/, from the root."""
    pages = sorted((ROOT / "docs").glob("*.md"))
    return ["README.md", *(page.relative_to(ROOT).as_posix() for page in pages)]


def quick(check: Sequence[str]) -> int:
    """Everything that needs no PyTorch; `check` is empty or holds --check."""
    prog = "python -m study.refresh"
    steps: list[Callable[[], int]] = [
        lambda: quoted.main([*documents(), *check], printers(), prog),
        lambda: lecture.main(check),
        lambda: illustration.main(["README.md", *check]),
    ]
    return max([step() for step in steps])


def main(arguments: Sequence[str]) -> int:
    """Writes or checks; exit status 1 if --check finds something stale."""
    parser = Parser("python -m study.refresh", "Everything that documents quote, made again.")
    parser.add_argument("--check", action="store_true", help="change nothing, say what is stale")
    if parser.parse_args(list(arguments)).check:
        return quick(["--check"])
    statuses = [quick([])]
    for module, *patterns in RUN:
        pages = [str(path) for pattern in patterns for path in sorted(Path().glob(pattern))]
        statuses.append(subprocess.run([sys.executable, "-m", module, *pages]).returncode)
    return max(statuses)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except InputError as error:
        sys.exit(f"study: {error}")
