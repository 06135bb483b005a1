"""A request is carried out in its order, whatever is asked or sent together on the way."""

import pytest
from support import Call

from headwater.errors import AlreadyExists, InvalidRequest
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc


def data(note: str | None = None, *, node_id: int | None = None, name: str | None = None) -> pb.Artifact:
    made = pb.Artifact(type_id=1, id=node_id, name=name)
    if note is not None:
        made.custom_properties["note"].string_value = note
    return made


def put(call: Call, *artifacts: pb.Artifact) -> list[int]:
    return list(call("PutArtifacts", rpc.PutArtifactsRequest(artifacts=artifacts)).artifact_ids)


def notes(call: Call, *ids: int) -> list[str]:
    found = call("GetArtifactsByID", rpc.GetArtifactsByIDRequest(artifact_ids=ids)).artifacts
    return [artifact.custom_properties["note"].string_value for artifact in found]


def test_of_two_updates_of_a_node_the_later_one_counts(call: Call) -> None:
    first, second = put(call, data("old"), data("old"))

    _, third, _, _ = put(
        call,
        data("early", node_id=first),
        data("new"),
        data("late", node_id=first),
        data("late", node_id=second),
    )

    assert notes(call, first, second, third) == ["late", "late", "new"]


def test_a_property_that_an_earlier_update_removed_is_not_brought_back(call: Call) -> None:
    first, second = put(call, data("old"), data("old"))
    masked = rpc.PutArtifactsRequest(
        artifacts=[
            data(node_id=first),
            data("new"),
            pb.Artifact(id=first, type_id=1, uri="s3://late"),
            data("late", node_id=second),
        ]
    )
    call("PutArtifacts", masked)

    (found, _) = call("GetArtifactsByID", rpc.GetArtifactsByIDRequest(artifact_ids=[first, second])).artifacts
    assert (found.uri, dict(found.custom_properties)) == ("s3://late", {})


def test_a_name_twice_in_a_request_is_refused_and_said_so(call: Call) -> None:
    with pytest.raises(AlreadyExists, match="two artifacts of this request"):
        put(call, data(name="same"), data(name="same"))

    assert len(put(call, data(name="same"))) == 1


def test_a_name_with_a_nul_character_never_finds_what_stands_before_it(call: Call) -> None:
    put(call, data(name="taxi"))
    request = rpc.GetArtifactByTypeAndNameRequest(type_name="mlmd.Dataset", artifact_name="taxi\0x")

    try:
        assert not call("GetArtifactByTypeAndName", request).HasField("artifact")
    except InvalidRequest as refused:
        assert "NUL" in str(refused)
