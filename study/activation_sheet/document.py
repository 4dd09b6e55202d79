"""The activation sheet in docs/activations.md: its tables, and its figure beside it.

`python -m study.activation_sheet.document docs/activations.md` writes both; what the document
quotes stands between `<!-- study activations ARGUMENTS -->` and `<!-- end -->`.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from study.activation_sheet.checklist import check
from study.activation_sheet.command import chosen_levels, printed
from study.activation_sheet.figure import draw
from study.errors import InputError
from study.figures import save_figure
from study.report import quoted

PRINTERS: dict[str, quoted.Printer] = {"study activations": printed}


def main(arguments: Sequence[str]) -> int:
    """Refreshes or (with --check) checks the tables; refreshes the figure of all levels."""
    status = quoted.main(arguments, PRINTERS, "python -m study.activation_sheet.document")
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
        sys.exit(main(sys.argv[1:]))
    except InputError as error:
        sys.exit(f"study: {error}")
