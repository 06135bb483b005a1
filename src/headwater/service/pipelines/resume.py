"""PlanResume: what of a run is done, what has to run, and what has to wait for that."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from headwater.errors import NotFound
from headwater.service.pipelines.naming import check_pipeline, check_run, run_name
from headwater.service.pipelines.outputs import named_ends
from headwater.service.pipelines.run_messages import planned_steps
from headwater.service.pipelines.step_messages import slim_outputs
from headwater.storage.kinds import CONTEXT, EXECUTION
from headwater.storage.leases import Lease, attempt_subject, leases_of, step_subject
from headwater.storage.nodes import read_messages
from headwater.storage.run_listing import Condition, Family, Listing, Source, Subject, list_runs
from headwater.storage.runs import (
    ContextTypes,
    Stage,
    context_types,
    find_pipeline_and_run,
    newest_of_each,
    stages_of,
)
from headwater.storage.transactions import Transaction
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import pipelines_pb2 as pp

_Plan = pp.PlanResumeResponse.StepPlan.Plan
_DONE = (pb.Execution.COMPLETE, pb.Execution.CACHED)
_SHOWN = 3
_SHOWN_CHARACTERS = 200


@dataclass
class _Step:
    """A step of the run, or one that it should have."""

    name: str
    stage: Stage | None
    """The newest attempt at it in this run."""
    after: set[str] = field(default_factory=set)
    """Steps whose outputs it uses."""
    plan: pp.PlanResumeResponse.StepPlan.Plan = _Plan.TO_RUN
    why: str = ""
    blocked_by: list[str] = field(default_factory=list)


def plan_resume(tx: Transaction, request: pp.PlanResumeRequest) -> pp.PlanResumeResponse:
    """What resuming a run would do, step by step. See ``PlanResumeResponse``."""
    check_pipeline(request.pipeline)
    check_run(request.run)
    types = context_types(tx)
    pipeline_id, run_id = find_pipeline_and_run(
        tx, types, request.pipeline, run_name(request.pipeline, request.run)
    )
    if pipeline_id is None or run_id is None:
        raise NotFound(f"pipeline {request.pipeline!r} has no run {request.run!r} that could be resumed")
    stages = stages_of(tx, run_id)
    steps = {name: _Step(name, stage) for name, stage in newest_of_each(stages).items()}
    _link(steps, _uses(tx, stages))
    context = read_messages(tx, CONTEXT, [run_id])[run_id]
    assert isinstance(context, pb.Context)
    planned = planned_steps(context)
    if planned:
        for one in planned:
            for name in (*one.after, one.step):
                steps.setdefault(name, _Step(name, None))
            steps[one.step].after |= set(one.after) - {one.step}
    elif context.properties["state"].string_value != "COMPLETE":
        _add_reference(tx, types, pipeline_id, steps)
    leases = _leases(tx, steps.values())
    errors = _errors(tx, steps.values())
    for step in steps.values():
        _judge(step, leases, errors, tx.now_ms)
    done = [step.stage.execution_id for step in steps.values() if step.plan == _Plan.DONE and step.stage]
    outputs = slim_outputs(tx, done)
    for step in steps.values():
        made = outputs[step.stage.execution_id] if step.plan == _Plan.DONE and step.stage else ()
        if not all(map(_is_kept, made)):
            step.plan, step.why = _Plan.TO_RUN, "it was done, but what it left was only in memory"
    _block(steps)
    answer = pp.PlanResumeResponse(run_id=run_id)
    for step in steps.values():
        execution_id = step.stage.execution_id if step.stage else 0
        answer.steps.add(
            step=step.name,
            plan=step.plan,
            why=step.why,
            execution_id=execution_id,
            outputs=outputs[execution_id] if step.plan == _Plan.DONE else (),
            blocked_by=step.blocked_by,
        )
    return answer


def _is_kept(output: pp.StepOutput) -> bool:
    """Whether an output outlives its process: at a place, or as a plain value in the record itself."""
    return bool(output.uri) or "value" in output.custom_properties


# Which step uses what of which


def _uses(tx: Transaction, stages: Sequence[Stage]) -> dict[str, set[str]]:
    """By step the steps of the same run whose outputs its newest attempt uses."""
    newest = newest_of_each(stages)
    # Events of a hit lead to what another execution made, and it is this run's step all the same.
    made = named_ends(tx, [stage.execution_id for stage in stages], pb.Event.OUTPUT)
    makers: dict[int, set[str]] = {}
    for stage in stages:
        for _, artifact_id in made[stage.execution_id]:
            makers.setdefault(artifact_id, set()).add(stage.step)
    used = named_ends(tx, [stage.execution_id for stage in newest.values()], pb.Event.INPUT)
    return {
        step: {
            maker
            for _, artifact_id in used[stage.execution_id]
            for maker in makers.get(artifact_id, ())
            if maker != step
        }
        for step, stage in newest.items()
    }


def _link(steps: Mapping[str, _Step], uses: Mapping[str, set[str]]) -> None:
    for name, after in uses.items():
        steps[name].after |= after


def _add_reference(tx: Transaction, types: ContextTypes, pipeline_id: int, steps: dict[str, _Step]) -> None:
    """Add the steps of the latest complete run, for a run of which nobody said what steps it has."""
    assert types.run is not None
    complete = Condition(Subject(Source.PROPERTY, "state"), "=", Family.TEXT, "COMPLETE")
    by_start = Subject(Source.PROPERTY, "start_ms")
    latest = list_runs(
        tx, Listing(types.run, pipeline_id, (complete,), by_start, ascending=False), after=None, limit=1
    )
    if not latest:
        return
    stages = stages_of(tx, latest[0].run_id)
    uses = _uses(tx, stages)
    for name in newest_of_each(stages):
        if name not in steps:
            steps[name] = _Step(name, None, uses[name])


# What becomes of each


def _leases(tx: Transaction, steps: Iterable[_Step]) -> dict[int, Lease]:
    """The leases of attempts that are under way, by execution."""
    subjects = []
    for step in steps:
        if step.stage is not None and not step.stage.is_over:
            subjects.append(attempt_subject(step.stage.execution_id))
            if step.stage.fingerprint:
                subjects.append(step_subject(step.stage.fingerprint))
    return {lease.execution_id: lease for lease in leases_of(tx, subjects).values() if lease.execution_id}


def _errors(tx: Transaction, steps: Iterable[_Step]) -> dict[int, str]:
    """The last line of what failed attempts said, by execution."""
    failed = [
        step.stage.execution_id for step in steps if step.stage and step.stage.state == pb.Execution.FAILED
    ]
    errors = {}
    for execution_id, execution in read_messages(tx, EXECUTION, failed).items():
        if "error" in execution.properties:
            lines = execution.properties["error"].string_value.strip().splitlines()
            errors[execution_id] = lines[-1].strip()[:_SHOWN_CHARACTERS] if lines else ""
    return errors


def _judge(step: _Step, leases: Mapping[int, Lease], errors: Mapping[int, str], now_ms: int) -> None:
    """Whether the step itself is done, leaving aside what it uses."""
    stage = step.stage
    if stage is None:
        step.why = "it never began"
    elif stage.state in _DONE and stage.is_entry:
        step.plan = _Plan.DONE
        reused = stage.cached_execution_id
        step.why = "it is complete" if reused is None else f"it reuses the outputs of execution {reused}"
    elif stage.state in _DONE:
        step.why = (
            f"it was done, but {stage.unfit}"
            if stage.unfit
            else "it was done, but left nothing that can be reused"
        )
    elif stage.state == pb.Execution.FAILED:
        error = errors.get(stage.execution_id)
        step.why = f"it failed: {error}" if error else "it failed"
    elif stage.state == pb.Execution.CANCELED:
        step.why = "it was canceled"
    else:
        lease = leases.get(stage.execution_id)
        if lease is not None and lease.is_live(now_ms):
            step.plan = _Plan.BLOCKED
            step.why = f"{lease.worker or 'somebody'} is computing it now"
        else:
            step.why = "it began, and whoever computed it was not heard of any more"


def _block(steps: Mapping[str, _Step]) -> None:
    """Let wait what uses outputs of steps that are not done, however far away."""
    users: dict[str, list[_Step]] = {name: [] for name in steps}
    for step in steps.values():
        for name in step.after:
            users[name].append(step)
    unfinished = {name for name, step in steps.items() if step.plan != _Plan.DONE}
    waiting: set[str] = set()
    pending = sorted(unfinished)
    while pending:
        for user in users[pending.pop()]:
            if user.name not in waiting:
                waiting.add(user.name)
                pending.append(user.name)
    unfinished |= waiting
    places = {name: place for place, name in enumerate(steps)}
    for name in waiting:
        step = steps[name]
        step.blocked_by = sorted(step.after & unfinished, key=places.__getitem__)
        shown = ", ".join(repr(one) for one in step.blocked_by[:_SHOWN])
        if len(step.blocked_by) > _SHOWN:
            shown += f" and {len(step.blocked_by) - _SHOWN} more"
        step.why += (
            f", but what it uses of {shown} may change"
            if step.plan == _Plan.DONE
            else f", and it needs the outputs of {shown} first"
        )
        step.plan = _Plan.BLOCKED
