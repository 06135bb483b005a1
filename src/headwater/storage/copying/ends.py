"""The two databases of a copy: one that is read as it was at one moment, and one that is filled."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from headwater.errors import Aborted, DatabaseRefused, HeadwaterError, InvalidRequest, Unavailable
from headwater.storage import schema
from headwater.storage.batches import BatchedTransaction
from headwater.storage.copying.backends import Backend, backend_of
from headwater.storage.copying.rows import TABLES, Layout, Problem, Reading, Row, pages
from headwater.storage.dialects import Call, Dialect, ServerDialect, SqliteDialect, dialect_for
from headwater.storage.statements import Insert, Prepared
from headwater.storage.transactions import DirectTransaction, Transaction

# Reads event paths in their order; made before any are stored, to compare what an earlier run stored.
_STEPS_INDEX = "idx_eventpath_event_id"
_INDEXES = {str(index.name): index for table in (*TABLES, schema.request_table) for index in table.indexes}
# MySQL refuses larger ones, by default from 4 to 64 MB on.
_STATEMENT_BYTES = 1024 * 1024

_VERSION = Prepared(sa.select(schema.env_table.c.schema_version))
_WRITE_VERSION = Insert(schema.env_table, "schema_version")

_note = schema.copy_table
_NOTES = Prepared(sa.select(_note.c.name, _note.c.value))
_ADD_NOTE = Insert(_note, "name", "value")
_CHANGE_NOTE = Prepared(
    sa.update(_note).values(value=sa.bindparam("new")).where(_note.c.name == sa.bindparam("which")),
    "new",
    "which",
)

SOURCE = "source"
STATE = "state"
BEGUN, DONE = "begun", "done"


class End(ABC):
    """One connection to a database, with transactions that are begun and ended by hand."""

    def __init__(self, database_url: str, role: str, *, create: bool) -> None:
        dialect = dialect_for(database_url, create=create)
        if isinstance(dialect, SqliteDialect) and dialect.in_memory:
            raise InvalidRequest(f"the {role} is a database in memory, which only its own process can see")
        self.dialect: Dialect = dialect
        self.name = name_of(database_url)
        """Which database this is, without user and password."""
        self._role = role
        self._readings: dict[sa.Table, Reading] = {}
        if isinstance(dialect, SqliteDialect):
            dialect.prepare_file()
        elif isinstance(dialect, ServerDialect) and create:
            dialect.create_database()
        self.backend = backend_of(dialect)
        self._connection: Any = dialect.connect()

    def close(self) -> None:
        with contextlib.suppress(Exception):  # It may have been lost.
            self._connection.close()

    def reading(self, layout: Layout) -> Reading:
        if layout.table not in self._readings:
            self._readings[layout.table] = Reading(self.backend, layout)
        return self._readings[layout.table]

    def pages(self, layout: Layout, after: int | None = None) -> Iterator[list[Row]]:
        """The rows whose leading column is beyond ``after``; those that share it are in one page."""
        return pages(self._ask, self.reading(layout), after)

    @abstractmethod
    def _ask(self, statement: Prepared, *values: Any) -> list[Row]:
        """The rows of a query."""

    @contextlib.contextmanager
    def explaining(self) -> Iterator[None]:
        """Raise errors of the driver in the words of somebody who runs a copy."""
        try:
            yield
        except self.dialect.driver_error as error:
            raise self.explained(error) from error

    def explained(self, error: Exception) -> HeadwaterError:
        if isinstance(self.dialect, ServerDialect):
            if self.dialect.is_lost(error, self._connection):
                return Unavailable(
                    f"the connection to the {self._role} was lost; run the same command again, it goes on "
                    "where it stopped"
                )
            if self.dialect.is_conflict(error):
                return Aborted(
                    f"another program, perhaps another copy, keeps the {self._role} busy; try again when it "
                    "is done"
                )
        ours = self.dialect.translate(error)
        return type(ours)(f"the {self._role}: {ours}")

    def _begun(self, beginning: Sequence[Call]) -> Transaction:
        """A transaction that has begun with these statements; ``_end`` ends it."""
        if isinstance(self.dialect, ServerDialect):
            self.dialect.run(self._connection, beginning)
            return BatchedTransaction(self.dialect, lambda: self._connection, (), now_ms=0)
        for call in beginning:
            self._connection.execute(call.text)
        return DirectTransaction(self.dialect, lambda: self._connection, now_ms=0)

    def _run(self, text: str) -> None:
        if isinstance(self.dialect, ServerDialect):
            self.dialect.run(self._connection, [Call(text)])
        else:
            self._connection.execute(text)


class Source(End):
    """The database that is read, all of it as it was when this was made.

    Raises:
        DatabaseRefused: it holds no store of the newest schema version.
    """

    def __init__(self, database_url: str) -> None:
        super().__init__(database_url, "source", create=False)
        try:
            with self.explaining():
                self.backend.settle_to_read(self._connection)
                if isinstance(self.dialect, ServerDialect):
                    self.dialect.learn(self._connection)
                    self._tx = self._begun(self.dialect.begin_read(None))
                else:
                    self._tx = self._begun([Call("BEGIN")])
                self._check()
        except BaseException:
            self.close()
            raise

    def _ask(self, statement: Prepared, *values: Any) -> list[Row]:
        with self.explaining():
            return self._tx.rows(statement, *values)

    def _check(self) -> None:
        existing = self.dialect.table_names(self._connection)
        missing = [table.name for table in schema.MLMD_TABLES if table.name.lower() not in existing]
        if len(missing) == len(schema.MLMD_TABLES):
            raise DatabaseRefused("the source holds no store")
        # A database that only MLMD has opened so far has none of our tables.
        self._lacks = {table for table in schema.PIPELINE_TABLES if table.name not in existing}
        if missing:
            raise DatabaseRefused(
                f"the source lacks the tables {', '.join(missing)}; restore it from a backup"
            )
        versions = [version for (version,) in self._tx.rows(_VERSION)]
        if versions != [schema.SCHEMA_VERSION]:
            found = ", ".join(map(str, versions)) or "none: it is an unfinished copy itself, or damaged"
            raise DatabaseRefused(
                f"the source has schema version {found}, and {schema.SCHEMA_VERSION} is copied; "
                "'headwater db upgrade' brings an older one to it"
            )
        if _STEPS_INDEX not in self.dialect.index_names(self._connection):
            raise DatabaseRefused(
                f"the source lacks the index {_STEPS_INDEX}, by which event paths are read in their order; "
                "'headwater db upgrade --add-indexes' makes it"
            )

    def pages(self, layout: Layout, after: int | None = None) -> Iterator[list[Row]]:
        return iter(()) if layout.table in self._lacks else super().pages(layout, after)

    def count(self, layout: Layout) -> int:
        if layout.table in self._lacks:
            return 0
        return int(self._ask(self.reading(layout).count)[0][0])

    def until(self, layout: Layout, upto: int) -> Iterator[list[Row]]:
        """The same from the beginning and no further than ``upto``."""
        for rows in self.pages(layout):
            within = [row for row in rows if row[0] <= upto]
            if within:
                yield within
            if len(within) < len(rows):
                return

    def misfits(self, layout: Layout, rows: Sequence[Row], target: Backend) -> Iterator[Problem]:
        """The values that would be cut, garbled or refused without a word about where they are."""
        reading = self.reading(layout)
        for row, column in reading.undecodable(rows):
            broken = "is a message that cannot be decoded; mend or remove it in the source"
            yield Problem(layout.name, layout.key_of(row), str(column.name), broken)
        for row, column, text in reading.suspicious(rows):
            why = target.misfit(column, text)
            if why is None and "\ufffd" in text and not reading.is_utf8(self._ask, row, column):
                why = "is not UTF-8; mend it in the source ('headwater db check' names all such rows)"
            if why is not None:
                yield Problem(layout.name, layout.key_of(row), str(column.name), why)


class Target(End):
    """The database that is filled. Nobody else can open it until this is closed.

    Raises:
        DatabaseRefused: it holds a store that is not a copy of ``source``, or text could not be stored in it.
    """

    def __init__(self, database_url: str, source: str) -> None:
        super().__init__(database_url, "target", create=True)
        try:
            with self.explaining():
                self.backend.settle_to_load(self._connection)
                if isinstance(self.dialect, ServerDialect):
                    self.dialect.lock_opening(self._connection)
                    self.dialect.check_fit_for_a_store(self._connection)
                self._inserts = {
                    table: Insert(table, *(column.key for column in table.columns)) for table in TABLES
                }
                self.notes = self._prepare(source)
        except BaseException:
            self.close()
            raise

    @property
    def is_done(self) -> bool:
        """Whether all was copied and compared before."""
        return self.notes.get(STATE) == DONE

    def position(self, layout: Layout) -> int | None:
        """The last value of the leading column that is copied; ``None`` for a table that is not begun."""
        noted = self.notes.get(layout.name)
        return None if noted is None else int(noted)

    def _prepare(self, source: str) -> dict[str, str]:
        existing = self.dialect.table_names(self._connection)
        if _note.name not in existing:
            there = [table.name for table in schema.MLMD_TABLES if table.name.lower() in existing]
            if there:
                raise DatabaseRefused(
                    "the target holds a store already, or a part of one; copy to a database that has no "
                    f"table {there[0]}"
                )
        notes = self._read_notes() if _note.name in existing else {}
        if notes.get(SOURCE, source) != source:
            state = "a copy" if notes.get(STATE) == DONE else "an unfinished copy"
            raise DatabaseRefused(
                f"the target holds {state} of {notes[SOURCE]}, and not of {source}; copy to an empty database"
            )
        if notes.get(STATE) != DONE:
            with self.transaction() as tx:
                if _note.name not in existing:
                    tx.define(sa.schema.CreateTable(_note))
                if SOURCE not in notes:
                    tx.insert(_ADD_NOTE, [(SOURCE, source), (STATE, BEGUN)])
                for table in (*schema.MLMD_TABLES, *schema.OWN_TABLES):
                    if table.name.lower() not in existing:
                        tx.define(sa.schema.CreateTable(table))
            self._make_indexes([_STEPS_INDEX, *self.backend.indexes_that_refuse])
        elif any(table.name.lower() not in existing for table in schema.MLMD_TABLES):
            raise DatabaseRefused(
                f"the target held a copy whose tables are gone; drop its table {_note.name} too, and repeat"
            )
        return self._read_notes()

    def _read_notes(self) -> dict[str, str]:
        with self.transaction() as tx:
            return dict(tx.rows(_NOTES))

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A transaction that is committed in the end, unless something is raised."""
        dialect = self.dialect
        tx = self._begun(
            dialect.begin_write(None) if isinstance(dialect, ServerDialect) else [Call("BEGIN IMMEDIATE")]
        )
        try:
            yield tx
            self._run("COMMIT")
        except BaseException:
            with contextlib.suppress(Exception):  # It may have been lost.
                self._run("ROLLBACK")
            raise

    def load(self, layout: Layout, rows: Sequence[Row]) -> None:
        """Store a page and how far the table is copied by now, both or none."""
        with self.explaining(), self.transaction() as tx:
            self._insert(tx, layout, rows)
            self._note_position(tx, layout, rows[-1][0])
        self.notes[layout.name] = str(rows[-1][0])

    def replace(self, layout: Layout, after: int | None, rows: Sequence[Row]) -> None:
        """Have these rows in the place of those whose leading column is in their range."""
        with self.explaining(), self.transaction() as tx:
            self._delete(tx, layout, after, rows[-1][0])
            self._insert(tx, layout, rows)

    def remove(self, layout: Layout, after: int | None, upto: int | None) -> None:
        """Remove the rows whose leading column is beyond ``after`` and no more than ``upto``."""
        with self.explaining(), self.transaction() as tx:
            self._delete(tx, layout, after, upto)

    def _delete(self, tx: Transaction, layout: Layout, after: int | None, upto: int | None) -> None:
        bounds = [(layout.lead.__gt__, "after", after), (layout.lead.__le__, "upto", upto)]
        given = [(compare, name, value) for compare, name, value in bounds if value is not None]
        statement = sa.delete(layout.table).where(
            *(compare(sa.bindparam(name, type_=sa.BigInteger())) for compare, name, _ in given)
        )
        tx.run(Prepared(statement, *(name for _, name, _ in given)), *(value for *_, value in given))

    def _insert(self, tx: Transaction, layout: Layout, rows: Sequence[Row]) -> None:
        if not self.backend.load(tx.begun(), layout.table, rows):
            for some in _in_portions(layout, self._encoded(layout, rows)):
                tx.insert(self._inserts[layout.table], some)

    def _encoded(self, layout: Layout, rows: Sequence[Row]) -> list[Row]:
        encode = self.dialect.encode_proto
        message = next(
            (index for index, column in enumerate(layout.columns) if column.key == "proto_value"), None
        )
        if message is None or all(row[message] is None for row in rows):
            return list(rows)
        return [
            (*row[:message], encode(row[message]), *row[message + 1 :])
            if isinstance(row[message], bytes)
            else row
            for row in rows
        ]

    def _note_position(self, tx: Transaction, layout: Layout, lead: int) -> None:
        if layout.name in self.notes:
            tx.run(_CHANGE_NOTE, str(lead), layout.name)
        else:
            tx.insert(_ADD_NOTE, [(layout.name, str(lead))])

    def refused(self, layout: Layout, rows: Sequence[Row]) -> list[Problem]:
        """Which rows of a page the database refuses, and why. Nothing is stored."""
        problems = []
        try:
            with self.explaining(), self.transaction() as tx:
                for row in rows:
                    self._run("SAVEPOINT headwater_row")
                    try:
                        self._insert(tx, layout, [row])
                    except self.dialect.driver_error as error:
                        self._run("ROLLBACK TO SAVEPOINT headwater_row")
                        column = self.backend.refused_column(error, layout.table)
                        said = f"is refused by the target: {self.dialect.translate(error)}"
                        problems.append(Problem(layout.name, layout.key_of(row), column, said))
                raise _OnlyTried
        except _OnlyTried:
            return problems

    # The end

    def finish_loading(self) -> None:
        """Make what goes faster once the rows are there: indexes, and counters behind the ids."""
        with self.explaining():
            self._make_indexes(sorted(_INDEXES))
            with self.transaction() as tx:
                for table in TABLES:
                    if "id" in table.c:
                        self.backend.advance_counter(tx.begun(), table)

    def _make_indexes(self, names: Sequence[str]) -> None:
        existing = self.dialect.index_names(self._connection)
        for name in names:
            if name not in existing:
                with self.transaction() as tx:
                    tx.define(sa.schema.CreateIndex(_INDEXES[name]))

    def finish(self) -> None:
        """Make a store of the copy, once it was compared. From now on it can be opened."""
        with self.explaining():
            self.backend.settle_loaded(self._connection)
            with self.transaction() as tx:
                tx.insert(_WRITE_VERSION, [(schema.SCHEMA_VERSION,)])
                tx.run(_CHANGE_NOTE, DONE, STATE)
        self.notes[STATE] = DONE

    # Comparing

    def rows(self, layout: Layout, after: int | None, upto: int) -> list[Row]:
        """The rows whose leading column is beyond ``after`` and no more than ``upto``."""
        reading = self.reading(layout)
        return reading.understood(
            self._ask(reading.until, upto) if after is None else self._ask(reading.between, after, upto)
        )

    def _ask(self, statement: Prepared, *values: Any) -> list[Row]:
        with self.explaining(), self.transaction() as tx:
            return tx.rows(statement, *values)


class _OnlyTried(Exception):
    """Ends a transaction that is not meant to be kept."""


def _in_portions(layout: Layout, rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """The rows in order, never more at a time than a statement may hold, unless one alone is larger."""
    if layout.size(rows) <= _STATEMENT_BYTES:
        yield rows
        return
    start = size = 0
    for end, row in enumerate(rows):
        size += layout.size([row])
        if size > _STATEMENT_BYTES and end > start:
            yield rows[start:end]
            start, size = end, layout.size([row])
    yield rows[start:]


def name_of(database_url: str) -> str:
    """A URL that is the same for the same database, as far as one can tell, and holds no secret."""
    dialect = dialect_for(database_url, create=False)
    if isinstance(dialect, SqliteDialect):
        name = dialect.file_name
        return f"sqlite:///{name if name.startswith('file:') else Path(name).resolve()}"
    url = sa.make_url(database_url)
    where = {
        name: url.query[name] for name in ("host", "hostaddr", "port", "unix_socket") if name in url.query
    }
    bare = sa.URL.create(dialect.name, host=url.host, port=url.port, database=url.database, query=where)
    return bare.render_as_string()
