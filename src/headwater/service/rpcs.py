"""Every RPC and the function that answers it.

``READS`` see one state of the database and run side by side; ``WRITES`` are all or nothing; ``STREAMS``
read a page at a time.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from google.protobuf.message import Message

from headwater.service import edges, graph, lineage, nodes, steps, types
from headwater.service.pipelines import (
    begin,
    explain,
    finish,
    invalidate,
    lookup,
    metrics,
    renewing,
    resume,
    run_queries,
    stats,
)
from headwater.service.pipelines import runs as pipeline_runs
from headwater.storage.callers import Caller
from headwater.storage.database import Database
from headwater.storage.transactions import Transaction

# The request is the class that the RPC takes, the answer its response or the bytes of it.
Answer = Callable[[Transaction, Any], Message | bytes]
StreamedAnswer = Callable[[Database, Any, Caller], Iterator[Message]]

READS: Mapping[str, Answer] = {
    "CompareLineages": graph.compare_lineages,
    "ExplainStep": explain.explain_step,
    "FindPaths": graph.find_paths,
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
    "GetCacheStats": stats.get_cache_stats,
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
    "GetImpact": graph.get_impact,
    "GetLineageGraph": lineage.get_lineage_graph,
    "GetLineageSubgraph": lineage.get_lineage_subgraph,
    "GetMetrics": metrics.get_metrics,
    "GetParentContextsByContext": nodes.get_parent_contexts_by_context,
    "GetParentContextsByContexts": nodes.get_parent_contexts_by_contexts,
    "GetRun": run_queries.get_run,
    "ListRuns": run_queries.list_run_infos,
    "ListSteps": run_queries.list_steps,
    "LookUpSteps": lookup.look_up_steps,
    "PlanResume": resume.plan_resume,
}

WRITES: Mapping[str, Answer] = {
    "BeginStep": begin.begin_step,
    "EndExpiredLeases": renewing.end_expired_leases,
    "FinishRun": pipeline_runs.finish_run,
    "FinishStep": finish.finish_step,
    "InvalidateSteps": invalidate.invalidate_steps,
    "LogMetrics": metrics.log_metrics,
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

REPEATABLE = frozenset(
    {"BeginStep", "EndExpiredLeases", "FinishRun", "FinishStep", "LogMetrics", "RenewLeases", "StartRun"}
)
"""Writes that know by themselves when they are sent again: by the caller's key, or by what is stored."""

STREAMS: Mapping[str, StreamedAnswer] = {"Walk": graph.walk}
