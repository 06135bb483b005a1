"""What tests share: stores on every backend, a server, and no skipping where everything is required."""

import os
import sys
from collections import Counter
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from databases import (
    BACKENDS,
    DRIVERS,
    close_servers,
    empty_database,
    empty_store,
    require,
)
from support import Call, Connect

from headwater.config import ServerConfig
from headwater.embedded import EmbeddedTransport
from headwater.server import Server
from headwater.storage.database import Database
from headwater.storage.opening import open_database

# In CI nothing may be skipped for want of a peer.
REQUIRE_ALL = os.environ.get("HEADWATER_REQUIRE_ALL") == "1"
CHOSEN = tuple(filter(None, os.environ.get("HEADWATER_TEST_BACKENDS", "").split(","))) or BACKENDS


def pytest_configure(config: pytest.Config) -> None:
    unknown = set(CHOSEN) - set(BACKENDS)
    if unknown:
        raise pytest.UsageError(
            f"HEADWATER_TEST_BACKENDS names {', '.join(unknown)}; there are {', '.join(BACKENDS)}"
        )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what asks for ``backend``, itself or through a fixture, on each backend it is about."""
    given = [marker.args[0] for marker in metafunc.definition.iter_markers("parametrize")]
    if "backend" in metafunc.fixturenames and not any("backend" in names for names in given):
        names = _about(metafunc.definition) or BACKENDS
        metafunc.parametrize("backend", names, indirect=True, scope="module")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is about backends that HEADWATER_TEST_BACKENDS does not name."""
    left_out = []
    for item in items:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        about = (parameters["backend"],) if "backend" in parameters else _about(item)
        if about and not set(about) & set(CHOSEN):
            left_out.append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def _about(item: pytest.Item) -> tuple[str, ...]:
    """The backends that a test names with its marker, if it has one."""
    marker = item.get_closest_marker("backends")
    return marker.args if marker else ()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Where everything is required, a skipped test has failed."""
    outcome = yield
    report = outcome.get_result()
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped although HEADWATER_REQUIRE_ALL=1: {report.longrepr}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what could not run, and why."""
    missing = Counter(
        report.longrepr[2].removeprefix("Skipped: ")
        for report in terminalreporter.stats.get("skipped", ())
        if isinstance(report.longrepr, tuple)
    )
    if missing:
        terminalreporter.section("could not run")
        for reason, count in missing.most_common():
            terminalreporter.line(f"{count} {'test' if count == 1 else 'tests'}: {reason}")


def pytest_sessionfinish() -> None:
    close_servers()


@pytest.fixture(scope="module")
def backend(request: pytest.FixtureRequest) -> str:
    """Each backend that the test is about, one after the other."""
    require(request.param)
    return request.param


@pytest.fixture
def database_url(backend: str) -> Iterator[str]:
    """The URL of a database without tables; on SQLite, of a file that does not exist yet."""
    with empty_database(backend) as url:
        yield url


@pytest.fixture
def store_url(backend: str) -> Iterator[str]:
    """The URL of an empty store; on SQLite ``sqlite://``, to be opened with ``private=True``."""
    with empty_store(backend) as url:
        yield url


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    """An empty store."""
    database = open_database(store_url, private=store_url == "sqlite://")
    yield database
    database.close()


@pytest.fixture
def call(database: Database) -> Call:
    """Calls an RPC of an empty store in process."""
    return EmbeddedTransport(database).call


@pytest.fixture
def server(store_url: str) -> Iterator[Server]:
    """A gRPC server over an empty store."""
    server = Server(ServerConfig(store_url, port=0, stop_grace_s=5), private=store_url == "sqlite://")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connect to a database past headwater; connections that are still open are closed in the end."""
    engines: list[sa.Engine] = []

    def connect(url: str) -> sa.Connection:
        made = sa.make_url(url)
        engines.append(sa.create_engine(made.set(drivername=DRIVERS[made.get_backend_name()])))
        return engines[-1].connect()

    yield connect
    for engine in engines:
        engine.dispose()


@pytest.fixture
def python() -> str:
    """The interpreter that runs the tests."""
    return sys.executable
