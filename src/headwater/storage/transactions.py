"""One transaction: a connection, its dialect and a clock, handed to every storage function."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from headwater.storage.cache import Key, NodeCache, VersionedNodes
from headwater.storage.callers import PATIENT, Caller
from headwater.storage.dialects import Dialect
from headwater.storage.dialects.sqlite import SqliteDialect
from headwater.storage.statements import Insert, Prepared

if TYPE_CHECKING:
    from headwater.storage.types import KnownTypes

Question = tuple[Any, ...]
"""A ``Prepared`` query, followed by the values of its parameters."""


class Transaction(ABC):
    """What storage functions need of the transaction they run in. They never end it.

    A reading transaction takes its connection and begins at its first statement, so that an answer
    from the cache costs neither. ``DirectTransaction`` is the one for a file; ``storage.batches`` has the
    one for servers, which saves round trips.
    """

    __slots__ = (
        "_begin",
        "began_at",
        "cache",
        "caller",
        "changed",
        "connection",
        "dialect",
        "has_written",
        "is_careful",
        "is_unchanged",
        "known_types",
        "now_ms",
        "versioned",
    )

    def __init__(
        self,
        dialect: Dialect,
        begin: Callable[[], Any],
        *,
        now_ms: int,
        cache: NodeCache | None = None,
        is_unchanged: Callable[[], bool] = lambda: True,
        known_types: "KnownTypes | None" = None,
        is_careful: bool = True,
    ) -> None:
        self.dialect = dialect
        self.now_ms = now_ms
        """The time of everything this transaction writes, in milliseconds since the epoch."""
        self.cache = cache
        """Nodes to answer from; ``None`` where there is no cache, and in a transaction that writes."""
        self.is_unchanged = is_unchanged
        """Whether the cache still shows the newest state; drops it and says no if not."""
        self.known_types = known_types
        """Types read before, true for the life of this transaction; ``None`` in one that reads."""
        self.caller: Caller = PATIENT
        self.versioned: VersionedNodes | None = None
        """Nodes to answer from where their rows have the same versions."""
        self.changed: set[Key] = set()
        """Nodes that this transaction has written."""
        self.began_at: int | None = None
        """``cache.generation`` when this transaction began to read; ``None`` before that."""
        self.connection: Any = None
        self.has_written = False
        self.is_careful = is_careful
        """Whether every statement is run, and looked at, when it is asked for."""
        self._begin = begin

    def check_caller(self) -> None:
        """Stop if nobody waits for the answer any more; for work that is long without asking anything."""
        if not self.caller.still_waits():
            raise self.caller.why_not()

    # Asking

    @abstractmethod
    def rows(self, statement: Prepared, *values: Any) -> list[Any]:
        """All rows of a query, as the driver gives them."""

    def rows_of_each(self, questions: Sequence[Question]) -> list[list[Any]]:
        """The rows of several queries, which do not depend on each other."""
        return [self.rows(*question) for question in questions]

    @abstractmethod
    def ask_ahead(self, questions: Sequence[Question], *, are_last: bool = False) -> None:
        """Name queries that will be asked with ``rows`` before anything is written that they see.

        ``are_last``: nothing will be asked after them, so the transaction may end with them. If something
        is asked all the same, it sees a newer state.
        """

    # Writing

    @abstractmethod
    def run(self, statement: Prepared, *values: Any) -> None:
        """Run one statement."""

    @abstractmethod
    def run_many(self, statement: Prepared, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement once a row, in order."""

    @abstractmethod
    def insert(self, into: Insert, rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows of which no unique key forbids any."""

    @abstractmethod
    def insert_new(self, into: Insert, rows: Sequence[Sequence[Any]]) -> bool:
        """Insert rows; ``False`` if a unique key forbids one of them, and then the others are in."""

    @abstractmethod
    def insert_missing(self, into: Insert, rows: Sequence[Sequence[Any]]) -> None:
        """Insert those of the rows that no unique key forbids."""

    @abstractmethod
    def new_ids(self, table: sa.Table, count: int) -> Sequence[int]:
        """Ids for the next ``count`` rows of ``table``, ascending; insert them with these."""

    @abstractmethod
    def define(self, definition: sa.schema.ExecutableDDLElement) -> None:
        """Create a table or an index."""

    # What only matters where others write at the same time

    @abstractmethod
    def reserve_ids(self, counts: Mapping[sa.Table, int]) -> None:
        """Say how many ids of each table ``new_ids`` will be asked for, if that is known early."""

    @abstractmethod
    def lock_store(self) -> None:
        """Until this transaction ends no other changes types or parents of contexts.

        What was known of types is read again.
        """

    def begun(self) -> Any:
        """The connection, with a transaction on it."""
        if self.connection is None:
            if self.cache is not None:
                self.began_at = self.cache.generation
            self.connection = self._begin()
        return self.connection


class DirectTransaction(Transaction):
    """Runs each statement at once, as is best where asking costs nothing, and is alone in writing."""

    __slots__ = ()
    dialect: SqliteDialect

    def rows(self, statement: Prepared, *values: Any) -> list[Any]:
        call = statement.call(self.dialect, values)
        return self.dialect.rows(self.connection or self.begun(), call.text, call.arguments)

    def run(self, statement: Prepared, *values: Any) -> None:
        self.has_written = True
        call = statement.call(self.dialect, values)
        (self.connection or self.begun()).execute(call.text, call.arguments)

    def run_many(self, statement: Prepared, rows: Sequence[Sequence[Any]]) -> None:
        if rows:
            self.has_written = True
            text, arguments = statement.many(self.dialect, rows)
            (self.connection or self.begun()).executemany(text, arguments)

    def insert(self, into: Insert, rows: Sequence[Sequence[Any]]) -> None:
        self._insert(into, rows, ignores=False)

    def insert_new(self, into: Insert, rows: Sequence[Sequence[Any]]) -> bool:
        return self._insert(into, rows, ignores=True) == len(rows)

    def insert_missing(self, into: Insert, rows: Sequence[Sequence[Any]]) -> None:
        self._insert(into, rows, ignores=True)

    def _insert(self, into: Insert, rows: Sequence[Sequence[Any]], *, ignores: bool) -> int:
        if not rows:
            return 0
        self.has_written = True
        text = into.text(self.dialect, ignores=ignores)
        return int((self.connection or self.begun()).executemany(text, rows).rowcount)

    def new_ids(self, table: sa.Table, count: int) -> Sequence[int]:
        last = int(self.rows(_last_id(table))[0][0])
        return range(last + 1, last + 1 + count)

    def ask_ahead(self, questions: Sequence[Question], *, are_last: bool = False) -> None:
        pass

    def reserve_ids(self, counts: Mapping[sa.Table, int]) -> None:
        pass

    def lock_store(self) -> None:
        pass

    def define(self, definition: sa.schema.ExecutableDDLElement) -> None:
        self.begun().execute(str(definition.compile(dialect=self.dialect.core)))


@cache
def _last_id(table: sa.Table) -> Prepared:
    return Prepared(SqliteDialect.last_id_statement(table))
