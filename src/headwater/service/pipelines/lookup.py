"""LookUpSteps: what BeginStep would answer, for many steps, without doing anything."""

from collections.abc import Mapping, Sequence

from headwater.errors import InvalidRequest
from headwater.service.pipelines.asked import Asked, asked
from headwater.service.pipelines.begin import (
    fit_entry,
    hit_response,
    refusal,
    wait_response,
    why_not,
    without_refused,
)
from headwater.service.pipelines.ends import over_runs
from headwater.service.pipelines.outputs import outputs_of
from headwater.storage.attempts import (
    Entry,
    earlier_attempts,
    entries_of_each,
    newest_entries,
    unfit_before,
)
from headwater.storage.kinds import CONTEXT
from headwater.storage.leases import leases_of, step_subject
from headwater.storage.model import PIPELINE_TYPE
from headwater.storage.transactions import Transaction
from headwater.storage.types import find_type_id
from headwater.v1 import pipelines_pb2 as pp

_MOST_STEPS = 1_000
_NOWHERE = {"run_id": 0, "pipeline_id": 0}


def look_up_steps(tx: Transaction, request: pp.LookUpStepsRequest) -> pp.LookUpStepsResponse:
    """One answer for each step, in their order. Why a step would run is said where it is asked for one."""
    if len(request.steps) > _MOST_STEPS:
        raise InvalidRequest(
            f"{len(request.steps)} steps are more than the {_MOST_STEPS} that one request can look up"
        )
    steps = [asked(one, has_key=False) for one in request.steps]
    newest = newest_entries(tx, [step.fingerprint for step in steps if step.reads])
    entries = _entries(tx, steps, newest)
    hits = [fit_entry(found, step, tx.now_ms) for found, step in zip(entries, steps, strict=True)]
    outputs = outputs_of(tx, sorted({hit.execution_id for hit in hits if hit is not None}))
    waiting = [step for step, hit in zip(steps, hits, strict=True) if hit is None and step.waits]
    held = leases_of(tx, [step_subject(step.fingerprint) for step in waiting])
    live = {subject: lease for subject, lease in held.items() if lease.is_live(tx.now_ms)}
    over = over_runs(tx, {lease.run_id for lease in live.values()})
    answer = pp.LookUpStepsResponse()
    for step, found, hit in zip(steps, entries, hits, strict=True):
        holder = live.get(step_subject(step.fingerprint))
        if hit is not None:
            answer.steps.append(hit_response(step, hit, list(outputs[hit.execution_id]), **_NOWHERE))
        elif step.waits and holder is not None and holder.run_id not in over:
            answer.steps.append(wait_response(step, holder, tx.now_ms, **_NOWHERE))
        else:
            answer.steps.append(
                pp.BeginStepResponse(
                    decision=pp.RUN,
                    fingerprint=step.fingerprint,
                    miss=_miss(tx, step, found) if len(steps) == 1 else None,
                )
            )
    return answer


def _entries(tx: Transaction, steps: Sequence[Asked], newest: Mapping[str, Entry]) -> list[list[Entry]]:
    """What each step may be a hit of, newest first: the newest alone where that is one."""
    found = [
        [newest[step.fingerprint]] if step.fingerprint in newest and step.reads else [] for step in steps
    ]
    unfit = [
        index
        for index, (step, entries) in enumerate(zip(steps, found, strict=True))
        if entries and (step.request.refused or fit_entry(entries, step, tx.now_ms) is None)
    ]
    older = entries_of_each(tx, [steps[index].fingerprint for index in unfit])
    for index, entries in zip(unfit, older, strict=True):
        found[index] = without_refused(entries, steps[index].request)
    return found


def _miss(tx: Transaction, step: Asked, entries: Sequence[Entry]) -> pp.Miss:
    type_id = find_type_id(tx, CONTEXT, PIPELINE_TYPE.name, "")
    request = step.request
    earlier = [] if type_id is None else earlier_attempts(tx, type_id, request.pipeline, request.step)
    if step.reads:
        earlier += unfit_before(tx, step.fingerprint, step.components)
    return why_not(
        step,
        earlier,
        is_too_old=bool(entries),
        refused=[refusal(one) for one in request.refused],
        equal_id=entries[0].execution_id if entries else 0,
    )
