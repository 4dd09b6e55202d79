"""Pages that say what to put into which file: done to a copy of the tree."""

import os
import re
import shutil
import subprocess
import sys
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
    """A copy of the tree, with the page's blocks in it."""

    root: Path

    def study(self, *arguments: str, status: int = 0) -> str:
        """What `study ARGUMENTS` prints there."""
        return self.run("-m", "study", *arguments, status=status)

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


def copied(root: Path, page: str) -> Copy:
    """A copy of the tree below `root`, with the blocks of a page in it."""
    for folder in ("study", "conf", "data/MNIST/raw"):
        skip = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, root / folder, ignore=skip)
    shutil.copy(ROOT / "pyproject.toml", root)
    for edit in EDIT.finditer(page):
        apply(edit, root)
    return Copy(root)
