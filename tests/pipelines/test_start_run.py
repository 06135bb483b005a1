"""StartRun and FinishRun."""

import pytest
from pipelines.asking import Clock, Steps, end, everything, packed_struct, step

from headwater.client.values import to_value
from headwater.errors import FailedPrecondition, InvalidRequest, NotFound
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc
from headwater.v1 import pipelines_pb2 as pp

FACTS = {
    "parameters": {"lr": to_value(0.1), "name": to_value("a"), "nested": to_value({"a": [1, 2]})},
    "code": pp.CodeVersion(
        repository="https://git.example/a", commit="abc", is_dirty=False, source_digest="d"
    ),
    "environment": pp.Environment(
        python="3.11.7",
        platform="Linux",
        lock_file_digest="sha256:l",
        container_image="img",
        other={"cuda": "12"},
    ),
    "trigger": "airflow",
    "owner": "ann",
    "description": "nightly",
    "tags": {"team": "red"},
    "steps": [
        pp.StartRunRequest.PlannedStep(step="prepare"),
        pp.StartRunRequest.PlannedStep(step="train", after=["prepare"]),
    ],
    "custom_properties": {"note": to_value("x")},
}


def test_a_run_is_a_context_below_that_of_its_pipeline(timed: Steps, clock: Clock) -> None:
    answer = timed.start(**FACTS)

    assert answer == pp.StartRunResponse(run_id=2, pipeline_id=1)
    pipeline, run = timed.context(1), timed.context(2)
    times = {"create_time_since_epoch": clock.now_ms, "last_update_time_since_epoch": clock.now_ms}
    assert pipeline == pb.Context(
        id=1, type_id=pipeline.type_id, type="headwater.Pipeline", name="churn", **times
    )
    assert run == pb.Context(
        id=2,
        type_id=run.type_id,
        type="headwater.Run",
        name="churn/monday",
        properties={
            "pipeline": to_value("churn"),
            "run": to_value("monday"),
            "state": to_value("RUNNING"),
            "start_ms": to_value(clock.now_ms),
            "owner": to_value("ann"),
            "trigger": to_value("airflow"),
            "description": to_value("nightly"),
            "commit": to_value("abc"),
            "code": to_value(
                {
                    "repository": "https://git.example/a",
                    "commit": "abc",
                    "is_dirty": False,
                    "source_digest": "d",
                }
            ),
            "environment": to_value(
                {
                    "python": "3.11.7",
                    "platform": "Linux",
                    "lock_file_digest": "sha256:l",
                    "container_image": "img",
                    "cuda": "12",
                }
            ),
            "steps": packed_struct(
                {"steps": [{"step": "prepare", "after": []}, {"step": "train", "after": ["prepare"]}]}
            ),
        },
        custom_properties={
            "parameter.lr": to_value(0.1),
            "parameter.name": to_value("a"),
            "parameter.nested": to_value({"a": [1, 2]}),
            "tag.team": to_value("red"),
            "note": to_value("x"),
        },
        **times,
    )
    parents = timed.call("GetParentContextsByContext", rpc.GetParentContextsByContextRequest(context_id=2))
    assert list(parents.contexts) == [pipeline]


def test_the_same_run_again_is_the_same_and_changes_nothing(timed: Steps, clock: Clock) -> None:
    first = timed.start(**FACTS)
    before = everything(timed.call)
    clock.now_ms += 5

    again = timed.start(**FACTS)

    assert again == pp.StartRunResponse(run_id=first.run_id, pipeline_id=first.pipeline_id, existed=True)
    assert everything(timed.call) == before


def test_a_run_that_its_first_step_made_is_described_later(steps: Steps) -> None:
    begun = steps.begin(step())

    started = steps.start(**FACTS)

    assert started == pp.StartRunResponse(run_id=begun.run_id, pipeline_id=begun.pipeline_id, existed=True)
    described = steps.context(begun.run_id)
    assert described.properties["owner"].string_value == "ann"
    assert described.custom_properties["parameter.lr"].double_value == 0.1


def test_many_runs_of_a_pipeline_and_of_others(steps: Steps) -> None:
    for pipeline in ("churn", "other"):
        for run in ("a", "b"):
            steps.call("StartRun", pp.StartRunRequest(pipeline=pipeline, run=run))

    names = [one.name for one in steps.call("GetContexts", rpc.GetContextsRequest()).contexts]
    assert sorted(names) == ["churn", "churn/a", "churn/b", "other", "other/a", "other/b"]


def test_a_run_is_part_of_another(steps: Steps) -> None:
    for _ in range(2):
        child = steps.start("child", parent=pp.RunName(pipeline="whole", run="monday"))

        parents = steps.call(
            "GetParentContextsByContext", rpc.GetParentContextsByContextRequest(context_id=child.run_id)
        ).contexts
        assert {one.name for one in parents} == {"churn", "whole/monday"}


def test_runs_are_not_part_of_each_other(steps: Steps) -> None:
    steps.start("a", parent=pp.RunName(pipeline="churn", run="b"))
    before = everything(steps.call)

    with pytest.raises(InvalidRequest, match="cannot be a parent of context"):
        steps.start("b", parent=pp.RunName(pipeline="churn", run="a"))
    with pytest.raises(InvalidRequest, match="the run 'a' cannot be its own parent"):
        steps.start("a", parent=pp.RunName(pipeline="churn", run="a"))
    assert everything(steps.call) == before


@pytest.mark.parametrize("state", [pp.COMPLETE, pp.FAILED, pp.CANCELED])
def test_a_run_is_closed_and_again_is_the_same(state: "pp.State", timed: Steps, clock: Clock) -> None:
    run = timed.start(worker="host:1")
    clock.now_ms += 7_000

    timed.finish_run(state=state, error="why")
    before = everything(timed.call)
    clock.now_ms += 1

    assert timed.finish_run(state=state, error="why").run_id == run.run_id
    assert everything(timed.call) == before
    properties = timed.context(run.run_id).properties
    assert properties["state"].string_value == pp.State.Name(state)
    assert properties["error"].string_value == "why"
    assert properties["end_ms"].int_value - properties["start_ms"].int_value == 7_000
    assert list(timed.renew(run.lease.token).lost_tokens) == [run.lease.token]


def test_a_run_is_not_closed_as_something_else(steps: Steps) -> None:
    steps.start()
    steps.finish_run(state=pp.COMPLETE)

    with pytest.raises(FailedPrecondition) as refused:
        steps.finish_run(state=pp.FAILED)

    assert str(refused.value) == (
        "run 'monday' of pipeline 'churn' is COMPLETE already, and not FAILED; "
        "open it again with StartRun's reopens"
    )


@pytest.mark.parametrize("error", ["the machine is gone", "x" * 3_000, ""], ids=["short", "long", "none"])
def test_a_run_that_ends_its_steps_fails_those_that_are_open(error: str, timed: Steps, clock: Clock) -> None:
    run = timed.start(worker="host:1")
    done = timed.computed("done")
    open_ = [
        timed.begin(step("a")),
        timed.begin(step("b", components={})),
        timed.begin(step("c", lease_ms=1)),
    ]
    elsewhere = timed.begin(step("a", run="tuesday", lr=2))
    clock.now_ms += 500

    answer = timed.finish_run(state=pp.FAILED, error=error, ends_steps=True, is_gone=True)

    assert answer.run_id == run.run_id
    assert sorted(answer.execution_ids) == [one.execution_id for one in open_]
    for one in open_:
        properties = timed.execution(one.execution_id).properties
        assert timed.state(one.execution_id) == "FAILED"
        assert properties["end_ms"].int_value == clock.now_ms
        (told,) = timed.call("ListSteps", pp.ListStepsRequest(execution_ids=[one.execution_id])).steps
        assert told.error == (error or "its run ended before it was finished")
    assert (timed.state(done), timed.state(elsewhere.execution_id)) == ("COMPLETE", "RUNNING")
    tokens = [one.lease.token for one in open_]
    assert sorted(timed.renew(*tokens, elsewhere.lease.token).lost_tokens) == sorted(tokens)
    assert timed.begin(step("a", run="wednesday")).decision == pp.RUN


@pytest.mark.parametrize("state", [pp.FAILED, pp.CANCELED], ids=pp.State.Name)
def test_a_run_that_fails_ends_what_its_workers_left_open_and_keeps_its_own_error(
    state: "pp.State.ValueType", steps: Steps
) -> None:
    steps.start(worker="host:1")
    begun, late = step("a"), step("b", lr=2)
    open_ = [steps.begin(one) for one in (begun, late)]

    answer = steps.finish_run(state=state, error="ValueError: no", ends_steps=True)

    assert sorted(answer.execution_ids) == [one.execution_id for one in open_]
    told = steps.call("ListSteps", pp.ListStepsRequest(execution_ids=answer.execution_ids)).steps
    assert {one.error for one in told} == {"its run ended before it was finished"}
    (run,) = steps.call("ListRuns", pp.ListRunsRequest()).runs
    assert (run.state, run.error) == (state, "ValueError: no")
    assert steps.begin(step("a", run="tuesday")).decision == pp.RUN
    # What a worker that was not killed says all the same counts.
    assert steps.finish(end(late)).lease_was_lost
    assert steps.begin(step("b", run="tuesday", lr=2)).decision == pp.HIT


def test_a_run_that_is_complete_does_not_end_steps(steps: Steps) -> None:
    begun = steps.begin(step())

    with pytest.raises(InvalidRequest, match="a run that is COMPLETE does not end its steps"):
        steps.finish_run(state=pp.COMPLETE, ends_steps=True)

    assert steps.state(begun.execution_id) == "RUNNING"


@pytest.mark.parametrize("state", [pp.COMPLETE, pp.FAILED, pp.CANCELED], ids=pp.State.Name)
def test_nobody_waits_for_a_step_whose_run_was_closed(state: "pp.State.ValueType", steps: Steps) -> None:
    left = step()
    begun = steps.begin(left)
    assert steps.begin(step(run="tuesday")).decision == pp.WAIT
    steps.finish_run(state=state)

    (would,) = steps.look_up(step(run="tuesday"))
    explained = steps.call("ExplainStep", pp.ExplainStepRequest(step=step(run="tuesday")))
    answer = steps.begin(step(run="tuesday"))

    assert would.decision == explained.decision == answer.decision == pp.RUN
    assert answer.miss.why == pp.Miss.NEVER_COMPLETED
    assert steps.state(begun.execution_id) == "RUNNING"
    steps.finish(end(left))
    assert steps.begin(step(run="wednesday")).execution_id == begun.execution_id


def test_a_run_that_is_closed_already_ends_the_steps_that_are_open_once(steps: Steps) -> None:
    begun = steps.begin(step())
    assert not steps.finish_run(state=pp.FAILED, error="why").execution_ids
    assert steps.state(begun.execution_id) == "RUNNING"

    again = [steps.finish_run(state=pp.FAILED, error="why", ends_steps=True) for _ in range(2)]

    assert [list(one.execution_ids) for one in again] == [[begun.execution_id], []]
    assert steps.state(begun.execution_id) == "FAILED"


def test_a_run_that_is_not_there_is_not_closed(steps: Steps) -> None:
    with pytest.raises(NotFound) as refused:
        steps.finish_run(state=pp.COMPLETE)

    assert str(refused.value) == "pipeline 'churn' has no run 'monday'; call StartRun first"


def test_a_closed_run_is_opened_again_only_where_that_is_asked_for(timed: Steps, clock: Clock) -> None:
    run = timed.start(worker="host:1", **FACTS)
    timed.finish_run(state=pp.FAILED, error="broken")

    with pytest.raises(FailedPrecondition) as refused:
        timed.start()
    assert str(refused.value) == (
        "run 'monday' of pipeline 'churn' is FAILED; resume it (reopens), or choose another name"
    )

    clock.now_ms += 1_000
    again = timed.start(worker="host:2", reopens=True)
    assert (again.run_id, again.existed) == (run.run_id, True)
    assert again.lease.token != run.lease.token
    opened = timed.context(run.run_id)
    assert opened.properties["state"].string_value == "RUNNING"
    assert {"error", "end_ms"}.isdisjoint(opened.properties)
    assert opened.properties["start_ms"].int_value == clock.now_ms - 1_000
    assert opened.properties["owner"].string_value == "ann"
    timed.finish_run(state=pp.COMPLETE)
    assert timed.run_state(run.run_id) == "COMPLETE"


def test_times_of_the_caller_are_kept(steps: Steps) -> None:
    run = steps.start(start_ms=5_000)
    steps.finish_run(state=pp.COMPLETE, end_ms=4_000)

    properties = steps.context(run.run_id).properties
    assert (properties["start_ms"].int_value, properties["end_ms"].int_value) == (5_000, 5_000)


def test_names_of_other_scripts_and_of_any_length_that_is_allowed(steps: Steps) -> None:
    for pipeline, run in (("p" * 100, "r" * 140), ("Ünïcode 🌊", "日本語/2024-01-01T00:00:00+00:00")):
        request = pp.StartRunRequest(pipeline=pipeline, run=run)
        run_id = steps.call("StartRun", request).run_id

        assert steps.context(run_id).name == f"{pipeline}/{run}"
        assert steps.call("StartRun", request).run_id == run_id
