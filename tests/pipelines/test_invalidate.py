"""InvalidateSteps: which executions can no longer be hit, and why."""

import pytest
from pipelines.recorded import Recorded
from support import Call

from headwater.errors import InvalidRequest, NotFound
from headwater.v1 import pipelines_pb2 as pp


@pytest.fixture
def churn(call: Call) -> Recorded:
    return Recorded(call)


def invalidate(churn: Recorded, **more: object) -> list[int]:
    """The executions that can no longer be hit."""
    answer = churn.call("InvalidateSteps", pp.InvalidateStepsRequest(**more))
    assert answer.count == len(answer.execution_ids)
    return list(answer.execution_ids)


def unfit(churn: Recorded, *execution_ids: int) -> list[str]:
    answer = churn.call("ListSteps", pp.ListStepsRequest(execution_ids=execution_ids))
    return [step.unfit for step in answer.steps]


def test_an_invalidated_step_runs_again_and_what_it_then_makes_is_hit(churn):
    first = churn.step("monday", "train")
    assert invalidate(churn, pipeline="churn", step="train") == [first.execution_id]

    _, begun = churn.begin("tuesday", "train")

    assert begun.decision == pp.RUN
    assert begun.miss.text == "done before, but it was invalidated by step 'train', pipeline 'churn'"
    assert invalidate(churn, pipeline="churn", step="train") == []


def test_all_conditions_must_be_met(churn):
    monday = churn.step("monday", "train", code="1", end_ms=1_000, start_ms=1)
    tuesday = churn.step("tuesday", "train", code="2", end_ms=2_000, start_ms=1)
    load = churn.step("tuesday", "load", end_ms=3_000, start_ms=1)
    churn.step("tuesday", "failed", state=pp.FAILED)

    def would(**more: object) -> list[int]:
        return invalidate(churn, dry_run=True, **more)

    m, t, x = monday.execution_id, tuesday.execution_id, load.execution_id
    assert would(pipeline="churn") == [m, t, x]
    assert would(pipeline="churn", step="train") == [m, t]
    assert would(pipeline="churn", run="tuesday") == [t, x]
    assert would(pipeline="churn", run="tuesday", step="train") == [t]
    assert would(ended_before_ms=2_000) == [m]
    assert would(ended_before_ms=2_001, pipeline="churn", run="tuesday") == [t]
    assert would(execution_ids=[x, m]) == [m, x]
    assert would(execution_ids=[x, m], ended_before_ms=1_001) == [m]
    assert would(artifact_id=load.artifact_ids[0]) == [x]
    assert would(artifact_id=load.artifact_ids[0], pipeline="churn", step="train") == []
    assert unfit(churn, m, t, x) == ["", "", ""]


def test_an_artifact_reaches_those_that_made_it_and_those_that_used_it(churn):
    load = churn.step("monday", "load")
    train = churn.step("monday", "train", inputs={"table": load.artifact_ids[0]})
    churn.step("monday", "report", inputs={"model": train.artifact_ids[0]})

    assert invalidate(churn, artifact_id=load.artifact_ids[0]) == [load.execution_id, train.execution_id]
    why = f"it was invalidated by artifact {load.artifact_ids[0]}"
    assert unfit(churn, load.execution_id, train.execution_id) == [why, why]


def test_downstream_is_all_that_was_made_from_it_in_other_pipelines_too(call):
    churn, sales = Recorded(call), Recorded(call, "sales")
    load = churn.step("monday", "load")
    train = churn.step("monday", "train", inputs={"table": load.artifact_ids[0]})
    report = sales.step("monday", "report", inputs={"model": train.artifact_ids[0]})
    apart = churn.step("monday", "apart")

    found = invalidate(churn, pipeline="churn", step="load", with_downstream=True, reason="bad source")

    assert found == [load.execution_id, train.execution_id, report.execution_id]
    assert unfit(churn, *found, apart.execution_id) == [
        "bad source",
        "it was made from what was invalidated: bad source",
        "it was made from what was invalidated: bad source",
        "",
    ]


def test_a_chain_longer_than_a_walk_usually_is_goes_to_its_end(churn):
    ids = []
    inputs: dict[str, int] = {}
    for number in range(80):
        done = churn.step("monday", f"step-{number}", inputs=inputs)
        ids.append(done.execution_id)
        inputs = {"table": done.artifact_ids[0]}

    assert invalidate(churn, execution_ids=ids[:1], with_downstream=True) == ids


def test_a_hit_stands_for_what_it_reuses(churn):
    first = churn.step("monday", "train")
    hit = churn.step("tuesday", "train")

    assert invalidate(churn, pipeline="churn", run="tuesday", reason="no") == [first.execution_id]
    assert unfit(churn, first.execution_id, hit.execution_id) == ["no", "no"]
    assert churn.begin("later", "train")[1].decision == pp.RUN


def test_the_first_reason_stays(churn):
    first = churn.step("monday", "train")
    invalidate(churn, execution_ids=[first.execution_id], reason="first")
    invalidate(churn, execution_ids=[first.execution_id], reason="second")

    assert unfit(churn, first.execution_id) == ["first"]


def test_the_same_request_again_does_nothing(churn):
    churn.step("monday", "train")
    request = pp.InvalidateStepsRequest(pipeline="churn")

    assert churn.call("InvalidateSteps", request).count == 1
    assert churn.call("InvalidateSteps", request).count == 0


def test_more_than_a_thousand_are_counted(churn):
    for number in range(1_005):
        begin = churn.asked("monday", f"train[{number}]")
        finish = pp.FinishStepRequest(key=begin.key, begin=begin, state=pp.COMPLETE)
        finish.outputs.add(name="out", digest="sha256:1")
        churn.call("FinishStep", finish)

    answer = churn.call("InvalidateSteps", pp.InvalidateStepsRequest(pipeline="churn"))

    assert (answer.count, len(answer.execution_ids)) == (1_005, 1_000)
    assert list(answer.execution_ids) == sorted(answer.execution_ids)


WRONG = {
    "needs a condition: pipeline, step, run": {},
    "step and run are names within a pipeline": {"step": "train"},
    "ended_before_ms is negative: -1": {"ended_before_ms": -1},
    "10001 execution_ids are more than 10000": {"execution_ids": [1] * 10_001},
    "the reason has 1001 characters": {"pipeline": "churn", "reason": "x" * 1_001},
}
MISSING = {
    "there is no pipeline 'none'": {"pipeline": "none"},
    "pipeline 'churn' never had a step 'none'": {"pipeline": "churn", "step": "none"},
    "pipeline 'churn' has no run 'none'": {"pipeline": "churn", "run": "none"},
    "there is no artifact with id 999": {"artifact_id": 999},
    "no attempt at a step with execution id 999": {"execution_ids": [999]},
}


@pytest.mark.backends("sqlite")
def test_what_cannot_be_meant_is_refused(churn):
    churn.step("monday", "train")

    for message, request in WRONG.items():
        with pytest.raises(InvalidRequest, match=message):
            invalidate(churn, **request)
    for message, request in MISSING.items():
        with pytest.raises(NotFound, match=message):
            invalidate(churn, **request)
