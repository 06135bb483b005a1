"""``headwater spool``: what waits on this machine, and telling it to a store."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from headwater.cli.spool import spool
from headwater.client.recording import places
from headwater.client.recording.spool import SpoolWriter
from headwater.v1 import pipelines_pb2 as pp


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where spools are; a directory of the test's own."""
    monkeypatch.setenv("HEADWATER_SPOOL_DIR", str(tmp_path / "spool"))
    return tmp_path / "spool"


@pytest.fixture
def nowhere() -> Iterator[str]:
    """An address where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(spool, [str(one) for one in arguments], catch_exceptions=False)


def write(target: str, *requests) -> Path:
    """Put requests into the spool of a store; its directory."""
    directory = places.spool_directory(target)
    writer = SpoolWriter(directory, target=target)
    for request in requests:
        writer.write(request)
    writer.close()
    return directory


def done(step: str, state=pp.COMPLETE) -> pp.FinishStepRequest:
    begin = pp.BeginStepRequest(pipeline="churn", run="monday", step=step, key=f"key of {step}")
    return pp.FinishStepRequest(key=begin.key, state=state, begin=begin)


def test_where_nothing_waits_it_says_so():
    assert run("status").output == "nothing waits\n"
    assert json.loads(run("status", "--json").output) == []


def test_what_waits_is_shown_by_store():
    write("b.example:8080", done("train"))
    write("postgresql://me:secret@db/mlmd", done("clean"), done("train"))

    shown = run("status")
    as_json = json.loads(run("status", "--json").output)

    assert shown.exit_code == 0
    assert "secret" not in shown.output
    assert [(one["target"], one["records"], one["refused"]) for one in as_json] == [
        ("b.example:8080", 1, 0),
        ("postgresql://me@db/mlmd", 2, 0),
    ]
    lines = shown.output.splitlines()
    assert lines[0].split()[:3] == ["store", "records", "bytes"]
    assert lines[1].split()[:2] == ["b.example:8080", "1"]


def test_records_are_told_to_their_store(url):
    write(url, done("clean"), done("train"))

    told = run("replay", "--database-url", url) if _make(url) else None

    assert (told.exit_code, told.output) == (0, "2 records told\n")
    assert run("status").output == "nothing waits\n"
    assert _steps(url) == ["clean", "train"]


def test_records_of_a_store_that_moved_are_told_to_the_new_one(url):
    write("old.example:8080", done("train"))
    _make(url)

    told = run("replay", "--database-url", url, "--from", "old.example:8080", "--json")

    assert json.loads(told.output)["sent"] == 1
    assert _steps(url) == ["train"]


def test_where_others_have_something_they_are_named(url):
    write("old.example:8080", done("train"))
    _make(url)

    told = CliRunner().invoke(spool, ["replay", "--database-url", url])

    assert told.exit_code == 0
    assert "nothing waits for sqlite:///" in told.output
    assert "old.example:8080: name one with --from" in told.output


def test_what_is_refused_is_said_and_can_be_told_again(url):
    directory = write(url, done("clean"), done("train", state=pp.RUNNING))
    _make(url)

    first = run("replay", "--database-url", url)
    second = run("replay", "--database-url", url, "--refused")

    assert first.exit_code == 1
    assert first.output.startswith(
        f"1 records told\n1 records refused; they lie in {directory / 'refused'}:\n"
    )
    assert "a step ends as COMPLETE" in first.output
    assert (second.exit_code, second.output.splitlines()[0]) == (1, "0 records told")
    assert json.loads(run("status", "--json").output)[0]["refused"] == 1


def test_a_store_that_is_away_leaves_everything_as_it_was(nowhere):
    write(nowhere, done("train"))

    told = run("replay", "--target", nowhere, "--timeout-s", 1)

    assert told.exit_code == 1
    assert "1 files still wait: Unavailable" in told.output
    assert json.loads(run("status", "--json").output)[0]["records"] == 1


def test_damaged_places_are_said(url):
    directory = write(url, done("clean"), done("train"))
    (path,) = directory.glob("*.spool")
    path.write_bytes(path.read_bytes()[:-3])
    _make(url)

    told = run("replay", "--database-url", url)

    assert told.exit_code == 0
    assert (
        told.output
        == f"1 records told\n1 damaged places skipped; their files lie in {directory / 'damaged'}\n"
    )


def _make(url: str) -> bool:
    from headwater import connect

    connect(url).close()
    return True


def _steps(url: str) -> list[str]:
    from headwater import connect

    with connect(url) as store:
        found = sorted(store.list_executions(type="headwater.Step"), key=lambda one: one.id)
        return [one.properties["step"].string_value for one in found]
