"""What a page costs does not grow with the store, on servers."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from databases import empty_store, server_of
from filters.asking import MODEL, PIPE, RUN, TRAIN
from proxies import Proxy
from support import Call

from headwater.embedded import EmbeddedTransport
from headwater.filters import compile_filter
from headwater.storage import schema
from headwater.storage.database import Database
from headwater.storage.kinds import ARTIFACT, CONTEXT, EXECUTION
from headwater.storage.listing import Order, Position, Scope, list_page
from headwater.storage.opening import open_database
from headwater.storage.statements import Insert, Prepared
from headwater.storage.transactions import Transaction
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc

pytestmark = pytest.mark.backends("postgresql", "mysql")

ARTIFACTS, RUNS = 40_000, 4_000
OTHER = 1_000
"""Every artifact is of the type MODEL but one in this many, of OTHER."""
MOST_ROWS = 5_000
"""Read for a page of 20, whatever the size of the store: the candidates of two conditions, and the page."""


def fill(tx: Transaction) -> None:
    """Runs of ten artifacts and one execution, all in one pipeline."""
    tx.insert(
        Insert(schema.type_table, "id", "name", "type_kind"),
        [(MODEL, "Model", 1), (OTHER, "Other", 1), (TRAIN, "Train", 0), (RUN, "Run", 2), (PIPE, "Pipe", 2)],
    )
    times = ("create_time_since_epoch", "last_update_time_since_epoch")
    tx.insert(
        Insert(schema.artifact_table, "id", "type_id", "uri", "state", "name", *times),
        [
            (
                n,
                OTHER if n % OTHER == 0 else MODEL,
                f"/a/{n}",
                2,
                f"a{n:06d}",
                10_000 + n // 3,
                20_000 + n // 3,
            )
            for n in range(1, ARTIFACTS + 1)
        ],
    )
    tx.insert(
        Insert(schema.execution_table, "id", "type_id", "name", *times),
        [(n, TRAIN, f"e{n}", n, n) for n in range(1, RUNS + 1)],
    )
    tx.insert(
        Insert(schema.context_table, "id", "type_id", "name", *times),
        [(n, RUN, f"r{n}", n, n) for n in range(1, RUNS + 1)] + [(RUNS + 1, PIPE, "p", 1, 1)],
    )
    of_artifact = Insert(
        schema.artifact_property_table, "node_id", "name", "is_custom_property", "int_value", "string_value"
    )
    for name, values in {
        "ticket": lambda n: (None, f"t{n // 5}"),
        "split": lambda n: (None, ("train", "eval")[n % 2]),
        "size": lambda n: (n, None),
    }.items():
        tx.insert(of_artifact, [(n, name, True, *values(n)) for n in range(1, ARTIFACTS + 1)])
    links = [(n % RUNS + 1, n) for n in range(1, ARTIFACTS + 1)]
    links += [(RUNS + 1, n) for n in range(1, ARTIFACTS + 1)]
    tx.insert(Insert(schema.attribution_table, "context_id", "artifact_id"), links)
    events = [(n, n % RUNS + 1, 3 + n % 2) for n in range(1, ARTIFACTS + 1)]
    tx.insert(Insert(schema.event_table, "artifact_id", "execution_id", "type"), events)


@pytest.fixture(scope="module")
def large(backend: str) -> Iterator[Database]:
    with empty_store(backend) as url:
        database = open_database(url)
        database.write(fill)
        analyze(database)
        yield database
        database.close()


def analyze(database: Database) -> None:
    with database.dialect.engine().connect() as connection:
        if database.dialect.name == "postgresql":
            connection.exec_driver_sql("ANALYZE")
        else:
            names = ", ".join(table.name for table in schema.metadata.sorted_tables)
            connection.exec_driver_sql(f"ANALYZE TABLE {names}")
        connection.commit()


def rows_read(tx: Transaction) -> int:
    """How many rows of tables and indexes this transaction has read so far, as the database counts."""
    if tx.dialect.name == "mysql":
        status = sa.text("SHOW SESSION STATUS LIKE 'Handler_read%'")
        return sum(int(value) for _, value in tx.rows(Prepared(status)))
    counters = "seq_tup_read + COALESCE(idx_tup_fetch, 0)"
    # Rows found in an index alone are not counted; before the first VACUUM there are none.
    total = sa.text(f"SELECT CAST(SUM({counters}) AS BIGINT) FROM pg_stat_xact_user_tables")
    return int(tx.rows(Prepared(total))[0][0])


def cost(database: Database, kind, text, **options: object) -> tuple[list[Position], int]:
    """A page of 20, and how many rows were read for it."""
    where = compile_filter(text, kind) if text else None

    def ask(tx: Transaction) -> tuple[list[Position], int]:
        before = rows_read(tx)
        page = list_page(tx, kind, limit=20, where=where, **options)
        return page, rows_read(tx) - before

    return database.read(ask)


BY_ID, NEWEST = Order(), Order("last_update_time_since_epoch", ascending=False)
FILTERS = {
    "no filter": (ARTIFACT, None, 20),
    "a selective property": (ARTIFACT, "custom_properties.ticket.string_value = 't77'", 5),
    "a list of values": (ARTIFACT, "custom_properties.size.int_value IN (5, 6, 7)", 3),
    "a wide property": (ARTIFACT, "custom_properties.split.string_value = 'eval'", 20),
    "a wide range": (ARTIFACT, "custom_properties.size.int_value > 100", 20),
    "a narrow range": (ARTIFACT, "custom_properties.size.int_value > 39990", 10),
    "a selective and a wide property": (
        ARTIFACT,
        "custom_properties.ticket.string_value = 't77' AND custom_properties.split.string_value = 'eval'",
        None,
    ),
    "two wide properties": (
        ARTIFACT,
        "custom_properties.split.string_value = 'eval' AND custom_properties.size.int_value > 5",
        20,
    ),
    "a context": (ARTIFACT, "contexts_a.id = 7", 10),
    "a context's name": (ARTIFACT, "contexts_a.name = 'r7' AND contexts_a.type = 'Run'", 10),
    "a context with everything in it": (ARTIFACT, "contexts_a.name = 'p'", 20),
    "a context's type": (ARTIFACT, "contexts_a.type = 'Run'", 20),
    "two contexts": (ARTIFACT, "contexts_a.name = 'r7' AND contexts_b.name = 'p'", 10),
    "contexts compared": (ARTIFACT, "contexts_a.id < contexts_b.id AND contexts_a.id = 7", 10),
    "events": (ARTIFACT, "events_a.type = INPUT", 20),
    "an event": (ARTIFACT, "events_a.execution_id = 7", 10),
    "an event of an execution": (EXECUTION, "events_a.artifact_id = 7", 1),
    "an artifact of contexts": (CONTEXT, "artifacts_a.uri = '/a/7'", 2),
    "a name": (ARTIFACT, "name = 'a000007'", 1),
    "a uri": (ARTIFACT, "uri = '/a/7'", 1),
    "an id": (ARTIFACT, "id = 7", 1),
    "a rare type": (ARTIFACT, "type = 'Other'", 20),
    "a frequent type": (ARTIFACT, "type = 'Model'", 20),
    "a state": (ARTIFACT, "state = LIVE", 20),
    "a dear condition beside a selective one": (
        ARTIFACT, "custom_properties.ticket.string_value LIKE '%x%' AND id = 7", 0
    ),
    "another one": (ARTIFACT, "contexts_a.id = 7 AND state = DELETED", 0),
}  # fmt: skip


@pytest.mark.parametrize("order", [BY_ID, NEWEST], ids=lambda order: order.column)
@pytest.mark.parametrize(("kind", "text", "count"), FILTERS.values(), ids=FILTERS)
def test_a_page_reads_few_rows(large, kind, text, count, order):
    page, read = cost(large, kind, text, order=order)

    assert count is None or len(page) == count
    assert read < MOST_ROWS


@pytest.mark.parametrize("order", [BY_ID, NEWEST], ids=lambda order: order.column)
@pytest.mark.parametrize(
    "text", [None, FILTERS["a wide property"][1], FILTERS["a context's type"][1]], ids=str
)
def test_a_page_far_down_reads_few_rows(large, text, order):
    middle = Position(20_000 + ARTIFACTS // 6 if order is NEWEST else ARTIFACTS // 2, ARTIFACTS // 2)

    page, read = cost(large, ARTIFACT, text, order=order, after=middle)

    assert len(page) == 20
    assert read < MOST_ROWS


@pytest.mark.parametrize("order", [BY_ID, NEWEST], ids=lambda order: order.column)
@pytest.mark.parametrize("text", [None, FILTERS["a wide property"][1]], ids=str)
@pytest.mark.parametrize(
    "scope",
    [Scope(type_id=MODEL), Scope(type_id=OTHER), Scope(context_id=7), Scope(context_id=RUNS + 1)],
    ids=str,
)
def test_a_page_of_a_type_or_context_reads_few_rows(large, scope, text, order):
    _, read = cost(large, ARTIFACT, text, order=order, scope=scope)

    assert read < MOST_ROWS


@pytest.mark.backends("postgresql")
def test_a_prefix_of_names_is_found_in_the_index_where_the_collation_allows(large, backend):
    """A database of another collation than C compares all names of the type."""
    page, read = cost(large, ARTIFACT, "type = 'Model' AND name LIKE 'a00777%'")

    assert len(page) == 10
    collation = server_of(backend).execute(
        "SELECT datcollate FROM pg_database WHERE datname = current_database()"
    )
    assert read < (100 if collation == [("C",)] else 2 * ARTIFACTS)


# Round trips

DELAY_MS = 5


@pytest.fixture
def away(backend: str) -> Iterator[tuple[Call, Proxy]]:
    """Calls RPCs of a store whose database is some milliseconds away."""
    server = server_of(backend)
    with empty_store(backend) as url, Proxy(f"{server.host}:{server.port}") as proxy:
        database = open_database(proxy.url(url), connections=1)
        database.write(fill_a_little)
        proxy.delay_ms = DELAY_MS
        yield EmbeddedTransport(database).call, proxy
        proxy.delay_ms = 0
        database.close()


def fill_a_little(tx: Transaction) -> None:
    tx.insert(Insert(schema.type_table, "id", "name", "type_kind"), [(MODEL, "Model", 1)])
    numbers = range(1, 1_001)
    tx.insert(Insert(schema.artifact_table, "id", "type_id", "uri"), [(n, MODEL, f"/a/{n}") for n in numbers])
    into = Insert(schema.artifact_property_table, "node_id", "name", "is_custom_property", "int_value")
    tx.insert(into, [(n, "x", True, n % 7) for n in numbers] + [(n, "y", True, n) for n in numbers])


TRIPS = {
    "the node itself": ("uri = '/a/7'", 2),
    "a selective property": ("custom_properties.y.int_value = 7", 2),
    "selective conditions": ("custom_properties.y.int_value = 7 AND id = 7", 2),
    "a selective and a wide condition": ("custom_properties.y.int_value = 7 AND type = 'Model'", 3),
    "wide conditions": ("custom_properties.x.int_value > 2 AND type = 'Model' AND id > 5", 3),
}


@pytest.mark.parametrize(("text", "most"), TRIPS.values(), ids=TRIPS)
def test_a_filtered_page_takes_few_round_trips(away, text, most):
    call, proxy = away
    options = pb.ListOperationOptions(max_result_size=10, filter_query=text)
    options.order_by_field.field = pb.ListOperationOptions.OrderByField.CREATE_TIME
    call("GetArtifacts", rpc.GetArtifactsRequest())  # The first call opens the connection.

    before = proxy.round_trips
    found = call("GetArtifacts", rpc.GetArtifactsRequest(options=options))

    assert 1 <= len(found.artifacts) <= 10
    assert proxy.round_trips - before <= most
