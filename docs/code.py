"""Runs the code of a page and puts what it prints where the page quotes it.

A page's `python` blocks are one program, run from the first to the last. A `text` block right after
one is what it prints. The lines of a `bash` block that start with `study` are run as commands.
"""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```\n(?:\n```text\n(.*?)^```$)?", re.DOTALL | re.MULTILINE)

Command = Callable[[list[str]], object]
"""What is done with the arguments of a `study` command."""


@dataclass(frozen=True)
class Block:
    """A block of a page: its language, its code, what the page says it prints, and its line."""

    language: str
    code: str
    quoted: str | None
    line: int


def blocks(text: str) -> Iterator[Block]:
    """The blocks of a page, in order."""
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        yield Block(match[1], match[2], match[3], line)


def commands(block: Block) -> list[list[str]]:
    """The arguments of each `study` command of a bash block."""
    lines = block.code.replace("\\\n", " ").splitlines()
    split = [shlex.split(line, comments=True) for line in lines]
    return [words[1:] for words in split if words[:1] == ["study"]]


def run_command(arguments: list[str]) -> None:
    """`study ARGUMENTS` in the current directory, silently; an error if it fails."""
    line = [sys.executable, "-m", "study", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(line, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"`study {shlex.join(arguments)}` failed: {done.stderr[-2000:]}")


def refreshed(text: str, command: Command = run_command) -> str:
    """The page with every quoted output as its code prints it now."""
    namespace: dict[str, Any] = {"__name__": "__page__"}
    outputs = [_output(block, namespace, command) for block in blocks(text)]
    places = iter(outputs)

    def filled(match: re.Match[str]) -> str:
        printed = next(places)
        if match[3] is None or match[1] != "python":
            return match[0]
        return f"```python\n{match[2]}```\n\n```text\n{printed}```"

    return _BLOCK.sub(filled, text)


def _output(block: Block, namespace: dict[str, Any], command: Command) -> str:
    """What a block prints."""
    if block.language == "bash":
        for arguments in commands(block):
            command(arguments)
    if block.language != "python":
        return ""
    printed = io.StringIO()
    # Tracebacks then name the page's own line.
    code = compile("\n" * block.line + block.code, "<page>", "exec")
    with contextlib.redirect_stdout(printed):
        exec(code, namespace)
    return re.sub(r"[ \t]+$", "", printed.getvalue(), flags=re.MULTILINE)


@contextlib.contextmanager
def workplace() -> Iterator[None]:
    """A directory to run a page in: the published outputs are there, and the rest is left alone."""
    with tempfile.TemporaryDirectory(prefix="study-page-") as folder:
        (Path(folder) / "outputs").mkdir()
        published = Path(folder) / "outputs/published"
        published.symlink_to(ROOT / "outputs/published", target_is_directory=True)
        with contextlib.chdir(folder):
            yield
