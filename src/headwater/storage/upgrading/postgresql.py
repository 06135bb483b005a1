"""Upgrading PostgreSQL: columns are added in place, so that nothing is copied but where integers grow."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, ClassVar

import sqlalchemy as sa

from headwater.errors import Aborted
from headwater.storage import schema
from headwater.storage.upgrading.backend import Backend
from headwater.storage.upgrading.changes import Change, all_rows
from headwater.storage.upgrading.layout import Layout, is_narrow

_LOCK = 0x4EAD_0A7E_0001
"""Of the advisory lock; any number that other programs hardly use."""

_CAUSES = {
    "55P03": "busy",
    "40P01": "busy",
    "57014": "busy",
    "42501": "rights",
    "25006": "rights",
    "53100": "full",
    "54000": "too long for an index",
    "57P01": "gone",
    "08006": "gone",
}

_INVALID = sa.text(
    "SELECT made.relname FROM pg_index JOIN pg_class AS made ON made.oid = pg_index.indexrelid "
    "JOIN pg_namespace ON pg_namespace.oid = made.relnamespace "
    "WHERE NOT pg_index.indisvalid AND pg_namespace.nspname = current_schema()"
)

_TYPE_OF_SEQUENCE = sa.text(
    "SELECT format_type(seqtypid, NULL) FROM pg_sequence WHERE seqrelid = CAST(:name AS regclass)"
)


class PostgresqlBackend(Backend):
    types: ClassVar[Mapping[str, str]] = {
        "byte_value": "BYTEA",
        "proto_value": "BYTEA",
        "bool_value": "BOOLEAN",
        "external_id": "VARCHAR(255)",
    }
    external_id_key = ""  # PostgreSQL names it as it does in a new database
    event_key = "CONSTRAINT uniqueevent "

    def set_up(self) -> None:
        self.connection.exec_driver_sql(f"SET lock_timeout = '{self.patience_s}s'")
        self.connection.exec_driver_sql("SET statement_timeout = 0")
        # A table that is written anew keeps the order of its rows, which is that of the steps of a path.
        self.connection.exec_driver_sql("SET synchronize_seqscans = off")

    @contextmanager
    def alone(self) -> Iterator[None]:
        # Asked again and again, not waited for: a statement that waits holds a snapshot, and building an
        # index concurrently waits for old snapshots to go.
        deadline = time.monotonic() + self.patience_s
        while not self.connection.scalar(sa.select(sa.func.pg_try_advisory_lock(_LOCK))):
            if time.monotonic() > deadline:
                raise Aborted("another upgrade of this database is at work; wait for it to end")
            time.sleep(0.1)
        try:
            yield
        finally:
            with suppress(sa.exc.SQLAlchemyError):  # a connection that is lost holds no lock
                self.connection.execute(sa.select(sa.func.pg_advisory_unlock(_LOCK)))

    def add_index_beside_writers(self, index: sa.Index, layout: Layout) -> Iterable[Change]:
        invalid = self._is_invalid(str(index.name))
        if invalid:  # left by a build that was killed
            yield Change.of(f"DROP INDEX CONCURRENTLY {index.name}")
        if invalid or not layout.has_index(index.name):
            assert index.table is not None
            copied = index.table.to_metadata(sa.MetaData())
            (copy,) = (other for other in copied.indexes if other.name == index.name)
            copy.dialect_options["postgresql"]["concurrently"] = True
            yield Change(sa.schema.CreateIndex(copy), makes_index=str(index.name))

    def drop_failed_index(self, name: str) -> None:
        # It would go on costing every writer its time, and refuse what made it fail.
        if self._is_invalid(name):
            self.connection.exec_driver_sql(f"DROP INDEX CONCURRENTLY {name}")

    def _is_invalid(self, index: str) -> bool:
        return index in self.connection.execute(_INVALID).scalars().all()

    def mend(self, layout: Layout) -> Iterable[Change]:
        """Times of 32 bits, and sequences that stand behind the ids: ML Metadata copies tables that way."""
        for table in schema.MLMD_TABLES:
            narrow = [
                f"ALTER COLUMN {column.name} TYPE BIGINT"
                for column in table.columns
                if column.name.endswith("since_epoch") and is_narrow(layout.type_of(table, column.name))
            ]
            if narrow:
                yield Change.of(f"ALTER TABLE {table.name} {', '.join(narrow)}", all_rows(table))
        for table in schema.MLMD_TABLES:
            if "id" in table.columns and self._sequence_is_behind(table):
                yield Change.of(
                    f"SELECT setval('{self._sequence(table)}', (SELECT max(id) FROM {table.name}))"
                )

    def _sequence(self, table: sa.Table) -> str | None:
        return self.connection.scalar(sa.select(sa.func.pg_get_serial_sequence(table.name, "id")))

    def _sequence_is_behind(self, table: sa.Table) -> bool:
        sequence = self._sequence(table)
        if sequence is None:
            return False
        last, is_used = self.connection.execute(
            sa.text(f"SELECT last_value, is_called FROM {sequence}")
        ).one()
        largest = self.connection.scalar(sa.select(sa.func.max(table.c.id)))
        return largest is not None and largest > (last if is_used else last - 1)

    def widen(self, table: sa.Table, columns: Sequence[sa.Column[Any]], layout: Layout) -> Iterable[Change]:
        if columns:
            altered = ", ".join(f"ALTER COLUMN {column.name} TYPE BIGINT" for column in columns)
            yield Change.of(f"ALTER TABLE {table.name} {altered}", all_rows(table))
        sequence = self._sequence(table) if "id" in table.columns else None
        if sequence and self.connection.scalar(_TYPE_OF_SEQUENCE, {"name": sequence}) != "bigint":
            yield Change.of(f"ALTER SEQUENCE {sequence} AS BIGINT")

    def _cause(self, error: BaseException | None) -> str:
        state = getattr(error, "sqlstate", None)
        if state is None and getattr(error, "pgconn", None) is None:
            return "gone" if "connection" in str(error) else "unknown"
        return _CAUSES.get(state or "", "unknown")
