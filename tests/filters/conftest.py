"""A small graph to filter: four artifacts, three executions, three contexts."""

from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa

from headwater.filters import Filter, compile_filter
from headwater.storage import schema
from headwater.storage.dialects import dialect_for
from headwater.storage.kinds import NodeKind
from headwater.storage.statements import Prepared

Ids = list[int]
Ask = Callable[[str, NodeKind], Ids]

MODEL, DATA, TRAIN, RUN, PIPE = range(1, 6)


def _properties(node_id: int, custom: bool = False, **values: object) -> list[dict[str, object]]:
    column = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value"}
    return [
        {"node_id": node_id, "name": name, "is_custom_property": custom, column[type(value)]: value}
        for name, value in values.items()
    ]


def insert_graph(connection: sa.Connection) -> None:
    """Rows as MLMD writes them: an unset uri is "", an unset state or name NULL."""
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
                {"id": 6, "name": "Pipe", "type_kind": 1},
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
        for value in values:
            connection.execute(sa.insert(table).values(**value, **timed))


@pytest.fixture
def connection() -> Iterator[sa.Connection]:
    """An empty store in memory."""
    engine = sa.create_engine("sqlite://")
    schema.metadata.create_all(engine)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.fixture
def graph(connection: sa.Connection) -> sa.Connection:
    insert_graph(connection)
    return connection


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


def run(connection: sa.Connection, statement: sa.Select[tuple[int]], filter_: Filter) -> Ids:
    """The first column of what ``statement`` finds, run as storage runs it."""
    prepared = Prepared(statement, *filter_.values)
    text, arguments = prepared.for_driver(dialect_for("sqlite://"), list(filter_.values.values()))
    return list(connection.exec_driver_sql(text, tuple(arguments)).scalars())


def matches(connection: sa.Connection, text: str, kind: NodeKind) -> Ids:
    """The ids that match, found in both ways."""
    filter_ = compile_filter(text, kind)
    found = run(connection, in_order(filter_, kind), filter_)
    assert run(connection, from_neighbours(filter_, kind), filter_) == found
    return found


@pytest.fixture
def ask(graph: sa.Connection) -> Ask:
    """Ask the small graph for the ids that match."""
    return lambda text, kind: matches(graph, text, kind)


@pytest.fixture
def found_in() -> Callable[[sa.Connection, str, NodeKind], Ids]:
    """Ask any store for the ids that match."""
    return matches
