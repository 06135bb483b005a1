"""ExplainStep: why an execution ran or what it reused, and what a step would do."""

import pytest
from pipelines.recorded import Recorded
from support import Call

from headwater.errors import InvalidRequest, NotFound
from headwater.v1 import pipelines_pb2 as pp


@pytest.fixture
def churn(call: Call) -> Recorded:
    return Recorded(call)


def of(churn: Recorded, execution_id: int) -> pp.ExplainStepResponse:
    return churn.call("ExplainStep", pp.ExplainStepRequest(execution_id=execution_id))


def asked(churn: Recorded, step: str, **more: object) -> pp.ExplainStepResponse:
    return churn.call("ExplainStep", pp.ExplainStepRequest(step=churn.asked("", step, **more)))


def changes(differences: object) -> list[tuple[str, str | None, str | None]]:
    return [
        (
            one.component,
            one.old if one.HasField("old") else None,
            one.new if one.HasField("new") else None,
        )
        for one in differences
    ]


def told(answer: pp.ExplainStepResponse) -> list[tuple[int, str, str, list[str]]]:
    """Execution, run, why unfit and which components differ, of the nearest."""
    return [
        (one.execution_id, one.run, one.unfit, [difference.component for difference in one.differences])
        for one in answer.nearest
    ]


def test_a_step_that_ran_says_which_component_differed_from_the_nearest(churn):
    first = churn.step("monday", "train", parameters={"lr": 0.1, "n": 1})
    churn.step("tuesday", "train", parameters={"lr": 0.5, "n": 7}, code="2")
    third = churn.step("sunday", "train", parameters={"lr": 0.2, "n": 1, "new": True})
    churn.step("later", "train", parameters={"lr": 0.2, "n": 1})

    answer = of(churn, third.execution_id)

    assert (answer.decision, answer.pipeline, answer.step) == (pp.RUN, "churn", "train")
    assert answer.fingerprint.startswith("hw1:")
    assert dict(answer.components) == {
        "step": "train",
        "code": "sha256:1",
        "parameter:lr": "0.2",
        "parameter:n": "1",
        "parameter:new": "True",
    }
    assert answer.miss.why == pp.Miss.DIFFERS
    assert answer.miss.nearest_execution_id == first.execution_id
    assert changes(answer.miss.differences) == [
        ("parameter:lr", "0.1", "0.2"),
        ("parameter:new", None, "True"),
    ]
    assert answer.miss.text == "parameter:lr changed from 0.1 to 0.2; parameter:new is new (True)"
    assert [(one.run, len(one.differences)) for one in answer.nearest] == [("monday", 2), ("tuesday", 4)]


def test_a_hit_says_what_it_reuses(churn):
    first = churn.step("monday", "train", parameters={"lr": 0.1})
    churn.step("tuesday", "train", parameters={"lr": 0.2})
    hit = churn.step("sunday", "train", parameters={"lr": 0.1})

    answer = of(churn, hit.execution_id)

    assert answer.decision == pp.HIT
    assert not answer.HasField("miss")
    assert told(answer)[0] == (first.execution_id, "monday", "", [])


def test_a_question_is_answered_as_the_step_would_be(churn):
    first = churn.step("monday", "train", parameters={"lr": 0.1}, inputs={"raw.csv": "1"})

    hit = asked(churn, "train", parameters={"lr": 0.1}, inputs={"raw.csv": "1"})
    miss = asked(churn, "train", parameters={"lr": 0.1}, inputs={"raw.csv": "2"})

    assert (hit.decision, told(hit)) == (pp.HIT, [(first.execution_id, "monday", "", [])])
    assert (miss.decision, miss.miss.why) == (pp.RUN, pp.Miss.DIFFERS)
    assert changes(miss.miss.differences) == [("input:raw.csv", "sha256:1", "sha256:2")]
    assert miss.components["input:raw.csv"] == "sha256:2"


def test_a_question_about_what_is_being_computed_says_wait(churn):
    churn.begin("monday", "train")

    assert asked(churn, "train").decision == pp.WAIT
    policy = pp.CachePolicy(never_waits=True)
    assert asked(churn, "train", cache=policy).decision == pp.RUN


def test_the_nearest_are_few_components_away_and_then_new_and_each_once(churn):
    for run, lr in (("a", 1), ("b", 2), ("c", 3), ("d", 2)):
        churn.step(run, "train", parameters={"lr": lr})
    churn.step("e", "train", parameters={"lr": 4}, code="2")

    answer = asked(churn, "train", parameters={"lr": 9})

    # Run d reuses what run b has made, and is the newer of the two.
    assert [one.run for one in answer.nearest] == ["d", "c", "a", "e"]
    assert [one.unfit for one in answer.nearest] == ["", "", "", ""]


def test_at_most_ten_are_told(churn):
    for number in range(12):
        churn.step("monday", "train", parameters={"lr": number})

    answer = asked(churn, "train", parameters={"lr": 99})

    assert [one.differences[0].old for one in answer.nearest] == [str(n) for n in range(11, 1, -1)]


def test_a_step_that_is_new_in_its_pipeline_is_compared_with_its_namesakes(call):
    other = Recorded(call, "sales").step("monday", "train", code="1")
    churn = Recorded(call)

    answer = asked(churn, "train", code="2")
    hit = asked(churn, "train", code="1")

    assert (answer.decision, answer.miss.why) == (pp.RUN, pp.Miss.DIFFERS)
    assert told(answer) == [(other.execution_id, "monday", "", ["code"])]
    assert (hit.decision, told(hit)) == (pp.HIT, [(other.execution_id, "monday", "", [])])


def test_what_never_was_done_and_what_failed_has_nothing_near(churn):
    failed = churn.step("monday", "train", state=pp.FAILED)

    answer = of(churn, failed.execution_id)

    assert (answer.miss.why, answer.miss.text) == (
        pp.Miss.NEVER_COMPLETED,
        "not completed before in this pipeline",
    )
    assert asked(churn, "train").miss.why == pp.Miss.NEVER_COMPLETED
    assert asked(churn, "unheard-of").nearest == []


def test_what_was_made_unfit_says_why(churn):
    first = churn.step("monday", "train")
    request = pp.InvalidateStepsRequest(execution_ids=[first.execution_id], reason="bad source")
    churn.call("InvalidateSteps", request)

    before = asked(churn, "train")
    second = churn.step("tuesday", "train")

    assert (before.miss.why, before.miss.text) == (pp.Miss.INVALIDATED, "done before, but bad source")
    assert told(before) == [(first.execution_id, "monday", "bad source", [])]
    assert of(churn, second.execution_id).miss == before.miss


def test_a_step_without_fingerprint_says_so(churn):
    begun = churn.call(
        "BeginStep", pp.BeginStepRequest(pipeline="churn", run="monday", step="train", key="k")
    )

    answer = of(churn, begun.execution_id)

    assert (answer.decision, answer.fingerprint, answer.miss.why) == (pp.RUN, "", pp.Miss.NO_FINGERPRINT)


@pytest.mark.backends("sqlite")
def test_a_question_about_nothing_is_refused(churn):
    with pytest.raises(InvalidRequest, match="needs the execution_id of an attempt, or a step"):
        churn.call("ExplainStep", pp.ExplainStepRequest())
    with pytest.raises(NotFound, match="no attempt at a step with execution id 5"):
        of(churn, 5)
    with pytest.raises(InvalidRequest, match="the name of a step is empty"):
        asked(churn, "")
