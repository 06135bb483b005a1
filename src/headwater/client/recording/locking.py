"""Locks among processes that end with who holds them, however it ends."""

import contextlib
import os
import sys
from pathlib import Path

# Windows keeps others from reading what is locked, so the lock is on a byte far behind the content.
_LOCKED_BYTE = 1 << 40


def lock(descriptor: int) -> bool:
    """Lock an open file without waiting; whether that was possible. Closing the file unlocks it.

    Where the file system has no locks, everybody gets them: what they guard here may be done twice, and
    only costs time.
    """
    if sys.platform == "win32":
        import msvcrt

        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import errno
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
    return True


def unlock(descriptor: int) -> None:
    """Let others have the lock, even while a forked child still has the file open."""
    with contextlib.suppress(OSError):
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_UN)


class LockFile:
    """A file that is there to be locked: ``with LockFile(path) as is_mine``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def __enter__(self) -> bool:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        return lock(self._descriptor)

    def __exit__(self, *_: object) -> None:
        unlock(self._descriptor)
        os.close(self._descriptor)


def is_held(path: Path) -> bool:
    """Whether somebody has locked this file. One that is not there nobody has."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        if not lock(descriptor):
            return True
        unlock(descriptor)
        return False
    finally:
        os.close(descriptor)
