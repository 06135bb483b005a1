"""FinishStep: what became of a step, in one transaction."""

import hashlib
import math
from collections.abc import Mapping

from headwater.errors import FailedPrecondition, InvalidRequest, NotFound
from headwater.fingerprint import made_by
from headwater.service.pipelines.asked import Asked, asked
from headwater.service.pipelines.begin import another_attempt, holder_message, subjects_of
from headwater.service.pipelines.facts import ERROR_PATHS, set_error, set_text, set_texts
from headwater.service.pipelines.naming import LONGEST_NAME, check_key, output_name
from headwater.service.pipelines.outputs import artifact_of, check_outputs, named_ends, question_of_ends
from headwater.service.pipelines.recording import (
    Types,
    find_place,
    is_tried_before,
    model_types,
    past,
    put_ends,
    put_execution,
    put_inputs,
    question_of_attempt,
    question_of_place,
    questions_of_inputs,
)
from headwater.storage.attempts import (
    Attempt,
    attempts_by_id,
    find_by_key,
    finish_attempt,
    make_unfit,
    question_of_attempts,
    question_of_key,
)
from headwater.storage.contents import content_key, put_contents
from headwater.storage.kinds import ARTIFACT, EXECUTION
from headwater.storage.leases import Lease, drop, leases_of, question_of_leases
from headwater.storage.metrics import copy_scalars, put_metrics
from headwater.storage.model import DEFAULT_ARTIFACT_TYPE, METRIC, artifact_type_ids, step_type_id
from headwater.storage.nodes import questions_of_messages
from headwater.storage.schema import artifact_table, event_table, execution_table
from headwater.storage.transactions import Transaction
from headwater.storage.values import checked_text
from headwater.storage.writing import put_nodes
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import pipelines_pb2 as pp

_ENDS = (pp.COMPLETE, pp.FAILED, pp.CANCELED, pp.CACHED)


def finish_step(tx: Transaction, request: pp.FinishStepRequest) -> pp.FinishStepResponse:
    """Record the end of an attempt. See ``FinishStepRequest``."""
    _check(request)
    step = asked(request.begin) if request.HasField("begin") else None
    types = model_types(tx) if step is not None else None
    artifact_types = artifact_type_ids(tx, [one.type for one in request.outputs])
    _announce(tx, request, step, types)
    attempt = find_by_key(tx, request.key, locks=True)
    if attempt is None:
        if step is None or types is None:
            raise NotFound(
                f"no step was begun with the key {request.key!r}; call BeginStep first, "
                "or record it afterwards with FinishStep's begin"
            )
        if request.state == pp.CACHED:
            return _record_hit(tx, request, step, types)
        return _record_afterwards(tx, request, step, types, artifact_types)
    if step is not None and step.digest != attempt.begin_digest:
        raise another_attempt(step, attempt)
    if attempt.finish_digest is not None:
        if attempt.finish_digest == _digest(request):
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
    return _finish(tx, request, attempt, artifact_types)


def _announce(
    tx: Transaction, request: pp.FinishStepRequest, step: Asked | None, types: Types | None
) -> None:
    """Say what will be asked, so that a server answers it together."""
    if tx.is_careful:
        return
    questions = [question_of_key(request.key, locks=True)]
    artifacts = events = len(request.outputs)
    if step is not None and types is not None:
        tx.reserve_ids({execution_table: 1})
        questions += [
            question_of_place(types, step.request.pipeline, step.request.run),
            question_of_attempt(types, step),
        ]
        if request.state == pp.CACHED:
            original = [request.cached_execution_id]
            questions += [
                question_of_attempts(original),
                *(question_of_ends(original, type_) for type_ in (pb.Event.INPUT, pb.Event.OUTPUT)),
            ]
        else:
            questions += questions_of_inputs(step)
            artifacts += len(step.contents)
            events += len(step.request.inputs)
    tx.ask_ahead(questions)
    tx.reserve_ids({artifact_table: artifacts, event_table: events})


def _check(request: pp.FinishStepRequest) -> None:
    check_key(request.key)
    if request.state not in _ENDS:
        raise InvalidRequest("a step ends as COMPLETE, FAILED, CANCELED or CACHED; set state to one of them")
    check_outputs(request.outputs)
    checked_text(request.error, "the error of a step")
    checked_text(request.unfit, "why a step is unfit")
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
    metrics = [
        (one.name, repr(one.value), one.step if one.HasField("step") else None) for one in request.metrics
    ]
    said: list[object] = [request.state, request.error, request.cached_execution_id, outputs, metrics]
    if request.unfit:  # Only then, so that the digests stay that were stored before there was such a thing.
        said.append(request.unfit)
    return hashlib.sha256(repr(tuple(said)).encode()).hexdigest()


def _described(request: pp.FinishStepRequest, execution: pb.Execution) -> pb.Execution:
    """``execution`` with what is said of its end."""
    execution.last_known_state = request.state  # type: ignore[assignment]  # the numbers are the same
    set_error(execution, request.error)
    set_texts(execution, "usage", request.usage)
    for name, value in request.custom_properties.items():
        execution.custom_properties[name].CopyFrom(value)
    for metric in request.metrics:
        name = METRIC + metric.name
        # Of the others the table of metrics knows.
        if not metric.HasField("step") and math.isfinite(metric.value) and len(name.encode()) <= LONGEST_NAME:
            execution.custom_properties[name].double_value = metric.value
    return execution


def _entry(
    request: pp.FinishStepRequest, fingerprint: str, *, is_kept: bool
) -> tuple[str | None, str | None]:
    """The fingerprint under which others may hit it, if they may; or why not, if the caller says so."""
    # A step that leaves nothing is run for what it does besides. And what has a place but no digest cannot be
    # told from what may be there later.
    is_fit = bool(request.outputs) and all(one.digest or not one.uri for one in request.outputs)
    if not (is_kept and is_fit and request.state == pp.COMPLETE):
        return None, None
    return (None, request.unfit) if request.unfit else (fingerprint, None)


def _finish(
    tx: Transaction,
    request: pp.FinishStepRequest,
    attempt: Attempt,
    artifact_types: Mapping[str, int],
) -> pp.FinishStepResponse:
    """Record the end of an attempt that was begun."""
    ids = [attempt.execution_id]
    subjects = subjects_of(attempt)
    tx.ask_ahead(
        [
            question_of_ends(ids, pb.Event.INPUT),
            *questions_of_messages(tx, EXECUTION, ids, locks=True),
            question_of_leases(subjects),
        ]
    )
    # Before the answers are waited for, as this may ask something too.
    put_metrics(tx, execution_id=attempt.execution_id, run_id=attempt.run_id, metrics=request.metrics)
    used = named_ends(tx, ids, pb.Event.INPUT)[attempt.execution_id]
    end_ms = max(attempt.start_ms, past(tx, request.end_ms))
    artifact_ids = _put_outputs(tx, request, attempt, artifact_types, end_ms)
    execution = _described(request, pb.Execution(id=attempt.execution_id, type_id=step_type_id(tx)))
    execution.properties["end_ms"].int_value = end_ms
    mask = ["last_known_state", *ERROR_PATHS]
    mask += [f"properties.{name}" for name in execution.properties if f"properties.{name}" not in mask]
    mask += [f"custom_properties.{name}" for name in execution.custom_properties]
    put_nodes(tx, EXECUTION, [execution], mask=mask)
    entry, unfit = _entry(request, attempt.fingerprint, is_kept=attempt.is_kept)
    finish_attempt(tx, attempt.execution_id, entry=entry, end_ms=end_ms, digest=_digest(request))
    if unfit is not None:
        make_unfit(tx, ids, unfit)
    answer = pp.FinishStepResponse(
        execution_id=attempt.execution_id,
        artifact_ids=artifact_ids,
        run_id=attempt.run_id,
        input_artifact_ids=[artifact_id for _, artifact_id in used],
    )
    _give_back(tx, attempt, leases_of(tx, subjects), answer)
    return answer


def _record_afterwards(
    tx: Transaction,
    request: pp.FinishStepRequest,
    step: Asked,
    types: Types,
    artifact_types: Mapping[str, int],
) -> pp.FinishStepResponse:
    """Record an attempt whose beginning nobody told."""
    place = find_place(tx, types, step.request.pipeline, step.request.run)
    is_repeated = is_tried_before(tx, types, step, place)
    inputs = put_inputs(tx, step)
    end_ms = max(past(tx, step.request.start_ms), past(tx, request.end_ms))
    execution = _described(request, pb.Execution())
    set_text(execution, "why", "recorded afterwards")
    entry, unfit = _entry(request, step.fingerprint, is_kept=step.writes)
    attempt = put_execution(
        tx,
        types,
        step,
        place,
        execution,
        is_tried_before=is_repeated,
        entry=entry,
        unfit=unfit,
        end_ms=end_ms,
        finish_digest=_digest(request),
    )
    put_ends(tx, attempt, pb.Event.INPUT, list(inputs.items()), time_ms=attempt.start_ms)
    artifact_ids = _put_outputs(tx, request, attempt, artifact_types, end_ms)
    put_metrics(tx, execution_id=attempt.execution_id, run_id=attempt.run_id, metrics=request.metrics)
    return pp.FinishStepResponse(
        execution_id=attempt.execution_id,
        artifact_ids=artifact_ids,
        run_id=attempt.run_id,
        input_artifact_ids=[inputs[name] for name in sorted(inputs)],
    )


def _put_outputs(
    tx: Transaction,
    request: pp.FinishStepRequest,
    attempt: Attempt,
    artifact_types: Mapping[str, int],
    end_ms: int,
) -> list[int]:
    makers = [
        made_by(attempt.fingerprint, one.name) if attempt.fingerprint else "" for one in request.outputs
    ]
    artifacts = [
        artifact_of(
            one,
            type_id=artifact_types[one.type or DEFAULT_ARTIFACT_TYPE],
            name=output_name(attempt.name, one.name),
            made_by=maker,
        )
        for one, maker in zip(request.outputs, makers, strict=True)
    ]
    ids = put_nodes(tx, ARTIFACT, artifacts)
    named = [(one.name, artifact_id) for one, artifact_id in zip(request.outputs, ids, strict=True)]
    put_ends(tx, attempt, pb.Event.OUTPUT, named, time_ms=end_ms)
    put_contents(
        tx,
        [
            # What is only in memory is found by who made it, where a reader is recorded afterwards.
            (
                content_key(one.uri, one.digest)
                if one.uri
                else content_key(maker or f"made:{request.key}#{one.name}", ""),
                artifact_id,
            )
            for one, maker, artifact_id in zip(request.outputs, makers, ids, strict=True)
        ],
    )
    return ids


def _give_back(
    tx: Transaction, attempt: Attempt, leases: Mapping[str, Lease], answer: pp.FinishStepResponse
) -> None:
    """Drop the lease of an attempt, or say that it was lost."""
    own = [lease for lease in leases.values() if lease.execution_id == attempt.execution_id]
    for lease in own:
        drop(tx, lease)
    answer.lease_was_lost = not own
    if not own:
        for lease in leases.values():
            answer.taken_over_by.CopyFrom(holder_message(lease))


def _record_hit(
    tx: Transaction, request: pp.FinishStepRequest, step: Asked, types: Types
) -> pp.FinishStepResponse:
    """Record that a step was not run because of what another did."""
    original_id = request.cached_execution_id
    original = attempts_by_id(tx, [original_id]).get(original_id)
    if original is None:
        raise NotFound(f"there is no attempt at a step with execution id {original_id}")
    reason = _why_not_reused(step, original)
    if reason:
        raise FailedPrecondition(
            f"execution {original_id} is not one that step {step.request.step!r} can reuse: {reason}; "
            "ask BeginStep again"
        )
    place = find_place(tx, types, step.request.pipeline, step.request.run)
    used, made = (
        named_ends(tx, [original_id], type_)[original_id] for type_ in (pb.Event.INPUT, pb.Event.OUTPUT)
    )
    is_repeated = is_tried_before(tx, types, step, place)
    tx.reserve_ids({event_table: len({*used}) + len({*made})})
    start_ms = past(tx, step.request.start_ms)
    end_ms = max(start_ms, past(tx, request.end_ms))
    execution = _described(request, pb.Execution())
    set_text(execution, "why", f"reuses execution {original_id}")
    attempt = put_execution(
        tx,
        types,
        step,
        place,
        execution,
        is_tried_before=is_repeated,
        end_ms=end_ms,
        cached_execution_id=original_id,
        finish_digest=_digest(request),
    )
    put_ends(tx, attempt, pb.Event.INPUT, used, time_ms=start_ms)
    put_ends(tx, attempt, pb.Event.OUTPUT, made, time_ms=end_ms)
    # What it came to is what the original came to, so runs of hits are listed and compared like others.
    copy_scalars(tx, original_id=original_id, execution_id=attempt.execution_id, run_id=attempt.run_id)
    put_metrics(tx, execution_id=attempt.execution_id, run_id=attempt.run_id, metrics=request.metrics)
    return pp.FinishStepResponse(
        execution_id=attempt.execution_id,
        artifact_ids=[artifact_id for _, artifact_id in sorted(made)],
        run_id=attempt.run_id,
        input_artifact_ids=[artifact_id for _, artifact_id in used],
    )


def _why_not_reused(step: Asked, original: Attempt) -> str:
    """Why an attempt cannot stand for a step; empty if it can, or could when it was offered."""
    if original.state != pb.Execution.COMPLETE:
        return f"it is {pp.State.Name(original.state)}"
    if not step.fingerprint or original.fingerprint != step.fingerprint:
        return "its fingerprint differs"
    if original.entry is None and original.unfit is None:
        return "it left nothing that can be reused"
    return ""


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
    if (request.state == pp.CACHED) != (attempt.cached_execution_id is not None):
        raise InvalidRequest(
            f"step {attempt.step!r} with the key {request.key!r} is {pp.State.Name(attempt.state)}; "
            "what ran cannot become CACHED, nor a hit anything else"
        )
    execution = pb.Execution(
        id=attempt.execution_id,
        type_id=step_type_id(tx),
        last_known_state=request.state,  # type: ignore[arg-type]  # the numbers are the same
    )
    set_error(execution, request.error)
    put_nodes(tx, EXECUTION, [execution], mask=("last_known_state", *ERROR_PATHS))
    is_entry = attempt.entry is not None and request.state == pp.COMPLETE
    finish_attempt(
        tx,
        attempt.execution_id,
        entry=attempt.entry if is_entry else None,
        end_ms=attempt.end_ms or tx.now_ms,
        digest=_digest(request),
    )
    if is_entry and request.unfit:
        make_unfit(tx, [attempt.execution_id], request.unfit)
    return _answered_before(tx, request, attempt)
