"""Somebody else writes the same thing at the worst moment: between any two statements of a request."""

import itertools
import threading
from collections.abc import Iterator

import pytest
from faults.content import rows_of_tables
from faults.injection import FAULTS, FaultyDatabase, Plan, faulty_database
from faults.load import put_types, step
from google.protobuf.message import Message
from support import Call

from headwater.embedded import EmbeddedTransport
from headwater.service.dispatch import Service
from headwater.storage.database import Database
from headwater.v1 import metadata_store_service_pb2 as rpc

pytestmark = pytest.mark.backends("postgresql", "mysql")

# At most so many statements has an attempt of any request here.
MOST_STATEMENTS = 60


@pytest.fixture
def faulty(backend: str, store_url: str) -> Iterator[FaultyDatabase]:
    with faulty_database(backend, store_url) as database:
        yield database


def reusing(types: rpc.PutTypesResponse, name: str) -> rpc.PutExecutionRequest:
    """A step that uses the context and the artifact of a name, and makes them if they are not there."""
    request = step(types, name)
    request.options.reuse_artifact_if_already_exist_by_external_id = True
    request.artifact_event_pairs[0].artifact.external_id = name
    request.contexts[0].name = name
    return request


@pytest.mark.parametrize("is_careful", [False, True], ids=["at once", "step by step"])
def test_what_two_make_at_the_same_moment_is_made_once_and_used_by_both(
    is_careful: bool, backend: str, store_url: str, faulty: FaultyDatabase, call: Call
) -> None:
    faulty_call = EmbeddedTransport(faulty).call
    types = put_types(call)
    for moment in range(is_careful, MOST_STATEMENTS):
        before = rows_of_tables(backend, store_url)
        done = threading.Event()

        def somebody_else(moment: int = moment, done: threading.Event = done) -> None:
            def write() -> None:
                call("PutExecution", reusing(types, f"moment {moment}"))
                done.set()

            threading.Thread(target=write).start()
            done.wait(0.3)  # Unless it waits for us, it is first.

        first = {0: FAULTS[backend][0]} if is_careful else {}
        faulty.plan = plan = Plan({**first, moment: somebody_else})
        faulty_call("PutExecution", reusing(types, f"moment {moment}"))
        if plan.faults:
            return  # There is no such moment.
        assert done.wait(30)
        written = rows_of_tables(backend, store_url) - before
        counts = (written["Execution"], written["Artifact"], written["Context"], written["Event"])
        assert counts == (2, 3, 1, 4), moment
    raise AssertionError("a request of so many statements?")


def named(types: rpc.PutTypesResponse, name: str) -> rpc.PutArtifactsRequest:
    request = rpc.PutArtifactsRequest()
    request.artifacts.add(type_id=types.artifact_type_ids[0], name=name)
    return request


def changing(call: Call, name: str) -> rpc.PutArtifactsRequest:
    """Change the only artifact that there is, as it was read a moment ago."""
    (read,) = call("GetArtifacts", rpc.GetArtifactsRequest()).artifacts
    request = rpc.PutArtifactsRequest()
    request.options.abort_if_latest_updated_time_changed = True
    request.artifacts.add().CopyFrom(read)
    request.artifacts[0].uri = name
    return request


@pytest.mark.parametrize(
    ("what", "is_careful"), list(itertools.product(("a name", "a change"), (False, True)))
)
def test_the_same_request_at_another_server_at_the_same_moment(
    what: str, is_careful: bool, backend: str, faulty: FaultyDatabase, database: Database
) -> None:
    """It is not refused for what it has done itself."""
    here, there = Service(faulty), Service(database)
    call = EmbeddedTransport(database).call
    types = put_types(call)
    if what == "a change":
        call("PutArtifacts", named(types, "taxi"))

    def send(service: Service, request: Message, request_id: str) -> int:
        answer = service.answer_bytes("PutArtifacts", request.SerializeToString(), request_id=request_id)
        return rpc.PutArtifactsResponse.FromString(answer).artifact_ids[0]

    for moment in range(is_careful, MOST_STATEMENTS):
        name, request_id = f"moment {moment}", f"id {moment}"
        request = named(types, name) if what == "a name" else changing(call, name)
        done = threading.Event()
        theirs: list[int] = []

        def somebody_else(
            request: Message = request,
            request_id: str = request_id,
            theirs: list[int] = theirs,
            done: threading.Event = done,
        ) -> None:
            def write() -> None:
                theirs.append(send(there, request, request_id))
                done.set()

            threading.Thread(target=write).start()
            done.wait(0.3)

        first = {0: FAULTS[backend][0]} if is_careful else {}
        faulty.plan = plan = Plan({**first, moment: somebody_else})
        ours = send(here, request, request_id)
        if plan.faults:
            return
        assert done.wait(30)
        assert theirs == [ours], moment
    raise AssertionError("a request of so many statements?")
