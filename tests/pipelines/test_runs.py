"""ListRuns and GetRun: which runs, in which order, and what is told of each."""

import math
import re

import pytest
from pipelines.recorded import Recorded
from support import Call

from headwater.client.values import to_value
from headwater.errors import InvalidRequest, NotFound
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc
from headwater.v1 import pipelines_pb2 as pp

Field = pp.RunCondition
EQUAL, NOT_EQUAL, LESS, GREATER = Field.EQUAL, Field.NOT_EQUAL, Field.LESS, Field.GREATER


@pytest.fixture
def churn(call: Call) -> Recorded:
    return Recorded(call)


def is_(field: int, operator: int, value: object, name: str = "") -> pp.RunCondition:
    return pp.RunCondition(field=field, name=name, operator=operator, value=to_value(value))


def listed(churn: Recorded, *where: pp.RunCondition, **more: object) -> list[str]:
    """The names of the runs, from page after page."""
    request = pp.ListRunsRequest(where=where, **{"pipeline": churn.pipeline, "page_size": 2} | more)
    names = []
    while True:
        answer = churn.call("ListRuns", request)
        names += [run.run for run in answer.runs]
        if not answer.next_page_token:
            return names
        assert len(answer.runs) == request.page_size
        request.page_token = answer.next_page_token


@pytest.fixture
def sweep(churn: Recorded) -> Recorded:
    """Five runs: the auc falls with lr, one run has neither, values are of many kinds."""
    given = {
        "a": ({"lr": 0.1, "n": 3, "model": "xgb", "deep": True}, {"team": "x"}, 0.9),
        "b": ({"lr": 0.2, "n": 3.5, "model": "mlp", "deep": False}, {"team": "y"}, 0.8),
        "c": ({"lr": 1, "n": 4, "model": "xgb"}, {"team": "x"}, 0.7),
        "d": ({"n": "many", "model": {"kind": "ensemble"}}, {}, None),
        "e": ({"lr": 0.3, "model": "Mlp 2"}, {"team": "z"}, math.nan),
    }
    for place, (run, (parameters, tags, auc)) in enumerate(given.items()):
        churn.start(run, parameters=parameters, tags=tags, start_ms=1000 + place, owner=f"owner-{run}")
        metrics = [] if auc is None else [pp.Metric(name="auc", value=auc)]
        churn.step(run, "train", code=run, metrics=metrics)
        if run in "abc":
            churn.finish_run(run, pp.FAILED if run == "b" else pp.COMPLETE)
    return churn


CASES = {
    "a double": ([is_(Field.PARAMETER, EQUAL, 0.1, "lr")], "a"),
    "an int meets a double": ([is_(Field.PARAMETER, EQUAL, 1.0, "lr")], "c"),
    "a double meets an int": ([is_(Field.PARAMETER, GREATER, 0, "lr")], "ecba"),
    "numbers of both kinds": ([is_(Field.PARAMETER, GREATER, 3, "n")], "cb"),
    "at most": ([is_(Field.PARAMETER, Field.LESS_OR_EQUAL, 3.5, "n")], "ba"),
    "a text": ([is_(Field.PARAMETER, EQUAL, "xgb", "model")], "ca"),
    "texts are no numbers": ([is_(Field.PARAMETER, EQUAL, "3", "n")], ""),
    "what differs, but not what is absent": ([is_(Field.PARAMETER, NOT_EQUAL, 3, "n")], "dcb"),
    "another kind differs": ([is_(Field.PARAMETER, NOT_EQUAL, "xgb", "model")], "edb"),
    "a text in the order of bytes": ([is_(Field.PARAMETER, LESS, "a", "model")], "e"),
    "like": ([is_(Field.PARAMETER, Field.LIKE, "x%", "model")], "ca"),
    "like does not see structs": ([is_(Field.PARAMETER, Field.LIKE, "%", "model")], "ecba"),
    "a truth value": ([is_(Field.PARAMETER, EQUAL, True, "deep")], "a"),
    "not a truth value": ([is_(Field.PARAMETER, NOT_EQUAL, True, "deep")], "b"),
    "a tag": ([is_(Field.TAG, EQUAL, "x", "team")], "ca"),
    "another tag": ([is_(Field.TAG, NOT_EQUAL, "x", "team")], "eb"),
    "a metric": ([is_(Field.METRIC, GREATER, 0.75, "auc")], "ba"),
    "a metric equal to an int": ([is_(Field.METRIC, LESS, 1, "auc")], "cba"),
    "a metric that is no number": ([is_(Field.METRIC, EQUAL, math.nan, "auc")], "e"),
    "a metric that is a number": ([is_(Field.METRIC, NOT_EQUAL, math.nan, "auc")], "cba"),
    "no number is equal to none": ([is_(Field.METRIC, NOT_EQUAL, 0.9, "auc")], "ecb"),
    "infinity": ([is_(Field.METRIC, LESS, math.inf, "auc")], "cba"),
    "a state": ([is_(Field.STATE, EQUAL, "RUNNING")], "ed"),
    "not a state": ([is_(Field.STATE, NOT_EQUAL, "RUNNING")], "cba"),
    "an owner": ([is_(Field.OWNER, EQUAL, "owner-d")], "d"),
    "a name": ([is_(Field.NAME, Field.GREATER_OR_EQUAL, "c")], "edc"),
    "a time": ([is_(Field.START_MS, GREATER, 1001), is_(Field.START_MS, LESS, 1003.5)], "dc"),
    "several": (
        [
            is_(Field.TAG, EQUAL, "x", "team"),
            is_(Field.METRIC, GREATER, 0.5, "auc"),
            is_(Field.PARAMETER, LESS, 0.5, "lr"),
            is_(Field.STATE, EQUAL, "COMPLETE"),
        ],
        "a",
    ),
    "a name that none has": ([is_(Field.PARAMETER, NOT_EQUAL, 1, "no'such")], ""),
}


def test_runs_that_meet_conditions(sweep):
    found = {what: "".join(listed(sweep, *where)) for what, (where, _) in CASES.items()}

    assert found == {what: names for what, (_, names) in CASES.items()}


ORDERS = [
    ({}, "edcba"),
    ({"ascending": True}, "abcde"),
    ({"order_by": Field.METRIC, "order_name": "auc"}, "abced"),
    ({"order_by": Field.METRIC, "order_name": "auc", "ascending": True}, "cbaed"),
    ({"order_by": Field.PARAMETER, "order_name": "lr"}, "cebad"),
    ({"order_by": Field.PARAMETER, "order_name": "lr", "ascending": True}, "abecd"),
    ({"order_by": Field.PARAMETER, "order_name": "n"}, "cbade"),
    ({"order_by": Field.PARAMETER, "order_name": "model", "ascending": True}, "ebacd"),
    ({"order_by": Field.PARAMETER, "order_name": "deep"}, "abedc"),
    ({"order_by": Field.TAG, "order_name": "team"}, "ebcad"),
    ({"order_by": Field.STATE}, "edbca"),
    ({"order_by": Field.NAME}, "edcba"),
    ({"order_by": Field.OWNER, "ascending": True}, "abcde"),
    ({"order_by": Field.PARAMETER, "order_name": "none"}, "edcba"),
]


@pytest.mark.parametrize("page_size", [1, 2, 1000])
def test_orders_go_over_pages_and_those_without_a_value_come_last(sweep, page_size):
    for order, names in ORDERS:
        assert "".join(listed(sweep, page_size=page_size, **order)) == names, order


@pytest.fixture
def many(sweep: Recorded) -> Recorded:
    """The same, and 1,001 older runs like ``c``."""
    c = sweep.call("GetContextByTypeAndName", by_name("headwater.Run", "churn/c")).context
    pipeline = sweep.call("GetContextByTypeAndName", by_name("headwater.Pipeline", "churn")).context
    contexts = []
    for number in range(1001):
        old = pb.Context(type_id=c.type_id, name=f"churn/old-{number}")
        for name, value in c.properties.items():
            old.properties[name].CopyFrom(value)
        for name, value in c.custom_properties.items():
            old.custom_properties[name].CopyFrom(value)
        old.properties["run"].string_value = f"old-{number}"
        old.properties["start_ms"].int_value = number % 100
        contexts.append(old)
    ids = sweep.call("PutContexts", rpc.PutContextsRequest(contexts=contexts)).context_ids
    links = [pb.ParentContext(child_id=run_id, parent_id=pipeline.id) for run_id in ids]
    sweep.call("PutParentContexts", rpc.PutParentContextsRequest(parent_contexts=links))
    return sweep


def by_name(type_name: str, name: str) -> rpc.GetContextByTypeAndNameRequest:
    return rpc.GetContextByTypeAndNameRequest(type_name=type_name, context_name=name)


def test_many_runs_are_listed_as_few_are(many):
    def new(names: list[str]) -> str:
        old = [name for name in names if name.startswith("old")]
        assert len(set(old)) == len(old)
        assert len(old) in (0, 1001)
        return "".join(name for name in names if not name.startswith("old"))

    found = {what: new(listed(many, *where, page_size=400)) for what, (where, _) in CASES.items()}
    assert found == {what: names for what, (_, names) in CASES.items()}
    for order, names in ORDERS:
        assert new(listed(many, page_size=400, **order)) == names, order
        assert new(listed(many, page_size=400, pipeline="", **order)) == names, order


def test_runs_without_a_beginning_come_last(many):
    run = many.call("GetContextByTypeAndName", by_name("headwater.Run", "churn/c")).context
    for name in ("f", "g"):
        context = pb.Context(type_id=run.type_id, name=f"churn/{name}")
        context.properties["run"].string_value = name
        many.call("PutContexts", rpc.PutContextsRequest(contexts=[context]))

    names = listed(many, pipeline="", page_size=501)
    assert (len(names), names[:5], names[-2:]) == (1008, list("edcba"), ["g", "f"])
    names = listed(many, pipeline="", page_size=503, ascending=True)
    assert (len(names), names[-7:]) == (1008, list("abcdefg"))


def test_runs_of_a_commit_are_found_by_the_property_of_that_name(sweep):
    run_type = pb.ContextType(name="headwater.Run", properties={"commit": pb.STRING})
    put_type = rpc.PutContextTypeRequest(context_type=run_type, can_add_fields=True, can_omit_fields=True)
    type_id = sweep.call("PutContextType", put_type).type_id
    for run, commit in (("a", "abc1"), ("b", "abd2")):
        context = sweep.call("GetContextByTypeAndName", by_name("headwater.Run", f"churn/{run}")).context
        assert context.type_id == type_id
        context.properties["commit"].string_value = commit
        sweep.call("PutContexts", rpc.PutContextsRequest(contexts=[context]))

    assert listed(sweep, is_(Field.COMMIT, EQUAL, "abc1")) == ["a"]
    assert listed(sweep, is_(Field.COMMIT, Field.LIKE, "ab%"), order_by=Field.COMMIT) == ["b", "a"]


def test_a_pipeline_lists_its_own_runs_only(call):
    for pipeline in ("churn", "sales"):
        Recorded(call, pipeline).start("monday", start_ms=5)
    Recorded(call, "sales").start("sub", start_ms=6, parent=pp.RunName(pipeline="churn", run="monday"))

    assert listed(Recorded(call)) == ["monday"]
    assert listed(Recorded(call, "sales")) == ["sub", "monday"]
    assert listed(Recorded(call), pipeline="") == ["sub", "monday", "monday"]


def test_the_value_of_a_metric_is_the_newest_attempts_and_a_series_last(churn):
    churn.start("one", start_ms=1)
    churn.start("two", start_ms=2)
    churn.step("one", "train", state=pp.FAILED, metrics=[pp.Metric(name="auc", value=0.9)])
    churn.step("one", "train", metrics=[pp.Metric(name="auc", value=0.1), pp.Metric(name="f1", value=1)])
    series = [pp.Metric(name="auc", step=step, value=value) for step, value in enumerate([0.9, 0.8, 0.3])]
    churn.step("two", "train", code="2", metrics=series)

    assert listed(churn, order_by=Field.METRIC, order_name="auc") == ["two", "one"]
    assert listed(churn, is_(Field.METRIC, GREATER, 0.5, "auc")) == []
    runs = churn.call("ListRuns", pp.ListRunsRequest(pipeline="churn")).runs
    assert [dict(run.metrics) for run in runs] == [{"auc": 0.3}, {"auc": 0.1, "f1": 1.0}]


def test_a_run_is_told_whole(call):
    churn = Recorded(call)
    parent_id = Recorded(call, "nightly").start("sunday", start_ms=1)
    run_id = churn.start(
        "monday",
        parameters={"lr": 0.1, "layers": {"first": 3}},
        steps={"load": [], "train": ["load"]},
        start_ms=1000,
        owner="ann",
        trigger="airflow",
        description="nightly",
        tags={"team": "x"},
        code=pp.CodeVersion(commit="abc", is_dirty=False),
        environment=pp.Environment(python="3.11.7", other={"cuda": "12"}),
        parent=pp.RunName(pipeline="nightly", run="sunday"),
    )
    churn.step("monday", "load", state=pp.FAILED)
    churn.step("monday", "load", metrics=[pp.Metric(name="rows", value=7)])
    churn.step("monday", "train", state=pp.FAILED)
    churn.finish_run("monday", pp.FAILED, "out of memory")

    run = churn.call("GetRun", pp.GetRunRequest(pipeline="churn", run="monday")).run

    assert run.end_ms >= 1000
    assert run == pp.RunInfo(
        run_id=run_id,
        pipeline_id=run.pipeline_id,
        pipeline="churn",
        run="monday",
        state=pp.FAILED,
        start_ms=1000,
        end_ms=run.end_ms,
        error="out of memory",
        parameters={"lr": to_value(0.1), "layers": to_value({"first": 3})},
        metrics={"rows": 7.0},
        tags={"team": "x"},
        owner="ann",
        trigger="airflow",
        description="nightly",
        code=pp.CodeVersion(commit="abc", is_dirty=False),
        environment=pp.Environment(python="3.11.7", other={"cuda": "12"}),
        steps={"COMPLETE": 1, "FAILED": 1},
        parent_run_ids=[parent_id],
        planned_steps=[
            pp.StartRunRequest.PlannedStep(step="load"),
            pp.StartRunRequest.PlannedStep(step="train", after=["load"]),
        ],
    )
    assert churn.call("GetRun", pp.GetRunRequest(run_id=run_id)).run == run
    assert churn.call("ListRuns", pp.ListRunsRequest(pipeline="churn")).runs == [run]


def test_a_run_with_very_many_metrics_is_told_whole(churn):
    names = [f"metric-{number}" for number in range(2_000)]
    finished = churn.step("monday", "train", metrics=[pp.Metric(name=name, value=1) for name in names])

    run = churn.call("GetRun", pp.GetRunRequest(run_id=finished.run_id)).run

    assert dict(run.metrics) == dict.fromkeys(names, 1.0)


def test_a_token_is_for_its_own_listing_only(sweep):
    request = pp.ListRunsRequest(pipeline="churn", page_size=1)
    token = sweep.call("ListRuns", request).next_page_token

    again = pp.ListRunsRequest(pipeline="churn", page_size=2, page_token=token)
    assert [run.run for run in sweep.call("ListRuns", again).runs] == ["d", "c"]
    for other in (
        pp.ListRunsRequest(page_token=token),
        pp.ListRunsRequest(pipeline="churn", ascending=True, page_token=token),
        pp.ListRunsRequest(pipeline="churn", where=[is_(Field.NAME, EQUAL, "a")], page_token=token),
    ):
        with pytest.raises(InvalidRequest, match="page_token belongs to another listing"):
            sweep.call("ListRuns", other)
    for damaged in ("x", token[:-3], "W10", "é", "bnVsbA"):
        with pytest.raises(InvalidRequest, match="page_token is not one that this service gave"):
            sweep.call("ListRuns", pp.ListRunsRequest(pipeline="churn", page_token=damaged))


WRONG = {
    "page_size must be from 1 to 1000, and is 1001": pp.ListRunsRequest(page_size=1001),
    "METRIC in order_by needs a name": pp.ListRunsRequest(order_by=Field.METRIC),
    "STATE takes no name, and is given 'x'": pp.ListRunsRequest(order_by=Field.STATE, order_name="x"),
    "a condition has no field that is known": pp.ListRunsRequest(where=[pp.RunCondition()]),
    "the condition on OWNER has no operator": pp.ListRunsRequest(where=[is_(Field.OWNER, 0, "x")]),
    "METRIC auc is a number; compare it with one, not with 'x'": pp.ListRunsRequest(
        where=[is_(Field.METRIC, EQUAL, "x", "auc")]
    ),
    "OWNER is a text; compare it with one, not with 5": pp.ListRunsRequest(
        where=[is_(Field.OWNER, EQUAL, 5)]
    ),
    "a run is never 'DONE'; its state is one of RUNNING": pp.ListRunsRequest(
        where=[is_(Field.STATE, EQUAL, "DONE")]
    ),
    "truth values are equal or not": pp.ListRunsRequest(where=[is_(Field.PARAMETER, LESS, True, "x")]),
    "needs a value that is a number, a text": pp.ListRunsRequest(
        where=[is_(Field.PARAMETER, EQUAL, {"a": 1}, "x")]
    ),
    "ends with a single backslash": pp.ListRunsRequest(where=[is_(Field.NAME, Field.LIKE, "a\\")]),
    "only = and != make sense": pp.ListRunsRequest(where=[is_(Field.METRIC, LESS, math.nan, "auc")]),
    "PARAMETER lr is never inf": pp.ListRunsRequest(where=[is_(Field.PARAMETER, LESS, math.inf, "lr")]),
    "21 conditions are more than 20": pp.ListRunsRequest(where=[is_(Field.NAME, EQUAL, "a")] * 21),
}


@pytest.mark.backends("sqlite")
@pytest.mark.parametrize("message", WRONG)
def test_a_listing_that_cannot_be_is_refused(churn, message):
    with pytest.raises(InvalidRequest, match=re.escape(message)):
        churn.call("ListRuns", WRONG[message])


@pytest.mark.backends("sqlite")
def test_what_is_not_there_is_not_found(churn):
    assert churn.call("ListRuns", pp.ListRunsRequest()) == pp.ListRunsResponse()
    for when in ("empty", "full"):
        with pytest.raises(NotFound, match="there is no pipeline 'none'"):
            churn.call("ListRuns", pp.ListRunsRequest(pipeline="none"))
        with pytest.raises(NotFound, match="there is no pipeline 'none'"):
            churn.call("GetRun", pp.GetRunRequest(pipeline="none", run="monday"))
        with pytest.raises(NotFound, match="there is no run with id 999"):
            churn.call("GetRun", pp.GetRunRequest(run_id=999))
        if when == "empty":
            churn.start("monday")
    with pytest.raises(NotFound, match="pipeline 'churn' has no run 'sunday'"):
        churn.call("GetRun", pp.GetRunRequest(pipeline="churn", run="sunday"))
    with pytest.raises(InvalidRequest, match="not both"):
        churn.call("GetRun", pp.GetRunRequest(pipeline="churn", run="monday", run_id=1))
