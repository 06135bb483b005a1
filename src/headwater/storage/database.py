"""An open database: transactions that read side by side, and the one that writes."""

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from headwater.errors import Cancelled, Unavailable
from headwater.storage.cache import NodeCache
from headwater.storage.callers import PATIENT, Caller
from headwater.storage.dialects import Connection, Dialect, wall_clock_ms
from headwater.storage.transactions import Transaction
from headwater.storage.writer import Writer, explained

T = TypeVar("T")

# How long a write waits for other programs before it is ABORTED.
PATIENCE_S = 60.0
DEFAULT_CACHE_BYTES = 64 * 1024 * 1024
# How long closing and forking wait for reads that are under way.
_WAIT_FOR_READS_S = 10.0


class _Reader:
    """A connection for reading, and whom it works for."""

    __slots__ = ("caller", "connection")

    def __init__(self, dialect: Dialect) -> None:
        self.caller: Caller = PATIENT
        self.connection = dialect.connect(lambda: not self.caller.still_waits())


class Database:
    """A database that has been opened and found fit to serve (``headwater.storage.opening``).

    Safe for threads. Across ``fork`` connections are closed before and opened again on either side.
    """

    def __init__(
        self,
        dialect: Dialect,
        *,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
        clock: Callable[[], int] = wall_clock_ms,
        patience_s: float = PATIENCE_S,
        is_process_wide: bool = False,
    ) -> None:
        self.dialect = dialect
        self._clock = clock
        self._is_process_wide = is_process_wide
        self._cache = NodeCache(cache_bytes)
        self._writer = Writer(dialect, cache=self._cache, clock=clock, patience_s=patience_s)
        self._closed = False
        self._readers: deque[_Reader] = deque()
        self._reading = 0
        self._is_forking = False
        self._idle = threading.Condition()
        _OPEN.add(self)

    # Reading

    def read(self, work: Callable[[Transaction], T], caller: Caller = PATIENT) -> T:
        """Run ``work`` on one state of the database and return what it returns."""
        if self._closed:
            raise Unavailable("the store is closed")
        if not self.dialect.shared:
            return self._read_on_the_only_connection(work)
        reader: _Reader | None = None

        def begin() -> Connection:
            nonlocal reader
            reader = self._borrow(caller)
            self.dialect.begin_read(reader.connection)
            return reader.connection

        tx = Transaction(
            self.dialect,
            begin,
            now_ms=self._clock(),
            cache=self._cache,
            is_unchanged=self._writer.is_unchanged,
        )
        try:
            return work(tx)
        except self.dialect.driver_error as error:
            if not caller.still_waits():
                raise caller.why_not() from error
            if isinstance(self.dialect.translate(error), Cancelled):
                # Nobody cancelled: Ctrl-C fell into the question whether somebody had.
                raise KeyboardInterrupt from None
            raise explained(self.dialect, error) from error
        finally:
            if reader is not None:
                self._give_back(reader)

    def _read_on_the_only_connection(self, work: Callable[[Transaction], T]) -> T:
        with self._writer.connection_lock:
            connection = self._writer.connection()
            tx = Transaction(self.dialect, lambda: connection, now_ms=self._clock(), cache=self._cache)
            try:
                return work(tx)
            except self.dialect.driver_error as error:
                raise explained(self.dialect, error) from error

    def _borrow(self, caller: Caller) -> _Reader:
        with self._idle:
            self._idle.wait_for(lambda: not self._is_forking)
            self._reading += 1
            reader = self._readers.pop() if self._readers else None
        try:
            reader = reader or _Reader(self.dialect)
        except BaseException:
            self._one_less()
            raise
        reader.caller = caller
        return reader

    def _give_back(self, reader: _Reader) -> None:
        reader.caller = PATIENT
        try:
            if self.dialect.in_transaction(reader.connection):
                reader.connection.execute("ROLLBACK")
            if not self._closed:
                self._readers.append(reader)
                return
        except self.dialect.driver_error:
            pass  # The connection is of no use any more; the next reader opens its own.
        finally:
            self._one_less()
        reader.connection.close()

    def _one_less(self) -> None:
        with self._idle:
            self._reading -= 1
            self._idle.notify_all()

    # Writing

    def write(self, work: Callable[[Transaction], T], caller: Caller = PATIENT) -> T:
        """Run ``work`` in a transaction of its own and return what it returns, once it is on disk.

        Raises:
            HeadwaterError: from ``work``; nothing of it is stored.
            Aborted: other programs kept the database for a minute.
            DeadlineExceeded, Cancelled: the caller had gone before its turn came.
        """
        return self._writer.write(work, caller)

    # Closing and forking

    def close(self) -> None:
        """Wait for what is under way, then close. Later calls raise ``Unavailable``.

        The in-memory store that a whole process shares stays open.
        """
        if self._is_process_wide:
            return
        self._closed = True
        self._writer.close()
        self._close_readers()
        _OPEN.discard(self)

    def _close_readers(self) -> None:
        with self._idle:
            self._idle.wait_for(lambda: self._reading == 0, timeout=_WAIT_FOR_READS_S)
            while self._readers:
                self._readers.pop().connection.close()

    def before_fork(self) -> None:
        """Close what a child must not inherit: SQLite's locks do not survive a fork."""
        self._writer.connection_lock.acquire()
        with self._idle:
            self._is_forking = True
        if self.dialect.shared:
            self._writer.drop_connection()
            self._close_readers()

    def after_fork_in_parent(self) -> None:
        with self._idle:
            self._is_forking = False
            self._idle.notify_all()
        self._writer.connection_lock.release()

    def after_fork_in_child(self) -> None:
        self._idle = threading.Condition()
        self._is_forking = False
        self._reading = 0
        self._cache.reset_after_fork()
        self._writer.reset_after_fork()


_OPEN: "weakref.WeakSet[Database]" = weakref.WeakSet()


def _before_fork() -> None:
    for database in list(_OPEN):
        database.before_fork()


def _after_fork_in_parent() -> None:
    for database in list(_OPEN):
        database.after_fork_in_parent()


def _after_fork_in_child() -> None:
    for database in list(_OPEN):
        database.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
