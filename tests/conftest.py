"""What tests share: stores, a server, and no skipping where everything is required."""

import os
import sys
from collections.abc import Iterator

import pytest
from support import Call

from headwater.config import ServerConfig
from headwater.embedded import EmbeddedTransport
from headwater.server import Server
from headwater.storage.database import Database
from headwater.storage.opening import open_database

# In CI nothing may be skipped for want of a peer.
REQUIRE_ALL = os.environ.get("HEADWATER_REQUIRE_ALL") == "1"


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


@pytest.fixture
def python() -> str:
    """The interpreter that runs the tests."""
    return sys.executable
