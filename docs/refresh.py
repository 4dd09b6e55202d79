"""Everything that README.md and docs/ quote, made from saved outputs and from the code itself.

`python -m docs.refresh` writes it; `--check` changes nothing, takes seconds, and says what is
stale. What needs PyTorch (the activation sheet, pages whose code is run) is written, but checked by
the tests alone.
"""

import functools
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from docs import illustration, quoted
from docs import manual as effects
from docs import manual as keys
from docs import manual as metrics
from docs.lecture import beside
from docs.lecture import headers as overview
from docs.lecture import page as claims
from docs.lecture.entries import FOLDER, ROOT, read_lecture
from docs.lecture.headers import stale_headers
from docs.lecture.verdicts import inconsistencies, published_findings, stated_claims
from study.console import Parser
from study.errors import InputError
from study.report.figures.style import save_figure
from study.theory.activations.command import chosen_levels, printed
from study.theory.activations.facts import check
from study.theory.activations.figure import draw

RUN = (
    ("docs.refresh", "docs/activations.md"),
    ("docs.lecture", "docs/exercises/*.md", "docs/notebook.md"),
)
"""Modules that need PyTorch, and their documents."""


def printers() -> dict[str, quoted.Printer]:
    """Of every quotation that needs no PyTorch."""
    from benchmarks import summary

    return {
        **quoted.PRINTERS,
        **summary.PRINTERS,
        **effects.EFFECT_PRINTERS,
        **keys.PRINTERS,
        **metrics.METRIC_PRINTERS,
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
    parser = Parser("python -m docs.refresh", "Everything that documents quote, made again.")
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


# The activation sheet in docs/activations.md: its tables, and its figure beside it.
#
# `python -m docs.refresh docs/activations.md` writes both; what the document
# quotes stands between `<!-- study activations ARGUMENTS -->` and `<!-- end -->`.


PRINTERS: dict[str, quoted.Printer] = {"study activations": printed}


def document_main(arguments: Sequence[str]) -> int:
    """Refreshes or (with --check) checks the tables; refreshes the figure of all levels."""
    status = quoted.main(arguments, PRINTERS, "python -m docs.refresh")
    if "--check" not in arguments:
        for document in arguments:
            write_figure(Path(document).with_suffix(".svg"))
    return status


def write_figure(path: Path) -> None:
    """Draws every level into one file."""
    levels = chosen_levels([])
    save_figure(draw(levels, {name: check(config) for name, config in levels.items()}), path)


if __name__ == "__main__":
    try:
        sys.exit(document_main(sys.argv[1:]))
    except InputError as error:
        sys.exit(f"study: {error}")
