"""`python -m study.exercises PAGE ...` writes into each page what its code prints.

With `--check` it changes nothing, says which pages are stale, and ends with status 1 if one is.
"""

import contextlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from study.arguments import Parser
from study.exercises.page import ROOT, refreshed
from study.report.quoted import refresh


@contextlib.contextmanager
def workplace() -> Iterator[None]:
    """A directory to run a page in: the published outputs are there, and the rest is left alone."""
    with tempfile.TemporaryDirectory(prefix="study-page-") as folder:
        (Path(folder) / "outputs").mkdir()
        published = Path(folder) / "outputs/published"
        published.symlink_to(ROOT / "outputs/published", target_is_directory=True)
        with contextlib.chdir(folder):
            yield


def main(arguments: Sequence[str]) -> int:
    """Refreshes or checks the pages; exit status 1 if one is stale."""
    parser = Parser("python -m study.exercises", "Runs the code of pages; quotes what it prints.")
    parser.add_argument("pages", nargs="+", type=Path)
    parser.add_argument("--check", action="store_true", help="change nothing, say what is stale")
    options = parser.parse_args(list(arguments))
    return refresh(options.pages, _fresh, check=options.check)


def _fresh(text: str) -> str:
    with workplace():
        return refreshed(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
