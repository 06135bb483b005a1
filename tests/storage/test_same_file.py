"""headwater and ML Metadata's C++ engine on one database file: each reads what the other wrote."""

from pathlib import Path

from google.protobuf import struct_pb2
from google.protobuf.message import Message
from support import Call, mlmd_engine, needs_mlmd

from headwater.embedded import open_transport
from headwater.storage.opening import add_own_indexes, open_database
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc

pytestmark = needs_mlmd


def write_a_run(call: Call, name: str) -> None:
    """Types, nodes with every kind of value, events with paths, links and a parent: one of each encoding."""
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
        artifact.properties["i"].int_value = 2**53 + 1
        artifact.properties["d"].double_value = -1.5
        artifact.properties["s"].string_value = 'it\'s "quoted" \\ 你好 %_'
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
    return [call(type(request).__name__.removesuffix("Request"), request) for request in READS]


def test_each_reads_what_the_other_wrote(tmp_path: Path) -> None:
    path = tmp_path / "shared.db"
    with mlmd_engine(path) as engine:
        write_a_run(engine, "first")
        theirs = everything(engine)
    ours = open_transport(f"sqlite:///{path}")
    assert everything(ours.call) == theirs

    write_a_run(ours.call, "second")
    extended = everything(ours.call)
    ours.close()
    with mlmd_engine(path) as engine:
        assert everything(engine) == extended
        write_a_run(engine, "third")
        again = everything(engine)
    ours = open_transport(f"sqlite:///{path}")
    assert everything(ours.call) == again
    ours.close()


def test_caches_notice_what_the_engine_writes_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "shared.db"
    ours = open_transport(f"sqlite:///{path}")
    write_a_run(ours.call, "first")
    warm = everything(ours.call)
    assert everything(ours.call) == warm

    with mlmd_engine(path) as engine:
        write_a_run(engine, "second")
        change = rpc.PutArtifactsRequest()
        change.artifacts.add(id=1, uri="moved")
        change.update_mask.paths.append("uri")
        engine("PutArtifacts", change)
        theirs = everything(engine)
        assert everything(ours.call) == theirs
        assert theirs != warm
    ours.close()


def test_the_engine_opens_a_store_with_our_indexes(tmp_path: Path) -> None:
    path = tmp_path / "shared.db"
    with mlmd_engine(path) as engine:
        write_a_run(engine, "first")
        before = everything(engine)
    database = open_database(f"sqlite:///{path}")
    assert len(add_own_indexes(database)) == 2
    database.close()

    with mlmd_engine(path) as engine:
        assert everything(engine) == before
