"""What a step would be, asked without doing anything: in process and over gRPC."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from proxies import Proxy
from recording.seeing import attempts, executions, runs

from headwater import testing
from headwater.client import Found
from headwater.errors import HeadwaterError, InvalidRequest


@pytest.fixture(params=["in process", "over gRPC"])
def store(request: pytest.FixtureRequest, connect: Callable[..., Any], client: Any) -> Iterator[Any]:
    if request.param == "in process":
        yield client
    else:
        with testing.server() as target:
            yield connect(target)


def train(run: Any, raw: Path, out: Path, *, lr: float = 0.1, **options: Any) -> Any:
    """The step, with an input and a parameter, not begun."""
    options = {"version": "1", **options}
    return run.step("train", inputs={"table": raw}, params={"lr": lr}, outputs="model", **options)


def do(store: Any, raw: Path, out: Path, **options: Any) -> Any:
    with store.run("churn") as run, train(run, raw, out, **options) as step:
        if step.must_run:
            out.write_text("model")
            step.output("model", out)
    return step


def test_a_step_that_was_never_done_would_run_and_nothing_is_recorded(store, raw, tmp_path, spool_root):
    found = train(store.run("churn", name="monday"), raw, tmp_path / "out").look_up()

    assert (found.is_hit, found.why) == (False, "not completed before in this pipeline")
    assert found.fingerprint.startswith("hw1:")
    assert (found.outputs, found.execution_id) == ({}, None)
    assert (attempts(store), runs(store)) == ([], [])
    assert not list(spool_root.rglob("*.open"))


def test_a_step_that_was_done_is_a_hit_with_its_outputs(store, raw, tmp_path):
    done = do(store, raw, tmp_path / "out")

    found = train(store.run("churn"), raw, tmp_path / "out").look_up()

    assert isinstance(found, Found)
    assert (found.is_hit, found.fingerprint) == (True, done.fingerprint)
    assert found.execution_id == done.execution_id
    assert found.outputs["model"].artifact_id == done.outputs["model"].artifact_id
    assert len(executions(store, "train")) == 1
    do(store, raw, tmp_path / "out")
    assert [one.why for one in store.steps("churn")] == [found.why]


def test_the_reason_is_the_one_that_the_attempt_gives_then(store, raw, tmp_path):
    do(store, raw, tmp_path / "out")

    found = train(store.run("churn"), raw, tmp_path / "out", lr=0.2).look_up()

    assert found.why == "parameter:lr changed from 0.1 to 0.2"
    assert found.why == do(store, raw, tmp_path / "out", lr=0.2).why


def test_a_hit_whose_output_was_altered_is_none_and_stays_fit(store, raw, tmp_path):
    out = tmp_path / "out"
    do(store, raw, out)
    out.write_text("altered")

    found = train(store.run("churn"), raw, out).look_up()
    out.write_text("model")

    assert not found.is_hit
    assert found.why.startswith("done before, but output 'model': ")
    assert train(store.run("churn"), raw, out).look_up().is_hit


def test_the_check_of_the_step_decides_about_a_hit(store, raw, tmp_path):
    out = tmp_path / "out"
    do(store, raw, out)

    wrong = train(store.run("churn"), raw, out, check=lambda _: {"model": "is of no use"}).look_up()
    right = train(store.run("churn"), raw, out, check=lambda _: {}).look_up()

    assert (wrong.is_hit, right.is_hit) == (False, True)
    assert wrong.why == "done before, but output 'model' is of no use"


def test_an_older_hit_is_found_behind_one_that_is_of_no_use(store, raw, tmp_path):
    out = tmp_path / "out"
    first = do(store, raw, out)
    second = do(store, raw, tmp_path / "other", force=True)

    def check(outputs: Any) -> dict[str, str]:
        return {} if outputs["model"].path == out else {"model": "lies elsewhere"}

    found = train(store.run("churn"), raw, out, check=check).look_up()

    assert (found.execution_id, first.execution_id < second.execution_id) == (first.execution_id, True)


def test_it_does_not_wait_for_who_is_computing_the_same(store, raw, tmp_path):
    with store.run("churn") as run:
        begun = train(run, raw, tmp_path / "out").begin()

        found = train(store.run("churn"), raw, tmp_path / "out").look_up()

        begun.finish(state="FAILED")
    assert not found.is_hit
    assert found.why == f"is being computed by {store.recorder.worker} (execution {begun.execution_id})"


def test_a_step_can_be_begun_after_it_was_looked_up(store, raw, tmp_path):
    do(store, raw, tmp_path / "out")
    with store.run("churn") as run:
        step = train(run, raw, tmp_path / "out")

        assert step.look_up().is_hit
        assert not step.is_hit
        with step:
            assert step.is_hit
    assert attempts(store) == [("train", "COMPLETE"), ("train", "CACHED")]


def test_no_lease_is_taken(store, raw, tmp_path):
    before = set(threading.enumerate())
    step = train(store.run("churn"), raw, tmp_path / "out")
    step.look_up()

    assert step.run.recorder.heartbeat.tokens == []
    assert "headwater-heartbeat" not in [one.name for one in set(threading.enumerate()) - before]
    assert do(store, raw, tmp_path / "out").attempt == 1


def test_a_store_that_is_away_is_an_error_and_nothing_is_spooled(connect, raw, tmp_path, spool_root):
    with testing.server() as target, Proxy(target) as proxy:
        store = connect(proxy.address, timeout_s=2)
        proxy.refuse()

        with pytest.raises(HeadwaterError):
            train(store.run("churn"), raw, tmp_path / "out").look_up()
    assert not list(spool_root.rglob("*.open"))


def test_what_cannot_be_recorded_is_refused_as_it_would_be_then(store, raw, tmp_path):
    with pytest.raises(InvalidRequest, match="is not there"):
        train(store.run("churn"), tmp_path / "absent", tmp_path / "out").look_up()
