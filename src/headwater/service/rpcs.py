"""Every RPC and the function that answers it.

``READS`` see one state of the database and run side by side; ``WRITES`` are all or nothing; ``STREAMS``
read a page at a time.
"""

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from headwater.storage.callers import Caller
from headwater.storage.database import Database
from headwater.storage.transactions import Transaction

# The request is the class that the RPC takes, the answer its response or the bytes of it.
Answer = Callable[[Transaction, Any], Message | bytes]
StreamedAnswer = Callable[[Database, Any, Caller], Iterator[Message]]
A = TypeVar("A")


class Functions(Mapping[str, A], Generic[A]):
    """By RPC the function that answers it. Its module is loaded when it is asked for.

    A program that records a run in its own store loads no parser of filters and no walks.
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = places
        self._found: dict[str, A] = {}

    def __getitem__(self, rpc: str) -> A:
        found = self._found.get(rpc)
        if found is None:
            module, _, name = self._places[rpc].rpartition(".")
            found = self._found[rpc] = getattr(import_module(f"headwater.service.{module}"), name)
        return found

    def __contains__(self, rpc: object) -> bool:
        return rpc in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


READS: Mapping[str, Answer] = Functions(
    {
        "CompareLineages": "graph.compare_lineages",
        "ExplainStep": "pipelines.explain.explain_step",
        "FindPaths": "graph.find_paths",
        "GetArtifactByTypeAndName": "nodes.get_artifact_by_type_and_name",
        "GetArtifactType": "types.get_artifact_type",
        "GetArtifactTypes": "types.get_artifact_types",
        "GetArtifactTypesByExternalIds": "types.get_artifact_types_by_external_ids",
        "GetArtifactTypesByID": "types.get_artifact_types_by_id",
        "GetArtifacts": "nodes.get_artifacts",
        "GetArtifactsByContext": "nodes.get_artifacts_by_context",
        "GetArtifactsByExternalIds": "nodes.get_artifacts_by_external_ids",
        "GetArtifactsByID": "nodes.get_artifacts_by_id",
        "GetArtifactsByType": "nodes.get_artifacts_by_type",
        "GetArtifactsByURI": "nodes.get_artifacts_by_uri",
        "GetCacheStats": "pipelines.stats.get_cache_stats",
        "GetChildrenContextsByContext": "nodes.get_children_contexts_by_context",
        "GetChildrenContextsByContexts": "nodes.get_children_contexts_by_contexts",
        "GetContextByTypeAndName": "nodes.get_context_by_type_and_name",
        "GetContextType": "types.get_context_type",
        "GetContextTypes": "types.get_context_types",
        "GetContextTypesByExternalIds": "types.get_context_types_by_external_ids",
        "GetContextTypesByID": "types.get_context_types_by_id",
        "GetContexts": "nodes.get_contexts",
        "GetContextsByArtifact": "nodes.get_contexts_by_artifact",
        "GetContextsByExecution": "nodes.get_contexts_by_execution",
        "GetContextsByExternalIds": "nodes.get_contexts_by_external_ids",
        "GetContextsByID": "nodes.get_contexts_by_id",
        "GetContextsByType": "nodes.get_contexts_by_type",
        "GetEventsByArtifactIDs": "edges.get_events_by_artifact_ids",
        "GetEventsByExecutionIDs": "edges.get_events_by_execution_ids",
        "GetExecutionByTypeAndName": "nodes.get_execution_by_type_and_name",
        "GetExecutionType": "types.get_execution_type",
        "GetExecutionTypes": "types.get_execution_types",
        "GetExecutionTypesByExternalIds": "types.get_execution_types_by_external_ids",
        "GetExecutionTypesByID": "types.get_execution_types_by_id",
        "GetExecutions": "nodes.get_executions",
        "GetExecutionsByContext": "nodes.get_executions_by_context",
        "GetExecutionsByExternalIds": "nodes.get_executions_by_external_ids",
        "GetExecutionsByID": "nodes.get_executions_by_id",
        "GetExecutionsByType": "nodes.get_executions_by_type",
        "GetImpact": "graph.get_impact",
        "GetLineageGraph": "lineage.get_lineage_graph",
        "GetLineageSubgraph": "lineage.get_lineage_subgraph",
        "GetMetrics": "pipelines.metrics.get_metrics",
        "GetParentContextsByContext": "nodes.get_parent_contexts_by_context",
        "GetParentContextsByContexts": "nodes.get_parent_contexts_by_contexts",
        "GetRun": "pipelines.run_queries.get_run",
        "ListRuns": "pipelines.run_queries.list_run_infos",
        "ListSteps": "pipelines.run_queries.list_steps",
        "LookUpSteps": "pipelines.lookup.look_up_steps",
        "PlanResume": "pipelines.resume.plan_resume",
    }
)

WRITES: Mapping[str, Answer] = Functions(
    {
        "BeginStep": "pipelines.begin.begin_step",
        "EndExpiredLeases": "pipelines.renewing.end_expired_leases",
        "FinishRun": "pipelines.runs.finish_run",
        "FinishStep": "pipelines.finish.finish_step",
        "InvalidateSteps": "pipelines.invalidate.invalidate_steps",
        "LogMetrics": "pipelines.metrics.log_metrics",
        "PutArtifactType": "types.put_artifact_type",
        "PutArtifacts": "nodes.put_artifacts",
        "PutAttributionsAndAssociations": "edges.put_attributions_and_associations",
        "PutContextType": "types.put_context_type",
        "PutContexts": "nodes.put_contexts",
        "PutEvents": "edges.put_events",
        "PutExecution": "steps.put_execution",
        "PutExecutionType": "types.put_execution_type",
        "PutExecutions": "nodes.put_executions",
        "PutLineageSubgraph": "steps.put_lineage_subgraph",
        "PutParentContexts": "edges.put_parent_contexts",
        "PutTypes": "types.put_types",
        "RenewLeases": "pipelines.renewing.renew_leases",
        "StartRun": "pipelines.runs.start_run",
    }
)

REPEATABLE = frozenset(
    {"BeginStep", "EndExpiredLeases", "FinishRun", "FinishStep", "LogMetrics", "RenewLeases", "StartRun"}
)
"""Writes that know by themselves when they are sent again: by the caller's key, or by what is stored."""

STREAMS: Mapping[str, StreamedAnswer] = Functions({"Walk": "graph.walk"})


def load_all() -> None:
    """Load what answers, for a server, whose first callers are not to wait for it."""
    for functions in (READS, WRITES, STREAMS):
        list(functions.values())
