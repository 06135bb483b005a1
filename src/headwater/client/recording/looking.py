"""Asking what would become of a step, without doing anything."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from headwater.client.recording.asking import Check, Offers
from headwater.client.recording.outputs import Output
from headwater.v1 import pipelines_pb2 as pp


@dataclass(frozen=True)
class Found:
    """What a step would be, were it begun now."""

    is_hit: bool
    """Whether it was done before, and its outputs are still what they were."""
    why: str
    """Why it would run, or what it would reuse: the sentence that the attempt would have as its ``why``."""
    fingerprint: str
    """Empty for a step without."""
    outputs: Mapping[str, Output] = field(default_factory=dict)
    """Those of the hit, by name."""
    execution_id: int | None = None
    """The execution that would be reused; ``None`` where it is no hit."""


def look_up(
    ask: Callable[[pp.LookUpStepsRequest], pp.LookUpStepsResponse],
    request: pp.BeginStepRequest,
    check: Check,
    outputs_of: Callable[[pp.BeginStepResponse], Mapping[str, Output]],
) -> Found:
    """What a store answers about a step, after hits that cannot be used. ``request`` is changed."""
    offers = Offers()
    while True:
        (answer,) = ask(pp.LookUpStepsRequest(steps=[request])).steps
        if answer.decision != pp.HIT:
            return Found(False, _why_not(answer), answer.fingerprint)
        refused, is_usable = check(answer)
        if is_usable:
            why = f"reuses execution {answer.execution_id}"
            return Found(True, why, answer.fingerprint, outputs_of(answer), answer.execution_id)
        offers.refuse(request, refused)


def _why_not(answer: pp.BeginStepResponse) -> str:
    if answer.decision == pp.RUN:
        return answer.miss.text
    return f"is being computed by {answer.holder.worker or 'somebody else'} (execution {answer.execution_id})"
