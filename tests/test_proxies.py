"""The proxy delays, loses and breaks what tests want, and nothing else."""

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from databases import empty_database, server_of
from proxies import Proxy
from support import Connect


class Echo:
    """A server that sends back what it gets, and counts what it got."""

    def __init__(self) -> None:
        self.got = bytearray()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._echo, args=(connection,), daemon=True).start()

    def _echo(self, connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(65536):
                self.got += data
                connection.sendall(data)

    def close(self) -> None:
        if self._listener.fileno() >= 0:
            # Wakes up accept(), which close() alone does not.
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    echo = Echo()
    yield echo
    echo.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with Proxy(echo.address) as proxy:
        yield proxy


def connect(proxy: Proxy) -> socket.socket:
    if proxy.address.startswith("unix:"):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(proxy.address.removeprefix("unix:"))
    else:
        host, _, port = proxy.address.rpartition(":")
        connection = socket.create_connection((host, int(port)))
    connection.settimeout(10)
    return connection


def said(connection: socket.socket, data: bytes) -> bytes:
    """What comes back."""
    connection.sendall(data)
    return receive(connection, len(data))


def receive(connection: socket.socket, length: int) -> bytes:
    received = b""
    while len(received) < length and (more := connection.recv(65536)):
        received += more
    return received


def is_cut(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def test_what_is_sent_arrives_both_ways(proxy: Proxy) -> None:
    megabytes = bytes(range(256)) * 20_000
    with connect(proxy) as connection:
        writing = threading.Thread(target=connection.sendall, args=(megabytes,))
        writing.start()

        assert receive(connection, len(megabytes)) == megabytes
        writing.join()


def test_a_closed_connection_is_closed_on_the_other_side(proxy: Proxy, echo: Echo) -> None:
    with connect(proxy) as connection:
        said(connection, b"hello")
        connection.shutdown(socket.SHUT_WR)

        assert is_cut(connection)


def test_each_direction_is_late_and_what_is_sent_together_is_late_once(echo: Echo) -> None:
    with Proxy(echo.address, delay_ms=50) as proxy, connect(proxy) as connection:
        started = time.perf_counter()
        for _ in range(100):
            connection.sendall(b"x")
        received = receive(connection, 100)
        took_ms = (time.perf_counter() - started) * 1000

    assert received == b"x" * 100
    # Twice 50 ms, and not a hundred times that. Timers go off late on a busy machine, never early.
    assert 99 <= took_ms < 1000


def test_order_is_kept_when_the_delay_shrinks(echo: Echo) -> None:
    with Proxy(echo.address, delay_ms=50) as proxy, connect(proxy) as connection:
        connection.sendall(b"first")
        while not proxy.round_trips:
            time.sleep(0.001)
        proxy.delay_ms = 0

        connection.sendall(b"second")
        assert receive(connection, 11) == b"firstsecond"


def test_round_trips_are_counted_and_not_packets(echo: Echo) -> None:
    with Proxy(echo.address, delay_ms=20) as proxy, connect(proxy) as connection:
        for _ in range(3):
            for _ in range(10):
                connection.sendall(b"x")
            receive(connection, 10)

        assert proxy.round_trips == 3


def test_cutting_breaks_what_stands_and_lets_clients_come_back(proxy: Proxy) -> None:
    with connect(proxy) as first, connect(proxy) as second:
        said(first, b"1")
        said(second, b"2")

        proxy.cut()

        assert is_cut(first)
        assert is_cut(second)
    with connect(proxy) as third:
        assert said(third, b"3") == b"3"
    assert proxy.connections == 3


def test_refusing_leaves_what_stands_alone(proxy: Proxy) -> None:
    with connect(proxy) as standing:
        said(standing, b"1")

        proxy.refuse()

        with pytest.raises(ConnectionRefusedError):
            connect(proxy)
        assert said(standing, b"2") == b"2"
    proxy.accept()
    with connect(proxy) as connection:
        assert said(connection, b"3") == b"3"


def test_swallowing_loses_what_is_sent_without_a_word(proxy: Proxy, echo: Echo) -> None:
    with connect(proxy) as connection:
        said(connection, b"before")

        proxy.swallow()

        connection.sendall(b"lost")
        connection.settimeout(0.1)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        assert echo.got == b"before"
    proxy.deliver()
    with connect(proxy) as connection:
        assert said(connection, b"after") == b"after"


def test_a_server_that_is_away_cuts_the_client(echo: Echo) -> None:
    echo.close()
    with Proxy(echo.address) as proxy, connect(proxy) as connection:
        assert is_cut(connection)


@pytest.mark.parametrize("pieces", [[b"..COMMIT.."], [b"..COM", b"MIT.."]], ids=["at once", "in pieces"])
def test_bytes_can_be_kept_from_the_server(proxy: Proxy, echo: Echo, pieces: list[bytes]) -> None:
    trap = proxy.cut_before(b"COMMIT")
    with connect(proxy) as connection:
        said(connection, b"INSERT")
        for piece in pieces[:-1]:
            said(connection, piece)
        connection.sendall(pieces[-1])

        assert is_cut(connection)
    assert trap.sprung
    assert b"MIT" not in echo.got


def test_bytes_can_reach_the_server_and_their_answer_be_lost(proxy: Proxy, echo: Echo) -> None:
    trap = proxy.cut_after(b"COMMIT")
    with connect(proxy) as connection:
        connection.sendall(b"INSERT, COMMIT")

        assert is_cut(connection)
    assert trap.sprung
    assert echo.got == b"INSERT, COMMIT"
    with connect(proxy) as connection:
        assert said(connection, b"COMMIT") == b"COMMIT"


def test_it_works_on_sockets_in_the_file_system(tmp_path: Path, echo: Echo) -> None:
    inner, outer = f"unix:{tmp_path}/inner", f"unix:{tmp_path}/outer"
    with Proxy(echo.address, listen=inner), Proxy(inner, listen=outer) as proxy, connect(proxy) as connection:
        assert said(connection, b"hello") == b"hello"
        proxy.refuse()
        with pytest.raises(FileNotFoundError):
            connect(proxy)


def test_it_runs_as_a_program(echo: Echo) -> None:
    script = Path(__file__).parent / "proxies.py"
    with subprocess.Popen(
        [sys.executable, str(script), "--target", echo.address, "--delay-ms", "20"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        host, port = process.stdout.readline().removeprefix("ready ").strip().split(":")
        with socket.create_connection((host, int(port))) as connection:
            started = time.perf_counter()
            answer = said(connection, b"hello")
            took_ms = (time.perf_counter() - started) * 1000
        process.send_signal(signal.SIGTERM)

    assert answer == b"hello"
    assert took_ms >= 39
    assert process.returncode == 0


@pytest.mark.backends("postgresql", "mysql")
@pytest.mark.parametrize("delivered", [False, True], ids=["before", "after"])
def test_a_commit_is_done_or_not_as_the_trap_says(backend: str, connect: Connect, delivered: bool) -> None:
    server = server_of(backend)
    with empty_database(backend) as url, Proxy(f"{server.host}:{server.port}") as proxy, connect(url) as near:
        near.exec_driver_sql("CREATE TABLE t (x INTEGER)")
        near.commit()
        far = connect(proxy.url(url))
        # MySQL's byte for a query tells COMMIT from AUTOCOMMIT.
        sent = {"postgresql": b"COMMIT", "mysql": b"\x03COMMIT"}[backend]
        trap = proxy.cut_after(sent) if delivered else proxy.cut_before(sent)

        far.exec_driver_sql("INSERT INTO t VALUES (1)")
        with pytest.raises(sa.exc.OperationalError):
            far.commit()

        assert trap.sprung
        assert near.exec_driver_sql("SELECT x FROM t").fetchall() == ([(1,)] if delivered else [])
