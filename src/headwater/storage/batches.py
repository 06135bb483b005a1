"""A transaction with a server, which saves round trips: what need not be answered at once is sent together.

Writes wait until a query has to be answered or the transaction commits, and then all go out with it. So
nothing is known of a write when it is asked for: the transaction guesses that it will succeed. A guess
that was wrong shows before the commit, and the same work is then done again carefully, each statement
at its turn; the careful transaction decides what the caller is told (``PooledDatabase.write``).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from headwater.storage import schema
from headwater.storage.dialects import Call, Outcome, ServerDialect
from headwater.storage.statements import Insert, Prepared
from headwater.storage.transactions import Question, Transaction

if TYPE_CHECKING:
    from headwater.storage.types import KnownTypes

_STORE_LOCK = Prepared(sa.select(schema.env_table.c.schema_version).with_for_update())


class BatchedTransaction(Transaction):
    """Statements wait in a queue; ``rows`` and ``commit`` send it."""

    __slots__ = ("_ahead", "_beginning", "_ends", "_ids", "_is_begun", "_queue", "_whole")
    dialect: ServerDialect

    def __init__(
        self,
        dialect: ServerDialect,
        connect: Callable[[], Any],
        beginning: Sequence[Call],
        *,
        now_ms: int,
        whole: tuple[Sequence[Call], Sequence[Call]] = ((), ()),
        known_types: "KnownTypes | None" = None,
        is_careful: bool = True,
    ) -> None:
        super().__init__(dialect, connect, now_ms=now_ms, known_types=known_types, is_careful=is_careful)
        self._beginning = beginning
        self._whole = whole
        self._is_begun = False
        self._ends = False
        self._queue: list[tuple[Sequence[Call], Callable[[Sequence[Outcome]], None] | None]] = []
        self._ahead: dict[Question, list[Any] | None] = {}
        """Rows of queries that were asked ahead; ``None`` while they are in the queue."""
        self._ids: dict[sa.Table, list[int]] = {}

    # Asking

    def rows(self, statement: Prepared, *values: Any) -> list[Any]:
        return self.rows_of_each([(statement, *values)])[0]

    def rows_of_each(self, questions: Sequence[Question]) -> list[list[Any]]:
        answers = [self._ahead.get(question) for question in questions]
        for question, answer in zip(questions, answers, strict=True):
            if answer is None and question not in self._ahead:
                self._ask(question)
        if any(answer is None for answer in answers):
            self._send()
        found = [self._ahead[question] or [] for question in questions]
        for question in questions:
            self._ahead.pop(question, None)
        return found

    def ask_ahead(self, questions: Sequence[Question], *, are_last: bool = False) -> None:
        if not self.is_careful:
            self._ends = are_last
            for question in questions:
                if question not in self._ahead:
                    self._ask(question)

    def _ask(self, question: Question) -> None:
        self._ahead[question] = None
        statement, *values = question

        def keep(outcomes: Sequence[Outcome]) -> None:
            self._ahead[question] = outcomes[0].rows

        self._queue.append(([statement.call(self.dialect, values)], keep))

    # Writing

    def run(self, statement: Prepared, *values: Any) -> None:
        self._write([statement.call(self.dialect, values)])

    def run_many(self, statement: Prepared, rows: Sequence[Sequence[Any]]) -> None:
        if rows:
            text, arguments = statement.many(self.dialect, rows)
            self._write([Call(text, row) for row in arguments])

    def insert(self, into: Insert, rows: Sequence[Sequence[Any]]) -> None:
        if rows:
            self._write(into.calls(self.dialect, rows, ignores=False))

    def insert_new(self, into: Insert, rows: Sequence[Sequence[Any]]) -> bool:
        if not rows:
            return True
        if not self.is_careful:
            self.insert(into, rows)
            return True
        self.has_written = True
        inserted = 0

        def count(outcomes: Sequence[Outcome]) -> None:
            nonlocal inserted
            inserted = sum(outcome.changed for outcome in outcomes)

        self._queue.append((into.calls(self.dialect, rows, ignores=True), count))
        self._send()
        return inserted == len(rows)

    def insert_missing(self, into: Insert, rows: Sequence[Sequence[Any]]) -> None:
        if rows:
            self._write(into.calls(self.dialect, rows, ignores=True))

    def _write(self, calls: Sequence[Call]) -> None:
        self.has_written = True
        self._run_in_turn(calls)

    def _run_in_turn(self, calls: Sequence[Call]) -> None:
        self._queue.append((calls, None))
        if self.is_careful:
            self._send()

    def new_ids(self, table: sa.Table, count: int) -> Sequence[int]:
        if table in self._ids and not self._ids[table]:
            self._send()
        held = self._ids.get(table, [])
        if len(held) < count:
            self._reserve(table, count)
            self._send()
            held = self._ids[table]
        taken, self._ids[table] = held[:count], held[count:]
        if not self._ids[table]:
            del self._ids[table]
        return taken

    def reserve_ids(self, counts: Mapping[sa.Table, int]) -> None:
        if not self.is_careful:
            for table, count in counts.items():
                if count and table not in self._ids:
                    self._reserve(table, count)

    def _reserve(self, table: sa.Table, count: int) -> None:
        self._ids[table] = []

        def keep(outcomes: Sequence[Outcome]) -> None:
            self._ids[table] = self.dialect.reserved(outcomes, count)

        self._queue.append((self.dialect.reservation(table, count), keep))

    def lock_store(self) -> None:
        self._run_in_turn([_STORE_LOCK.call(self.dialect, ())])
        if self.known_types is not None:
            self.known_types.clear()

    def define(self, definition: sa.schema.ExecutableDDLElement) -> None:
        text = str(definition.compile(dialect=self.dialect.core))
        # Core writes a percent sign twice where values are to be put in.
        self._write([Call(self.dialect.finish_definition(text))])

    # Ending

    @property
    def is_open(self) -> bool:
        """Whether there is a transaction on the connection."""
        return self._is_begun

    def commit(self) -> None:
        """Send what waits, and commit. A transaction that has asked nothing is not begun."""
        if self._queue or self._is_begun:
            self._send([self.dialect.commit])

    def _send(self, last: Sequence[Call] = ()) -> None:
        queue, self._queue = self._queue, []
        connection = self.begun()
        before: Sequence[Call] = () if self._is_begun else self._beginning
        if self._ends and not last:
            before, last = self._whole if not self._is_begun else ((), (self.dialect.commit,))
            self._is_begun = False
        else:
            self._is_begun = not last
        self._ends = False
        calls = list(before)
        start = len(calls)
        for some, _ in queue:
            calls += some
        outcomes = self.dialect.run(connection, [*calls, *last])
        for some, keep in queue:
            if keep is not None:
                keep(outcomes[start : start + len(some)])
            start += len(some)
