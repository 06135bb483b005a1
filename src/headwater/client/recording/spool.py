"""The spool: what could not be told to a store, in files of this machine until it can be.

A process appends records to a file of its own, which ends in ``.open`` and is locked while the process
lives. Closed, it ends in ``.spool``. Names begin with the time, so sorted they are in order. What a store
refused for good lies in ``refused``, each record with the reason; files with damaged places lie, once
their good records were told, in ``damaged`` (``recording/replay.py``).

Records are on the disk in so far as the operating system keeps its word after a process was killed; they
may be lost with the machine.
"""

import contextlib
import logging
import os
import socket
import threading
import time
from pathlib import Path

from google.protobuf.message import Message

from headwater.client.recording.frames import frame
from headwater.client.recording.locking import lock, unlock
from headwater.client.recording.places import make_spool_directory
from headwater.config import MIB

logger = logging.getLogger("headwater")

MAX_BYTES = 256 * MIB
"""How much a spool may hold. ``HEADWATER_SPOOL_MAX_MB`` says otherwise."""
OPEN, CLOSED = ".open", ".spool"
_FILE_BYTES = 8 * MIB
_LOOKS_EVERY_BYTES = MIB
_WARNS_EVERY_S = 60.0


def allowed_bytes() -> int:
    """How much a spool may hold, as set; at least a MiB."""
    try:
        return max(1, int(os.environ["HEADWATER_SPOOL_MAX_MB"])) * MIB
    except (KeyError, ValueError):
        return MAX_BYTES


def used_bytes(directory: Path) -> int:
    """How much the files of a spool hold."""
    used = 0
    for path in directory.rglob("*"):
        with contextlib.suppress(OSError):  # Somebody else may have replayed it just now.
            used += path.stat().st_size
    return used


class SpoolWriter:
    """Appends the records of this process to a store's spool. Safe for threads; a forked child has its own.

    The first record makes the file.
    """

    def __init__(self, directory: Path, *, target: str, max_bytes: int | None = None) -> None:
        self.directory = directory
        self._target = target
        self._max_bytes = allowed_bytes() if max_bytes is None else max_bytes
        self._lock = threading.Lock()
        self._path: Path | None = None
        self._descriptor = -1
        self._size = 0
        self._files = 0
        self._room = 0
        self._pending: list[Path] = []
        self._lost = 0
        self._told_lost = 0
        self._told_at = 0.0

    @property
    def lost(self) -> int:
        """How many records found no room, or no disk."""
        return self._lost

    @property
    def is_empty(self) -> bool:
        """Whether all that was written here has been replayed, or nothing was written."""
        with self._lock:
            self._pending = [path for path in self._pending if path.exists()]
            return self._path is None and not self._pending

    def write(self, request: Message) -> bool:
        """Append a request, whose class names the RPC; whether there was room. Never raises."""
        name = type(request).__name__.removesuffix("Request")
        data = frame(name, request.SerializeToString())
        with self._lock:
            try:
                written = self._append(data)
                why = f"it holds {self._max_bytes / MIB:g} MiB already"
            except OSError as error:
                written, why = False, str(error)
            if not written:
                self._lose(why)
            return written

    def _append(self, data: bytes) -> bool:
        if self._path is None:
            self._open()
        if len(data) > self._room:
            self._room = self._max_bytes - used_bytes(self.directory)
            if len(data) > self._room:
                return False
            self._room = min(self._room, _LOOKS_EVERY_BYTES + len(data))
        count = os.write(self._descriptor, data)
        if count < len(data):  # The disk is full. A torn record would only be skipped later.
            os.ftruncate(self._descriptor, self._size)
            raise OSError("the disk is full")
        self._size += count
        self._room -= count
        if self._size >= _FILE_BYTES:
            self._close()
        return True

    def _lose(self, why: str) -> None:
        self._lost += 1
        now = time.monotonic()
        if self._told_lost and now - self._told_at < _WARNS_EVERY_S:
            return
        self._told_lost, self._told_at = self._lost, now
        logger.warning(
            "the spool %s cannot keep a record: %s; %d lost so far in this process. Replay it with "
            "'headwater spool replay', or allow more with HEADWATER_SPOOL_MAX_MB",
            self.directory,
            why,
            self._lost,
        )

    def _open(self) -> None:
        make_spool_directory(self.directory, self._target)
        self._files += 1
        name = f"{time.time_ns():020d}-{_plain(socket.gethostname())}-{os.getpid()}-{self._files}{OPEN}"
        path = self.directory / name
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_BINARY", 0)
        self._descriptor = os.open(path, flags, 0o600)
        lock(self._descriptor)
        self._path, self._size, self._room = path, 0, 0

    def close(self) -> list[Path]:
        """Let the file be replayed; the files of this process that are still there.

        Later records make another.
        """
        with self._lock:
            self._close()
            self._pending = [path for path in self._pending if path.exists()]
            if self._lost > self._told_lost:
                logger.warning(
                    "the spool %s could not keep %d records of this process", self.directory, self._lost
                )
                self._told_lost = self._lost
            return list(self._pending)

    def _close(self) -> None:
        if self._path is None:
            return
        path, self._path = self._path, None
        unlock(self._descriptor)
        os.close(self._descriptor)
        closed = path.with_suffix(CLOSED)
        try:
            if self._size:
                path.rename(closed)
                self._pending.append(closed)
            else:
                path.unlink()
        except OSError:
            # Somebody took it for left behind, just now.
            self._pending.append(path)

    def after_fork_in_child(self) -> None:
        """Begin anew: the file, its lock and the records in it are the parent's."""
        if self._path is not None:
            # Closes the child's descriptor only; the lock is the parent's for as long as it has its own.
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
        self._lock = threading.Lock()
        self._path, self._descriptor, self._pending = None, -1, []
        self._lost = self._told_lost = 0


def _plain(text: str) -> str:
    return "".join(char if char.isalnum() or char in "._" else "_" for char in text)[:40]
