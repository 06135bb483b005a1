"""What every part of the SDK stands on: a transport, a time limit, and asking."""

from collections.abc import Iterator
from typing import TypeVar

from google.protobuf.message import Message

from headwater.client.transport import Transport, ask

R = TypeVar("R", bound=Message)
Self = TypeVar("Self", bound="Connected")


class Connected:
    """A store behind ``transport``, closed with it. Safe for threads.

    ``timeout_s`` limits each call; ``None`` leaves it to the transport.
    """

    def __init__(self, transport: Transport, *, timeout_s: float | None = None) -> None:
        self.transport = transport
        self._timeout_s = timeout_s

    def with_timeout(self: Self, timeout_s: float | None) -> Self:
        """The same store with another limit for each call, over the same transport."""
        return type(self)(self.transport, timeout_s=timeout_s)

    def close(self) -> None:
        """Close the transport. Later calls raise ``Unavailable``."""
        self.transport.close()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, request: Message, response_class: type[R], /) -> R:
        return ask(self.transport, request, response_class, timeout_s=self._timeout_s)

    def _stream(self, request: Message, response_class: type[R], /) -> Iterator[R]:
        """The messages that answer ``request``, whose class names the RPC."""
        name = type(request).__name__.removesuffix("Request")
        for message in self.transport.stream(name, request, timeout_s=self._timeout_s):
            assert isinstance(message, response_class)
            yield message
