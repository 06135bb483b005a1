"""Clients that write steps all the time, send again what was not acknowledged, and remember what was.

Nothing in a step has a name that only one may have, so a step that was written twice would show.
"""

import itertools
import os
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import grpc
from faults.serving import client_of
from support import Call

from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc

PATIENCE_S = 60


def put_types(call: Call) -> rpc.PutTypesResponse:
    request = rpc.PutTypesRequest()
    request.artifact_types.add(name="Data")
    request.execution_types.add(name="Step")
    request.context_types.add(name="Run")
    return call("PutTypes", request)


def step(types: rpc.PutTypesResponse, name: str) -> rpc.PutExecutionRequest:
    """A step with an input and an output in the context of all."""
    request = rpc.PutExecutionRequest()
    request.options.reuse_context_if_already_exist = True
    request.execution.type_id = types.execution_type_ids[0]
    request.execution.custom_properties["step"].string_value = name
    for type_ in (pb.Event.INPUT, pb.Event.OUTPUT):
        pair = request.artifact_event_pairs.add()
        pair.artifact.type_id = types.artifact_type_ids[0]
        pair.artifact.custom_properties["step"].string_value = name
        pair.event.type = type_
    request.contexts.add(type_id=types.context_type_ids[0], name="all")
    return request


class Load:
    """Writers in a process of their own, which each go on to the next server where one does not answer.

    Not in the tests' own process, since gRPC does not bear that it starts others while it is called.
    """

    def __init__(self, ports: Sequence[int], *, writers: int, name: str = "load") -> None:
        self.acknowledged: dict[str, int] = {}
        """Execution ids by the names of steps."""
        self.codes: Counter[str] = Counter()
        """How often which code was answered."""
        tests = Path(__file__).parent.parent
        self._process = subprocess.Popen(
            [sys.executable, __file__, name, str(writers), *map(str, ports)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tests), os.environ.get("PYTHONPATH", "")])},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for_more(self, count: int) -> None:
        """Wait until ``count`` more steps are acknowledged."""
        goal = len(self.acknowledged) + count
        patience = time.monotonic() + PATIENCE_S
        while len(self.acknowledged) < goal:
            assert time.monotonic() < patience, f"nothing gets through any more: {self.codes}"
            time.sleep(0.01)

    def stop(self) -> None:
        """Begin no more steps, and wait until all that were begun are acknowledged."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(PATIENCE_S) == 0, f"a step was never acknowledged: {self.codes}"
        self._reader.join()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            code, name, execution_id = line.rstrip("\n").split("\t")
            self.codes[code] += 1
            if code == "OK":
                self.acknowledged[name] = int(execution_id)


def main(load: str, writers: int, ports: Sequence[int]) -> None:
    """Write until stdin ends; a line each answer: code, step, execution id."""
    is_stopping = threading.Event()

    def write(writer: int) -> None:
        clients = [client_of(port, f"writer {writer}") for port in ports]
        types = None
        for number in itertools.count():
            if is_stopping.is_set():
                return
            name, request_id = f"{load} writer {writer} step {number}", uuid.uuid4().hex
            for attempt in itertools.count(writer):
                call = clients[attempt % len(clients)]
                code, execution_id = "OK", 0
                try:
                    types = types or put_types(call)
                    answer = call("PutExecution", step(types, name), request_id=request_id)
                    execution_id = answer.execution_id
                except grpc.RpcError as error:
                    code = error.code().name
                    if code != "UNAVAILABLE":
                        code = f"{code}: {error.details()}"
                print(f"{code}\t{name}\t{execution_id}\n", end="", flush=True)
                if code == "OK":
                    break
                if code != "UNAVAILABLE" or attempt > writer + 2_000:
                    os._exit(1)
                time.sleep(0.02)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(writers)]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    is_stopping.set()


def check(call: Call, acknowledged: dict[str, int], *, name: str = "load") -> None:
    """What was acknowledged of the load ``name`` is stored, once and whole; and nothing beside it."""
    executions = [
        execution
        for execution in call("GetExecutions", rpc.GetExecutionsRequest()).executions
        if _step_of(execution).startswith(name)
    ]
    assert Counter(map(_step_of, executions)) == Counter(acknowledged.keys())
    assert {_step_of(execution): execution.id for execution in executions} == acknowledged

    artifacts = call("GetArtifacts", rpc.GetArtifactsRequest()).artifacts
    steps = {one.id: _step_of(one) for one in artifacts if _step_of(one).startswith(name)}
    assert Counter(steps.values()) == Counter(dict.fromkeys(acknowledged, 2))
    ids = set(acknowledged.values())
    events = call("GetEventsByExecutionIDs", rpc.GetEventsByExecutionIDsRequest(execution_ids=ids)).events
    assert Counter((steps[event.artifact_id], event.type) for event in events) == Counter(
        {(step, type_): 1 for step in acknowledged for type_ in (pb.Event.INPUT, pb.Event.OUTPUT)}
    )
    (context,) = call("GetContexts", rpc.GetContextsRequest()).contexts
    linked = call(
        "GetExecutionsByContext", rpc.GetExecutionsByContextRequest(context_id=context.id)
    ).executions
    assert Counter(one.id for one in linked if one.id in ids) == Counter(ids)


def _step_of(node: pb.Artifact | pb.Execution) -> str:
    return node.custom_properties["step"].string_value


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), [int(port) for port in sys.argv[3:]])
