"""GetCacheStats."""

from headwater.errors import NotFound
from headwater.storage.fitness import step_counts
from headwater.storage.runs import context_types, find_pipeline
from headwater.storage.transactions import Transaction
from headwater.v1 import pipelines_pb2 as pp


def get_cache_stats(tx: Transaction, request: pp.GetCacheStatsRequest) -> pp.GetCacheStatsResponse:
    """How often each step ran and was hit, and the time that hits saved."""
    pipeline_id = None
    if request.pipeline:
        pipeline_id = find_pipeline(tx, context_types(tx), request.pipeline)
        if pipeline_id is None:
            raise NotFound(f"there is no pipeline {request.pipeline!r}")
    return pp.GetCacheStatsResponse(
        steps=[
            pp.GetCacheStatsResponse.StepStats(
                pipeline=counts.pipeline,
                step=counts.step,
                completed=counts.completed,
                hits=counts.hits,
                failed=counts.failed,
                entries=counts.entries,
                saved_ms=counts.saved_ms,
                invalidated=counts.invalidated,
            )
            for counts in step_counts(tx, pipeline_id)
        ]
    )
