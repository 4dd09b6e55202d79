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
import os
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from study.outputs.kernel_lock import KernelLock
from study.outputs.owner import LOCK, OWNER, Owner, owner_of, read_owner

__all__ = [
    "LOCK",
    "OWNER",
    "Lost",
    "Owned",
    "Owner",
    "Ownership",
    "owned",
    "owner_of",
    "passing",
    "still_ours",
    "while_owned",
]

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
