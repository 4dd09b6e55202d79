"""Directories in which one process at a time works, of one host or of many that share a disk.

The owner holds the kernel's lock on the file `lock`, which is free again the moment it dies, and
is named in `owner.json` beside it, whose modification time is its heartbeat. Between processes of
one host the lock decides. Some shared disks keep locks apart for each host: there a fresh heartbeat
of another host's process means owned.

No step can leave half an owner or two of them. `owner.json` appears whole, by a link that fails if
there is one. Its owner removes it, or the one process that a link of the same kind makes the
undertaker of a dead one. The lock's file is removed before the owner's, so whoever claims a
directory afterwards and still finds the lock's file at its name holds the one lock that later ones
will find.

An owner whose heart could not beat for longer than others wait, because its machine slept or its
process was stopped, may find itself replaced when it wakes up: it is `Lost`, and writes nothing.
Every file of the directory is first written under a name of its own (`passing`), then `still_ours`
reads `owner.json`, then it is renamed. What falls between the last two is caught by the other side:
whoever claims a directory removes the unfinished files of owners before it, and looks at what is
there after that. So a late rename finds nothing to rename. What is not written that way can come
late by as much as lies between its look and its deed: a removal, and TensorBoard's events, which
are appended to a file of that process's own.
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
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

# A lock on a file that the kernel lets go of the moment its process dies, however it dies.


_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}
"""What a file system says that has no locks."""


class KernelLock:
    """The lock of the file at `path`, which is there only while somebody holds it.

    `is_real` is False where the file system has no locks: then everyone gets this one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_real = True
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Whether this process holds the lock now; never waits. Raises OSError."""
        while True:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                self.is_real = (free := _lock(self._descriptor, exclusive=True)) is not None
            except BaseException:
                self.release()
                raise
            if free is False:
                self.release()
                return False
            if self.is_at_its_path():
                return True
            self.release()

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
        if sys.platform == "win32":
            self.release()
        with contextlib.suppress(OSError):
            self.path.unlink()

    def release(self) -> None:
        """Lets go of the lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None


def is_locked(path: Path) -> bool | None:
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
        free = _lock(descriptor, exclusive=False)
        return None if free is None else not free
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _lock(descriptor: int, *, exclusive: bool) -> bool | None:
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
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK):
            return False
        raise
    return True


# Who works in a directory: `owner.json`, read and judged.


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
        return _parsed(json.loads(path.read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError):
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


HEARTBEAT_SECONDS = 15.0
_SHORTEST_WAIT, _LONGEST_WAIT = 0.02, 1.0
Done = TypeVar("Done")


class Owned(Exception):  # noqa: N818
    """Another process works in the directory; `words` name it."""

    def __init__(self, directory: Path, owner: Owner | None) -> None:
        self.directory, self.owner = directory, owner or Owner()
        super().__init__(f"{self.words} works in {directory}")

    @property
    def words(self) -> str:
        return self.owner.words


class Lost(Owned):
    """Another process took the directory over from this one; `words` name who has it by now."""

    def __str__(self) -> str:
        return f"{self.directory}: taken over by {self.words} while this process slept"


class Ownership:
    """This process's ownership of a directory, alive until `end`."""

    def __init__(self, directory: Path, lock: KernelLock, owner: Owner) -> None:
        self.directory, self.owner = directory, owner
        self._lock = lock
        self._ended = threading.Event()
        self._heart = threading.Thread(target=self._beat, name=f"owner of {directory}", daemon=True)
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

    def end(self) -> None:
        """Gives the directory up."""
        self._ended.set()
        self._heart.join()
        with contextlib.suppress(OSError):
            if read_owner(self.directory / OWNER) == self.owner:
                self._lock.remove()
                _take_away(self.directory / OWNER, self.owner)
        self._lock.release()

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT_SECONDS):
            with contextlib.suppress(OSError, Lost):
                self.check()
                os.utime(self.directory / OWNER)


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
    ownership = _awaited(directory, say or _say) if wait else _attempt(directory)
    place = directory.resolve()
    _held[place] = ownership
    try:
        _remove_unfinished(ownership, files)
        yield ownership
    finally:
        if _held.get(place) is ownership:
            del _held[place]
        ownership.end()


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


def passing(path: Path) -> Path:
    """A name beside a file that nobody else has: of what is on its way there, or away."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.{os.getpid()}.partial")


def _remove_unfinished(ownership: Ownership, files: Sequence[str]) -> None:
    """Removes what writes of owners before this one left; those of `owner.json` stay."""
    for name in files:
        for left in ownership.directory.glob(f".{name}.*.partial"):
            if not left.name.startswith(f".{OWNER}."):
                ownership.check()
                with contextlib.suppress(OSError):
                    left.unlink()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _awaited(directory: Path, say: Callable[[str], None]) -> Ownership:
    pause, said = _SHORTEST_WAIT, False
    while True:
        try:
            return _attempt(directory)
        except Owned as other:
            # A moment is allowed for whoever only looks, or is about to write its name.
            if not said and pause > 4 * _SHORTEST_WAIT:
                say(f"waiting for {directory}: {other.words} works there")
                said = True
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_WAIT)


def _attempt(directory: Path) -> Ownership:
    """Ownership at once; raises `Owned` if another process has it."""
    lock = KernelLock(directory / LOCK)
    while True:
        if not lock.acquire():
            raise Owned(directory, read_owner(directory / OWNER))
        myself = Owner.myself()
        try:
            _claim(directory, lock, myself)
            if lock.is_at_its_path():
                return Ownership(directory, lock, myself)
        except BaseException:
            _give_back(directory, lock, myself)
            raise
        _give_back(directory, lock, myself)


def _give_back(directory: Path, lock: KernelLock, myself: Owner) -> None:
    with contextlib.suppress(OSError):
        _take_away(directory / OWNER, myself)
    lock.release()


def _claim(directory: Path, lock: KernelLock, myself: Owner) -> None:
    """Names the holder of the lock as the owner, in the place of a dead one."""
    path = directory / OWNER
    if (other := read_owner(path)) is not None:
        if not _is_dead(path, other, lock):
            raise Owned(directory, other)
        _bury(path, other, lock, myself)
    _name(path, myself)


def _is_dead(path: Path, owner: Owner, lock: KernelLock) -> bool:
    """Whether the owner that a file names is gone, for the holder of the lock."""
    if owner.is_here and not owner.is_running:
        return True
    try:
        return lock.now() - path.stat().st_mtime >= owner.silence
    except FileNotFoundError:
        return False


def _bury(path: Path, dead: Owner, lock: KernelLock, myself: Owner) -> None:
    """Removes a dead owner's file; raises `Owned` if another process is about to.

    Whoever does is named in a file of that dead owner's own: a slow one cannot mistake its
    successor for it.
    """
    permit = path.with_name(f".{path.name}.{dead.token}.partial")
    if (other := read_owner(permit)) is not None and _is_dead(permit, other, lock):
        _take_away(permit, other)
    _name(permit, myself)
    try:
        _take_away(path, dead)
    finally:
        permit.unlink(missing_ok=True)


def _name(path: Path, owner: Owner) -> None:
    """Writes a file that names an owner, whole; raises `Owned` if there is one."""
    temporary = passing(path)
    try:
        with temporary.open("xb") as file:
            file.write(owner.json())
            file.flush()
            os.fsync(file.fileno())
        _put(temporary, path)
    except (FileExistsError, FileNotFoundError):
        raise Owned(path.parent, read_owner(path)) from None
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _put(source: Path, path: Path) -> None:
    """Gives a file another name as well; raises FileExistsError if that is taken."""
    try:
        path.hardlink_to(source)
    except (FileExistsError, FileNotFoundError):
        raise
    except OSError:
        # No links on this file system. What is seen of a copy too early counts as an owner.
        with path.open("xb") as file:
            file.write(source.read_bytes())


def _take_away(path: Path, owner: Owner) -> None:
    """Removes a file if it names that owner."""
    if read_owner(path) != owner:
        return
    aside = passing(path)
    try:
        path.rename(aside)
    except FileNotFoundError:
        return
    try:
        if read_owner(aside) != owner:
            with contextlib.suppress(FileExistsError):
                _put(aside, path)
    finally:
        aside.unlink(missing_ok=True)
