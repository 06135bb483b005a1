"""What tests of pipelines share: a store whose RPCs are called in their words, and one with a clock."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.serving import Serve, servers
from pipelines.asking import Clock, Steps
from support import Call

from headwater.embedded import EmbeddedTransport
from headwater.storage.opening import open_database


@pytest.fixture
def steps(call: Call) -> Steps:
    """An empty store."""
    return Steps(call)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timed(store_url: str, clock: Clock) -> Iterator[Steps]:
    """An empty store whose time is that of ``clock``."""
    database = open_database(store_url, private=store_url == "sqlite://", clock=clock)
    yield Steps(EmbeddedTransport(database).call)
    database.close()


@pytest.fixture
def file_url(store_url: str, tmp_path: Path) -> str:
    """The URL of an empty store that several processes may open: on SQLite, a file."""
    return f"sqlite:///{tmp_path}/store.db" if store_url == "sqlite://" else store_url


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start ``headwater serve`` in processes of their own, as ``serve(url, *arguments)``."""
    with servers() as serve:
        yield serve
