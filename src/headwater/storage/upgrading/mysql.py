"""Upgrading MySQL and MariaDB, where every statement is final: each looks at what is there first."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from headwater.errors import Aborted
from headwater.storage.upgrading.backend import Backend
from headwater.storage.upgrading.changes import Change, all_rows
from headwater.storage.upgrading.layout import Layout

_CAUSES = {
    1205: "busy",
    1213: "busy",
    1044: "rights",
    1142: "rights",
    1227: "rights",
    1290: "rights",
    1021: "full",
    1114: "full",
    2006: "gone",
    2013: "gone",
    1927: "gone",
}


class MysqlBackend(Backend):
    types: ClassVar[Mapping[str, str]] = {
        "byte_value": "MEDIUMBLOB",
        "proto_value": "MEDIUMBLOB",
        "bool_value": "BOOLEAN",
        "external_id": "VARCHAR(255)",
    }
    external_id_key = "CONSTRAINT Unique{}ExternalId "
    event_key = "CONSTRAINT UniqueEvent "
    after_failure = "what was done before stays done, and the same command goes on from there"

    def set_up(self) -> None:
        self.connection.exec_driver_sql(f"SET SESSION lock_wait_timeout = {self.patience_s}")
        self.connection.exec_driver_sql(f"SET SESSION innodb_lock_wait_timeout = {self.patience_s}")

    @contextmanager
    def alone(self) -> Iterator[None]:
        # Names of locks belong to the whole server and have at most 64 characters.
        database = str(self.connection.scalar(sa.text("SELECT DATABASE()")))
        name = "headwater upgrade " + hashlib.sha256(database.encode()).hexdigest()[:32]
        got = self.connection.scalar(
            sa.text("SELECT GET_LOCK(:name, :s)"), {"name": name, "s": self.patience_s}
        )
        if got != 1:
            raise Aborted("another upgrade of this database is at work; wait for it to end")
        try:
            yield
        finally:
            with suppress(sa.exc.SQLAlchemyError):  # a connection that is lost holds no lock
                self.connection.execute(sa.text("SELECT RELEASE_LOCK(:name)"), {"name": name})

    def step(self) -> AbstractContextManager[object]:
        return nullcontext()

    def lengthen_strings(self, properties: sa.Table, layout: Layout) -> Iterable[Change]:
        stored = layout.type_of(properties, "string_value")
        if not isinstance(stored, mysql.MEDIUMTEXT | mysql.LONGTEXT):
            yield Change.of(
                f"ALTER TABLE {properties.name} MODIFY COLUMN string_value MEDIUMTEXT", all_rows(properties)
            )

    def drop_index(self, name: str, table: sa.Table) -> Change:
        return Change.of(f"DROP INDEX {name} ON {table.name}")

    def widen(self, table: sa.Table, columns: Sequence[sa.Column[Any]], layout: Layout) -> Iterable[Change]:
        if not columns:
            return
        modified = ", ".join(
            f"MODIFY COLUMN {column.name} BIGINT{'' if column.nullable else ' NOT NULL'}"
            f"{' AUTO_INCREMENT' if column.name == 'id' else ''}"
            for column in columns
        )
        yield Change.of(f"ALTER TABLE {table.name} {modified}", all_rows(table))

    def _cause(self, error: BaseException | None) -> str:
        code = error.args[0] if error is not None and error.args else None
        return _CAUSES.get(code, "unknown") if isinstance(code, int) else "unknown"
