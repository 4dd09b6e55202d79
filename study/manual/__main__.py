"""`python -m study.manual docs/configuration.md docs/metrics.md` writes their tables."""

import sys
from collections.abc import Sequence

from study.errors import InputError
from study.manual import keys, metrics
from study.report import quoted

PRINTERS: dict[str, quoted.Printer] = {**keys.PRINTERS, **metrics.PRINTERS}


def main(arguments: Sequence[str]) -> int:
    """Refreshes or (with --check) checks the tables."""
    return quoted.main(arguments, PRINTERS, "python -m study.manual")


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except InputError as error:
        sys.exit(f"study: {error}")
