"""Who works in a directory: one process at a time, of one host or of many that share a disk.

The owner holds the kernel's lock on the file `lock`, which is free again the moment it dies, and
is named in `owner.json` beside it, whose modification time is its heartbeat. Between processes of
one host the lock decides. Some shared disks keep locks apart for each host: there a fresh heartbeat
of another host's process means owned.

No step can leave half an owner or two of them. `owner.json` appears whole, by a link that fails if
there is one. Its owner removes it, or of a dead one the single process that a link of the same kind
names its breaker. The lock's file is removed before the owner's, so whoever claims a directory
afterwards and still finds the lock's file at its name holds the one lock that later ones will find.

An owner whose heart could not beat for longer than others wait, because its machine slept or its
process was stopped, may find itself replaced when it wakes up: it is `Lost`, and writes nothing.
Every file of the directory is first written under a name of its own (`partial_path`), then
`still_ours` reads `owner.json`, then it is renamed. What falls between the last two is caught by
the other side: whoever claims a directory removes the unfinished files of owners before it, and
looks at what is there after that. So a late rename finds nothing to rename. What is not written
that way can come late by as much as lies between its look and its deed: a removal, and
TensorBoard's events, which are appended to a file of that process's own.

filelock's `SoftFileLease` does most of this, and was measured for it (4.2.11, leases of 1 s):
- Its marker is created empty, then written, and not flushed. One that stays empty, by a kill
  between the two or a power cut, holds the directory for good: nobody breaks it.
- A dead holder's marker is taken by exchanging two names. Where the file system refuses that, as
  NFS and SMB do, it is never taken.
- The age of a marker is what a waiting process has seen itself. A mere look (`study status`) would
  have to last for a lease before it knows whether another host's process lives.
- It does not fence: a holder that was stopped for longer writes on beside the next one.
  `still_ours` and the removal of unfinished files would be needed all the same.
"""

import contextlib
import errno
import json
import os
import platform
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

LOCK = "lock"
OWNER = "owner.json"
HEARTBEAT_SECONDS = 15.0
STALE_SECONDS = 90.0
"""So long after its last heartbeat an owner on another host counts as dead."""
DAMAGED_SECONDS = 2.0
"""So long after it was written a file that names nobody is damaged, and not one half written."""
_SHORTEST_WAIT, _LONGEST_WAIT = 0.02, 1.0
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}
"""What a file system says that has no locks."""
_IS_HELD = {errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK}
Done = TypeVar("Done")


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
    def label(self) -> str:
        """Such as `host gauss, process 4711`."""
        if self.host is None:
            return "another process"
        return f"host {self.host}, process {self.pid}"

    @property
    def stale_after(self) -> float:
        """The seconds without a heartbeat after which it is dead, where no lock says that.

        Few for a damaged file, which names no process: no owner writes such a one.
        """
        return DAMAGED_SECONDS if self.token is None and self.pid is None else STALE_SECONDS

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
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError):
        return Owner()
    if not isinstance(content, dict):
        return Owner()
    kinds: dict[str, type] = dict.fromkeys((each.name for each in fields(Owner)), str)
    kinds |= dict.fromkeys(("pid", "process_start"), int)
    known: dict[str, Any] = {
        name: value for name, value in content.items() if type(value) is kinds.get(name)
    }
    return Owner(**known)


def owner_of(directory: Path) -> Owner | None:
    """The living process that works in a directory, if there is one; changes nothing.

    On this host the kernel says whether it lives; of another host its heartbeat does, here by this
    host's clock.
    """
    owner, locked = read_owner(directory / OWNER), _is_locked(directory / LOCK)
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
    return owner if silent < owner.stale_after else None


class Owned(Exception):  # noqa: N818
    """Another process, the `owner`, works in the directory."""

    def __init__(self, directory: Path, owner: Owner | None) -> None:
        self.directory, self.owner = directory, owner or Owner()
        super().__init__(f"{self.owner.label} works in {directory}")


class Lost(Owned):
    """Another process took the directory over from this one; `owner` has it by now."""

    def __str__(self) -> str:
        return f"{self.directory}: taken over by {self.owner.label} while this process slept"


class Ownership:
    """This process's ownership of a directory, alive until `release`."""

    def __init__(self, directory: Path, lock: "KernelLock", owner: Owner) -> None:
        self.directory, self.owner = directory, owner
        self._lock = lock
        self._ended = threading.Event()
        self._heart = threading.Thread(
            target=self._keep_alive, name=f"owner of {directory}", daemon=True
        )
        self._heart.start()

    def check(self) -> None:
        """Raises `Lost` unless this process is still named; OSError if that cannot be read.

        A file that is gone says the same as another's name: the other has been and is done. It is
        opened, as a look at its time would be answered from memory on a network's disk.
        """
        path = self.directory / OWNER
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            if path.read_bytes() == self.owner.json():
                return
        raise Lost(self.directory, read_owner(path))

    def loss(self, error: Exception) -> Lost | None:
        """What an error comes of if the directory was taken over, whatever it looks like."""
        if isinstance(error, Lost):
            return error
        try:
            with contextlib.suppress(OSError):
                self.check()
        except Lost as lost:
            return lost
        return None

    def beat(self) -> None:
        """Says that this process lives, unless the directory is another's by now."""
        with contextlib.suppress(OSError, Lost):
            self.check()
            os.utime(self.directory / OWNER)

    def is_of_dead(self, path: Path) -> bool:
        """Whether a file that is there names an owner who is gone."""
        owner = read_owner(path)
        with contextlib.suppress(OSError):
            return owner is not None and _is_dead(path, owner, self._lock)
        return False

    def release(self) -> None:
        """Gives the directory up."""
        self._ended.set()
        self._heart.join()
        _release(self.directory / OWNER, self.owner, self._lock)

    def _keep_alive(self) -> None:
        while not self._ended.wait(HEARTBEAT_SECONDS):
            self.beat()


_held: dict[Path, Ownership] = {}
"""The directories that this process owns."""


@contextlib.contextmanager
def owned(
    directory: Path,
    *,
    wait: bool,
    files: Sequence[str] = ("*",),
    say: Callable[[str], None] | None = None,
) -> Iterator[Ownership]:
    """A block in which no other process, of this host or another, owns the directory.

    The directory must be there. If another process owns it, `Owned` is raised or, with `wait`, its
    end or death awaited; `say` (a line on standard error) is told once who it is. `files` are the
    names or patterns of those that only its owners write: cut off writes of them are removed.
    Raises OSError where nothing can be written.
    """
    ownership = _awaited(directory, say or _say) if wait else _acquire(directory)
    place = directory.resolve()
    _held[place] = ownership
    try:
        for left in {path for name in (*files, OWNER) for path in _partial(directory, name)}:
            if f".{OWNER}." in left.name and not ownership.is_of_dead(left):
                continue  # another is about to claim the directory by it
            ownership.check()
            with contextlib.suppress(OSError):
                left.unlink()
        yield ownership
    finally:
        if _held.get(place) is ownership:
            del _held[place]
        ownership.release()


def while_owned(
    directory: Path,
    work: Callable[[], Done],
    *,
    files: Sequence[str] = ("*",),
    say: Callable[[str], None] | None = None,
) -> Done:
    """What `work` comes to in a directory that this process owns, as soon as it can.

    If it is taken over meanwhile, `say` is told, and all is done anew. Otherwise as `owned`.
    """
    say = say or _say
    while True:
        with owned(directory, wait=True, files=files, say=say) as ownership:
            try:
                return work()
            except Exception as error:
                lost = ownership.loss(error)
                if lost is None or lost.directory != directory:
                    raise
        say(f"{lost}; what it did there is dropped")


def still_ours(directory: Path) -> None:
    """Raises `Lost` if this process works in a directory, or above it, that another took over.

    Of what it never owned it knows nothing. OSError if the owner cannot be read.
    """
    place = directory.resolve()
    for each in (place, *place.parents):
        if ownership := _held.get(each):
            ownership.check()
            return


def partial_path(path: Path) -> Path:
    """A name beside a file that nobody else has: of what is on its way there, or away."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.{os.getpid()}.partial")


def _partial(directory: Path, name: str) -> Iterator[Path]:
    """What is on its way to a file of that name or pattern, or was cut off."""
    return directory.glob(f".{name}.*.partial")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _awaited(directory: Path, say: Callable[[str], None]) -> Ownership:
    pause, said = _SHORTEST_WAIT, False
    while True:
        try:
            return _acquire(directory)
        except Owned as other:
            # A moment is allowed for whoever only looks, or is about to write its name.
            if not said and pause > 4 * _SHORTEST_WAIT:
                say(f"waiting for {directory}: {other.owner.label} works there")
                said = True
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_WAIT)


def _acquire(directory: Path) -> Ownership:
    """Ownership at once, in the place of a dead owner; raises `Owned` if another has it."""
    path, lock = directory / OWNER, KernelLock(directory / LOCK)
    while True:
        if not lock.acquire():
            raise Owned(directory, read_owner(path))
        myself = Owner.myself()
        with contextlib.ExitStack() as failed:
            failed.callback(_release, path, myself, lock)
            if (other := read_owner(path)) is not None:
                if not _is_dead(path, other, lock):
                    raise Owned(directory, other)
                _break_stale(path, other, lock, myself)
            _publish(path, myself)
            if lock.is_at_its_path():
                failed.pop_all()
                return Ownership(directory, lock, myself)


def _release(path: Path, owner: Owner, lock: "KernelLock") -> None:
    """Removes the lock's file and the owner's, if they are its own, and lets go of the lock."""
    try:
        with contextlib.suppress(OSError):
            if read_owner(path) == owner:
                lock.remove()
                _remove_if_of(path, owner)
    finally:
        lock.release()


def _is_dead(path: Path, owner: Owner, lock: "KernelLock") -> bool:
    """Whether the owner that a file names is gone, for the holder of the lock."""
    if owner.is_here and not owner.is_running:
        return True
    try:
        return lock.now() - path.stat().st_mtime >= owner.stale_after
    except FileNotFoundError:
        return False


def _break_stale(path: Path, dead: Owner, lock: "KernelLock", myself: Owner) -> None:
    """Removes a dead owner's file; raises `Owned` if another process is about to.

    Whoever does is named in a file of that dead owner's own: a slow one cannot mistake its
    successor for it.
    """
    breaker = path.with_name(f".{path.name}.{dead.token}.partial")
    if (other := read_owner(breaker)) is not None and _is_dead(breaker, other, lock):
        _remove_if_of(breaker, other)
    _publish(breaker, myself)
    try:
        _remove_if_of(path, dead)
    finally:
        breaker.unlink(missing_ok=True)


def _publish(path: Path, owner: Owner) -> None:
    """Writes a file that names an owner, whole; raises `Owned` if there is one."""
    temporary = partial_path(path)
    try:
        with temporary.open("xb") as file:
            file.write(owner.json())
            file.flush()
            os.fsync(file.fileno())
        _link(temporary, path)
    except (FileExistsError, FileNotFoundError):
        raise Owned(path.parent, read_owner(path)) from None
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _link(source: Path, path: Path) -> None:
    """Gives a file another name as well; raises FileExistsError if that is taken."""
    try:
        path.hardlink_to(source)
    except (FileExistsError, FileNotFoundError):
        raise
    except OSError:
        # No links on this file system. What is seen of a copy too early counts as an owner.
        with path.open("xb") as file:
            file.write(source.read_bytes())


def _remove_if_of(path: Path, owner: Owner) -> None:
    """Removes a file if it names that owner, also where another takes its place meanwhile."""
    if read_owner(path) != owner:
        return
    aside = partial_path(path)
    try:
        path.rename(aside)
    except FileNotFoundError:
        return
    try:
        if read_owner(aside) != owner:
            # One that is gone named a dead owner: nobody misses it.
            with contextlib.suppress(FileExistsError, FileNotFoundError):
                _link(aside, path)
    finally:
        aside.unlink(missing_ok=True)


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
        state, *rest = text.rpartition(")")[2].split()
        return None if state in "ZX" else int(rest[18])
    except (OSError, ValueError, IndexError):
        return None


class KernelLock:
    """A lock on a file that the kernel lets go of the moment its process dies, however it dies.

    The file is there only while somebody holds it. Where the file system has no locks everyone gets
    this one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Whether this process holds the lock now; never waits. Raises OSError."""
        while True:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                free = _flock(self._descriptor, exclusive=True) is not False
                if free and self.is_at_its_path():
                    return True
            except BaseException:
                self.release()
                raise
            self.release()
            if not free:
                return False

    def is_at_its_path(self) -> bool:
        """Whether the file is still the one that others find; a holder may remove it."""
        if self._descriptor is None:
            return False
        try:
            return os.path.samestat(os.fstat(self._descriptor), self.path.stat())
        except FileNotFoundError:
            return False

    def now(self) -> float:
        """The time by the file system's clock, in seconds."""
        os.utime(self.path)
        return self.path.stat().st_mtime

    def remove(self) -> None:
        """Removes the file, for the holder alone; others then make a new one.

        Whoever opened this one before and gets its lock later sees that it is gone.
        """
        if not self.is_at_its_path():
            return
        if sys.platform == "win32":
            self.release()
        with contextlib.suppress(OSError):
            self.path.unlink()

    def release(self) -> None:
        """Lets go of the lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None


def _is_locked(path: Path) -> bool | None:
    """Whether a process holds the lock of this file; neither creates nor changes it.

    None where that cannot be known, as where the file system has no locks.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:
        return sys.platform == "win32"
    except OSError:
        return False
    try:
        # A shared lock is asked for: two readers at once must not take each other for the owner.
        free = _flock(descriptor, exclusive=False)
        return None if free is None else not free
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _flock(descriptor: int, *, exclusive: bool) -> bool | None:
    """Whether the lock was free, and is now held; None where there are no locks."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        if error.errno in _IS_HELD:
            return False
        raise
    return True
