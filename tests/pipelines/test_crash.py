"""kill -9 of the server between the beginning and the end of steps: nothing is lost, doubled or half."""

import itertools
import threading
import time
from collections import Counter

import grpc
import pytest
from faults.serving import Serve, Serving
from pipelines.asking import Steps, end, made, step, used

from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc
from headwater.v1 import pipelines_pb2 as pp

WRITERS = 6
KILLS = 3
PATIENCE_S = 60


def steps_of(serving: Serving) -> Steps:
    return Steps(serving.client())


def test_a_step_whose_server_was_killed_is_finished_at_the_next(serve: Serve, file_url: str) -> None:
    first = serve(file_url)
    run = steps_of(first).start(worker="host:1")
    request = step()
    begun = steps_of(first).begin(request)
    first.kill()

    second = serve(file_url)
    steps = steps_of(second)
    assert steps.begin(step(run="tuesday")).decision == pp.WAIT
    assert not steps.renew(run.lease.token, begun.lease.token).lost_tokens
    again = steps.begin(request)
    assert (again.execution_id, again.lease.token) == (begun.execution_id, begun.lease.token)
    finished = steps.finish(end(request))
    second.kill()

    steps = steps_of(serve(file_url))
    assert steps.finish(end(request)) == finished
    hit = steps.begin(step(run="tuesday"))
    assert (hit.decision, hit.execution_id) == (pp.HIT, begun.execution_id)
    assert steps.state(begun.execution_id) == "COMPLETE"


class Writers:
    """Programs that record step after step, and send again what was not answered, to any server there is."""

    def __init__(self, serving: Serving) -> None:
        self.go_on_at(serving)
        self.finished: dict[str, int] = {}
        """Execution id by key, of what was acknowledged."""
        self._is_stopping = threading.Event()
        self._failures: list[BaseException] = []
        self._threads = [threading.Thread(target=self._write, args=(writer,)) for writer in range(WRITERS)]
        for thread in self._threads:
            thread.start()

    def go_on_at(self, serving: Serving) -> None:
        self.serving, self._client = serving, serving.client()

    def wait_for_more(self, count: int) -> None:
        goal = len(self.finished) + count
        until = time.monotonic() + PATIENCE_S
        while len(self.finished) < goal:
            assert time.monotonic() < until, "nothing gets through any more"
            assert not self._failures, self._failures
            time.sleep(0.005)

    def stop(self) -> None:
        self._is_stopping.set()
        for thread in self._threads:
            thread.join()
        assert not self._failures, self._failures

    def _write(self, writer: int) -> None:
        try:
            for number in itertools.count():
                if self._is_stopping.is_set():
                    return
                key = f"writer {writer} step {number}"
                request = step(f"step {number}", run=f"run {writer}", lr=writer, key=key)
                begun = self._sent("BeginStep", request)
                outputs = [made(name, uri=f"file:///{key}/{name}") for name in ("a", "b")]
                finished = self._sent("FinishStep", end(request, outputs=outputs))
                assert finished.execution_id == begun.execution_id
                self.finished[key] = finished.execution_id
        except BaseException as failure:
            self._failures.append(failure)

    def _sent(self, name: str, request: pp.BeginStepRequest | pp.FinishStepRequest) -> pp.BeginStepResponse:
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self._client(name, request, timeout_s=10)
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE or time.monotonic() > until:
                    raise
                time.sleep(0.01)


def test_steps_of_many_go_on_while_their_server_is_killed_and_restarted(serve: Serve, file_url: str) -> None:
    writers = Writers(serve(file_url))
    for _ in range(KILLS):
        writers.wait_for_more(30)
        writers.serving.kill()
        writers.go_on_at(serve(file_url))
    writers.wait_for_more(30)
    writers.stop()

    steps = steps_of(serve(file_url))
    executions = steps.executions()
    assert {one.external_id: one.id for one in executions} == writers.finished
    assert {one.last_known_state for one in executions} == {pb.Execution.COMPLETE}
    ids = [one.id for one in executions]
    events = steps.call(
        "GetEventsByExecutionIDs", rpc.GetEventsByExecutionIDsRequest(execution_ids=ids)
    ).events
    ends = Counter((event.execution_id, pb.Event.Type.Name(event.type)) for event in events)
    assert ends == Counter(
        {(one, type_): count for one in ids for type_, count in (("INPUT", 1), ("OUTPUT", 2))}
    )
    artifacts = steps.call("GetArtifacts", rpc.GetArtifactsRequest()).artifacts
    raw = [one for one in artifacts if one.external_id.startswith("raw:")]
    assert (len(raw), len(artifacts)) == (1, 1 + 2 * len(ids))
    # Nobody holds anything any more, so nothing ends.
    assert steps.end_expired() == pp.EndExpiredLeasesResponse()
    for number in range(WRITERS):
        assert steps.begin(step("step 0", lr=number, run="later")).decision == pp.HIT


@pytest.mark.backends("sqlite")
def test_what_a_killed_server_had_not_answered_is_whole_or_not_there(serve: Serve, file_url: str) -> None:
    serving = serve(file_url)
    client = serving.client()
    warm = Steps(client)
    warm.computed("warm")
    requests = [step(f"step {number}", inputs=[used(f"table {number}")]) for number in range(200)]
    pending = [client.future("BeginStep", request) for request in requests]
    pending[20].result()
    serving.kill()

    steps = steps_of(serve(file_url))
    stored = {one.external_id: one for one in steps.executions()}
    answered = [
        request.key
        for request, future in zip(requests, pending, strict=True)
        if future.done() and future.exception() is None
    ]
    assert set(answered) <= stored.keys()
    for request in requests:
        again = steps.begin(request)
        if request.key in stored:
            assert again.execution_id == stored[request.key].id
            assert again.HasField("lease")
        assert (again.decision, len(again.input_artifact_ids)) == (pp.RUN, 1)
        assert len(steps.ends(again.execution_id)["INPUT"]) == 1
    assert len(steps.executions()) == 201
