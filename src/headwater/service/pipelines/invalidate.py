"""InvalidateSteps: making finished executions unfit to be hit."""

from headwater.errors import InvalidRequest, NotFound
from headwater.lineage import Direction, walk
from headwater.service.pipelines.naming import check_pipeline, check_run, check_step, run_name
from headwater.storage.attempts import attempts_by_id
from headwater.storage.fitness import (
    Conditions,
    Finished,
    finished_attempts,
    finished_by_id,
    has_step,
    make_many_unfit,
)
from headwater.storage.kinds import ARTIFACT, EXECUTION
from headwater.storage.nodes import existing_ids
from headwater.storage.runs import context_types, find_pipeline_and_run
from headwater.storage.transactions import Transaction
from headwater.storage.values import checked_text
from headwater.v1 import pipelines_pb2 as pp

_MOST_TOLD = 1_000
_MOST_GIVEN = 10_000
_LONGEST_REASON = 1_000
_ANY_NUMBER = 2**31


def invalidate_steps(tx: Transaction, request: pp.InvalidateStepsRequest) -> pp.InvalidateStepsResponse:
    """Make executions unfit to be hit, or with ``dry_run`` say which would be."""
    conditions = _conditions(tx, request)
    reason = checked_text(request.reason, "the reason")
    if len(reason) > _LONGEST_REASON:
        raise InvalidRequest(f"the reason has {len(reason)} characters, and at most {_LONGEST_REASON}")
    reason = reason or f"it was invalidated by {_told(request)}"
    chosen = _with_originals(tx, finished_attempts(tx, conditions))
    further: dict[int, Finished] = {}
    if request.with_downstream:
        reached = walk(tx, EXECUTION, sorted(chosen), Direction.DOWNSTREAM, max_hops=_ANY_NUMBER)
        found = _with_originals(tx, finished_by_id(tx, reached.nodes[EXECUTION] - set(chosen)))
        further = {execution_id: one for execution_id, one in found.items() if execution_id not in chosen}
    if not request.dry_run:
        # What was said of an execution first stays.
        make_many_unfit(tx, [one.execution_id for one in chosen.values() if not one.is_unfit], reason)
        make_many_unfit(
            tx,
            [one.execution_id for one in further.values() if not one.is_unfit],
            f"it was made from what was invalidated: {reason}",
        )
    ids = sorted(one.execution_id for one in (*chosen.values(), *further.values()) if one.is_entry)
    return pp.InvalidateStepsResponse(count=len(ids), execution_ids=ids[:_MOST_TOLD])


def _with_originals(tx: Transaction, attempts: list[Finished]) -> dict[int, Finished]:
    """The attempts by id, and the executions that hits among them reuse, which the next hit would too."""
    found = {one.execution_id: one for one in attempts}
    originals = {one.cached_execution_id for one in attempts if one.cached_execution_id is not None}
    return found | {one.execution_id: one for one in finished_by_id(tx, originals - set(found))}


def _conditions(tx: Transaction, request: pp.InvalidateStepsRequest) -> Conditions:
    """What the request asks for, every name in it found."""
    if (request.step or request.run) and not request.pipeline:
        raise InvalidRequest("step and run are names within a pipeline; give the pipeline too")
    if len(request.execution_ids) > _MOST_GIVEN:
        raise InvalidRequest(f"{len(request.execution_ids)} execution_ids are more than {_MOST_GIVEN}")
    if request.ended_before_ms < 0:
        raise InvalidRequest(f"ended_before_ms is negative: {request.ended_before_ms}")
    pipeline_id = run_id = None
    if request.pipeline:
        check_pipeline(request.pipeline)
        run = run_name(request.pipeline, check_run(request.run)) if request.run else None
        pipeline_id, run_id = find_pipeline_and_run(tx, context_types(tx), request.pipeline, run)
        if pipeline_id is None:
            raise NotFound(f"there is no pipeline {request.pipeline!r}")
        if run is not None and run_id is None:
            raise NotFound(f"pipeline {request.pipeline!r} has no run {request.run!r}")
        if request.step and not has_step(tx, pipeline_id, check_step(request.step)):
            raise NotFound(f"pipeline {request.pipeline!r} never had a step {request.step!r}")
    if request.artifact_id and not existing_ids(tx, ARTIFACT, [request.artifact_id]):
        raise NotFound(f"there is no artifact with id {request.artifact_id}")
    if request.execution_ids:
        known = attempts_by_id(tx, list(request.execution_ids))
        for execution_id in request.execution_ids:
            if execution_id not in known:
                raise NotFound(f"there is no attempt at a step with execution id {execution_id}")
    conditions = Conditions(
        pipeline_id=pipeline_id,
        step=request.step or None,
        run_id=run_id,
        artifact_id=request.artifact_id or None,
        execution_ids=tuple(request.execution_ids) or None,
        ended_before_ms=request.ended_before_ms or None,
    )
    if conditions == Conditions():
        raise InvalidRequest(
            "InvalidateSteps needs a condition: pipeline, step, run, artifact_id, execution_ids or "
            "ended_before_ms"
        )
    return conditions


def _told(request: pp.InvalidateStepsRequest) -> str:
    """The conditions in words."""
    texts = [
        f"{what} {getattr(request, field)!r}"
        for what, field in (
            ("step", "step"),
            ("run", "run"),
            ("pipeline", "pipeline"),
            ("artifact", "artifact_id"),
        )
        if getattr(request, field)
    ]
    if request.execution_ids:
        texts.append("execution id")
    if request.ended_before_ms:
        texts.append("age")
    return ", ".join(texts)
