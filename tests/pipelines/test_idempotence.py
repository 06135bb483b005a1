"""Whatever is sent again is answered as before, and changes nothing."""

from collections.abc import Callable

import pytest
from pipelines.asking import Clock, Steps, end, end_as_hit, everything, made, step, used

from headwater.errors import FailedPrecondition, InvalidRequest
from headwater.v1 import pipelines_pb2 as pp

METRICS = [pp.Metric(name="auc", value=0.9), pp.Metric(name="loss", value=1, step=0)]


def sent_again(timed: Steps, clock: Clock, send: Callable[[], object]) -> tuple[object, object]:
    """Both answers of what is sent twice, a moment apart; the store is the same after both."""
    first = send()
    before = everything(timed.call)
    clock.now_ms += 1_000
    second = send()
    assert everything(timed.call) == before
    return first, second


def test_a_step_that_is_begun_again_keeps_its_attempt_and_renews_its_lease(
    timed: Steps, clock: Clock
) -> None:
    request = step(inputs=[used("b"), used("a")])

    first, second = sent_again(timed, clock, lambda: timed.begin(request))

    assert isinstance(first, pp.BeginStepResponse)
    first.ClearField("miss")
    first.lease.expires_ms += 1_000
    assert first == second
    assert timed.begin(step(inputs=request.inputs)).holder.expires_ms == first.lease.expires_ms


def test_a_step_that_waits_is_not_recorded_however_often_it_asks(timed: Steps, clock: Clock) -> None:
    timed.begin(step())
    request = step()

    first, second = sent_again(timed, clock, lambda: timed.begin(request))

    assert first.decision == second.decision == pp.WAIT


@pytest.mark.parametrize(
    "finish",
    [
        {"outputs": [made("b"), made("a")], "metrics": METRICS, "usage": {"s": 1.0}},
        {"state": pp.FAILED, "error": "broken"},
        {"state": pp.CANCELED, "outputs": [made("log", digest="")]},
        {"outputs": []},
    ],
    ids=["complete", "failed", "canceled", "nothing left"],
)
@pytest.mark.parametrize("brings_begin", [False, True], ids=["begun", "recorded afterwards"])
def test_a_step_that_is_finished_again(
    finish: dict[str, object], brings_begin: bool, timed: Steps, clock: Clock
) -> None:
    request = step(inputs=[used("b"), used("a"), used("c", uri="file:///data/b")])
    if brings_begin:
        finish = {**finish, "begin": request}
    else:
        timed.begin(request)

    first, second = sent_again(timed, clock, lambda: timed.finish(end(request, **finish)))

    assert first == second
    metrics = pp.GetMetricsRequest(execution_ids=[first.execution_id])
    assert len(timed.call("GetMetrics", metrics).series) == len(finish.get("metrics", ()))


def test_a_hit_that_is_taken_again(timed: Steps, clock: Clock) -> None:
    timed.computed(inputs=[used("b"), used("a")], outputs=[made("z"), made("y")])
    request = step(run="tuesday", inputs=[used("b"), used("a")])
    hit = timed.begin(request)

    first, second = sent_again(timed, clock, lambda: timed.finish(end_as_hit(request, hit)))

    assert first == second


def test_a_step_that_is_begun_again_after_its_end_is_told_what_became_of_it(
    timed: Steps, clock: Clock
) -> None:
    for state in (pp.COMPLETE, pp.FAILED, pp.CANCELED):
        request = step(mode=pp.CachePolicy.WRITE)
        begun = timed.begin(request)
        timed.finish(end(request, state=state))

        first, second = sent_again(timed, clock, lambda request=request: timed.begin(request))

        begun.ClearField("miss")
        begun.ClearField("lease")
        begun.state = state
        assert first == second == begun


def test_a_hit_that_was_taken_is_offered_again_to_its_key(timed: Steps, clock: Clock) -> None:
    timed.computed()
    request = step(run="tuesday")
    hit = timed.begin(request)
    taken = timed.finish(end_as_hit(request, hit))

    first, second = sent_again(timed, clock, lambda: timed.begin(request))

    hit.run_id, hit.attempt, hit.state = taken.run_id, 1, pp.CACHED
    assert first == second == hit


def test_a_hit_is_refused_again_with_the_same_request(timed: Steps, clock: Clock) -> None:
    broken = timed.computed()
    request = step(run="tuesday", refused=[pp.RefusedHit(execution_id=broken, reason="gone")])

    first, second = sent_again(timed, clock, lambda: timed.begin(request))

    assert first.decision == second.decision == pp.RUN
    assert first.execution_id == second.execution_id


def test_all_of_a_run_sent_again_in_any_order_changes_nothing(timed: Steps, clock: Clock) -> None:
    prepare, train = step("prepare"), step("train")
    start = pp.StartRunRequest(pipeline="churn", run="monday", worker="host:1")
    sent = [
        ("StartRun", start),
        ("BeginStep", prepare),
        ("FinishStep", end(prepare)),
        ("BeginStep", train),
        ("FinishStep", end(train, state=pp.FAILED, error="broken")),
    ]
    answers = {index: timed.call(*one) for index, one in enumerate(sent)}
    before = everything(timed.call)

    for order in ((4, 3, 2, 1, 0), (2, 2, 1, 4, 3, 0), (0, 1, 2, 3, 4)):
        clock.now_ms += 1_000
        for index in order:
            again = timed.call(*sent[index])
            if sent[index][0] == "FinishStep":
                assert again == answers[index]

    assert everything(timed.call) == before


# The same key for something else


@pytest.mark.parametrize(
    "other",
    [
        {"name": "evaluate"},
        {"run": "tuesday"},
        {"pipeline": "other"},
        {"lr": 0.7},
        {"inputs": [used(digest="sha256:99")]},
        {"inputs": [used("other")]},
    ],
    ids=str,
)
@pytest.mark.parametrize("is_finished", [False, True])
def test_a_key_that_is_used_for_another_step_is_refused(
    other: dict[str, object], is_finished: bool, steps: Steps
) -> None:
    request = step()
    steps.begin(request)
    if is_finished:
        steps.finish(end(request))
    before = everything(steps.call)

    with pytest.raises(InvalidRequest) as refused:
        steps.begin(step(**other, key=request.key))

    assert str(refused.value) == (
        f"the key {request.key!r} is that of another attempt, at step 'train'; "
        "take a new one for each attempt"
    )
    assert everything(steps.call) == before


@pytest.mark.parametrize(
    "other",
    [
        {"state": pp.FAILED, "outputs": [made()]},
        {"error": "after all"},
        {"outputs": []},
        {"outputs": [made(digest="sha256:99")]},
        {"outputs": [made(uri="file:///elsewhere")]},
        {"outputs": [made(size_bytes=4)]},
        {"outputs": [made(type="Model")]},
        {"metrics": [pp.Metric(name="auc", value=0.8)]},
    ],
    ids=str,
)
def test_a_second_finish_that_says_something_else_is_refused(other: dict[str, object], steps: Steps) -> None:
    request = step()
    steps.begin(request)
    steps.finish(end(request))
    before = everything(steps.call)

    with pytest.raises(FailedPrecondition) as refused:
        steps.finish(end(request, **other))

    assert str(refused.value) == (
        f"step 'train' with the key {request.key!r} was finished before, as COMPLETE and not as this request "
        "has it; set amends to correct state and error"
    )
    assert everything(steps.call) == before


def test_an_amendment_that_is_sent_again(timed: Steps, clock: Clock) -> None:
    request = step()
    timed.begin(request)
    timed.finish(end(request))
    amendment = end(request, state=pp.FAILED, error="wrong", amends=True)

    first, second = sent_again(timed, clock, lambda: timed.finish(amendment))

    assert first == second
