"""The SDK: a store over gRPC or in process, the same calls and the same errors.

>>> import headwater
>>> store = headwater.connect("sqlite://")
>>> store.list_artifact_types()
[]

The public names are those listed here. ``headwater.v1.metadata_store_pb2`` has the messages.
"""

from typing import TYPE_CHECKING, Any

from headwater.client.artifacts import Artifact
from headwater.client.lineage import Subgraph
from headwater.client.recording import File, Found, Output, Run, Step, current_run, current_step, step
from headwater.client.store import NodeIds, PutExecutionIds, Store, TypeIds
from headwater.client.transport import Transport
from headwater.client.values import from_value, to_value

if TYPE_CHECKING:
    from headwater.client.channel import GrpcTransport

__all__ = [
    "Artifact",
    "File",
    "Found",
    "GrpcTransport",
    "NodeIds",
    "Output",
    "PutExecutionIds",
    "Run",
    "Step",
    "Store",
    "Subgraph",
    "Transport",
    "TypeIds",
    "current_run",
    "current_step",
    "from_value",
    "step",
    "to_value",
]


def __getattr__(name: str) -> Any:
    # It brings gRPC along, which a program with a store of its own does without.
    if name != "GrpcTransport":
        raise AttributeError(f"module 'headwater.client' has no attribute {name!r}")
    from headwater.client.channel import GrpcTransport

    return GrpcTransport
