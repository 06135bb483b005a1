"""The tests' own database servers do what tests rely on, and leave nothing behind."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from databases import MySQL, PostgreSQL, Server, empty_database, server_of
from support import Connect, mlmd_engine, needs_mlmd

from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc

TESTS = Path(__file__).parent
SERVERS = {"postgresql": PostgreSQL, "mysql": MySQL}

only_servers = pytest.mark.backends("postgresql", "mysql")


@pytest.fixture
def private(backend: str) -> Iterator[Server]:
    """A durable server of the test's own."""
    server_of(backend)  # says what is missing, if something is
    server = SERVERS[backend].private(durable=True)
    yield server
    server.close()


def test_a_database_is_empty_whatever_tests_before_left(backend: str, connect: Connect) -> None:
    for _ in range(2):
        with empty_database(backend) as url, connect(url) as connection:
            assert sa.inspect(connection).get_table_names() == []
            connection.exec_driver_sql("CREATE TABLE t (x INTEGER)")
            connection.commit()


@only_servers
def test_a_database_goes_even_while_a_transaction_is_open_in_it(backend: str, connect: Connect) -> None:
    with empty_database(backend) as url:
        connection = connect(url)
        connection.exec_driver_sql("CREATE TABLE t (x INTEGER)")
        connection.commit()
        connection.exec_driver_sql("INSERT INTO t VALUES (1)")

    with pytest.raises(sa.exc.OperationalError):
        connect(url)
    connection.invalidate()


@only_servers
def test_a_copy_counts_ids_on_from_its_template(backend: str, connect: Connect) -> None:
    server = SERVERS[backend](sa.make_url(server_of(backend).url("")).set(database=None))
    id_type = {"postgresql": "SERIAL", "mysql": "INT AUTO_INCREMENT"}[backend]

    def make_store(url: str) -> None:
        with connect(url) as connection:
            connection.exec_driver_sql(f"CREATE TABLE t (id {id_type} PRIMARY KEY, x VARCHAR(255) UNIQUE)")
            connection.exec_driver_sql("INSERT INTO t (x) VALUES ('a'), ('b')")
            connection.commit()
        connection.engine.dispose()

    for _ in range(2):
        name = server.copy_template(make_store)
        with connect(server.url(name)) as connection:
            connection.exec_driver_sql("INSERT INTO t (x) VALUES ('c')")
            assert connection.exec_driver_sql("SELECT * FROM t").fetchall() == [(1, "a"), (2, "b"), (3, "c")]
            with pytest.raises(sa.exc.IntegrityError):
                connection.exec_driver_sql("INSERT INTO t (x) VALUES ('a')")
        server.drop_database(name)
    server.close()


@only_servers
@pytest.mark.parametrize("end", [Server.restart, Server.kill], ids=["restarted", "killed"])
def test_what_was_committed_outlives_the_server(
    private: Server, connect: Connect, end: Callable[[Server], None]
) -> None:
    name = private.create_database()
    connection = connect(private.url(name))
    connection.exec_driver_sql("CREATE TABLE t (x INTEGER)")
    connection.exec_driver_sql("INSERT INTO t VALUES (1)")
    connection.commit()
    connection.exec_driver_sql("INSERT INTO t VALUES (2)")

    end(private)
    if end is Server.kill:
        with pytest.raises(sa.exc.OperationalError):
            connect(private.url(name))
        private.start()

    with pytest.raises(sa.exc.OperationalError):
        connection.exec_driver_sql("SELECT x FROM t")
    with connect(private.url(name)) as fresh:
        assert fresh.exec_driver_sql("SELECT x FROM t").fetchall() == [(1,)]


@only_servers
def test_a_user_has_to_give_the_password(private: Server, connect: Connect) -> None:
    name = private.create_database()
    private.add_user("reader", "it's \\ s3cret/?#@:%")
    if private.backend == "mysql":
        private.execute(f"GRANT ALL ON {name}.* TO reader@'%'")

    with connect(private.url(name, user="reader", password="it's \\ s3cret/?#@:%")) as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1
    with pytest.raises(sa.exc.OperationalError, match=r"password|Access denied"):
        connect(private.url(name, user="reader", password="wrong"))


@only_servers
def test_settings_reach_the_server(backend: str) -> None:
    server_of(backend)
    name = {"postgresql": "max_connections", "mysql": "max-connections"}[backend]
    server = SERVERS[backend].private(settings={name: "17"})
    shown = server.execute("SHOW max_connections" if backend == "postgresql" else "SELECT @@max_connections")
    server.close()

    assert int(shown[0][0]) == 17


@only_servers
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_nothing_is_left_when_tests_are_ended(backend: str, end: signal.Signals) -> None:
    server_of(backend)
    kind = SERVERS[backend].__name__
    # Where tests run in the background, interrupts are ignored, and their children inherit that.
    program = f"""
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from databases import {kind}
server = {kind}.private()
print(server.port, server._daemon.directory, flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=TESTS,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        port, directory = process.stdout.readline().split()
        process.send_signal(end)
        # The server's keeper holds the other end of this pipe too, so it is read until the keeper is done.
        process.stdout.read()

    assert not Path(directory).exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(port)))


@pytest.fixture
def run_pytest(tmp_path: Path) -> Callable[..., str]:
    """Run a test that asks for each backend in a process with these variables; what is printed."""
    (tmp_path / "conftest.py").write_text(f"exec(open({str(TESTS / 'conftest.py')!r}).read())")
    (tmp_path / "test_it.py").write_text("def test_it(backend): ...")

    def run_pytest(**variables: str) -> str:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HEADWATER_")}
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "test_it.py"],
            cwd=tmp_path,
            env={**environment, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path]), **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout + done.stderr

    return run_pytest


NONE = {"HEADWATER_TEST_POSTGRESQL_URL": "none", "HEADWATER_TEST_MYSQL_URL": "none"}


def test_what_cannot_run_is_skipped_and_named_at_the_end(run_pytest: Callable[..., str]) -> None:
    printed = run_pytest(**NONE)

    assert "1 passed, 2 skipped" in printed
    assert "1 test: PostgreSQL: HEADWATER_TEST_POSTGRESQL_URL says that there is none" in printed
    assert "1 test: MariaDB or MySQL: HEADWATER_TEST_MYSQL_URL says that there is none" in printed


def test_what_cannot_run_fails_where_everything_is_required(run_pytest: Callable[..., str]) -> None:
    printed = run_pytest(HEADWATER_REQUIRE_ALL="1", **NONE)

    assert "1 passed, 2 errors" in printed
    assert "HEADWATER_TEST_POSTGRESQL_URL" in printed
    assert "HEADWATER_TEST_MYSQL_URL" in printed


def test_a_run_can_be_restricted_to_some_backends(run_pytest: Callable[..., str]) -> None:
    printed = run_pytest(HEADWATER_TEST_BACKENDS="sqlite,mysql", **NONE)

    assert re.findall(r"test_it\[(\w+)\] (\w+)", printed) == [("sqlite", "PASSED"), ("mysql", "SKIPPED")]
    assert "1 deselected" in printed
    assert "HEADWATER_TEST_BACKENDS names oracle" in run_pytest(HEADWATER_TEST_BACKENDS="oracle")


@needs_mlmd
def test_the_engine_of_ml_metadata_runs_on_every_backend(database_url: str, connect: Connect) -> None:
    with mlmd_engine(database_url) as engine:
        put = engine(
            "PutArtifactType", rpc.PutArtifactTypeRequest(artifact_type=pb.ArtifactType(name="Data"))
        )
    with connect(database_url) as connection:
        tables = {name.lower() for name in sa.inspect(connection).get_table_names()}
        version = connection.exec_driver_sql("SELECT schema_version FROM MLMDEnv").scalar()

    assert put.type_id == 10
    assert len(tables - {"sqlite_sequence"}) == 15
    assert version == 10


@needs_mlmd
def test_a_database_that_the_engine_does_not_open_is_told(backend: str) -> None:
    with empty_database(backend) as url:
        gone = sa.make_url(url).set(database="/no/such/place").render_as_string(hide_password=False)
        with pytest.raises(RuntimeError, match="did not open"), mlmd_engine(gone):
            pass
