"""How a store is reached: one call, one RPC, whatever lies between."""

from collections.abc import Iterator
from typing import Protocol, TypeVar

from google.protobuf.message import Message

R = TypeVar("R", bound=Message)


class Transport(Protocol):
    """Carries requests to a store and its answers back. Safe for threads."""

    @property
    def target(self) -> str:
        """The address of the store; empty where it has none. It may hold a password."""

    def call(self, rpc: str, request: Message, *, timeout_s: float | None = None) -> Message:
        """The ``<rpc>Response`` to ``request``, a ``<rpc>Request``.

        ``timeout_s`` of ``None`` means what the transport was made with, which may be no limit.

        Raises:
            HeadwaterError: one of its subclasses, the same over gRPC and in process.
        """

    def stream(self, rpc: str, request: Message, *, timeout_s: float | None = None) -> Iterator[Message]:
        """The messages that answer ``request``, as they are asked for. Ends early if it is closed.

        Raises:
            HeadwaterError: on reading; as ``call``.
        """

    def close(self) -> None:
        """Let go of connections. Later calls raise ``Unavailable``."""


class Ask(Protocol):
    """A transport bound to a time limit: takes a request, whose class names the RPC, and answers it."""

    def __call__(self, request: Message, response_class: type[R], /) -> R: ...


def ask(
    transport: Transport, request: Message, response_class: type[R], *, timeout_s: float | None = None
) -> R:
    """The answer to ``request``, whose class names the RPC."""
    name = type(request).__name__.removesuffix("Request")
    answer = transport.call(name, request, timeout_s=timeout_s)
    assert isinstance(answer, response_class)
    return answer
