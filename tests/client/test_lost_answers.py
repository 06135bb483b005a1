"""Writes whose answer is lost: sent again under the same id, and carried out once."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent import futures

import grpc
import pytest
from databases import empty_database
from proxies import Proxy

from headwater import errors
from headwater.client import GrpcTransport, Store
from headwater.client.channel import REQUEST_ID
from headwater.server import Server
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc
from headwater.wire import STORE_SERVICE

PATIENCE_S = 60
WRITERS = 6


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with Proxy(f"127.0.0.1:{server.port}") as proxy:
        yield proxy


def put_context(transport: GrpcTransport, type_id: int, name: str, **options: float) -> int:
    request = rpc.PutContextsRequest(contexts=[pb.Context(type_id=type_id, name=name)])
    return transport.call("PutContexts", request, **options).context_ids[0]


def put_execution(transport: GrpcTransport, type_id: int, note: str) -> int:
    """Put an execution without a name, which nothing keeps from being there twice."""
    request = rpc.PutExecutionsRequest(executions=[pb.Execution(type_id=type_id)])
    request.executions[0].custom_properties["note"].string_value = note
    return transport.call("PutExecutions", request).execution_ids[0]


def put_execution_type(transport: GrpcTransport) -> int:
    request = rpc.PutExecutionTypeRequest(execution_type=pb.ExecutionType(name="Step"))
    return transport.call("PutExecutionType", request).type_id


def notes(transport: GrpcTransport) -> dict[int, str]:
    found = transport.call("GetExecutions", rpc.GetExecutionsRequest()).executions
    return {execution.id: execution.custom_properties["note"].string_value for execution in found}


def test_a_write_whose_answer_was_lost_is_answered_when_it_is_sent_again(proxy):
    with GrpcTransport(proxy.address, timeout_s=PATIENCE_S) as transport:
        type_id = put_execution_type(transport)
        lost = proxy.cut_after(b"a note that is written once")

        execution_id = put_execution(transport, type_id, "a note that is written once")

        assert lost.sprung
        assert notes(transport) == {execution_id: "a note that is written once"}


def test_a_write_that_never_arrived_is_sent_again(proxy):
    with GrpcTransport(proxy.address) as transport:
        type_id = put_execution_type(transport)
        lost = proxy.cut_before(b"a note that is written once")

        execution_id = put_execution(transport, type_id, "a note that is written once")

        assert lost.sprung
        assert notes(transport) == {execution_id: "a note that is written once"}


def test_an_error_that_was_lost_is_the_error_of_the_second_time(proxy):
    with GrpcTransport(proxy.address) as transport:
        put_execution_type(transport)
        proxy.cut_after(b"a note without a type")

        with pytest.raises(errors.NotFound):
            put_execution(transport, 4711, "a note without a type")


def test_a_read_is_enough_to_know_the_server(proxy):
    with GrpcTransport(proxy.address) as transport:
        notes(transport)
        proxy.cut_after(b"a type that is put once")

        put = rpc.PutContextTypeRequest(context_type=pb.ContextType(name="a type that is put once"))
        assert transport.call("PutContextType", put).type_id > 0


def test_a_write_to_a_server_that_has_not_answered_before_is_not_sent_again(proxy):
    with GrpcTransport(proxy.address) as transport:
        proxy.cut_after(b"Step")

        with pytest.raises(errors.Unavailable):
            put_execution_type(transport)


def test_without_retries_nothing_is_sent_again(proxy):
    with GrpcTransport(proxy.address, retries=0) as transport:
        type_id = put_execution_type(transport)
        proxy.cut_after(b"a note that is written once")

        with pytest.raises(errors.Unavailable):
            put_execution(transport, type_id, "a note that is written once")


def test_a_server_that_stays_away_is_unavailable_when_the_time_is_over(proxy):
    with GrpcTransport(proxy.address) as transport:
        type_id = transport.call(
            "PutContextType", rpc.PutContextTypeRequest(context_type=pb.ContextType(name="Run"))
        ).type_id
        proxy.refuse()
        proxy.cut()
        began = time.monotonic()

        with pytest.raises(errors.Unavailable):
            put_context(transport, type_id, "monday", timeout_s=1.5)
        assert 0.5 < time.monotonic() - began < 10


def test_closing_ends_the_wait_for_a_server(proxy):
    transport = GrpcTransport(proxy.address)
    type_id = put_execution_type(transport)
    proxy.refuse()
    proxy.cut()
    raised: list[BaseException] = []

    def put() -> None:
        try:
            put_execution(transport, type_id, "a note")
        except errors.HeadwaterError as error:
            raised.append(error)

    thread = threading.Thread(target=put)
    thread.start()
    transport.close()
    thread.join(PATIENCE_S)

    assert [type(error) for error in raised] == [errors.Unavailable]


def test_every_write_has_an_id_of_its_own_and_reads_have_none_once_the_server_is_known(faulty_ids):
    target, seen = faulty_ids
    with GrpcTransport(target) as transport:
        put_execution_type(transport)
        put_execution_type(transport)
        notes(transport)

    first, second, third = seen
    assert len(first) == len(second) == 32
    assert first != second
    assert third is None


@pytest.fixture
def faulty_ids() -> Iterator[tuple[str, list[str | None]]]:
    """A server that answers nothing but OK, and the request ids that it saw."""
    seen: list[str | None] = []

    class Answers(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
            def answer(_: bytes, context: grpc.ServicerContext) -> bytes:
                request_id = dict(context.invocation_metadata()).get(REQUEST_ID)
                seen.append(request_id)
                context.set_trailing_metadata(((REQUEST_ID, request_id or ""),))
                return b""

            assert details.method.startswith(f"/{STORE_SERVICE}/")
            return grpc.unary_unary_rpc_method_handler(answer)

    server = grpc.server(futures.ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers([Answers()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}", seen
    server.stop(None).wait()


def serve(url: str, port: int) -> tuple[subprocess.Popen, int]:
    process = subprocess.Popen(
        [sys.executable, "-m", "headwater.cli", "serve", "--port", str(port)],
        stdout=subprocess.PIPE,
        env={**os.environ, "HEADWATER_DATABASE_URL": url},
        text=True,
    )
    return process, int(process.stdout.readline().rpartition(":")[2])


def test_writers_do_not_notice_that_the_server_is_killed_and_started_again(backend):
    with empty_database(backend) as url:
        process, port = serve(url, 0)
        acknowledged: dict[int, str] = {}
        enough = threading.Semaphore(0)
        failures: list[BaseException] = []
        ending = threading.Event()

        def write(writer: int) -> None:
            try:
                with GrpcTransport(f"127.0.0.1:{port}", timeout_s=PATIENCE_S) as transport:
                    type_id = put_execution_type(transport)
                    number = 0
                    while not ending.is_set():
                        number += 1
                        note = f"writer {writer} note {number}"
                        acknowledged[put_execution(transport, type_id, note)] = note
                        enough.release()
            except BaseException as error:
                failures.append(error)
                enough.release(1_000)

        threads = [threading.Thread(target=write, args=(writer,)) for writer in range(WRITERS)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(3):
                for _ in range(60):
                    assert enough.acquire(timeout=PATIENCE_S)
                process.send_signal(signal.SIGKILL)
                process.wait()
                process, _ = serve(url, port)
            for _ in range(60):
                assert enough.acquire(timeout=PATIENCE_S)
            ending.set()
            for thread in threads:
                thread.join(PATIENCE_S)
            with GrpcTransport(f"127.0.0.1:{port}") as transport:
                stored = notes(transport)
        finally:
            ending.set()
            process.kill()
            process.communicate()

        assert not failures
        assert Counter(stored.values()).most_common(1)[0][1] == 1
        assert stored == acknowledged


def test_the_sdk_has_it_too(proxy):
    with Store(GrpcTransport(proxy.address)) as store:
        store.put_context_type(pb.ContextType(name="Run"))
        lost = proxy.cut_after(b"a type that is put once")

        assert store.put_artifact_type(pb.ArtifactType(name="a type that is put once")) > 0
        assert lost.sprung
