import shutil
import subprocess
from pathlib import Path

import grpc
import pytest

from headwater import errors
from headwater.client import GrpcTransport, Store
from headwater.client.channel import ERRORS
from headwater.config import ServerConfig
from headwater.server import Server
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc

READ = ("GetContexts", rpc.GetContextsRequest())
WRITE = ("PutContexts", rpc.PutContextsRequest())


def test_every_status_code_but_ok_has_its_error():
    assert set(ERRORS) == set(grpc.StatusCode) - {grpc.StatusCode.OK}


@pytest.mark.parametrize("code", ERRORS, ids=lambda code: code.name)
def test_a_status_code_is_raised_as_its_error_with_the_servers_words(faulty, transport, code):
    faulty.codes = [code]

    with pytest.raises(ERRORS[code], match=r"^as the test wants$") as raised:
        transport(retries=0).call(*WRITE)
    assert type(raised.value) is ERRORS[code]


def test_a_call_that_was_aborted_is_repeated(faulty, transport):
    faulty.codes = [grpc.StatusCode.ABORTED, grpc.StatusCode.ABORTED]

    assert transport(retries=2).call(*WRITE) == rpc.PutContextsResponse()
    assert faulty.calls == ["PutContexts"] * 3


def test_a_call_that_is_aborted_again_and_again_raises_aborted(faulty, transport):
    faulty.codes = [grpc.StatusCode.ABORTED] * 9

    with pytest.raises(errors.Aborted):
        transport(retries=1).call(*WRITE)
    assert len(faulty.calls) == 2


def test_a_read_that_met_unavailable_is_repeated(faulty, transport):
    faulty.codes = [grpc.StatusCode.UNAVAILABLE]

    assert transport().call(*READ) == rpc.GetContextsResponse()


def test_a_write_that_met_unavailable_is_not_repeated_for_it_may_have_been_carried_out(faulty, transport):
    faulty.codes = [grpc.StatusCode.UNAVAILABLE]

    with pytest.raises(errors.Unavailable):
        transport().call(*WRITE)
    assert faulty.calls == ["PutContexts"]


def test_no_other_error_is_repeated(faulty, transport):
    faulty.codes = [grpc.StatusCode.INTERNAL]

    with pytest.raises(errors.Internal):
        transport().call(*READ)
    assert faulty.calls == ["GetContexts"]


@pytest.mark.parametrize("retries", [-1, 5])
def test_retries_that_grpc_cannot_make_are_refused(transport, retries):
    with pytest.raises(errors.InvalidRequest, match="from 0 to 4"):
        transport(retries=retries)


def test_a_call_without_time_exceeds_its_deadline(transport):
    with pytest.raises(errors.DeadlineExceeded):
        transport().call(*READ, timeout_s=0)


def test_the_limit_of_a_call_wins_over_that_of_the_transport(transport):
    impatient = transport(timeout_s=0)

    with pytest.raises(errors.DeadlineExceeded):
        impatient.call(*READ)
    assert impatient.call(*READ, timeout_s=30) == rpc.GetContextsResponse()


def test_a_server_that_is_not_there_is_unavailable():
    with GrpcTransport("127.0.0.1:1", retries=0) as transport, pytest.raises(errors.Unavailable):
        transport.call(*READ)


def test_a_closed_transport_is_unavailable(transport):
    closed = transport()
    closed.close()

    with pytest.raises(errors.Unavailable, match="closed"):
        closed.call(*READ)


def test_an_rpc_that_does_not_exist_is_unimplemented(transport):
    with pytest.raises(errors.Unimplemented, match="'GetDogs'"):
        transport().call("GetDogs", rpc.GetContextsRequest())


@pytest.fixture
def tls(tmp_path: Path) -> tuple[Path, Path]:
    """A key and a certificate for localhost."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "1",
        "-subj",
        "/CN=localhost",
    ]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    return key, cert


def test_tls_with_certificates_on_both_sides(tls, tmp_path):
    key, cert = tls
    server = Server(
        ServerConfig(
            database_url=f"sqlite:///{tmp_path / 'store.db'}",
            port=0,
            tls_key_file=key,
            tls_cert_file=cert,
            tls_client_ca_file=cert,
        )
    )
    server.start()

    with Store(
        GrpcTransport(f"localhost:{server.port}", ca_file=cert, cert_file=cert, key_file=key)
    ) as store:
        assert store.put_context_type(pb.ContextType(name="Run")) > 0
    server.stop()


def test_a_certificate_without_its_key_is_refused(tmp_path):
    with pytest.raises(errors.InvalidRequest, match="key_file"):
        GrpcTransport("localhost:1", cert_file=tmp_path / "cert.pem")


def test_a_tls_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(errors.FailedPrecondition, match=r"ca\.pem"):
        GrpcTransport("localhost:1", ca_file=tmp_path / "ca.pem")


def test_an_answer_that_is_too_large_says_what_to_do(tmp_path):
    server = Server(ServerConfig(database_url=f"sqlite:///{tmp_path / 'store.db'}", port=0))
    server.start()

    with Store(GrpcTransport(f"localhost:{server.port}", max_message_bytes=100)) as store:
        store.put_context_type(pb.ContextType(name="R" * 200))
        with pytest.raises(errors.ResourceExhausted, match="raise max_message_bytes"):
            store.list_context_types()
    server.stop()


def test_a_call_after_a_rest_is_answered_over_another_connection(faulty, transport):
    resting = transport()
    resting.call(*READ)

    resting.rest()

    assert resting.call(*READ) == rpc.GetContextsResponse()
    assert faulty.calls == ["GetContexts"] * 2


def test_a_transport_that_was_closed_stays_closed_after_a_rest(faulty, transport):
    closed = transport()
    closed.close()
    closed.rest()

    with pytest.raises(errors.Unavailable):
        closed.call(*READ)
