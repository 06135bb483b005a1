"""StartRun and FinishRun."""

from google.protobuf import struct_pb2

from headwater.errors import FailedPrecondition, InvalidRequest, NotFound
from headwater.service.pipelines.asked import checked_lease_ms
from headwater.service.pipelines.begin import lease_message
from headwater.service.pipelines.ends import RUN_WAS_CLOSED, end_attempts_of_run
from headwater.service.pipelines.facts import ERROR_PATHS, set_error, set_facts, set_text
from headwater.service.pipelines.naming import check_pipeline, check_run, check_step, check_worker
from headwater.service.pipelines.recording import (
    Types,
    find_place,
    model_types,
    new_run,
    past,
    put_pipeline,
    put_place,
    put_run,
    question_of_place,
    reserve_place,
)
from headwater.storage import edges
from headwater.storage.kinds import CONTEXT
from headwater.storage.leases import Lease, drop, leases_of, question_of_leases, renew, run_subject, take
from headwater.storage.nodes import copied, questions_of_messages, read_messages
from headwater.storage.requests import WrittenMeanwhile
from headwater.storage.transactions import Transaction
from headwater.storage.values import checked_text, packed
from headwater.storage.writing import put_nodes
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import pipelines_pb2 as pp

_ENDS = (pp.COMPLETE, pp.FAILED, pp.CANCELED)


def start_run(tx: Transaction, request: pp.StartRunRequest) -> pp.StartRunResponse:
    """Open a run. See ``StartRunRequest``."""
    check_pipeline(request.pipeline)
    check_run(request.run)
    check_worker(request.worker)
    duration_ms = checked_lease_ms(request.lease_ms)
    for planned in request.steps:
        check_step(planned.step)
    if request.HasField("parent"):
        check_pipeline(request.parent.pipeline)
        check_run(request.parent.run)
        if (request.parent.pipeline, request.parent.run) == (request.pipeline, request.run):
            raise InvalidRequest(f"the run {request.run!r} cannot be its own parent")
    types = model_types(tx)
    tx.ask_ahead([question_of_place(types, request.pipeline, request.run)])
    place = find_place(tx, types, request.pipeline, request.run)
    reserve_place(tx, place)
    if place.run_id is None and request.reopens:
        raise NotFound(f"pipeline {request.pipeline!r} has no run {request.run!r} that could be resumed")
    start_ms = past(tx, request.start_ms)
    if place.run_id is None:
        pipeline_id = put_pipeline(tx, types, place)
        run = new_run(types, request.pipeline, request.run, start_ms)
        _describe(run, request)
        run_id = put_run(tx, run, pipeline_id, *_parent_ids(tx, types, request))
    else:
        run_id, pipeline_id = place.run_id, put_pipeline(tx, types, place)
        _open_again(tx, types, request, run_id)
    answer = pp.StartRunResponse(run_id=run_id, pipeline_id=pipeline_id, existed=place.run_id is not None)
    if request.worker:
        lease = _lease(tx, request, run_id, duration_ms, is_new=place.run_id is None)
        if lease is not None:
            answer.lease.CopyFrom(lease_message(lease))
    return answer


def _describe(run: pb.Context, request: pp.StartRunRequest) -> None:
    set_facts(run, request)
    for name in ("owner", "trigger"):
        set_text(run, name, getattr(request, name))
    set_text(run, "commit", request.code.commit)
    if request.steps:
        steps = struct_pb2.Struct()
        listed = steps.fields["steps"].list_value
        for planned in request.steps:
            fields = listed.values.add().struct_value.fields
            fields["step"].string_value = planned.step
            after = fields["after"].list_value
            # An empty list too is one.
            after.SetInParent()
            for name in planned.after:
                after.values.add().string_value = name
        run.properties["steps"].CopyFrom(packed(steps))


def _parent_ids(tx: Transaction, types: Types, request: pp.StartRunRequest) -> list[int]:
    """The run that this one is part of, if it is; made if it is new."""
    if not request.HasField("parent"):
        return []
    parent = find_place(tx, types, request.parent.pipeline, request.parent.run)
    return [put_place(tx, types, parent, past(tx, request.start_ms))[1]]


def _open_again(tx: Transaction, types: Types, request: pp.StartRunRequest, run_id: int) -> None:
    """A run that is there: open, or one that is to be opened again, or made by its first step."""
    stored = read_messages(tx, CONTEXT, [run_id], locks=True)[run_id]
    state = stored.properties["state"].string_value
    if state != "RUNNING" and not request.reopens:
        raise FailedPrecondition(
            f"run {request.run!r} of pipeline {request.pipeline!r} is {state}; "
            "resume it (reopens), or choose another name"
        )
    # As it is stored but for its properties, so that saying the same again changes nothing.
    run = copied(stored)
    assert isinstance(run, pb.Context)
    run.ClearField("properties")
    run.ClearField("custom_properties")
    _describe(run, request)
    set_text(run, "state", "RUNNING")
    mask = [f"properties.{name}" for name in run.properties]
    mask += [f"custom_properties.{name}" for name in run.custom_properties]
    if state != "RUNNING":
        # Named and not set, they go.
        mask += [*ERROR_PATHS, "properties.end_ms"]
    put_nodes(tx, CONTEXT, [run], mask=mask)
    for parent_id in _parent_ids(tx, types, request):
        if parent_id not in edges.parents_of(tx, [run_id]).get(run_id, ()):
            edges.put_parents(tx, [pb.ParentContext(child_id=run_id, parent_id=parent_id)])


def _lease(
    tx: Transaction, request: pp.StartRunRequest, run_id: int, duration_ms: int, *, is_new: bool
) -> Lease | None:
    """The lease of the run, unless another worker has it, whose run it then is."""
    subject = run_subject(run_id)
    held = None if is_new else leases_of(tx, [subject], locks=True).get(subject)
    if held is not None and held.is_live(tx.now_ms):
        return renew(tx, [held])[0] if held.worker == request.worker else None
    if held is not None:
        drop(tx, held)
    lease = take(
        tx, subject, worker=request.worker, run_id=run_id, execution_id=None, duration_ms=duration_ms
    )
    if lease is None:
        raise WrittenMeanwhile
    return lease


def finish_run(tx: Transaction, request: pp.FinishRunRequest) -> pp.FinishRunResponse:
    """Close a run. See ``FinishRunRequest``."""
    check_pipeline(request.pipeline)
    check_run(request.run)
    if request.state not in _ENDS:
        raise InvalidRequest("a run ends as COMPLETE, FAILED or CANCELED; set state to one of them")
    if request.ends_steps and request.state == pp.COMPLETE:
        raise InvalidRequest(
            "a run that is COMPLETE does not end its steps; finish them, or close it as FAILED"
        )
    checked_text(request.error, "the error of a run")
    types = model_types(tx)
    tx.ask_ahead([question_of_place(types, request.pipeline, request.run)])
    place = find_place(tx, types, request.pipeline, request.run)
    if place.run_id is None:
        raise NotFound(f"pipeline {request.pipeline!r} has no run {request.run!r}; call StartRun first")
    answer = pp.FinishRunResponse(run_id=place.run_id)
    if request.ends_steps:
        # Before the run is locked, in the order in which expired leases are dealt with.
        error = request.error if request.is_gone else ""
        answer.execution_ids.extend(end_attempts_of_run(tx, place.run_id, error))
    subject = run_subject(place.run_id)
    tx.ask_ahead(
        [*questions_of_messages(tx, CONTEXT, [place.run_id], locks=True), question_of_leases([subject])]
    )
    stored = read_messages(tx, CONTEXT, [place.run_id], locks=True)[place.run_id]
    state = stored.properties["state"].string_value
    wanted = pp.State.Name(request.state)
    # One that was closed for its process, which seemed to be gone, is closed by what that says itself.
    is_open = state == "RUNNING" or stored.properties["error"].string_value.endswith(RUN_WAS_CLOSED)
    if state == wanted and (not is_open or request.is_gone):
        return answer
    if not is_open:
        raise FailedPrecondition(
            f"run {request.run!r} of pipeline {request.pipeline!r} is {state} already, and not {wanted}; "
            "open it again with StartRun's reopens"
        )
    run = pb.Context(id=place.run_id, type_id=types.run, name=stored.name)
    set_text(run, "state", wanted)
    error = request.error
    if request.is_gone:
        error = f"{error or 'its process is gone'}{RUN_WAS_CLOSED}"
    set_error(run, error)
    run.properties["end_ms"].int_value = max(
        stored.properties["start_ms"].int_value, past(tx, request.end_ms)
    )
    put_nodes(tx, CONTEXT, [run], mask=("properties.state", *ERROR_PATHS, "properties.end_ms"))
    for lease in leases_of(tx, [subject]).values():
        drop(tx, lease)
    return answer
