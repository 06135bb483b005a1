"""The service in process: what ``headwater.connect`` uses for a database URL. No server, no sockets."""

from collections.abc import Iterator
from typing import Any

from google.protobuf.message import Message

from headwater.service.dispatch import Service
from headwater.storage.callers import PATIENT, Caller, Deadline
from headwater.storage.database import Database
from headwater.storage.opening import open_database
from headwater.wire import METHODS


class EmbeddedTransport:
    """Answers RPCs from a database in this process. Safe for threads, and across fork."""

    def __init__(self, database: Database, target: str = "") -> None:
        self.target = target
        self._database = database
        self._service = Service(database)

    def call(self, rpc: str, request: Message, *, timeout_s: float | None = None) -> Message:
        """The response of ``rpc``; what was written is on disk.

        Raises:
            HeadwaterError: the same classes as over gRPC.
        """
        answer = self._service.answer(rpc, request, _caller(timeout_s))
        return METHODS[rpc].response_class.FromString(answer) if isinstance(answer, bytes) else answer

    def stream(self, rpc: str, request: Message, *, timeout_s: float | None = None) -> Iterator[Message]:
        """The messages that answer ``rpc``. See ``Transport.stream``."""
        return self._service.stream(rpc, request, _caller(timeout_s))

    def close(self) -> None:
        """Close the database, unless it is the in-memory store that the whole process shares."""
        self._database.close()


def _caller(timeout_s: float | None) -> Caller:
    return PATIENT if timeout_s is None else Deadline(timeout_s)


def open_transport(
    database_url: str, *, create: bool = True, private: bool = False, **options: Any
) -> EmbeddedTransport:
    """Open a database in this process. For the arguments see ``storage.opening.open_database``."""
    database = open_database(database_url, create=create, private=private, **options)
    return EmbeddedTransport(database, database_url)
