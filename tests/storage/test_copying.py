"""Stores moved from one database to another: all of it, as it was, whatever happens on the way."""

import itertools
import math
import random
import string
from collections.abc import Iterator
from contextlib import ExitStack, closing
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from databases import BACKENDS, Unobtainable, empty_database, server_of
from differential.sequences import Generator
from differential.sides import CODES, Answer
from google.protobuf.message import Message
from proxies import Proxy
from support import Call, mlmd_engine, needs_mlmd

from headwater import errors
from headwater.embedded import open_transport
from headwater.storage import schema
from headwater.storage.copying import Copied, copy
from headwater.storage.dialects import dialect_for
from headwater.storage.opening import open_database
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc
from headwater.v1 import pipelines_pb2 as pp

STEPS = 150
NODES = (pb.Artifact, pb.Execution, pb.Context)
AWKWARD = "C:\\new\t'quoted' \"twice\" %s 100% é 你 💧 ' ; -- \ufffd"


class Filling:
    """A store that is filled by the differential tests' sequences, which draw from small pools."""

    is_engine = False

    def __init__(self, call: Call) -> None:
        self._call = call

    def call(self, name: str, request: Message) -> Answer:
        try:
            return Answer(name, request, "OK", self._call(name, request))
        except errors.HeadwaterError as error:
            return Answer(name, request, CODES.get(type(error), "INTERNAL"), text=str(error))

    def fill(self, seed: int) -> None:
        generator = Generator(seed)
        for _ in range(STEPS):
            step = generator.next_step()
            generator.learn(step, step.play(self, lambda text: text.replace("@T", "").replace("@", ""), None))


def fill(url: str, seed: int = 5) -> None:
    """Put a varied graph, and what such sequences leave out."""
    store = open_transport(url)
    Filling(store.call).fill(seed)
    put_awkward(store.call)
    store.close()


def put_awkward(call: Call) -> rpc.PutExecutionResponse:
    """A step whose values are hard to move."""
    types = rpc.PutTypesRequest()
    types.artifact_types.add(name=AWKWARD, version="1", description=AWKWARD)
    types.artifact_types.add(name="Plain")
    types.execution_types.add(name="Step")
    types.execution_types[0].input_type.any.SetInParent()
    types.context_types.add(name="Run")
    ids = call("PutTypes", types)
    request = rpc.PutExecutionRequest()
    request.execution.type_id = ids.execution_type_ids[0]
    request.execution.name = AWKWARD
    artifact = request.artifact_event_pairs.add().artifact
    artifact.type_id, artifact.uri, artifact.name = ids.artifact_type_ids[0], AWKWARD, "x" * 255
    values = artifact.custom_properties
    for number, value in enumerate((0.1234567890123, 1e300, 5e-324, 1 / 3, 2.5e-7, -1e22)):
        values[f"double {number}"].double_value = value
    for number, integer in enumerate((2**63 - 1, -(2**63), 0)):
        values[f"int {number}"].int_value = integer
    values["text"].string_value = AWKWARD
    values["no text"].string_value = ""
    values["struct"].struct_value["a"] = [1.5, AWKWARD, None, {"b": True}]
    values["message"].proto_value.type_url = "type.googleapis.com/x.Y"
    values["message"].proto_value.value = bytes(range(256))
    values["yes"].bool_value, values["no"].bool_value = True, False
    values["long"].string_value = "words and words " * 5_000
    event = request.artifact_event_pairs[0].event
    event.type = pb.Event.OUTPUT
    # The order of these is kept by nothing but the order of their rows.
    for number in (7, 3, 9, 1, 0, 5):
        event.path.steps.add(index=number)
        event.path.steps.add(key=f"key {number}")
    request.contexts.add(type_id=ids.context_type_ids[0], name=AWKWARD)
    return call("PutExecution", request)


def everything(call: Call) -> dict[str, list[Message]]:
    """All that a store holds, as it answers."""
    found = {}
    for kind in ("Artifact", "Execution", "Context"):
        nodes = getattr(call(f"Get{kind}s", getattr(rpc, f"Get{kind}sRequest")()), f"{kind.lower()}s")
        found[kind] = sorted(nodes, key=lambda node: node.id)
        types = call(f"Get{kind}Types", getattr(rpc, f"Get{kind}TypesRequest")())
        found[f"{kind}Type"] = sorted(getattr(types, f"{kind.lower()}_types"), key=lambda type_: type_.id)
    for execution in found["Execution"]:
        request = rpc.GetEventsByExecutionIDsRequest(execution_ids=[execution.id])
        found[f"events of {execution.id}"] = sorted(
            call("GetEventsByExecutionIDs", request).events, key=lambda event: (event.artifact_id, event.type)
        )
    for context in found["Context"]:
        for name, field in (
            ("GetArtifactsByContext", "artifacts"),
            ("GetExecutionsByContext", "executions"),
            ("GetParentContextsByContext", "contexts"),
        ):
            answer = call(name, getattr(rpc, f"{name}Request")(context_id=context.id))
            found[f"{name} {context.id}"] = sorted(getattr(answer, field), key=lambda node: node.id)
    return found


def read(url: str) -> dict[str, list[Message]]:
    store = open_transport(url)
    try:
        return everything(store.call)
    finally:
        store.close()


def execute(url: str, *statements: str | sa.Executable) -> None:
    """Change a database behind headwater's back."""
    with dialect_for(url).engine().begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement) if isinstance(statement, str) else statement)


@pytest.fixture(scope="module", params=BACKENDS)
def source_backend(request: pytest.FixtureRequest) -> str:
    if request.param != "sqlite":
        try:
            server_of(request.param)
        except Unobtainable as missing:
            pytest.skip(str(missing))
    return request.param


@pytest.fixture(scope="module")
def source(source_backend: str) -> Iterator[str]:
    """A store with a varied graph that no test changes."""
    with empty_database(source_backend) as url:
        fill(url)
        yield url


@pytest.fixture(scope="module")
def small() -> Iterator[str]:
    """The same on SQLite."""
    with empty_database("sqlite") as url:
        fill(url)
        yield url


@pytest.fixture
def changing() -> Iterator[str]:
    """The same for a test to change."""
    with empty_database("sqlite") as url:
        fill(url)
        yield url


def is_equal(copied: Copied) -> bool:
    rows = all(table.source_rows == table.target_rows for table in copied.tables)
    digests = all(table.source_digest == table.target_digest for table in copied.tables)
    assert rows == digests == copied.is_whole
    return copied.is_whole


def test_a_copy_holds_what_the_source_holds(source, database_url):
    copied = copy(source, database_url)

    assert is_equal(copied)
    assert len(copied.tables) == 18
    assert sum(table.source_rows for table in copied.tables) > 300
    assert read(database_url) == read(source)


def test_a_step_that_is_done_is_done_in_the_copy(source_backend, database_url):
    step = pp.BeginStepRequest(
        pipeline="churn", run="r1", step="train", key="a", components={"code": "sha256:c"}
    )
    done = pp.FinishStepRequest(
        key="a",
        state=pp.COMPLETE,
        begin=step,
        outputs=[pp.StepOutput(name="model", uri="file:///m", digest="sha256:d")],
        metrics=[pp.Metric(name="loss", value=float("nan"), step=3)],
    )
    with empty_database(source_backend) as url, closing(open_transport(url)) as store:
        store.call("FinishStep", done)
        copied = copy(url, database_url)

    assert is_equal(copied)
    with closing(open_transport(database_url)) as store:
        found = store.call("LookUpSteps", pp.LookUpStepsRequest(steps=[step])).steps[0]
        again = store.call("FinishStep", done)
    assert (found.decision, [output.uri for output in found.outputs]) == (pp.HIT, ["file:///m"])
    assert again.execution_id == found.execution_id


def test_a_database_that_only_mlmd_has_opened_is_copied(database_url):
    with empty_database("sqlite") as url:
        with closing(open_transport(url)) as store:
            put_awkward(store.call)
        execute(url, *(sa.schema.DropTable(table) for table in schema.OWN_TABLES))

        assert is_equal(copy(url, database_url))
        assert read(database_url) == read(url)


def test_the_digest_of_a_table_does_not_depend_on_the_database(source_backend, source, small):
    with ExitStack() as stack:
        first, second = (stack.enter_context(empty_database(name)) for name in ("sqlite", source_backend))
        copy(small, second)

        on_sqlite = copy(small, first)
        from_second = copy(second, stack.enter_context(empty_database("sqlite")))

    assert {table.name: table.source_digest for table in on_sqlite.tables} == {
        table.name: table.source_digest for table in from_second.tables
    }


def test_new_ids_begin_behind_those_that_were_copied(small, database_url):
    copy(small, database_url)

    before = everything(open_call := (store := open_transport(database_url)).call)
    put = put_awkward_again(open_call)
    store.close()

    assert put.execution_id > max(execution.id for execution in before["Execution"])
    assert put.artifact_ids[0] > max(artifact.id for artifact in before["Artifact"])
    assert put.context_ids[0] > max(context.id for context in before["Context"])


def put_awkward_again(call: Call) -> rpc.PutExecutionResponse:
    """A step beside that of ``put_awkward``, of its types."""
    request = rpc.PutExecutionRequest()
    request.execution.type_id = call(
        "GetExecutionType", rpc.GetExecutionTypeRequest(type_name="Step")
    ).execution_type.id
    pair = request.artifact_event_pairs.add()
    pair.artifact.type_id = call(
        "GetArtifactType", rpc.GetArtifactTypeRequest(type_name="Plain")
    ).artifact_type.id
    pair.event.type = pb.Event.OUTPUT
    pair.event.path.steps.add(key="model")
    context_type = call("GetContextType", rpc.GetContextTypeRequest(type_name="Run")).context_type
    request.contexts.add(type_id=context_type.id, name="one more")
    return call("PutExecution", request)


@needs_mlmd
def test_ml_metadata_opens_a_copy_and_goes_on_writing(small, database_url):
    copy(small, database_url)
    ours = read(database_url)

    with mlmd_engine(database_url) as call:
        theirs = everything(call)
        put = put_awkward_again(call)

    assert as_ml_metadata_reads(theirs) == as_ml_metadata_reads(ours)
    assert put.execution_id > max(execution.id for execution in ours["Execution"])
    again = read(database_url)
    assert [execution.id for execution in again["Execution"]][-1] == put.execution_id


def as_ml_metadata_reads(found: dict[str, list[Message]]) -> dict[str, list[Message]]:
    """Without external ids of types, which it leaves out of listings, and with 15 digits of a double."""
    for name in ("ArtifactType", "ExecutionType", "ContextType"):
        for type_ in found[name]:
            type_.ClearField("external_id")
    for nodes in found.values():
        for node in nodes:
            if isinstance(node, NODES):
                for value in (*node.properties.values(), *node.custom_properties.values()):
                    round_(value)
    return found


def round_(value: pb.Value) -> None:
    if value.WhichOneof("value") == "double_value":
        value.double_value = float(f"{value.double_value:.15g}")


@needs_mlmd
def test_what_ml_metadata_wrote_is_copied(source_backend, database_url):
    with empty_database(source_backend) as url:
        with mlmd_engine(url) as call:
            put_types_and_two_steps(call)
            theirs = everything(call)
        copied = copy(url, database_url)

    assert is_equal(copied)
    assert read(database_url) == theirs


def put_types_and_two_steps(call: Call) -> None:
    types = rpc.PutTypesRequest()
    types.artifact_types.add(name="Data", properties={"rows": pb.INT, "text": pb.STRING})
    types.execution_types.add(name="Step")
    types.context_types.add(name="Run")
    ids = call("PutTypes", types)
    for number in range(2):
        request = rpc.PutExecutionRequest()
        request.execution.type_id = ids.execution_type_ids[0]
        pair = request.artifact_event_pairs.add()
        pair.artifact.type_id = ids.artifact_type_ids[0]
        pair.artifact.uri = "s3://é/你/💧"
        pair.artifact.properties["rows"].int_value = 7
        pair.artifact.properties["text"].string_value = "你 💧 ü"
        pair.artifact.custom_properties["s"].struct_value["a"] = "你"
        pair.artifact.custom_properties["p"].proto_value.type_url = "type.googleapis.com/x.Y"
        pair.artifact.custom_properties["p"].proto_value.value = bytes(range(256))
        pair.artifact.custom_properties["b"].bool_value = bool(number)
        pair.event.type = pb.Event.INPUT
        for step in (3, 1, 2):
            pair.event.path.steps.add(index=step)
            pair.event.path.steps.add(key=f"é {step}")
        request.contexts.add(type_id=ids.context_type_ids[0], name=f"run {number}")
        call("PutExecution", request)


# Stopped and started again


class Stopped(Exception):
    pass


def copy_and_stop(source: str, target: str, calls: int) -> bool:
    """Copy until progress was told ``calls`` times; whether it was stopped there."""
    counted = itertools.count(1)

    def stop(phase: str, table: str, done: int, total: int) -> None:
        if next(counted) == calls:
            raise Stopped

    try:
        copy(source, target, stop)
    except Stopped:
        return True
    return False


def test_a_copy_that_is_stopped_again_and_again_is_whole_in_the_end(small, database_url):
    stops = 0
    # Each run is stopped a little further on than the one before.
    while copy_and_stop(small, database_url, stops + 1):
        stops += 1

    assert stops > 20
    assert is_equal(copy(small, database_url))
    assert read(database_url) == read(small)


def test_a_copy_that_goes_on_takes_in_what_was_changed_meanwhile(changing, database_url):
    # Far enough for the nodes and their properties.
    assert copy_and_stop(changing, database_url, 9)
    execute(
        changing,
        "UPDATE ArtifactProperty SET string_value = 'changed' WHERE string_value IS NOT NULL",
        "UPDATE Artifact SET uri = 'changed', last_update_time_since_epoch = 1 WHERE id IN (1, 3)",
        "DELETE FROM ContextProperty WHERE context_id = (SELECT max(context_id) FROM ContextProperty)",
        "DELETE FROM Execution WHERE id = 1",
    )
    store = open_transport(changing)
    put_awkward_again(store.call)
    store.close()

    copied = copy(changing, database_url)

    assert copied.resumed
    assert is_equal(copied)
    assert read(database_url) == read(changing)


@pytest.mark.backends("postgresql", "mysql")
@pytest.mark.parametrize("calls", [3, 9, 20])
def test_a_copy_goes_on_after_the_connection_to_the_target_was_lost(small, database_url, calls):
    counted = itertools.count(1)
    parts = urlsplit(database_url)

    with Proxy(f"{parts.hostname}:{parts.port}") as proxy:

        def cut(phase: str, table: str, done: int, total: int) -> None:
            if next(counted) == calls:
                proxy.cut()

        with pytest.raises(errors.Unavailable, match="connection to the target was lost; run the same"):
            copy(small, proxy.url(database_url), cut)

    assert is_equal(copy(small, database_url))


@pytest.mark.backends("postgresql", "mysql")
def test_a_copy_goes_on_after_the_connection_to_the_source_was_lost(backend, tmp_path):
    target = f"sqlite:///{tmp_path}/target.db"
    with empty_database(backend) as url:
        fill(url)
        parts = urlsplit(url)
        with Proxy(f"{parts.hostname}:{parts.port}") as proxy:

            def cut(phase: str, table: str, done: int, total: int) -> None:
                proxy.cut()

            with pytest.raises(errors.Unavailable, match="connection to the source was lost; run the same"):
                copy(proxy.url(url), target, cut)

            assert is_equal(copy(proxy.url(url), target))
        assert read(target) == read(url)


def test_an_unfinished_copy_cannot_be_opened_as_a_store(small, database_url):
    assert copy_and_stop(small, database_url, 5)

    with pytest.raises(errors.DatabaseRefused, match="unfinished copy of another; repeat"):
        open_database(database_url)


def test_a_copy_that_is_done_is_compared_again_and_left_as_it_is(changing, database_url):
    copy(changing, database_url)
    execute(
        database_url,
        "UPDATE Artifact SET uri = 'elsewhere' WHERE id = 2",
        "DELETE FROM Execution WHERE id = 1",
    )
    store = open_transport(changing)
    new = put_awkward_again(store.call).execution_id
    store.close()

    copied = copy(changing, database_url)

    assert not is_equal(copied)
    found = {
        (difference.table, *difference.key.values()): difference.problem for difference in copied.differences
    }
    assert found["Execution", 1] == found["Execution", new] == "is missing in the target"
    assert "has uri " in found["Artifact", 2]
    assert "'elsewhere' in the target" in found["Artifact", 2]
    # Two nodes, three links, and a step of a path came with the new step.
    assert copied.difference_count == 2 + 6 + 1


def test_the_order_of_the_steps_of_a_path_is_compared(changing, database_url):
    copy(changing, database_url)
    event = sa.select(sa.func.max(schema.event_table.c.id)).scalar_subquery()
    path = schema.event_path_table
    with dialect_for(changing).engine().begin() as connection:
        chosen = connection.scalar(sa.select(event))
        rows = connection.execute(sa.select(path).where(path.c.event_id == chosen)).all()
        connection.execute(sa.delete(path).where(path.c.event_id == chosen))
        connection.execute(sa.insert(path), [row._asdict() for row in reversed(rows)])

    copied = copy(changing, database_url)

    (difference,) = copied.differences
    assert (difference.table, difference.key) == ("EventPath", {"event_id": chosen})


# What is refused


def test_a_database_that_holds_a_store_is_no_target(small, database_url):
    open_database(database_url).close()

    with pytest.raises(errors.DatabaseRefused, match="holds a store already"):
        copy(small, database_url)


def test_an_unfinished_copy_of_another_store_is_no_target(small, changing, database_url):
    assert copy_and_stop(small, database_url, 5)

    with pytest.raises(errors.DatabaseRefused, match="holds an unfinished copy of sqlite:///"):
        copy(changing, database_url)


def test_a_store_is_not_copied_to_itself(small):
    with pytest.raises(errors.DatabaseRefused, match="is the source itself"):
        copy(small, small)


def test_a_database_without_a_store_is_no_source(database_url, tmp_path):
    if database_url.startswith("sqlite"):
        dialect_for(database_url).engine().connect().close()
    with pytest.raises(errors.DatabaseRefused, match=r"the source holds no store|there is no database"):
        copy(database_url, f"sqlite:///{tmp_path}/target.db")
    assert list(tmp_path.iterdir()) == []


def test_a_store_of_an_older_version_is_no_source(changing, tmp_path):
    execute(changing, "UPDATE MLMDEnv SET schema_version = 9")

    with pytest.raises(errors.DatabaseRefused, match=r"schema version 9.*'headwater db upgrade'"):
        copy(changing, f"sqlite:///{tmp_path}/target.db")


@pytest.mark.parametrize(("source_url", "role"), [("sqlite://", "source"), ("sqlite:///:memory:", "source")])
def test_a_database_in_memory_cannot_be_copied(source_url, role, tmp_path):
    with pytest.raises(errors.InvalidRequest, match=f"the {role} is a database in memory"):
        copy(source_url, f"sqlite:///{tmp_path}/target.db")


# What the target cannot hold

LONG_RANDOM = "".join(random.Random(7).choices(string.ascii_letters + string.digits, k=5_000))
UNFIT = {
    "a name of 256 characters": (
        "UPDATE Artifact SET name = printf('%.256c', 'x') WHERE id = 2",
        {
            "postgresql": ("Artifact", {"id": 2}, "name", "longer than 255 characters"),
            "mysql": ("Artifact", {"id": 2}, "name", "longer than 255 bytes"),
        },
    ),
    "a name of 255 bytes and more in fewer characters": (
        "UPDATE Artifact SET name = replace(printf('%.100c', 'x'), 'x', '你') WHERE id = 2",
        {"mysql": ("Artifact", {"id": 2}, "name", "longer than 255 bytes")},
    ),
    "a long uri": (
        "UPDATE Artifact SET uri = printf('%.70000c', 'x') WHERE id = 2",
        {"mysql": ("Artifact", {"id": 2}, "uri", "longer than 65,535 bytes")},
    ),
    "a uri that does not fit into an index": (
        sa.update(schema.artifact_table).where(schema.artifact_table.c.id == 2).values(uri=LONG_RANDOM),
        {"postgresql": ("Artifact", {"id": 2}, "uri", "too long for PostgreSQL's index")},
    ),
    "a property that does not fit into an index": (
        sa.insert(schema.artifact_property_table).values(
            node_id=2, name="random", is_custom_property=True, string_value=LONG_RANDOM
        ),
        {
            "postgresql": (
                "ArtifactProperty",
                {"artifact_id": 2, "name": "random", "is_custom_property": True},
                "string_value",
                "too long for PostgreSQL's index",
            )
        },
    ),
    "a NUL character": (
        "UPDATE Artifact SET uri = 'a' || char(0) || 'b' WHERE id = 2",
        {"postgresql": ("Artifact", {"id": 2}, "uri", "has a NUL character")},
    ),
    "text that is not UTF-8": (
        "UPDATE Artifact SET uri = CAST(x'61ff62' AS TEXT) WHERE id = 2",
        {name: ("Artifact", {"id": 2}, "uri", "is not UTF-8") for name in BACKENDS},
    ),
    "a message that is none": (
        "INSERT INTO ArtifactProperty(artifact_id, name, is_custom_property, proto_value) "
        "VALUES (2, 'm', 1, 'CgA')",
        {
            name: (
                "ArtifactProperty",
                {"artifact_id": 2, "name": "m", "is_custom_property": True},
                "proto_value",
                "cannot be decoded",
            )
            for name in BACKENDS
        },
    ),
    "names that only differ in spaces": (
        "INSERT INTO ContextProperty(context_id, name, is_custom_property, int_value) "
        "VALUES (1, 'spaced', 1, 1), (1, 'spaced ', 1, 2)",
        {
            "mysql": (
                "ContextProperty",
                {"context_id": 1, "name": "spaced ", "is_custom_property": True},
                None,
                "another row has the same",
            )
        },
    ),
}


@pytest.mark.parametrize("unfit", UNFIT)
def test_a_row_that_the_target_cannot_hold_is_named(backend, changing, database_url, unfit):
    statement, expected = UNFIT[unfit]
    execute(changing, statement)

    copied = copy(changing, database_url)

    if backend not in expected:
        assert is_equal(copied)
        return
    table, key, column, problem = expected[backend]
    (found,) = copied.problems
    assert (found.table, found.key, found.column) == (table, key, column)
    assert problem in found.problem
    with pytest.raises(errors.DatabaseRefused):
        open_database(database_url)


def test_once_such_a_row_is_mended_the_copy_goes_on(changing, database_url):
    execute(changing, "UPDATE Artifact SET uri = CAST(x'61ff62' AS TEXT) WHERE id = 2")
    copy(changing, database_url)
    execute(changing, "UPDATE Artifact SET uri = 'mended' WHERE id = 2")

    assert is_equal(copy(changing, database_url))
    assert read(database_url) == read(changing)


def test_all_such_rows_are_named_at_once(changing, database_url):
    execute(
        changing,
        "UPDATE Artifact SET uri = CAST(x'61ff62' AS TEXT) WHERE id IN (1, 2)",
        "UPDATE EventPath SET step_key = CAST(x'61ff62' AS TEXT) WHERE step_key IS NOT NULL AND event_id = 1",
        "UPDATE Context SET name = CAST(x'61ff62' AS TEXT) WHERE id = 1",
    )

    copied = copy(changing, database_url)

    assert {problem.table for problem in copied.problems} >= {"Artifact", "Context"}
    assert copied.problem_count == len(copied.problems) >= 3


def test_types_that_hide_each_other_are_copied_as_they_are(changing, database_url):
    execute(
        changing,
        "INSERT INTO Type(id, name, type_kind) VALUES (9001, 'Twin', 1), (9002, 'Twin', 1)",
        "INSERT INTO Artifact(id, type_id, name) VALUES (9001, 9001, 'of the first')",
        "INSERT INTO Artifact(id, type_id, name) VALUES (9002, 9002, 'of the other')",
    )

    assert is_equal(copy(changing, database_url))

    nodes = read(database_url)["Artifact"]
    assert {node.name: node.type_id for node in nodes[-2:]} == {"of the first": 9001, "of the other": 9002}


def test_links_to_nothing_are_copied_as_they_are(changing, database_url):
    execute(
        changing,
        "INSERT INTO Attribution(context_id, artifact_id) VALUES (1, -1), (4711, 1)",
        "INSERT INTO EventPath(event_id, is_index_step, step_key) VALUES (-5, 0, 'b'), (-5, 0, 'a')",
        "INSERT INTO ArtifactProperty(artifact_id, name, is_custom_property, int_value) "
        "VALUES (-1, 'n', 1, 1)",
    )

    assert is_equal(copy(changing, database_url))


def test_a_page_that_is_larger_than_a_statement_may_be_is_copied(changing, database_url):
    # PostgreSQL's index holds this because it can be compressed a lot.
    large = "large " * 30_000
    execute(
        changing,
        *(
            sa.insert(schema.artifact_property_table).values(
                node_id=1, name=f"large {number}", is_custom_property=True, string_value=large
            )
            for number in range(150)
        ),
    )

    assert is_equal(copy(changing, database_url))


def test_minus_zero_is_zero(database_url):
    with ExitStack() as stack:
        try:
            url = stack.enter_context(empty_database("postgresql"))
        except Unobtainable as missing:
            pytest.skip(str(missing))
        fill(url)
        execute(url, "UPDATE artifactproperty SET double_value = '-0.0' WHERE double_value IS NOT NULL")

        assert is_equal(copy(url, database_url))


def test_nan_is_reported_where_it_cannot_be_kept(backend, database_url):
    with ExitStack() as stack:
        try:
            url = stack.enter_context(empty_database("postgresql"))
        except Unobtainable as missing:
            pytest.skip(str(missing))
        fill(url)
        execute(
            url,
            sa.insert(schema.artifact_property_table).values(
                node_id=1, name="nan", is_custom_property=True, double_value=math.nan
            ),
        )

        copied = copy(url, database_url)

    if backend == "postgresql":
        assert is_equal(copied)
    else:
        (found,) = copied.problems or copied.differences
        assert found.key == {"artifact_id": 1, "name": "nan", "is_custom_property": True}
