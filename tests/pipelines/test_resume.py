"""PlanResume: what is done, what runs, what waits, and why."""

from collections.abc import Iterator

import pytest
from pipelines.recorded import Clock, Recorded
from support import Call

from headwater.errors import NotFound
from headwater.storage.database import Database
from headwater.storage.opening import open_database
from headwater.v1 import pipelines_pb2 as pp

DONE, TO_RUN, BLOCKED = "DONE", "TO_RUN", "BLOCKED"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(store_url: str, clock: Clock) -> Iterator[Database]:
    """An empty store whose time stands still."""
    database = open_database(store_url, private=store_url == "sqlite://", clock=lambda: clock.now_ms)
    yield database
    database.close()


@pytest.fixture
def churn(call: Call) -> Recorded:
    return Recorded(call)


def plan(churn: Recorded, run: str) -> list[tuple[str, str, str, list[str]]]:
    """Step, plan, why, blocked by."""
    answer = churn.call("PlanResume", pp.PlanResumeRequest(pipeline=churn.pipeline, run=run))
    return [
        (one.step, pp.PlanResumeResponse.StepPlan.Plan.Name(one.plan), one.why, list(one.blocked_by))
        for one in answer.steps
    ]


def test_what_is_done_stays_done_and_what_follows_a_failure_waits(churn):
    churn.start(
        "monday", steps={"load": [], "train": ["load"], "evaluate": ["train"], "report": ["evaluate"]}
    )
    load = churn.step("monday", "load")
    churn.step(
        "monday",
        "train",
        state=pp.FAILED,
        inputs={"table": load.artifact_ids[0]},
        error="Traceback (most recent call last):\n  ...\nMemoryError: 3 GB\n",
    )

    assert plan(churn, "monday") == [
        ("load", DONE, "it is complete", []),
        ("train", TO_RUN, "it failed: MemoryError: 3 GB", []),
        ("evaluate", BLOCKED, "it never began, and it needs the outputs of 'train' first", ["train"]),
        ("report", BLOCKED, "it never began, and it needs the outputs of 'evaluate' first", ["evaluate"]),
    ]


def test_done_steps_show_their_outputs_to_be_looked_at(churn):
    load = churn.step("monday", "load", outputs=["b", "a"])

    answer = churn.call("PlanResume", pp.PlanResumeRequest(pipeline="churn", run="monday"))

    assert answer.run_id == load.run_id
    (step,) = answer.steps
    assert step.execution_id == load.execution_id
    assert list(step.outputs) == [
        pp.StepOutput(
            name=name,
            artifact_id=artifact_id,
            type="Dataset",
            uri=f"file:///out/{load.execution_id}/{name}",
            digest=f"sha256:{load.execution_id}-{name}",
            size_bytes=5,
        )
        for name, artifact_id in sorted(zip(["b", "a"], load.artifact_ids, strict=True))
    ]


def test_the_newest_attempt_counts(churn):
    churn.step("monday", "a", state=pp.FAILED)
    churn.step("monday", "b", state=pp.CANCELED)
    churn.step("monday", "a")

    assert plan(churn, "monday") == [
        ("a", DONE, "it is complete", []),
        ("b", TO_RUN, "it was canceled", []),
    ]


def test_hits_are_done_and_lead_to_what_uses_them(churn):
    first = churn.step("sunday", "load")
    churn.step("monday", "load")
    churn.step("monday", "train", inputs={"table": first.artifact_ids[0]}, code="2", state=pp.FAILED)

    assert plan(churn, "monday") == [
        ("load", DONE, f"it reuses the outputs of execution {first.execution_id}", []),
        ("train", TO_RUN, "it failed", []),
    ]


def test_what_was_invalidated_runs_again_and_those_that_use_it_wait(churn):
    first = churn.step("sunday", "load")
    churn.step("monday", "load")
    churn.step("monday", "train", inputs={"table": first.artifact_ids[0]}, code="2")
    churn.call(
        "InvalidateSteps", pp.InvalidateStepsRequest(execution_ids=[first.execution_id], reason="bad source")
    )

    assert plan(churn, "monday") == [
        ("load", TO_RUN, "it was done, but bad source", []),
        ("train", BLOCKED, "it is complete, but what it uses of 'load' may change", ["load"]),
    ]


def test_who_works_at_a_step_is_waited_for_until_nothing_is_heard(clock, churn):
    churn.start("monday", steps={"load": [], "train": ["load"]})
    churn.begin("monday", "load")

    assert plan(churn, "monday") == [
        ("load", BLOCKED, "host:1 is computing it now", []),
        ("train", BLOCKED, "it never began, and it needs the outputs of 'load' first", ["load"]),
    ]
    clock.now_ms += 60_001
    assert plan(churn, "monday")[0] == (
        "load",
        TO_RUN,
        "it began, and whoever computed it was not heard of any more",
        [],
    )


def test_a_run_of_unknown_steps_is_compared_with_the_latest_complete_one(churn):
    for place, run in enumerate(["old", "sunday"]):
        churn.start(run, start_ms=1000 + place)
        load = churn.step(run, "load", code=run)
        train = churn.step(run, "train", code=run, inputs={"table": load.artifact_ids[0]})
        if run == "old":
            churn.step(run, "gone", code=run)
        churn.step(run, "report", code=run, inputs={"model": train.artifact_ids[0]})
        churn.finish_run(run)
    churn.start("later", start_ms=2000)
    churn.step("later", "other", code="9")
    churn.start("monday", start_ms=1500)
    churn.step("monday", "load", code="5", state=pp.FAILED)

    assert plan(churn, "monday") == [
        ("load", TO_RUN, "it failed", []),
        ("train", BLOCKED, "it never began, and it needs the outputs of 'load' first", ["load"]),
        ("report", BLOCKED, "it never began, and it needs the outputs of 'train' first", ["train"]),
    ]
    assert [(step, what) for step, what, _, _ in plan(churn, "sunday")] == [
        ("load", DONE),
        ("train", DONE),
        ("report", DONE),
    ]


def test_steps_that_need_each_other_wait_for_ever_and_say_for_whom(churn):
    churn.start("monday", steps={"a": ["b"], "b": ["a"], "c": ["a", "b", "d", "e", "f"]})

    assert plan(churn, "monday") == [
        ("b", BLOCKED, "it never began, and it needs the outputs of 'a' first", ["a"]),
        ("a", BLOCKED, "it never began, and it needs the outputs of 'b' first", ["b"]),
        ("d", TO_RUN, "it never began", []),
        ("e", TO_RUN, "it never began", []),
        ("f", TO_RUN, "it never began", []),
        (
            "c",
            BLOCKED,
            "it never began, and it needs the outputs of 'b', 'a', 'd' and 2 more first",
            ["b", "a", "d", "e", "f"],
        ),
    ]


def test_an_empty_run_has_nothing_to_do(churn):
    churn.start("monday")

    assert plan(churn, "monday") == []


@pytest.mark.backends("sqlite")
def test_a_run_that_is_not_there_cannot_be_resumed(churn):
    for _ in range(2):
        with pytest.raises(NotFound, match="pipeline 'churn' has no run 'monday' that could be resumed"):
            plan(churn, "monday")
        churn.start("sunday")


@pytest.mark.backends("sqlite")
def test_ten_thousand_steps_in_one_run_are_planned_and_listed(churn):
    table = churn.step("monday", "load").artifact_ids[0]
    for number in range(10_000):
        begin = churn.asked("monday", f"train[{number}]", inputs={"table": table})
        state = pp.FAILED if number % 10 else pp.COMPLETE
        made = [pp.StepOutput(name="model", uri=f"file:///{number}", digest="sha256:a")]
        outputs = made if state == pp.COMPLETE else []
        request = pp.FinishStepRequest(key=begin.key, begin=begin, state=state, outputs=outputs)
        churn.call("FinishStep", request)

    planned = plan(churn, "monday")
    run = churn.call("GetRun", pp.GetRunRequest(pipeline="churn", run="monday")).run

    assert len(planned) == 10_001
    assert [what for _, what, _, _ in planned[:4]] == [DONE, DONE, TO_RUN, TO_RUN]
    assert dict(run.steps) == {"COMPLETE": 1_001, "FAILED": 9_000}
    answer = churn.call("ListSteps", pp.ListStepsRequest(run_id=run.run_id, page_size=1_000))
    assert len(answer.steps) == 1_000
