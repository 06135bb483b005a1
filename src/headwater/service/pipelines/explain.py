"""ExplainStep: why an execution ran or what it reused, and what a step would do now."""

from collections.abc import Sequence

from headwater.errors import InvalidRequest, NotFound
from headwater.service.pipelines.asked import asked
from headwater.service.pipelines.begin import difference_message, fit_entry, told, why_not
from headwater.service.pipelines.ends import over_runs
from headwater.service.pipelines.facts import texts_of
from headwater.service.pipelines.step_messages import state_of
from headwater.storage.attempts import Attempt, Earlier, attempts_by_id, entries_of
from headwater.storage.kinds import CONTEXT, EXECUTION
from headwater.storage.leases import leases_of, step_subject
from headwater.storage.nearest import (
    Compared,
    Completed,
    completed_before,
    completed_by_id,
    nearest,
    run_names,
)
from headwater.storage.nodes import read_messages
from headwater.storage.runs import context_types, find_pipeline
from headwater.storage.transactions import Transaction
from headwater.storage.values import struct_in
from headwater.v1 import pipelines_pb2 as pp

_MOST_NEAREST = 10
_ANY = 2**63 - 1


def explain_step(tx: Transaction, request: pp.ExplainStepRequest) -> pp.ExplainStepResponse:
    """Which components differ from those of the nearest earlier executions. See ``ExplainStepRequest``."""
    about = request.WhichOneof("about")
    if about == "execution_id":
        return _explain_attempt(tx, request.execution_id)
    if about == "step":
        return _explain_question(tx, request.step)
    raise InvalidRequest("ExplainStep needs the execution_id of an attempt, or a step as BeginStep has it")


# What was


def _explain_attempt(tx: Transaction, execution_id: int) -> pp.ExplainStepResponse:
    attempt = attempts_by_id(tx, [execution_id]).get(execution_id)
    if attempt is None:
        raise NotFound(f"there is no attempt at a step with execution id {execution_id}")
    execution = read_messages(tx, EXECUTION, [execution_id])[execution_id]
    pipelines = read_messages(tx, CONTEXT, [attempt.pipeline_id])
    properties = execution.properties
    components = texts_of(struct_in(properties["components"])) if "components" in properties else {}
    earlier = completed_before(
        tx,
        pipeline_id=attempt.pipeline_id,
        pipeline_type_id=context_types(tx).pipeline,
        step=attempt.step,
        before=execution_id,
        ended_by_ms=attempt.start_ms,
    )
    if attempt.cached_execution_id is not None:
        # First, so that it stands for all that are like it.
        earlier = [*completed_by_id(tx, [attempt.cached_execution_id]), *earlier]
    compared = nearest(components, earlier, _MOST_NEAREST)
    answer = pp.ExplainStepResponse(
        decision=pp.RUN if attempt.cached_execution_id is None else pp.HIT,
        fingerprint=attempt.fingerprint,
        components=components,
        step=attempt.step,
        pipeline=pipelines[attempt.pipeline_id].name if attempt.pipeline_id in pipelines else "",
        nearest=_messages(tx, compared),
    )
    if attempt.cached_execution_id is None:
        why = properties["why"].string_value if "why" in properties else ""
        answer.miss.CopyFrom(_why_it_ran(attempt, why, compared))
    return answer


def _why_it_ran(attempt: Attempt, why: str, compared: Sequence[Compared]) -> pp.Miss:
    """As it was said when the attempt began, with what differed; what is known now may be more."""
    if not attempt.fingerprint:
        return pp.Miss(why=pp.Miss.NO_FINGERPRINT, text=why or "no fingerprint")
    if not compared:
        return pp.Miss(why=pp.Miss.NEVER_COMPLETED, text=why or "not completed before in this pipeline")
    first = compared[0]
    miss = pp.Miss(nearest_execution_id=first.completed.execution_id)
    if first.differences:
        miss.why = pp.Miss.DIFFERS
        miss.text = why or told(list(first.differences))
        miss.differences.extend(difference_message(one) for one in first.differences)
    elif first.completed.unfit:
        miss.why = pp.Miss.INVALIDATED
        miss.text = why or f"done before, but {first.completed.unfit}"
    elif not first.completed.is_entry:
        miss.why = pp.Miss.NOT_REUSABLE
        miss.text = why or f"done before by execution {first.completed.execution_id}, which left nothing"
    else:
        miss.why = pp.Miss.POLICY
        miss.text = why or "done before, and its cache policy was to run all the same"
    return miss


# What would be


def _explain_question(tx: Transaction, request: pp.BeginStepRequest) -> pp.ExplainStepResponse:
    step = asked(request, has_key=False)
    types = context_types(tx)
    pipeline_id = find_pipeline(tx, types, request.pipeline)
    answer = pp.ExplainStepResponse(
        fingerprint=step.fingerprint,
        components=step.components,
        step=request.step,
        pipeline=request.pipeline,
    )
    entries = entries_of(tx, step.fingerprint) if step.reads else []
    hit = fit_entry(entries, step, tx.now_ms)
    subject = step_subject(step.fingerprint)
    held = leases_of(tx, [subject]) if step.fingerprint else {}
    earlier = completed_before(
        tx,
        pipeline_id=pipeline_id,
        pipeline_type_id=types.pipeline,
        step=request.step,
        before=_ANY,
        ended_by_ms=_ANY,
    )
    if hit is not None:
        earlier = [*completed_by_id(tx, [hit.execution_id]), *earlier]
    compared = nearest(step.components, earlier, _MOST_NEAREST)
    answer.nearest.extend(_messages(tx, compared))
    if hit is not None:
        answer.decision = pp.HIT
        return answer
    holder = held.get(subject)
    is_held = holder is not None and holder.is_live(tx.now_ms) and not over_runs(tx, [holder.run_id])
    answer.decision = pp.WAIT if is_held and step.waits else pp.RUN
    miss = why_not(step, [_earlier(one.completed) for one in compared], is_too_old=bool(entries), refused=[])
    answer.miss.CopyFrom(miss)
    return answer


def _earlier(completed: Completed) -> Earlier:
    return Earlier(
        completed.execution_id,
        completed.fingerprint,
        completed.unfit or None,
        completed.is_entry,
        completed.end_ms,
        dict(completed.components),
    )


def _messages(tx: Transaction, compared: Sequence[Compared]) -> list[pp.ExplainStepResponse.Nearest]:
    names = run_names(tx, [one.completed.run_id for one in compared])
    return [
        pp.ExplainStepResponse.Nearest(
            execution_id=one.completed.execution_id,
            run=names.get(one.completed.run_id, ""),
            state=state_of(one.completed.state),
            end_ms=one.completed.end_ms,
            unfit=""
            if one.completed.is_entry
            else one.completed.unfit or "it left nothing that can be reused",
            differences=[difference_message(difference) for difference in one.differences],
        )
        for one in compared
    ]
