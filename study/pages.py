"""Hydra's own pages behind `study train`: `--cfg job`, `--info` and `--hydra-help`."""

import contextlib
import io
import sys
from collections.abc import Sequence

from study.arguments import Parser
from study.compose import compose_cell, hydra_main, hydra_ready, parse_overrides
from study.errors import InputError

FLAGS = ("--cfg", "-c", "--info", "-i", "--hydra-help")
SWEEP_FLAGS = ("-m", "--multirun")


def asks_for_page(arguments: Sequence[str]) -> bool:
    """Whether a command line of `study train` asks for one of Hydra's pages."""
    return any(argument.split("=")[0] in FLAGS for argument in arguments)


def hydra_page(arguments: Sequence[str]) -> int:
    """Prints Hydra's page; returns the exit status.

    Flags and overrides are checked first: of a bad one Hydra makes a page or a traceback. Raises
    `InputError` for them, and for a sweep, since a page is about one cell.
    """
    options = _parser().parse_intermixed_args(list(arguments))
    if options.multirun:
        raise InputError("Hydra's pages are about one cell: leave out -m")
    with hydra_ready():
        axes = parse_overrides(options.overrides)
        for axis in axes:
            if len(axis.values) > 1:
                raise InputError(f"Hydra's pages are about one cell: give {axis.name} one value")
        compose_cell([text for axis in axes for text in axis.values[0]])
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            hydra_main(arguments)
    except SystemExit as stopped:
        if stopped.code:
            raise InputError(_no_page(options.package, said.getvalue())) from None
    except ValueError as error:
        raise InputError(f"no such page of Hydra's: {error}") from None
    finally:
        sys.stdout.flush()
    return 0


def _no_page(package: str | None, said: str) -> str:
    if package is not None:
        return f"--package {package}: the configuration has no such part; leave it out for all"
    return f"no such page of Hydra's: {said}"


def _parser() -> Parser:
    """The flags of Hydra's pages, so that a wrong one is refused in one line."""
    parser = Parser("study train", "Hydra's pages.")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument(*SWEEP_FLAGS, action="store_true")
    parser.add_argument("--resolve", action="store_true")
    parser.add_argument("-p", "--package")
    page = parser.add_mutually_exclusive_group(required=True)
    page.add_argument("-c", "--cfg", choices=("job", "hydra", "all"))
    kinds = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
    page.add_argument("-i", "--info", nargs="?", const="all", choices=kinds)
    page.add_argument("--hydra-help", action="store_true")
    return parser
