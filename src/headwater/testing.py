"""For tests of programs that use headwater: a store in memory that nobody else sees."""

from collections.abc import Iterator
from contextlib import contextmanager

from headwater.client import Store
from headwater.config import ServerConfig
from headwater.embedded import open_transport
from headwater.server import Server


@contextmanager
def store() -> Iterator[Store]:
    """An empty store in memory, in process.

    >>> with store() as s:
    ...     s.list_artifact_types()
    []
    """
    with Store(open_transport("sqlite://", private=True)) as opened:
        yield opened


@contextmanager
def server() -> Iterator[str]:
    """A gRPC server over an empty store in memory, as ``host:port``."""
    running = Server(ServerConfig("sqlite://", port=0, stop_grace_s=5), private=True)
    running.start()
    try:
        yield f"127.0.0.1:{running.port}"
    finally:
        running.stop()
