"""What tests of the Lineage service share."""

from collections.abc import Callable, Iterator

import pytest
from google.protobuf.message import Message

from headwater.embedded import EmbeddedTransport
from headwater.storage.database import Database
from headwater.v1 import lineage_pb2 as rpc

Walk = Callable[[rpc.WalkRequest], Iterator[rpc.WalkResponse]]


@pytest.fixture
def walk(database: Database) -> Walk:
    """Asks for a walk through the store; the pages are read as they are taken."""

    def walk(request: rpc.WalkRequest) -> Iterator[Message]:
        return EmbeddedTransport(database).stream("Walk", request)

    return walk
