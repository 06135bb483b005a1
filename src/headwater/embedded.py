"""The service in process: what ``headwater.connect`` uses for a database URL. No server, no sockets."""

import os
import threading
from collections.abc import Iterator
from typing import Any

from google.protobuf.message import Message

from headwater.errors import DatabaseRefused, Unavailable
from headwater.service.dispatch import Service
from headwater.storage.callers import PATIENT, Caller, Deadline
from headwater.storage.database import Database
from headwater.storage.dialects import dialect_for
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


class LazyTransport:
    """As ``EmbeddedTransport``, of a database that is opened when it is first asked.

    One that is away, or cannot be served as it is, is ``Unavailable`` to each call until it can be opened.
    Opening may take longer than the ``timeout_s`` of a call.
    """

    def __init__(self, database_url: str, **options: Any) -> None:
        self.target = database_url
        # What is no URL of a database, or one without a driver, is wrong from the beginning.
        dialect_for(database_url)
        self._options = options
        self._opened: EmbeddedTransport | None = None
        self._is_closed = False
        # By process: a child may be forked while a thread that it does not have is opening.
        self._locks: dict[int, threading.Lock] = {}

    @property
    def is_open(self) -> bool:
        """Whether calls keep their time limits from now on."""
        return self._opened is not None

    def _open(self) -> EmbeddedTransport:
        if self._opened is None:
            with self._locks.setdefault(os.getpid(), threading.Lock()):
                if self._is_closed:
                    raise Unavailable("the store was closed")
                if self._opened is None:
                    try:
                        self._opened = open_transport(self.target, **self._options)
                    except DatabaseRefused as error:
                        raise Unavailable(str(error)) from error
        return self._opened

    def call(self, rpc: str, request: Message, *, timeout_s: float | None = None) -> Message:
        """As ``EmbeddedTransport.call``."""
        return self._open().call(rpc, request, timeout_s=timeout_s)

    def stream(self, rpc: str, request: Message, *, timeout_s: float | None = None) -> Iterator[Message]:
        """As ``EmbeddedTransport.stream``."""
        return self._open().stream(rpc, request, timeout_s=timeout_s)

    def close(self) -> None:
        """Close the database, if it was opened."""
        self._is_closed = True
        if self._opened is not None:
            self._opened.close()


def _caller(timeout_s: float | None) -> Caller:
    return PATIENT if timeout_s is None else Deadline(timeout_s)


def open_transport(
    database_url: str, *, create: bool = True, private: bool = False, **options: Any
) -> EmbeddedTransport:
    """Open a database in this process. For the arguments see ``storage.opening.open_database``."""
    database = open_database(database_url, create=create, private=private, **options)
    return EmbeddedTransport(database, database_url)
