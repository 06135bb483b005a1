"""Every RPC and the function that answers it.

``READS`` see one state of the database and run side by side; ``WRITES`` are all or nothing; ``STREAMS``
read a page at a time.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from google.protobuf.message import Message

from headwater.service import edges, lineage, nodes, steps, types
from headwater.service.pipelines import begin, finish, lookup, renewing
from headwater.service.pipelines import runs as pipeline_runs
from headwater.storage.callers import Caller
from headwater.storage.database import Database
from headwater.storage.transactions import Transaction

# The request is the class that the RPC takes, the answer its response or the bytes of it.
Answer = Callable[[Transaction, Any], Message | bytes]
StreamedAnswer = Callable[[Database, Any, Caller], Iterator[Message]]

READS: Mapping[str, Answer] = {
    "GetArtifactByTypeAndName": nodes.get_artifact_by_type_and_name,
    "GetArtifactType": types.get_artifact_type,
    "GetArtifactTypes": types.get_artifact_types,
    "GetArtifactTypesByExternalIds": types.get_artifact_types_by_external_ids,
    "GetArtifactTypesByID": types.get_artifact_types_by_id,
    "GetArtifacts": nodes.get_artifacts,
    "GetArtifactsByContext": nodes.get_artifacts_by_context,
    "GetArtifactsByExternalIds": nodes.get_artifacts_by_external_ids,
    "GetArtifactsByID": nodes.get_artifacts_by_id,
    "GetArtifactsByType": nodes.get_artifacts_by_type,
    "GetArtifactsByURI": nodes.get_artifacts_by_uri,
    "GetChildrenContextsByContext": nodes.get_children_contexts_by_context,
    "GetChildrenContextsByContexts": nodes.get_children_contexts_by_contexts,
    "GetContextByTypeAndName": nodes.get_context_by_type_and_name,
    "GetContextType": types.get_context_type,
    "GetContextTypes": types.get_context_types,
    "GetContextTypesByExternalIds": types.get_context_types_by_external_ids,
    "GetContextTypesByID": types.get_context_types_by_id,
    "GetContexts": nodes.get_contexts,
    "GetContextsByArtifact": nodes.get_contexts_by_artifact,
    "GetContextsByExecution": nodes.get_contexts_by_execution,
    "GetContextsByExternalIds": nodes.get_contexts_by_external_ids,
    "GetContextsByID": nodes.get_contexts_by_id,
    "GetContextsByType": nodes.get_contexts_by_type,
    "GetEventsByArtifactIDs": edges.get_events_by_artifact_ids,
    "GetEventsByExecutionIDs": edges.get_events_by_execution_ids,
    "GetExecutionByTypeAndName": nodes.get_execution_by_type_and_name,
    "GetExecutionType": types.get_execution_type,
    "GetExecutionTypes": types.get_execution_types,
    "GetExecutionTypesByExternalIds": types.get_execution_types_by_external_ids,
    "GetExecutionTypesByID": types.get_execution_types_by_id,
    "GetExecutions": nodes.get_executions,
    "GetExecutionsByContext": nodes.get_executions_by_context,
    "GetExecutionsByExternalIds": nodes.get_executions_by_external_ids,
    "GetExecutionsByID": nodes.get_executions_by_id,
    "GetExecutionsByType": nodes.get_executions_by_type,
    "GetLineageGraph": lineage.get_lineage_graph,
    "GetLineageSubgraph": lineage.get_lineage_subgraph,
    "GetParentContextsByContext": nodes.get_parent_contexts_by_context,
    "GetParentContextsByContexts": nodes.get_parent_contexts_by_contexts,
    "LookUpSteps": lookup.look_up_steps,
}

WRITES: Mapping[str, Answer] = {
    "BeginStep": begin.begin_step,
    "EndExpiredLeases": renewing.end_expired_leases,
    "FinishRun": pipeline_runs.finish_run,
    "FinishStep": finish.finish_step,
    "PutArtifactType": types.put_artifact_type,
    "PutArtifacts": nodes.put_artifacts,
    "PutAttributionsAndAssociations": edges.put_attributions_and_associations,
    "PutContextType": types.put_context_type,
    "PutContexts": nodes.put_contexts,
    "PutEvents": edges.put_events,
    "PutExecution": steps.put_execution,
    "PutExecutionType": types.put_execution_type,
    "PutExecutions": nodes.put_executions,
    "PutLineageSubgraph": steps.put_lineage_subgraph,
    "PutParentContexts": edges.put_parent_contexts,
    "PutTypes": types.put_types,
    "RenewLeases": renewing.renew_leases,
    "StartRun": pipeline_runs.start_run,
}

STREAMS: Mapping[str, StreamedAnswer] = {}
