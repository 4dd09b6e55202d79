"""Everything that README.md and docs/ quote, made from saved outputs and from the code itself.

`python -m study.refresh` writes it; `--check` changes nothing, takes seconds, and says what is
stale. What needs PyTorch (the activation sheet, pages whose code is run) is written, but checked by
the tests alone.
"""

import functools
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from study.arguments import Parser
from study.errors import InputError
from study.lecture import beside, overview
from study.lecture import document as claims
from study.lecture.consistency import inconsistencies
from study.lecture.entries import FOLDER, ROOT, read_lecture
from study.lecture.headers import stale_headers
from study.lecture.stated import stated_claims
from study.lecture.verdicts import published_findings
from study.manual import keys, metrics
from study.proof import effects
from study.report import illustration, quoted

RUN = (
    ("study.activation_sheet.document", "docs/activations.md"),
    ("study.exercises", "docs/exercises/*.md", "docs/notebook.md"),
)
"""Modules that need PyTorch, and their documents."""


def printers() -> dict[str, quoted.Printer]:
    """Of every quotation that needs no PyTorch."""
    from benchmarks import summary

    return {
        **quoted.PRINTERS,
        **summary.PRINTERS,
        **effects.PRINTERS,
        **keys.PRINTERS,
        **metrics.PRINTERS,
        **claims.PRINTERS,
        **overview.PRINTERS,
        **beside.PRINTERS,
        **illustration.PRINTERS,
    }


def documents() -> list[Path]:
    """README.md and the pages of docs/, from the root."""
    pages = sorted((ROOT / "docs").glob("*.md"))
    return [Path("README.md"), *(page.relative_to(ROOT) for page in pages)]


def quick(*, check: bool) -> int:
    """Everything that needs no PyTorch; exit status 1 if a check finds something."""
    fresh = functools.partial(quoted.refreshed, printers=printers())
    return max(
        quoted.refresh(documents(), fresh, check=check),
        _claims(check=check),
        quoted.announce(stale_headers(published_findings(), write=not check), check=check),
        quoted.announce(illustration.stale_files(documents(), write=not check), check=check),
    )


def _claims(*, check: bool) -> int:
    """The pages of the lecture's claims, and whether they fit the files in conf/experiment."""
    pages = claims.documents()
    stale = claims.differing(FOLDER, pages)
    if not check:
        claims.write(FOLDER, pages, stale)
    wrong = inconsistencies(read_lecture(), stated_claims())
    print(*wrong, sep="\n", end="\n" if wrong else "")
    shown = [(FOLDER / name).relative_to(ROOT) for name in stale]
    return max(quoted.announce(shown, check=check), int(check and bool(wrong)))


def main(arguments: Sequence[str]) -> int:
    """Writes or checks; exit status 1 if --check finds something stale."""
    parser = Parser("python -m study.refresh", "Everything that documents quote, made again.")
    parser.add_argument("--check", action="store_true", help="change nothing, say what is stale")
    check = parser.parse_args(list(arguments)).check
    status = quick(check=check)
    return status if check else max([status, *(_run(*each) for each in RUN)])


def _run(module: str, *patterns: str) -> int:
    pages = [str(path) for pattern in patterns for path in sorted(Path().glob(pattern))]
    return subprocess.run([sys.executable, "-m", module, *pages]).returncode


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except InputError as error:
        sys.exit(f"study: {error}")
