"""Two servers over one database: what one has acknowledged the other shows, and a race has one winner."""

from collections import Counter

import grpc
import pytest
from faults.serving import Client, Serve, at_once

from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc

Pair = tuple[Client, Client]


@pytest.fixture
def pair(serve: Serve, file_url: str) -> Pair:
    """A client each of two servers."""
    return serve(file_url).client(), serve(file_url).client()


def put_type(call: Client, name: str, **properties: int) -> int:
    request = rpc.PutArtifactTypeRequest(can_add_fields=True, can_omit_fields=True)
    request.artifact_type.name = name
    for property_name, value in properties.items():
        request.artifact_type.properties[property_name] = value
    return call("PutArtifactType", request).type_id


def code_of(call: Client, name: str, request: object) -> str:
    try:
        call(name, request)
    except grpc.RpcError as error:
        return error.code().name
    return "OK"


def test_what_one_server_has_acknowledged_the_other_shows_at_once(pair: Pair) -> None:
    here, there = pair
    type_id = put_type(here, "Data")
    put = rpc.PutArtifactsRequest()
    put.artifacts.add(type_id=type_id, name="taxi")
    (artifact_id,) = here("PutArtifacts", put).artifact_ids

    for number in range(40):
        writer, reader = (here, there) if number % 2 else (there, here)
        put = rpc.PutArtifactsRequest()
        put.artifacts.add(id=artifact_id, type_id=type_id, uri=f"s3://{number}")
        writer("PutArtifacts", put)

        (found,) = reader(
            "GetArtifactsByID", rpc.GetArtifactsByIDRequest(artifact_ids=[artifact_id])
        ).artifacts
        assert found.uri == f"s3://{number}"


def test_a_type_that_gained_a_property_on_one_server_has_it_on_the_other(pair: Pair) -> None:
    here, there = pair
    put_type(here, "Data", p0=pb.INT)
    names = ["p0"]
    for number in range(1, 10):
        writer, reader = (here, there) if number % 2 else (there, here)
        names.append(f"p{number}")
        type_id = put_type(writer, "Data", **{names[-1]: pb.INT})

        found = reader("GetArtifactType", rpc.GetArtifactTypeRequest(type_name="Data")).artifact_type
        assert sorted(found.properties) == sorted(names)
        put = rpc.PutArtifactsRequest()
        put.artifacts.add(type_id=type_id).properties[names[-1]].int_value = number
        assert code_of(reader, "PutArtifacts", put) == "OK"


def test_a_type_that_gained_a_property_elsewhere_is_no_more_equal_to_what_it_was(pair: Pair) -> None:
    here, there = pair
    as_it_was = rpc.PutArtifactTypeRequest()
    as_it_was.artifact_type.name = "Data"
    here("PutArtifactType", as_it_was)
    put_type(there, "Data", rows=pb.INT)

    assert code_of(here, "PutArtifactType", as_it_was) == "ALREADY_EXISTS"


def test_a_context_of_one_server_is_reused_and_filled_by_the_other(pair: Pair) -> None:
    here, there = pair
    types = rpc.PutTypesRequest()
    types.execution_types.add(name="Step")
    types.context_types.add(name="Run")
    made = here("PutTypes", types)

    context_ids = set()
    for number in range(10):
        call = (here, there)[number % 2]
        put = rpc.PutExecutionRequest()
        put.options.reuse_context_if_already_exist = True
        put.execution.type_id = made.execution_type_ids[0]
        put.contexts.add(type_id=made.context_type_ids[0], name="monday")
        context_ids |= set(call("PutExecution", put).context_ids)
        for reader in pair:
            listed = rpc.GetExecutionsByContextRequest(context_id=min(context_ids))
            assert len(reader("GetExecutionsByContext", listed).executions) == number + 1

    assert len(context_ids) == 1


def test_of_many_who_make_a_type_at_once_all_get_the_same_id(pair: Pair) -> None:
    def make(number: int) -> list[int]:
        return [put_type(pair[number % 2], f"Type {name}", rows=pb.INT) for name in range(20)]

    ids = at_once(32, make)

    assert all(one == ids[0] for one in ids)
    listed = pair[0]("GetArtifactTypes", rpc.GetArtifactTypesRequest()).artifact_types
    assert Counter(type_.name for type_ in listed) == Counter(f"Type {name}" for name in range(20))


def test_of_many_who_change_what_they_have_read_exactly_one_wins(pair: Pair) -> None:
    type_id = put_type(pair[0], "Data")
    put = rpc.PutArtifactsRequest()
    put.artifacts.add(type_id=type_id, name="taxi")
    (artifact_id,) = pair[0]("PutArtifacts", put).artifact_ids
    by_id = rpc.GetArtifactsByIDRequest(artifact_ids=[artifact_id])

    def change(number: int, round_: int, read: pb.Artifact) -> str:
        request = rpc.PutArtifactsRequest()
        request.options.abort_if_latest_updated_time_changed = True
        request.artifacts.add().CopyFrom(read)
        request.artifacts[0].uri = f"s3://{round_}/{number}"
        return code_of(pair[number % 2], "PutArtifacts", request)

    for round_ in range(10):
        (read,) = pair[round_ % 2]("GetArtifactsByID", by_id).artifacts

        codes = at_once(16, change, round_, read)

        assert Counter(codes) == Counter({"OK": 1, "FAILED_PRECONDITION": 15})
        (after,) = pair[0]("GetArtifactsByID", by_id).artifacts
        assert after.uri == f"s3://{round_}/{codes.index('OK')}"


def test_of_many_who_take_a_name_exactly_one_gets_it(pair: Pair) -> None:
    type_id = put_type(pair[0], "Data")

    def take(number: int, round_: int) -> str:
        request = rpc.PutArtifactsRequest()
        request.artifacts.add(type_id=type_id, name=f"name {round_}").uri = str(number)
        return code_of(pair[number % 2], "PutArtifacts", request)

    for round_ in range(10):
        codes = Counter(at_once(16, take, round_))

        assert codes == Counter({"OK": 1, "ALREADY_EXISTS": 15})


def test_parents_that_two_servers_set_at_once_close_no_cycle(pair: Pair) -> None:
    types = rpc.PutContextTypeRequest()
    types.context_type.name = "Run"
    type_id = pair[0]("PutContextType", types).type_id

    def link(number: int, one: int, two: int) -> str:
        request = rpc.PutParentContextsRequest()
        child_id, parent_id = ((one, two), (two, one))[number]
        request.parent_contexts.add(child_id=child_id, parent_id=parent_id)
        return code_of(pair[number], "PutParentContexts", request)

    for round_ in range(10):
        put = rpc.PutContextsRequest()
        for name in ("one", "two"):
            put.contexts.add(type_id=type_id, name=f"{name} {round_}")
        one, two = pair[0]("PutContexts", put).context_ids

        codes = Counter(at_once(2, link, one, two))

        assert codes == Counter({"OK": 1, "INVALID_ARGUMENT": 1})
