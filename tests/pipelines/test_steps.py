"""ListSteps: what is told of the attempts of a run, and page by page."""

import math
from collections.abc import Iterator

import pytest
from pipelines.recorded import Clock, Recorded
from support import Call

from headwater.client.values import to_value
from headwater.errors import InvalidRequest, NotFound
from headwater.storage.database import Database
from headwater.storage.opening import open_database
from headwater.v1 import pipelines_pb2 as pp


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


def steps(churn: Recorded, **more: object) -> list[pp.StepInfo]:
    """All of them, from page after page."""
    request = pp.ListStepsRequest(**more)
    found: list[pp.StepInfo] = []
    while True:
        answer = churn.call("ListSteps", request)
        found += answer.steps
        if not answer.next_page_token:
            return found
        assert len(answer.steps) == request.page_size
        request.page_token = answer.next_page_token


def test_an_attempt_is_told_whole(churn):
    load = churn.step("monday", "load", inputs={"raw.csv": "1"}, key="load-key")
    request, begun = churn.begin(
        "monday",
        "train",
        inputs={"table": load.artifact_ids[0], "labels.csv": "2"},
        parameters={"lr": 0.1},
        tags={"team": "x"},
        description="fits",
        code="3",
        start_ms=1000,
        environment=pp.Environment(python="3.11.7"),
    )
    request.code.commit = "abc"
    churn.call(
        "FinishStep",
        pp.FinishStepRequest(
            key=request.key,
            state=pp.COMPLETE,
            end_ms=5000,
            metrics=[pp.Metric(name="auc", value=0.5), pp.Metric(name="bad", value=math.inf)],
            usage={"cpu_seconds": 1.5},
            outputs=[
                pp.StepOutput(
                    name="model",
                    type="Model",
                    uri="file:///out/model",
                    digest="sha256:m",
                    size_bytes=7,
                    stamp="etag",
                    metrics={"auc": 0.5},
                    preview=to_value({"rows": 3}),
                    manifest=to_value({"files": []}),
                    custom_properties={"framework": to_value("xgb")},
                )
            ],
        ),
    )

    first, train = steps(churn, run_id=load.run_id)

    assert (first.step, first.key, first.state, first.why) == (
        "load",
        "load-key",
        pp.COMPLETE,
        "not completed before in this pipeline",
    )
    assert [one.name for one in first.inputs] == ["raw.csv"]
    assert train == pp.StepInfo(
        execution_id=begun.execution_id,
        run_id=load.run_id,
        step="train",
        attempt=1,
        state=pp.COMPLETE,
        start_ms=1000,
        end_ms=5000,
        fingerprint=begun.fingerprint,
        why="not completed before in this pipeline",
        worker="host:1",
        key=request.key,
        parameters={"lr": to_value(0.1)},
        tags={"team": "x"},
        description="fits",
        environment=pp.Environment(python="3.11.7"),
        metrics={"auc": 0.5, "bad": math.inf},
        usage={"cpu_seconds": 1.5},
        components={
            "step": "train",
            "code": "sha256:3",
            "parameter:lr": "0.1",
            "input:table": f"sha256:of-{load.artifact_ids[0]}",
            "input:labels.csv": "sha256:2",
        },
        inputs=[
            pp.StepInput(
                name="labels.csv",
                artifact_id=train.inputs[0].artifact_id,
                uri="file:///data/labels.csv",
                digest="sha256:2",
                type="Dataset",
                component="sha256:2",
            ),
            pp.StepInput(
                name="table",
                artifact_id=load.artifact_ids[0],
                uri=f"file:///out/{load.execution_id}/out",
                digest=f"sha256:{load.execution_id}-out",
                size_bytes=5,
                type="Dataset",
                component=f"sha256:of-{load.artifact_ids[0]}",
            ),
        ],
        outputs=[
            pp.StepOutput(
                name="model",
                artifact_id=train.outputs[0].artifact_id,
                type="Model",
                uri="file:///out/model",
                digest="sha256:m",
                size_bytes=7,
                stamp="etag",
                metrics={"auc": 0.5},
                custom_properties={"framework": to_value("xgb")},
            )
        ],
    )


def test_a_hit_shows_the_outputs_of_what_it_reuses(churn):
    first = churn.step("monday", "train", inputs={"raw.csv": "1"})
    second = churn.step("tuesday", "train", inputs={"raw.csv": "1"})

    (original,), (hit,) = (steps(churn, run_id=one.run_id) for one in (first, second))

    assert (hit.state, hit.cached_execution_id) == (pp.CACHED, first.execution_id)
    assert (hit.inputs, hit.outputs) == (original.inputs, original.outputs)
    assert hit.why == f"reuses execution {first.execution_id}"


def test_attempts_come_in_the_order_in_which_they_began_over_pages(churn):
    for step in ("a", "b", "a", "c"):
        last = churn.step("monday", step, state=pp.FAILED, error="no")
    churn.step("tuesday", "a")

    found = steps(churn, run_id=last.run_id, page_size=1)

    assert [(one.step, one.attempt, one.state, one.error) for one in found] == [
        ("a", 1, pp.FAILED, "no"),
        ("b", 1, pp.FAILED, "no"),
        ("a", 2, pp.FAILED, "no"),
        ("c", 1, pp.FAILED, "no"),
    ]


def test_those_who_follow_a_run_ask_for_what_changed(clock, churn):
    done = churn.step("monday", "load")
    request, _ = churn.begin("monday", "train", code="2")
    before_ms = churn.call("ListSteps", pp.ListStepsRequest(run_id=done.run_id)).now_ms
    clock.now_ms += 3_600_000
    churn.call("FinishStep", pp.FinishStepRequest(key=request.key, state=pp.FAILED))

    found = steps(churn, run_id=done.run_id, changed_since_ms=clock.now_ms)

    assert before_ms == clock.now_ms - 3_600_000
    assert [(one.step, one.state) for one in found] == [("train", pp.FAILED)]
    assert steps(churn, run_id=done.run_id, changed_since_ms=clock.now_ms + 10_001) == []
    # Others may have been writing when the time was taken.
    assert len(steps(churn, run_id=done.run_id, changed_since_ms=before_ms + 10_000)) == 2


def test_attempts_are_given_by_id_too(churn):
    done = [churn.step(run, "load", code=run) for run in ("monday", "tuesday", "sunday")]
    ids = [one.execution_id for one in done]

    found = steps(churn, execution_ids=[ids[2], ids[0], ids[2]], page_size=1)

    assert [one.execution_id for one in found] == [ids[0], ids[2]]
    with pytest.raises(NotFound, match="no attempt at a step with execution id 999"):
        steps(churn, execution_ids=[ids[0], 999])


@pytest.mark.backends("sqlite")
def test_a_page_that_cannot_be_is_refused(churn):
    run_id = churn.start("monday")

    assert steps(churn, run_id=run_id) == []
    with pytest.raises(NotFound, match="there is no run with id 999"):
        steps(churn, run_id=999)
    with pytest.raises(InvalidRequest, match="run_id or execution_ids, one of the two"):
        steps(churn)
    with pytest.raises(InvalidRequest, match="page_size must be from 1 to 1000, and is -1"):
        steps(churn, run_id=run_id, page_size=-1)
    with pytest.raises(InvalidRequest, match="page_token is not one that this service gave"):
        steps(churn, run_id=run_id, page_token="x")
    churn.step("monday", "a")
    churn.step("monday", "b")
    token = churn.call("ListSteps", pp.ListStepsRequest(run_id=run_id, page_size=1)).next_page_token
    with pytest.raises(InvalidRequest, match="belongs to another listing"):
        steps(churn, run_id=run_id + 1, page_token=token)
