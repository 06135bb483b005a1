"""RPCs about events, links to contexts and parents of contexts."""

from headwater.storage import edges
from headwater.storage.kinds import ARTIFACT, EXECUTION
from headwater.storage.transactions import Transaction
from headwater.v1 import metadata_store_service_pb2 as rpc


def put_events(tx: Transaction, request: rpc.PutEventsRequest) -> rpc.PutEventsResponse:
    edges.put_events(tx, request.events)
    return rpc.PutEventsResponse()


def put_attributions_and_associations(
    tx: Transaction, request: rpc.PutAttributionsAndAssociationsRequest
) -> rpc.PutAttributionsAndAssociationsResponse:
    edges.put_links(tx, ARTIFACT, [(link.context_id, link.artifact_id) for link in request.attributions])
    edges.put_links(tx, EXECUTION, [(link.context_id, link.execution_id) for link in request.associations])
    return rpc.PutAttributionsAndAssociationsResponse()


def put_parent_contexts(
    tx: Transaction, request: rpc.PutParentContextsRequest
) -> rpc.PutParentContextsResponse:
    edges.put_parents(tx, request.parent_contexts)
    return rpc.PutParentContextsResponse()


def get_events_by_artifact_ids(
    tx: Transaction, request: rpc.GetEventsByArtifactIDsRequest
) -> rpc.GetEventsByArtifactIDsResponse:
    return rpc.GetEventsByArtifactIDsResponse(events=edges.events_of(tx, ARTIFACT, request.artifact_ids))


def get_events_by_execution_ids(
    tx: Transaction, request: rpc.GetEventsByExecutionIDsRequest
) -> rpc.GetEventsByExecutionIDsResponse:
    return rpc.GetEventsByExecutionIDsResponse(events=edges.events_of(tx, EXECUTION, request.execution_ids))
