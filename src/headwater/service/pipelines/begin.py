"""BeginStep: is the step done, is somebody at it, or is it the caller's."""

from headwater.errors import InvalidRequest
from headwater.fingerprint import Difference, differences
from headwater.service.pipelines.asked import Asked, asked
from headwater.service.pipelines.ends import end_attempts, over_runs
from headwater.service.pipelines.facts import set_text
from headwater.service.pipelines.outputs import (
    named_ends,
    named_outputs_of_entries,
    outputs_of,
    question_of_hit,
    read_outputs,
)
from headwater.service.pipelines.recording import (
    Types,
    find_place,
    is_tried_before,
    model_types,
    put_ends,
    put_execution,
    put_inputs,
    question_of_attempt,
    question_of_place,
    questions_of_inputs,
)
from headwater.storage.attempts import (
    Attempt,
    Earlier,
    Entry,
    earlier_attempts,
    entries_of,
    find_by_key,
    is_done_meanwhile,
    question_of_earlier,
    question_of_entries,
    question_of_key,
    question_of_unfit,
    refuse_entry,
    unfit_before,
)
from headwater.storage.leases import (
    Lease,
    attempt_subject,
    leases_of,
    question_of_leases,
    renew,
    step_subject,
    take,
)
from headwater.storage.requests import WrittenMeanwhile
from headwater.storage.schema import event_table, execution_table
from headwater.storage.transactions import Question, Transaction
from headwater.storage.values import checked_text
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import pipelines_pb2 as pp

_SHORTEST_WAIT_MS = 100
_LONGEST_WAIT_MS = 2_000
_SHOWN = 3


def begin_step(tx: Transaction, request: pp.BeginStepRequest) -> pp.BeginStepResponse:
    """HIT, RUN or WAIT. See ``BeginStepRequest``."""
    step = asked(request)
    types = model_types(tx)
    _announce(tx, types, step)
    subject = step_subject(step.fingerprint)
    # In this order, as others write meanwhile: who finishes after the leases were read has left an entry,
    # and of a lease or an entry of this very request sent before the attempt is found.
    holder = leases_of(tx, [subject]).get(subject) if step.fingerprint else None
    found = entries_of(tx, step.fingerprint) if step.reads else []
    known = find_by_key(tx, request.key)
    if known is not None:
        return _answered_before(tx, step, known)
    for one in request.refused:
        if not one.stays_fit:
            refuse_entry(tx, one.execution_id, step.fingerprint, refusal(one))
    place = find_place(tx, types, request.pipeline, request.run)
    ids = {"run_id": place.run_id or 0, "pipeline_id": place.pipeline_id or 0}
    entries = without_refused(found, request)
    hit = fit_entry(entries, step, tx.now_ms)
    if hit is not None:
        return hit_response(step, hit, _outputs_of_hit(tx, hit), **ids)
    if holder is not None and holder.is_live(tx.now_ms):
        if step.waits and not over_runs(tx, [holder.run_id]):
            return wait_response(step, holder, tx.now_ms, **ids)
    elif holder is not None:
        end_attempts(tx, [holder])
        holder = None
    earlier = earlier_attempts(tx, types.pipeline, request.pipeline, request.step)
    if step.reads:
        earlier += unfit_before(tx, step.fingerprint, step.components)
    miss = why_not(
        step,
        earlier,
        is_too_old=bool(entries),
        refused=[refusal(one) for one in request.refused],
        equal_id=entries[0].execution_id if entries else 0,
    )
    is_repeated = is_tried_before(tx, types, step, place)
    inputs = put_inputs(tx, step)
    execution = pb.Execution(last_known_state=pb.Execution.RUNNING)
    set_text(execution, "why", miss.text)
    attempt = put_execution(tx, types, step, place, execution, is_tried_before=is_repeated)
    put_ends(tx, attempt, pb.Event.INPUT, list(inputs.items()), time_ms=attempt.start_ms)
    lease = take(
        tx,
        subject if step.writes and holder is None else attempt_subject(attempt.execution_id),
        worker=request.worker,
        run_id=attempt.run_id,
        execution_id=attempt.execution_id,
        duration_ms=step.lease_ms,
    )
    newest_id = max((entry.execution_id for entry in found), default=0)
    if lease is None or (step.reads and is_done_meanwhile(tx, step.fingerprint, newest_id=newest_id)):
        # Somebody else took it since it was looked at, and may have done the step even.
        raise WrittenMeanwhile
    return pp.BeginStepResponse(
        decision=pp.RUN,
        fingerprint=step.fingerprint,
        execution_id=attempt.execution_id,
        attempt=attempt.number,
        lease=lease_message(lease),
        miss=miss,
        run_id=attempt.run_id,
        pipeline_id=attempt.pipeline_id,
        state=pp.RUNNING,
        input_artifact_ids=[inputs[one.name] for one in request.inputs],
    )


def _announce(tx: Transaction, types: Types, step: Asked) -> None:
    """Say what will be asked, so that a server answers it together."""
    if tx.is_careful:
        return
    request = step.request
    questions: list[Question] = []
    if step.fingerprint:
        questions.append(question_of_leases([step_subject(step.fingerprint)]))
    if step.reads:
        questions += [
            question_of_entries(step.fingerprint),
            question_of_hit(step.fingerprint),
            question_of_unfit(step.fingerprint),
        ]
    questions += [
        question_of_key(request.key),
        question_of_place(types, request.pipeline, request.run),
        question_of_attempt(types, step),
        *questions_of_inputs(step),
        question_of_earlier(types.pipeline, request.pipeline, request.step),
    ]
    tx.ask_ahead(questions)
    tx.reserve_ids({execution_table: 1, event_table: len(request.inputs)})


def _answered_before(tx: Transaction, step: Asked, known: Attempt) -> pp.BeginStepResponse:
    """The answer to a request that is sent again."""
    if known.begin_digest != step.digest:
        raise another_attempt(step, known)
    answer = pp.BeginStepResponse(
        decision=pp.RUN,
        fingerprint=known.fingerprint,
        execution_id=known.execution_id,
        attempt=known.number,
        run_id=known.run_id,
        pipeline_id=known.pipeline_id,
        state=known.state,  # type: ignore[arg-type]  # the numbers are the same
    )
    if known.cached_execution_id is not None:
        answer.decision = pp.HIT
        answer.execution_id = known.cached_execution_id
        answer.outputs.extend(outputs_of(tx, [known.execution_id])[known.execution_id])
        return answer
    names = dict(named_ends(tx, [known.execution_id], pb.Event.INPUT)[known.execution_id])
    answer.input_artifact_ids.extend(names[one.name] for one in step.request.inputs if one.name in names)
    if known.end_ms is None:
        leases = leases_of(tx, subjects_of(known), locks=True)
        own = [lease for lease in leases.values() if lease.execution_id == known.execution_id]
        for lease in renew(tx, own):
            answer.lease.CopyFrom(lease_message(lease))
    return answer


def another_attempt(step: Asked, known: Attempt) -> InvalidRequest:
    """The refusal of a key that was used before, for something else."""
    return InvalidRequest(
        f"the key {step.request.key!r} is that of another attempt, at step {known.step!r}; "
        "take a new one for each attempt"
    )


def subjects_of(attempt: Attempt) -> list[str]:
    """What the lease of an attempt may be on."""
    subjects = [attempt_subject(attempt.execution_id)]
    if attempt.fingerprint:
        subjects.append(step_subject(attempt.fingerprint))
    return subjects


def without_refused(entries: list[Entry], request: pp.BeginStepRequest) -> list[Entry]:
    """The entries that the caller has not refused."""
    refused = {one.execution_id for one in request.refused}
    return [entry for entry in entries if entry.execution_id not in refused]


def _outputs_of_hit(tx: Transaction, hit: Entry) -> list[pp.StepOutput]:
    made = named_outputs_of_entries(tx, hit.fingerprint)[hit.execution_id]
    # Nothing is asked after this; what was refused is to be written.
    return read_outputs(tx, made, are_last=not tx.has_written)


def fit_entry(entries: list[Entry], step: Asked, now_ms: int) -> Entry | None:
    """The newest of the entries that the policy allows to be hit."""
    max_age_ms = step.request.cache.max_age_ms
    for entry in entries:
        if not max_age_ms or now_ms - entry.end_ms <= max_age_ms:
            return entry
    return None


def hit_response(
    step: Asked, entry: Entry, outputs: list[pp.StepOutput], *, run_id: int, pipeline_id: int
) -> pp.BeginStepResponse:
    """What is answered where a step is done."""
    return pp.BeginStepResponse(
        decision=pp.HIT,
        fingerprint=step.fingerprint,
        execution_id=entry.execution_id,
        outputs=outputs,
        run_id=run_id,
        pipeline_id=pipeline_id,
    )


def wait_response(
    step: Asked, holder: Lease, now_ms: int, *, run_id: int, pipeline_id: int
) -> pp.BeginStepResponse:
    """What is answered where somebody is computing the same."""
    waited_ms = max(0, now_ms - holder.acquired_ms)
    return pp.BeginStepResponse(
        decision=pp.WAIT,
        fingerprint=step.fingerprint,
        execution_id=holder.execution_id or 0,
        holder=holder_message(holder),
        # Soon at first, since most steps are short; never later than the lease ends.
        retry_after_ms=max(
            _SHORTEST_WAIT_MS, min(_LONGEST_WAIT_MS, waited_ms // 4, holder.expires_ms - now_ms)
        ),
        run_id=run_id,
        pipeline_id=pipeline_id,
    )


def holder_message(lease: Lease) -> pp.Holder:
    """Who has a lease."""
    return pp.Holder(
        worker=lease.worker,
        execution_id=lease.execution_id or 0,
        run_id=lease.run_id,
        since_ms=lease.acquired_ms,
        expires_ms=lease.expires_ms,
    )


def lease_message(lease: Lease) -> pp.Lease:
    """A lease as its holder is told."""
    return pp.Lease(token=lease.token, duration_ms=lease.duration_ms, expires_ms=lease.expires_ms)


def refusal(refused: pp.RefusedHit) -> str:
    """Why a hit was refused."""
    return checked_text(refused.reason, "the reason of a refused hit") or "its outputs are not what they were"


def why_not(
    step: Asked, earlier: list[Earlier], *, is_too_old: bool, refused: list[str], equal_id: int = 0
) -> pp.Miss:
    """Why a step is not a hit, judged by the latest completed attempts at it.

    ``equal_id`` is the execution that is too old.
    """
    if refused:
        return pp.Miss(
            why=pp.Miss.INVALIDATED,
            text=f"done before, but {refused[0]}",
            nearest_execution_id=step.request.refused[0].execution_id,
        )
    reason = step.request.cache.reason
    if not step.may_read:
        return pp.Miss(why=pp.Miss.POLICY, text=reason or "its cache policy is to run always")
    if not step.fingerprint:
        text = reason or f"no fingerprint: {step.without_fingerprint}"
        return pp.Miss(why=pp.Miss.NO_FINGERPRINT, text=text)
    if is_too_old:
        return pp.Miss(
            why=pp.Miss.TOO_OLD,
            text=f"done before, but longer ago than {step.request.cache.max_age_ms / 1000:g} s",
            nearest_execution_id=equal_id,
        )
    if not earlier:
        return pp.Miss(why=pp.Miss.NEVER_COMPLETED, text="not completed before in this pipeline")
    ranked = [(differences(one.components, step.components), one) for one in earlier]
    # Of equal ones, that of which it is known why it cannot be hit.
    differing, nearest = min(ranked, key=lambda pair: (len(pair[0]), not pair[1].unfit))
    miss = pp.Miss(nearest_execution_id=nearest.execution_id)
    if differing:
        miss.why = pp.Miss.DIFFERS
        miss.text = told(differing)
        miss.differences.extend(difference_message(one) for one in differing)
    elif nearest.unfit:
        miss.why = pp.Miss.INVALIDATED
        miss.text = f"done before, but {nearest.unfit}"
    else:
        miss.why = pp.Miss.NOT_REUSABLE
        miss.text = f"done before by execution {nearest.execution_id}, which left nothing that can be reused"
    return miss


def difference_message(difference: Difference) -> pp.ComponentDifference:
    """A difference as it is answered."""
    return pp.ComponentDifference(component=difference.component, old=difference.old, new=difference.new)


def told(found: list[Difference]) -> str:
    """Differences in one sentence: the first few in full."""
    texts = []
    for one in found[:_SHOWN]:
        if one.old is None:
            texts.append(f"{one.component} is new ({_shown(one.new)})")
        elif one.new is None:
            texts.append(f"{one.component} is gone (was {_shown(one.old)})")
        elif one.is_made_again:
            texts.append(f"{one.component}, which is in memory, was made again by another execution")
        elif one.old.startswith("made:") and one.new.startswith("made:"):
            texts.append(f"{one.component}, which is in memory, was made otherwise")
        else:
            texts.append(f"{one.component} changed from {_shown(one.old)} to {_shown(one.new)}")
    if len(found) > _SHOWN:
        texts.append(f"{len(found) - _SHOWN} more components differ")
    return "; ".join(texts)


def _shown(text: str | None) -> str:
    text = text or ""
    if text.startswith(("sha256:", "made:")) and len(text) > 24:
        return text[:19] + "…"
    return text if len(text) <= 60 else text[:59] + "…"
