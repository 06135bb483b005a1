"""Runs: what is recorded of them, and how they are opened, joined, closed and resumed."""

import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from recording.seeing import attempts, executions, runs

from headwater.client.recording import current_run
from headwater.errors import FailedPrecondition, InvalidRequest
from headwater.storage.values import struct_in
from headwater.v1 import pipelines_pb2 as pp

CALLS: list[object] = []
FAILS: list[bool] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    # Read and changed in one function, these are state and no part of a step's code.
    for kept in (CALLS, FAILS):
        kept.clear()
    while CALLS or FAILS:
        CALLS.pop()
        FAILS.pop()


def the_run(client):
    (run,) = client.list_contexts(type="headwater.Run")
    return run


def test_what_is_recorded_of_a_run(client):
    with client.run(
        "churn",
        name="monday",
        params={"lr": 0.1, "layers": [1, 2]},
        tags={"team": "ml"},
        owner="ann",
        trigger="test",
        description="a try",
        steps={"clean": [], "train": ["clean"]},
        properties={"ticket": "ML-1"},
    ):
        assert runs(client) == [("churn/monday", "RUNNING")]

    run = the_run(client)
    assert runs(client) == [("churn/monday", "COMPLETE")]
    assert run.custom_properties["parameter.lr"].double_value == 0.1
    assert run.custom_properties["parameter.layers"].string_value == "[1,2]"
    assert run.custom_properties["tag.team"].string_value == "ml"
    assert run.custom_properties["ticket"].string_value == "ML-1"
    texts = {name: run.properties[name].string_value for name in ("owner", "trigger", "description")}
    assert texts == {"owner": "ann", "trigger": "test", "description": "a try"}
    assert run.properties["environment"].struct_value["python"].count(".") == 2
    planned = struct_in(run.properties["steps"])["steps"]
    assert [one["step"] for one in planned] == ["clean", "train"]
    assert list(planned[1]["after"]) == ["clean"]
    assert run.properties["end_ms"].int_value >= run.properties["start_ms"].int_value


def test_what_is_not_wanted_is_not_captured(client):
    with client.run("churn", capture=False, usage=False) as run, run.step("train"):
        pass

    assert "environment" not in the_run(client).properties
    assert "usage" not in executions(client, "train")[0].properties


def test_names_are_new_and_sort_by_time(client):
    names = []
    for _ in range(3):
        with client.run("churn") as run:
            names.append(run.name)

    assert len(set(names)) == 3
    assert [name[:15] for name in names] == sorted(name[:15] for name in names)


def test_a_run_of_a_run_is_its_child(client):
    with client.run("nightly", name="r1") as outer:
        with client.run("churn", name="r2", parent=outer):
            pass
        with client.run("churn", name="r3", parent=("nightly", "r1")):
            pass

    by_name = {run.name: run.id for run in client.list_contexts(type="headwater.Run")}
    children = client.get_children_contexts_by_context(by_name["nightly/r1"])
    assert sorted(child.name for child in children) == ["churn/r2", "churn/r3"]


def test_an_exception_fails_the_run_and_comes_out_as_it_is(client):
    error = ValueError("no")
    with pytest.raises(ValueError) as raised, client.run("churn", name="r"):
        raise error

    assert raised.value is error
    assert runs(client) == [("churn/r", "FAILED")]
    assert the_run(client).properties["error"].string_value.endswith("ValueError: no\n")


def test_the_name_of_a_closed_run_is_taken(client):
    with client.run("churn", name="r"):
        pass
    with pytest.raises(FailedPrecondition, match="is COMPLETE"), client.run("churn", name="r"):
        raise AssertionError("the body ran")


def prepare():
    CALLS.append("prepare")
    return 1


def train(number):
    CALLS.append("train")
    if FAILS:
        raise ValueError("out of memory")
    return number + 1


def fit(run):
    return run.call(train, run.call(prepare))


def test_a_run_is_resumed_with_its_done_steps_as_hits(client):
    with pytest.raises(ValueError), client.run("churn", name="r") as run:
        FAILS.append(True)
        fit(run)
    FAILS.clear()
    with client.resume("churn", run="r") as run:
        assert fit(run) == 2

    assert CALLS == ["prepare", "train", "train"]
    assert runs(client) == [("churn/r", "COMPLETE")]
    assert "error" not in the_run(client).properties
    assert attempts(client) == [
        ("prepare", "COMPLETE"), ("train", "FAILED"), ("prepare", "CACHED"), ("train", "COMPLETE"),
    ]  # fmt: skip


def test_a_run_that_was_joined_is_closed_by_who_opened_it(client):
    with client.run("churn", name="r") as run:
        with client.run("churn", name="r", join=True) as joined:
            joined.call(len, "abc")
        assert runs(client) == [("churn/r", "RUNNING")]
        run.call(len, "abcd")

    assert runs(client) == [("churn/r", "COMPLETE")]
    assert attempts(client) == [("len", "COMPLETE")] * 2


def test_a_run_can_be_opened_and_closed_by_calls(client):
    run = client.run("churn", name="r").start()
    run.call(len, "abc")
    run.finish(state="FAILED", error="the user said so")

    assert runs(client) == [("churn/r", "FAILED")]
    with pytest.raises(FailedPrecondition, match="is over"):
        run.finish()
    with pytest.raises(FailedPrecondition, match="was started before"):
        run.start()


def test_a_run_that_is_not_started_has_no_steps(client):
    with pytest.raises(FailedPrecondition, match="is not started"):
        client.run("churn").call(len, "abc")


@pytest.mark.parametrize(
    "options",
    [
        {"pipeline": ""}, {"pipeline": "x" * 101}, {"name": ""}, {"name": "x" * 141}, {"join": True},
        {"params": {"callback": print}}, {"properties": {"x": print}}, {"lease_s": 0}, {"timeout_s": -1},
        {"cache": "sometimes"},
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_is_refused_at_once(client, options):
    with pytest.raises(InvalidRequest):
        client.run(**{"pipeline": "churn", **options})


def test_a_pipeline_with_a_slash_is_refused_by_the_store(client):
    with pytest.raises(InvalidRequest, match="slash"), client.run("a/b"):
        pass


def test_threads_have_steps_of_their_own(client):
    seen = {}
    barrier = threading.Barrier(8)

    def work(number):
        with run.step(f"work[{number}]", version="1") as step:
            barrier.wait(30)
            step.output("n", value=number)
            from headwater.client.recording import current_step

            seen[number] = current_step().name

    with client.run("churn") as run, ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))

    assert seen == {number: f"work[{number}]" for number in range(8)}
    assert sorted(attempts(client)) == sorted((f"work[{number}]", "COMPLETE") for number in range(8))


def test_a_thread_finds_the_only_run_and_none_of_several(client):
    def look():
        found.append(current_run())

    found = []
    with client.run("a") as first:
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        with client.run("b") as second:
            thread = threading.Thread(target=look)
            thread.start()
            thread.join()
            context = contextvars.copy_context()
            thread = threading.Thread(target=context.run, args=(look,))
            thread.start()
            thread.join()

    assert found == [first, None, second]


def slow(number):
    CALLS.append(number)
    # Long enough for others to find it at work.
    threading.Event().wait(0.3)
    return number


def test_equal_steps_at_the_same_time_are_computed_once(client):
    with client.run("churn") as run, ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: run.call(slow, 7), range(4)))

    assert found == [7] * 4
    assert CALLS == [7]
    assert sorted(state for _, state in attempts(client)) == ["CACHED"] * 3 + ["COMPLETE"]


@pytest.mark.parametrize("options", [{"wait_timeout": 0.2}, {"never_waits": True}], ids=str)
def test_who_does_not_want_to_wait_computes_too(client, options):
    with client.run("churn") as run:
        first = run.step("train", version="1").begin()
        second = run.step("train", version="1", **options).begin()
        second.output("n", value=2)
        second.finish()
        first.output("n", value=1)
        first.finish()

    assert second.must_run
    assert attempts(client) == [("train", "COMPLETE")] * 2


def test_a_failure_lets_the_next_in(client):
    """Of two who need the same, the second computes it when the first has failed."""
    with client.run("churn") as run:
        first = run.step("train", version="1").begin()
        begun = []
        thread = threading.Thread(target=lambda: begun.append(run.step("train", version="1").begin()))
        thread.start()
        first.finish(state="FAILED", error="no")
        thread.join(30)
        begun[0].output("n", value=1)
        begun[0].finish()

    assert begun[0].must_run
    assert attempts(client) == [("train", "FAILED"), ("train", "COMPLETE")]


def test_a_run_that_nobody_renewed_is_closed_when_the_next_begins(client):
    """What a killed process leaves: a run and a step whose leases end."""
    request = pp.StartRunRequest(pipeline="churn", run="dead", worker="gone:1", lease_ms=1)
    client._ask(request, pp.StartRunResponse)
    begin = pp.BeginStepRequest(
        pipeline="churn", run="dead", step="train", key="k", worker="gone:1", lease_ms=1
    )
    client._ask(begin, pp.BeginStepResponse)

    with client.run("churn", name="alive") as run:
        done = threading.Event()
        # Behind what the run left to its thread.
        run.recorder.heartbeat.do_soon(done.set)
        assert done.wait(30)

    assert runs(client) == [("churn/dead", "FAILED"), ("churn/alive", "COMPLETE")]
    assert attempts(client) == [("train", "FAILED")]
    assert "gone:1 was not heard of" in executions(client, "train")[0].properties["error"].string_value


def test_leases_are_renewed_while_a_step_works(client):
    with client.run("churn", lease_s=0.3) as run:
        with run.step("train", version="1") as step:
            end = threading.Event()
            end.wait(1.0)
            # Its time is over more than three times, and nobody ended it.
            answer = client._ask(pp.EndExpiredLeasesRequest(), pp.EndExpiredLeasesResponse)
            step.output("n", value=1)
        assert len(run.recorder.heartbeat.tokens) == 1

    assert list(answer.execution_ids) == []
    assert not step.lease_lost
    assert run.recorder.heartbeat.tokens == []
    assert attempts(client) == [("train", "COMPLETE")]


def test_a_lease_that_was_lost_is_said_once_and_the_outcome_is_kept(client, caplog):
    with client.run("churn") as run:
        step = run.step("train", version="1").begin()
        _expire(client, step)
        step.output("n", value=1)
        step.finish()

    assert step.lease_lost
    assert caplog.text.count("the lease of step 'train'") == 1
    assert attempts(client) == [("train", "COMPLETE")]


def _expire(client, step) -> None:
    """End the lease of a step, as after a minute without renewal."""
    from headwater.storage.leases import drop, leases_by_token

    client.transport._database.write(
        lambda tx: [drop(tx, lease) for lease in leases_by_token(tx, [step._token])]
    )
