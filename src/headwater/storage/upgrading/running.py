"""Planning and running an upgrade."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa

from headwater.errors import DatabaseRefused
from headwater.storage import schema
from headwater.storage.dialects import SqliteDialect, dialect_for
from headwater.storage.upgrading.backend import Backend
from headwater.storage.upgrading.changes import Change, Progress, Recipe, Statement, Step, all_rows
from headwater.storage.upgrading.layout import Layout, checked_version
from headwater.storage.upgrading.mysql import MysqlBackend
from headwater.storage.upgrading.postgresql import PostgresqlBackend
from headwater.storage.upgrading.sqlite import SqliteBackend
from headwater.storage.upgrading.steps import recipes

PATIENCE_S = 60


def plan(database_url: str, *, wide_integers: bool = False, add_indexes: bool = False) -> list[Step]:
    """What ``upgrade`` would do, in order; empty if there is nothing to do. Changes nothing.

    Rows are counted where a statement writes or removes them, which reads the tables concerned.

    Raises:
        DatabaseRefused: the database cannot be upgraded; the message says why and what to do.
        InvalidRequest: not a URL of a supported database.
        Unavailable: the database cannot be reached.
    """
    found = []
    with _connected(database_url) as backend:
        layout = backend.layout()
        stored = checked_version(backend.connection, layout)
        for recipe in recipes(wide_integers=wide_integers, add_indexes=add_indexes):
            with _explaining(backend, recipe):
                changes = _worked_out(recipe, backend, layout, stored)
                if changes:
                    found.append(_step(recipe, backend, changes, counted=True))
            layout = layout.with_indexes(change.makes_index for change in changes if change.makes_index)
    return found


def upgrade(
    database_url: str,
    *,
    wide_integers: bool = False,
    add_indexes: bool = False,
    progress: Progress | None = None,
    patience_s: int = PATIENCE_S,
) -> list[Step]:
    """Bring a database to the newest schema version; what was done, with the rows that were touched.

    ``wide_integers`` gives ids, references and int values 64 bits on PostgreSQL and MySQL. ``add_indexes``
    makes the indexes that are missing, those included that ML Metadata does not have. A database that has
    all that is left alone.

    Each step is one transaction on SQLite and PostgreSQL. On MySQL each statement is final, and an upgrade
    that was cut short is finished by another one. Upgrades of one database take turns. Servers must be
    stopped by the caller; ``patience_s`` is how long to wait for another upgrade, and for a table that
    another program keeps busy.

    Raises:
        DatabaseRefused: the database cannot be upgraded; the message says why and what to do.
        InvalidRequest: not a URL of a supported database.
        Aborted: another upgrade or another program was in the way for too long.
        FailedPrecondition: the database refused a statement.
        ResourceExhausted: its disk is full.
        Unavailable: the database cannot be reached.
    """
    done = []
    with _connected(database_url, patience_s) as backend, backend.alone():
        layout = None
        for recipe in recipes(wide_integers=wide_integers, add_indexes=add_indexes):
            # Where nothing else keeps other upgrades out, the transaction does.
            is_step = recipe.in_transaction or not backend.is_alone
            with _explaining(backend, recipe), backend.step() if is_step else nullcontext():
                if layout is None or not backend.is_alone:
                    layout = backend.layout()
                    stored = checked_version(backend.connection, layout)
                changes = _worked_out(recipe, backend, layout, stored)
                if changes:
                    layout = None
                    done.append(_carried_out(recipe, backend, changes, progress))
    return done


def _worked_out(recipe: Recipe, backend: Backend, layout: Layout, stored: int) -> list[Change]:
    if recipe.version is None:
        return list(recipe.changes(backend, layout))
    if recipe.version <= stored:
        return []
    version = sa.update(schema.env_table).values(schema_version=recipe.version)
    return [*recipe.changes(backend, layout), Change(version, all_rows(schema.env_table))]


def _step(recipe: Recipe, backend: Backend, changes: list[Change], *, counted: bool) -> Step:
    statements = (
        Statement(
            backend.text_of(change.clause),
            int(backend.connection.scalar(change.counted) or 0)
            if counted and change.counted is not None
            else None,
        )
        for change in changes
    )
    return Step(recipe.title, recipe.version, tuple(statements))


def _carried_out(recipe: Recipe, backend: Backend, changes: list[Change], progress: Progress | None) -> Step:
    step = _step(recipe, backend, changes, counted=False)
    done = []
    for change, statement in zip(changes, step.statements, strict=True):
        if progress is not None:
            progress(step, statement)
        try:
            result = backend.connection.execute(change.clause)
        except sa.exc.DBAPIError:
            if change.makes_index and not recipe.in_transaction:
                with suppress(sa.exc.SQLAlchemyError):
                    backend.drop_failed_index(change.makes_index)
            raise
        writes_rows = isinstance(change.clause, sa.sql.dml.UpdateBase)
        done.append(replace(statement, rows=result.rowcount if writes_rows else None))
    return replace(step, statements=tuple(done))


@contextmanager
def _explaining(backend: Backend, recipe: Recipe) -> Iterator[None]:
    try:
        yield
    except sa.exc.DBAPIError as error:
        raise backend.explained(error, recipe.title) from error


_BACKENDS: dict[str, type[Backend]] = {
    "sqlite": SqliteBackend,
    "postgresql": PostgresqlBackend,
    "mysql": MysqlBackend,
}


@contextmanager
def _connected(database_url: str, patience_s: int = PATIENCE_S) -> Iterator[Backend]:
    dialect = dialect_for(database_url, create=False)
    if isinstance(dialect, SqliteDialect):
        _check_file(dialect)
    engine = dialect.engine()
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            backend = _BACKENDS[dialect.name](connection, patience_s)
            backend.set_up()
            yield backend
    except sa.exc.DBAPIError as error:  # one that ``_explaining`` has not seen: no step had begun
        said = str(error.orig).strip().split("\n")[0]
        raise DatabaseRefused(f"the database cannot be looked at: {said}") from error
    finally:
        engine.dispose()


def _check_file(dialect: SqliteDialect) -> None:
    # Not ``prepare_file``: it puts the database in WAL mode, and a plan changes nothing.
    if dialect.in_memory:
        raise DatabaseRefused("a database in memory is new, so there is nothing to upgrade")
    name = dialect.file_name
    if not name.startswith("file:") and not Path(name).is_file():
        raise DatabaseRefused(f"there is no database at {name!r}, so there is nothing to upgrade")
