"""What tests of faults share: stores for several processes, servers over them, databases to be stopped."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import MySQL, PostgreSQL, Server
from faults.serving import Serve, servers


@pytest.fixture
def file_url(store_url: str, tmp_path: Path) -> str:
    """The URL of an empty store that several processes may open: on SQLite, a file."""
    return f"sqlite:///{tmp_path}/store.db" if store_url == "sqlite://" else store_url


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start ``headwater serve`` in processes of their own, as ``serve(url, *arguments)``."""
    with servers() as serve:
        yield serve


@pytest.fixture(scope="module")
def own_server(backend: str) -> Iterator[Server]:
    """A database server that may be stopped, and that forgets nothing when it is killed."""
    server = {"postgresql": PostgreSQL, "mysql": MySQL}[backend].private(durable=True)
    yield server
    server.close()


@pytest.fixture
def own_url(own_server: Server) -> Iterator[str]:
    """A database without tables on ``own_server``."""
    name = own_server.create_database()
    yield own_server.url(name)
    own_server.drop_database(name)
