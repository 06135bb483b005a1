"""The services as they are called: which methods there are, under which paths, with which messages.

Read from the descriptors of ``headwater.v1``, so that server and client cannot disagree.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message

from headwater.v1 import lineage_pb2, metadata_store_service_pb2, pipelines_pb2

STORE_SERVICE = "ml_metadata.MetadataStoreService"
"""The name clients of ML Metadata call. Our own package name never leaves this process (decision 0002)."""
PIPELINES_SERVICE = "headwater.v1.Pipelines"
LINEAGE_SERVICE = "headwater.v1.Lineage"

# What begins the name of a method that changes nothing, so that it may be sent again whatever became of it.
_READING = ("Get", "List", "LookUp", "Explain", "Plan", "Walk", "Find", "Compare")


@dataclass(frozen=True)
class Method:
    """One RPC. Its name is unique among all services."""

    name: str
    service: str
    request_class: type[Message]
    response_class: type[Message]
    is_stream: bool
    """Whether it is answered with any number of messages."""

    @property
    def path(self) -> str:
        """What is called on the wire."""
        return f"/{self.service}/{self.name}"

    @property
    def is_read(self) -> bool:
        """Whether it changes nothing."""
        return self.name.startswith(_READING)


def _methods(service_name: str, module: Any) -> dict[str, Method]:
    service: ServiceDescriptor = module.DESCRIPTOR.services_by_name[service_name.rpartition(".")[2]]
    return {
        method.name: Method(
            method.name,
            service_name,
            getattr(module, method.input_type.name),
            getattr(module, method.output_type.name),
            bool(method.server_streaming),
        )
        for method in service.methods
    }


SERVICES: Mapping[str, Mapping[str, Method]] = {
    STORE_SERVICE: _methods(STORE_SERVICE, metadata_store_service_pb2),
    PIPELINES_SERVICE: _methods(PIPELINES_SERVICE, pipelines_pb2),
    LINEAGE_SERVICE: _methods(LINEAGE_SERVICE, lineage_pb2),
}
"""The methods of each service by name."""

METHODS: Mapping[str, Method] = {
    name: method for methods in SERVICES.values() for name, method in methods.items()
}
"""All of them by name."""
