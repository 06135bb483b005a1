"""The types under which pipelines are stored, so that any client of ML Metadata finds what it knows.

``docs/model.md`` explains each property. Types only grow: a release that needs another property adds it
here, and the first write that meets a store without it declares it.
"""

from collections.abc import Iterable, Mapping

from headwater.storage.kinds import ARTIFACT, CONTEXT, EXECUTION, NodeKind, TypeMessage
from headwater.storage.transactions import Transaction
from headwater.storage.types import put_types
from headwater.v1 import metadata_store_pb2 as pb

PIPELINE_TYPE = pb.ContextType(name="headwater.Pipeline")

RUN_TYPE = pb.ContextType(
    name="headwater.Run",
    properties={
        "pipeline": pb.STRING,
        "run": pb.STRING,
        "state": pb.STRING,
        "start_ms": pb.INT,
        "end_ms": pb.INT,
        "error": pb.STRING,
        "whole_error": pb.PROTO,
        "owner": pb.STRING,
        "trigger": pb.STRING,
        "description": pb.STRING,
        "code": pb.STRUCT,
        # Beside it in ``code``, because the filter language cannot look into structs.
        "commit": pb.STRING,
        "environment": pb.STRUCT,
        "steps": pb.PROTO,
    },
)

STEP_TYPE = pb.ExecutionType(
    name="headwater.Step",
    properties={
        "step": pb.STRING,
        "attempt": pb.INT,
        "fingerprint": pb.STRING,
        "components": pb.PROTO,
        "worker": pb.STRING,
        "why": pb.STRING,
        "start_ms": pb.INT,
        "end_ms": pb.INT,
        "error": pb.STRING,
        "whole_error": pb.PROTO,
        "usage": pb.STRUCT,
        "description": pb.STRING,
        "code": pb.STRUCT,
        "environment": pb.STRUCT,
        "cached_execution_id": pb.INT,
    },
)

_ARTIFACT_PROPERTIES = {
    "digest": pb.STRING,
    "size_bytes": pb.INT,
    "stamp": pb.STRING,
    "description": pb.STRING,
    "made_by": pb.STRING,
    "preview": pb.PROTO,
    "manifest": pb.PROTO,
    "metrics": pb.STRUCT,
}

DEFAULT_ARTIFACT_TYPE = "Dataset"
_BASE_TYPES: Mapping[str, int] = {
    "Dataset": pb.ArtifactType.DATASET,
    "Model": pb.ArtifactType.MODEL,
    "Metrics": pb.ArtifactType.METRICS,
    "Statistics": pb.ArtifactType.STATISTICS,
}

PARAMETER = "parameter."
TAG = "tag."
METRIC = "metric."
"""What begins the name of the custom property that holds a parameter, a tag or a scalar metric."""


def artifact_type(name: str) -> pb.ArtifactType:
    """The type of that name as a step's artifacts have it. The empty name is ``Dataset``."""
    name = name or DEFAULT_ARTIFACT_TYPE
    declared = pb.ArtifactType(name=name, properties=_ARTIFACT_PROPERTIES)
    if name in _BASE_TYPES:
        declared.base_type = _BASE_TYPES[name]  # type: ignore[assignment]  # a number of the enum
    return declared


def context_type_id(tx: Transaction, type_: pb.ContextType) -> int:
    """The id of a type of this module, declared if it is not."""
    return _type_ids(tx, CONTEXT, [type_])[0]


def step_type_id(tx: Transaction) -> int:
    """The id of the type of attempts, declared if it is not."""
    return _type_ids(tx, EXECUTION, [STEP_TYPE])[0]


def artifact_type_ids(tx: Transaction, names: Iterable[str]) -> dict[str, int]:
    """Type id by name, each declared if it is not.

    Raises:
        AlreadyExists: a type of that name declares one of our properties otherwise.
    """
    wanted = sorted({name or DEFAULT_ARTIFACT_TYPE for name in names})
    return dict(zip(wanted, _type_ids(tx, ARTIFACT, [artifact_type(name) for name in wanted]), strict=True))


def _type_ids(tx: Transaction, kind: NodeKind, types: list[TypeMessage]) -> list[int]:
    if not types:
        return []
    assert tx.known_types is not None, "types are declared in a transaction that writes"
    # Without asking where it is known, since types only grow.
    known = [tx.known_types.by_name.get((kind, given.name, "")) for given in types]
    found = [
        stored.id
        for stored, given in zip(known, types, strict=True)
        if stored is not None and _declares(stored, given)
    ]
    if len(found) == len(types):
        return found
    return put_types(tx, kind, types, can_add_fields=True, can_omit_fields=True)


def _declares(stored: TypeMessage, given: TypeMessage) -> bool:
    properties = stored.properties
    return all(properties.get(name) == kind for name, kind in given.properties.items())
