"""Opening a database: made when it is new, recognised when it is MLMD's, refused when it cannot be served."""

import logging
import threading
from typing import Any

import sqlalchemy as sa

from headwater.errors import DatabaseRefused
from headwater.storage import schema
from headwater.storage.database import Database
from headwater.storage.dialects import dialect_for
from headwater.storage.statements import Prepared, insert
from headwater.storage.transactions import Transaction
from headwater.storage.types import add_missing_simple_types

log = logging.getLogger(__name__)

_VERSIONS = Prepared(sa.select(schema.env_table.c.schema_version))
_WRITE_VERSION = insert(schema.env_table, "schema_version")

_in_memory: list[Database] = []
_in_memory_lock = threading.Lock()


def open_database(
    database_url: str, *, create: bool = True, private: bool = False, **options: Any
) -> Database:
    """Open the database behind a URL, making it if it is empty and ``create`` is true.

    An in-memory URL names one store for the life of the process, whoever opens it, unless ``private``.
    ``options`` go to ``Database``.

    Raises:
        InvalidRequest: not a URL of a supported database.
        DatabaseRefused: it cannot be served; the message says what to do.
    """
    dialect = dialect_for(database_url, create=create)
    dialect.prepare_file()
    if dialect.shared or private:
        return _checked(Database(dialect, **options), create)
    with _in_memory_lock:
        if not _in_memory:
            _in_memory.append(_checked(Database(dialect, is_process_wide=True, **options), create))
        return _in_memory[0]


def _checked(database: Database, create: bool) -> Database:
    try:
        database.write(lambda tx: _make_or_check(tx, create))
    except BaseException:
        database.close()
        raise
    return database


def _make_or_check(tx: Transaction, create: bool) -> None:
    existing = {name.lower() for name in tx.dialect.table_names(tx.begun())}
    missing = [table.name for table in schema.MLMD_TABLES if table.name.lower() not in existing]
    if len(missing) == len(schema.MLMD_TABLES):
        if not create:
            raise DatabaseRefused("the database holds no store; 'headwater db init' makes one")
        _make(tx)
    else:
        _check(tx, missing)
        missing_indexes = missing_own_indexes(tx)
        if missing_indexes:
            log.warning(
                "this database lacks indexes, so contexts and lineage of a node are slow to find; "
                "'headwater db init' adds them, and ML Metadata still opens it",
                extra={"missing": missing_indexes},
            )
    add_missing_simple_types(tx)


def _make(tx: Transaction) -> None:
    for table in schema.MLMD_TABLES:
        tx.define(sa.schema.CreateTable(table))
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            _create_index(tx, index)
    tx.run(_WRITE_VERSION, schema.SCHEMA_VERSION)


def _create_index(tx: Transaction, index: sa.Index) -> None:
    tx.define(sa.schema.CreateIndex(index))


def _check(tx: Transaction, missing_tables: list[str]) -> None:
    if schema.env_table.name in missing_tables:
        raise DatabaseRefused(
            "the database has tables of ML Metadata but no MLMDEnv with its schema version: it was made by a "
            "release before 0.14, or only in part; upgrade it with ML Metadata 1.17, or start on an empty one"
        )
    versions = [row[0] for row in tx.rows(_VERSIONS)]
    if len(versions) != 1:
        found = "no row" if not versions else f"{len(versions)} rows"
        raise DatabaseRefused(
            f"MLMDEnv, which holds the schema version, has {found} where one belongs: the database was made "
            "only in part or damaged; restore it from a backup, or start on an empty one"
        )
    if versions[0] < schema.SCHEMA_VERSION:
        raise DatabaseRefused(
            f"the database has schema version {versions[0]} and headwater serves {schema.SCHEMA_VERSION}; "
            "open it once with ML Metadata 1.17 and its upgrade enabled (back it up first)"
        )
    if versions[0] > schema.SCHEMA_VERSION:
        raise DatabaseRefused(
            f"the database has schema version {versions[0]}, newer than the {schema.SCHEMA_VERSION} that "
            "this release of headwater knows; install a newer release"
        )
    if missing_tables:
        raise DatabaseRefused(
            f"the database lacks the tables {', '.join(sorted(missing_tables))}: it was made only in part; "
            "restore it from a backup, or start on an empty one"
        )
    for table in schema.MLMD_TABLES:
        columns = tx.dialect.column_names(tx.begun(), table.name)
        lacking = [column.name for column in table.columns if column.name not in columns]
        if lacking:
            raise DatabaseRefused(
                f"the table {table.name} lacks the columns {', '.join(lacking)}; "
                "restore the database from a backup"
            )
    _restore_indexes(tx)


def _restore_indexes(tx: Transaction) -> None:
    """Add indexes that MLMD made and somebody dropped: listings rely on them."""
    existing = tx.dialect.index_names(tx.begun())
    for table in schema.MLMD_TABLES:
        for index in table.indexes:
            if index.name not in existing and index not in schema.OWN_INDEXES:
                _create_index(tx, index)


def missing_own_indexes(tx: Transaction) -> list[str]:
    """The names of those indexes of ours that the database lacks."""
    existing = tx.dialect.index_names(tx.begun())
    return [str(index.name) for index in schema.OWN_INDEXES if index.name not in existing]


def add_own_indexes(database: Database) -> list[str]:
    """Add the indexes that MLMD's schema lacks, if they are missing; their names."""

    def add(tx: Transaction) -> list[str]:
        missing = missing_own_indexes(tx)
        for index in schema.OWN_INDEXES:
            if index.name in missing:
                _create_index(tx, index)
        return missing

    return database.write(add)
