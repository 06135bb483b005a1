"""A database in a file or in memory: transactions that read side by side, and the one that writes."""

from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from headwater.errors import Cancelled, Unavailable
from headwater.storage.cache import DEFAULT_CACHE_BYTES, NodeCache
from headwater.storage.callers import PATIENT, Caller
from headwater.storage.database import Database
from headwater.storage.dialects import SqliteDialect, explained, wall_clock_ms
from headwater.storage.transactions import DirectTransaction, Transaction
from headwater.storage.writer import Writer

T = TypeVar("T")

# How long a write waits for other programs before it is ABORTED.
PATIENCE_S = 60.0


class _Reader:
    """A connection for reading, and whom it works for."""

    __slots__ = ("caller", "connection")

    def __init__(self, dialect: SqliteDialect) -> None:
        self.caller: Caller = PATIENT
        self.connection = dialect.connect(lambda: not self.caller.still_waits())


class FileDatabase(Database):
    """A SQLite database. Across ``fork`` connections are closed before and opened again on either side."""

    dialect: SqliteDialect

    def __init__(
        self,
        dialect: SqliteDialect,
        *,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
        clock: Callable[[], int] = wall_clock_ms,
        patience_s: float = PATIENCE_S,
        is_process_wide: bool = False,
    ) -> None:
        self._clock = clock
        self._is_process_wide = is_process_wide
        self._cache = NodeCache(cache_bytes)
        self._writer = Writer(dialect, cache=self._cache, clock=clock, patience_s=patience_s)
        self._readers: deque[_Reader] = deque()
        super().__init__(dialect)

    # Reading

    def read(self, work: Callable[[Transaction], T], caller: Caller = PATIENT) -> T:
        if self._closed:
            raise Unavailable("the store is closed")
        if not self.dialect.shared:
            return self._read_on_the_only_connection(work, caller)
        reader: _Reader | None = None

        def begin() -> Any:
            nonlocal reader
            reader = self._borrow(caller)
            self.dialect.begin_read(reader.connection)
            return reader.connection

        tx = DirectTransaction(
            self.dialect,
            begin,
            now_ms=self._clock(),
            cache=self._cache,
            is_unchanged=self._writer.is_unchanged,
        )
        tx.caller = caller
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

    def _read_on_the_only_connection(self, work: Callable[[Transaction], T], caller: Caller) -> T:
        with self._writer.connection_lock:
            connection = self._writer.connection()
            tx = DirectTransaction(self.dialect, lambda: connection, now_ms=self._clock(), cache=self._cache)
            tx.caller = caller
            try:
                return work(tx)
            except self.dialect.driver_error as error:
                raise explained(self.dialect, error) from error

    def _borrow(self, caller: Caller) -> _Reader:
        self._one_more()
        try:
            try:
                reader = self._readers.pop()
            except IndexError:
                reader = _Reader(self.dialect)
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

    # Writing

    def write(self, work: Callable[[Transaction], T], caller: Caller = PATIENT) -> T:
        return self._writer.write(work, caller)

    # Closing and forking

    def close(self) -> None:
        """As every ``close``; but the in-memory store that a whole process shares stays open."""
        if self._is_process_wide:
            return
        self._closed = True
        self._writer.close()
        self._close_readers()
        self._forget()

    def _close_readers(self) -> None:
        self._wait_until_unused()
        while self._readers:
            self._readers.pop().connection.close()

    def before_fork(self) -> None:
        # SQLite's locks do not survive a fork.
        self._writer.connection_lock.acquire()
        super().before_fork()

    def _close_connections(self) -> None:
        if self.dialect.shared:
            self._writer.drop_connection()
            self._close_readers()

    def after_fork_in_parent(self) -> None:
        super().after_fork_in_parent()
        self._writer.connection_lock.release()

    def after_fork_in_child(self) -> None:
        super().after_fork_in_child()
        self._cache.reset_after_fork()
        self._writer.reset_after_fork()
