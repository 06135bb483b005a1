"""Requests that are sent again under their id: after an answer was lost, to another server, many at once."""

import time
import uuid
from collections import Counter

import grpc
import pytest
import sqlalchemy as sa
from databases import server_of
from faults.load import Load, check, put_types, step
from faults.serving import Client, Serve, at_once, client_of
from proxies import Proxy

from headwater.embedded import EmbeddedTransport, open_transport
from headwater.service.dispatch import Service
from headwater.storage import schema
from headwater.storage.opening import open_database
from headwater.storage.requests import forget_old
from headwater.storage.statements import Prepared
from headwater.v1 import metadata_store_service_pb2 as rpc

WRITERS = 12


@pytest.fixture
def call(serve: Serve, file_url: str) -> Client:
    return serve(file_url).client()


def steps_stored(call: Client) -> Counter[str]:
    executions = call("GetExecutions", rpc.GetExecutionsRequest()).executions
    return Counter(execution.custom_properties["step"].string_value for execution in executions)


def test_a_request_that_is_sent_twice_is_answered_twice_and_stored_once(call: Client) -> None:
    types = put_types(call)

    first = call("PutExecution", step(types, "one"), request_id="id 1")
    again = call("PutExecution", step(types, "one"), request_id="id 1")
    other = call("PutExecution", step(types, "one"), request_id="id 2")

    assert again == first
    assert other.execution_id != first.execution_id
    assert steps_stored(call) == {"one": 2}


def test_another_server_knows_what_was_carried_out(call: Client, serve: Serve, file_url: str) -> None:
    types = put_types(call)
    first = call("PutExecution", step(types, "one"), request_id="id 1")

    assert serve(file_url).client()("PutExecution", step(types, "one"), request_id="id 1") == first
    assert steps_stored(call) == {"one": 1}


def test_an_id_that_was_used_for_another_request_is_refused(call: Client) -> None:
    types = put_types(call)
    call("PutExecution", step(types, "one"), request_id="id 1")

    with pytest.raises(grpc.RpcError) as refused:
        call("PutExecution", step(types, "two"), request_id="id 1")

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.details() == (
        "the request id 'id 1' was used for another request; take a new one for each"
    )
    assert steps_stored(call) == {"one": 1}


def test_what_was_refused_was_not_carried_out_and_may_be_sent_again(call: Client) -> None:
    types = put_types(call)
    taken = rpc.PutArtifactsRequest()
    taken.artifacts.add(type_id=types.artifact_type_ids[0], name="taxi")
    call("PutArtifacts", taken)

    for _ in range(2):
        with pytest.raises(grpc.RpcError) as refused:
            call("PutArtifacts", taken, request_id="id 1")
        assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS


@pytest.mark.parametrize("request_id", ["", "x" * 65])
def test_an_id_of_no_or_too_many_characters_is_refused(call: Client, request_id: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        call("PutTypes", rpc.PutTypesRequest(), request_id=request_id)

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "1 to 64 characters" in refused.value.details()


def test_a_server_says_that_it_knows_ids(call: Client) -> None:
    answered = call.future("PutTypes", rpc.PutTypesRequest(), metadata=(("headwater-request-id", "id 1"),))

    assert ("headwater-request-id", "id 1") in [tuple(pair) for pair in answered.trailing_metadata()]


def test_many_who_send_the_same_request_at_once_get_the_same_answer(
    call: Client, serve: Serve, file_url: str
) -> None:
    types = put_types(call)
    clients = [call, serve(file_url).client()]

    def send(number: int, round_: int) -> int:
        request = step(types, f"step {round_}")
        return clients[number % 2]("PutExecution", request, request_id=f"id {round_}").execution_id

    for round_ in range(10):
        assert len(set(at_once(16, send, round_))) == 1

    assert steps_stored(call) == {f"step {round_}": 1 for round_ in range(10)}


@pytest.mark.backends("postgresql", "mysql")
def test_names_that_only_one_may_have_are_no_reason_to_refuse_the_same_request(
    call: Client, serve: Serve, file_url: str
) -> None:
    """A second attempt must not trip over what the first one has written, or is about to commit."""
    types = put_types(call)
    clients = [call, serve(file_url).client()]

    def send(number: int, round_: int) -> int:
        request = rpc.PutArtifactsRequest()
        request.artifacts.add(type_id=types.artifact_type_ids[0], name=f"taxi {round_}")
        return clients[number % 2]("PutArtifacts", request, request_id=f"id {round_}").artifact_ids[0]

    for round_ in range(20):
        assert len(set(at_once(8, send, round_))) == 1


@pytest.mark.backends("postgresql", "mysql")
def test_a_server_is_killed_between_commit_and_answer(serve: Serve, backend: str, file_url: str) -> None:
    killed, other = serve(file_url), serve(file_url).client()
    types = put_types(other)
    database = sa.make_url(file_url).database
    for number in range(3):
        request, request_id = step(types, f"step {number}"), uuid.uuid4().hex
        # The answer is on its way for half a second, in which the row shows that the commit is through.
        with (
            Proxy(f"127.0.0.1:{killed.port}", delay_ms=500) as proxy,
            server_of(backend).connection(database) as db,
        ):
            client = client_of(int(proxy.address.rpartition(":")[2]))
            answer = client.future("PutExecution", request, metadata=(("headwater-request-id", request_id),))
            cursor = db.cursor()
            found = 0
            patience = time.monotonic() + 30
            while not found and time.monotonic() < patience:
                cursor.execute(f"SELECT count(*) FROM headwater_request WHERE request_id = '{request_id}'")
                ((found,),) = cursor.fetchall()
            assert found
            # In this order: what a server has sent before it ends, a proxy still delivers.
            proxy.cut()
            killed.kill()
            with pytest.raises(grpc.RpcError) as lost:
                answer.result()
            assert lost.value.code() is grpc.StatusCode.UNAVAILABLE
            client.channel.close()

        again = other("PutExecution", request, request_id=request_id)

        assert steps_stored(other)[f"step {number}"] == 1
        assert again == other("PutExecution", request, request_id=request_id)
        killed = serve(file_url)


def test_kill_9_of_one_of_two_servers_under_load(serve: Serve, file_url: str) -> None:
    for round_ in range(3):
        killed, other = serve(file_url), serve(file_url)
        load = Load([killed.port, other.port], writers=WRITERS, name=f"round {round_}")
        load.wait_for_more(60 + 17 * round_)
        killed.kill()
        load.wait_for_more(60)
        load.stop()
        other.kill()

        assert set(load.codes) <= {"OK", "UNAVAILABLE"}
        store = open_transport(file_url)
        check(store.call, load.acknowledged, name=f"round {round_}")
        store.close()


@pytest.mark.backends("postgresql", "mysql")
def test_the_answer_to_commit_is_lost_on_the_way(backend: str, store_url: str) -> None:
    server = server_of(backend)
    commit = {"postgresql": b"COMMIT\0", "mysql": b"COMMIT"}[backend]
    with Proxy(f"{server.host}:{server.port}") as proxy:
        database = open_database(proxy.url(store_url))
        call = EmbeddedTransport(database).call
        types = put_types(call)
        for number in range(10):
            # On a connection that is new, so that the word itself is sent.
            proxy.cut()
            trap = (proxy.cut_after if number % 2 else proxy.cut_before)(commit)

            call("PutExecution", step(types, f"step {number}"))

            assert trap.sprung
            assert steps_stored(call)[f"step {number}"] == 1  # type: ignore[arg-type]
        database.close()


@pytest.mark.backends("postgresql", "mysql")
def test_answers_are_forgotten_in_time(store_url: str) -> None:
    """Those whose ids clients chose after a day, those of the server's own after ten minutes."""
    minute_ms = 60_000
    now_ms = 1_700_000_000_000
    database = open_database(store_url, clock=lambda: now_ms)
    service, call = Service(database), EmbeddedTransport(database).call
    types = put_types(call)
    named = step(types, "named").SerializeToString()
    first = service.answer_bytes("PutExecution", named, request_id="id 1")
    call("PutExecution", step(types, "nameless"))
    left = []
    for minutes in (9, 2, 23 * 60):
        now_ms += minutes * minute_ms
        database.write(forget_old)
        left.append(len(database.read(lambda tx: tx.rows(Prepared(sa.select(schema.request_table))))))

    assert left == [3, 1, 1]
    assert service.answer_bytes("PutExecution", named, request_id="id 1") == first
    now_ms += 2 * 60 * minute_ms
    database.write(forget_old)
    assert service.answer_bytes("PutExecution", named, request_id="id 1") != first
    database.close()
