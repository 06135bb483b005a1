"""Stores to filter, and the ways to ask them."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from headwater.filters import Filter, compile_filter
from headwater.storage import schema
from headwater.storage.database import Database
from headwater.storage.kinds import NodeKind
from headwater.storage.listing import Order, list_page
from headwater.storage.statements import Insert, Prepared
from headwater.storage.transactions import Transaction

Ids = list[int]

# A new store has types of its own, with the lowest ids.
MODEL, DATA, TRAIN, RUN, PIPE, NAMESAKE = range(101, 107)

ORDERS = (Order(), Order("create_time_since_epoch", ascending=False))


def put_rows(database: Database, table: sa.Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert rows as they are, in one transaction."""

    def insert(tx: Transaction) -> None:
        for row in rows:
            columns = [column.key for column in table.c if column.key in row]
            tx.insert(Insert(table, *columns), [tuple(row[key] for key in columns)])

    database.write(insert)


def in_order(filter_: Filter, kind: NodeKind) -> sa.Select[tuple[int]]:
    """The statement that tests node after node."""
    statement = sa.select(kind.table.c.id).order_by(kind.table.c.id)
    for neighbourhood in filter_.neighbourhoods:
        statement = statement.where(neighbourhood.exists())
    return statement if filter_.own is None else statement.where(filter_.own)


def from_neighbours(filter_: Filter, kind: NodeKind) -> sa.Select[tuple[int]]:
    """The statement that starts from what the neighbours say."""
    statement = sa.select(kind.table.c.id).order_by(kind.table.c.id)
    for neighbourhood in filter_.neighbourhoods:
        statement = statement.where(kind.table.c.id.in_(neighbourhood.candidates()))
    return statement if filter_.own is None else statement.where(filter_.own)


def matches(database: Database, text: str, kind: NodeKind) -> Ids:
    """The ids that match, found in every way there is."""
    filter_ = compile_filter(text, kind)

    def ask(tx: Transaction) -> tuple[Ids, ...]:
        statements = in_order(filter_, kind), from_neighbours(filter_, kind)
        questions = [(Prepared(each, *filter_.values), *filter_.values.values()) for each in statements]
        found = [[row[0] for row in rows] for rows in tx.rows_of_each(questions)]
        for order in ORDERS:
            found.append(
                sorted(p.node_id for p in list_page(tx, kind, limit=1000, order=order, where=filter_))
            )
        return tuple(found)

    first, *others = database.read(ask)
    assert others == [first] * len(others)
    return first


def _properties(node_id: int, custom: bool = False, **values: object) -> list[dict[str, object]]:
    column = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value"}
    return [
        {"node_id": node_id, "name": name, "is_custom_property": custom, column[type(value)]: value}
        for name, value in values.items()
    ]


def put_graph(database: Database) -> None:
    """Four artifacts, three executions and three contexts as MLMD writes them.

    An unset uri is "", an unset state or name NULL.
    """
    times = {"create_time_since_epoch": 1000, "last_update_time_since_epoch": 2000}
    rows: list[tuple[sa.Table, list[dict[str, object]]]] = [
        (
            schema.type_table,
            [
                {"id": MODEL, "name": "Model", "type_kind": 1},
                {"id": DATA, "name": "Data", "type_kind": 1, "version": "2"},
                {"id": TRAIN, "name": "Train", "type_kind": 0},
                {"id": RUN, "name": "Run", "type_kind": 2},
                {"id": PIPE, "name": "Pipe", "type_kind": 2},
                {"id": NAMESAKE, "name": "Pipe", "type_kind": 1},
            ],
        ),
        (
            schema.artifact_table,
            [
                {"id": 1, "type_id": MODEL, "name": "m1", "uri": "/p/1", "state": 2, "external_id": "x1"},
                {"id": 2, "type_id": MODEL, "name": "m2", "uri": "/p/2", "state": 1},
                {"id": 3, "type_id": DATA, "name": "d1", "uri": "/d/1"},
                {"id": 4, "type_id": DATA, "uri": "", "state": 5},
            ],
        ),
        (
            schema.execution_table,
            [
                {"id": 1, "type_id": TRAIN, "name": "e1", "last_known_state": 2},
                {"id": 2, "type_id": TRAIN, "name": "e2", "last_known_state": 3},
                {"id": 3, "type_id": TRAIN},
            ],
        ),
        (
            schema.context_table,
            [
                {"id": 1, "type_id": RUN, "name": "r1"},
                {"id": 2, "type_id": RUN, "name": "r2"},
                {"id": 3, "type_id": PIPE, "name": "p1"},
            ],
        ),
        (
            schema.artifact_property_table,
            [
                *_properties(1, acc=0.9, n=5, s="foo", b=True, **{"my prop": 7}),
                *_properties(1, custom=True, n=50, **{"a:b.c": "z"}),
                *_properties(2, custom=True, u="漢€😀"),
                *_properties(2, acc=0.5, s='it\'s "q"', b=False),
                *_properties(3, custom=True, n="50"),
            ],
        ),
        (schema.execution_property_table, _properties(1, n=1)),
        (schema.context_property_table, _properties(1, n=1)),
        (
            schema.attribution_table,
            [{"artifact_id": a, "context_id": c} for a, c in ((1, 1), (1, 3), (2, 2))],
        ),
        (
            schema.association_table,
            [{"execution_id": e, "context_id": c} for e, c in ((1, 1), (1, 3), (2, 2))],
        ),
        (schema.parent_context_table, [{"context_id": c, "parent_context_id": 3} for c in (1, 2)]),
        (
            schema.event_table,
            [
                {"artifact_id": a, "execution_id": e, "type": type_, "milliseconds_since_epoch": ms}
                for a, e, type_, ms in ((3, 1, 3, 100), (1, 1, 4, 200), (1, 2, 2, 300), (2, 2, 7, 400))
            ],
        ),
    ]
    for table, values in rows:
        timed = times if "create_time_since_epoch" in table.c else {}
        put_rows(database, table, [value | timed for value in values])
