"""A process that outlives all that another one started, to leave nothing running behind."""

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_PATIENCE_SECONDS = 15


def leaving_nothing(main: Callable[[], int]) -> int:
    """Runs `main` in a child process, ends every process that stems from it, gives its status.

    Returns twice, once in each process: both have to exit with the status then.

    What daemons leave to init comes to this process instead, as on Linux it can.
    """
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    child = os.fork()
    if child == 0:
        return _status_of(main)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    status = 1
    while True:
        process, code = os.wait()
        if process == child:
            status = os.waitstatus_to_exitcode(code)
            break
    _end_all()
    return status if status >= 0 else 128 - status


def _status_of(main: Callable[[], int]) -> int:
    """The exit status of `main`, which SIGTERM ends as Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return main()
    except KeyboardInterrupt:
        return 130


def _end_all() -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        until = time.monotonic() + _PATIENCE_SECONDS
        for process in _descendants():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)
        while _descendants() and time.monotonic() < until:
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            time.sleep(0.1)


def _descendants() -> list[int]:
    """The processes that stem from this one."""
    parents = dict(_processes())
    found = [os.getpid()]
    for process in found:
        found += [child for child, parent in parents.items() if parent == process]
    return found[1:]


def _processes() -> Iterator[tuple[int, int]]:
    """The number of every process, and that of its parent."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            _, parent, *_ = path.read_text().rpartition(")")[2].split()
            yield int(path.parent.name), int(parent)
