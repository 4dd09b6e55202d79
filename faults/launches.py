"""Commands of `study`, each in a process of its own that can be broken.

Starting Python and importing PyTorch takes longer than the small study. So this process imports
everything once, starts no thread, and each command is run by a fork of it.
"""

import importlib
import io
import os
import platform
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from faults.moments import Plan, Tally, armed

PATIENCE = 300.0
"""Seconds after which a command counts as hung."""
HEARTBEAT_SECONDS, STALE_SECONDS = 0.1, 1.0
"""Of the commands of several hosts: nobody waits as long as for a real one."""


class HungError(Exception):
    """A command that does not end."""


@dataclass
class Launch:
    """A running command; `log` holds what it printed, both streams together."""

    pid: int
    log: Path
    status: int | None = None

    @property
    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def poll(self) -> int | None:
        """The exit status, negative for the signal that ended it; None while it runs."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = os.waitstatus_to_exitcode(status) if pid else None
        return self.status

    def wait(self, seconds: float = PATIENCE) -> int | None:
        """The exit status as soon as there is one; None after so many seconds."""
        deadline = time.monotonic() + seconds
        while self.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        return self.status

    def end(self) -> int:
        """The exit status; raises `HungError` if it takes too long."""
        if (status := self.wait()) is not None:
            return status
        self.send(signal.SIGKILL)
        self.wait()
        raise HungError(f"a command was still running after {PATIENCE:g} s; it said: {self.output}")

    def says(self, text: str) -> bool:
        """Waits until it has printed this; False if it ended without."""
        while text not in self.output:
            if self.wait(0.01) is not None:
                return text in self.output
        return True

    def stops(self) -> bool:
        """Waits until it is stopped; False if it ended without."""
        while self.status is None:
            pid, status = os.waitpid(self.pid, os.WUNTRACED | os.WNOHANG)
            if pid and os.WIFSTOPPED(status):
                return True
            self.status = os.waitstatus_to_exitcode(status) if pid else None
            time.sleep(0.005)
        return False

    def send(self, number: signal.Signals) -> None:
        """Sends it a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)


def launch(
    arguments: Sequence[str],
    *,
    cwd: Path,
    log: Path,
    tally: Tally,
    plan: Plan | None = None,
    modules: Path | None = None,
    host: str | None = None,
) -> Launch:
    """Starts `study ARGUMENTS` in a fork of this process, or of a `host` of that name.

    In the end the names of all that it imported are written to `modules`, for `warm_up`.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    log.write_bytes(b"")
    if pid := os.fork():
        return Launch(pid, log)
    status = 1
    try:
        _move(cwd, log)
        if host is not None:
            _become(host)
        armed(plan or Plan(), tally)
        status = _run(arguments)
        if modules is not None:
            modules.write_text("\n".join(sys.modules), encoding="utf-8")
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(OSError):
            sys.stdout.flush()
        os._exit(status)


def _move(cwd: Path, log: Path) -> None:
    """Gives this process a directory, streams and signal handlers as a shell would."""
    os.setsid()
    os.chdir(cwd)
    for descriptor in (1, 2):
        os.dup2(os.open(log, os.O_WRONLY | os.O_APPEND), descriptor)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _become(host: str) -> None:
    """Makes this process one of another host, on a disk that has no locks."""
    from study import locks

    platform.node = lambda: host
    locks._flock = lambda *_, **__: None
    locks.HEARTBEAT_SECONDS, locks.STALE_SECONDS = HEARTBEAT_SECONDS, STALE_SECONDS


def _run(arguments: Sequence[str]) -> int:
    from study.__main__ import main

    return main(arguments)


def warm_up(modules: Path) -> None:
    """Imports what a command came to import, so that later ones find it imported."""
    for name in modules.read_text(encoding="utf-8").splitlines():
        if name not in sys.modules:
            with suppress(Exception):
                importlib.import_module(name)
