"""What this process computes itself: it does not wait for that, and gives back what it holds."""

import asyncio
import threading

import pytest
from recording.seeing import attempts, executions

from headwater.errors import InvalidRequest


def numbers(count):
    yield from range(count)


def at_once(work):
    """What ``work`` gives, in a thread that is left behind if it stands still."""
    found = []
    thread = threading.Thread(target=lambda: found.append(work()), daemon=True)
    thread.start()
    thread.join(20)
    assert found, "it waits for itself"
    return found[0]


def test_a_generator_does_not_wait_for_itself(client):
    with client.run("churn") as run:
        found = at_once(lambda: list(zip(run.call(numbers, 2), run.call(numbers, 2), strict=True)))

    assert found == [(0, 0), (1, 1)]


def test_a_step_within_itself_does_not_wait(client):
    def nested():
        with run.step("a", version="1"), run.step("a", version="1") as inner:
            return inner.must_run

    with client.run("churn") as run:
        assert at_once(nested)
    assert attempts(client) == [("a", "COMPLETE")] * 2


def test_a_task_within_a_step_does_not_wait_for_it(client):
    async def inner():
        async with run.step("a", version="1") as step:
            return step.must_run

    async def outer():
        async with run.step("a", version="1"):
            return await asyncio.create_task(inner())

    with client.run("churn") as run:
        assert at_once(lambda: asyncio.run(outer()))


def test_a_task_that_is_cancelled_while_its_step_begins_gives_the_lease_back(client):
    async def slow(number):
        return number

    async def main(run):
        task = asyncio.create_task(run.call(slow, 1))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        held = len(client.recorder.heartbeat.tokens)
        return held, await asyncio.wait_for(run.call(slow, 1), 20)

    with client.run("churn") as run:
        # The lease of the run itself.
        assert asyncio.run(main(run)) == (1, 1)
    assert [state for _, state in attempts(client)][-1] == "COMPLETE"


def test_whatever_goes_wrong_at_the_end_the_lease_is_given_back(client):
    with client.run("churn") as run:
        for _ in range(2):
            with pytest.raises(UnicodeEncodeError), run.step("a", version="1") as step:
                step.output("o", value=1, type="\ud800")
            assert len(client.recorder.heartbeat.tokens) == 1

    assert attempts(client) == [("a", "FAILED")] * 2
    assert "UnicodeEncodeError" in executions(client, "a")[0].properties["error"].string_value


def test_a_run_is_resumed_by_whatever_names_it(client):
    with client.run("churn", name="one") as run:
        pass
    (info,) = client.runs("churn")
    for given in (run, info, "churn/one"):
        with client.resume(given) as again:
            assert (again.pipeline, again.name, again.run_id) == ("churn", "one", run.run_id)
    for wrong in ("churn", "churn/"):
        with pytest.raises(InvalidRequest, match="names no run"):
            client.resume(wrong)


def test_the_environment_resumes_one_run_of_a_process(client, monkeypatch):
    with client.run("churn", name="test-once"):
        pass
    monkeypatch.setenv("HEADWATER_RESUME", "churn/test-once")
    names = []
    for _ in range(2):
        with client.run("churn") as run:
            names.append(run.name)

    assert names[0] == "test-once"
    assert names[1] != "test-once"
