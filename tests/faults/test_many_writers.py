"""Five hundred clients write at once, over two servers where there may be two: nobody notices the others."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import grpc
from faults.serving import Client, Serve

from headwater.embedded import open_transport
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc

WRITERS = 500
SHARED_NODES = 5
STEPS = 2


def put_types(call: Client, writer: int) -> rpc.PutTypesResponse:
    """The same types from everybody, and one of ten to which each adds a property."""
    request = rpc.PutTypesRequest(can_add_fields=True, can_omit_fields=True)
    request.artifact_types.add(name="Data").properties["rows"] = pb.INT
    request.execution_types.add(name="Step")
    request.context_types.add(name="Pipeline")
    request.context_types.add(name="Run")
    growing = request.artifact_types.add(name=f"Growing {writer % 10}")
    growing.properties[f"of {writer}"] = pb.STRING
    return call("PutTypes", request)


def step(types: rpc.PutTypesResponse, writer: int, number: int) -> rpc.PutExecutionRequest:
    """A step that reads what all read, in the contexts of all and of some."""
    request = rpc.PutExecutionRequest()
    request.options.reuse_context_if_already_exist = True
    request.options.reuse_artifact_if_already_exist_by_external_id = True
    request.execution.type_id = types.execution_type_ids[0]
    request.execution.name = f"writer {writer} step {number}"
    for external_id in ("raw", f"group {writer % 20}"):
        pair = request.artifact_event_pairs.add()
        pair.artifact.type_id, pair.artifact.external_id = types.artifact_type_ids[0], external_id
        pair.event.type = pb.Event.INPUT
    pair = request.artifact_event_pairs.add()
    pair.artifact.type_id = types.artifact_type_ids[0]
    pair.artifact.custom_properties["by"].string_value = request.execution.name
    pair.event.type = pb.Event.OUTPUT
    pipeline, run = types.context_type_ids
    request.contexts.add(type_id=pipeline, name="all")
    request.contexts.add(type_id=run, name=f"run {writer % 20}")
    return request


def signature(artifact_ids: list[int], type_id: int, writer: int) -> rpc.PutArtifactsRequest:
    """Each writer's own property on the nodes that all change, in an order of its own."""
    request = rpc.PutArtifactsRequest()
    request.update_mask.paths.append(f"custom_properties.writer {writer}")
    turn = writer % len(artifact_ids)
    for artifact_id in artifact_ids[turn:] + artifact_ids[:turn]:
        artifact = request.artifacts.add(id=artifact_id, type_id=type_id)
        artifact.custom_properties[f"writer {writer}"].int_value = writer
    return request


def test_500_writers_see_no_error_lose_nothing_and_double_nothing(
    serve: Serve, backend: str, file_url: str
) -> None:
    serving = [serve(file_url) for _ in range(1 if backend == "sqlite" else 2)]
    clients = [serving[index % len(serving)].client(f"client {index}") for index in range(20)]
    shared_ids: list[int] = []
    shared_type = rpc.PutArtifactTypeRequest()
    shared_type.artifact_type.name = "Shared"
    shared_type_id = clients[0]("PutArtifactType", shared_type).type_id
    shared = rpc.PutArtifactsRequest()
    for _ in range(SHARED_NODES):
        shared.artifacts.add(type_id=shared_type_id)
    shared_ids += clients[0]("PutArtifacts", shared).artifact_ids
    start = threading.Barrier(WRITERS)
    failures: Counter[str] = Counter()

    def write(writer: int) -> None:
        call = clients[writer % len(clients)]
        start.wait()
        try:
            types = put_types(call, writer)
            for number in range(STEPS):
                call("PutExecution", step(types, writer, number))
            call("PutArtifacts", signature(shared_ids, shared_type_id, writer))
        except grpc.RpcError as error:
            failures[f"{error.code().name}: {error.details()}"] += 1

    with ThreadPoolExecutor(WRITERS) as threads:
        list(threads.map(write, range(WRITERS)))

    assert not failures
    for one in serving:
        one.close()
    store = open_transport(file_url)
    check(store.call, shared_ids)
    store.close()


def check(call: Client, shared_ids: list[int]) -> None:
    artifact_types = call("GetArtifactTypes", rpc.GetArtifactTypesRequest()).artifact_types
    assert Counter(type_.name for type_ in artifact_types) == Counter(
        ["Data", "Shared", *(f"Growing {number}" for number in range(10))]
    )
    for type_ in artifact_types:
        if type_.name.startswith("Growing"):
            writers = range(int(type_.name.rpartition(" ")[2]), WRITERS, 10)
            assert set(type_.properties) == {f"of {writer}" for writer in writers}
    context_types = call("GetContextTypes", rpc.GetContextTypesRequest()).context_types
    assert Counter(type_.name for type_ in context_types) == Counter(["Pipeline", "Run"])

    executions = call("GetExecutions", rpc.GetExecutionsRequest()).executions
    names = [f"writer {writer} step {number}" for writer in range(WRITERS) for number in range(STEPS)]
    assert Counter(execution.name for execution in executions) == Counter(names)
    contexts = call("GetContexts", rpc.GetContextsRequest()).contexts
    assert Counter(context.name for context in contexts) == Counter(
        ["all", *(f"run {number}" for number in range(20))]
    )

    artifacts = {found.id: found for found in call("GetArtifacts", rpc.GetArtifactsRequest()).artifacts}
    outputs = Counter(
        artifact.custom_properties["by"].string_value
        for artifact in artifacts.values()
        if "by" in artifact.custom_properties
    )
    assert outputs == Counter(names)
    external_ids = Counter(artifact.external_id for artifact in artifacts.values() if artifact.external_id)
    assert external_ids == Counter(["raw", *(f"group {number}" for number in range(20))])
    for artifact_id in shared_ids:
        assert dict.fromkeys(artifacts[artifact_id].custom_properties) == dict.fromkeys(
            sorted(f"writer {writer}" for writer in range(WRITERS))
        )
        for writer in range(WRITERS):
            assert artifacts[artifact_id].custom_properties[f"writer {writer}"].int_value == writer

    ids = [execution.id for execution in executions]
    events = call("GetEventsByExecutionIDs", rpc.GetEventsByExecutionIDsRequest(execution_ids=ids)).events
    assert Counter(event.execution_id for event in events) == Counter(dict.fromkeys(ids, 3))
    for context in contexts:
        request = rpc.GetExecutionsByContextRequest(context_id=context.id)
        found = Counter(one.name for one in call("GetExecutionsByContext", request).executions)
        group = context.name.removeprefix("run ")
        assert found == Counter(
            name for name in names if context.name == "all" or int(name.split()[1]) % 20 == int(group)
        )
