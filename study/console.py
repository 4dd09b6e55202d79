"""How commands speak: the program as it was invoked, its arguments, and tables of text."""

import argparse
import contextlib
import gc
import re
import runpy
import shlex
import shutil
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from study.errors import InputError, shown
from study.files import PACKAGE, PATH_EXPECTS, checked_path

COMMANDS = {
    "train": ("study.launch.train", "trains a cell, a sweep or an experiment"),
    "status": ("study.analysis.status", "shows which cells of a study are done"),
    "report": ("study.report.command", "writes tables, figures, verdicts and a page"),
    "table": ("study.analysis.table", "pivots a metric by one or two factors"),
    "preflight": (
        "study.theory.preflight.command",
        "predicts and measures signals; trains nothing",
    ),
    "activations": ("study.theory.activations.command", "the lecture's checklist, computed"),
    "reproduce": ("study.launch.reproduce.reproduce", "trains a saved cell again and compares it"),
    "verify": ("study.outputs.verify", "checks the integrity of a study's files"),
    "clean": ("study.outputs.clean", "lists, or removes, what a study needs no more"),
    "list": ("study.config.listing", "prints every experiment, level and key"),
    "levels": ("study.theory.own_levels", "begins, or checks, a folder of levels of your own"),
    "data": ("study.launch.fetch", "fetches and verifies data sets"),
    "tensorboard": (
        "study.tensorboard.command",
        "opens a study in TensorBoard, on this machine alone",
    ),
}
"""The sub-commands: the module whose `main` each is, and what it does."""


CONFIG_DIR = ("-cd", "--config-dir")
"""Hydra's option that names a directory of configuration files beside conf/."""


def command(*arguments: object) -> str:
    """A command line of this program, quoted for a shell: `.venv/bin/study table outputs/a`."""
    return shlex.join([*_program(), *map(str, arguments)])


def as_invoked(text: str) -> str:
    """`text` with `study` at the start of a line (as in a usage) as the program was invoked."""
    return re.sub(r"^( *)study\b", lambda match: match[1] + command(), text, flags=re.MULTILINE)


def run_as_command(name: str) -> NoReturn:
    """Runs `study NAME` with this process's arguments: `python -m MODULE` does."""
    sys.argv[1:] = [name, *sys.argv[1:]]
    runpy.run_module("study", run_name="__main__", alter_sys=True)
    raise AssertionError("it ends the process")


def check_started(part: str) -> None:
    """Ends a Python that was told to run a part of this package which is no command.

    `part` is a module, or the path of a file: left alone it would be imported, and nothing done.
    """
    modules = {module: name for name, (module, _) in COMMANDS.items()}
    is_file = part.endswith(".py")
    if is_file:
        names = Path(part).relative_to(PACKAGE).with_suffix("").parts
        module = ".".join(("study", *names))
    else:
        module = part
    if module == "study.__main__" or (module in modules and not is_file):
        return
    sys.argv[0] = str(PACKAGE / "__main__.py")  # as `command` knows `python -m study`
    last = module.rpartition(".")[2]
    name = modules.get(module) or (last if last in COMMANDS else None)
    told = f"run `{command(name)}`" if name else f"`{command('--help')}` lists the commands"
    print(f"study: {shown(part)} is a part of the package, no command: {told}", file=sys.stderr)
    sys.exit(2)


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """A block that imports much, with garbage collection off.

    Collecting while Lightning is imported takes a fifth of the time (measured) and frees nothing:
    what is imported stays. For the same reason it is left out of later collections.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _program() -> Sequence[str]:
    """`study` where the shell finds this one by that name, else the path that was typed."""
    script = Path(sys.argv[0])
    if PACKAGE in script.absolute().parents:
        return (_python(), "-m", "study")
    if script.stem != "study" or _is_found(script, "study"):
        return ("study",)
    return (sys.argv[0],)


def _python() -> str:
    """The interpreter as it was typed; by its name alone where the shell finds it so."""
    typed = sys.orig_argv[0]
    return Path(typed).name if _is_found(Path(typed), Path(typed).name) else typed


def _is_found(path: Path, name: str) -> bool:
    """Whether `name`, typed in a shell, runs the file at `path` (or `path` is that name)."""
    found = shutil.which(name)
    if found is None:
        return False
    return str(path) == name or (path.exists() and Path(found).absolute() == path.absolute())


# Command lines of the sub-commands: every mistake is one line, every terminal can show them.


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


def add_config_dir(parser: Parser) -> None:
    """Adds `CONFIG_DIR`."""
    parser.add_argument(
        *CONFIG_DIR,
        type=as_path,
        metavar="DIR",
        help="your own files: DIR/experiment/NAME.yaml, DIR/activation/NAME.yaml, ...",
    )


def as_path(text: str) -> Path:
    """The type of an argument that names a file or a directory, there or to be made."""
    try:
        return Path(checked_path(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{shown(text)!r}: it takes {PATH_EXPECTS}") from None


def show(text: str) -> None:
    """Prints `text`; an older terminal encoding gets ? for what it lacks, not a traceback."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding) + "\n")


# Tables as text, which documents, sheets and commands share.


def padded(grid: Sequence[Sequence[str]], right: Collection[int] = ()) -> list[list[str]]:
    """Each text as wide as the widest of its column, those of the columns `right` to the right."""
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    return [
        [
            text.rjust(width) if place in right else text.ljust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in grid
    ]


def aligned_table(grid: Sequence[Sequence[str]]) -> str:
    """A Markdown table of a header and rows of escaped text; numbers stand to the right."""
    rule = ["---"] * len(grid[0])
    header, rule, *rows = padded([grid[0], rule, *grid[1:]], range(1, len(rule)))
    rule = ["-" * (len(text) - 1) for text in header]
    rule = [f":{rule[0]}", *(f"{dashes}:" for dashes in rule[1:])]
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, rule, *rows))


def sentence_table(header: Sequence[str], rows: Iterable[Sequence[str]], rule: str = "---") -> str:
    """A Markdown table of sentences, to the left as they are, whose links and code are kept.

    A header of empty names is there too, as Markdown needs one.
    """

    def cell(text: str) -> str:
        return re.sub(r"([|*<])", r"\\\1", " ".join(text.split()))

    lines = [header, [rule] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(cell, line)) + " |" for line in lines)


def escape_markdown(text: str) -> str:
    """`text` without Markdown or HTML of its own, on one line."""
    return re.sub(r"([\\|*`<])", r"\\\1", " ".join(text.split()))
