"""The command as it was invoked, so that the commands that it prints can be typed as they are."""

import contextlib
import gc
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

PACKAGE = Path(__file__).parent


def command(*arguments: object) -> str:
    """A command line of this program, quoted for a shell: `.venv/bin/study table outputs/a`."""
    return shlex.join([*_program(), *map(str, arguments)])


def as_invoked(text: str) -> str:
    """`text` with `study` at the start of a line (as in a usage) as the program was invoked."""
    return re.sub(r"^( *)study\b", lambda match: match[1] + command(), text, flags=re.MULTILINE)


def run_as_command(name: str) -> NoReturn:
    """Runs `study NAME` with this process's arguments: `python -m study.train ...` is that."""
    from study.__main__ import main

    sys.argv[1:] = [name, *sys.argv[1:]]
    sys.exit(main())


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
