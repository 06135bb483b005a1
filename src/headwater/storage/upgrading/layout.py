"""What is in the database now, and whether it can be upgraded."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from headwater.errors import DatabaseRefused
from headwater.storage import schema

OLDEST = 6
NEWEST = schema.SCHEMA_VERSION

COLUMNS_SINCE = {"byte_value": 7, "external_id": 9, "proto_value": 10, "bool_value": 10}
"""The schema version that brought a column. All others were there in the oldest version that is upgraded."""

TABLES = {table.name.lower(): table for table in schema.MLMD_TABLES}


@dataclass(frozen=True)
class Layout:
    """Tables, columns and indexes that exist; names in lower case, as PostgreSQL has them."""

    tables: frozenset[str]
    columns: Mapping[str, Mapping[str, sa.types.TypeEngine[object]]]
    indexes: frozenset[str]
    unique: frozenset[tuple[str, frozenset[str]]]

    def has(self, table: sa.Table) -> bool:
        return table.name.lower() in self.columns

    def type_of(self, table: sa.Table, column: str) -> sa.types.TypeEngine[object] | None:
        """The type of a column; ``None`` if there is no such column."""
        return self.columns[table.name.lower()].get(column)

    def extra_columns(self, table: sa.Table) -> list[str]:
        """Columns that ML Metadata's table has not."""
        known = {column.name for column in table.columns}
        return sorted(name for name in self.columns[table.name.lower()] if name not in known)

    def has_index(self, name: object) -> bool:
        return str(name).lower() in self.indexes

    def is_unique(self, table: sa.Table, *columns: str) -> bool:
        return (table.name.lower(), frozenset(columns)) in self.unique

    def with_indexes(self, names: Iterable[str]) -> Layout:
        """The layout as it will be when these indexes are made."""
        return dataclasses.replace(self, indexes=self.indexes | {name.lower() for name in names})


def is_narrow(type_: sa.types.TypeEngine[object] | None) -> bool:
    """Whether a column is an integer of 32 bits; those for flags and kinds are narrower on purpose."""
    return isinstance(type_, sa.Integer) and not isinstance(
        type_, sa.BigInteger | sa.SmallInteger | mysql.TINYINT
    )


def read_layout(connection: sa.Connection) -> Layout:
    """Look at the tables of ML Metadata; on PostgreSQL at those of the current schema only."""
    inspector = sa.inspect(connection)
    names = inspector.get_table_names()
    ours = [name for name in names if name.lower() in TABLES]
    columns = {
        table.lower(): {column["name"]: column["type"] for column in found}
        for (_, table), found in inspector.get_multi_columns(filter_names=ours).items()
    }
    indexes, unique = set(), set()
    for (_, table), found_indexes in inspector.get_multi_indexes(filter_names=ours).items():
        for index in found_indexes:
            indexes.add(str(index["name"]).lower())
            if index["unique"]:
                unique.add((table.lower(), frozenset(str(column) for column in index["column_names"])))
    for (_, table), constraints in inspector.get_multi_unique_constraints(filter_names=ours).items():
        unique |= {(table.lower(), frozenset(constraint["column_names"])) for constraint in constraints}
    return Layout(frozenset(name.lower() for name in names), columns, frozenset(indexes), frozenset(unique))


def checked_version(connection: sa.Connection, layout: Layout) -> int:
    """The schema version, of a database that can be upgraded.

    Raises:
        DatabaseRefused: it cannot; the message says why, and what to do.
    """
    missing = [table.name for table in schema.MLMD_TABLES if not layout.has(table)]
    if len(missing) == len(schema.MLMD_TABLES):
        raise DatabaseRefused(
            "the database holds no store, so there is nothing to upgrade; 'headwater db init' makes one"
        )
    if schema.env_table.name in missing:
        raise DatabaseRefused(
            "the database has tables of ML Metadata but no MLMDEnv with its schema version: it was made by a "
            "release before 0.14, or only in part; open it once with ML Metadata 1.17 and its upgrade enabled"
        )
    version = _version(connection)
    lacking = _lacking(layout, version)
    if missing:
        raise DatabaseRefused(
            f"the database says schema version {version} but lacks the tables {', '.join(sorted(missing))}: "
            "it was made or upgraded only in part; restore it from a backup"
        )
    if lacking:
        raise DatabaseRefused(
            f"the database says schema version {version} but lacks the columns {', '.join(lacking)}: it was "
            "made, upgraded or downgraded only in part; restore it from a backup"
        )
    left = sorted(table.name for key, table in TABLES.items() if key + "temp" in layout.tables)
    if left:
        raise DatabaseRefused(
            f"the database has the tables {', '.join(name + 'Temp' for name in left)}: an upgrade by ML "
            "Metadata was cut short; restore the database from a backup, or drop them if nothing is "
            f"missing in {', '.join(left)}"
        )
    return version


def _version(connection: sa.Connection) -> int:
    versions = connection.execute(sa.select(schema.env_table.c.schema_version)).scalars().all()
    if len(versions) != 1:
        found = "no row" if not versions else f"{len(versions)} rows ({', '.join(map(str, versions))})"
        raise DatabaseRefused(
            f"MLMDEnv, which holds the schema version, has {found} where one belongs: the database was made "
            "only in part or damaged; restore it from a backup"
        )
    version = int(versions[0])
    if version < OLDEST:
        raise DatabaseRefused(
            f"the database has schema version {version}, and the oldest that is upgraded is {OLDEST}; open "
            "it once with ML Metadata 1.17 and its upgrade enabled (back it up first)"
        )
    if version > NEWEST:
        raise DatabaseRefused(
            f"the database has schema version {version}, newer than the {NEWEST} that this release of "
            "headwater knows; install a newer release"
        )
    return version


def _lacking(layout: Layout, version: int) -> list[str]:
    return [
        f"{table.name}.{column.name}"
        for table in schema.MLMD_TABLES
        if layout.has(table)
        for column in table.columns
        if COLUMNS_SINCE.get(column.name, OLDEST) <= version and layout.type_of(table, column.name) is None
    ]
