"""What a Python program asks about pipelines, and how conditions on runs are written."""

import itertools
import json
import math
import time
from datetime import datetime, timezone

import pytest
from pipelines.recorded import Recorded

from headwater.client import Store
from headwater.client.conditions import Condition, Field, read_conditions, read_field
from headwater.client.questions import PipelineQuestions
from headwater.client.run_info import (
    Difference,
    Invalidation,
    Nearest,
    OutputInfo,
    PlannedStep,
    Point,
    RunInfo,
    Series,
    StepPlan,
    StepStats,
    rows,
)
from headwater.errors import InvalidRequest, NotFound
from headwater.v1 import pipelines_pb2 as pp


@pytest.fixture
def churn(own_store: Store) -> Recorded:
    return Recorded(own_store.transport.call)


@pytest.fixture
def questions(own_store: Store) -> PipelineQuestions:
    return PipelineQuestions(own_store.transport)


@pytest.fixture
def sweep(churn: Recorded) -> Recorded:
    """Three runs that differ in a parameter and what comes of it."""
    for place, (run, lr, auc) in enumerate([("a", 0.1, 0.7), ("b", 0.2, 0.9), ("c", 0.3, 0.8)]):
        churn.start(
            run,
            parameters={"lr": lr, "n": 3},
            tags={"team": "x" if run == "a" else "y"},
            start_ms=1000 + place,
            code=pp.CodeVersion(commit=f"commit-{run}", is_dirty=False),
            environment=pp.Environment(python="3.11.7", other={"cuda": "12"}),
        )
        churn.step(run, "load")
        churn.step(run, "train", parameters={"lr": lr}, metrics=[pp.Metric(name="auc", value=auc)])
    churn.finish_run("a")
    return churn


# Runs


def test_runs_are_chosen_ordered_and_limited(questions, sweep):
    def names(**more: object) -> list[str]:
        return [run.run for run in questions.runs("churn", **more)]

    assert names() == ["c", "b", "a"]
    assert names(descending=False) == ["a", "b", "c"]
    assert names(order_by="metrics.auc", limit=2) == ["b", "c"]
    assert names(where="metrics.auc > 0.75") == ["c", "b"]
    assert names(where=["metrics.auc > 0.75", "tags.team = 'y' AND params.lr < 0.25"]) == ["b"]
    assert names(where=["state = running"], order_by="params.lr", descending=False) == ["b", "c"]
    assert names(where=[Condition(Field("NAME"), "EQUAL", "a")], order_by=Field("NAME")) == ["a"]
    assert names(limit=0) == []
    assert names(page_size=1) == ["c", "b", "a"]


def test_pages_are_fetched_as_they_are_read(questions, sweep):
    read = questions.runs("churn", page_size=1)

    assert [run.run for run in itertools.islice(read, 1)] == ["c"]
    sweep.start("d", start_ms=500)
    assert [run.run for run in read] == ["b", "a", "d"]


def test_a_run_is_told_in_plain_values(questions, sweep):
    run = questions.get_run("churn", "a")

    assert run == RunInfo(
        run_id=run.run_id,
        pipeline_id=run.pipeline_id,
        pipeline="churn",
        run="a",
        state="COMPLETE",
        start_ms=1000,
        end_ms=run.end_ms,
        error="",
        parameters={"lr": 0.1, "n": 3},
        metrics={"auc": 0.7},
        tags={"team": "x"},
        owner="",
        trigger="",
        description="",
        code={"commit": "commit-a", "is_dirty": False},
        environment={"python": "3.11.7", "cuda": "12"},
        steps={"COMPLETE": 2},
        parent_run_ids=(),
        planned_steps=(),
    )
    assert json.loads(json.dumps(run.to_dict()))["parameters"] == {"lr": 0.1, "n": 3}
    assert rows([run]) == [
        {
            "run_id": run.run_id,
            "pipeline": "churn",
            "run": "a",
            "state": "COMPLETE",
            "start_ms": 1000,
            "end_ms": run.end_ms,
            "owner": "",
            "trigger": "",
            "commit": "commit-a",
            "params.lr": 0.1,
            "params.n": 3,
            "metrics.auc": 0.7,
            "tags.team": "x",
        }
    ]


def test_a_run_is_named_in_many_ways(questions, sweep):
    run = questions.get_run("churn", "a")

    assert questions.get_run("churn/a") == run
    assert questions.get_run(run.run_id) == run
    assert questions.get_run(run) == run
    assert questions.get_run("churn").run == "c"
    with pytest.raises(NotFound, match="pipeline 'churn' has no run 'none'"):
        questions.get_run("churn", "none")
    with pytest.raises(NotFound, match="there is no pipeline 'none'"):
        questions.get_run("none")
    with pytest.raises(InvalidRequest, match="by its id or by its names"):
        questions.get_run(run.run_id, "a")


def test_a_run_without_code_says_so_and_what_was_planned(questions, churn):
    churn.start("monday", steps={"load": [], "train": ["load"]})

    run = questions.get_run("churn/monday")

    assert (run.code, run.environment, run.end_ms) == (None, None, 0)
    assert run.planned_steps == (PlannedStep("load"), PlannedStep("train", ("load",)))


def test_runs_are_compared_as_far_as_they_differ(questions, sweep):
    compared = questions.compare_runs(["churn/a", "churn/b"])

    assert [run.run for run in compared.runs] == ["a", "b"]
    assert compared.parameters == {"lr": (0.1, 0.2)}
    assert compared.metrics == {"auc": (0.7, 0.9)}
    assert compared.environment == {}
    assert compared.code == {"commit": ("commit-a", "commit-b")}
    assert compared.tags == {"team": ("x", "y")}
    assert compared.steps == {"load": ("COMPLETE", "CACHED")}
    assert compared.components == {"train": {"parameter:lr": ("0.1", "0.2")}}
    assert not compared.is_empty
    assert compared.rows() == [
        {"what": "parameters", "name": "lr", "a": 0.1, "b": 0.2},
        {"what": "metrics", "name": "auc", "a": 0.7, "b": 0.9},
        {"what": "code", "name": "commit", "a": "commit-a", "b": "commit-b"},
        {"what": "tags", "name": "team", "a": "x", "b": "y"},
        {"what": "steps", "name": "load", "a": "COMPLETE", "b": "CACHED"},
        {"what": "step train", "name": "parameter:lr", "a": "0.1", "b": "0.2"},
    ]
    assert json.loads(json.dumps(compared.to_dict()))["parameters"] == {"lr": [0.1, 0.2]}


def test_a_run_is_like_itself_and_kinds_of_values_are_told_apart(questions, churn):
    nan = [pp.Metric(name="loss", value=math.nan)]
    churn.start("a", parameters={"one": 1, "flag": 1})
    churn.start("b", parameters={"one": 1.0, "flag": True, "new": {"x": 1}})
    churn.step("a", "train", metrics=nan)

    assert questions.compare_runs(["churn/a"] * 2).is_empty
    compared = questions.compare_runs(["churn/a", "churn/b"])
    assert compared.parameters == {"flag": (1, True), "new": (None, {"x": 1.0})}
    assert compared.steps == {"train": ("COMPLETE", None)}
    assert compared.components == {}
    with pytest.raises(InvalidRequest, match="two runs at least"):
        questions.compare_runs(["churn/a"])


# Steps and metrics


def test_steps_are_told_in_plain_values(questions, sweep):
    run = questions.get_run("churn", "b")

    load, train = questions.steps("churn/b", page_size=1)

    assert [one.step for one in questions.steps(run)] == ["load", "train"]
    assert (load.state, load.why) == ("CACHED", f"reuses execution {load.cached_execution_id}")
    assert (train.state, train.parameters, train.metrics) == ("COMPLETE", {"lr": 0.2}, {"auc": 0.9})
    assert train.components == {"code": "sha256:1", "parameter:lr": "0.2", "step": "train"}
    assert train.outputs == (
        OutputInfo(
            name="out",
            artifact_id=train.outputs[0].artifact_id,
            type="Dataset",
            uri=f"file:///out/{train.execution_id}/out",
            digest=f"sha256:{train.execution_id}-out",
            size_bytes=5,
            stamp="",
            description="",
            metrics={},
            properties={},
        ),
    )
    assert train.row()["metrics.auc"] == 0.9
    assert json.loads(json.dumps(train.to_dict()))["outputs"][0]["name"] == "out"
    assert list(questions.steps(execution_ids=[train.execution_id])) == [train]
    assert list(questions.steps(execution_ids=[])) == []
    with pytest.raises(InvalidRequest, match="a run or execution_ids"):
        questions.steps()


def test_who_follows_a_run_asks_for_changes(questions, sweep):
    first = questions.changed_steps("churn/a")
    again = questions.changed_steps("churn/a", since_ms=first.now_ms + 3_600_000)

    assert [one.step for one in first.steps] == ["load", "train"]
    assert again.steps == ()
    assert again.now_ms >= first.now_ms > 0


def test_metrics_are_series_of_points(questions, churn):
    done = churn.step(
        "monday",
        "train",
        metrics=[
            pp.Metric(name="auc", value=0.5, time_ms=1),
            *(pp.Metric(name="loss", step=step, value=step / 2, time_ms=2) for step in range(5)),
        ],
    )
    auc = Series(done.execution_id, "auc", (Point(None, 0.5, 1),), 1)
    loss = Series(done.execution_id, "loss", (Point(0, 0.0, 2), Point(4, 2.0, 2)), 5)

    assert questions.metrics("churn/monday", max_points=2) == [auc, loss]
    assert questions.metrics(execution_ids=[done.execution_id], names=["auc"]) == [auc]
    assert loss.rows()[1] == {
        "execution_id": done.execution_id,
        "name": "loss",
        "step": 4,
        "value": 2.0,
        "time_ms": 2,
    }


# The cache


def test_an_attempt_is_explained(questions, sweep):
    (a,), (b,) = ([one for one in questions.steps(f"churn/{run}") if one.step == "train"] for run in "ab")

    explained = questions.explain(run="churn/b", step="train")

    lr = Difference("parameter:lr", "0.1", "0.2")
    assert explained == questions.explain(b) == questions.explain(b.execution_id)
    assert (explained.decision, explained.miss.why) == ("RUN", "DIFFERS")
    assert (explained.miss.nearest_execution_id, explained.miss.differences) == (a.execution_id, (lr,))
    assert explained.nearest == (Nearest(a.execution_id, "a", "COMPLETE", a.end_ms, "", (lr,)),)
    assert str(explained) == "churn/train: parameter:lr changed from 0.1 to 0.2"
    assert explained.rows() == [{"execution_id": a.execution_id, "run": "a", **lr.to_dict()}]
    hit = questions.explain(run="churn/b", step="load")
    assert (hit.decision, hit.miss, str(hit)) == (
        "HIT",
        None,
        f"churn/load reuses the outputs of execution {hit.nearest[0].execution_id}",
    )
    asked = questions.explain(sweep.asked("new", "train", parameters={"lr": 0.2}))
    assert asked.decision == "HIT"
    with pytest.raises(NotFound, match="has no attempt at a step"):
        questions.explain(run="churn/b", step="it's")
    with pytest.raises(InvalidRequest, match="an execution, or else a run and a step"):
        questions.explain(run="churn/b")


def test_what_was_invalidated_can_no_longer_be_hit(questions, sweep):
    (train,) = [one for one in questions.steps("churn/a") if one.step == "train"]
    chosen = {"pipeline": "churn", "step": "train", "run": "a"}

    assert questions.invalidate(**chosen, dry_run=True) == Invalidation(1, (train.execution_id,))
    assert questions.invalidate(**chosen, reason="bad") == Invalidation(1, (train.execution_id,))
    assert questions.invalidate(**chosen) == Invalidation(0, ())
    (train,) = questions.steps(execution_ids=[train.execution_id])
    assert train.unfit == "bad"
    stats = questions.cache_stats("churn")
    assert stats == [
        StepStats("churn", "load", 1, 2, 0, 1, 0, stats[0].saved_ms),
        StepStats("churn", "train", 3, 0, 0, 2, 1, 0),
    ]
    assert rows(stats)[1]["invalidated"] == 1
    assert questions.cache_stats() == stats


def test_a_plan_says_what_resuming_would_do(questions, churn):
    churn.start("monday", steps={"load": [], "train": ["load"], "report": ["train"]})
    load = churn.step("monday", "load")
    train = churn.step("monday", "train", state=pp.FAILED, error="no memory")

    plan = questions.plan_resume("churn", "monday")

    assert plan == questions.plan_resume("churn/monday") == questions.plan_resume(plan)
    assert [one.name for one in plan.steps[0].outputs] == ["out"]
    assert plan.steps[1:] == (
        StepPlan("train", "TO_RUN", "it failed: no memory", train.execution_id),
        StepPlan(
            "report", "BLOCKED", "it never began, and it needs the outputs of 'train' first", 0, ("train",)
        ),
    )
    assert plan.rows()[0] == {
        "step": "load",
        "plan": "DONE",
        "why": "it is complete",
        "execution_id": load.execution_id,
        "blocked_by": "",
    }


# Conditions


READ = {
    "metrics.auc > 0.9": [("METRIC", "auc", "GREATER", 0.9)],
    " metric.auc>=-1 ": [("METRIC", "auc", "GREATER_OR_EQUAL", -1)],
    "metrics.val/auc.5 <= 1e-3": [("METRIC", "val/auc.5", "LESS_OR_EQUAL", 0.001)],
    "metrics.`my metric = 1` < inf": [("METRIC", "my metric = 1", "LESS", math.inf)],
    "params.lr = 0.1": [("PARAMETER", "lr", "EQUAL", 0.1)],
    "param.model.depth == 3": [("PARAMETER", "model.depth", "EQUAL", 3)],
    "parameters.model != 'it''s'": [("PARAMETER", "model", "NOT_EQUAL", "it's")],
    'params.model <> "say ""hi"""': [("PARAMETER", "model", "NOT_EQUAL", 'say "hi"')],
    "params.deep = True": [("PARAMETER", "deep", "EQUAL", True)],
    "params.model LIKE 'small%'": [("PARAMETER", "model", "LIKE", "small%")],
    "tags.team = growth": [("TAG", "team", "EQUAL", "growth")],
    "state = failed": [("STATE", "", "EQUAL", "FAILED")],
    "owner != 'ann'": [("OWNER", "", "NOT_EQUAL", "ann")],
    "name like 'nightly-%'": [("NAME", "", "LIKE", "nightly-%")],
    "run = monday and trigger = airflow AND commit = 1e5": [
        ("NAME", "", "EQUAL", "monday"),
        ("TRIGGER", "", "EQUAL", "airflow"),
        ("COMMIT", "", "EQUAL", "1e5"),
    ],
    "started > 1764000000000": [("START_MS", "", "GREATER", 1_764_000_000_000)],
    "started < 2026-01-31T12:30:00Z": [("START_MS", "", "LESS", 1_769_862_600_000)],
    "started < '2026-01-31 12:30:00+01:00'": [("START_MS", "", "LESS", 1_769_859_000_000)],
}


@pytest.mark.parametrize("text", READ)
def test_conditions_are_read(text):
    assert [
        (one.field.kind, one.field.name, one.operator, one.value) for one in read_conditions(text)
    ] == READ[text]


def test_kinds_of_values_are_read_apart():
    values = [read_conditions(f"params.x = {text}")[0].value for text in ("1", "1.0", "true", "'1'")]

    assert [(type(value), value) for value in values] == [(int, 1), (float, 1.0), (bool, True), (str, "1")]
    assert math.isnan(read_conditions("metrics.loss = nan")[0].value)


def test_times_are_local_or_ages():
    local = read_conditions("started >= 2026-01-31")[0].value
    age = read_conditions("started >= 1.5h")[0].value

    assert local == datetime(2026, 1, 31).astimezone(timezone.utc).timestamp() * 1000
    assert 0 <= time.time() * 1000 - 5_400_000 - age < 60_000


WRONG = {
    "": (1, "expected params.NAME, metrics.NAME, tags.NAME, state, owner, trigger, name, started or commit"),
    "metrics.auc >": (14, "expected a value after '>', found the end of the condition"),
    "metrics.auc": (12, "expected one of = != < <= > >= LIKE, found the end of the condition"),
    "metrics > 1": (8, "expected a name after 'metrics', for example metrics.auc"),
    "metrics. > 1": (9, "expected a name after 'metrics', for example metrics.auc"),
    "metric_auc > 1": (1, "there is no field 'metric_auc'; there are params.NAME"),
    "state.x = 1": (6, "'state' has no parts, found '.x'"),
    "metrics.auc > 'high'": (15, "a metric is a number; expected one, found 'high'"),
    "metrics.auc > O.9": (15, "a metric is a number; expected one, found O.9"),
    "params.lr = 0,1": (13, "found '0,1'; if it is a text, write '0,1'"),
    "params.model = small": (16, "expected a number, true, false or a text in quotes, found 'small'"),
    "params.model = 'small": (16, "the text that begins with ' does not end"),
    "params.deep > true": (13, "> compares numbers and texts; truth values are equal (=) or not (!=)"),
    "params.lr LIKE 3": (11, "LIKE compares with a text in quotes"),
    "state = DONE": (9, "a run is RUNNING, COMPLETE, FAILED, CANCELED, never 'DONE'"),
    "started > yesterday": (11, "expected a time, 2026-01-31 or 2026-01-31T12:30, an age in s, m, h, d or w"),
    "name = a b": (10, "expected AND or the end, found 'b'"),
    "name = a AND": (13, "expected params.NAME"),
    "name = AND": (8, "expected a value after '=', found 'AND'"),
    "1 = 1": (1, "expected params.NAME, metrics.NAME, tags.NAME, state, owner, trigger, name, started or"),
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_with_a_condition_is_said_with_its_place(text):
    column, message = WRONG[text]

    with pytest.raises(InvalidRequest) as refused:
        read_conditions(text)

    said, shown, mark = str(refused.value).split("\n")
    assert said.startswith(f"condition, column {column}: ")
    assert message in said
    assert (shown, mark) == (text, " " * (column - 1) + "^")


def test_a_field_to_order_by_is_one_field():
    assert read_field("metrics.auc") == Field("METRIC", "auc")
    assert read_field("started") == Field("START_MS")
    with pytest.raises(InvalidRequest, match="order_by, column 13: expected nothing more, found 'DESC'"):
        read_field("metrics.auc DESC", what="order_by")


def test_what_cannot_be_asked_is_refused_at_once(questions):
    for more, message in (
        ({"where": "x = 1"}, "there is no field 'x'"),
        ({"order_by": "auc"}, "there is no field 'auc'"),
        ({"limit": -1}, "limit cannot be negative"),
        ({"page_size": 0}, "page_size must be from 1 to 1000"),
    ):
        with pytest.raises(InvalidRequest, match=message):
            questions.runs(**more)
