"""A database behind a server: pooled connections, parallel transactions, and nothing given up lightly.

A request is repeated here, not by its caller, when it lost against another transaction or lost its
connection. What a lost connection leaves open, whether the commit arrived, needs no guess: a repeated
request finds the row that its first attempt left, or writes it now (``storage.requests``).
"""

import itertools
import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from headwater.errors import Aborted, AlreadyExists, Cancelled, DeadlineExceeded, HeadwaterError, Unavailable
from headwater.storage.batches import BatchedTransaction
from headwater.storage.cache import DEFAULT_CACHE_BYTES, VersionedNodes
from headwater.storage.callers import PATIENT, Caller
from headwater.storage.connections import Connections, Lent
from headwater.storage.database import Database
from headwater.storage.dialects import ServerDialect, explained, wall_clock_ms
from headwater.storage.kinds import ARTIFACT
from headwater.storage.requests import WrittenMeanwhile
from headwater.storage.transactions import Transaction
from headwater.storage.types import KnownTypes

T = TypeVar("T")
log = logging.getLogger(__name__)

DEFAULT_CONNECTIONS = 8
_LONGEST_PAUSE_S = 1.0
# How long a request is repeated that loses against others, and one that finds no server.
_CONFLICT_PATIENCE_S = 60.0
_CONNECTION_PATIENCE_S = 10.0
# Of the names in a request one after the other may have been taken meanwhile.
_LOOKS_AT_WHAT_IS_TAKEN = 10


class _Again(Exception):
    """An attempt came to nothing through no fault of its own."""

    def __init__(self, answer: HeadwaterError, patience_s: float) -> None:
        self.answer = answer
        """What the caller is told if there is no further attempt."""
        self.patience_s = patience_s


class PooledDatabase(Database):
    """A PostgreSQL or MySQL database. No two calls share a connection at the same time."""

    dialect: ServerDialect

    def __init__(
        self,
        dialect: ServerDialect,
        *,
        connections: int = DEFAULT_CONNECTIONS,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
        clock: Callable[[], int] = wall_clock_ms,
        patience_s: float = _CONFLICT_PATIENCE_S,
        connection_patience_s: float = _CONNECTION_PATIENCE_S,
    ) -> None:
        self._clock = clock
        self._patience_s = patience_s
        self._connection_patience_s = connection_patience_s
        self._types = KnownTypes()
        self._types_lock = threading.Lock()
        has_versions = dialect.row_version(ARTIFACT.table) is not None
        self._nodes = VersionedNodes(cache_bytes) if has_versions else None
        self._connections = Connections(dialect, limit=connections, patience_s=patience_s)
        super().__init__(dialect)

    def read(self, work: Callable[[Transaction], T], caller: Caller = PATIENT) -> T:
        return self._repeated(lambda _: self._read_once(work, caller), caller)

    def _read_once(self, work: Callable[[Transaction], T], caller: Caller) -> T:
        with _Connection(self, caller) as connection:
            remaining_s = caller.remaining_s()
            tx = BatchedTransaction(
                self.dialect,
                connection.borrow,
                self.dialect.begin_read(remaining_s),
                whole=self.dialect.around_whole_read(remaining_s),
                now_ms=self._clock(),
                is_careful=False,
            )
            tx.caller, tx.versioned = caller, self._nodes
            try:
                result = work(tx)
            except self.dialect.driver_error as error:
                raise self._understood(error, connection, caller) from error
            connection.is_in_transaction = tx.is_open
            return result

    def write(self, work: Callable[[Transaction], T], caller: Caller = PATIENT) -> T:
        def attempt(is_first: bool) -> T:
            if is_first:
                try:
                    return self._write_once(work, caller, is_careful=False)
                except (Unavailable, DeadlineExceeded, Cancelled):
                    raise
                except (HeadwaterError, self.dialect.driver_error, WrittenMeanwhile):
                    # Something is wrong or in the way; what it is shows when it is done step by step.
                    pass
            return self._write_carefully(work, caller)

        return self._repeated(attempt, caller)

    def _write_carefully(self, work: Callable[[Transaction], T], caller: Caller) -> T:
        refused = ""
        for looks_left in reversed(range(_LOOKS_AT_WHAT_IS_TAKEN)):
            try:
                return self._write_once(work, caller, is_careful=True)
            except WrittenMeanwhile:
                answer = Aborted("the same request is being carried out by another server; try again")
                raise _Again(answer, self._patience_s) from None
            except AlreadyExists as error:
                # Another writer may have put it after this attempt had looked for it, to use it if it is
                # there. An attempt that begins now finds it.
                if str(error) == refused or not looks_left:
                    raise
                refused = str(error)
        raise AssertionError("the last look decides")

    def _write_once(self, work: Callable[[Transaction], T], caller: Caller, *, is_careful: bool) -> T:
        with _Connection(self, caller) as connection:
            with self._types_lock:
                # A careful transaction believes nothing that was read before it began.
                types = KnownTypes() if is_careful else self._types.copy()
            tx = BatchedTransaction(
                self.dialect,
                connection.borrow,
                self.dialect.begin_write(caller.remaining_s()),
                now_ms=self._clock(),
                known_types=types,
                is_careful=is_careful,
            )
            try:
                result = work(tx)
                tx.commit()
            except self.dialect.driver_error as error:
                if not is_careful and not self.dialect.is_lost(error, connection.connection):
                    raise
                raise self._understood(error, connection, caller) from error
            connection.is_in_transaction = False
            with self._types_lock:
                self._types.learn(types)
            return result

    def _understood(
        self, error: Exception, connection: "_Connection", caller: Caller
    ) -> HeadwaterError | _Again:
        """What a driver's error means for this attempt."""
        if self.dialect.is_lost(error, connection.connection):
            connection.is_lost = True
            self._connections.drop_idle()
            with self._types_lock:
                # Another server may answer next, which has not everything that this one had.
                self._types = KnownTypes()
            if self._nodes is not None:
                self._nodes.clear()
            log.warning("database connection lost", extra={"error": self.dialect.described(error)})
            return _Again(
                Unavailable("the connection to the database was lost; try again"), self._connection_patience_s
            )
        if self.dialect.is_stopped(error):
            if not caller.still_waits():
                return caller.why_not()
            answer = Unavailable(
                "the database stopped a statement, by a time limit of its own or a person; try again"
            )
            return _Again(answer, self._connection_patience_s)
        if self.dialect.is_conflict(error):
            log.info("transaction repeated", extra={"error": self.dialect.described(error)})
            return _Again(
                Aborted("other writers kept the same rows busy for too long; try again"), self._patience_s
            )
        return explained(self.dialect, error)

    def _repeated(self, attempt: Callable[[bool], T], caller: Caller) -> T:
        """What ``attempt`` returns. It is told whether it is the first."""
        began = time.monotonic()
        for number in itertools.count():
            try:
                return attempt(number == 0)
            except (_Again, Unavailable) as error:
                self._raise_if_over(error, began, caller)
            time.sleep(random.uniform(0, min(_LONGEST_PAUSE_S, 0.01 * 2**number)))
        raise AssertionError("it is repeated until it is over")

    def _raise_if_over(self, error: "_Again | Unavailable", began: float, caller: Caller) -> None:
        """Raise what the caller is told, unless there is time for another attempt."""
        if not caller.still_waits():
            raise caller.why_not() from error
        if isinstance(error, _Again):
            answer, patience_s = error.answer, error.patience_s
        else:
            answer, patience_s = error, self._connection_patience_s
            # Who comes when the server is away for long does not wait as long as the first did.
            began = min(began, self._connections.away_since or began)
        if self._closed or time.monotonic() - began > patience_s:
            raise answer from error.__cause__

    def close(self) -> None:
        self._closed = True
        self._wait_until_unused()
        self._connections.close()
        self._forget()

    def _close_connections(self) -> None:
        self._wait_until_unused()
        self._connections.drop_idle()

    def after_fork_in_child(self) -> None:
        super().after_fork_in_child()
        self._types_lock = threading.Lock()
        if self._nodes is not None:
            self._nodes.reset_after_fork()
        self._connections.reset_after_fork()


class _Connection:
    """A connection while one attempt has it; borrowed when it is first asked for."""

    def __init__(self, database: PooledDatabase, caller: Caller) -> None:
        if not caller.still_waits():
            raise caller.why_not()
        self._database = database
        self._caller = caller
        self._lent: Lent | None = None
        self.connection: Any = None
        self.is_in_transaction = True
        self.is_lost = False

    def borrow(self) -> Any:
        if self._database._closed:
            raise Unavailable("the store is closed")
        self._database._one_more()
        try:
            self._lent = self._database._connections.borrow(self._caller)
        except BaseException:
            self._database._one_less()
            raise
        self.connection = self._lent.connection
        return self.connection

    def __enter__(self) -> "_Connection":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._lent is None:
            return
        dialect = self._database.dialect
        is_clean = False
        try:
            # Interrupted anywhere, nobody knows what it is in the middle of.
            if not self.is_lost and (kind is None or issubclass(kind, Exception)):
                if self.is_in_transaction:
                    dialect.run(self.connection, [dialect.rollback])
                is_clean = True
        except dialect.driver_error:
            pass  # It is closed, then, and what was open in it is taken back.
        finally:
            try:
                self._database._connections.give_back(self._lent, is_clean=is_clean)
            finally:
                self._database._one_less()
