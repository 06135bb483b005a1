"""Upgrading SQLite: every step is one transaction, and tables that get a unique key are copied."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import sqlalchemy as sa

from headwater.errors import DatabaseRefused
from headwater.storage import schema
from headwater.storage.upgrading.backend import Backend
from headwater.storage.upgrading.changes import EVENT_KEY, Change, all_rows
from headwater.storage.upgrading.layout import TABLES, Layout

_COLUMNS = sa.text(
    "SELECT made.name, held.name FROM sqlite_master AS made, pragma_table_info(made.name) AS held "
    "WHERE made.type = 'table'"
)
_INDEXES = sa.text(
    'SELECT made.name, key.name, key."unique", held.name FROM sqlite_master AS made, '
    "pragma_index_list(made.name) AS key, pragma_index_info(key.name) AS held WHERE made.type = 'table'"
)

_ANY_TYPE: sa.types.TypeEngine[Any] = sa.types.NULLTYPE


class SqliteBackend(Backend):
    """SQLite adds no unique column to a table, so such a table is made anew, filled and renamed."""

    is_alone = False  # only each step is
    types: ClassVar[Mapping[str, str]] = {
        "byte_value": "BLOB",
        "proto_value": "BLOB",
        "bool_value": "BOOLEAN",
    }

    def set_up(self) -> None:
        self.connection.exec_driver_sql(f"PRAGMA busy_timeout={self.patience_s * 1_000}")
        self.connection.exec_driver_sql("PRAGMA synchronous=FULL")
        # Views and triggers go on meaning the table of that name, also while it is exchanged.
        self.connection.exec_driver_sql("PRAGMA legacy_alter_table=ON")

    def layout(self) -> Layout:
        """Asked of SQLite itself: SQLAlchemy reads CREATE TABLE, and does not see keys in backticks."""
        columns: dict[str, dict[str, sa.types.TypeEngine[object]]] = defaultdict(dict)
        for table, column in self.connection.execute(_COLUMNS):
            columns[table.lower()][column] = _ANY_TYPE
        keys: dict[tuple[str, str, bool], set[str]] = defaultdict(set)
        for table, index, is_unique, column in self.connection.execute(_INDEXES):
            keys[table.lower(), index.lower(), bool(is_unique)].add(column)
        return Layout(
            tables=frozenset(columns),
            columns={name: columns[name] for name in columns if name in TABLES},
            indexes=frozenset(index for _, index, _ in keys),
            unique=frozenset(
                (table, frozenset(on)) for (table, _, is_unique), on in keys.items() if is_unique
            ),
        )

    def step(self) -> AbstractContextManager[object]:
        """A transaction that has the right to write from its beginning: two upgrades take turns."""
        return self._transaction("BEGIN IMMEDIATE")

    def add_columns(self, table: sa.Table, names: Iterable[str], layout: Layout) -> Iterable[Change]:
        for name in names:  # ALTER TABLE adds one column at a time
            yield from super().add_columns(table, [name], layout)

    def add_external_id(self, table: sa.Table, layout: Layout) -> Iterable[Change]:
        if layout.is_unique(table, "external_id"):
            return self.add_indexes(table.indexes, layout)
        return self._rebuilt(table, layout, all_rows(table))

    def make_events_unique(self, layout: Layout) -> Iterable[Change]:
        events = schema.event_table
        if layout.is_unique(events, *EVENT_KEY):
            return super().make_events_unique(layout)
        different = sa.select(*(events.c[name] for name in EVENT_KEY)).distinct().subquery()
        rows = sa.select(sa.func.count()).select_from(different)
        return self._rebuilt(events, layout, rows, without="idx_event_artifact_id")

    def _rebuilt(
        self, table: sa.Table, layout: Layout, rows: sa.Select[Any], without: str = ""
    ) -> Iterable[Change]:
        name, copy = table.name, f"{table.name}Temp"
        extra = layout.extra_columns(table)
        if extra:
            raise DatabaseRefused(
                f"the table {name} has columns that ML Metadata does not know ({', '.join(extra)}), and this "
                "upgrade has to copy it without them; keep them in a table of their own"
            )
        columns = [column for column in table.columns if layout.type_of(table, column.name) is not None]
        kept = self._made_by_others(table, without)
        unquoted = sa.sql.quoted_name(copy, quote=False)
        filled = table.to_metadata(sa.MetaData(), name=unquoted)
        yield Change(sa.schema.CreateTable(filled))
        yield Change(sa.insert(filled).from_select(columns, sa.select(*columns)), rows)
        # Ids of rows that were deleted must not be given again: the counter moves with the rows.
        yield Change.of(f"DELETE FROM sqlite_sequence WHERE name = '{copy}'")
        yield Change.of(f"UPDATE sqlite_sequence SET name = '{copy}' WHERE name = '{name}'")
        yield Change.of(f"DROP TABLE {name}")
        yield Change.of(f"ALTER TABLE {copy} RENAME TO {name}")
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            yield Change(sa.schema.CreateIndex(index), makes_index=str(index.name))
        for sql in kept:
            yield Change.of(sql.replace(":", r"\:"))

    def _made_by_others(self, table: sa.Table, without: str) -> list[str]:
        """Indexes and triggers that are no part of the schema, and would go with the table."""
        known = {without.lower(), *(str(index.name).lower() for index in table.indexes)}
        found = self.connection.execute(
            sa.text(
                "SELECT name, sql FROM sqlite_master WHERE lower(tbl_name) = :name "
                "AND type IN ('index', 'trigger') AND sql IS NOT NULL ORDER BY rowid"
            ),
            {"name": table.name.lower()},
        )
        return [sql for name, sql in found if name.lower() not in known]

    def _cause(self, error: BaseException | None) -> str:
        said = str(error)
        for words, cause in (("locked", "busy"), ("readonly", "rights"), ("is full", "full")):
            if words in said:
                return cause
        return "unknown"
