"""FinishStep: what became of a step, in one transaction."""

import hashlib
from collections.abc import Sequence

from headwater.errors import FailedPrecondition, InvalidRequest, NotFound
from headwater.fingerprint import made_by
from headwater.service.pipelines.asked import Asked, asked
from headwater.service.pipelines.begin import holder_message
from headwater.service.pipelines.facts import kept_error, set_text, set_texts
from headwater.service.pipelines.naming import check_key, output_name
from headwater.service.pipelines.outputs import artifact_of, check_outputs, named_ends
from headwater.service.pipelines.recording import (
    find_place,
    model_types,
    put_ends,
    put_execution,
    put_inputs,
)
from headwater.storage.attempts import Attempt, attempts_by_id, find_by_key, finish_attempt, question_of_key
from headwater.storage.contents import content_key, put_contents
from headwater.storage.kinds import ARTIFACT, EXECUTION
from headwater.storage.leases import attempt_subject, drop, leases_of, step_subject
from headwater.storage.metrics import put_metrics
from headwater.storage.model import DEFAULT_ARTIFACT_TYPE, METRIC, artifact_type_ids, step_type_id
from headwater.storage.transactions import Transaction
from headwater.storage.values import checked_text
from headwater.storage.writing import put_nodes
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import pipelines_pb2 as pp

_ENDS = (pp.COMPLETE, pp.FAILED, pp.CANCELED, pp.CACHED)


def finish_step(tx: Transaction, request: pp.FinishStepRequest) -> pp.FinishStepResponse:
    """Record the end of an attempt. See ``FinishStepRequest``."""
    _check(request)
    tx.ask_ahead([question_of_key(request.key)])
    attempt = find_by_key(tx, request.key)
    if attempt is None:
        if not request.HasField("begin"):
            raise NotFound(
                f"no step was begun with the key {request.key!r}; call BeginStep first, "
                "or record it afterwards with FinishStep's begin"
            )
        step = asked(request.begin)
        if request.state == pp.CACHED:
            return _record_hit(tx, request, step)
        attempt, input_ids = _record_begin(tx, step)
        return _finish(tx, request, attempt, input_ids)
    digest = _digest(request)
    if attempt.finish_digest is not None:
        if attempt.finish_digest == digest:
            return _answered_before(tx, request, attempt)
        if request.amends:
            return _amend(tx, request, attempt)
        raise FailedPrecondition(
            f"step {attempt.step!r} with the key {request.key!r} was finished before, as "
            f"{pp.State.Name(attempt.state)} and not as this request has it; "
            "set amends to correct state and error"
        )
    if request.state == pp.CACHED:
        raise InvalidRequest(
            f"step {attempt.step!r} with the key {request.key!r} was begun as one that runs, "
            "so it cannot end as CACHED"
        )
    used = named_ends(tx, [attempt.execution_id], pb.Event.INPUT)[attempt.execution_id]
    input_ids = [artifact_id for _, artifact_id in used]
    return _finish(tx, request, attempt, input_ids)


def _check(request: pp.FinishStepRequest) -> None:
    check_key(request.key)
    if request.state not in _ENDS:
        raise InvalidRequest("a step ends as COMPLETE, FAILED, CANCELED or CACHED; set state to one of them")
    check_outputs(request.outputs)
    checked_text(request.error, "the error of a step")
    if request.HasField("begin") and request.begin.key != request.key:
        raise InvalidRequest(
            f"the key of begin is {request.begin.key!r}, and that of the request {request.key!r}; "
            "they are the same attempt's"
        )
    if request.state == pp.CACHED:
        if not request.cached_execution_id:
            raise InvalidRequest("a step that ends as CACHED needs cached_execution_id, that of the hit")
        if request.outputs:
            raise InvalidRequest("a step that ends as CACHED has the outputs of its hit; leave outputs out")
    elif request.cached_execution_id:
        raise InvalidRequest("cached_execution_id belongs to a step that ends as CACHED")


def _digest(request: pp.FinishStepRequest) -> str:
    """What tells another end of an attempt from this one sent again."""
    outputs = sorted((one.name, one.type, one.uri, one.digest, one.size_bytes) for one in request.outputs)
    return hashlib.sha256(
        repr((request.state, request.error, request.cached_execution_id, outputs)).encode()
    ).hexdigest()


def _record_begin(tx: Transaction, step: Asked) -> tuple[Attempt, list[int]]:
    """Record afterwards that a step was begun."""
    types = model_types(tx)
    place = find_place(tx, types, step.request.pipeline, step.request.run)
    inputs = put_inputs(tx, step)
    attempt = put_execution(tx, types, step, place, state=pb.Execution.RUNNING, why="recorded afterwards")
    put_ends(
        tx,
        attempt,
        pb.Event.INPUT,
        list(inputs.items()),
        time_ms=attempt.start_ms,
        written=list(inputs.values()),
    )
    return attempt, list(inputs.values())


def _finish(
    tx: Transaction, request: pp.FinishStepRequest, attempt: Attempt, input_ids: Sequence[int]
) -> pp.FinishStepResponse:
    type_id = step_type_id(tx)
    end_ms = max(attempt.start_ms, request.end_ms or tx.now_ms)
    artifact_ids = _put_outputs(tx, request, attempt, end_ms)
    answer = pp.FinishStepResponse(
        execution_id=attempt.execution_id,
        artifact_ids=artifact_ids,
        run_id=attempt.run_id,
        input_artifact_ids=input_ids,
    )
    execution = pb.Execution(
        id=attempt.execution_id,
        type_id=type_id,
        last_known_state=request.state,  # type: ignore[arg-type]  # the numbers are the same
    )
    execution.properties["end_ms"].int_value = end_ms
    set_text(execution, "error", kept_error(request.error))
    set_texts(execution, "usage", request.usage)
    for name, value in request.custom_properties.items():
        execution.custom_properties[name].CopyFrom(value)
    for metric in request.metrics:
        if not metric.HasField("step") and metric.value - metric.value == 0:
            execution.custom_properties[METRIC + metric.name].double_value = metric.value
    mask = ["last_known_state", "properties.error"]
    mask += [f"properties.{name}" for name in execution.properties if name != "error"]
    mask += [f"custom_properties.{name}" for name in execution.custom_properties]
    put_nodes(tx, EXECUTION, [execution], mask=mask)
    put_metrics(tx, execution_id=attempt.execution_id, run_id=attempt.run_id, metrics=request.metrics)
    is_entry = (
        request.state == pp.COMPLETE
        and attempt.is_kept
        # What has a place but no digest cannot be told from what may be there later.
        and all(one.digest or not one.uri for one in request.outputs)
    )
    finish_attempt(
        tx,
        attempt.execution_id,
        entry=attempt.fingerprint if is_entry else None,
        end_ms=end_ms,
        digest=_digest(request),
    )
    if not request.HasField("begin"):
        _give_back(tx, attempt, answer)
    return answer


def _put_outputs(tx: Transaction, request: pp.FinishStepRequest, attempt: Attempt, end_ms: int) -> list[int]:
    if not request.outputs:
        return []
    types = artifact_type_ids(tx, [one.type for one in request.outputs])
    artifacts = [
        artifact_of(
            one,
            type_id=types[one.type or DEFAULT_ARTIFACT_TYPE],
            name=output_name(attempt.name, one.name),
            made_by=made_by(attempt.fingerprint, one.name) if attempt.fingerprint else "",
        )
        for one in request.outputs
    ]
    ids = put_nodes(tx, ARTIFACT, artifacts)
    named = [(one.name, artifact_id) for one, artifact_id in zip(request.outputs, ids, strict=True)]
    put_ends(tx, attempt, pb.Event.OUTPUT, named, time_ms=end_ms, written=ids)
    put_contents(
        tx,
        [
            (content_key(one.uri, one.digest), artifact_id)
            for one, artifact_id in zip(request.outputs, ids, strict=True)
            if one.uri
        ],
    )
    return ids


def _give_back(tx: Transaction, attempt: Attempt, answer: pp.FinishStepResponse) -> None:
    """Drop the lease of an attempt, or say that it was lost."""
    subjects = [attempt_subject(attempt.execution_id)]
    if attempt.fingerprint:
        subjects.append(step_subject(attempt.fingerprint))
    leases = leases_of(tx, subjects)
    own = [lease for lease in leases.values() if lease.execution_id == attempt.execution_id]
    for lease in own:
        drop(tx, lease)
    answer.lease_was_lost = not own
    if not own:
        for lease in leases.values():
            answer.taken_over_by.CopyFrom(holder_message(lease))


def _record_hit(tx: Transaction, request: pp.FinishStepRequest, step: Asked) -> pp.FinishStepResponse:
    """Record that a step was not run because of what another did."""
    original = attempts_by_id(tx, [request.cached_execution_id]).get(request.cached_execution_id)
    if original is None:
        raise NotFound(f"there is no attempt at a step with execution id {request.cached_execution_id}")
    is_same = bool(step.fingerprint) and original.fingerprint == step.fingerprint
    if original.state != pb.Execution.COMPLETE or not is_same:
        raise FailedPrecondition(
            f"execution {original.execution_id} is not one that step {step.request.step!r} can reuse: it is "
            f"{pp.State.Name(original.state)} and its fingerprint "
            f"{'is the same' if is_same else 'differs'}; ask BeginStep again"
        )
    types = model_types(tx)
    place = find_place(tx, types, step.request.pipeline, step.request.run)
    ends = {
        type_: named_ends(tx, [original.execution_id], type_)[original.execution_id]
        for type_ in (pb.Event.INPUT, pb.Event.OUTPUT)
    }
    start_ms = step.request.start_ms or tx.now_ms
    end_ms = max(start_ms, request.end_ms or tx.now_ms)
    attempt = put_execution(
        tx,
        types,
        step,
        place,
        state=pb.Execution.CACHED,
        why=f"reuses execution {original.execution_id}",
        end_ms=end_ms,
        cached_execution_id=original.execution_id,
        finish_digest=_digest(request),
    )
    for type_, named in ends.items():
        put_ends(
            tx,
            attempt,
            type_,
            named,
            time_ms=end_ms if type_ == pb.Event.OUTPUT else start_ms,
            written=[artifact_id for _, artifact_id in named],
        )
    return pp.FinishStepResponse(
        execution_id=attempt.execution_id,
        artifact_ids=[artifact_id for _, artifact_id in sorted(ends[pb.Event.OUTPUT])],
        run_id=attempt.run_id,
        input_artifact_ids=[artifact_id for _, artifact_id in ends[pb.Event.INPUT]],
    )


def _answered_before(
    tx: Transaction, request: pp.FinishStepRequest, attempt: Attempt
) -> pp.FinishStepResponse:
    """The answer to a request that is sent again."""
    made = dict(named_ends(tx, [attempt.execution_id], pb.Event.OUTPUT)[attempt.execution_id])
    used = named_ends(tx, [attempt.execution_id], pb.Event.INPUT)[attempt.execution_id]
    asked_for = [one.name for one in request.outputs]
    names = asked_for if made.keys() == set(asked_for) else sorted(made)
    return pp.FinishStepResponse(
        execution_id=attempt.execution_id,
        artifact_ids=[made[name] for name in names],
        run_id=attempt.run_id,
        input_artifact_ids=[artifact_id for _, artifact_id in used],
    )


def _amend(tx: Transaction, request: pp.FinishStepRequest, attempt: Attempt) -> pp.FinishStepResponse:
    """Correct state and error of an attempt that is finished."""
    execution = pb.Execution(
        id=attempt.execution_id,
        type_id=step_type_id(tx),
        last_known_state=request.state,  # type: ignore[arg-type]  # the numbers are the same
    )
    set_text(execution, "error", kept_error(request.error))
    put_nodes(tx, EXECUTION, [execution], mask=("last_known_state", "properties.error"))
    is_entry = attempt.entry is not None and request.state == pp.COMPLETE
    finish_attempt(
        tx,
        attempt.execution_id,
        entry=attempt.entry if is_entry else None,
        end_ms=attempt.end_ms or tx.now_ms,
        digest=_digest(request),
    )
    return _answered_before(tx, request, attempt)
