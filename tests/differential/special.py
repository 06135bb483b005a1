"""Short sequences for what must not happen in long ones, and for sizes that those do not reach.

Each is a function that gives the steps from an empty store. After most of the intended disagreements here
the two stores differ for good, so nothing else may follow in the same store.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from google.protobuf.message import Message

from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpcs

from . import filter_texts
from .drawing import DECLARED
from .model import KINDS, UNKNOWN_ID
from .steps import Call, Listing, NotForEngine, Step, WriteBack

Pair = rpcs.PutExecutionRequest.ArtifactAndEvent
Edge = rpcs.PutLineageSubgraphRequest.EventEdge
Order = pb.ListOperationOptions.OrderByField
ARTIFACT_TYPE, EXECUTION_TYPE, CONTEXT_TYPE = 10, 11, 12


def _call(rpc: str, **fields: object) -> Call:
    return Call(rpc, getattr(rpcs, f"{rpc}Request")(**fields))


def _types() -> Step:
    return _call(
        "PutTypes",
        artifact_types=[pb.ArtifactType(name="T1", properties=DECLARED)],
        execution_types=[pb.ExecutionType(name="T1", properties=DECLARED)],
        context_types=[pb.ContextType(name="T1", properties=DECLARED)],
    )


def _artifact(**fields: object) -> pb.Artifact:
    return pb.Artifact(type_id=ARTIFACT_TYPE, **fields)


def _execution(**fields: object) -> pb.Execution:
    return pb.Execution(type_id=EXECUTION_TYPE, **fields)


def _context(**fields: object) -> pb.Context:
    return pb.Context(type_id=CONTEXT_TYPE, **fields)


def _text(text: str) -> pb.Value:
    return pb.Value(string_value=text)


def _put(*artifacts: pb.Artifact) -> Step:
    return _call("PutArtifacts", artifacts=artifacts)


def _read(*artifact_ids: int) -> Step:
    return _call("GetArtifactsByID", artifact_ids=artifact_ids)


def doubles() -> Iterator[Step]:
    """Q1: six decimals and 15 digits, NaN and the infinities."""
    yield _types()
    for double in (1 / 3, 0.1234567890123, 1e-7, 5e-324, 1e300 / 3, -0.0, 1e15 + 0.25, 2.0**70, 0.1 + 0.2):
        value = pb.Value(double_value=double)
        yield _put(_artifact(properties={"d": value}, custom_properties={"cd": value}))
    yield _read(*range(1, 10))
    for double in (float("nan"), float("inf"), float("-inf")):
        yield _put(_artifact(properties={"d": pb.Value(double_value=double)}))
        yield _put(_artifact(custom_properties={"cd": pb.Value(double_value=double)}))
        yield _call(
            "PutLineageSubgraph",
            artifacts=[_artifact(custom_properties={"cd": pb.Value(double_value=double)})],
        )
    yield _call("GetArtifacts")


def same_name_declared_and_custom() -> Iterator[Step]:
    """Q2: the engine mixes up the two properties on update."""
    yield _types()
    yield _put(_artifact(properties={"i": pb.Value(int_value=1)}, custom_properties={"i": _text("custom")}))
    yield _read(1)
    yield _put(
        _artifact(id=1, properties={"i": pb.Value(int_value=2)}, custom_properties={"i": _text("custom")})
    )
    yield _read(1)


def same_name_deleted() -> Iterator[Step]:
    """Q2: the engine deletes both."""
    yield _types()
    yield _put(_artifact(properties={"i": pb.Value(int_value=1)}, custom_properties={"i": _text("custom")}))
    yield _put(_artifact(id=1, properties={"i": pb.Value(int_value=1)}))
    yield _read(1)


def many_nodes() -> Iterator[Step]:
    """Q3 and Q23: more than 100 in a page, and more than 100 that a subgraph starts from."""
    yield _types()
    yield _put(*[_artifact(name=f"n{number}", state=number % 5) for number in range(130)])
    for size in (99, 100, 101, 150, 1000, 2**31 - 1):
        for text in ("", "state = LIVE", "id > 20"):
            yield Listing(
                "GetArtifacts",
                rpcs.GetArtifactsRequest(options={"max_result_size": size, "filter_query": text}),
            )
        by_type = rpcs.GetArtifactsByTypeRequest(type_name="T1", options={"max_result_size": size})
        yield Listing("GetArtifactsByType", by_type)
    for text in ("TRUE", "id > 20", "id < 101", "id < 102", "id < 103"):
        request = rpcs.GetLineageSubgraphRequest()
        request.lineage_subgraph_query_options.starting_artifacts.filter_query = text
        request.read_mask.paths.append("artifacts")
        yield Call("GetLineageSubgraph", request)
    yield _call("GetArtifacts")


def many_at_once() -> Iterator[Step]:
    """Q4: pages by time when one request has written more than two pages."""
    yield _types()
    yield _put(*[_artifact() for _ in range(40)])
    yield _put(*[_artifact(id=number, uri="u") for number in (30, 3, 7, 12, 25)])
    for field in (Order.CREATE_TIME, Order.LAST_UPDATE_TIME, Order.ID):
        for is_asc in (True, False):
            for size in (1, 7, 19, 20):
                options = {"max_result_size": size, "order_by_field": {"field": field, "is_asc": is_asc}}
                yield Listing("GetArtifacts", rpcs.GetArtifactsRequest(options=options))


def reserved_null() -> Iterator[Step]:
    """Q6: the engine stores its own word for NULL, and cannot read the node again."""
    yield _types()
    yield _put(_artifact(custom_properties={"cs": _text("__MLMD_NULL__")}))
    yield _read(1)


def reserved_null_as_name() -> Iterator[Step]:
    """Q6: as a name the word reads as no name."""
    yield _types()
    yield _put(_artifact(name="__MLMD_NULL__", uri="__MLMD_NULL__"))
    yield _read(1)


def reserved_struct() -> Iterator[Step]:
    """Q6: a string that looks like a stored struct."""
    yield _types()
    yield _put(
        _artifact(custom_properties={"cs": _text("mlmd-struct::")}, properties={"s": _text("mlmd-struct::")})
    )
    yield _read(1)
    yield _put(_artifact(custom_properties={"cs": _text("mlmd-struct::!!")}))
    yield _read(2)


def empty_any() -> Iterator[Step]:
    """Q6b: a proto value without type_url makes the node unreadable."""
    yield _types()
    value = pb.Value()
    value.proto_value.SetInParent()
    yield _put(_artifact(properties={"pr": value}))
    yield _read(1)


def nul_byte(**fields: object) -> Iterator[Step]:
    """Q7: the engine cuts strings at a NUL byte."""
    yield _types()
    yield _put(_artifact(**fields))
    yield _read(1)


def dangling_in_put_execution() -> Iterator[Step]:
    """Q8: an event of an artifact that is not there."""
    yield _types()
    pair = Pair(event=pb.Event(artifact_id=UNKNOWN_ID, type=pb.Event.INPUT))
    yield _call("PutExecution", execution=_execution(), artifact_event_pairs=[pair])


def dangling_in_put_lineage_subgraph() -> Iterator[Step]:
    """Q8: an event of nodes that are not there."""
    yield _types()
    event = pb.Event(artifact_id=UNKNOWN_ID, execution_id=UNKNOWN_ID, type=pb.Event.INPUT)
    yield _call("PutLineageSubgraph", event_edges=[Edge(event=event)])


def empty_pair_with_context() -> Iterator[Step]:
    """Q9: the engine attributes the artifact -1, after which the context cannot be listed."""
    yield _types()
    yield _call(
        "PutExecution", execution=_execution(), artifact_event_pairs=[Pair()], contexts=[_context(name="c1")]
    )
    yield _call("GetExecutionsByContext", context_id=1)
    yield _call("GetArtifactsByContext", context_id=1)
    yield Listing("GetArtifactsByContext", rpcs.GetArtifactsByContextRequest(context_id=1, options={}))


def one_type_three_times() -> Iterator[Step]:
    """T1: the engine compares with what was stored before the request, not with what it has just added."""
    given = [
        pb.ContextType(name="T8", properties=properties)
        for properties in ({"s": 3}, {"s": 3, "i": 1}, {"s": 3})
    ]
    yield _call("PutTypes", context_types=given, can_add_fields=True)


def one_type_without_external_id() -> Iterator[Step]:
    """T1: the second time, without external id, the engine overwrites the first one's with ""."""
    yield _call(
        "PutTypes", context_types=[pb.ContextType(name="T8", external_id="x1"), pb.ContextType(name="T8")]
    )
    yield _call("GetContextType", type_name="T8")


def reuse_after_rename() -> Iterator[Step]:
    """A context renamed by a request is not reused under its old name by the same request."""
    for number, rpc in enumerate(("PutExecution", "PutLineageSubgraph")):
        yield _types()
        yield _call("PutContexts", contexts=[_context(name=f"old{number}")])
        request = getattr(rpcs, f"{rpc}Request")(options={"reuse_context_if_already_exist": True})
        request.contexts.append(_context(id=2 * number + 1, name=f"new{number}"))
        request.contexts.append(_context(name=f"old{number}"))
        request.contexts.append(_context(name=f"new{number}"))
        if rpc == "PutExecution":
            request.execution.CopyFrom(_execution())
        yield Call(rpc, request)
        yield _call("GetContexts")


def reuse_after_external_id() -> Iterator[Step]:
    """An artifact that a request gives an external id is reused by the pairs that follow."""
    yield _types()
    yield _put(_artifact(), _artifact(external_id="x1"))
    options = rpcs.PutExecutionRequest.Options(reuse_artifact_if_already_exist_by_external_id=True)
    for artifacts in (
        (_artifact(id=1, external_id="x2"), _artifact(external_id="x2", uri="u1")),
        (_artifact(id=2), _artifact(external_id="x1", uri="u2")),
        (_artifact(external_id="x3"), _artifact(external_id="x3", uri="u3")),
    ):
        pairs = [Pair(artifact=artifact) for artifact in artifacts]
        yield _call("PutExecution", execution=_execution(), artifact_event_pairs=pairs, options=options)
        yield _call("GetArtifacts")


def long_chain() -> Iterator[Step]:
    """Q23: hops are cut at 100."""
    yield _types()
    request = rpcs.PutLineageSubgraphRequest(
        executions=[_execution() for _ in range(60)], artifacts=[_artifact() for _ in range(61)]
    )
    for number in range(60):
        request.event_edges.add(
            execution_index=number, artifact_index=number, event=pb.Event(type=pb.Event.INPUT)
        )
        request.event_edges.add(
            execution_index=number, artifact_index=number + 1, event=pb.Event(type=pb.Event.OUTPUT)
        )
    yield Call("PutLineageSubgraph", request)
    for hops in (None, 0, 1, 2, 98, 99, 100, 101, 1000, 2**62):
        for direction, start in ((1, 61), (2, 1), (3, 30)):
            query = pb.LineageSubgraphQueryOptions(direction=direction, max_num_hops=hops)
            query.starting_artifacts.filter_query = f"id = {start}"
            yield _call("GetLineageSubgraph", lineage_subgraph_query_options=query)


def unknown_numbers() -> Iterator[Step]:
    """Enum numbers and fields that are not in the proto: unset, and ignored."""
    yield _types()
    for raw in (b"\x30\x63", b"\xb8\x3e\x01", b"\x20\x01"):
        artifact = _artifact(state=pb.Artifact.LIVE)
        artifact.MergeFromString(raw)
        yield _put(artifact)
    yield _read(1, 2, 3)
    edit = pb.Artifact()
    edit.MergeFromString(b"\x30\x63\xb8\x3e\x01")
    yield WriteBack("artifact", 1, edit, rpc="PutArtifacts")
    yield _read(1)
    event = pb.Event(artifact_id=1, execution_id=1)
    event.MergeFromString(b"\x20\x63")
    yield _call("PutExecutions", executions=[_execution()])
    yield _call("PutEvents", events=[event])
    given = pb.ArtifactType(name="T2")
    given.MergeFromString(b"\x30\x63")
    yield _call("PutArtifactType", artifact_type=given)
    order = rpcs.GetArtifactsRequest(options={"order_by_field": {}})
    order.options.order_by_field.MergeFromString(b"\x08\x63")
    yield Listing("GetArtifacts", order)
    query = rpcs.GetLineageSubgraphRequest()
    query.lineage_subgraph_query_options.starting_artifacts.filter_query = "id = 1"
    query.lineage_subgraph_query_options.MergeFromString(b"\x20\x63")
    yield Call("GetLineageSubgraph", query)


def every_filter() -> Iterator[Step]:
    """All fixed filter texts, for all kinds, over nodes that most of them tell apart."""
    yield _types()
    values = {
        "i": pb.Value(int_value=1), "i2": pb.Value(int_value=2), "MyProp": pb.Value(int_value=3), "d": pb.Value(double_value=0.5),
        "s": _text("v1"), "b": pb.Value(bool_value=True), "my prop": _text("v2"),
    }  # fmt: skip
    custom = {
        "cs": _text("v1"),
        "CS": _text("v1"),
        "x*": _text("v1"),
        "name": _text("v1"),
        "ci": pb.Value(int_value=1),
        "a:b.c": _text("v1"),
    }
    nodes = [
        {"name": "n1", "external_id": "x1", "properties": values},
        {"name": "name", "custom_properties": custom},
        {
            "name": "n2",
            "properties": {**values, "b": pb.Value(bool_value=False)},
            "custom_properties": {**custom, "cs": _text("name")},
        },
        {"name": "N1", "custom_properties": {"cs": _text("both ' and \""), "name": _text("v2")}},
        {"name": "l1\nl2", "custom_properties": {"cs": _text("%_")}},
        {"name": "größe", "custom_properties": {"cs": _text("a%"), "other": _text("v1")}},
    ]
    uris = ("u1", "uri", "a\\b", "line\nbreak", "", "u2")
    yield _put(
        *(
            _artifact(**node, uri=uri, state=state)
            for node, uri, state in zip(nodes, uris, (2, 1, 5, 6, 0, 3), strict=True)
        ),
        _artifact(),
    )
    states = (1, 2, 3, 4, 5, 6)
    executions = [
        *(_execution(**node, last_known_state=state) for node, state in zip(nodes, states, strict=True)),
        _execution(),
    ]
    yield _call("PutExecutions", executions=executions)
    yield _call("PutContexts", contexts=[_context(**node) for node in nodes])
    yield _call(
        "PutAttributionsAndAssociations",
        attributions=[
            pb.Attribution(artifact_id=a, context_id=c) for a, c in ((1, 1), (1, 2), (2, 1), (3, 3), (7, 2))
        ],
        associations=[
            pb.Association(execution_id=e, context_id=c) for e, c in ((1, 1), (1, 2), (2, 2), (3, 3), (7, 4))
        ],
    )
    parents = [
        pb.ParentContext(child_id=child, parent_id=parent) for child, parent in ((1, 3), (2, 3), (3, 4))
    ]
    yield _call("PutParentContexts", parent_contexts=parents)
    edges = ((1, 1, 4), (1, 2, 3), (2, 2, 7), (3, 1, 3), (3, 3, 2), (4, 4, 5))
    events = [
        pb.Event(artifact_id=a, execution_id=e, type=t, milliseconds_since_epoch=100 * t) for a, e, t in edges
    ]
    yield _call("PutEvents", events=events)
    for kind in KINDS:
        name = f"Get{kind.title()}s"
        for text in (
            *filter_texts.INVALID,
            *filter_texts.VALID,
            *filter_texts.DATABASE_ONLY,
            *filter_texts.BEYOND,
        ):
            yield Listing(name, getattr(rpcs, f"{name}Request")(options={"filter_query": text}))
        for quirk in filter_texts.QUIRKS:
            if kind in quirk.kinds:
                request = getattr(rpcs, f"{name}Request")(options={"filter_query": quirk.text})
                yield Listing(name, request, for_engine=quirk.instead)


def empty_values() -> Iterator[Step]:
    """Q5: what would end the engine's process."""
    yield _types()
    empty = {"cs": pb.Value()}
    requests: tuple[tuple[str, Message], ...] = (
        ("PutArtifacts", rpcs.PutArtifactsRequest(artifacts=[_artifact(custom_properties=empty)])),
        ("PutExecutions", rpcs.PutExecutionsRequest(executions=[_execution(custom_properties=empty)])),
        ("PutContexts", rpcs.PutContextsRequest(contexts=[_context(name="c", custom_properties=empty)])),
        ("PutExecution", rpcs.PutExecutionRequest(execution=_execution(custom_properties=empty))),
        (
            "PutLineageSubgraph",
            rpcs.PutLineageSubgraphRequest(executions=[_execution(custom_properties=empty)]),
        ),
    )
    for rpc, request in requests:
        yield NotForEngine(rpc, request)
    yield _call("GetExecutions")


SEQUENCES: Mapping[str, Callable[[], Iterator[Step]]] = {
    sequence.__name__: sequence
    for sequence in (
        doubles, same_name_declared_and_custom, same_name_deleted, many_nodes, many_at_once, reserved_null, reserved_null_as_name,
        reserved_struct, empty_any, dangling_in_put_execution, dangling_in_put_lineage_subgraph, empty_pair_with_context,
        one_type_three_times, one_type_without_external_id, reuse_after_rename, reuse_after_external_id, long_chain, unknown_numbers, every_filter, empty_values,
    )
} | {
    "nul_byte_in_name": partial(nul_byte, name="a\0b"),
    "nul_byte_in_uri": partial(nul_byte, uri="a\0b"),
    "nul_byte_in_external_id": partial(nul_byte, external_id="a\0b"),
    "nul_byte_in_value": partial(nul_byte, custom_properties={"cs": _text("a\0b")}),
    "nul_byte_in_property_name": partial(nul_byte, custom_properties={"a\0b": _text("x")}),
}  # fmt: skip
