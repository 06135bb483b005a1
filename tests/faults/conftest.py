"""What tests of faults share: a store that processes can open, and servers over it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
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
