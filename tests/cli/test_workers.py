"""``headwater serve --workers``: several processes behind one port, as one server."""

import os
import signal
import subprocess
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc

from .conftest import PATIENCE_S, Serving, headwater, refused
from .test_serve import call, until

servers_only = pytest.mark.backends("postgresql", "mysql")


@pytest.fixture
def workers(serve, store_url):
    """Start two workers on an empty store."""

    def workers(*arguments: object) -> Serving:
        return serve("--database-url", store_url, "--workers", 2, *arguments)

    return workers


def pids_of_workers(server: Serving) -> set[int]:
    """The processes that a server has started."""
    children = Path(f"/proc/{server.process.pid}/task").glob("*/children")
    return {int(pid) for file in children for pid in file.read_text().split()}


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def channel_to(server: Serving) -> grpc.Channel:
    """A connection of its own; channels of one process to one address share theirs otherwise."""
    return grpc.insecure_channel(server.address, options=[("grpc.use_local_subchannel_pool", 1)])


def put_type(channel: grpc.Channel, name: str):
    request = rpc.PutArtifactTypeRequest(artifact_type=pb.ArtifactType(name=name))
    return call(channel, "PutArtifactType", request, wait_for_ready=True)


def worker_that_answers(channel: grpc.Channel, server: Serving) -> int:
    """The process at the other end of a connection that has just carried a call."""
    port = int(server.address.rpartition(":")[2])
    established = {
        fields[9]
        for table in ("tcp", "tcp6")
        for fields in map(str.split, Path("/proc/net", table).read_text().splitlines()[1:])
        if fields[1].endswith(f":{port:04X}") and fields[3] == "01"
    }
    sockets = {f"socket:[{inode}]" for inode in established}
    (found,) = {
        pid
        for pid in pids_of_workers(server)
        for file in Path(f"/proc/{pid}/fd").iterdir()
        if os.readlink(file) in sockets  # noqa: PTH115  # the name of a socket is no path
    }
    return found


@servers_only
def test_connections_are_spread_over_processes_that_serve_one_store(workers):
    server = workers()
    answering = set()

    def spread() -> bool:
        with channel_to(server) as channel:
            assert put_type(channel, "Dataset").result().type_id > 0
            answering.add(worker_that_answers(channel, server))
        return len(answering) == 2

    until(spread)

    assert answering == pids_of_workers(server)
    with channel_to(server) as channel:
        found = call(channel, "GetArtifactTypes", rpc.GetArtifactTypesRequest()).result()
        assert [type_.name for type_ in found.artifact_types] == ["Dataset"]


@servers_only
def test_sigterm_ends_all_workers_and_exits_with_0(workers):
    server = workers()
    pids = pids_of_workers(server)

    code, logged = server.stop()

    assert code == 0
    assert "message=stopped" in logged
    assert len(pids) == 2
    assert not any(map(is_running, pids))


@servers_only
def test_ctrl_c_on_a_terminal_ends_all_workers_in_order(workers, store_url):
    process = headwater(
        *("serve", "--database-url", store_url, "--workers", 2, "--port", 0), start_new_session=True
    )
    server = Serving(process, process.stdout.readline().split()[-1])
    pids = pids_of_workers(server)

    os.killpg(process.pid, signal.SIGINT)
    _, logged = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 0
    assert "Traceback" not in logged
    assert not any(map(is_running, pids))


@servers_only
def test_workers_end_with_a_parent_that_is_killed(workers, serve, store_url):
    server = workers()
    pids = pids_of_workers(server)

    server.process.kill()
    server.process.wait()

    until(lambda: not any(map(is_running, pids)))
    # The port is free for the next one.
    again = serve("--database-url", store_url, "--workers", 2, "--port", server.address.rpartition(":")[2])
    assert again.address == server.address


@servers_only
def test_a_worker_that_dies_is_replaced_and_said_so(workers):
    server = workers()
    first, second = pids_of_workers(server)

    os.kill(first, signal.SIGKILL)
    until(lambda: len(pids_of_workers(server) - {first}) == 2)
    with channel_to(server) as channel:
        assert put_type(channel, "Dataset").result().type_id > 0
    still_there = pids_of_workers(server)
    code, logged = server.stop()

    assert second in still_there
    assert code == 0
    assert 'message="worker ended, and is started again"' in logged
    assert f"pid={first} signal=9" in logged


@servers_only
def test_a_request_in_flight_finishes_when_workers_are_stopped(workers, backend, store_url):
    from headwater.storage import schema
    from headwater.storage.dialects import dialect_for

    server = workers()
    with channel_to(server) as channel, dialect_for(store_url).engine().connect() as writer:
        put_type(channel, "Dataset").result()
        # Whoever makes a type waits for this row.
        writer.execute(schema.env_table.select().with_for_update())
        put = put_type(channel, "Model")
        call(channel, "GetArtifactTypes", rpc.GetArtifactTypesRequest()).result()
        server.process.send_signal(signal.SIGTERM)
        until(lambda: _refuses(server))
        was_done_early = put.done()
        writer.rollback()

        assert not was_done_early
        assert put.result().type_id > 0
    assert server.process.wait(PATIENCE_S) == 0


def _refuses(server: Serving) -> bool:
    """Whether a new connection is turned away."""
    with channel_to(server) as channel:
        code = call(channel, "GetArtifactTypes", rpc.GetArtifactTypesRequest()).code()
        return code is grpc.StatusCode.UNAVAILABLE


@servers_only
def test_health_is_serving_whoever_answers(workers):
    with channel_to(workers()) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.backends("postgresql")
def test_the_password_is_on_no_command_line_and_in_no_environment(serve, store_url):
    import sqlalchemy as sa

    secret = sa.make_url(store_url).set(password="unlikely-secret").render_as_string(hide_password=False)
    environment = {**os.environ, "HEADWATER_DATABASE_URL": secret}

    server = serve("--workers", 2, env=environment)

    listed = subprocess.run(["ps", "-ef"], capture_output=True, text=True, check=True).stdout
    assert "unlikely-secret" not in listed
    assert "unlikely-secret" not in server.stop()[1]


@servers_only
def test_the_port_of_others_is_not_shared(workers, store_url):
    server = workers()
    port = server.address.rpartition(":")[2]

    for more in ((), ("--workers", 2)):
        code, said = refused("serve", "--database-url", store_url, "--port", port, *more)
        assert code == 1
        assert f"cannot listen on 127.0.0.1:{port}: the port is taken" in said


@pytest.mark.backends("postgresql")
def test_the_port_of_a_single_server_is_not_shared(serve, store_url):
    port = serve("--database-url", store_url).address.rpartition(":")[2]

    code, said = refused("serve", "--database-url", store_url, "--port", port, "--workers", 2)

    assert code == 1
    assert "the port is taken" in said


@pytest.mark.backends("sqlite")
def test_sqlite_has_one_worker(url):
    code, said = refused("serve", "--database-url", url, "--workers", 2)

    assert code == 1
    assert said == (
        "Error: --workers 2 needs PostgreSQL or MySQL: SQLite has one writer at a time, so one process "
        "serves it fastest; leave --workers out\n"
    )


@pytest.mark.backends("postgresql")
def test_what_workers_are_refused_for_is_said_once(store_url, tmp_path):
    (tmp_path / "broken.pem").write_text("no certificate")
    file = tmp_path / "broken.pem"

    code, said = refused(
        *("serve", "--database-url", store_url, "--workers", 2, "--port", 0),
        *("--tls-cert-file", file, "--tls-key-file", file),
    )

    assert code == 1
    assert said.count("are not a readable certificate") == 1
