"""A lock on a file that the kernel lets go of the moment its process dies, however it dies."""

import contextlib
import errno
import os
import sys
from pathlib import Path

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
