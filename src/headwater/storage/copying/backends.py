"""What the databases do differently when they are copied, beside what their dialects answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from headwater.storage.dialects import Dialect

Rows = Sequence[tuple[Any, ...]]

_DAY_S = 24 * 3600


class Backend:
    """SQLite's answers, and those that most have in common."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect

    def in_order(self, select: sa.Select[Any], table: sa.Table, lead: sa.Column[Any]) -> sa.Select[Any]:
        """Order by ``lead`` and, where nothing else tells rows apart, as they were inserted."""
        return select.order_by(lead, *([] if table.primary_key else [self._row_number]))

    _row_number: sa.ColumnElement[Any] = sa.literal_column("rowid")

    def misfit(self, column: sa.Column[Any], text: str) -> str | None:
        """Why a text cannot be stored in a column of a store of ours; ``None`` if it can."""
        return None

    def settle_to_read(self, connection: Any) -> None:
        """Let a transaction that reads last for as long as it takes."""

    def settle_to_load(self, connection: Any) -> None:
        """Keep others out if that takes no lock of its own, and do not wait for the disk at each commit."""
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("COMMIT")

    def settle_loaded(self, connection: Any) -> None:
        """From the next commit on wait for the disk; what was committed before is then on it too."""
        connection.execute("PRAGMA synchronous=FULL")

    indexes_that_refuse: Sequence[str] = ()
    """Indexes that cannot hold everything their column can. Made first, so that they refuse single rows."""

    def load(self, connection: Any, table: sa.Table, rows: Rows) -> bool:
        """Insert rows of our values faster than INSERT does; ``False`` if there is no such way."""
        return False

    def advance_counter(self, connection: Any, table: sa.Table) -> None:
        """Have new ids of ``table`` begin behind those that are stored."""

    def refused_column(self, error: Exception, table: sa.Table) -> str | None:
        """The column that a statement failed for, if the driver says so."""
        return None


class AnyOrder(Backend):
    """For those who only look at single rows."""

    def in_order(self, select: sa.Select[Any], table: sa.Table, lead: sa.Column[Any]) -> sa.Select[Any]:
        return select.order_by(lead)


class PostgresqlBackend(Backend):
    _row_number = sa.literal_column("ctid")
    # Of what is left after compression they hold about 2,700 bytes.
    indexes_that_refuse = (
        "idx_artifact_uri",
        *(f"idx_{kind}_property_string" for kind in ("artifact", "execution", "context")),
    )

    def misfit(self, column: sa.Column[Any], text: str) -> str | None:
        if "\0" in text:
            return "has a NUL character, which PostgreSQL cannot hold"
        length = getattr(column.type, "length", None)
        return f"is longer than {length} characters" if length and len(text) > length else None

    def settle_to_read(self, connection: Any) -> None:
        connection.execute("SELECT set_config('idle_in_transaction_session_timeout', '0', false)")

    def settle_to_load(self, connection: Any) -> None:
        self.settle_to_read(connection)
        # What a crash of the server takes back it takes back with the note of how far the copy is.
        connection.execute("SELECT set_config('synchronous_commit', 'off', false)")

    def settle_loaded(self, connection: Any) -> None:
        connection.execute("SELECT set_config('synchronous_commit', 'on', false)")
        connection.execute("ANALYZE")

    def load(self, connection: Any, table: sa.Table, rows: Rows) -> bool:
        columns = ", ".join(str(column.name) for column in table.columns)
        with (
            connection.cursor() as cursor,
            cursor.copy(f"COPY {table.name} ({columns}) FROM STDIN") as copying,
        ):
            for row in rows:
                copying.write_row(row)
        return True

    def advance_counter(self, connection: Any, table: sa.Table) -> None:
        connection.execute(
            f"SELECT setval(pg_get_serial_sequence('{table.name.lower()}', 'id'), greatest(max(id), 1)) "
            f"FROM {table.name} HAVING max(id) IS NOT NULL"
        )

    def refused_column(self, error: Exception, table: sa.Table) -> str | None:
        said = f"{error}\n{getattr(getattr(error, 'diag', None), 'context', '')}"
        if found := re.search(r"line \d+, column (\w+)", said):
            return found[1]
        found = re.search(r'for index "(\w+)"', said)
        index = next((index for index in table.indexes if found and index.name == found[1]), None)
        return None if index is None else str(list(index.columns)[-1].name)


class MysqlBackend(Backend):
    def in_order(self, select: sa.Select[Any], table: sa.Table, lead: sa.Column[Any]) -> sa.Select[Any]:
        if not table.primary_key:
            # Entries of an index that are equal stand in the order of the hidden row number.
            select = self.dialect.walk_in_order(select, table, lead.key)
        return select.order_by(lead)

    def misfit(self, column: sa.Column[Any], text: str) -> str | None:
        length = getattr(column.type, "length", None)
        size = len(text.encode("utf-8", "surrogatepass"))
        if length:
            in_characters = getattr(self.dialect, "charset", "") == "utf8mb4"
            if (len(text) if in_characters else size) > length:
                return f"is longer than {length} {'characters' if in_characters else 'bytes'}"
            return None
        is_long = isinstance(column.type.dialect_impl(self.dialect.core), mysql.MEDIUMTEXT)
        limit = 2 ** (24 if is_long else 16) - 1
        return f"is longer than {limit:,} bytes" if size > limit else None

    def settle_to_read(self, connection: Any) -> None:
        self._set(connection, f"SET SESSION wait_timeout = {_DAY_S}, net_write_timeout = 600")

    def settle_to_load(self, connection: Any) -> None:
        self._set(
            connection,
            f"SET SESSION wait_timeout = {_DAY_S}, sql_mode = CONCAT(@@sql_mode, ',NO_AUTO_VALUE_ON_ZERO')",
        )

    def settle_loaded(self, connection: Any) -> None:
        """Every commit has waited."""

    def refused_column(self, error: Exception, table: sa.Table) -> str | None:
        found = re.search(r"for column (?:`[^`]*`\.)*[`']?(\w+)", str(error))
        return found[1] if found and found[1] in table.columns else None

    def _set(self, connection: Any, text: str) -> None:
        cursor = connection.cursor()
        cursor.execute(text)
        cursor.close()


_BACKENDS = {"sqlite": Backend, "postgresql": PostgresqlBackend, "mysql": MysqlBackend}


def backend_of(dialect: Dialect) -> Backend:
    return _BACKENDS[dialect.name](dialect)
