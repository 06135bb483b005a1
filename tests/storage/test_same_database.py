"""headwater and ML Metadata's C++ engine on one database: each reads what the other wrote."""

from collections.abc import Callable
from functools import partial
from operator import attrgetter

import pytest
from google.protobuf import struct_pb2
from google.protobuf.message import Message
from support import Call, mlmd_engine, needs_mlmd

from headwater.embedded import open_transport
from headwater.storage.opening import add_own_indexes, open_database
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc

pytestmark = needs_mlmd

# What the engine can write: on the servers its columns hold 32 bits, and on PostgreSQL backslashes fail.
NUMBERS = {"sqlite": 2**53 + 1, "postgresql": 2**31 - 1, "mysql": -(2**31)}
TEXTS = {"postgresql": 'it\'s "quoted" 你好 %_'}

Write = Callable[[Call, str], None]


@pytest.fixture
def write_a_run(backend: str) -> Write:
    """Write types, nodes with every kind of value, events with paths, links and a parent."""
    text = TEXTS.get(backend, 'it\'s "quoted" \\ 你好 %_')
    return partial(put_run, number=NUMBERS[backend], text=text)


def put_run(call: Call, name: str, *, number: int, text: str) -> None:
    """One of each encoding."""
    types = rpc.PutTypesRequest(can_add_fields=True, can_omit_fields=True)
    every_kind = {"i": pb.INT, "d": pb.DOUBLE, "s": pb.STRING, "t": pb.STRUCT, "p": pb.PROTO, "b": pb.BOOLEAN}
    types.artifact_types.add(name="Model", version="2", description="A model", properties=every_kind)
    types.artifact_types[0].base_type = pb.ArtifactType.MODEL
    types.execution_types.add(name="Trainer", properties={"rate": pb.DOUBLE})
    types.execution_types[0].input_type.simple.name = "Data"
    types.context_types.add(name="Run")
    made = call("PutTypes", types)

    step = rpc.PutExecutionRequest()
    step.execution.type_id = made.execution_type_ids[0]
    step.execution.name = f"train {name}"
    step.execution.last_known_state = pb.Execution.COMPLETE
    step.execution.properties["rate"].double_value = 0.25
    for role, type_ in (("data", pb.Event.INPUT), ("model", pb.Event.OUTPUT)):
        pair = step.artifact_event_pairs.add()
        artifact = pair.artifact
        artifact.type_id = made.artifact_type_ids[0]
        artifact.name, artifact.uri, artifact.external_id = (
            f"{role} {name}",
            f"s3://b/{role}",
            f"{role}:{name}",
        )
        artifact.state = pb.Artifact.LIVE
        artifact.properties["i"].int_value = number
        artifact.properties["d"].double_value = -1.5
        artifact.properties["s"].string_value = text
        artifact.properties["t"].struct_value.update({"a": [1, {"b": None}], "c": "x"})
        artifact.properties["p"].proto_value.Pack(struct_pb2.Value(string_value="packed"))
        artifact.properties["b"].bool_value = True
        artifact.custom_properties["empty"].struct_value.SetInParent()
        artifact.custom_properties["with a.dot"].bool_value = False
        pair.event.type = type_
        pair.event.path.steps.add(key=role)
        pair.event.path.steps.add(index=0)
    for context in ("pipeline", name):
        step.contexts.add(type_id=made.context_type_ids[0], name=context)
    step.options.reuse_context_if_already_exist = True
    pipeline_id, run_id = call("PutExecution", step).context_ids

    parents = rpc.PutParentContextsRequest()
    parents.parent_contexts.add(child_id=run_id, parent_id=pipeline_id)
    call("PutParentContexts", parents)


READS: list[Message] = [
    rpc.GetArtifactTypesByIDRequest(type_ids=range(1, 30)),
    rpc.GetExecutionTypesByIDRequest(type_ids=range(1, 30)),
    rpc.GetContextTypesByIDRequest(type_ids=range(1, 30)),
    rpc.GetArtifactsRequest(),
    rpc.GetExecutionsRequest(),
    rpc.GetContextsRequest(),
    rpc.GetEventsByArtifactIDsRequest(artifact_ids=range(1, 20)),
    rpc.GetArtifactsByContextRequest(context_id=1),
    rpc.GetExecutionsByContextRequest(context_id=1),
    rpc.GetContextsByArtifactRequest(artifact_id=1),
    rpc.GetParentContextsByContextRequest(context_id=2),
    rpc.GetChildrenContextsByContextRequest(context_id=1),
]


def everything(call: Call) -> list[Message]:
    """What each read answers, in the order of ids: the engine promises none, and PostgreSQL gives others."""
    answers = [call(type(request).__name__.removesuffix("Request"), request) for request in READS]
    for answer in answers:
        for field, found in answer.ListFields():
            if field.message_type is not None and "id" in field.message_type.fields_by_name:
                found.sort(key=attrgetter("id"))
    return answers


def test_each_reads_what_the_other_wrote(database_url: str, write_a_run: Write) -> None:
    with mlmd_engine(database_url) as engine:
        write_a_run(engine, "first")
        theirs = everything(engine)
    ours = open_transport(database_url)
    assert everything(ours.call) == theirs

    write_a_run(ours.call, "second")
    extended = everything(ours.call)
    ours.close()
    with mlmd_engine(database_url) as engine:
        assert everything(engine) == extended
        write_a_run(engine, "third")
        again = everything(engine)
    ours = open_transport(database_url)
    assert everything(ours.call) == again
    ours.close()


def test_caches_notice_what_the_engine_writes_meanwhile(database_url: str, write_a_run: Write) -> None:
    ours = open_transport(database_url)
    write_a_run(ours.call, "first")
    warm = everything(ours.call)
    assert everything(ours.call) == warm

    with mlmd_engine(database_url) as engine:
        write_a_run(engine, "second")
        change = rpc.PutArtifactsRequest()
        change.artifacts.add(id=1, uri="moved")
        change.update_mask.paths.append("uri")
        engine("PutArtifacts", change)
        theirs = everything(engine)
        assert everything(ours.call) == theirs
        assert theirs != warm
    ours.close()


def test_the_engine_opens_a_store_with_our_indexes(database_url: str, write_a_run: Write) -> None:
    with mlmd_engine(database_url) as engine:
        write_a_run(engine, "first")
        before = everything(engine)
    database = open_database(database_url)
    assert len(add_own_indexes(database)) == 2
    database.close()

    with mlmd_engine(database_url) as engine:
        assert everything(engine) == before
