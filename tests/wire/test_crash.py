"""kill -9 while many write: what was acknowledged is there, what was not is there whole or not at all."""

import contextlib
import itertools
import os
import signal
import subprocess
import threading
from pathlib import Path

import grpc
from support import Call, calls_over

from headwater.embedded import open_transport
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc

ROUNDS = int(os.environ.get("HEADWATER_CRASH_ROUNDS", "6"))
WRITERS = 8
ACKNOWLEDGED_BEFORE_THE_KILL = 40


def step_request(types: rpc.PutTypesResponse, name: str) -> rpc.PutExecutionRequest:
    """A step that is whole with its execution, two artifacts of two properties, two events, one context."""
    request = rpc.PutExecutionRequest()
    request.execution.type_id = types.execution_type_ids[0]
    request.execution.name = name
    for role in ("in", "out"):
        pair = request.artifact_event_pairs.add()
        pair.artifact.type_id = types.artifact_type_ids[0]
        pair.artifact.name = f"{name} {role}"
        pair.artifact.custom_properties["role"].string_value = role
        pair.artifact.custom_properties["of"].string_value = name
        pair.event.type = pb.Event.INPUT if role == "in" else pb.Event.OUTPUT
        pair.event.path.steps.add(key=role)
    request.contexts.add(type_id=types.context_type_ids[0], name=f"run of {name}")
    return request


def put_types(call: Call) -> rpc.PutTypesResponse:
    request = rpc.PutTypesRequest()
    request.artifact_types.add(name="Data")
    request.execution_types.add(name="Step")
    request.context_types.add(name="Run")
    return call("PutTypes", request)  # type: ignore[return-value]  # the response of that call


def write_until_the_server_is_gone(
    port: int, round_: int, writer: int, acknowledged: dict[str, int], enough: threading.Semaphore
) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = calls_over(channel)
        with contextlib.suppress(grpc.RpcError):
            types = put_types(call)
            for number in itertools.count():
                name = f"round {round_} writer {writer} step {number}"
                answer = call("PutExecution", step_request(types, name))
                acknowledged[name] = answer.execution_id  # type: ignore[attr-defined]  # a PutExecutionResponse
                enough.release()


def check_whole(call: Call, acknowledged: dict[str, int]) -> int:
    """Every step that is there is whole, and every acknowledged one is there; how many there are."""
    executions = {
        found.name: found.id for found in call("GetExecutions", rpc.GetExecutionsRequest()).executions
    }
    lost = {name for name, execution_id in acknowledged.items() if executions.get(name) != execution_id}
    assert not lost

    ids = list(executions.values())
    events = call("GetEventsByExecutionIDs", rpc.GetEventsByExecutionIDsRequest(execution_ids=ids)).events
    artifacts = {found.id: found for found in call("GetArtifacts", rpc.GetArtifactsRequest()).artifacts}
    contexts = call("GetContexts", rpc.GetContextsRequest()).contexts
    assert len(events) == len(artifacts) == 2 * len(executions)
    assert {context.name for context in contexts} == {f"run of {name}" for name in executions}
    names = {execution_id: name for name, execution_id in executions.items()}
    for event in events:
        artifact = artifacts[event.artifact_id]
        (step,) = event.path.steps
        assert artifact.name == f"{names[event.execution_id]} {step.key}"
        assert artifact.custom_properties["role"].string_value == step.key
        assert artifact.custom_properties["of"].string_value == names[event.execution_id]
    for context in contexts:
        by_context = rpc.GetArtifactsByContextRequest(context_id=context.id)
        assert len(call("GetArtifactsByContext", by_context).artifacts) == 2
    return len(executions)


def test_kill_9_loses_nothing_acknowledged_and_leaves_nothing_half_written(
    database_url: str, python: str
) -> None:
    acknowledged: dict[str, int] = {}
    for round_ in range(ROUNDS):
        serve = [python, "-m", "headwater.cli", "serve", "--database-url", database_url, "--port", "0"]
        with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            port = int(process.stdout.readline().rpartition(":")[2])
            enough = threading.Semaphore(0)
            writers = [
                threading.Thread(
                    target=write_until_the_server_is_gone, args=(port, round_, writer, acknowledged, enough)
                )
                for writer in range(WRITERS)
            ]
            for thread in writers:
                thread.start()
            for _ in range(ACKNOWLEDGED_BEFORE_THE_KILL + 7 * round_):
                assert enough.acquire(timeout=60)
            process.send_signal(signal.SIGKILL)
            for thread in writers:
                thread.join()
        store = open_transport(database_url)
        assert check_whole(store.call, acknowledged) >= len(acknowledged)
        store.close()


def test_kill_9_of_a_program_that_uses_the_database_in_process(database_url: str, python: str) -> None:
    program = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r}); sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
from test_crash import put_types, step_request
from headwater.embedded import open_transport
call = open_transport({database_url!r}).call
types = put_types(call)
for number in range(10_000):
    name = f"step {{number}}"
    print(name, call("PutExecution", step_request(types, name)).execution_id, sep="\\t", flush=True)
"""
    acknowledged: dict[str, int] = {}
    with subprocess.Popen([python, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            name, execution_id = line.rstrip("\n").split("\t")
            acknowledged[name] = int(execution_id)
            if len(acknowledged) == ACKNOWLEDGED_BEFORE_THE_KILL:
                process.send_signal(signal.SIGKILL)
    store = open_transport(database_url)
    assert check_whole(store.call, acknowledged) >= ACKNOWLEDGED_BEFORE_THE_KILL
    store.close()
