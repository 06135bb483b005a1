"""How a store is reached: one call, one RPC, whatever lies between."""

from collections.abc import Mapping
from typing import Protocol, TypeVar

from google.protobuf.message import Message

from headwater.v1 import metadata_store_service_pb2 as rpc

SERVICE_NAME = "ml_metadata.MetadataStoreService"
"""The name the service has on the wire. Our own package name never leaves this process (decision 0002)."""

R = TypeVar("R", bound=Message)


class Transport(Protocol):
    """Carries requests to a store and its answers back. Safe for threads."""

    def call(self, rpc: str, request: Message, *, timeout_s: float | None = None) -> Message:
        """The ``<rpc>Response`` to ``request``, a ``<rpc>Request``.

        ``timeout_s`` of ``None`` means what the transport was made with, which may be no limit.

        Raises:
            HeadwaterError: one of its subclasses, the same over gRPC and in process.
        """

    def close(self) -> None:
        """Let go of connections. Later calls raise ``Unavailable``."""


def _messages() -> dict[str, tuple[type[Message], type[Message]]]:
    service = rpc.DESCRIPTOR.services_by_name["MetadataStoreService"]
    return {
        method.name: (getattr(rpc, method.input_type.name), getattr(rpc, method.output_type.name))
        for method in service.methods
    }


MESSAGES: Mapping[str, tuple[type[Message], type[Message]]] = _messages()
"""The request and the response class of each of the 52 RPCs, by the name of the RPC."""


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
