"""Stores to record in, and directories of the user's that are the test's own."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from headwater.client import GrpcTransport, Store
from headwater.client.recording import places
from headwater.client.recording.recording import Recording
from headwater.embedded import open_transport

Client: Any = Store if issubclass(Store, Recording) else type("Client", (Recording, Store), {})


@pytest.fixture(autouse=True)
def spool_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where spools are; a directory of the test's own."""
    for name in [name for name in os.environ if name.startswith("HEADWATER_")]:
        monkeypatch.delenv(name)
    root = tmp_path / "state" / "spool"
    monkeypatch.setenv("HEADWATER_SPOOL_DIR", str(root))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    places.memo.cache_clear()
    yield root
    places.memo.cache_clear()


@pytest.fixture
def client() -> Iterator[Any]:
    """An empty store in memory."""
    with Client(open_transport("sqlite://", private=True)) as client:
        yield client


@pytest.fixture
def connect() -> Iterator[Callable[..., Any]]:
    """Connect to a server or a database; closed in the end."""
    made: list[Any] = []

    def connect(target: str, **options: Any) -> Any:
        transport = open_transport(target, **options) if "://" in target else GrpcTransport(target, **options)
        if not hasattr(transport, "target"):
            transport.target = target  # type: ignore[union-attr]  # what a spool is found by
        made.append(Client(transport))
        return made[-1]

    yield connect
    for client in made:
        client.close()


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A file to begin with."""
    path = tmp_path / "raw.csv"
    path.write_text("age,income\n41,10\n17,0\n")
    return path
