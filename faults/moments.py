"""The moments at which a process changes its disk, and what can happen to it there.

Everything here takes place in the process that is to be broken: `armed` puts itself between Python
and the operating system, counts each change of the disk, and strikes at the chosen one.
"""

import errno
import functools
import io
import itertools
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Strike = Callable[[str], None]
"""What happens at a moment; it is told the file."""

_CHANGES = ("fsync", "replace", "rename", "link", "unlink", "mkdir", "utime")
_NEEDS_SPACE = ("open", "write", "fsync", "link", "mkdir")
"""The changes that a full disk refuses."""


@dataclass(frozen=True)
class Plan:
    """What strikes (`kill`, `stop`, `full`, `read-only`) at which moment; None: none, all counted.

    A disk that is full or read-only stays so from that moment on. A process that is stopped goes on
    from there when it is told to.
    """

    kind: str = "kill"
    moment: int | None = None


@dataclass(frozen=True)
class Tally:
    """Files in which broken processes leave what they did, whatever then became of them.

    `finished` has a line for each result.json that came to be, the cell's directory; `moments` has
    a byte for each moment.
    """

    finished: Path
    moments: Path

    def counts(self) -> Mapping[str, int]:
        """How often each cell was trained to its end."""
        lines = self.finished.read_text().splitlines() if self.finished.exists() else []
        return {name: lines.count(name) for name in dict.fromkeys(lines)}


def armed(plan: Plan, tally: Tally) -> None:
    """From now on every change of the disk by this process is a moment."""
    files = [os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT) for path in vars(tally).values()]
    finished, moments = files
    numbers = itertools.count(1)

    def arrived(change: str) -> bool:
        os.write(moments, b".")
        number = next(numbers)
        if plan.moment is None or number < plan.moment:
            return False
        if plan.kind == "stop":
            return number == plan.moment
        return plan.kind != "full" or change in _NEEDS_SPACE

    strike = functools.partial(_struck, plan.kind)
    for change in _CHANGES:
        setattr(os, change, _watched(change, getattr(os, change), arrived, strike, finished))
    plain = Path.open

    def opened(path: Path, mode: str = "r", *rest: Any, **options: Any) -> Any:
        if mode not in ("wb", "xb"):
            return plain(path, mode, *rest, **options)
        if arrived("open"):
            strike(str(path))
        return _Torn(path, mode[0], arrived, strike)

    Path.open = opened  # type: ignore[method-assign,assignment]


def _struck(kind: str, name: str) -> None:
    """What becomes of a process at its moment, or of the file that it was at."""
    if kind == "kill":
        killed()
    if kind == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
        return
    code = errno.ENOSPC if kind == "full" else errno.EROFS
    raise OSError(code, os.strerror(code), name)


def killed() -> None:
    """Ends this process as a power cut does."""
    while True:
        os.kill(os.getpid(), signal.SIGKILL)


def _watched(
    change: str,
    plain: Callable[..., Any],
    arrived: Callable[[str], bool],
    strike: Strike,
    finished: int,
) -> Callable[..., Any]:
    """The system call, once its moment has passed; a result.json in its place goes to the tally."""

    def call(*arguments: Any, **options: Any) -> Any:
        if arrived(change):
            strike(str(arguments[0]))
        done = plain(*arguments, **options)
        if change == "replace" and Path(arguments[1]).name == "result.json":
            os.write(finished, f"{Path(arguments[1]).parent.name}\n".encode())
        return done

    return call


class _Torn(io.BufferedWriter):
    """A file of which a moment leaves the first half of what was to be written.

    Of its writes the first, second, fourth, eighth ... are moments: some files take hundreds.
    """

    def __init__(
        self, path: Path, mode: str, arrived: Callable[[str], bool], strike: Strike
    ) -> None:
        super().__init__(io.FileIO(path, mode))
        self._arrived, self._strike = arrived, strike
        self._writes = 0

    def write(self, content: Any, /) -> int:
        view = memoryview(content).cast("B")
        self._writes += 1
        if self._writes.bit_count() == 1 and self._arrived("write"):
            half = super().write(view[: len(view) // 2])
            self.flush()
            self._strike(str(self.name))
            return half + super().write(view[half:])
        return super().write(view)
