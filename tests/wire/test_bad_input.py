"""Bad input over gRPC: the right status, a sentence that helps, and a store that is intact afterwards."""

import base64
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager

import grpc
import pytest
from google.protobuf import struct_pb2
from google.protobuf.message import Message
from support import Call, calls_over

from headwater.config import MIB, ServerConfig
from headwater.server import Server
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc
from headwater.wire import METHODS

INVALID = grpc.StatusCode.INVALID_ARGUMENT
LARGEST = 2**63 - 1
# What must never reach a caller: SQL, a driver's words, a traceback.
LEAKS = (
    *("SELECT", "INSERT", "UPDATE ", "sqlite", "psycopg", "pymysql", "MySQL", "MariaDB", "SQLSTATE"),
    *("Traceback", 'File "', "constraint failed", "violates", "Duplicate entry", "Exception"),
)

MODEL, TRAIN, RUN = 10, 11, 12


@contextmanager
def channel_to(server: Server) -> Iterator[grpc.Channel]:
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{server.port}", options=options) as channel:
        yield channel


@pytest.fixture
def served(server: Server) -> Iterator[Call]:
    """Calls of a server that holds one run: artifact 1, execution 1, context 1, linked."""
    with channel_to(server) as channel:
        call = calls_over(channel)
        types = rpc.PutTypesRequest()
        kinds = {"i": pb.INT, "d": pb.DOUBLE, "s": pb.STRING, "t": pb.STRUCT, "p": pb.PROTO, "b": pb.BOOLEAN}
        types.artifact_types.add(name="Model", properties=kinds)
        types.execution_types.add(name="Train")
        types.context_types.add(name="Run")
        call("PutTypes", types)
        step = rpc.PutExecutionRequest(execution=pb.Execution(type_id=TRAIN))
        pair = step.artifact_event_pairs.add(artifact=pb.Artifact(type_id=MODEL, name="first", uri="u"))
        pair.event.type = pb.Event.OUTPUT
        step.contexts.add(type_id=RUN, name="run")
        call("PutExecution", step)
        yield call


def everything(call: Call) -> list[Message]:
    return [
        call("GetArtifacts", rpc.GetArtifactsRequest()),
        call("GetExecutions", rpc.GetExecutionsRequest()),
        call("GetContexts", rpc.GetContextsRequest()),
        call("GetArtifactTypes", rpc.GetArtifactTypesRequest()),
        call("GetEventsByArtifactIDs", rpc.GetEventsByArtifactIDsRequest(artifact_ids=[1])),
        call("GetArtifactsByContext", rpc.GetArtifactsByContextRequest(context_id=1)),
    ]


def artifact(**values: object) -> Message:
    return rpc.PutArtifactsRequest(artifacts=[pb.Artifact(type_id=MODEL, **values)])


def with_property(name: str, value: pb.Value) -> Message:
    return artifact(properties={name: value})


def with_custom(value: pb.Value) -> Message:
    return artifact(custom_properties={"c": value})


def listing(**options: object) -> Message:
    return rpc.GetArtifactsRequest(options=pb.ListOperationOptions(**options))


REFUSED: dict[str, tuple[str, Message, grpc.StatusCode, str]] = {
    "a NUL in a name": ("PutArtifacts", artifact(name="a\0b"), INVALID, "NUL"),
    "a NUL in a property": ("PutArtifacts", with_property("s", pb.Value(string_value="\0")), INVALID, "NUL"),
    "a NUL in the name of a property": (
        "PutArtifacts",
        artifact(custom_properties={"a\0": pb.Value(int_value=1)}),
        INVALID,
        "NUL",
    ),
    "the text MLMD keeps for NULL": (
        "PutArtifacts",
        with_property("s", pb.Value(string_value="__MLMD_NULL__")),
        INVALID,
        "reserves",
    ),
    "text that would read back as a struct": (
        "PutArtifacts",
        with_custom(pb.Value(string_value="mlmd-struct::")),
        INVALID,
        "struct",
    ),
    "NaN": ("PutArtifacts", with_property("d", pb.Value(double_value=float("nan"))), INVALID, "finite"),
    "infinity": ("PutArtifacts", with_custom(pb.Value(double_value=float("inf"))), INVALID, "finite"),
    "NaN in a struct": (
        "PutArtifacts",
        with_custom(
            pb.Value(struct_value={"fields": {"n": struct_pb2.Value(number_value=float("nan"))}})  # type: ignore[dict-item]
        ),
        INVALID,
        "nan",
    ),
    "an empty declared Value": ("PutArtifacts", with_property("i", pb.Value()), INVALID, "empty"),
    "an empty custom Value": ("PutArtifacts", with_custom(pb.Value()), INVALID, "no value"),
    "an empty Any": ("PutArtifacts", with_property("p", pb.Value(proto_value={})), INVALID, "type_url"),  # type: ignore[arg-type]
    "an int for a double": ("PutArtifacts", with_property("d", pb.Value(int_value=1)), INVALID, "DOUBLE"),
    "a property the type lacks": ("PutArtifacts", with_property("x", pb.Value(int_value=1)), INVALID, "'x'"),
    "no type id": ("PutArtifacts", rpc.PutArtifactsRequest(artifacts=[pb.Artifact()]), INVALID, "type_id"),
    "an unknown type": (
        "PutArtifacts",
        rpc.PutArtifactsRequest(artifacts=[pb.Artifact(type_id=999)]),
        grpc.StatusCode.NOT_FOUND,
        "999",
    ),
    "a type of another kind": (
        "PutArtifacts",
        rpc.PutArtifactsRequest(artifacts=[pb.Artifact(type_id=TRAIN)]),
        grpc.StatusCode.NOT_FOUND,
        str(TRAIN),
    ),
    "the largest id": ("PutArtifacts", artifact(id=LARGEST), INVALID, str(LARGEST)),
    "a negative id": ("PutArtifacts", artifact(id=-1), INVALID, "-1"),
    "a taken name": ("PutArtifacts", artifact(name="first"), grpc.StatusCode.ALREADY_EXISTS, "'first'"),
    "a context without name": (
        "PutContexts",
        rpc.PutContextsRequest(contexts=[pb.Context(type_id=RUN)]),
        INVALID,
        "name",
    ),
    "an event of unknown nodes": (
        "PutEvents",
        rpc.PutEventsRequest(events=[pb.Event(artifact_id=99, execution_id=1, type=pb.Event.INPUT)]),
        INVALID,
        "99",
    ),
    "an event type past the enum": (
        "PutEvents",
        rpc.PutEventsRequest.FromString(b"\n\x06" + b"\x08\x01\x10\x01" + b"\x20\x63"),
        INVALID,
        "type",
    ),
    "a step of a missing artifact": (
        "PutExecution",
        rpc.PutExecutionRequest(
            execution=pb.Execution(type_id=TRAIN),
            artifact_event_pairs=[{"event": pb.Event(artifact_id=77, type=pb.Event.INPUT)}],  # type: ignore[list-item]
        ),
        INVALID,
        "77",
    ),
    "an edge index past the list": (
        "PutLineageSubgraph",
        rpc.PutLineageSubgraphRequest(
            event_edges=[{"execution_index": 0, "artifact_index": 0, "event": pb.Event(type=pb.Event.INPUT)}]  # type: ignore[list-item]
        ),
        grpc.StatusCode.OUT_OF_RANGE,
        "outside",
    ),
    "a context that is its own parent": (
        "PutParentContexts",
        rpc.PutParentContextsRequest(parent_contexts=[pb.ParentContext(child_id=1, parent_id=1)]),
        INVALID,
        "parent",
    ),
    "a type without name": (
        "PutArtifactType",
        rpc.PutArtifactTypeRequest(artifact_type=pb.ArtifactType()),
        INVALID,
        "name",
    ),
    "an UNKNOWN property": (
        "PutArtifactType",
        rpc.PutArtifactTypeRequest(artifact_type=pb.ArtifactType(name="T", properties={"p": pb.UNKNOWN})),
        INVALID,
        "UNKNOWN",
    ),
    "a changed property": (
        "PutArtifactType",
        rpc.PutArtifactTypeRequest(artifact_type=pb.ArtifactType(name="Model", properties={"i": pb.DOUBLE})),
        grpc.StatusCode.ALREADY_EXISTS,
        "'i'",
    ),
    "a page of no rows": ("GetArtifacts", listing(max_result_size=0), INVALID, "max_result_size"),
    "a negative page": ("GetArtifacts", listing(max_result_size=-5), INVALID, "max_result_size"),
    "a token that is no token": ("GetArtifacts", listing(next_page_token="%%%"), INVALID, "next_page_token"),
    "a token of noise": ("GetArtifacts", listing(next_page_token="////"), INVALID, "next_page_token"),
    "a token beyond ASCII": ("GetArtifacts", listing(next_page_token="é"), INVALID, "next_page_token"),
    "a filter that does not parse": ("GetArtifacts", listing(filter_query="state = "), INVALID, "column"),
    "10,000 nested parentheses": (
        "GetArtifacts",
        listing(filter_query="(" * 10_000 + "id = 1" + ")" * 10_000),
        INVALID,
        "filter",
    ),
    "a megabyte of ORs": (
        "GetArtifacts",
        listing(filter_query="id = 1 OR " * 100_000 + "id = 2"),
        INVALID,
        "filter",
    ),
    "SQL in a filter": (
        "GetArtifacts",
        listing(filter_query="id = 1; DROP TABLE Artifact"),
        INVALID,
        "filter",
    ),
    "a lineage from nowhere": (
        "GetLineageSubgraph",
        rpc.GetLineageSubgraphRequest(),
        INVALID,
        "starting",
    ),
    "a removed field": (
        "GetArtifactsByURI",
        rpc.GetArtifactsByURIRequest.FromString(b"\n\x01u"),
        INVALID,
        "uris",
    ),
    "the deprecated lineage call": (
        "GetLineageGraph",
        rpc.GetLineageGraphRequest(),
        grpc.StatusCode.UNIMPLEMENTED,
        "GetLineageSubgraph",
    ),
}


def refused(function: Callable[[], object]) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        function()
    error = caught.value
    assert not [leak for leak in LEAKS if leak in error.details()], error.details()
    return error


@pytest.mark.parametrize(("name", "request_", "code", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_bad_input_is_refused_and_changes_nothing(
    served: Call, name: str, request_: Message, code: grpc.StatusCode, told: str
) -> None:
    before = everything(served)

    error = refused(lambda: served(name, request_))

    assert (error.code(), told in error.details()) == (code, True), error.details()
    assert everything(served) == before


@pytest.mark.parametrize("rpc_name", ["PutArtifacts", "GetArtifacts", "GetLineageSubgraph"])
@pytest.mark.parametrize(
    "content", [b"\xff", b"\n\xff\xff\xff\xff\x7f", b"\x0a\x05ab"], ids=["tag", "length", "short"]
)
def test_malformed_protobuf_is_refused(server: Server, rpc_name: str, content: bytes) -> None:
    with channel_to(server) as channel:
        send = channel.unary_unary(METHODS[rpc_name].path)

        assert refused(lambda: send(content)).code() is INVALID


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field, as on the wire."""
    return bytes([number << 3 | 2]) + varint(content)


def varint(content: bytes) -> bytes:
    length, encoded = len(content), bytearray()
    while length > 0x7F:
        encoded.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*encoded, length]) + content


@pytest.mark.parametrize("depth", [31, 150, 5_000])
def test_a_struct_nested_too_deep_is_refused(server: Server, served: Call, depth: int) -> None:
    struct = b""
    for _ in range(depth):
        struct = field(1, field(1, b"k") + field(2, field(5, struct)))
    artifact = b"\x10\x0a" + field(5, field(1, b"c") + field(2, field(4, struct)))
    with channel_to(server) as channel:
        send = channel.unary_unary(METHODS["PutArtifacts"].path)

        assert refused(lambda: send(field(1, artifact))).code() is INVALID


@pytest.mark.parametrize(
    ("name", "content"),
    {
        "a name": ("PutArtifacts", field(1, b"\x10\x0a" + field(7, b"\xff"))),
        "a uri": ("PutArtifacts", field(1, b"\x10\x0a" + field(3, b"\xff"))),
        "a property": (
            "PutArtifacts",
            field(1, b"\x10\x0a" + field(5, field(1, b"\xff") + field(2, b"\x08\x01"))),
        ),
        "a type": ("PutArtifactType", field(1, field(2, b"\xff"))),
        "a uri to look for": ("GetArtifactsByURI", field(2, b"\xff")),
        "a type to look for": ("GetArtifactType", field(1, b"\xff")),
        "a filter": ("GetArtifacts", field(1, field(4, b"\xff"))),
        "a token": ("GetArtifacts", field(1, field(3, b"\xff"))),
        "a starting filter": ("GetLineageSubgraph", field(1, field(1, field(1, b"\xff")))),
    }.values(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_text_that_is_not_utf_8_is_refused(server: Server, served: Call, name: str, content: bytes) -> None:
    with channel_to(server) as channel:
        send = channel.unary_unary(METHODS[name].path)
        error = refused(lambda: send(content))

        assert (error.code(), "UTF-8" in error.details()) == (INVALID, True), error.details()


def test_a_message_past_the_limit_is_refused() -> None:
    server = Server(ServerConfig("sqlite://", port=0, max_message_bytes=MIB), private=True)
    server.start()
    with channel_to(server) as channel:
        call = calls_over(channel)
        error = refused(lambda: call("GetArtifactsByURI", rpc.GetArtifactsByURIRequest(uris=["x" * 2 * MIB])))

        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert not call("GetArtifacts", rpc.GetArtifactsRequest()).artifacts
    server.stop()


SQL = [
    "'; DROP TABLE Artifact; --",
    '" OR 1=1 --',
    "%_\\",
    "?1 :x @y $z",
    "Robert'); DELETE FROM Type;--",
    "🎉 你好",
]


@pytest.mark.parametrize("text", SQL)
def test_sql_in_any_string_is_only_text(served: Call, text: str) -> None:
    types = rpc.PutArtifactTypeRequest(artifact_type=pb.ArtifactType(name=text, properties={text: pb.STRING}))
    type_id = served("PutArtifactType", types).type_id
    given = pb.Artifact(type_id=type_id, name=text, uri=text, external_id=text)
    given.properties[text].string_value = text
    given.custom_properties[text].string_value = text
    (artifact_id,) = served("PutArtifacts", rpc.PutArtifactsRequest(artifacts=[given])).artifact_ids

    (found,) = served("GetArtifactsByURI", rpc.GetArtifactsByURIRequest(uris=[text])).artifacts
    assert (found.id, found.name, found.external_id, found.type) == (artifact_id, text, text, text)
    assert found.properties[text].string_value == found.custom_properties[text].string_value == text
    by_name = rpc.GetArtifactByTypeAndNameRequest(type_name=text, artifact_name=text)
    assert served("GetArtifactByTypeAndName", by_name).artifact == found
    by_external_id = rpc.GetArtifactsByExternalIdsRequest(external_ids=[text])
    assert list(served("GetArtifactsByExternalIds", by_external_id).artifacts) == [found]


@pytest.mark.parametrize("number", [LARGEST, -(2**63), 0, 2**53 + 1])
def test_integers_at_the_limits_come_back(served: Call, number: int) -> None:
    request = with_property("i", pb.Value(int_value=number))
    (artifact_id,) = served("PutArtifacts", request).artifact_ids

    (found,) = served("GetArtifactsByID", rpc.GetArtifactsByIDRequest(artifact_ids=[artifact_id])).artifacts
    assert found.properties["i"].int_value == number


@pytest.mark.parametrize("number", [0.1234567890123, 1e-9, 5e-324, 1.7976931348623157e308, -1 / 3])
def test_doubles_keep_all_their_digits(served: Call, number: float) -> None:
    request = with_property("d", pb.Value(double_value=number))
    (artifact_id,) = served("PutArtifacts", request).artifact_ids

    (found,) = served("GetArtifactsByID", rpc.GetArtifactsByIDRequest(artifact_ids=[artifact_id])).artifacts
    assert str(found.properties["d"].double_value) == str(number)


def test_a_million_ids_in_one_request_are_answered(served: Call) -> None:
    ids = rpc.GetArtifactsByIDRequest(artifact_ids=range(1, 1_000_001))
    assert [found.id for found in served("GetArtifactsByID", ids).artifacts] == [1]

    events = rpc.GetEventsByExecutionIDsRequest(execution_ids=range(1, 1_000_001))
    assert len(served("GetEventsByExecutionIDs", events).events) == 1


def test_a_token_of_another_listing_is_refused(served: Call) -> None:
    served("PutArtifacts", rpc.PutArtifactsRequest(artifacts=[pb.Artifact(type_id=MODEL)] * 5))
    token = served("GetArtifacts", listing(max_result_size=1)).next_page_token
    options = pb.ListOperationOptions(max_result_size=1, next_page_token=token)
    others: list[tuple[str, Message]] = [
        ("GetArtifacts", listing(max_result_size=1, next_page_token=token, filter_query="id > 1")),
        ("GetExecutions", rpc.GetExecutionsRequest(options=options)),
        ("GetArtifactsByContext", rpc.GetArtifactsByContextRequest(context_id=1, options=options)),
        ("GetArtifactsByType", rpc.GetArtifactsByTypeRequest(type_name="Model", options=options)),
    ]
    by_time = pb.ListOperationOptions.OrderByField(field=pb.ListOperationOptions.OrderByField.CREATE_TIME)
    others.append(("GetArtifacts", listing(max_result_size=1, next_page_token=token, order_by_field=by_time)))

    for name, request in others:
        error = refused(lambda name=name, request=request: served(name, request))
        assert (error.code(), "next_page_token" in error.details()) == (INVALID, True)


def test_a_token_with_bits_flipped_is_refused_or_pages(served: Call) -> None:
    served("PutArtifacts", rpc.PutArtifactsRequest(artifacts=[pb.Artifact(type_id=MODEL)] * 5))
    token = served("GetArtifacts", listing(max_result_size=1)).next_page_token
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))

    for position in range(len(raw)):
        broken = bytearray(raw)
        broken[position] ^= 0x55
        request = listing(max_result_size=1, next_page_token=base64.urlsafe_b64encode(broken).decode())
        try:
            served("GetArtifacts", request)
        except grpc.RpcError as error:
            assert error.code() is INVALID, error.details()  # either outcome is right


def test_a_caller_who_vanishes_leaves_no_trace(server: Server, served: Call) -> None:
    request = rpc.PutArtifactsRequest(artifacts=[pb.Artifact(type_id=MODEL)] * 20_000)
    with channel_to(server) as channel:
        send = channel.unary_unary(METHODS["PutArtifacts"].path)
        sent = send.future(request.SerializeToString())
        sent.cancel()
    with channel_to(server) as channel:
        send = channel.unary_unary(METHODS["PutArtifacts"].path)
        error = refused(lambda: send(request.SerializeToString(), timeout=0.001))
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED

    stored = len(served("GetArtifacts", rpc.GetArtifactsRequest()).artifacts)
    assert (stored - 1) % 20_000 == 0, "each request is stored whole or not at all"


def test_five_hundred_connections_at_once_are_all_answered(server: Server, served: Call) -> None:
    def use_a_channel_of_its_own(number: int) -> int:
        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(f"127.0.0.1:{server.port}", options=options) as channel:
            request = rpc.PutContextsRequest(contexts=[pb.Context(type_id=RUN, name=f"c{number}")])
            return len(calls_over(channel)("PutContexts", request).context_ids)

    with futures.ThreadPoolExecutor(500) as pool:
        assert sum(pool.map(use_a_channel_of_its_own, range(500))) == 500
    assert len(served("GetContexts", rpc.GetContextsRequest()).contexts) == 501


def test_every_rpc_takes_an_empty_request(served: Call) -> None:
    expected = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNIMPLEMENTED}
    for name, method in METHODS.items():
        if method.is_stream:
            continue
        try:
            served(name, method.request_class())
        except grpc.RpcError as error:
            assert error.code() in expected, name  # either outcome is right
