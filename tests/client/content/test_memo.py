"""Digests remembered: when a file is not read again, when it is, and what goes wrong with the memo itself."""

import os
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from client.content.conftest import make_old, sha256

from headwater.client.content import Memo, canonical_uri, digest_of


@pytest.fixture(params=["file", "process"])
def memo(request: pytest.FixtureRequest, tmp_path: Path):
    """A memo of either kind."""
    with Memo(tmp_path / "memo" / "digests.db" if request.param == "file" else None) as made:
        yield made


def times_opened(path: Path, opened: list[str]) -> int:
    return opened.count(str(path))


def test_a_file_is_read_once(memo: Memo, settled: Path, opened: list[str]):
    first = digest_of(settled, memo=memo)
    second = digest_of(settled, memo=memo)

    assert first == second
    assert first.digest == sha256(b"settled")
    assert times_opened(settled, opened) == 1


def test_each_algorithm_reads_for_itself(memo: Memo, settled: Path, opened: list[str]):
    digests = {digest_of(settled, memo=memo, algorithm=name).digest for name in ("sha256", "blake2b-256") * 2}

    assert len(digests) == 2
    assert times_opened(settled, opened) == 2


def test_the_files_of_a_directory_are_read_once(memo: Memo, tmp_path: Path, opened: list[str]):
    root = tmp_path / "d"
    root.mkdir()
    for number in range(3):
        (root / f"{number}").write_bytes(b"x")
        make_old(root / f"{number}")
    first = digest_of(root, memo=memo)
    (root / "1").write_bytes(b"y")
    make_old(root / "1", 30)
    opened.clear()

    second = digest_of(root, memo=memo)

    assert [times_opened(root / f"{number}", opened) for number in range(3)] == [0, 1, 0]
    assert second == digest_of(root)
    assert second != first


def test_a_file_written_just_now_is_read_again(memo: Memo, tmp_path: Path, opened: list[str]):
    path = tmp_path / "young"
    path.write_bytes(b"one")
    make_old(path, 1)
    opened.clear()

    digest_of(path, memo=memo)
    digest_of(path, memo=memo)

    assert times_opened(path, opened) == 2


def test_a_time_of_the_future_is_not_trusted(memo: Memo, settled: Path, opened: list[str]):
    make_old(settled, -60)

    digest_of(settled, memo=memo)
    digest_of(settled, memo=memo)

    assert times_opened(settled, opened) == 2


def test_a_file_in_the_place_of_another_is_read_though_size_and_time_are_the_same(memo: Memo, settled: Path):
    digest_of(settled, memo=memo)
    before = settled.stat()
    other = settled.with_name("other")
    other.write_bytes(b"SETTLED")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(settled)

    assert settled.stat().st_mtime_ns == before.st_mtime_ns
    assert digest_of(settled, memo=memo).digest == sha256(b"SETTLED")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no time of change")
def test_a_file_written_in_place_is_read_though_its_time_was_put_back(memo: Memo, settled: Path):
    digest_of(settled, memo=memo)
    before = settled.stat()
    settled.write_bytes(b"SETTLED")
    os.utime(settled, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert settled.stat().st_ino == before.st_ino
    assert digest_of(settled, memo=memo).digest == sha256(b"SETTLED")


def test_another_process_finds_what_this_one_remembered(tmp_path: Path, settled: Path):
    path = tmp_path / "digests.db"
    with Memo(path) as memo:
        digest_of(settled, memo=memo)

    program = (
        "import sys; opened = []\n"
        "from headwater.client.content import Memo, digest_of\n"
        "sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == 'open' else None)\n"
        f"found = digest_of({str(settled)!r}, memo=Memo({str(path)!r}))\n"
        f"print(found.digest, {str(settled)!r} in opened)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.split() == [sha256(b"settled"), "False"]


def settled_files(directory: Path, count: int) -> list[Path]:
    directory.mkdir()
    paths = [directory / f"{number}" for number in range(count)]
    for path in paths:
        path.write_bytes(path.name.encode())
        make_old(path)
    return paths


def stored(path: Path) -> dict[str, str]:
    with sqlite3.connect(path) as connection:
        rows = dict(connection.execute("SELECT uri, digits FROM digest").fetchall())
    connection.close()
    return rows


def expected(paths: list[Path]) -> dict[str, str]:
    return {canonical_uri(path): sha256(path.name.encode()).removeprefix("sha256:") for path in paths}


def test_threads_share_a_memo(memo: Memo, tmp_path: Path, opened: list[str]):
    paths = settled_files(tmp_path / "d", 40)

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda path: digest_of(path, memo=memo).digest, paths * 3))
    again = [digest_of(path, memo=memo).digest for path in paths]

    assert found == [sha256(path.name.encode()) for path in paths] * 3
    assert again == found[:40]
    assert all(1 <= times_opened(path, opened) <= 3 for path in paths)


def test_processes_that_begin_together_share_a_memo(tmp_path: Path):
    paths = settled_files(tmp_path / "d", 40)
    memo_path = tmp_path / "digests.db"
    program = (
        "import sys\nfrom pathlib import Path\nfrom headwater.client.content import Memo, digest_of\n"
        "memo = Memo(sys.argv[1])\n"
        "for path in sorted(Path(sys.argv[2]).iterdir()): digest_of(path, memo=memo)\n"
        "memo.close()"
    )

    workers = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(memo_path), str(tmp_path / "d")], stderr=subprocess.PIPE
        )
        for _ in range(4)
    ]
    said = [worker.communicate(timeout=60)[1] for worker in workers]

    assert said == [b""] * 4
    assert [worker.returncode for worker in workers] == [0] * 4
    assert stored(memo_path) == expected(paths)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_goes_on_with_the_memo_of_its_parent(tmp_path: Path):
    paths = settled_files(tmp_path / "d", 20)
    memo = Memo(tmp_path / "digests.db")
    digest_of(paths[0], memo=memo)
    # Held as it is when another thread is at work in the very moment of the fork.
    with memo._lock:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                for path in paths[:10]:
                    digest_of(path, memo=memo)
                code = 0
            finally:
                os._exit(code)
    for path in paths[10:]:
        digest_of(path, memo=memo)
    _, status = os.waitpid(child, 0)
    memo.close()

    assert os.waitstatus_to_exitcode(status) == 0
    assert stored(tmp_path / "digests.db") == expected(paths)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "headwater.content"]


def make_garbage(path: Path) -> None:
    path.write_bytes(b"this is no database, but someone's notes" * 100)


def make_foreign(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE digest (theirs)")
    connection.close()


def make_torn(path: Path) -> None:
    path.touch()
    with Memo(path) as memo:
        for number in range(300):
            memo.remember(
                f"file:///{number}", path.stat(), "sha256", "0" * 64, read_at_ns=time.time_ns() + 10**10
            )
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))


@pytest.mark.parametrize(
    "make",
    [make_garbage, make_foreign, make_torn, Path.mkdir],
    ids=["garbage", "foreign", "torn", "directory"],
)
def test_a_memo_file_that_cannot_be_used_is_done_without(make, tmp_path, settled, caplog, opened):
    path = tmp_path / "memo.db"
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    memo = Memo(path)
    opened.clear()

    found = [digest_of(settled, memo=memo).digest for _ in range(3)]
    memo.close()

    assert found == [sha256(b"settled")] * 3
    assert times_opened(settled, opened) == 1
    (warning,) = warnings(caplog)
    assert warning.startswith(f"digests are not remembered in {path}: ")
    assert warning.endswith("; remove the file or name another one")
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_a_memo_file_that_cannot_be_made_is_done_without(tmp_path, settled, caplog):
    (tmp_path / "f").write_bytes(b"")
    memo = Memo(tmp_path / "f" / "memo.db")

    assert digest_of(settled, memo=memo).digest == sha256(b"settled")
    assert len(warnings(caplog)) == 1


def test_a_memo_file_that_others_hold_is_done_without_for_now(tmp_path, settled, caplog):
    path = tmp_path / "memo.db"
    with Memo(path) as memo:
        digest_of(settled, memo=memo)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    memo = Memo(path)

    began = time.monotonic()
    found = [digest_of(settled, memo=memo).digest for _ in range(20)]
    took_s = time.monotonic() - began
    holder.close()

    assert found == [sha256(b"settled")] * 20
    assert took_s < 5
    assert warnings(caplog) == []


@pytest.mark.parametrize("kind", ["file", "process"])
def test_the_oldest_are_dropped(tmp_path: Path, kind: str):
    paths = settled_files(tmp_path / "d", 25)
    memo = Memo(tmp_path / "memo.db" if kind == "file" else None, max_entries=10)
    for path in paths:
        digest_of(path, memo=memo)

    known = [memo.find(canonical_uri(path), path.stat(), "sha256") is not None for path in paths]
    memo.close()

    assert known == [False] * 15 + [True] * 10


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_its_file_is_for_its_owner_alone(tmp_path: Path, settled: Path):
    path = tmp_path / "digests.db"
    with Memo(path) as memo:
        digest_of(settled, memo=memo)

    assert path.stat().st_mode & 0o777 == 0o600
