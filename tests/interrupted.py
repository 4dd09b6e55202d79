"""Cells that are stopped while they train, and gone on with."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from study.outputs import checkpoint
from study.outputs.checkpoint import CHECKPOINT
from tests import tiny

EVERY_EPOCH = "trainer.checkpoint_seconds=0"
NEVER = "trainer.checkpoint_seconds=null"


class Killed(BaseException):
    """Stands for a SIGKILL: nothing catches it."""


@contextmanager
def killed_at(occasion: int, end: type[BaseException] = Killed) -> Iterator[None]:
    """Within it training ends right after so many checkpoints were written."""
    write, left = checkpoint.write_checkpoint, [occasion]

    def counted(*arguments: Any) -> None:
        write(*arguments)
        left[0] -= 1
        if not left[0]:
            raise end

    with patch.object(checkpoint, "write_checkpoint", counted):
        yield


def train_with_kills(
    directory: Path,
    root: Path,
    *overrides: str,
    every: int = 1,
    meanwhile: Callable[[], None] = lambda: None,
) -> int:
    """Trains a cell, killed after every so many checkpoints; how often it was.

    `meanwhile` is called after each kill.
    """
    kills = 0
    while True:
        try:
            with killed_at(every):
                tiny.train_to(directory, root, *overrides, EVERY_EPOCH)
        except Killed:
            assert list(directory.parent.rglob(CHECKPOINT))
            kills += 1
            meanwhile()
        else:
            assert not list(directory.parent.rglob(CHECKPOINT))
            return kills
