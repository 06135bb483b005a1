"""An open database: transactions that read side by side, and writers one at a time in groups.

SQLite has one writer, and what a commit costs is the wait for the disk. So requests that write while
another does join its transaction, each under a savepoint, and one commit acknowledges them all; one that
fails is taken back alone.
"""

import logging
import os
import random
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from headwater.errors import Aborted, Cancelled, DeadlineExceeded, HeadwaterError, Unavailable
from headwater.storage.cache import Key, NodeCache
from headwater.storage.dialects import Connection, Dialect, dialect_for, wall_clock_ms
from headwater.storage.transactions import Transaction
from headwater.storage.types import KnownTypes

T = TypeVar("T")
log = logging.getLogger(__name__)

# How long a write waits for other programs before it is ABORTED.
PATIENCE_S = 60.0
_LARGEST_GROUP = 64
DEFAULT_CACHE_BYTES = 64 * 1024 * 1024


class Caller:
    """Who waits for an answer. Work is not begun for one who has gone, and long reads stop."""

    def still_waits(self) -> bool:
        return True

    def why_not(self) -> HeadwaterError:
        return Cancelled("the caller went away")


class Deadline(Caller):
    """A caller who waits until a moment of ``time.monotonic``."""

    def __init__(self, timeout_s: float) -> None:
        self._at = time.monotonic() + timeout_s

    def still_waits(self) -> bool:
        return time.monotonic() < self._at

    def why_not(self) -> HeadwaterError:
        return DeadlineExceeded("the deadline passed before the answer was ready")


PATIENT = Caller()


class _Job:
    """A write that waits for its group."""

    __slots__ = ("caller", "error", "leads", "result", "wake", "work")

    def __init__(self, work: Callable[[Transaction], Any], caller: Caller) -> None:
        self.work = work
        self.caller = caller
        self.result: Any = None
        self.error: BaseException | None = None
        self.leads = False
        self.wake = threading.Lock()
        self.wake.acquire()


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
    ) -> None:
        self.dialect = dialect
        self._clock = clock
        self._patience_s = patience_s
        self._cache = NodeCache(cache_bytes)
        self._types = KnownTypes()
        self._closed = False

        self._readers: deque[_Reader] = deque()
        self._reading = 0
        self._idle = threading.Condition()

        self._queue: deque[_Job] = deque()
        self._queue_lock = threading.Lock()
        self._has_leader = False
        # Held while the writer's connection is in use. With a private (in-memory) database it is the
        # only connection, and readers take it too.
        self._writer_lock = threading.RLock()
        self._writer: Connection | None = None
        self._in_own_write = False
        self._seen_change = -1
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
            is_unchanged=self.is_unchanged,
        )
        try:
            return work(tx)
        except self.dialect.driver_error as error:
            raise self._explain(error, caller) from error
        finally:
            if reader is not None:
                self._give_back(reader)

    def _read_on_the_only_connection(self, work: Callable[[Transaction], T]) -> T:
        with self._writer_lock:
            connection = self._writer_connection()
            tx = Transaction(self.dialect, lambda: connection, now_ms=self._clock(), cache=self._cache)
            try:
                return work(tx)
            except self.dialect.driver_error as error:
                raise self._explain(error, PATIENT) from error

    def _borrow(self, caller: Caller) -> _Reader:
        with self._idle:
            self._reading += 1
            reader = self._readers.pop() if self._readers else None
        if reader is None:
            try:
                reader = _Reader(self.dialect)
            except BaseException:
                with self._idle:
                    self._reading -= 1
                    self._idle.notify_all()
                raise
        reader.caller = caller
        return reader

    def _give_back(self, reader: _Reader) -> None:
        reader.caller = PATIENT
        if self.dialect.in_transaction(reader.connection):
            reader.connection.execute("ROLLBACK")
        with self._idle:
            self._reading -= 1
            if self._closed:
                reader.connection.close()
            else:
                self._readers.append(reader)
            self._idle.notify_all()

    def is_unchanged(self) -> bool:
        """Whether nobody but this ``Database`` has written since the cache was last true.

        Asked of the writer's connection, because that one does not count its own commits. While our
        own write is under way nobody else can commit, so the answer is yes without asking. When the
        writer is just beginning or committing, the answer is no: read the database itself.
        """
        if self._in_own_write or not self.dialect.shared:
            return True
        if not self._writer_lock.acquire(timeout=0.0005):
            return self._in_own_write
        try:
            return self._notice_others(self._writer_connection())
        finally:
            self._writer_lock.release()

    def _notice_others(self, writer: Connection) -> bool:
        change = self.dialect.change_number(writer)
        if change == self._seen_change:
            return True
        self._seen_change = change
        self._types.clear()
        self._cache.clear()
        return False

    # Writing

    def write(self, work: Callable[[Transaction], T], caller: Caller = PATIENT) -> T:
        """Run ``work`` in a transaction of its own and return what it returns, once it is on disk.

        Raises:
            HeadwaterError: from ``work``; nothing of it is stored.
            Aborted: other programs kept the database for a minute.
            DeadlineExceeded, Cancelled: the caller had gone before its turn came.
        """
        job = _Job(work, caller)
        with self._queue_lock:
            if self._closed:
                raise Unavailable("the store is closed")
            self._queue.append(job)
            leads = not self._has_leader
            self._has_leader = True
        if not leads:
            job.wake.acquire()
            leads = job.leads
        if leads:
            try:
                with self._writer_lock:
                    self._write_group()
            finally:
                self._pass_on_the_lead(job)
        if job.error is not None:
            raise job.error
        result: T = job.result
        return result

    def _pass_on_the_lead(self, leader: _Job) -> None:
        with self._queue_lock:
            if self._queue and self._queue[0] is not leader:
                successor = self._queue[0]
                successor.leads = True
                successor.wake.release()
            else:
                self._has_leader = False

    def _write_group(self) -> None:
        done: list[_Job] = []
        changed: set[Key] = set()
        failure: BaseException | None = None
        try:
            connection = self._begin_write()
        except BaseException as error:
            self._finish(self._taken_from_queue(_LARGEST_GROUP), self._as_ours(error))
            return
        try:
            while len(done) < _LARGEST_GROUP and (jobs := self._taken_from_queue(1)):
                done += jobs
                self._run_job(jobs[0], connection, changed)
        except BaseException as error:
            failure = error
        self._in_own_write = False
        if failure is None and self.dialect.in_transaction(connection):
            self._cache.commit_begins()
            try:
                connection.execute("COMMIT")
            except BaseException as error:
                failure = error
            finally:
                self._cache.commit_ended(changed)
        if failure is not None:
            self._types.clear()
            if self.dialect.in_transaction(connection):
                connection.execute("ROLLBACK")
        self._finish(done, None if failure is None else self._as_ours(failure))

    def _run_job(self, job: _Job, connection: Connection, changed: set[Key]) -> None:
        """Run one job under a savepoint. Raises only what spoils the whole group."""
        if not job.caller.still_waits():
            job.error = job.caller.why_not()
            return
        tx = Transaction(self.dialect, lambda: connection, now_ms=self._clock(), known_types=self._types)
        connection.execute("SAVEPOINT job")
        try:
            job.result = job.work(tx)
        except Exception as error:
            self._types.clear()
            if not self.dialect.in_transaction(connection):
                raise  # A full disk, say: the database has taken the whole group back.
            connection.execute("ROLLBACK TO job")
            connection.execute("RELEASE job")
            job.error = self._as_ours(error)
            return
        connection.execute("RELEASE job")
        changed |= tx.changed

    def _begin_write(self) -> Connection:
        connection = self._writer_connection()
        deadline = time.monotonic() + self._patience_s
        while not self.dialect.try_begin_write(connection):
            if time.monotonic() > deadline:
                raise Aborted("other programs kept the database busy for too long; try again")
            time.sleep(random.uniform(0.0005, 0.003))
        if self.dialect.shared:
            self._notice_others(connection)
        self._in_own_write = True
        return connection

    def _writer_connection(self) -> Connection:
        if self._writer is None:
            if self._closed:
                raise Unavailable("the store is closed")
            self._writer = self.dialect.connect_writer()
            self._seen_change = -1
        return self._writer

    def _taken_from_queue(self, most: int) -> list[_Job]:
        with self._queue_lock:
            return [self._queue.popleft() for _ in range(min(most, len(self._queue)))]

    def _finish(self, jobs: list[_Job], failure: BaseException | None) -> None:
        for job in jobs:
            if failure is not None:
                job.error = job.error or failure
            job.wake.release()

    def _as_ours(self, error: BaseException) -> BaseException:
        if isinstance(error, self.dialect.driver_error):
            return self._explain(error, PATIENT)
        return error

    def _explain(self, error: Exception, caller: Caller) -> HeadwaterError:
        if not caller.still_waits():
            return caller.why_not()
        explained = self.dialect.translate(error)
        log.error("database error", extra={"error": str(error), "answered": type(explained).__name__})
        explained.__cause__ = error
        return explained

    # Closing

    def close(self) -> None:
        """Wait for what is under way, then close. Later calls raise ``Unavailable``."""
        with self._queue_lock:
            self._closed = True
        self._drop_connections()
        _OPEN.discard(self)

    def _drop_connections(self) -> None:
        with self._writer_lock:
            if self._writer is not None:
                self._writer.close()
                self._writer = None
        with self._idle:
            self._idle.wait_for(lambda: self._reading == 0, timeout=10)
            while self._readers:
                self._readers.pop().connection.close()

    def before_fork(self) -> None:
        """Close what a child must not inherit: SQLite's locks do not survive a fork."""
        self._writer_lock.acquire()
        if self.dialect.shared:
            self._drop_connections()
        self._cache.clear()

    def after_fork_in_parent(self) -> None:
        self._writer_lock.release()

    def after_fork_in_child(self) -> None:
        self._writer_lock = threading.RLock()
        self._queue_lock = threading.Lock()
        self._idle = threading.Condition()
        self._queue.clear()
        self._has_leader = False
        self._in_own_write = False


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


def dialect_and_database(database_url: str, *, create: bool, **options: Any) -> Database:
    """The database behind a URL, its file prepared, its tables not looked at yet."""
    dialect = dialect_for(database_url, create=create)
    dialect.prepare_file()
    return Database(dialect, **options)
