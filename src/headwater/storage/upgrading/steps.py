"""What each schema version of ML Metadata brought, and what is only done when it is asked for.

Source: ``upgrade_queries`` in ml_metadata/util/metadata_source_query_config.cc; docs/upgrading.md says
where this differs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

import sqlalchemy as sa

from headwater.storage import schema
from headwater.storage.upgrading.backend import Backend
from headwater.storage.upgrading.changes import EVENT_KEY, Change, Recipe
from headwater.storage.upgrading.layout import NEWEST, Layout, is_narrow

_PROPERTIES = (
    schema.artifact_property_table,
    schema.execution_property_table,
    schema.context_property_table,
)
_WITH_EXTERNAL_ID = (schema.type_table, schema.artifact_table, schema.execution_table, schema.context_table)


def _to_7(backend: Backend, layout: Layout) -> Iterator[Change]:
    for table in _PROPERTIES:
        yield from backend.lengthen_strings(table, layout)
        yield from backend.add_columns(table, ["byte_value"], layout)
    yield from backend.add_indexes(schema.event_path_table.indexes, layout)


def _to_8(backend: Backend, layout: Layout) -> Iterator[Change]:
    for table in _PROPERTIES:
        yield from backend.add_indexes(table.indexes, layout)
    if not layout.is_unique(schema.event_table, *EVENT_KEY):
        yield from _without_duplicate_events()
    yield from backend.make_events_unique(layout)


def _without_duplicate_events() -> Iterator[Change]:
    """Of several events of one type between two nodes, the one with the highest id stays."""
    events, paths = schema.event_table, schema.event_path_table
    key = [events.c[name] for name in EVENT_KEY]
    repeated = (
        sa.select(*key, sa.func.max(events.c.id).label("kept"))
        .group_by(*key)
        .having(sa.func.count() > 1)
        .subquery("repeated")
    )
    # MySQL does not delete from a table that the condition reads too, unless what is read is set apart: by a
    # subquery in a subquery, with DISTINCT lest the two be merged.
    older = (
        sa.select(events.c.id)
        .join(repeated, sa.and_(*(events.c[name] == repeated.c[name] for name in EVENT_KEY)))
        .where(events.c.id < repeated.c.kept)
        .distinct()
        .subquery("older")
    )
    is_older = events.c.id.in_(sa.select(older.c.id))
    yield Change(sa.delete(events).where(is_older), sa.select(sa.func.count()).select_from(older))
    # The paths of the events that have just gone, and of any that went before them.
    is_orphan = ~sa.exists().where(events.c.id == paths.c.event_id)
    orphans = sa.select(sa.func.count()).select_from(paths).where(is_orphan)
    of_older = sa.select(sa.func.count()).select_from(paths.join(older, older.c.id == paths.c.event_id))
    yield Change(
        sa.delete(paths).where(is_orphan),
        sa.select(orphans.scalar_subquery() + of_older.scalar_subquery()),
    )


def _to_9(backend: Backend, layout: Layout) -> Iterator[Change]:
    for table in _WITH_EXTERNAL_ID:
        yield from backend.add_external_id(table, layout)


def _to_10(backend: Backend, layout: Layout) -> Iterator[Change]:
    for table in _PROPERTIES:
        yield from backend.add_columns(table, ["proto_value", "bool_value"], layout)


def _mend(backend: Backend, layout: Layout) -> Iterable[Change]:
    return backend.mend(layout)


def _widen(table: sa.Table, backend: Backend, layout: Layout) -> Iterable[Change]:
    # The tables of a database that headwater makes: ids, references, steps of a path and int values are wide.
    columns = [
        column
        for column in table.columns
        if isinstance(column.type, sa.BigInteger) and is_narrow(layout.type_of(table, column.name))
    ]
    return backend.widen(table, columns, layout)


def _add_index(index: sa.Index, backend: Backend, layout: Layout) -> Iterable[Change]:
    return backend.add_index_beside_writers(index, layout)


def recipes(*, wide_integers: bool, add_indexes: bool) -> list[Recipe]:
    """All steps, in order. Those that find nothing to do are left out when they are worked out."""
    found = [
        Recipe(f"schema version {version - 1} to {version}", changes, version)
        for version, changes in ((7, _to_7), (8, _to_8), (9, _to_9), (NEWEST, _to_10))
    ]
    found.append(Recipe("times and sequences that an upgrade by ML Metadata left wrong", _mend))
    if wide_integers:
        found += [
            Recipe(f"64-bit integers in {table.name}", partial(_widen, table))
            for table in schema.MLMD_TABLES
            if table is not schema.env_table
        ]
    if add_indexes:
        found += [
            Recipe(f"index {index.name}", partial(_add_index, index), in_transaction=False)
            for table in schema.MLMD_TABLES
            for index in sorted(table.indexes, key=lambda index: str(index.name))
        ]
    return found
