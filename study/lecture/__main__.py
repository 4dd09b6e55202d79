"""`python -m study.lecture` writes the pages of docs/claims and the README's list of verdicts.

With `--check` it changes nothing, says what is stale or does not fit the files in conf/experiment,
and ends with status 1 if anything is.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from study.arguments import Parser
from study.errors import InputError
from study.lecture.consistency import inconsistencies
from study.lecture.document import PRINTERS, differing, documents, write
from study.lecture.entries import FOLDER, ROOT, read_lecture
from study.lecture.stated import stated_claims
from study.report import quoted

README = ROOT / "README.md"


def main(arguments: Sequence[str]) -> int:
    """Refreshes or checks; exit status 1 if --check finds something."""
    parser = Parser("python -m study.lecture", "The lecture's claims, as pages and a list.")
    parser.add_argument("--check", action="store_true", help="change nothing, say what is stale")
    options = parser.parse_args(list(arguments))
    files = documents()
    stale = differing(FOLDER, files)
    if not options.check:
        write(FOLDER, files, stale)
    words = "stale; run `make published`" if options.check else "refreshed"
    lines = [f"{_shown(FOLDER / name)}: {words}" for name in stale]
    lines += inconsistencies(read_lecture(), stated_claims())
    for line in lines:
        print(line)
    check = ["--check"] if options.check else []
    status = quoted.main([_shown(README), *check], PRINTERS, "python -m study.lecture")
    return int(bool(status or (options.check and lines)))


def _shown(path: Path) -> str:
    """The path from the current directory, where it lies below it."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except InputError as error:
        sys.exit(f"study: {error}")
