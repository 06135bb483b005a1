"""LookUpSteps: what BeginStep would answer, without doing anything."""

import pytest
from pipelines.asking import Clock, Steps, end, everything, step

from headwater.errors import InvalidRequest
from headwater.v1 import pipelines_pb2 as pp


def looked_up(request: pp.BeginStepRequest) -> pp.BeginStepRequest:
    """Without what has no meaning in a look-up."""
    copy = pp.BeginStepRequest()
    copy.CopyFrom(request)
    for field in ("key", "worker", "run"):
        copy.ClearField(field)
    return copy


def test_many_steps_are_answered_in_their_order_and_nothing_changes(timed: Steps, clock: Clock) -> None:
    done, failed, running, old = (step(lr=lr) for lr in (1, 2, 3, 4))
    for request in (old, done, failed):
        timed.begin(request)
        timed.finish(end(request, state=pp.FAILED if request is failed else pp.COMPLETE))
    timed.begin(running)
    clock.now_ms += 1_000
    asked = [step(lr=3), step(lr=9), step(lr=1), step(components={}), step(lr=4, max_age_ms=10), step(lr=2)]
    before = everything(timed.call)

    answers = timed.look_up(*map(looked_up, asked))

    assert everything(timed.call) == before
    for request, answer in zip(asked, answers, strict=True):
        would = timed.begin(request)
        assert answer.decision == would.decision
        assert answer.fingerprint == would.fingerprint
        assert answer.holder == would.holder
        assert answer.outputs == would.outputs
        assert answer.retry_after_ms == would.retry_after_ms
    assert [pp.Decision.Name(one.decision) for one in answers] == ["WAIT", "RUN", "HIT", "RUN", "RUN", "RUN"]


@pytest.mark.parametrize(
    "policy",
    [
        {"mode": pp.CachePolicy.OFF},
        {"mode": pp.CachePolicy.WRITE},
        {"mode": pp.CachePolicy.READ},
        {"max_age_ms": 1},
        {"lr": 0.7},
        {"name": "evaluate"},
        {"components": {}},
    ],
    ids=str,
)
def test_one_step_that_would_run_is_told_why(policy: dict, timed: Steps, clock: Clock) -> None:
    timed.computed()
    clock.now_ms += 1_000
    request = step(run="tuesday", **policy)

    (answer,) = timed.look_up(looked_up(request))

    would = timed.begin(request)
    assert (answer.decision, answer.miss) == (would.decision, would.miss)


def test_a_hit_that_was_refused_is_not_offered(steps: Steps) -> None:
    first = steps.computed()
    second = steps.computed(mode=pp.CachePolicy.WRITE)

    def answer(*ids: int) -> pp.BeginStepResponse:
        refused = [pp.RefusedHit(execution_id=one, reason="gone") for one in ids]
        return steps.look_up(step(refused=refused))[0]

    assert answer().execution_id == second
    assert answer(second).execution_id == first
    assert answer(first, second) == pp.BeginStepResponse(
        decision=pp.RUN,
        fingerprint=answer().fingerprint,
        miss=pp.Miss(why=pp.Miss.INVALIDATED, text="done before, but gone", nearest_execution_id=first),
    )
    assert answer().execution_id == second


def test_an_older_execution_that_ended_later_is_young_enough(timed: Steps, clock: Clock) -> None:
    slow, quick = step(), step(never_waits=True)
    slow_id = timed.begin(slow).execution_id
    timed.begin(quick)
    timed.finish(end(quick))
    clock.now_ms += 10_000
    timed.finish(end(slow))

    (answer,) = timed.look_up(step(max_age_ms=5_000))

    assert (answer.decision, answer.execution_id) == (pp.HIT, slow_id)


def test_a_store_without_pipelines_is_asked(steps: Steps) -> None:
    (answer,) = steps.look_up(step())

    assert answer.miss == pp.Miss(why=pp.Miss.NEVER_COMPLETED, text="not completed before in this pipeline")
    assert steps.look_up() == []


def test_the_same_step_twice_is_answered_twice(steps: Steps) -> None:
    steps.computed()

    one, other = steps.look_up(step(), step())

    assert one == other
    assert one.decision == pp.HIT


def test_a_thousand_steps_are_the_most(steps: Steps) -> None:
    steps.computed(lr=7)
    found = steps.look_up(*(step(lr=number) for number in range(1_000)))
    assert [index for index, one in enumerate(found) if one.decision == pp.HIT] == [7]

    with pytest.raises(InvalidRequest) as refused:
        steps.look_up(*(step() for _ in range(1_001)))

    assert str(refused.value) == "1001 steps are more than the 1000 that one request can look up"
