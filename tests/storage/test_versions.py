"""What is kept ready to be answered is never older than what others have written."""

from collections.abc import Iterator

import pytest
from support import Call, mlmd_engine, needs_mlmd

from headwater.embedded import EmbeddedTransport
from headwater.storage.opening import open_database
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc

pytestmark = pytest.mark.backends("postgresql", "mysql")


@pytest.fixture
def other(store_url: str) -> Iterator[Call]:
    """Calls another server of the same store."""
    database = open_database(store_url)
    yield EmbeddedTransport(database).call
    database.close()


def stored(call: Call, *ids: int) -> dict[int, pb.Artifact]:
    answer = call("GetArtifactsByID", rpc.GetArtifactsByIDRequest(artifact_ids=ids))
    return {artifact.id: artifact for artifact in answer.artifacts}


def put(call: Call, *artifacts: pb.Artifact) -> list[int]:
    return list(call("PutArtifacts", rpc.PutArtifactsRequest(artifacts=artifacts)).artifact_ids)


def data(rows: int) -> pb.Artifact:
    made = pb.Artifact(type_id=1)
    made.custom_properties["rows"].int_value = rows
    return made


def test_what_another_server_wrote_is_seen_at_once(call: Call, other: Call) -> None:
    first, second, third = put(call, data(1), data(2), data(3))
    stored(call, first, second)
    changed = data(20)
    changed.id = second
    put(other, changed)

    found = stored(call, first, second, third, third + 1)

    assert {node_id: node.custom_properties["rows"].int_value for node_id, node in found.items()} == {
        first: 1,
        second: 20,
        third: 3,
    }


def test_a_node_changed_a_hundred_times_in_turn_is_always_the_newest(call: Call, other: Call) -> None:
    (node_id,) = put(call, data(0))
    for turn in range(100):
        writer, reader = (call, other) if turn % 2 else (other, call)
        changed = data(turn)
        changed.id = node_id
        put(writer, changed)

        assert stored(reader, node_id)[node_id].custom_properties["rows"].int_value == turn
        assert stored(writer, node_id)[node_id].custom_properties["rows"].int_value == turn


@needs_mlmd
def test_what_ml_metadata_wrote_meanwhile_is_seen_at_once(call: Call, store_url: str) -> None:
    (node_id,) = put(call, data(1))
    stored(call, node_id)
    changed = data(2)
    changed.id = node_id
    with mlmd_engine(store_url) as engine:
        put(engine, changed)

    assert stored(call, node_id)[node_id].custom_properties["rows"].int_value == 2


def test_a_type_that_another_server_extended_is_known(call: Call, other: Call) -> None:
    narrow = rpc.PutArtifactTypeRequest(artifact_type=pb.ArtifactType(name="Data"), all_fields_match=True)
    type_id = call("PutArtifactType", narrow).type_id
    put(call, pb.Artifact(type_id=type_id))
    wide = rpc.PutArtifactTypeRequest(
        artifact_type=pb.ArtifactType(name="Data", properties={"rows": pb.INT}),
        all_fields_match=True,
        can_add_fields=True,
    )
    assert other("PutArtifactType", wide).type_id == type_id
    made = pb.Artifact(type_id=type_id)
    made.properties["rows"].int_value = 5

    (node_id,) = put(call, made)

    assert stored(call, node_id)[node_id].properties["rows"].int_value == 5
