"""What tests share: stores, a server, ML Metadata's engine as a peer, and a report of what was skipped."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from google.protobuf.message import Message

from headwater.config import ServerConfig
from headwater.embedded import EmbeddedTransport
from headwater.server import Server
from headwater.service.rpcs import MESSAGES, SERVICE_NAME
from headwater.storage.database import Database
from headwater.storage.opening import open_database

# In CI nothing may be skipped for want of a peer.
REQUIRE_ALL = os.environ.get("HEADWATER_REQUIRE_ALL") == "1"
PEERS_PYTHON = os.environ.get("HEADWATER_PEERS_PYTHON", ".venv-peers/bin/python")

Call = Callable[[str, Message], Message]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Where everything is required, a skipped test has failed."""
    outcome = yield
    report = outcome.get_result()
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped although HEADWATER_REQUIRE_ALL=1: {report.longrepr}"


@pytest.fixture
def database() -> Iterator[Database]:
    """An empty store in memory."""
    database = open_database("sqlite://", private=True)
    yield database
    database.close()


@pytest.fixture
def call(database: Database) -> Call:
    """Calls an RPC of an empty store in process."""
    return EmbeddedTransport(database).call


@pytest.fixture
def server() -> Iterator[Server]:
    """A gRPC server over an empty store in memory."""
    server = Server(ServerConfig("sqlite://", port=0, stop_grace_s=5), private=True)
    server.start()
    yield server
    server.stop()


def calls_over(channel: grpc.Channel) -> Call:
    """Calls RPCs over a channel; failures are ``grpc.RpcError``."""

    def call(rpc: str, request: Message) -> Message:
        return channel.unary_unary(
            f"/{SERVICE_NAME}/{rpc}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=MESSAGES[rpc][1].FromString,
        )(request, timeout=60)

    return call


@contextmanager
def mlmd_engine(database: Path | None = None) -> Iterator[Call]:
    """Calls RPCs of ML Metadata's C++ engine, on a file or in memory."""
    script = Path(__file__).parent / "peers" / "mlmd_bridge.py"
    arguments = [] if database is None else ["--database", str(database)]
    with subprocess.Popen(
        [PEERS_PYTHON, str(script), *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            word, port = process.stdout.readline().split()
            assert word == "ready"
            with grpc.insecure_channel(
                f"127.0.0.1:{port}", options=[("grpc.max_receive_message_length", -1)]
            ) as channel:
                yield calls_over(channel)
        finally:
            process.terminate()


needs_mlmd = pytest.mark.skipif(
    not Path(PEERS_PYTHON).exists(),
    reason="ML Metadata's wheel is not installed: run 'make peers', or set HEADWATER_PEERS_PYTHON",
)


@pytest.fixture
def python() -> str:
    """The interpreter that runs the tests."""
    return sys.executable
