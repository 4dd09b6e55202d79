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

import pytest

ROOT = Path(__file__).parents[1]
EDIT = re.compile(
    r"^(?:A new file `(?P<new>[^`]+)`"
    r"|In `(?P<old>[^`]+)`, (?P<where>above|below) `(?P<line>[^`]+)`)"
    r":\n\n```\w+\n(?P<block>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
"""A block that a page says to put into a file."""
FORKS = """
import json, os, runpy, sys, traceback
import lightning, study.analysis.table, study.launch.cell, study.launch.train, study.report.command
sys.modules.pop("study.__main__", None)
for line in sys.stdin:
    (flag, what, *arguments), log = json.loads(line)
    if not (child := os.fork()):
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1), os.dup2(out, 2)
        sys.argv[1:], status = arguments, 0
        try:
            if flag == "-m":
                runpy.run_module(what, run_name="__main__", alter_sys=True)
            else:
                exec(what, {"__name__": "__main__"})
        except SystemExit as stop:
            status = stop.code or 0
        except BaseException:
            status = traceback.print_exc() or 1
        finally:
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Is what `python -m` or `python -c` is, in forks of a Python that has imported PyTorch before."""
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
    """A copy of the tree, with the page's blocks in it, and a Python there that forks."""

    root: Path
    python: "subprocess.Popen[str]"

    def study(self, *arguments: str, status: int = 0) -> str:
        """What `study ARGUMENTS` prints there."""
        return self.run("-m", "study", *arguments, status=status)

    def run(self, *arguments: str, status: int = 0) -> str:
        """What Python prints there, given these arguments."""
        log, (asked, answered) = self.root / "log", (self.python.stdin, self.python.stdout)
        assert asked
        assert answered
        print(json.dumps([arguments, str(log)]), file=asked, flush=True)
        ended, printed = answered.readline(), log.read_text(encoding="utf-8")
        assert ended == f"{status}\n", printed
        return printed


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
    if not hasattr(os, "fork"):
        pytest.skip("what a page says to run is run in forks, which this system has not")
    for folder in ("study", "conf", "data/MNIST/raw"):
        skip = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, root / folder, ignore=skip)
    shutil.copy(ROOT / "pyproject.toml", root)
    for edit in EDIT.finditer(page):
        apply(edit, root)
    environment = {**os.environ, "PYTHONPATH": str(root)}
    line, pipe = [sys.executable, "-c", FORKS], subprocess.PIPE
    with subprocess.Popen(
        line, cwd=root, env=environment, stdin=pipe, stdout=pipe, text=True
    ) as python:
        yield Copy(root, python)
