"""``headwater serve`` as a process: what it prints, how it ends, what it refuses."""

import json
import os
import signal
import socket
import sqlite3
import sys
import time
from pathlib import Path

import grpc
import pytest
import trustme
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc

from .conftest import PATIENCE_S, headwater

SERVICE = "ml_metadata.MetadataStoreService"


def call(channel, name, request, **options):
    """Call an RPC and return a future of its response."""
    method = channel.unary_unary(
        f"/{SERVICE}/{name}",
        request_serializer=type(request).SerializeToString,
        response_deserializer=getattr(rpc, f"{name}Response").FromString,
    )
    return method.future(request, timeout=PATIENCE_S, **options)


def until(condition):
    """Wait for something that another process does."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, "it never came about"
    return found


def test_the_ready_line_is_all_of_stdout_and_sigterm_ends_with_0(serve, url):
    server = serve("--database-url", url)

    server.process.send_signal(signal.SIGTERM)
    rest, logged = server.process.communicate(timeout=PATIENCE_S)

    assert server.address.startswith("127.0.0.1:")
    assert (server.process.returncode, rest) == (0, "")
    assert "message=stopped" in logged


def test_ctrl_c_ends_with_0(serve, url):
    server = serve("--database-url", url)

    server.process.send_signal(signal.SIGINT)

    assert server.process.wait(PATIENCE_S) == 0


def code_of_a_new_call(channel_to, server):
    """What a read over a new connection is answered with; CANCELLED in the instant of closing."""
    return call(channel_to(server.address), "GetArtifactTypes", rpc.GetArtifactTypesRequest()).code()


def test_a_request_in_flight_finishes_while_new_ones_are_unavailable(serve, url, channel_to):
    server = serve("--database-url", url)
    channel = channel_to(server.address)
    writer = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    put = call(
        channel, "PutArtifactType", rpc.PutArtifactTypeRequest(artifact_type=pb.ArtifactType(name="T"))
    )
    # Calls of one channel arrive in order, so the server has the first when it has answered the second.
    call(channel, "GetArtifactTypes", rpc.GetArtifactTypesRequest()).result()

    server.process.send_signal(signal.SIGTERM)
    until(lambda: code_of_a_new_call(channel_to, server) is grpc.StatusCode.UNAVAILABLE)
    was_done_early = put.done()
    writer.execute("ROLLBACK")

    assert not was_done_early
    assert put.result().type_id > 0
    assert server.process.wait(PATIENCE_S) == 0


def test_a_request_in_flight_is_given_up_when_the_grace_is_over(serve, url, channel_to):
    server = serve("--database-url", url, "--stop-grace-s", 0.2)
    channel = channel_to(server.address)
    writer = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    put = call(
        channel, "PutArtifactType", rpc.PutArtifactTypeRequest(artifact_type=pb.ArtifactType(name="T"))
    )
    call(channel, "GetArtifactTypes", rpc.GetArtifactTypesRequest()).result()

    server.process.send_signal(signal.SIGTERM)

    assert put.exception() is not None
    writer.execute("ROLLBACK")
    assert server.process.wait(PATIENCE_S) == 0


def test_health_is_serving(serve, url, channel_to):
    stub = health_pb2_grpc.HealthStub(channel_to(serve("--database-url", url).address))

    answers = [stub.Check(health_pb2.HealthCheckRequest(service=name)).status for name in ("", SERVICE)]

    assert answers == [health_pb2.HealthCheckResponse.SERVING] * 2


def test_reflection_names_the_service(serve, url, channel_to):
    stub = reflection_pb2_grpc.ServerReflectionStub(channel_to(serve("--database-url", url).address))

    (answer,) = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))

    assert SERVICE in {service.name for service in answer.list_services_response.service}


def test_logs_are_json_on_stderr_when_asked(serve, url, channel_to):
    server = serve("--database-url", url, "--log-format", "json", "--log-level", "debug")
    call(channel_to(server.address), "GetArtifactTypes", rpc.GetArtifactTypesRequest()).result()

    code, logged = server.stop()

    records = [json.loads(line) for line in logged.splitlines()]
    (request,) = [record for record in records if record.get("rpc") == "GetArtifactTypes"]
    assert code == 0
    assert (request["message"], request["level"], request["code"]) == ("request", "debug", "OK")
    assert request["took_ms"] > 0


def test_a_slow_request_is_logged_as_a_warning(serve, url, channel_to):
    server = serve("--database-url", url, "--slow-request-ms", 0)
    call(channel_to(server.address), "GetContexts", rpc.GetContextsRequest()).result()

    _, logged = server.stop()

    (line,) = [line for line in logged.splitlines() if "GetContexts" in line]
    assert 'level=warning logger=headwater.server message="slow request" rpc=GetContexts code=OK' in line


def refused(*arguments, **options):
    """Run ``serve`` to its end; the exit code and the sentence on stderr."""
    process = headwater("serve", *arguments, **options)
    out, said = process.communicate(timeout=PATIENCE_S)
    assert out == ""
    assert "Traceback" not in said
    return process.returncode, said.strip()


def test_a_port_that_is_taken_is_refused(url):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        code, said = refused("--database-url", url, "--port", port)

    assert code == 1
    assert said == (
        f"Error: cannot listen on 127.0.0.1:{port}: the port is taken or the address is not of this machine; "
        "choose another with --port or --host"
    )


def other_version(path):
    _store(path).execute("UPDATE MLMDEnv SET schema_version = 6").connection.commit()


def newer_version(path):
    _store(path).execute("UPDATE MLMDEnv SET schema_version = 11").connection.commit()


def half_initialised(path):
    _store(path).execute("DELETE FROM MLMDEnv").connection.commit()


def without_a_table(path):
    _store(path).execute("DROP TABLE Association").connection.commit()


def not_a_database(path):
    path.write_text("This is a text file, and a longer one than the header of a database is. " * 10)


def a_directory(path):
    path.mkdir()


def _store(path):
    from headwater.storage.opening import open_database

    open_database(f"sqlite:///{path}").close()
    return sqlite3.connect(path)


@pytest.mark.parametrize(
    ("prepare", "sentence"),
    [
        (not_a_database, "'{path}' is not a SQLite database; give another path, or move that file away"),
        (a_directory, "'{path}' is a directory; give the path of a database file in it"),
        (
            other_version,
            "the database has schema version 6 and headwater serves 10; back it up and run "
            "'headwater db upgrade'",
        ),
        (
            newer_version,
            "the database has schema version 11, newer than the 10 that this release of headwater knows; "
            "install a newer release",
        ),
        (
            half_initialised,
            "MLMDEnv, which holds the schema version, has no row where one belongs: the database was made "
            "only in part or damaged; restore it from a backup, or start on an empty one",
        ),
        (
            without_a_table,
            "the database lacks the tables Association: it was made only in part; restore it from a backup, "
            "or start on an empty one",
        ),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_database_that_cannot_be_served_is_refused_in_one_sentence(tmp_path, prepare, sentence):
    path = tmp_path / "store.db"
    prepare(path)

    code, said = refused("--database-url", f"sqlite:///{path}", "--port", 0)

    assert (code, said) == (1, "Error: " + sentence.format(path=path))


def test_a_missing_directory_is_refused(tmp_path):
    code, said = refused("--database-url", f"sqlite:///{tmp_path}/none/store.db", "--port", 0)

    assert (code, said) == (1, f"Error: the directory '{tmp_path}/none' does not exist; create it first")


def test_a_read_only_database_is_refused(tmp_path):
    _store(tmp_path / "store.db")

    code, said = refused(
        "--database-url", f"sqlite:///file:{tmp_path}/store.db?mode=ro&uri=true", "--port", 0
    )

    assert code == 1
    assert said.endswith("cannot be opened for writing; check the permissions of the file and its directory")


@pytest.mark.parametrize(
    ("database_url", "sentence"),
    [
        ("store.db", "'store.db' is not a database URL; write for example sqlite:////var/lib/headwater.db"),
        ("oracle://host/db", "'oracle' databases are not supported"),
    ],
)
def test_what_is_no_supported_url_is_refused(database_url, sentence):
    code, said = refused("--database-url", database_url, "--port", 0)

    assert code == 1
    assert said.startswith(f"Error: {sentence}")


@pytest.fixture
def authority():
    return trustme.CA()


@pytest.fixture
def certificates(authority, tmp_path):
    """PEM files: the authority's, the server's and a client's."""
    server, client = authority.issue_cert("localhost"), authority.issue_cert("somebody@example.org")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    for name, certificate in (("server", server), ("client", client)):
        certificate.private_key_pem.write_to_path(str(tmp_path / f"{name}.key"))
        certificate.cert_chain_pems[0].write_to_path(str(tmp_path / f"{name}.pem"))
    return tmp_path


def types_over(address, **credentials):
    """Ask a server for its types over TLS."""
    target = f"localhost:{address.rpartition(':')[2]}"
    with grpc.secure_channel(target, grpc.ssl_channel_credentials(**credentials)) as channel:
        return call(channel, "GetArtifactTypes", rpc.GetArtifactTypesRequest()).result()


def test_tls_encrypts_and_refuses_clients_without(serve, url, certificates, channel_to):
    server = serve(
        *("--database-url", url),
        *("--tls-cert-file", certificates / "server.pem"),
        *("--tls-key-file", certificates / "server.key"),
    )
    ca = (certificates / "ca.pem").read_bytes()

    assert types_over(server.address, root_certificates=ca) == rpc.GetArtifactTypesResponse()
    plain = call(channel_to(server.address), "GetArtifactTypes", rpc.GetArtifactTypesRequest())
    assert plain.exception().code() is grpc.StatusCode.UNAVAILABLE


def test_mutual_tls_asks_clients_for_a_certificate(serve, url, certificates):
    server = serve(
        *("--database-url", url),
        *("--tls-cert-file", certificates / "server.pem"),
        *("--tls-key-file", certificates / "server.key"),
        *("--tls-client-ca-file", certificates / "ca.pem"),
    )
    ca, key, chain = ((certificates / name).read_bytes() for name in ("ca.pem", "client.key", "client.pem"))

    found = types_over(server.address, root_certificates=ca, private_key=key, certificate_chain=chain)

    assert found == rpc.GetArtifactTypesResponse()
    with pytest.raises(grpc.RpcError) as refusal:
        types_over(server.address, root_certificates=ca)
    assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["--tls-cert-file"], "TLS needs both tls_cert_file and tls_key_file"),
        (["--tls-client-ca-file"], "tls_client_ca_file needs tls_cert_file and tls_key_file too"),
        (
            ["--tls-cert-file", "--tls-key-file"],
            "cannot read the TLS file '{file}': No such file or directory",
        ),
    ],
)
def test_tls_settings_that_do_not_go_together_are_refused(url, tmp_path, given, sentence):
    file = tmp_path / "none.pem"

    code, said = refused(
        "--database-url", url, "--port", 0, *[part for flag in given for part in (flag, file)]
    )

    assert (code, said) == (1, "Error: " + sentence.format(file=file))


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux a process keeps to a CPU")
@pytest.mark.parametrize("cpus", ["one", "all"])
def test_a_server_keeps_to_one_cpu_unless_told_otherwise(serve, url, cpus):
    server = serve("--database-url", url, "--cpus", cpus)

    threads = Path(f"/proc/{server.process.pid}/task").iterdir()
    usable = {len(os.sched_getaffinity(int(thread.name))) for thread in threads}

    assert usable == {1 if cpus == "one" else len(os.sched_getaffinity(0))}
