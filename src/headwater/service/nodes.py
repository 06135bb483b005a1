"""RPCs about artifacts, executions and contexts: putting them, and getting them by one key or another."""

from collections.abc import Iterable

from google.protobuf.unknown_fields import UnknownFieldSet

from headwater.errors import InvalidRequest, NotFound
from headwater.service.paging import list_nodes
from headwater.storage import edges
from headwater.storage.kinds import ARTIFACT, CONTEXT, EXECUTION, NodeKind
from headwater.storage.listing import Scope
from headwater.storage.nodes import (
    existing_ids,
    find_by_name,
    ids_by_external_id,
    ids_by_uri,
    joined,
    load_nodes,
)
from headwater.storage.transactions import Transaction
from headwater.storage.types import find_type_id, types_by_id
from headwater.storage.writing import announce, put_nodes
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc

# Putting


def put_artifacts(tx: Transaction, request: rpc.PutArtifactsRequest) -> rpc.PutArtifactsResponse:
    announce(tx, ARTIFACT, request.artifacts)
    ids = put_nodes(
        tx,
        ARTIFACT,
        request.artifacts,
        mask=request.update_mask.paths,
        check_update_time=request.options.abort_if_latest_updated_time_changed,
    )
    return rpc.PutArtifactsResponse(artifact_ids=ids)


def put_executions(tx: Transaction, request: rpc.PutExecutionsRequest) -> rpc.PutExecutionsResponse:
    announce(tx, EXECUTION, request.executions)
    ids = put_nodes(tx, EXECUTION, request.executions, mask=request.update_mask.paths)
    return rpc.PutExecutionsResponse(execution_ids=ids)


def put_contexts(tx: Transaction, request: rpc.PutContextsRequest) -> rpc.PutContextsResponse:
    announce(tx, CONTEXT, request.contexts)
    ids = put_nodes(tx, CONTEXT, request.contexts, mask=request.update_mask.paths)
    return rpc.PutContextsResponse(context_ids=ids)


# By id


def get_artifacts_by_id(tx: Transaction, request: rpc.GetArtifactsByIDRequest) -> bytes:
    nodes = load_nodes(tx, ARTIFACT, request.artifact_ids)
    answer = joined(nodes, sorted(nodes))
    if not request.populate_artifact_types:
        return answer
    artifacts = rpc.GetArtifactsByIDResponse.FromString(answer).artifacts
    used = types_by_id(tx, ARTIFACT, sorted({artifact.type_id for artifact in artifacts}))
    return answer + rpc.GetArtifactsByIDResponse(artifact_types=used).SerializeToString()  # type: ignore[arg-type]  # artifact types


def get_executions_by_id(tx: Transaction, request: rpc.GetExecutionsByIDRequest) -> bytes:
    nodes = load_nodes(tx, EXECUTION, request.execution_ids)
    return joined(nodes, sorted(nodes))


def get_contexts_by_id(tx: Transaction, request: rpc.GetContextsByIDRequest) -> bytes:
    nodes = load_nodes(tx, CONTEXT, request.context_ids)
    return joined(nodes, sorted(nodes))


# By name, uri, external id


def get_artifact_by_type_and_name(tx: Transaction, request: rpc.GetArtifactByTypeAndNameRequest) -> bytes:
    return _by_name(tx, ARTIFACT, request.type_name, request.type_version, request.artifact_name)


def get_execution_by_type_and_name(tx: Transaction, request: rpc.GetExecutionByTypeAndNameRequest) -> bytes:
    return _by_name(tx, EXECUTION, request.type_name, request.type_version, request.execution_name)


def get_context_by_type_and_name(tx: Transaction, request: rpc.GetContextByTypeAndNameRequest) -> bytes:
    return _by_name(tx, CONTEXT, request.type_name, request.type_version, request.context_name)


def _by_name(tx: Transaction, kind: NodeKind, type_name: str, type_version: str, name: str) -> bytes:
    node_id = find_by_name(tx, kind, type_name=type_name, type_version=type_version, name=name)
    return b"" if node_id is None else _in_order(tx, kind, [node_id])


def get_artifacts_by_uri(tx: Transaction, request: rpc.GetArtifactsByURIRequest) -> bytes:
    unknown = UnknownFieldSet(request)
    if any(unknown[index].field_number == 1 for index in range(len(unknown))):
        raise InvalidRequest("the field uri (1) of GetArtifactsByURI was removed; send uris (2)")
    return _in_order(tx, ARTIFACT, ids_by_uri(tx, request.uris))


def get_artifacts_by_external_ids(tx: Transaction, request: rpc.GetArtifactsByExternalIdsRequest) -> bytes:
    return _by_external_ids(tx, ARTIFACT, request.external_ids)


def get_executions_by_external_ids(tx: Transaction, request: rpc.GetExecutionsByExternalIdsRequest) -> bytes:
    return _by_external_ids(tx, EXECUTION, request.external_ids)


def get_contexts_by_external_ids(tx: Transaction, request: rpc.GetContextsByExternalIdsRequest) -> bytes:
    return _by_external_ids(tx, CONTEXT, request.external_ids)


def _by_external_ids(tx: Transaction, kind: NodeKind, external_ids: Iterable[str]) -> bytes:
    wanted = checked_external_ids(external_ids)
    ids = ids_by_external_id(tx, kind, wanted)
    if wanted and not ids:
        raise NotFound(f"no {kind.name} has one of the external ids asked for")
    return _in_order(tx, kind, ids)


def checked_external_ids(external_ids: Iterable[str]) -> list[str]:
    """The external ids of a request, none of which may be empty."""
    wanted = list(external_ids)
    if "" in wanted:
        raise InvalidRequest("an external id to look for cannot be empty")
    return wanted


def _in_order(tx: Transaction, kind: NodeKind, ids: list[int]) -> bytes:
    return joined(load_nodes(tx, kind, ids), ids)


# Lists


def get_artifacts(tx: Transaction, request: rpc.GetArtifactsRequest) -> bytes:
    return list_nodes(tx, ARTIFACT, _options(request))


def get_executions(tx: Transaction, request: rpc.GetExecutionsRequest) -> bytes:
    return list_nodes(tx, EXECUTION, _options(request))


def get_contexts(tx: Transaction, request: rpc.GetContextsRequest) -> bytes:
    return list_nodes(tx, CONTEXT, _options(request))


def get_artifacts_by_type(tx: Transaction, request: rpc.GetArtifactsByTypeRequest) -> bytes:
    return _by_type(tx, ARTIFACT, request)


def get_executions_by_type(tx: Transaction, request: rpc.GetExecutionsByTypeRequest) -> bytes:
    return _by_type(tx, EXECUTION, request)


def get_contexts_by_type(tx: Transaction, request: rpc.GetContextsByTypeRequest) -> bytes:
    return _by_type(tx, CONTEXT, request)


def get_artifacts_by_context(tx: Transaction, request: rpc.GetArtifactsByContextRequest) -> bytes:
    scope = Scope(context_id=request.context_id)
    return list_nodes(tx, ARTIFACT, _options(request), scope=scope)


def get_executions_by_context(tx: Transaction, request: rpc.GetExecutionsByContextRequest) -> bytes:
    scope = Scope(context_id=request.context_id)
    return list_nodes(tx, EXECUTION, _options(request), scope=scope)


_ByType = rpc.GetArtifactsByTypeRequest | rpc.GetExecutionsByTypeRequest | rpc.GetContextsByTypeRequest
_Listing = (
    _ByType
    | rpc.GetArtifactsRequest
    | rpc.GetExecutionsRequest
    | rpc.GetContextsRequest
    | rpc.GetArtifactsByContextRequest
    | rpc.GetExecutionsByContextRequest
)


def _by_type(tx: Transaction, kind: NodeKind, request: _ByType) -> bytes:
    type_id = find_type_id(tx, kind, request.type_name, request.type_version)
    if type_id is None:
        return b""
    return list_nodes(
        tx,
        kind,
        _options(request),
        scope=Scope(type_id=type_id),
        has_empty_token=True,
    )


def _options(request: _Listing) -> pb.ListOperationOptions | None:
    return request.options if request.HasField("options") else None


# Around nodes


def get_contexts_by_artifact(tx: Transaction, request: rpc.GetContextsByArtifactRequest) -> bytes:
    return _contexts_of(tx, ARTIFACT, request.artifact_id)


def get_contexts_by_execution(tx: Transaction, request: rpc.GetContextsByExecutionRequest) -> bytes:
    return _contexts_of(tx, EXECUTION, request.execution_id)


def _contexts_of(tx: Transaction, kind: NodeKind, node_id: int) -> bytes:
    ids = [context_id for _, context_id in edges.links_of(tx, kind, [node_id])]
    if not ids:
        raise NotFound(f"{kind.name} {node_id} belongs to no context")
    return _in_order(tx, CONTEXT, ids)


def get_parent_contexts_by_context(tx: Transaction, request: rpc.GetParentContextsByContextRequest) -> bytes:
    ids = edges.parents_of(tx, [request.context_id]).get(request.context_id, [])
    return _in_order(tx, CONTEXT, ids)


def get_children_contexts_by_context(
    tx: Transaction, request: rpc.GetChildrenContextsByContextRequest
) -> bytes:
    ids = edges.children_of(tx, [request.context_id]).get(request.context_id, [])
    return _in_order(tx, CONTEXT, ids)


def get_parent_contexts_by_contexts(
    tx: Transaction, request: rpc.GetParentContextsByContextsRequest
) -> rpc.GetParentContextsByContextsResponse:
    response = rpc.GetParentContextsByContextsResponse()
    related = edges.parents_of(tx, _checked_context_ids(request.context_ids))
    for context_id, contexts in _related(tx, related):
        response.contexts[context_id].MergeFromString(contexts)
    return response


def get_children_contexts_by_contexts(
    tx: Transaction, request: rpc.GetChildrenContextsByContextsRequest
) -> rpc.GetChildrenContextsByContextsResponse:
    response = rpc.GetChildrenContextsByContextsResponse()
    related = edges.children_of(tx, _checked_context_ids(request.context_ids))
    for context_id, contexts in _related(tx, related):
        response.contexts[context_id].MergeFromString(contexts)
    return response


def _checked_context_ids(context_ids: Iterable[int]) -> list[int]:
    ids = list(context_ids)
    if not ids:
        raise InvalidRequest("context_ids is empty; name the contexts to look around")
    return ids


def _related(tx: Transaction, related: dict[int, list[int]]) -> Iterable[tuple[int, bytes]]:
    nodes = load_nodes(tx, CONTEXT, sorted({node_id for ids in related.values() for node_id in ids}))
    return ((context_id, joined(nodes, ids)) for context_id, ids in related.items())


def require_stored(tx: Transaction, kind: NodeKind, ids: Iterable[int]) -> None:
    """Raise NotFound for the first of ``ids`` that is not stored."""
    wanted = list(ids)
    stored = existing_ids(tx, kind, wanted)
    for node_id in wanted:
        if node_id not in stored:
            raise NotFound(f"there is no {kind.name} with id {node_id}")
