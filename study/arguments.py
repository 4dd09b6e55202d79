"""Command lines of the sub-commands: every mistake is one line, every terminal can show them."""

import argparse
import sys
from pathlib import Path
from typing import NoReturn

from study.errors import InputError
from study.kinds import PATH, shown
from study.program import as_invoked


class Parser(argparse.ArgumentParser):
    """An argparse parser that raises `InputError` where argparse prints its usage and exits.

    Lines that begin with `study` name the program as it was invoked. `--help` still prints and
    exits with status 0. Options cannot be abbreviated, so that a script keeps its meaning when an
    option is added.
    """

    def __init__(self, prog: str, description: str, epilog: str | None = None) -> None:
        super().__init__(
            prog=as_invoked(prog),
            description=as_invoked(description),
            epilog=as_invoked(epilog or ""),
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see {self.prog} --help")


def as_path(text: str) -> Path:
    """The type of an argument that names a file or a directory, there or to be made."""
    try:
        return Path(PATH.parse(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{shown(text)!r}: it takes {PATH.expects}") from None


def show(text: str) -> None:
    """Prints `text`; an older terminal encoding gets ? for what it lacks, not a traceback."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding) + "\n")
