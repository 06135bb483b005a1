"""Digests of local files remembered, so that a file is read once and then only looked at.

A digest is taken from here only while the file looks exactly as it did: same device and inode, size,
time of modification and, where the system has one, time of change. A file that was modified less than
two seconds before it was read is not remembered, because it could be written again within the grain of
the clock and look the same.

The memo is a help and never a hindrance: what goes wrong with its file is said once in the log, and
then the digests are computed.
"""

import contextlib
import logging
import os
import sqlite3
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

#: Times of files are exact to two seconds in the worst case (FAT).
YOUNG_NS = 2_000_000_000

_logger = logging.getLogger("headwater.content")
_APPLICATION_ID = 0x68776D31
# What others do with the file takes milliseconds. After a longer wait it is let alone for a while.
_LOCK_TIMEOUT_S = 0.25
_LET_ALONE_S = 10.0
_PENDING = 256

_memos: "weakref.WeakSet[Memo]" = weakref.WeakSet()


class Memo:
    """Digests by file and algorithm, in the SQLite file ``path`` or, with ``None``, in this process.

    Threads and processes may share one, and a forked process may go on with its parent's. At most
    ``max_entries`` are kept; those remembered longest ago go first.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, *, max_entries: int = 200_000) -> None:
        self._path = None if path is None else Path(path)
        self._max_entries = max_entries
        self._warned = False
        # What is not in the file yet; without a file, all there is.
        self._fresh: OrderedDict[tuple[str, str], tuple[str, str]] = OrderedDict()
        self._broken = False
        self._let_alone_until = 0.0
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.Lock()
        _memos.add(self)

    def find(self, uri: str, stat: os.stat_result, algorithm: str) -> str | None:
        """The hexadecimal digest of the file ``uri``, if it is known and the file is as ``stat`` says."""
        state = _state(stat)
        with self._lock:
            known = self._fresh.get((uri, algorithm))
            if known is None:
                known = self._stored(uri, algorithm)
        return known[1] if known is not None and known[0] == state else None

    def remember(
        self, uri: str, stat: os.stat_result, algorithm: str, digits: str, *, read_at_ns: int
    ) -> None:
        """Keep ``digits`` as the digest of the file ``uri`` that was as ``stat`` says when it was read.

        ``read_at_ns`` is the time (since the epoch) at which reading began. Call ``flush`` afterwards.
        """
        if read_at_ns - stat.st_mtime_ns < YOUNG_NS:
            return
        with self._lock:
            self._fresh[(uri, algorithm)] = (_state(stat), digits)
            self._fresh.move_to_end((uri, algorithm))
            full = len(self._fresh) >= _PENDING
            while len(self._fresh) > self._max_entries:
                self._fresh.popitem(last=False)
        if full:
            self.flush()

    def flush(self) -> None:
        """Write what is new to the file."""
        if self._path is None:
            return
        with self._lock:
            if self._fresh and self._store(self._fresh):
                self._fresh.clear()

    def close(self) -> None:
        """Write what is new and close the file. The memo opens it again if it is used again."""
        self.flush()
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def __enter__(self) -> "Memo":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _stored(self, uri: str, algorithm: str) -> tuple[str, str] | None:
        try:
            connection = self._open()
            if connection is None:
                return None
            row = connection.execute(
                "SELECT state, digits FROM digest WHERE uri = ? AND algorithm = ?", (uri, algorithm)
            ).fetchone()
        except (sqlite3.Error, OSError) as exc:
            self._give_up(exc)
            return None
        return None if row is None else (str(row[0]), str(row[1]))

    def _store(self, entries: Mapping[tuple[str, str], tuple[str, str]]) -> bool:
        try:
            connection = self._open()
            if connection is None:
                return False
            with connection:
                connection.executemany(
                    "INSERT OR REPLACE INTO digest (uri, algorithm, state, digits) VALUES (?, ?, ?, ?)",
                    [(*key, *value) for key, value in entries.items()],
                )
                # Ids only grow, so this keeps the newest; it may keep fewer where entries were replaced.
                connection.execute(
                    "DELETE FROM digest WHERE id <= (SELECT max(id) FROM digest) - ?", (self._max_entries,)
                )
        except (sqlite3.Error, OSError) as exc:
            self._give_up(exc)
            return False
        return True

    def _open(self) -> sqlite3.Connection | None:
        if self._path is None or self._broken or time.monotonic() < self._let_alone_until:
            return None
        if self._connection is not None:
            return self._connection
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # It names files: for its owner alone, as SQLite's files beside it are then too.
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        connection = sqlite3.connect(self._path, timeout=_LOCK_TIMEOUT_S, check_same_thread=False)
        try:
            _prepare(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _give_up(self, exc: Exception) -> None:
        if isinstance(exc, sqlite3.OperationalError) and "locked" in str(exc):
            self._let_alone_until = time.monotonic() + _LET_ALONE_S
            return
        self._broken = True
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        if not self._warned:
            self._warned = True
            _logger.warning(
                "digests are not remembered in %s: %s; remove the file or name another one", self._path, exc
            )

    def _begin_anew_after_fork(self) -> None:
        # The parent's lock may have been held, and SQLite forbids even closing an inherited connection.
        self._lock = threading.Lock()
        if self._connection is not None:
            _inherited.append(self._connection)
            self._connection = None


_inherited: list[sqlite3.Connection] = []


def _begin_anew_after_fork() -> None:
    for memo in list(_memos):
        memo._begin_anew_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew_after_fork)


def _prepare(connection: sqlite3.Connection) -> None:
    # What a power cut takes is computed again. No write-ahead log: home directories are often remote.
    connection.execute("PRAGMA synchronous = OFF")
    if _is_ours(connection):
        return
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        # Another process may have made it while this one waited for the lock.
        if _is_ours(connection):
            return
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise sqlite3.DatabaseError("it is a database of something else")
        connection.execute(
            "CREATE TABLE digest (id INTEGER PRIMARY KEY AUTOINCREMENT, uri TEXT NOT NULL,"
            " algorithm TEXT NOT NULL, state TEXT NOT NULL, digits TEXT NOT NULL, UNIQUE (uri, algorithm))"
        )
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")


def _is_ours(connection: sqlite3.Connection) -> bool:
    found: int = connection.execute("PRAGMA application_id").fetchone()[0]
    return found == _APPLICATION_ID


def _state(stat: os.stat_result) -> str:
    # Text, because an inode of Windows may be too large for an integer of SQLite.
    changed_ns = stat.st_ctime_ns if os.name != "nt" else 0
    return f"{stat.st_dev}.{stat.st_ino}.{stat.st_size}.{stat.st_mtime_ns}.{changed_ns}"
