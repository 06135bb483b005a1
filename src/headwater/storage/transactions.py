"""One transaction: a connection, its dialect and a clock, handed to every storage function."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from headwater.storage.cache import Key, NodeCache
from headwater.storage.dialects import Connection, Dialect
from headwater.storage.statements import Prepared

if TYPE_CHECKING:
    from headwater.storage.types import KnownTypes


class Transaction:
    """What storage functions need of the transaction they run in. They never end it.

    A reading transaction takes its connection and begins at its first statement, so that an answer
    from the cache costs neither.
    """

    __slots__ = (
        "_begin",
        "began_at",
        "cache",
        "changed",
        "connection",
        "dialect",
        "is_unchanged",
        "known_types",
        "now_ms",
    )

    def __init__(
        self,
        dialect: Dialect,
        begin: Callable[[], Connection],
        *,
        now_ms: int,
        cache: NodeCache | None = None,
        is_unchanged: Callable[[], bool] = lambda: True,
        known_types: "KnownTypes | None" = None,
    ) -> None:
        self.dialect = dialect
        self.now_ms = now_ms
        """The time of everything this transaction writes, in milliseconds since the epoch."""
        self.cache = cache
        """Nodes to answer from; ``None`` in a transaction that writes."""
        self.is_unchanged = is_unchanged
        """Whether the cache still shows the newest state; drops it and says no if not."""
        self.known_types = known_types
        """Types read before, true for the life of this transaction; ``None`` in one that reads."""
        self.changed: set[Key] = set()
        """Nodes that this transaction has written."""
        self.began_at: int | None = None
        """``cache.generation`` when this transaction began to read; ``None`` before that."""
        self.connection: Connection | None = None
        self._begin = begin

    def rows(self, statement: Prepared, *values: Any) -> list[Any]:
        """All rows of a query, as the driver gives them."""
        sql, arguments = statement.for_driver(self.dialect, values)
        return self.dialect.rows(self.connection or self.begun(), sql, arguments)

    def run(self, statement: Prepared, *values: Any) -> int:
        """Run one statement; the number of rows it changed."""
        sql, arguments = statement.for_driver(self.dialect, values)
        return int((self.connection or self.begun()).execute(sql, arguments).rowcount)

    def run_many(self, statement: Prepared, rows: Sequence[Sequence[Any]]) -> int:
        """Run a statement once a row, in order; the number of rows changed in all."""
        if not rows:
            return 0
        sql, arguments = statement.many_for_driver(self.dialect, rows)
        return int((self.connection or self.begun()).executemany(sql, arguments).rowcount)

    def define(self, definition: sa.schema.ExecutableDDLElement) -> None:
        """Create a table or an index."""
        self.begun().execute(str(definition.compile(dialect=self.dialect.core)))

    def begun(self) -> Connection:
        if self.connection is None:
            if self.cache is not None:
                self.began_at = self.cache.generation
            self.connection = self._begin()
        return self.connection

    def new_ids(self, table: sa.Table, count: int) -> range:
        """The ids that the next ``count`` rows of ``table`` would get; insert them with these."""
        last = int(self.rows(_last_id(table))[0][0])
        return range(last + 1, last + 1 + count)


_LAST_IDS: dict[sa.Table, Prepared] = {}


def _last_id(table: sa.Table) -> Prepared:
    if table not in _LAST_IDS:
        _LAST_IDS[table] = Prepared(lambda dialect: dialect.last_id_statement(table))
    return _LAST_IDS[table]
