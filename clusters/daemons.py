"""Programs that run beside a test and end with it."""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path


class ClusterError(Exception):
    """What keeps an engine from starting, in one line."""


@contextlib.contextmanager
def daemon(
    command: Sequence[object], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[None]:
    """A block beside which a program runs in the foreground of a session of its own."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(word) for word in command],
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until(is_ready: Callable[[], bool], what: str, *, seconds: float = 60) -> None:
    """Polls; raises `ClusterError` when that takes too long."""
    until = time.monotonic() + seconds
    while not is_ready():
        if time.monotonic() > until:
            raise ClusterError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(0.25)


def output_of(command: Sequence[object], environment: Mapping[str, str] | None = None) -> str:
    """What a command prints; raises `ClusterError` if it ends with another status than 0."""
    words = [str(word) for word in command]
    environment = {**os.environ, **(environment or {})}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or "no reason given").splitlines()[-1]
        raise ClusterError(f"`{' '.join(words)}` failed: {last}")
    return done.stdout


def succeeds(command: Sequence[object], environment: Mapping[str, str] | None = None) -> bool:
    """Whether a command ends with status 0."""
    try:
        output_of(command, environment)
    except ClusterError:
        return False
    return True


def free_ports(number: int) -> list[int]:
    """Ports of the loopback address that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
