"""Looking a database over: what it holds, and what in it is broken.

Nothing is mended here. Foreign keys do not exist in MLMD's tables, so rows can outlive what they point
to, whoever wrote them; each such fault is one statement.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError

from headwater.errors import DatabaseRefused, DataLoss, HeadwaterError
from headwater.storage import schema
from headwater.storage.copying.backends import AnyOrder
from headwater.storage.copying.rows import Layout, Reading, layout_of, pages
from headwater.storage.database import Database
from headwater.storage.kinds import KINDS, NodeKind
from headwater.storage.statements import Prepared
from headwater.storage.transactions import Transaction
from headwater.v1 import metadata_store_pb2 as pb

EXAMPLES = 100
"""So many rows of each fault are named; all are counted."""

_type = schema.type_table
_event = schema.event_table


@dataclass(frozen=True)
class Finding:
    """One kind of fault and the rows that have it."""

    problem: str
    """A sentence without its subject's count, such as "events of an artifact that is not stored"."""
    table: str
    """Where the rows are; empty for a fault of the file."""
    count: int
    rows: list[dict[str, Any]]
    """What tells the first ``EXAMPLES`` rows apart: column name to value."""


@dataclass(frozen=True)
class Description:
    """What a database holds."""

    schema_version: int
    size_bytes: int
    facts: dict[str, str]
    """``server``, ``encoding`` and others that differ from one kind of database to the next."""
    missing_indexes: list[str]
    """Those of ML Metadata and the two of our own."""
    narrow_columns: list[str]
    """``Table.column`` of each integer that has 32 bits where 64 are wanted."""
    counts: dict[str, int]
    """Kind name, ``event``, ``attribution`` and the like to the number of rows."""
    types: list[dict[str, Any]]
    """``kind``, ``id``, ``name``, ``version`` (``None``: none) and ``count`` of nodes, by kind and id."""


# Describing

_VERSION = Prepared(sa.select(schema.env_table.c.schema_version))


def describe(database: Database) -> Description:
    """What the database holds. Reads an index of every table whole.

    Raises:
        DatabaseRefused: it holds no store of the newest schema version.
    """
    return database.read(_describe)


def _describe(tx: Transaction) -> Description:
    faults = _layout_faults(tx)
    if faults:
        raise DatabaseRefused(faults[0].problem)
    counted = {
        **{kind.name: kind.table for kind in KINDS},
        "event": _event,
        "attribution": schema.attribution_table,
        "association": schema.association_table,
        "parent_context": schema.parent_context_table,
    }
    types = [
        {"kind": kind.name, "id": type_id, "name": name, "version": version or None, "count": count}
        for kind in KINDS
        for type_id, name, version, count in tx.rows(_count_by_type(kind))
    ]
    return Description(
        schema_version=tx.rows(_VERSION)[0][0],
        size_bytes=tx.dialect.size_bytes(tx.begun()),
        facts=tx.dialect.facts(tx.begun()),
        missing_indexes=_missing_indexes(tx),
        narrow_columns=_narrow_columns(tx),
        counts={
            name: tx.rows(Prepared(sa.select(sa.func.count()).select_from(table)))[0][0]
            for name, table in counted.items()
        },
        types=types,
    )


def _count_by_type(kind: NodeKind) -> Prepared:
    return Prepared(
        sa.select(_type.c.id, _type.c.name, _type.c.version, sa.func.count(kind.table.c.id))
        .select_from(_type.outerjoin(kind.table, kind.table.c.type_id == _type.c.id))
        .where(_type.c.type_kind == kind.number)
        .group_by(_type.c.id, _type.c.name, _type.c.version)
        .order_by(_type.c.id)
    )


def _missing_indexes(tx: Transaction) -> list[str]:
    existing = tx.dialect.index_names(tx.begun())
    wanted = [str(index.name) for table in schema.MLMD_TABLES for index in table.indexes]
    return sorted(name for name in wanted if name not in existing)


def _narrow_columns(tx: Transaction) -> list[str]:
    if not tx.dialect.is_server:
        return []  # SQLite has 64 bits whatever a column is called.
    from headwater.storage.upgrading.layout import is_narrow, read_layout

    engine = tx.dialect.engine()
    try:
        with engine.connect() as connection:
            layout = read_layout(connection)
    finally:
        engine.dispose()
    return [
        f"{table.name}.{column.name}"
        for table in schema.MLMD_TABLES
        for column in table.columns
        if isinstance(column.type, sa.BigInteger) and is_narrow(layout.type_of(table, column.name))
    ]


# Checking


def check(database: Database) -> list[Finding]:
    """Every fault found, none if the database is sound. Reads all of it, and holds up no writer.

    A damaged file and missing tables are reported alone. Each other fault is looked for in a transaction
    of its own.
    """
    try:
        findings = database.read(_damage)
        if findings and not database.dialect.is_server:
            return findings
        missing = database.read(_layout_faults)
    except DataLoss as error:
        return [Finding(f"the database file is damaged: {error.__cause__ or error}", "", 1, [])]
    if missing:
        return findings + missing
    for table, look in _looks():
        try:
            findings += database.read(look)
        except HeadwaterError as error:
            findings.append(Finding(f"cannot be read: {error}", table, 1, []))
    return findings


def _looks() -> Iterator[tuple[str, Callable[[Transaction], list[Finding]]]]:
    for problem, table, columns, statement in _broken_rows():
        yield table.name, _rows_with(problem, table, columns, Prepared(statement))
    for table in schema.MLMD_TABLES:
        if table is not schema.env_table:
            yield table.name, _unreadable_values(layout_of(table))


def _damage(tx: Transaction) -> list[Finding]:
    existing = tx.dialect.table_names(tx.begun())
    tables = [table for table in schema.MLMD_TABLES if table.name.lower() in existing]
    return [Finding(fault, "", 1, []) for fault in tx.dialect.damage(tx.begun(), tables)]


def _layout_faults(tx: Transaction) -> list[Finding]:
    existing = {name.lower() for name in tx.dialect.table_names(tx.begun())}
    missing = [table.name for table in schema.MLMD_TABLES if table.name.lower() not in existing]
    if missing:
        return [Finding(f"tables that are missing: {', '.join(missing)}", "", len(missing), [])]
    versions = [version for (version,) in tx.rows(_VERSION)]
    if versions != [schema.SCHEMA_VERSION]:
        found = ", ".join(map(str, versions)) or "no row"
        problem = f"the schema version {schema.SCHEMA_VERSION} belongs here, found {found}"
        return [Finding(problem, schema.env_table.name, len(versions), [])]
    return []


Fault = tuple[str, sa.Table, Sequence[str], sa.Select[Any]]
"""The problem, the table, the columns that identify a row, and the query of the rows that have it."""


def _broken_rows() -> Iterator[Fault]:
    artifact, execution, context = (kind.table for kind in KINDS)
    pointers = [
        (_event, "artifact_id", artifact),
        (_event, "execution_id", execution),
        (schema.event_path_table, "event_id", _event),
        (schema.attribution_table, "artifact_id", artifact),
        (schema.attribution_table, "context_id", context),
        (schema.association_table, "execution_id", execution),
        (schema.association_table, "context_id", context),
        (schema.parent_context_table, "context_id", context),
        (schema.parent_context_table, "parent_context_id", context),
        (schema.type_property_table, "type_id", _type),
        (schema.parent_type_table, "type_id", _type),
        (schema.parent_type_table, "parent_type_id", _type),
        *((kind.properties, "node_id", kind.table) for kind in KINDS),
    ]
    for table, pointer, target in pointers:
        yield _dangling(table, pointer, target)
    for kind in KINDS:
        yield _without_type(kind)
        yield _without_value(kind)
    yield _of_unknown_direction()
    yield _duplicate_types()


def _dangling(table: sa.Table, pointer: str, target: sa.Table) -> Fault:
    columns = ["id"] if "id" in table.c else [column.key for column in table.primary_key] or ["event_id"]
    if pointer not in columns:
        columns.append(pointer)
    select = (
        sa.select(*(table.c[column] for column in columns))
        .select_from(table.outerjoin(target, target.c.id == table.c[pointer]))
        .where(target.c.id.is_(None))
    )
    name = str(table.c[pointer].name).removesuffix("_id").replace("_", " ")
    return f"rows whose {name} is not stored", table, columns, select


def _without_type(kind: NodeKind) -> Fault:
    node = kind.table
    is_its_type = sa.and_(_type.c.id == node.c.type_id, _type.c.type_kind == kind.number)
    select = (
        sa.select(node.c.id, node.c.type_id)
        .select_from(node.outerjoin(_type, is_its_type))
        .where(_type.c.id.is_(None))
    )
    return f"{kind.name}s whose type is not stored", node, ["id", "type_id"], select


def _without_value(kind: NodeKind) -> Fault:
    row = kind.properties.c
    values = (row.int_value, row.double_value, row.string_value, row.proto_value, row.bool_value)
    select = sa.select(row.node_id, row.name, row.is_custom_property).where(
        *(value.is_(None) for value in values)
    )
    return "properties without a value", kind.properties, ["node_id", "name", "is_custom_property"], select


def _of_unknown_direction() -> Fault:
    known: list[sa.ColumnElement[Any]] = [
        sa.literal_column(str(number)) for number in pb.Event.Type.values() if number != pb.Event.UNKNOWN
    ]
    select = sa.select(_event.c.id, _event.c.type).where(_event.c.type.not_in(known))
    return "events that are neither input nor output", _event, ["id", "type"], select


def _duplicate_types() -> Fault:
    """MLMD leaves such rows behind when two programs make a type at the same time."""
    twin = _type.alias()
    is_older_twin = sa.and_(
        twin.c.type_kind == _type.c.type_kind,
        twin.c.name == _type.c.name,
        sa.func.coalesce(twin.c.version, "") == sa.func.coalesce(_type.c.version, ""),
        twin.c.id < _type.c.id,
    )
    select = sa.select(_type.c.id, _type.c.name).where(sa.exists().where(is_older_twin))
    problem = "types that an older one of the same kind, name and version hides"
    return problem, _type, ["id", "name"], select


def _rows_with(
    problem: str, table: sa.Table, columns: Sequence[str], statement: Prepared
) -> Callable[[Transaction], list[Finding]]:
    def look(tx: Transaction) -> list[Finding]:
        rows = tx.rows(statement)
        return [_finding(problem, table, columns, rows)] if rows else []

    return look


def _finding(problem: str, table: sa.Table, columns: Sequence[str], rows: Sequence[Any]) -> Finding:
    names = [str(table.c[column].name) for column in columns]
    return Finding(
        problem,
        table.name,
        len(rows),
        [dict(zip(names, row, strict=True)) for row in sorted(rows)[:EXAMPLES]],
    )


def _unreadable_values(layout: Layout) -> Callable[[Transaction], list[Finding]]:
    """Find messages that are none, and text that is not UTF-8: a C++ client may call any bytes a string."""

    def look(tx: Transaction) -> list[Finding]:
        reading = Reading(AnyOrder(tx.dialect), layout)
        broken: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for rows in pages(tx.rows, reading):
            for row, _ in reading.undecodable(rows):
                broken["properties whose message cannot be decoded"].append(layout.key_of(row))
            for row in _not_messages(layout, rows):
                broken["properties whose message cannot be decoded"].append(layout.key_of(row))
            for row, column, text in reading.suspicious(rows):
                if "\ufffd" in text and not reading.is_utf8(tx.rows, row, column):
                    broken[f"text in the column {column.name} that is not UTF-8"].append(layout.key_of(row))
        return [Finding(problem, layout.name, len(keys), keys[:EXAMPLES]) for problem, keys in broken.items()]

    return look


def _not_messages(layout: Layout, rows: Sequence[Any]) -> Iterator[Any]:
    """Rows with bytes that no message of protobuf's has."""
    index = next((at for at, column in enumerate(layout.columns) if column.key == "proto_value"), None)
    for row in rows if index is not None else ():
        if isinstance(row[index], bytes):
            try:
                any_pb2.Any.FromString(row[index])
            except DecodeError:
                yield row
