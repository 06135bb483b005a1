"""Generators as steps: from the first item that is asked for until the last one."""

from pathlib import Path

import pytest
from recording.seeing import attempts, ends, executions

from headwater.client.recording import current_step

CALLS: list[str] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    CALLS.clear()


def parts(directory: str, count: int):
    CALLS.append("parts")
    for number in range(count):
        path = Path(directory) / f"part-{number}"
        path.write_text(str(number))
        yield path
    return "done"


def test_files_come_as_outputs_and_a_later_call_gives_the_same(client, tmp_path):
    found = []
    for _ in range(2):
        with client.run("churn") as run:
            found.append([(one.path, one.digest) for one in run.call(parts, str(tmp_path), 3)])

    assert found[0] == found[1]
    assert [path.name for path, _ in found[0]] == ["part-0", "part-1", "part-2"]
    assert CALLS == ["parts"]
    assert attempts(client) == [("parts", "COMPLETE"), ("parts", "CACHED")]
    assert list(ends(client, executions(client, "parts")[0].id)["OUTPUT"]) == [
        "output[0]", "output[1]", "output[2]", "return",
    ]  # fmt: skip


def test_nothing_is_recorded_before_the_first_item_is_asked_for(client, tmp_path):
    with client.run("churn") as run:
        items = run.call(parts, str(tmp_path), 2)
        assert attempts(client) == []
        next(items)
        assert attempts(client) == [("parts", "RUNNING")]
        assert len(list(items)) == 1
        assert attempts(client) == [("parts", "COMPLETE")]


def test_a_file_is_read_when_it_is_handed_over(client, tmp_path):
    with client.run("churn") as run:
        items = run.call(parts, str(tmp_path), 2)
        first = next(items)
        first.path.write_text("changed by the consumer")
        list(items)

    assert first.size_bytes == 1


def test_other_items_are_passed_on_and_not_kept(client):
    def rows():
        CALLS.append("rows")
        yield from range(3)

    for _ in range(2):
        with client.run("churn") as run:
            assert list(run.call(rows)) == [0, 1, 2]

    assert CALLS == ["rows", "rows"]
    assert attempts(client) == [("rows", "COMPLETE")] * 2


def test_who_stops_early_cancels_the_step_and_closes_the_generator(client, tmp_path):
    def rows():
        try:
            yield from range(100)
        finally:
            CALLS.append("closed")

    with client.run("churn") as run:
        items = run.call(rows)
        next(items)
        items.close()

    assert CALLS == ["closed"]
    assert attempts(client) == [("rows", "CANCELED")]


def test_an_error_inside_fails_the_step(client):
    error = ValueError("row 2")

    def rows():
        yield 1
        raise error

    with client.run("churn") as run, pytest.raises(ValueError) as raised:
        list(run.call(rows))

    assert raised.value is error
    assert attempts(client) == [("rows", "FAILED")]


def test_what_is_sent_and_thrown_arrives(client):
    def echo():
        got = yield "ready"
        while got != "end":
            try:
                got = yield got
            except KeyError:
                got = yield "caught"
        return "result"

    with client.run("churn") as run:
        items = run.call(echo)
        assert next(items) == "ready"
        assert items.send("a") == "a"
        assert items.throw(KeyError()) == "caught"
        with pytest.raises(StopIteration) as ended:
            items.send("end")

    assert ended.value.value == "result"
    assert attempts(client) == [("echo", "COMPLETE")]


def test_the_step_is_current_for_its_own_code_and_not_for_the_consumers(client):
    seen = []

    def rows():
        for number in range(2):
            seen.append(current_step().name)
            yield number
        seen.append(current_step().name)

    with client.run("churn") as run:
        for _ in run.call(rows):
            assert current_step() is None

    assert seen == ["rows"] * 3


def test_two_generators_in_turns_are_two_steps(client, tmp_path):
    def numbers(name):
        for _ in range(3):
            yield current_step().key

    with client.run("churn") as run:
        pairs = list(zip(run.call(numbers, "a"), run.call(numbers, "b"), strict=True))

    assert len(set(pairs)) == 1
    assert len(set(pairs[0])) == 2
