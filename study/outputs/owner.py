"""Who works in a directory: `owner.json`, read and judged."""

import json
import os
import platform
import secrets
import sys
import time
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from study.outputs.kernel_lock import is_locked
from study.outputs.sealed import parse_json

LOCK = "lock"
OWNER = "owner.json"
STALE_SECONDS = 90.0
"""So long after its last heartbeat an owner on another host counts as dead."""
DAMAGED_SECONDS = 2.0
"""So long after it was written a file that names nobody is damaged, and not one half written."""


@dataclass(frozen=True)
class Owner:
    """A process that works in a directory; None stands for what is not known.

    `started` is when it began to, in UTC. `boot` and `process_start` tell a host from others of
    its name, and a process from later ones of its number; `token` is of this one ownership.
    """

    host: str | None = None
    pid: int | None = None
    process_start: int | None = None
    started: str | None = None
    boot: str | None = None
    token: str | None = None

    @classmethod
    def myself(cls) -> "Owner":
        """This process, as the owner of one directory from now on."""
        return cls(
            host=platform.node(),
            pid=os.getpid(),
            process_start=_process_start(os.getpid()),
            started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            boot=_boot(),
            token=secrets.token_hex(8),
        )

    @property
    def words(self) -> str:
        """Such as `host gauss, process 4711`."""
        if self.host is None:
            return "another process"
        return f"host {self.host}, process {self.pid}"

    @property
    def is_damaged(self) -> bool:
        """Whether its file names no process: no owner writes such a one, or keeps it alive."""
        return self.token is None and self.pid is None

    @property
    def silence(self) -> float:
        """The seconds without a heartbeat after which it is dead, where no lock says that."""
        return DAMAGED_SECONDS if self.is_damaged else STALE_SECONDS

    @property
    def is_here(self) -> bool:
        """Whether it is a process of this host, since its last start."""
        return self.host == platform.node() and self.boot in (None, _boot())

    @property
    def is_running(self) -> bool:
        """Whether its process lives, for one of this host, as far as the system says."""
        if self.pid is None or sys.platform == "win32":
            return False
        if self.process_start is not None:
            return _process_start(self.pid) == self.process_start
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def json(self) -> bytes:
        return (json.dumps(asdict(self), indent=1) + "\n").encode()


def read_owner(path: Path) -> Owner | None:
    """The owner that a file names, one of unknown name if it is damaged; None without a file."""
    try:
        content = parse_json(path.read_bytes())
        return _parsed(content)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError):
        return Owner()


def _parsed(content: Any) -> Owner:
    if not isinstance(content, dict):
        return Owner()
    kinds: dict[str, type] = dict.fromkeys(("host", "started", "boot", "token"), str)
    kinds |= dict.fromkeys(("pid", "process_start"), int)
    known: dict[str, Any] = {
        name: content[name] for name in kinds if isinstance(content.get(name), kinds[name])
    }
    return Owner(**known)


def owner_of(directory: Path) -> Owner | None:
    """The living process that works in a directory, if there is one; changes nothing.

    On this host the kernel says whether it lives; of another host its heartbeat does, here by this
    host's clock.
    """
    owner, locked = read_owner(directory / OWNER), is_locked(directory / LOCK)
    if locked:
        return owner or Owner()
    if owner is None:
        return None
    if owner.is_here:
        return owner if locked is None and owner.is_running else None
    try:
        silent = time.time() - (directory / OWNER).stat().st_mtime
    except OSError:
        return None
    return owner if silent < owner.silence else None


@cache
def _boot() -> str | None:
    """What tells this start of this machine from all others, where the system says it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None


def _process_start(pid: int) -> int | None:
    """When a process of this host started, in ticks since the machine did; None if it is gone.

    One that is dead and that its parent has not asked after (state Z) is gone.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        state, *fields = text.rpartition(")")[2].split()
        return None if state in "ZX" else int(fields[18])
    except (OSError, ValueError, IndexError):
        return None
