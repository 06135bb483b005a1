"""A store that is away, slow or broken is never in the way: results, exit codes and time are Kedro's."""

import contextlib
import os
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from proxies import Proxy

import headwater

ALL_RUN = {name: ["COMPLETE"] for name in ("clean", "split", "train", "judge")}
RUNNERS = ["SequentialRunner", "ThreadRunner", "ParallelRunner"]
PATIENCE_S = 55
"""How long a run may take, on a machine that is busy. Calls without limit would take 60 seconds."""
HEADWATER = [str(Path(sys.executable).with_name("headwater"))]


class Server:
    """`headwater serve`, that can be killed and started again at the same address."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.address = "127.0.0.1:0"
        self.start()

    def start(self) -> None:
        host, _, port = self.address.rpartition(":")
        database = f"sqlite:///{self.directory}/server.db"
        self.process = subprocess.Popen(
            [*HEADWATER, "serve", "--database-url", database, "--host", host, "--port", port],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.address = self.process.stdout.readline().split()[-1]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(60)

    def states(self) -> list[dict[str, list[str]]]:
        """Of each run, the newest first, by node the states of its attempts."""
        told = []
        with headwater.connect(self.address) as store:
            for run in store.runs():
                states: dict[str, list[str]] = {}
                for step in store.steps(run.run_id):
                    states.setdefault(step.step, []).append(step.state)
                told.append({**states, "": [run.state]})
        return told


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path)
    yield server
    server.kill()


@pytest.fixture
def silent():
    """An address that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def warnings_of(said):
    """Those of headwater, in the log of a run."""
    text = " ".join(said.split())
    return [part for part in text.split("WARNING") if "headwater" in part.partition("INFO")[0]]


def run_in_time(project, *options, fails=False, **env):
    begin = time.monotonic()
    said = project.run(*options, fails=fails, HEADWATER_SPOOL_DIR=str(project.path / "spool"), **env)
    assert time.monotonic() - begin < PATIENCE_S
    return said


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_store_that_refuses_changes_nothing_but_for_one_warning(project, runner):
    said = run_in_time(project, f"--runner={runner}", HEADWATER_ADDRESS="localhost:1")

    assert project.read("data/report.txt") == "18 of 2"
    assert len(warnings_of(said)) == 1, warnings_of(said)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_many_workers_warn_once_of_a_store_that_refuses(project, method):
    copies = ", ".join(f'node(nodes.copy, "raw", "out{n}", name="copy{n}")' for n in range(6))
    project.hold(
        "def copy(raw):\n    return raw\n", copies, "raw: {type: text.TextDataset, filepath: data/raw.txt}"
    )
    said = run_in_time(
        project, "--runner=ParallelRunner", HEADWATER_ADDRESS="localhost:1", KEDRO_MP_CONTEXT=method
    )

    assert len(warnings_of(said)) == 1, warnings_of(said)


@pytest.mark.parametrize("runner", ["CachedRunner", "CachedThreadRunner", "CachedParallelRunner"])
def test_nothing_is_skipped_where_the_store_is_away(project, runner):
    project.run(f"--runner=headwater_kedro.{runner}")
    project.write("data/report.txt", "old")
    said = run_in_time(project, f"--runner=headwater_kedro.{runner}", HEADWATER_ADDRESS="localhost:1")

    assert project.read("data/report.txt") == "18 of 2"
    assert len(warnings_of(said)) == 1, warnings_of(said)


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_store_that_never_answers_costs_a_bounded_time(project, silent, runner):
    said = run_in_time(project, f"--runner={runner}", HEADWATER_ADDRESS=silent)

    assert project.read("data/report.txt") == "18 of 2"
    assert len(warnings_of(said)) == 1, warnings_of(said)


def test_the_error_and_the_exit_code_of_a_run_are_its_own_where_the_store_is_away(project, silent):
    project.write("data/raw.txt", "one two")
    for address in (silent, "localhost:1"):
        said = run_in_time(project, fails=True, HEADWATER_ADDRESS=address)
        assert "ValueError: invalid literal for int() with base 10: 'one'" in " ".join(said.split())


def test_a_store_that_is_slow_costs_a_bounded_time(project, server):
    with Proxy(server.address, delay_ms=600) as proxy:
        run_in_time(project, HEADWATER_ADDRESS=proxy.address)

    assert project.read("data/report.txt") == "18 of 2"


@pytest.mark.parametrize("runner", RUNNERS)
def test_what_a_store_missed_that_died_in_mid_run_is_told_by_the_next_run(project, server, runner):
    nodes = project.read("src/shop/nodes.py")
    project.write(
        "src/shop/nodes.py", nodes.replace("    return rows[:size]", f"{KILL}    return rows[:size]")
    )
    pid = str(server.process.pid)
    said = run_in_time(
        project, f"--runner={runner}", HEADWATER_ADDRESS=server.address, SERVER=pid, KEDRO_MP_CONTEXT="fork"
    )
    server.process.wait(60)
    server.start()
    run_in_time(project, f"--runner={runner}", HEADWATER_ADDRESS=server.address)

    assert project.read("data/report.txt") == "18 of 2"
    assert len(warnings_of(said)) == 1, warnings_of(said)
    assert server.states() == [{**ALL_RUN, "": ["COMPLETE"]}] * 2


KILL = """
    import os, signal
    if "SERVER" in os.environ:
        os.kill(int(os.environ["SERVER"]), signal.SIGKILL)
"""


def test_what_a_store_missed_is_told_by_hand(project, server):
    server.kill()
    run_in_time(project, HEADWATER_ADDRESS=server.address)
    server.start()
    subprocess.run(
        [*HEADWATER, "spool", "replay", "--target", server.address],
        env={**os.environ, "HEADWATER_SPOOL_DIR": str(project.path / "spool")},
        check=True,
        timeout=60,
        capture_output=True,
    )

    assert server.states() == [{**ALL_RUN, "": ["COMPLETE"]}]


def test_what_was_recorded_while_the_store_was_away_can_be_reused_afterwards(project, server):
    server.kill()
    run_in_time(project, HEADWATER_ADDRESS=server.address)
    server.start()
    run_in_time(project, HEADWATER_ADDRESS=server.address)
    run_in_time(project, "--runner=headwater_kedro.CachedRunner", HEADWATER_ADDRESS=server.address)

    assert server.states()[0] == {**{name: ["CACHED"] for name in ALL_RUN}, "": ["COMPLETE"]}


def test_a_spool_that_cannot_be_written_to_does_not_fail_a_run(project):
    project.write("spool", "in the way")
    run_in_time(project, HEADWATER_ADDRESS="localhost:1")

    assert project.read("data/report.txt") == "18 of 2"


def test_a_project_in_which_nothing_can_be_made_runs(project):
    project.write(".headwater", "in the way")
    said = run_in_time(project)

    assert project.read("data/report.txt") == "18 of 2"
    assert len(warnings_of(said)) == 1, warnings_of(said)


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_database_that_is_none_is_left_alone(project, runner):
    project.write(".headwater/headwater.db", "no database" * 1000)
    said = run_in_time(project, f"--runner={runner}")

    assert project.read("data/report.txt") == "18 of 2"
    assert len(warnings_of(said)) == 1, warnings_of(said)
    assert project.read(".headwater/headwater.db") == "no database" * 1000


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_database_that_somebody_keeps_locked_costs_a_bounded_time(project, runner):
    project.run()
    with contextlib.closing(sqlite3.connect(project.path / ".headwater/headwater.db")) as database:
        database.execute("BEGIN EXCLUSIVE")
        said = run_in_time(project, f"--runner={runner}", "--params=rate=4")
        database.execute("ROLLBACK")

    assert project.read("data/report.txt") == "24 of 2"
    assert len(warnings_of(said)) == 1, warnings_of(said)


def test_a_disk_that_is_full_for_the_store_does_not_fail_a_run(project):
    """Files may not grow beyond what the database has at its beginning."""
    project.run()
    size = (project.path / ".headwater/headwater.db").stat().st_size
    done = subprocess.run(
        ["sh", "-c", f"ulimit -f {size // 512}; exec {sys.executable} -m kedro run --params=rate=4"],
        cwd=project.path,
        env={**os.environ, "DO_NOT_TRACK": "1", "XDG_STATE_HOME": str(project.path / "state")},
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert project.read("data/report.txt") == "24 of 2"


def test_fork_without_support_of_grpc_is_warned_of_and_does_not_hang(project, server):
    said = run_in_time(
        project,
        "--runner=ParallelRunner",
        HEADWATER_ADDRESS=server.address,
        KEDRO_MP_CONTEXT="fork",
        GRPC_ENABLE_FORK_SUPPORT="0",
    )

    assert project.read("data/report.txt") == "18 of 2"
    assert "GRPC_ENABLE_FORK_SUPPORT" in said
