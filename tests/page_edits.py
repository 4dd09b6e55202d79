"""Pages that say what to put into which file: done to a copy of the tree."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
EDIT = re.compile(
    r"^(?:A new file `(?P<new>[^`]+)`"
    r"|In `(?P<old>[^`]+)`, (?P<where>above|below) `(?P<line>[^`]+)`)"
    r":\n\n```\w+\n(?P<block>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
"""A block that a page says to put into a file."""
COMMANDS = """
import importlib, json, os, sys
from study.__main__ import COMMANDS, main
for name in (*(module for module, _ in COMMANDS.values()), "lightning", "study.launch.cell"):
    importlib.import_module(name)
for line in sys.stdin:
    arguments, log = json.loads(line)
    if not (child := os.fork()):
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1), os.dup2(out, 2)
        sys.argv[1:], status = arguments, 1
        try:
            status = main(arguments)
        except SystemExit as stop:
            status = stop.code
        finally:
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Runs each command in a fork of a Python that has imported PyTorch, which takes seconds."""
TINY = (
    "data.train_size=300",
    "data.test_size=200",
    "model.widths=[16,16]",
    "trainer.max_epochs=1",
    "seeds=2",
    "optimizer.lr=[0.05,0.1]",
    "outputs.tensorboard=none",
    "trainer.threads=1",
)


@dataclass(frozen=True)
class Copy:
    """A copy of the tree, with the page's blocks in it; `commands` runs those of `study` there."""

    root: Path
    commands: "subprocess.Popen[str]"

    def study(self, *arguments: str, status: int = 0) -> str:
        """What `study ARGUMENTS` prints there."""
        if not hasattr(os, "fork"):
            return self.run("-m", "study", *arguments, status=status)
        log, (asked, answered) = self.root / "log", (self.commands.stdin, self.commands.stdout)
        assert asked
        assert answered
        print(json.dumps([arguments, str(log)]), file=asked, flush=True)
        ended, printed = answered.readline(), log.read_text(encoding="utf-8")
        assert ended == f"{status}\n", printed
        return printed

    def run(self, *arguments: str, status: int = 0) -> str:
        """What Python prints there, given these arguments."""
        environment = {**os.environ, "PYTHONPATH": str(self.root)}
        line = [sys.executable, *arguments]
        done = subprocess.run(line, cwd=self.root, env=environment, capture_output=True, text=True)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr


def apply(edit: re.Match[str], root: Path) -> None:
    """Does to the tree what the page says, unless somebody has done it."""
    path = root / (edit["new"] or edit["old"])
    if path.exists() and edit["block"] in path.read_text(encoding="utf-8"):
        return
    if edit["new"]:
        assert not path.exists(), path
        path.write_text(edit["block"], encoding="utf-8")
        return
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    (place,) = [i for i, line in enumerate(lines) if line.strip().startswith(edit["line"])]
    between = "" if edit["where"] == "below" or edit["block"].startswith("from ") else "\n\n"
    lines.insert(place + (edit["where"] == "below"), edit["block"] + between)
    path.write_text("".join(lines), encoding="utf-8")


@contextlib.contextmanager
def copied(root: Path, page: str) -> Iterator[Copy]:
    """A copy of the tree below `root`, with the blocks of a page in it."""
    for folder in ("study", "conf", "data/MNIST/raw"):
        skip = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, root / folder, ignore=skip)
    shutil.copy(ROOT / "pyproject.toml", root)
    for edit in EDIT.finditer(page):
        apply(edit, root)
    environment = {**os.environ, "PYTHONPATH": str(root)}
    line, pipe = [sys.executable, "-c", COMMANDS], subprocess.PIPE
    with subprocess.Popen(
        line, cwd=root, env=environment, stdin=pipe, stdout=pipe, text=True
    ) as commands:
        yield Copy(root, commands)
