"""BeginStep: HIT, RUN or WAIT, and why it is not a hit."""

import pytest
from pipelines.asking import Clock, Steps, end, end_as_hit, made, step, used

from headwater.v1 import pipelines_pb2 as pp

READ, WRITE, OFF = pp.CachePolicy.READ, pp.CachePolicy.WRITE, pp.CachePolicy.OFF


def test_a_step_that_was_never_done_runs(timed: Steps, clock: Clock) -> None:
    answer = timed.begin(step())

    token = answer.lease.token
    assert answer == pp.BeginStepResponse(
        decision=pp.RUN,
        fingerprint=answer.fingerprint,
        execution_id=1,
        attempt=1,
        lease=pp.Lease(token=token, duration_ms=60_000, expires_ms=clock.now_ms + 60_000),
        miss=pp.Miss(why=pp.Miss.NEVER_COMPLETED, text="not completed before in this pipeline"),
        pipeline_id=1,
        run_id=2,
        state=pp.RUNNING,
        input_artifact_ids=[1],
    )
    assert len(token) == 36
    assert answer.fingerprint.startswith("hw1:")


def test_a_step_that_was_done_is_a_hit_with_what_it_left(steps: Steps) -> None:
    model = made(
        size_bytes=9,
        stamp="etag",
        type="Model",
        description="the best",
        metrics={"auc": 0.9},
        custom_properties={"layers": {"int_value": 3}},
    )
    first = step()
    begun = steps.begin(first)
    finished = steps.finish(end(first, outputs=[made("report", uri=""), model]))

    answer = steps.begin(step(run="tuesday"))

    report_id, model_id = finished.artifact_ids
    model.artifact_id = model_id
    assert answer == pp.BeginStepResponse(
        decision=pp.HIT,
        fingerprint=begun.fingerprint,
        execution_id=begun.execution_id,
        outputs=[
            model,
            pp.StepOutput(name="report", artifact_id=report_id, type="Dataset", digest="sha256:02"),
        ],
        pipeline_id=begun.pipeline_id,
    )


def test_a_hit_that_is_not_taken_leaves_nothing(steps: Steps) -> None:
    steps.computed()

    steps.begin(step(run="tuesday"))

    assert len(steps.executions()) == 1


def test_a_step_that_another_computes_waits_for_it(timed: Steps, clock: Clock) -> None:
    first = timed.begin(step(worker="host:1"))
    clock.now_ms += 20_000

    answer = timed.begin(step(run="tuesday", worker="host:2"))

    assert answer == pp.BeginStepResponse(
        decision=pp.WAIT,
        fingerprint=first.fingerprint,
        execution_id=first.execution_id,
        holder=pp.Holder(
            worker="host:1",
            execution_id=first.execution_id,
            run_id=first.run_id,
            since_ms=clock.now_ms - 20_000,
            expires_ms=clock.now_ms + 40_000,
        ),
        retry_after_ms=2_000,
        pipeline_id=first.pipeline_id,
    )


@pytest.mark.parametrize(("waited_ms", "retry_ms"), [(0, 100), (4_000, 1_000), (59_500, 500), (59_990, 100)])
def test_who_waits_asks_again_soon_at_first_and_when_the_lease_ends(
    waited_ms: int, retry_ms: int, timed: Steps, clock: Clock
) -> None:
    timed.begin(step())
    clock.now_ms += waited_ms

    assert timed.begin(step()).retry_after_ms == retry_ms


def test_a_step_that_another_computed_meanwhile_is_a_hit(steps: Steps) -> None:
    first, second = step(), step(run="tuesday")
    begun = steps.begin(first)
    assert steps.begin(second).decision == pp.WAIT

    steps.finish(end(first))

    answer = steps.begin(second)
    assert (answer.decision, answer.execution_id) == (pp.HIT, begun.execution_id)


@pytest.mark.parametrize("state", [pp.FAILED, pp.CANCELED])
def test_a_step_that_did_not_complete_is_never_hit(state: "pp.State", steps: Steps) -> None:
    first = step()
    steps.begin(first)
    steps.finish(end(first, state=state, outputs=[made()]))

    answer = steps.begin(step())

    assert (answer.decision, answer.attempt) == (pp.RUN, 2)
    assert answer.miss == pp.Miss(why=pp.Miss.NEVER_COMPLETED, text="not completed before in this pipeline")


def test_a_hit_of_what_was_a_hit_is_of_the_original(steps: Steps) -> None:
    original = steps.computed(run="monday")
    for run in ("tuesday", "wednesday", "thursday"):
        request = step(run=run)
        hit = steps.begin(request)
        taken = steps.finish(end_as_hit(request, hit))

        assert hit.execution_id == original
        assert steps.state(taken.execution_id) == "CACHED"
        assert steps.execution(taken.execution_id).properties["cached_execution_id"].int_value == original
        assert steps.ends(taken.execution_id) == steps.ends(original)


# Misses


def test_a_step_with_another_parameter_says_which(steps: Steps) -> None:
    nearest = steps.computed(lr=0.1)

    assert steps.begin(step(lr=0.2)).miss == pp.Miss(
        why=pp.Miss.DIFFERS,
        text="parameter:lr changed from 0.1 to 0.2",
        nearest_execution_id=nearest,
        differences=[pp.ComponentDifference(component="parameter:lr", old="0.1", new="0.2")],
    )


def test_differences_are_told_in_the_order_of_causes_and_no_more_than_three_in_words(steps: Steps) -> None:
    steps.computed(
        components={"code": "sha256:" + "a" * 64, "salt": "1", "parameter:lr": "1", "output:model": "x"}
    )

    miss = steps.begin(
        step(
            components={"code": "sha256:" + "b" * 64, "parameter:lr": "2", "version": "2"},
            inputs=[used(digest="sha256:99")],
        )
    ).miss

    assert [one.component for one in miss.differences] == [
        "code",
        "version",
        "salt",
        "parameter:lr",
        "input:table",
        "output:model",
    ]
    assert miss.differences[1] == pp.ComponentDifference(component="version", new="2")
    assert miss.differences[2] == pp.ComponentDifference(component="salt", old="1")
    assert miss.text == (
        "code changed from sha256:aaaaaaaaaaaa… to sha256:bbbbbbbbbbbb…; version is new (2); "
        "salt is gone (was 1); 3 more components differ"
    )


def test_the_nearest_of_the_latest_executions_is_compared_with(steps: Steps) -> None:
    components = {"code": "1", "parameter:lr": "1", "parameter:depth": "1"}
    near = steps.computed(components=components)
    steps.computed(components={**components, "parameter:lr": "7", "parameter:depth": "7"})

    miss = steps.begin(step(components={**components, "parameter:lr": "2"})).miss

    assert miss.nearest_execution_id == near
    assert [one.component for one in miss.differences] == ["parameter:lr"]


def test_a_step_of_that_name_in_another_pipeline_is_hit_and_not_compared_with(steps: Steps) -> None:
    steps.computed(pipeline="other")

    assert steps.begin(step()).decision == pp.HIT
    assert steps.begin(step(lr=0.2)).miss.why == pp.Miss.NEVER_COMPLETED


def test_what_a_step_differs_from_may_have_been_a_hit_itself(steps: Steps) -> None:
    steps.computed(pipeline="other")
    request = step()
    taken = steps.finish(end_as_hit(request, steps.begin(request)))

    miss = steps.begin(step(lr=0.2)).miss

    assert (miss.why, miss.nearest_execution_id) == (pp.Miss.DIFFERS, taken.execution_id)


def test_an_entry_that_is_too_old_is_a_miss_and_named(timed: Steps, clock: Clock) -> None:
    equal = timed.computed(lr=0.1)
    timed.computed(lr=0.2)
    clock.now_ms += 5_000

    assert timed.begin(step(max_age_ms=5_000)).decision == pp.HIT
    clock.now_ms += 1
    answer = timed.begin(step(max_age_ms=5_000))

    assert answer.decision == pp.RUN
    assert answer.miss == pp.Miss(
        why=pp.Miss.TOO_OLD, text="done before, but longer ago than 5 s", nearest_execution_id=equal
    )


def test_an_age_counts_from_the_end_and_an_older_execution_may_have_ended_later(
    timed: Steps, clock: Clock
) -> None:
    slow, quick = step(), step(never_waits=True)
    slow_id = timed.begin(slow).execution_id
    timed.begin(quick)
    timed.finish(end(quick))
    clock.now_ms += 10_000
    timed.finish(end(slow))

    answer = timed.begin(step(max_age_ms=5_000))

    assert (answer.decision, answer.execution_id) == (pp.HIT, slow_id)


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (step(components={}), "no components were given"),
        (
            step(inputs=[used(digest="")]),
            "input 'table' has neither digest nor component, so nobody knows whether it changed",
        ),
    ],
    ids=["no components", "an input of unknown content"],
)
def test_a_step_without_fingerprint_always_runs(
    request_: pp.BeginStepRequest, text: str, steps: Steps
) -> None:
    for attempt in (1, 2):
        request = pp.BeginStepRequest()
        request.CopyFrom(request_)
        request.key = f"attempt {attempt}"
        answer = steps.begin(request)

        assert (answer.decision, answer.attempt, answer.fingerprint) == (pp.RUN, attempt, "")
        assert answer.miss == pp.Miss(why=pp.Miss.NO_FINGERPRINT, text=f"no fingerprint: {text}")
        steps.finish(end(request))


def test_an_input_in_memory_counts_by_what_made_it(steps: Steps) -> None:
    maker = step("prepare", inputs=[])
    by = steps.begin(maker).fingerprint
    made_id = steps.finish(end(maker, outputs=[pp.StepOutput(name="frame")])).artifact_ids[0]
    inputs = [pp.StepInput(name="frame", artifact_id=made_id, component=f"made:{by}#frame")]
    steps.computed(inputs=inputs)

    assert steps.begin(step(inputs=inputs, run="tuesday")).decision == pp.HIT


def test_an_output_without_digest_is_not_reusable(steps: Steps) -> None:
    nearest = steps.computed(outputs=[made(), made("log", digest="")])

    answer = steps.begin(step())

    assert answer.decision == pp.RUN
    assert answer.miss == pp.Miss(
        why=pp.Miss.NOT_REUSABLE,
        text=f"done before by execution {nearest}, which left nothing that can be reused",
        nearest_execution_id=nearest,
    )


def test_what_left_something_in_memory_is_a_hit(steps: Steps) -> None:
    first = steps.computed(outputs=[pp.StepOutput(name="frame")])

    answer = steps.begin(step(run="tuesday"))

    assert (answer.decision, answer.execution_id) == (pp.HIT, first)


def test_what_left_nothing_runs_again(steps: Steps) -> None:
    first = steps.computed(outputs=[])

    answer = steps.begin(step(run="tuesday"))

    assert answer.decision == pp.RUN
    assert answer.miss == pp.Miss(
        why=pp.Miss.NOT_REUSABLE,
        text=f"done before by execution {first}, which left nothing that can be reused",
        nearest_execution_id=first,
    )


# Policies


def test_a_step_whose_cache_is_off_runs_and_is_not_hit(steps: Steps) -> None:
    steps.computed()

    answer = steps.begin(step(mode=OFF))
    assert answer.decision == pp.RUN
    assert answer.miss == pp.Miss(why=pp.Miss.POLICY, text="its cache policy is to run always")

    off = steps.computed(lr=0.5, mode=OFF)
    after = steps.begin(step(lr=0.5))
    assert (after.decision, after.miss.why) == (pp.RUN, pp.Miss.NOT_REUSABLE)
    assert after.miss.nearest_execution_id == off


def test_a_step_that_only_reads_hits_and_is_not_hit(steps: Steps) -> None:
    steps.computed(lr=0.5, mode=READ)
    assert steps.begin(step(lr=0.5, run="tuesday")).decision == pp.RUN

    steps.computed(lr=0.1)
    assert steps.begin(step(lr=0.1, mode=READ)).decision == pp.HIT


def test_a_step_that_only_writes_runs_and_is_hit_by_others(steps: Steps) -> None:
    steps.computed()
    second = steps.computed(mode=WRITE, run="tuesday")

    answer = steps.begin(step(run="wednesday"))

    assert (answer.decision, answer.execution_id) == (pp.HIT, second)


@pytest.mark.parametrize("mode", [OFF, READ])
def test_nobody_waits_for_what_nobody_may_hit(mode: "pp.CachePolicy.Mode", steps: Steps) -> None:
    steps.begin(step(mode=mode))

    assert steps.begin(step()).decision == pp.RUN


def test_one_who_only_reads_waits_for_one_who_writes(steps: Steps) -> None:
    steps.begin(step())

    assert steps.begin(step(mode=READ)).decision == pp.WAIT


@pytest.mark.parametrize("policy", [{"never_waits": True}, {"mode": WRITE}, {"mode": OFF}], ids=str)
def test_one_who_does_not_wait_runs_beside_the_other(policy: dict[str, object], steps: Steps) -> None:
    first, second = step(), step(**policy)
    steps.begin(first)

    answer = steps.begin(second)
    assert answer.decision == pp.RUN

    for request in (second, first):
        assert not steps.finish(end(request)).lease_was_lost
    assert steps.begin(step(run="tuesday")).decision == pp.HIT


def test_another_salt_makes_another_step(steps: Steps) -> None:
    steps.computed()

    salted = step(components={**step().components, "salt": "again"})

    assert steps.begin(salted).miss.text == "salt is new (again)"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"cache": pp.CachePolicy(mode=OFF, reason="it has no outputs")}, pp.Miss.POLICY),
        ({"cache": pp.CachePolicy(reason="it has no outputs"), "components": {}}, pp.Miss.NO_FINGERPRINT),
    ],
    ids=["a policy to run always", "no fingerprint"],
)
def test_the_reason_of_a_policy_is_told_where_the_policy_decides(
    more: dict[str, object], why: "pp.Miss.Why", steps: Steps
) -> None:
    answer = steps.begin(step(**more))

    assert (answer.decision, answer.miss) == (pp.RUN, pp.Miss(why=why, text="it has no outputs"))
    assert steps.execution(answer.execution_id).properties["why"].string_value == "it has no outputs"


def test_the_reason_of_a_policy_is_not_told_where_something_else_decides(steps: Steps) -> None:
    answer = steps.begin(step(cache=pp.CachePolicy(mode=READ, reason="it is a trial")))

    assert answer.miss.why == pp.Miss.NEVER_COMPLETED
    assert answer.miss.text == "not completed before in this pipeline"


# Refused hits


def refusal(
    execution_id: int, reason: str = "output 'model' is missing from file:///out/model"
) -> pp.RefusedHit:
    return pp.RefusedHit(execution_id=execution_id, artifact_id=2, reason=reason)


def test_a_refused_hit_is_invalidated_and_the_step_runs(steps: Steps) -> None:
    broken = steps.computed()

    answer = steps.begin(step(run="tuesday", refused=[refusal(broken)]))

    assert answer.decision == pp.RUN
    assert answer.miss == pp.Miss(
        why=pp.Miss.INVALIDATED,
        text="done before, but output 'model' is missing from file:///out/model",
        nearest_execution_id=broken,
    )
    assert steps.execution(answer.execution_id).properties["why"].string_value == answer.miss.text
    assert steps.state(broken) == "COMPLETE"


def test_a_refused_hit_that_stays_fit_is_none_for_the_caller_and_one_for_others(steps: Steps) -> None:
    fit = steps.computed()
    refused = pp.RefusedHit(execution_id=fit, reason="this copy of it is another", stays_fit=True)
    request = step(run="tuesday", refused=[refused])

    answer = steps.begin(request)

    assert answer.decision == pp.RUN
    assert answer.miss == pp.Miss(
        why=pp.Miss.INVALIDATED,
        text="done before, but this copy of it is another",
        nearest_execution_id=fit,
    )
    other = steps.begin(step(run="wednesday"))
    assert (other.decision, other.execution_id) == (pp.HIT, fit)


def test_who_comes_later_is_told_why_a_hit_was_refused_and_hits_the_next(steps: Steps) -> None:
    broken = steps.computed()
    second = step(refused=[refusal(broken)])
    steps.begin(second)
    steps.finish(end(second, state=pp.FAILED))

    third = step()
    answer = steps.begin(third)
    assert (answer.decision, answer.miss.why, answer.miss.nearest_execution_id) == (
        pp.RUN,
        pp.Miss.INVALIDATED,
        broken,
    )
    assert answer.miss.text == "done before, but output 'model' is missing from file:///out/model"
    steps.finish(end(third))

    last = steps.begin(step())
    assert (last.decision, last.execution_id) == (pp.HIT, answer.execution_id)


def test_the_reason_is_told_although_hits_came_after_it(steps: Steps) -> None:
    broken = steps.computed()
    for run in ("a", "b", "c", "d"):
        request = step(run=run)
        steps.finish(end_as_hit(request, steps.begin(request)))
    second = step(refused=[refusal(broken)])
    steps.begin(second)
    steps.finish(end(second, state=pp.FAILED))

    miss = steps.begin(step()).miss

    assert miss.why == pp.Miss.INVALIDATED
    assert miss.text == "done before, but output 'model' is missing from file:///out/model"


def test_an_older_equal_entry_is_offered_where_there_is_one(steps: Steps) -> None:
    first = steps.computed()
    second = steps.computed(mode=WRITE)
    assert steps.begin(step()).execution_id == second

    answer = steps.begin(step(refused=[refusal(second)]))

    assert (answer.decision, answer.execution_id) == (pp.HIT, first)
    assert steps.begin(step()).execution_id == first


def test_a_hit_is_refused_while_another_computes_the_same(steps: Steps) -> None:
    broken = steps.computed()
    steps.begin(step(mode=WRITE))

    assert steps.begin(step(refused=[refusal(broken)])).decision == pp.WAIT
    assert steps.begin(step()).decision == pp.WAIT


def test_nobody_refuses_what_was_not_offered(steps: Steps) -> None:
    other = steps.computed(lr=0.5)
    running = steps.begin(step(lr=0.7)).execution_id

    steps.begin(step(refused=[refusal(other), refusal(running), refusal(999)]))

    assert steps.begin(step(lr=0.5)).decision == pp.HIT


def test_a_reason_need_not_be_given(steps: Steps) -> None:
    broken = steps.computed()

    assert steps.begin(step(refused=[pp.RefusedHit(execution_id=broken)])).miss.text == (
        "done before, but its outputs are not what they were"
    )


# Inputs


def test_several_artifacts_of_one_parameter_and_one_artifact_under_two_names(steps: Steps) -> None:
    inputs = [
        used("parts[1]", digest="sha256:b"),
        used("parts[0]", digest="sha256:a"),
        used("again", uri="file:///data/parts[1]", digest="sha256:b"),
    ]

    answer = steps.begin(step(inputs=inputs))

    one, two, three = answer.input_artifact_ids
    assert one == three != two
    assert steps.ends(answer.execution_id) == {"INPUT": [(("parts[0]",), two), (("parts[1]", "again"), one)]}


def test_an_input_that_is_named_by_its_artifact_is_that_artifact(steps: Steps) -> None:
    first = step("prepare")
    steps.begin(first)
    (artifact_id,) = steps.finish(end(first)).artifact_ids

    answer = steps.begin(
        step(inputs=[pp.StepInput(name="table", artifact_id=artifact_id, digest="sha256:02")])
    )

    assert list(answer.input_artifact_ids) == [artifact_id]


def test_a_second_attempt_at_a_step_has_the_next_number(steps: Steps) -> None:
    names = []
    for attempt in range(1, 8):
        request = step()
        answer = steps.begin(request)
        assert answer.attempt == attempt
        steps.finish(end(request, state=pp.FAILED))
        names.append(steps.execution(answer.execution_id).name)

    assert names == ["churn/monday/train", *(f"churn/monday/train#{number}" for number in range(2, 8))]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"run": "a", "name": "b/c"}, {"run": "a/b", "name": "c"}),
        ({"run": "a", "name": "b#2"}, {"run": "a", "name": "b"}),
        ({"run": "a", "name": "Train"}, {"run": "a", "name": "train"}),
        ({"run": "r" * 140, "name": "s" * 200}, {"run": "r" * 140, "name": "s" * 199 + "t"}),
        ({"run": "r" * 138 + "é", "name": "🌊" * 50}, {"run": "r" * 138 + "ê", "name": "🌊" * 50}),
    ],
    ids=["slashes", "numbers", "case", "long", "unicode"],
)
def test_names_that_look_alike_are_told_apart(
    one: dict[str, str], other: dict[str, str], steps: Steps
) -> None:
    for given in (one, other):
        for attempt in (1, 2):
            request = step(mode=OFF, **given)
            assert steps.begin(request).attempt == attempt
            steps.finish(end(request, outputs=[made("o" * 200), made("o" * 199 + "p"), made("a/b")]))

    executions = steps.executions()
    assert len({execution.name for execution in executions}) == 4
    assert max(len(execution.name.encode()) for execution in executions) <= 255


def test_outputs_whose_names_have_slashes_are_told_apart(steps: Steps) -> None:
    steps.computed("s", outputs=[made("x/y")])
    steps.computed("s/x", outputs=[made("y")])

    assert len(steps.executions()) == 2


def test_why_an_equal_execution_is_unfit_is_known_however_many_came_after(steps: Steps) -> None:
    first = steps.computed(lr=0)
    for number in range(1, 6):
        steps.computed(run=f"run {number}", lr=number)
    reason = "the rows were wrong"
    steps.call("InvalidateSteps", pp.InvalidateStepsRequest(execution_ids=[first], reason=reason))

    miss = steps.begin(step(run="tuesday", lr=0)).miss

    assert (miss.why, miss.text) == (pp.Miss.INVALIDATED, "done before, but the rows were wrong")
    assert miss.nearest_execution_id == first
