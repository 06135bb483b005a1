"""What a process puts into its spool, who may take it out, and what becomes of what is damaged or refused."""

import json
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from headwater import errors
from headwater.client.recording import places
from headwater.client.recording.frames import frame
from headwater.client.recording.replay import replay, take_back_refused, waiting, waiting_files
from headwater.client.recording.spool import SpoolWriter
from headwater.v1 import pipelines_pb2 as pp

TARGET = "db.example:8080"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return places.spool_directory(TARGET, tmp_path)


@pytest.fixture
def writer(directory: Path) -> SpoolWriter:
    return SpoolWriter(directory, target=TARGET)


def end_of(number: int) -> pp.FinishStepRequest:
    return pp.FinishStepRequest(key=f"key-{number}", state=pp.COMPLETE)


class Store:
    """Takes requests, or raises what a test wants."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.errors: dict[str, errors.HeadwaterError] = {}

    def __call__(self, request):
        key = getattr(request, "key", type(request).__name__)
        if key in self.errors:
            raise self.errors[key]
        self.keys.append(key)
        return pp.FinishStepResponse()


@pytest.fixture
def store() -> Store:
    return Store()


def names(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


def test_what_was_written_is_replayed_in_order_and_is_gone(writer, directory, store):
    for number in range(3):
        assert writer.write(end_of(number))
    writer.close()

    done = replay(directory, store)

    assert (done.sent, done.refused, done.damaged, done.left, done.why_stopped) == (3, 0, 0, 0, "")
    assert store.keys == ["key-0", "key-1", "key-2"]
    assert names(directory) == ["replay.lock", "store.json"]


def test_nothing_is_made_before_the_first_record(writer, directory):
    writer.close()

    assert not directory.exists()
    assert writer.is_empty


def test_only_the_user_can_read_it(writer, directory):
    if os.name == "nt":
        pytest.skip("Windows has other rights")
    writer.write(end_of(0))
    (path,) = directory.glob("*.open")

    assert directory.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_its_process_has_open_is_left_alone(writer, directory, store):
    writer.write(end_of(0))

    assert waiting_files(directory) == []
    assert replay(directory, store).sent == 0
    assert not writer.is_empty


def test_a_replay_twice_sends_once(writer, directory, store):
    writer.write(end_of(0))
    writer.close()

    assert [replay(directory, store).sent for _ in range(2)] == [1, 0]


def test_a_replay_goes_on_where_the_store_went_away(writer, directory, store):
    for number in range(4):
        writer.write(end_of(number))
    writer.close()
    store.errors["key-2"] = errors.Unavailable("gone")

    first = replay(directory, store)
    store.errors.clear()
    second = replay(directory, store)

    assert (first.sent, first.left, first.why_stopped) == (2, 1, "Unavailable: gone")
    assert (second.sent, second.left) == (2, 0)
    assert store.keys == ["key-0", "key-1", "key-2", "key-3"]


def test_a_replay_without_time_does_nothing(writer, directory, store):
    writer.write(end_of(0))
    writer.close()

    done = replay(directory, store, budget_s=0)

    assert (done.sent, done.left, done.why_stopped) == (0, 1, "the time was up")


@pytest.mark.parametrize(
    "error",
    [
        errors.InvalidRequest("no"),
        errors.FailedPrecondition("no"),
        errors.NotFound("no"),
        errors.Internal("no"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_the_store_refuses_is_set_aside_with_the_reason(writer, directory, store, error):
    for number in range(3):
        writer.write(end_of(number))
    writer.close()
    store.errors["key-1"] = error

    done = replay(directory, store)

    assert (done.sent, done.refused, done.left) == (2, 1, 0)
    assert store.keys == ["key-0", "key-2"]
    (reason,) = (directory / "refused").glob("*.json")
    assert json.loads(reason.read_text())["rpc"] == "FinishStep"
    assert "no" in json.loads(reason.read_text())["reason"]


def test_what_was_refused_can_be_told_again(writer, directory, store):
    writer.write(end_of(0))
    writer.close()
    store.errors["key-0"] = errors.InvalidRequest("not yet")
    replay(directory, store)
    store.errors.clear()

    assert take_back_refused(directory) == 1
    assert replay(directory, store).sent == 1
    assert store.keys == ["key-0"]
    assert waiting(directory, TARGET).refused == 0


def test_a_run_that_was_closed_meanwhile_is_no_refusal(writer, directory, store):
    writer.write(pp.StartRunRequest(pipeline="p", run="r"))
    writer.close()
    store.errors["StartRunRequest"] = errors.FailedPrecondition("run 'r' is COMPLETE")

    done = replay(directory, store)

    assert (done.sent, done.refused) == (1, 0)


def test_a_torn_end_is_skipped_and_said_and_the_file_is_kept(writer, directory, store, caplog):
    for number in range(3):
        writer.write(end_of(number))
    (path,) = writer.close()
    path.write_bytes(path.read_bytes()[:-5])

    with caplog.at_level(logging.WARNING, "headwater"):
        done = replay(directory, store)

    assert (done.sent, done.damaged, done.left) == (2, 1, 0)
    assert store.keys == ["key-0", "key-1"]
    assert "has no records from byte" in caplog.text
    assert [path.name for path in (directory / "damaged").iterdir()] == [path.name]
    assert waiting(directory, TARGET).damaged_files == 1


def test_damage_in_the_middle_costs_one_record(writer, directory, store):
    for number in range(3):
        writer.write(end_of(number))
    (path,) = writer.close()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)

    done = replay(directory, store)

    assert (done.sent, done.damaged) == (2, 1)
    assert store.keys == ["key-0", "key-2"]


def test_records_of_a_later_version_are_set_aside(writer, directory, store):
    writer.write(end_of(0))
    (path,) = writer.close()
    path.write_bytes(frame("ForgetEverything", b"") + frame("FinishStep", b"\xff\xff") + path.read_bytes())

    done = replay(directory, store)

    assert (done.sent, done.refused) == (1, 2)
    assert "knows no RPC 'ForgetEverything'" in done.reasons[0]


def test_a_full_spool_keeps_what_it_has_and_says_how_much_is_lost(directory, store, caplog):
    writer = SpoolWriter(directory, target=TARGET, max_bytes=2_000)
    with caplog.at_level(logging.WARNING, "headwater"):
        kept = [writer.write(end_of(number)) for number in range(100)]
        writer.close()

    assert kept == sorted(kept, reverse=True)
    assert 20 < sum(kept) < 100
    assert writer.lost == 100 - sum(kept)
    assert "1 lost so far" in caplog.messages[0]
    assert f"could not keep {writer.lost} records" in caplog.messages[-1]
    assert len(caplog.messages) == 2
    assert replay(directory, store).sent == sum(kept)


def test_where_no_directory_can_be_made_records_are_lost_aloud(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    writer = SpoolWriter(tmp_path / "file" / "spool", target=TARGET)

    with caplog.at_level(logging.WARNING, "headwater"):
        assert not writer.write(end_of(0))

    assert writer.lost == 1
    assert "1 lost so far in this process" in caplog.text


def test_threads_write_whole_records(writer, directory, store):
    def write(first: int) -> None:
        for number in range(first, first + 200):
            writer.write(end_of(number))

    threads = [threading.Thread(target=write, args=(first,)) for first in range(0, 1600, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    done = replay(directory, store)

    assert (done.sent, done.damaged) == (1600, 0)
    assert sorted(store.keys) == sorted(f"key-{number}" for number in range(1600))


def test_what_a_killed_process_wrote_is_replayed(directory, store):
    program = f"""
import os, signal
from pathlib import Path
from headwater.client.recording.spool import SpoolWriter
from headwater.v1 import pipelines_pb2 as pp
writer = SpoolWriter(Path({str(directory)!r}), target={TARGET!r})
for number in range(5):
    writer.write(pp.FinishStepRequest(key=f"key-{{number}}"))
os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", program], timeout=60, check=False)

    assert ended.returncode == -signal.SIGKILL
    assert [path.suffix for path in waiting_files(directory)] == [".open"]
    assert replay(directory, store).sent == 5


def _write_in_child(writer: SpoolWriter, number: int) -> None:
    writer.after_fork_in_child()
    writer.write(end_of(number))
    writer.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_has_a_file_of_its_own(writer, directory, store):
    writer.write(end_of(0))
    child = multiprocessing.get_context("fork").Process(target=_write_in_child, args=(writer, 1))
    child.start()
    child.join(60)

    # The parent's is still locked, although the child that had it open too is gone.
    assert len(waiting_files(directory)) == 1
    writer.write(end_of(2))
    writer.close()
    assert replay(directory, store).sent == 3


def test_two_who_replay_at_the_same_time_take_turns(writer, directory, store):
    writer.write(end_of(0))
    writer.close()
    inner = []

    def send(request):
        inner.append(replay(directory, store).why_stopped)
        return store(request)

    assert replay(directory, send).sent == 1
    assert inner == ["another process is replaying this spool"]
    assert store.keys == ["key-0"]


def test_a_look_changes_nothing(writer, directory, store):
    for number in range(3):
        writer.write(end_of(number))
    before = names(directory)

    found = waiting(directory, TARGET)

    assert (found.records, found.refused, found.damaged_files) == (3, 0, 0)
    assert found.size_bytes > 0
    assert found.oldest_ms > 0
    assert names(directory) == before


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("db.example:8080", "db.example:8080"),
        ("postgresql://me:secret@db/mlmd?sslmode=require", "postgresql://me@db/mlmd"),
        ("postgresql://me:a/b@c@db/mlmd?sslmode=require", "postgresql://me@db/mlmd"),
        ("postgresql://me:a?b@db/mlmd?user=a@b", "postgresql://me@db/mlmd"),
        ("mysql://db/mlmd", "mysql://db/mlmd"),
        ("mysql://db/mlmd?user=a@b", "mysql://db/mlmd"),
        ("sqlite:////var/lib/h.db", "sqlite:////var/lib/h.db"),
    ],
)
def test_a_store_is_shown_without_secrets(target, shown):
    assert places.shown_target(target) == shown


def test_files_of_one_name_in_two_directories_are_two_stores(tmp_path, monkeypatch):
    found = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        found.append(places.spool_directory("sqlite:///lineage.db", tmp_path))

    assert found[0] != found[1]


def test_the_place_of_spools_can_be_chosen(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADWATER_SPOOL_DIR", str(tmp_path / "mine"))

    assert places.spool_root() == tmp_path / "mine"


def test_a_user_without_a_home_still_has_a_place(monkeypatch):
    for name in ("HEADWATER_SPOOL_DIR", "XDG_STATE_HOME", "HOME", "USERPROFILE", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)

    assert places.spool_root().name == "spool"
