"""Hydra's own pages behind `study train`: `--cfg job` and `--info`; and what else of it works."""

import argparse
import contextlib
import io
import sys
from collections.abc import Sequence

from study.arguments import Parser, show
from study.completion import FLAGS as COMPLETION
from study.completion import SHELLS, answer, install_line
from study.configuration import levels
from study.errors import InputError

FLAGS = ("--cfg", "-c", "--info", "-i", "--hydra-help")

_GRAMMAR = """Of Hydra's grammar:

  GROUP=LEVEL KEY=VALUE                       as activation=relu 'optimizer.lr=[0.01,0.1]'
  GROUP='LEVEL KEY=VALUE'                     a level with a key of it, quoted twice in a shell
  -m KEY=A,B,C                                a sweep; also choice() range() glob() sort() shuffle()
  hydra/launcher=NAME hydra.launcher.KEY=...  cells handed to a launcher, as {launchers}

No other key of Hydra's has an effect, and each is refused with what to write instead.

Completion by TAB, for this shell (in its start-up file, for every one):

{completion}"""


def asks_for_page(arguments: Sequence[str]) -> bool:
    """Whether a command line of `study train` asks for one of Hydra's pages."""
    return any(argument.split("=")[0] in (*FLAGS, *COMPLETION) for argument in arguments)


def hydra_page(arguments: Sequence[str]) -> int:
    """Prints Hydra's page; returns the exit status.

    Flags and overrides are checked first: of a bad one Hydra makes a page or a traceback. Raises
    `InputError` for them, and for a sweep, since a page is about one cell.
    """
    if arguments[0] in COMPLETION:
        return answer(arguments[1:])
    parser = _parser()
    options = parser.parse_intermixed_args(list(arguments))
    if options.hydra_help and len(arguments) > 1:
        raise InputError("--hydra-help stands alone")
    if options.hydra_help:
        show(parser.format_help())
        return 0
    if (options.resolve or options.package) and not options.cfg:
        raise InputError("no such page of Hydra's: --resolve and --package belong to --cfg")

    from study.compose import compose_cell, hydra_main, hydra_ready, parse_overrides

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
    completion = "\n".join(f"  {install_line(shell)}" for shell in SHELLS)
    launchers = ", ".join(level for level in levels("hydra/launcher") if "_" not in level)
    epilog = _GRAMMAR.format(launchers=launchers, completion=completion)
    parser = Parser("study train", "What of Hydra works here: its pages, for one cell.", epilog)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="of the cell")
    parser.add_argument("-m", "--multirun", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--resolve", action="store_true", help="with --cfg: ${...} resolved")
    parser.add_argument("-p", "--package", help="with --cfg: a part of it, as optimizer")
    page = parser.add_mutually_exclusive_group(required=True)
    kinds: Sequence[str] = ("job", "hydra", "all")
    page.add_argument("-c", "--cfg", choices=kinds, help="the composed configuration")
    kinds = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
    what = "where it comes from"
    page.add_argument("-i", "--info", nargs="?", const="all", choices=kinds, help=what)
    page.add_argument("--hydra-help", action="store_true", help="this page")
    return parser
