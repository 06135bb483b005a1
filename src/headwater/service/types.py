"""RPCs about types."""

from collections.abc import Sequence

from headwater.errors import NotFound, Unimplemented
from headwater.service.nodes import checked_external_ids
from headwater.storage import types as stored
from headwater.storage.kinds import ARTIFACT, CONTEXT, EXECUTION, NodeKind, TypeMessage
from headwater.storage.transactions import Transaction
from headwater.v1 import metadata_store_service_pb2 as rpc

_PutRequest = (
    rpc.PutArtifactTypeRequest | rpc.PutExecutionTypeRequest | rpc.PutContextTypeRequest | rpc.PutTypesRequest
)

# Putting


def put_artifact_type(tx: Transaction, request: rpc.PutArtifactTypeRequest) -> rpc.PutArtifactTypeResponse:
    return rpc.PutArtifactTypeResponse(type_id=_put(tx, ARTIFACT, [request.artifact_type], request)[0])


def put_execution_type(tx: Transaction, request: rpc.PutExecutionTypeRequest) -> rpc.PutExecutionTypeResponse:
    return rpc.PutExecutionTypeResponse(type_id=_put(tx, EXECUTION, [request.execution_type], request)[0])


def put_context_type(tx: Transaction, request: rpc.PutContextTypeRequest) -> rpc.PutContextTypeResponse:
    return rpc.PutContextTypeResponse(type_id=_put(tx, CONTEXT, [request.context_type], request)[0])


def put_types(tx: Transaction, request: rpc.PutTypesRequest) -> rpc.PutTypesResponse:
    stored.announce_types(tx, ARTIFACT, request.artifact_types)
    stored.announce_types(tx, EXECUTION, request.execution_types)
    stored.announce_types(tx, CONTEXT, request.context_types)
    return rpc.PutTypesResponse(
        artifact_type_ids=_put(tx, ARTIFACT, request.artifact_types, request),
        execution_type_ids=_put(tx, EXECUTION, request.execution_types, request),
        context_type_ids=_put(tx, CONTEXT, request.context_types, request),
    )


def _put(tx: Transaction, kind: NodeKind, types: Sequence[TypeMessage], request: _PutRequest) -> list[int]:
    if not request.all_fields_match:
        raise Unimplemented(
            "all_fields_match=false is not supported; use can_add_fields and can_omit_fields instead"
        )
    return stored.put_types(
        tx,
        kind,
        types,
        can_add_fields=request.can_add_fields,
        can_omit_fields=request.can_omit_fields,
    )


# By name


def get_artifact_type(tx: Transaction, request: rpc.GetArtifactTypeRequest) -> rpc.GetArtifactTypeResponse:
    found = _by_name(tx, ARTIFACT, request.type_name, request.type_version)
    return rpc.GetArtifactTypeResponse(artifact_type=found)  # type: ignore[arg-type]  # an artifact type


def get_execution_type(tx: Transaction, request: rpc.GetExecutionTypeRequest) -> rpc.GetExecutionTypeResponse:
    found = _by_name(tx, EXECUTION, request.type_name, request.type_version)
    return rpc.GetExecutionTypeResponse(execution_type=found)  # type: ignore[arg-type]  # an execution type


def get_context_type(tx: Transaction, request: rpc.GetContextTypeRequest) -> rpc.GetContextTypeResponse:
    found = _by_name(tx, CONTEXT, request.type_name, request.type_version)
    return rpc.GetContextTypeResponse(context_type=found)  # type: ignore[arg-type]  # a context type


def _by_name(tx: Transaction, kind: NodeKind, name: str, version: str) -> TypeMessage:
    found = stored.find_type(tx, kind, name, version)
    if found is None:
        with_version = f" and version {version!r}" if version else " without version"
        raise NotFound(f"there is no {kind.name} type named {name!r}{with_version}")
    return found


# By id


def get_artifact_types_by_id(
    tx: Transaction, request: rpc.GetArtifactTypesByIDRequest
) -> rpc.GetArtifactTypesByIDResponse:
    found = stored.types_by_id(tx, ARTIFACT, request.type_ids)
    return rpc.GetArtifactTypesByIDResponse(artifact_types=found)  # type: ignore[arg-type]  # artifact types


def get_execution_types_by_id(
    tx: Transaction, request: rpc.GetExecutionTypesByIDRequest
) -> rpc.GetExecutionTypesByIDResponse:
    found = stored.types_by_id(tx, EXECUTION, request.type_ids)
    return rpc.GetExecutionTypesByIDResponse(execution_types=found)  # type: ignore[arg-type]  # execution types


def get_context_types_by_id(
    tx: Transaction, request: rpc.GetContextTypesByIDRequest
) -> rpc.GetContextTypesByIDResponse:
    found = stored.types_by_id(tx, CONTEXT, request.type_ids)
    return rpc.GetContextTypesByIDResponse(context_types=found)  # type: ignore[arg-type]  # context types


# By external id


def get_artifact_types_by_external_ids(
    tx: Transaction, request: rpc.GetArtifactTypesByExternalIdsRequest
) -> rpc.GetArtifactTypesByExternalIdsResponse:
    found = _by_external_ids(tx, ARTIFACT, request.external_ids)
    return rpc.GetArtifactTypesByExternalIdsResponse(artifact_types=found)  # type: ignore[arg-type]  # artifact types


def get_execution_types_by_external_ids(
    tx: Transaction, request: rpc.GetExecutionTypesByExternalIdsRequest
) -> rpc.GetExecutionTypesByExternalIdsResponse:
    found = _by_external_ids(tx, EXECUTION, request.external_ids)
    return rpc.GetExecutionTypesByExternalIdsResponse(execution_types=found)  # type: ignore[arg-type]  # execution types


def get_context_types_by_external_ids(
    tx: Transaction, request: rpc.GetContextTypesByExternalIdsRequest
) -> rpc.GetContextTypesByExternalIdsResponse:
    found = _by_external_ids(tx, CONTEXT, request.external_ids)
    return rpc.GetContextTypesByExternalIdsResponse(context_types=found)  # type: ignore[arg-type]  # context types


def _by_external_ids(tx: Transaction, kind: NodeKind, external_ids: Sequence[str]) -> list[TypeMessage]:
    wanted = checked_external_ids(external_ids)
    found = stored.types_by_external_id(tx, kind, wanted)
    if wanted and not found:
        raise NotFound(f"no {kind.name} type has one of the external ids asked for")
    return found


# All


def get_artifact_types(tx: Transaction, request: rpc.GetArtifactTypesRequest) -> rpc.GetArtifactTypesResponse:
    found = stored.users_types(tx, ARTIFACT)
    return rpc.GetArtifactTypesResponse(artifact_types=found)  # type: ignore[arg-type]  # artifact types


def get_execution_types(
    tx: Transaction, request: rpc.GetExecutionTypesRequest
) -> rpc.GetExecutionTypesResponse:
    found = stored.users_types(tx, EXECUTION)
    return rpc.GetExecutionTypesResponse(execution_types=found)  # type: ignore[arg-type]  # execution types


def get_context_types(tx: Transaction, request: rpc.GetContextTypesRequest) -> rpc.GetContextTypesResponse:
    found = stored.users_types(tx, CONTEXT)
    return rpc.GetContextTypesResponse(context_types=found)  # type: ignore[arg-type]  # context types
