"""Opening a database: made when it is new, recognised when it is MLMD's, refused when it cannot be served."""

import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from headwater.errors import DatabaseRefused, FailedPrecondition, SchemaTooOld, Unavailable
from headwater.storage import schema
from headwater.storage.database import Database
from headwater.storage.dialects import ServerDialect, SqliteDialect, dialect_for, explained
from headwater.storage.files import FileDatabase
from headwater.storage.pools import PooledDatabase
from headwater.storage.statements import Insert, Prepared
from headwater.storage.transactions import Transaction
from headwater.storage.types import add_missing_simple_types

log = logging.getLogger(__name__)

_VERSIONS = Prepared(sa.select(schema.env_table.c.schema_version))
_WRITE_VERSION = Insert(schema.env_table, "schema_version")

_in_memory: list[Database] = []
_in_memory_lock = threading.Lock()


def open_database(
    database_url: str,
    *,
    create: bool = True,
    create_database: bool = True,
    private: bool = False,
    **options: Any,
) -> Database:
    """Open the database behind a URL, making what is missing if ``create`` is true.

    Made are the tables in an empty database, and on a server the database itself, unless
    ``create_database`` is false. An in-memory URL names one store for the life of the process, whoever
    opens it, unless ``private``. ``options`` go to ``FileDatabase`` or ``PooledDatabase``; those that only
    the other one has are left out.

    Raises:
        InvalidRequest: not a URL of a supported database.
        DatabaseRefused: it cannot be served; the message says what to do.
        Unavailable: the server does not answer now.
    """
    dialect = dialect_for(database_url, create=create)
    if isinstance(dialect, ServerDialect):
        return _open_pooled(dialect, create, create_database, options)
    assert isinstance(dialect, SqliteDialect)
    options.pop("connections", None)
    dialect.prepare_file()
    if dialect.shared or private:
        return _checked(FileDatabase(dialect, **options), create)
    with _in_memory_lock:
        if not _in_memory:
            _in_memory.append(_checked(FileDatabase(dialect, is_process_wide=True, **options), create))
        return _in_memory[0]


def open_unchecked(database_url: str) -> Database:
    """The same for a database that may not be fit to serve, to look it over. Nothing in it is changed."""
    dialect = dialect_for(database_url, create=False)
    if isinstance(dialect, ServerDialect):
        dialect.connect().close()
        return PooledDatabase(dialect)
    assert isinstance(dialect, SqliteDialect)
    dialect.prepare_file()
    return FileDatabase(dialect)


def _open_pooled(
    dialect: ServerDialect, create: bool, create_database: bool, options: dict[str, Any]
) -> Database:
    if create and create_database:
        dialect.create_database()
    connection = dialect.connect()
    try:
        # Of several servers that start on an empty database one makes the tables.
        dialect.lock_opening(connection)
        dialect.learn(connection)
        database = _checked(PooledDatabase(dialect, **options), create, lambda: dialect.learn(connection))
        try:
            dialect.unlock_opening(connection)
        except BaseException:
            database.close()
            raise
        return database
    except dialect.driver_error as error:
        if dialect.is_conflict(error) or dialect.is_lost(error, connection):
            raise Unavailable(
                "another server is making or upgrading this database, or the connection was lost; try again"
            ) from error
        raise explained(dialect, error) from error
    finally:
        with contextlib.suppress(Exception):  # It may have been lost.
            connection.close()


def _checked(database: Database, create: bool, learn: Callable[[], None] = lambda: None) -> Database:
    try:
        database.write(lambda tx: _make_or_check(tx, create))
        learn()
        # Apart, because MySQL commits whatever came before a table that is made.
        database.write(add_missing_simple_types)
    except DatabaseRefused:
        database.close()
        raise
    except FailedPrecondition as error:
        database.close()
        raise DatabaseRefused(
            f"the database is no whole store yet, and what it lacks cannot be made: {error}. "
            "A user who may make tables can do it once for all others: headwater db init"
        ) from error
    except BaseException:
        database.close()
        raise
    return database


def _make_or_check(tx: Transaction, create: bool) -> None:
    existing = tx.dialect.table_names(tx.begun())
    missing = [table for table in schema.MLMD_TABLES if table.name.lower() not in existing]
    if len(missing) == len(schema.MLMD_TABLES) or (missing and _is_begun_only(tx, missing)):
        if not create:
            raise DatabaseRefused("the database holds no store; 'headwater db init' makes one")
        _make(tx, missing)
    else:
        _check(tx, [table.name for table in missing])
        lacking = missing_indexes(tx)
        if isinstance(tx.dialect, SqliteDialect):
            tx.dialect.do_without(lacking)
        if lacking:
            log.warning(
                "this database lacks indexes, so some questions are slow to answer; "
                "'headwater db upgrade --add-indexes' adds them, and ML Metadata still opens it",
                extra={"missing": lacking},
            )
    _make_tables(tx, [table for table in schema.OWN_TABLES if table.name not in existing])


def _is_begun_only(tx: Transaction, missing: Sequence[sa.Table]) -> bool:
    """Whether the making of this database was cut short, which MySQL cannot take back."""
    present = [table for table in schema.MLMD_TABLES if table not in missing]
    return (
        tx.dialect.is_server
        and schema.env_table in missing
        and not any(
            tx.rows(Prepared(sa.select(sa.literal_column("1")).select_from(table).limit(1)))
            for table in present
        )
    )


def _make(tx: Transaction, tables: Sequence[sa.Table]) -> None:
    if isinstance(tx.dialect, ServerDialect):
        tx.dialect.check_fit_for_a_store(tx.begun())
    # The table with the version comes last: where it is, the others are.
    _make_tables(tx, sorted(tables, key=lambda table: table is schema.env_table))
    tx.insert(_WRITE_VERSION, [(schema.SCHEMA_VERSION,)])


def _make_tables(tx: Transaction, tables: Sequence[sa.Table]) -> None:
    for table in tables:
        tx.define(sa.schema.CreateTable(table))
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            _create_index(tx, index)


def _create_index(tx: Transaction, index: sa.Index) -> None:
    tx.define(sa.schema.CreateIndex(index))


def _check(tx: Transaction, missing_tables: list[str]) -> None:
    if schema.env_table.name in missing_tables:
        raise DatabaseRefused(
            "the database has tables of ML Metadata but no MLMDEnv with its schema version: it was made by a "
            "release before 0.14, or only in part; upgrade it with ML Metadata 1.17, or start on an empty one"
        )
    versions = [row[0] for row in tx.rows(_VERSIONS)]
    if not versions and schema.copy_table.name in tx.dialect.table_names(tx.begun()):
        raise DatabaseRefused(
            "the database is an unfinished copy of another; repeat the 'headwater db copy' that began it"
        )
    if len(versions) != 1:
        found = "no row" if not versions else f"{len(versions)} rows"
        raise DatabaseRefused(
            f"MLMDEnv, which holds the schema version, has {found} where one belongs: the database was made "
            "only in part or damaged; restore it from a backup, or start on an empty one"
        )
    if versions[0] < schema.SCHEMA_VERSION:
        raise SchemaTooOld(
            f"the database has schema version {versions[0]} and headwater serves {schema.SCHEMA_VERSION}; "
            "back it up and run 'headwater db upgrade'"
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


def missing_indexes(tx: Transaction) -> list[str]:
    """The names of the indexes that the database lacks, MLMD's own among them."""
    existing = tx.dialect.index_names(tx.begun())
    names = [str(index.name) for table in schema.MLMD_TABLES for index in table.indexes]
    return sorted(name for name in names if name not in existing)


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
