"""The one writer of a database: a thread that runs what is queued, in groups that share a commit.

SQLite has one writer, and what a commit costs is the wait for the disk. So requests that queue while a
transaction is open join it, each under a savepoint, and one commit acknowledges them all; one that fails is
taken back alone. The thread is the writer's own, because a thread of a caller can be interrupted anywhere
(Ctrl-C, a signal handler), and then nobody would be left to finish the group.
"""

import logging
import random
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from headwater.errors import Aborted, HeadwaterError, Internal, Unavailable
from headwater.storage.cache import Key, NodeCache
from headwater.storage.callers import Caller
from headwater.storage.dialects import SqliteDialect, explained
from headwater.storage.transactions import DirectTransaction, Transaction
from headwater.storage.types import KnownTypes

T = TypeVar("T")
log = logging.getLogger(__name__)

_LARGEST_GROUP = 64
# How often one who waits for a write looks whether its own caller still does.
_LOOK_S = 0.05


class _Job:
    """A write that waits for its group. ``done`` is released when ``result`` or ``error`` is set."""

    __slots__ = ("caller", "done", "error", "result", "work")

    def __init__(self, work: Callable[[Transaction], Any], caller: Caller) -> None:
        self.work = work
        self.caller = caller
        self.result: Any = None
        self.error: BaseException | None = None
        self.done = threading.Lock()
        self.done.acquire()


class Writer:
    """Runs writes one after the other. Safe for threads; see ``Database`` for fork."""

    def __init__(
        self, dialect: SqliteDialect, *, cache: NodeCache, clock: Callable[[], int], patience_s: float
    ) -> None:
        self._dialect = dialect
        self._cache = cache
        self._clock = clock
        self._patience_s = patience_s
        self._types = KnownTypes()
        self._closing = False
        self._connection: sqlite3.Connection | None = None
        self._seen_change = -1
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        """Begin anew without the thread, the queue and the locks, which belong to the other process."""
        self.connection_lock = threading.RLock()
        """Held while the connection is in use. A private (in-memory) database is read under it too."""
        self._queue: deque[_Job] = deque()
        self._queued = threading.Condition()
        self._thread: threading.Thread | None = None
        self._in_own_write = False

    # For callers

    def write(self, work: Callable[[Transaction], T], caller: Caller) -> T:
        """Run ``work`` in a transaction and return what it returns, once that is on disk."""
        job = _Job(work, caller)
        with self._queued:
            if self._closing:
                raise Unavailable("the store is closed")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="headwater-writer", daemon=True)
                self._thread.start()
            self._queue.append(job)
            self._queued.notify()
        try:
            while not job.done.acquire(timeout=_LOOK_S):
                if not caller.still_waits() and self._withdraw(job):
                    raise caller.why_not()
        except BaseException:
            self._withdraw(job)
            raise
        if job.error is not None:
            raise job.error
        result: T = job.result
        return result

    def _withdraw(self, job: _Job) -> bool:
        """Take a job back that was not begun; whether it was."""
        with self._queued:
            try:
                self._queue.remove(job)
            except ValueError:
                return False
            return True

    def is_unchanged(self) -> bool:
        """Whether nobody else has written since the cache was last true; drops the cache if so.

        Asked of the writer's connection, because that one does not count its own commits. While our own
        write is under way nobody else can commit, so the answer is yes without asking. When the
        connection is busy otherwise, the answer is no: read the database itself.
        """
        if self._in_own_write or not self._dialect.shared:
            return True
        if not self.connection_lock.acquire(timeout=0.0005):
            return self._in_own_write
        try:
            return self._notice_others(self.connection())
        finally:
            self.connection_lock.release()

    def connection(self) -> sqlite3.Connection:
        """The connection, opened if it is not; for those who hold ``connection_lock``."""
        if self._connection is None:
            if self._closing:
                raise Unavailable("the store is closed")
            self._connection = self._dialect.connect_writer()
            self._seen_change = -1
        return self._connection

    def drop_connection(self) -> None:
        """Close the connection between two groups. The next one opens it again."""
        with self.connection_lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def close(self) -> None:
        """Write what is queued, then close."""
        with self._queued:
            self._closing = True
            thread = self._thread
            self._queued.notify()
        if thread is not None:
            thread.join()
        self.drop_connection()

    # In the writer's thread

    def _run(self) -> None:
        while True:
            with self._queued:
                while not self._queue:
                    if self._closing:
                        return
                    self._queued.wait()
            group: list[_Job] = []
            failure: BaseException | None = None
            try:
                self._write_group(group)
            except BaseException as error:  # Whatever it is, nobody must wait in vain.
                failure = error
                self._types.clear()
                self._take_back()
            for job in group:
                if failure is not None and job.error is None:
                    job.error = self._explain(failure)
                job.done.release()

    def _write_group(self, group: list[_Job]) -> None:
        """Run and commit what is queued. What it raises is the failure of every job in ``group``."""
        if not self._begin(group):
            return
        changed: set[Key] = set()
        try:
            connection = self.connection()
            while len(group) < _LARGEST_GROUP and (job := self._next_job()) is not None:
                group.append(job)
                self._run_job(job, connection, changed)
            self._in_own_write = False
            self._cache.commit_begins()
            try:
                connection.execute("COMMIT")
            finally:
                self._cache.commit_ended(changed)
        finally:
            self._in_own_write = False
            self.connection_lock.release()

    def _begin(self, group: list[_Job]) -> bool:
        """Begin a transaction, with ``connection_lock`` held from then on; ``False``: nobody waits."""
        deadline = time.monotonic() + self._patience_s
        while True:
            self.connection_lock.acquire()
            try:
                connection = self.connection()
                if self._dialect.try_begin_write(connection):
                    if self._dialect.shared:
                        self._notice_others(connection)
                    self._in_own_write = True
                    return True
            except BaseException:
                group += self._all_jobs()
                self.connection_lock.release()
                raise
            self.connection_lock.release()
            if time.monotonic() > deadline or self._closing:
                group += self._all_jobs()
                raise Aborted("other programs kept the database busy for too long; try again")
            with self._queued:
                if not self._queue:
                    return False
            time.sleep(random.uniform(0.0005, 0.003))

    def _next_job(self) -> _Job | None:
        with self._queued:
            return self._queue.popleft() if self._queue else None

    def _all_jobs(self) -> list[_Job]:
        with self._queued:
            jobs = list(self._queue)
            self._queue.clear()
            return jobs

    def _run_job(self, job: _Job, connection: sqlite3.Connection, changed: set[Key]) -> None:
        """Run one job under a savepoint. Raises only what spoils the whole group."""
        if not job.caller.still_waits():
            job.error = job.caller.why_not()
            return
        tx = DirectTransaction(
            self._dialect, lambda: connection, now_ms=self._clock(), known_types=self._types
        )
        connection.execute("SAVEPOINT job")
        try:
            job.result = job.work(tx)
        except BaseException as error:
            self._types.clear()
            if not self._dialect.in_transaction(connection):
                raise  # A full disk, say: the database has taken the whole group back.
            connection.execute("ROLLBACK TO job")
            connection.execute("RELEASE job")
            job.error = self._explain(error)
            return
        connection.execute("RELEASE job")
        changed |= tx.changed

    def _take_back(self) -> None:
        """Leave no transaction open after a failure, if need be by giving up the connection."""
        with self.connection_lock:
            if self._connection is None:
                return
            try:
                if self._dialect.in_transaction(self._connection):
                    self._connection.execute("ROLLBACK")
            except self._dialect.driver_error:
                if self._dialect.shared:
                    self.drop_connection()

    def _notice_others(self, connection: sqlite3.Connection) -> bool:
        change = self._dialect.change_number(connection)
        if change == self._seen_change:
            return True
        self._seen_change = change
        self._types.clear()
        self._cache.clear()
        return False

    def _explain(self, error: BaseException) -> BaseException:
        """What a caller is told of a failure."""
        if isinstance(error, self._dialect.driver_error):
            return explained(self._dialect, error)
        if isinstance(error, HeadwaterError):
            # Each caller raises its own, with its own traceback.
            return type(error)(*error.args)
        if isinstance(error, Exception):
            return error
        return Internal("the write was interrupted; nothing of it is stored")
