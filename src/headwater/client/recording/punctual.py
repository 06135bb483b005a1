"""Calls that end in time, also over transports that may not.

gRPC keeps a deadline whatever the server does, and so does a SQLite file. A database server that fell silent
may hold its driver for minutes, and so may a database that is being opened; such a call is made in a thread,
which is left behind when the time is up.
"""

import threading
from collections.abc import Callable
from typing import TypeVar

from google.protobuf.message import Message

from headwater.client.transport import Transport, ask
from headwater.errors import DeadlineExceeded

R = TypeVar("R", bound=Message)
T = TypeVar("T")

# What a transport that keeps deadlines may be late.
_GRACE_S = 0.2


def ask_in_time(transport: Transport, request: Message, response_class: type[R], *, timeout_s: float) -> R:
    """The answer to ``request``, after ``timeout_s`` at most.

    Raises:
        DeadlineExceeded: the time was up. The request may be carried out all the same.
        HeadwaterError: as the transport.
    """

    def call() -> R:
        return ask(transport, request, response_class, timeout_s=timeout_s)

    target = str(getattr(transport, "target", ""))
    is_open = getattr(transport, "is_open", True)
    if "://" not in target or (target.startswith("sqlite") and is_open):
        return call()
    return _in_thread(call, timeout_s + _GRACE_S)


def _in_thread(function: Callable[[], T], timeout_s: float) -> T:
    results: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(function())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, name="headwater-call", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if results:
        return results[0]
    if failures:
        raise failures[0]
    raise DeadlineExceeded(f"the database did not answer within {timeout_s:.1f} s")
