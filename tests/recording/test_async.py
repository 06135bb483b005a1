"""Asynchronous steps: the event loop goes on while the store is asked."""

import asyncio
import threading
import time
from pathlib import Path

import pytest
from recording.seeing import attempts

from headwater.client.recording import current_run, current_step

CALLS: list[str] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    CALLS.clear()


async def work(number):
    CALLS.append(f"work {number}")
    await asyncio.sleep(0)
    return number * 2


def test_a_coroutine_that_was_done_is_skipped(client):
    async def main():
        async with client.run("churn") as run:
            return [await run.call(work, 3), await run.call(work, 3)]

    assert asyncio.run(main()) == [6, 6]
    assert CALLS == ["work 3"]
    assert attempts(client) == [("work", "COMPLETE"), ("work", "CACHED")]


def test_tasks_have_steps_of_their_own(client):
    seen = {}

    async def look(number):
        await asyncio.sleep(0)
        seen[number] = (current_run().name, current_step().name, current_step().key)
        return number

    async def main():
        async with client.run("churn", name="r") as run:
            steps = [run.step(f"look[{number}]")(look) for number in range(10)]
            return await asyncio.gather(*(step(number) for number, step in enumerate(steps)))

    assert asyncio.run(main()) == list(range(10))
    assert {name for _, name, _ in seen.values()} == {f"look[{number}]" for number in range(10)}
    assert len({key for *_, key in seen.values()}) == 10
    assert {name for name, *_ in seen.values()} == {"r"}


def test_blocks_are_steps_too(client, raw):
    async def main():
        async with client.run("churn") as run, run.step("train", inputs={"table": raw}, version="1") as step:
            step.output("n", value=1)
            assert current_step() is step

    asyncio.run(main())
    assert attempts(client) == [("train", "COMPLETE")]


def test_an_error_fails_the_step_and_comes_out_as_it_is(client):
    error = ValueError("no")

    async def fail():
        raise error

    async def main():
        async with client.run("churn") as run:
            await run.call(fail)

    with pytest.raises(ValueError) as raised:
        asyncio.run(main())
    assert raised.value is error
    assert attempts(client) == [("fail", "FAILED")]


def test_a_task_that_is_cancelled_is_recorded_as_such(client):
    begun = threading.Event()

    async def wait():
        begun.set()
        await asyncio.sleep(3600)

    async def main():
        async with client.run("churn") as run:
            task = asyncio.ensure_future(run.call(wait))
            while not begun.is_set():
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    assert attempts(client) == [("wait", "CANCELED")]


def test_asynchronous_generators_are_steps(client, tmp_path):
    async def parts(directory):
        CALLS.append("parts")
        for number in range(3):
            path = Path(directory) / str(number)
            path.write_text(str(number))
            yield path

    async def main():
        async with client.run("churn") as run:
            return [one.path.name async for one in run.call(parts, str(tmp_path))]

    assert [asyncio.run(main()) for _ in range(2)] == [["0", "1", "2"]] * 2
    assert CALLS == ["parts"]


def test_an_asynchronous_generator_that_is_left_early_is_cancelled(client):
    async def rows():
        try:
            for number in range(100):
                yield number
        finally:
            CALLS.append("closed")

    async def main():
        async with client.run("churn") as run:
            items = run.call(rows)
            assert await items.__anext__() == 0
            await items.aclose()

    asyncio.run(main())
    assert CALLS == ["closed"]
    assert attempts(client) == [("rows", "CANCELED")]


def test_the_loop_goes_on_while_a_step_waits_for_another(client):
    """One task computes; another needs the same, and waits without holding up the first."""

    async def slow(number):
        CALLS.append("slow")
        for _ in range(20):
            await asyncio.sleep(0.01)
        return number

    async def main():
        async with client.run("churn") as run:
            return await asyncio.gather(*(run.call(slow, 1) for _ in range(4)))

    began = time.monotonic()
    assert asyncio.run(main()) == [1, 1, 1, 1]
    assert CALLS == ["slow"]
    assert time.monotonic() - began < 20
    assert sorted(state for _, state in attempts(client)) == ["CACHED"] * 3 + ["COMPLETE"]
