"""Several processes: forked and spawned, killed and racing."""

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from databases import empty_store
from recording.seeing import attempts, executions, runs

from headwater.client.recording import current_step
from headwater.config import ServerConfig
from headwater.server import Server
from headwater.v1 import pipelines_pb2 as pp

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

PATIENCE_S = 60

PROGRAM = """
import os, signal, sys, time
from pathlib import Path
import headwater
from headwater.client.recording import File, current_step

client = headwater.connect({target!r})
if not hasattr(client.transport, "target"):
    client.transport.target = {target!r}
calls = Path({calls!r})

def called(what):
    with calls.open("a") as file:
        file.write(what + "\\n")

{body}
"""


class Programs:
    """Programs that record in a store, each in a process of its own."""

    def __init__(self, target: str, directory: Path) -> None:
        self.target = target
        self._calls = directory / "calls"
        self._directory = directory
        self._started: list[subprocess.Popen] = []

    def start(self, body: str, *arguments: str) -> subprocess.Popen:
        """Start a program; of one file always, so that equal functions are equal code."""
        path = self._directory / "program.py"
        text = PROGRAM.format(target=self.target, calls=str(self._calls), body=textwrap.dedent(body))
        path.write_text(text)
        process = subprocess.Popen(
            [sys.executable, str(path), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._started.append(process)
        return process

    def run(self, body: str, *arguments: str) -> tuple[int, str]:
        """Exit code and what the program said on stderr."""
        process = self.start(body, *arguments)
        _, said = process.communicate(timeout=PATIENCE_S)
        return process.returncode, said

    @property
    def calls(self) -> list[str]:
        return self._calls.read_text().splitlines() if self._calls.exists() else []

    def close(self) -> None:
        for process in self._started:
            process.kill()
            process.communicate()


@pytest.fixture(params=["file", "server"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A store that several processes can reach."""
    if request.param == "file":
        yield f"sqlite:///{tmp_path}/lineage.db"
        return
    with empty_store("sqlite") as url:
        server = Server(ServerConfig(url, port=0, stop_grace_s=5), private=True)
        server.start()
        yield f"127.0.0.1:{server.port}"
        server.stop()


@pytest.fixture
def programs(target: str, tmp_path: Path) -> Iterator[Programs]:
    programs = Programs(target, tmp_path)
    yield programs
    programs.close()


@pytest.fixture
def store(target: str, connect: Callable):
    return connect(target)


RACE = """
def slow(number):
    called("slow")
    time.sleep(0.7)
    return number * 2

with client.run("churn") as run:
    assert run.call(slow, 21) == 42
"""


def test_two_processes_that_need_the_same_compute_it_once(programs, store):
    processes = [programs.start(RACE) for _ in range(2)]
    heard: list[str] = []
    for process in processes:
        _, said = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0
        heard.append(said)

    # Nothing, or that it waits.
    assert [said for said in heard if said and "step 'slow' is being computed by" not in said] == []
    assert programs.calls == ["slow"]
    assert sorted(state for _, state in attempts(store)) == ["CACHED", "COMPLETE"]
    assert [state for _, state in runs(store)] == ["COMPLETE"] * 2


KILLED = """
def slow(number):
    called("slow")
    if sys.argv[1] == "dies":
        os.kill(os.getpid(), getattr(signal, sys.argv[2]))
        time.sleep(60)
    return number * 2

with client.run("churn", lease_s=1) as run:
    print(run.call(slow, 21), flush=True)
"""


@pytest.mark.parametrize("number", ["SIGKILL", "SIGTERM"])
def test_another_computes_what_a_killed_process_left(programs, store, number):
    code, _ = programs.run(KILLED, "dies", number)
    assert code == -getattr(signal, number)
    assert [state for _, state in attempts(store)] == ["RUNNING"]

    code, said = programs.run(KILLED, "lives", number)

    assert code == 0
    assert said == "" or "step 'slow' is being computed by" in said
    assert programs.calls == ["slow", "slow"]
    assert [state for _, state in attempts(store)] == ["FAILED", "COMPLETE"]
    assert "was not heard of" in executions(store, "slow")[0].properties["error"].string_value
    _until(lambda: _ended(store) or sorted(state for _, state in runs(store)) == ["COMPLETE", "FAILED"])


def _ended(store) -> bool:
    store._ask(pp.EndExpiredLeasesRequest(), pp.EndExpiredLeasesResponse)
    return False


def _until(condition: Callable[[], bool]) -> None:
    patience = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < patience
        time.sleep(0.05)


def test_an_interrupt_is_recorded_as_such(programs, store):
    process = programs.start("""
def slow():
    print("ready", flush=True)
    time.sleep(60)

with client.run("churn", name="r") as run:
    run.call(slow)
""")
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE_S)

    assert said.rstrip().endswith("KeyboardInterrupt")
    assert attempts(store) == [("slow", "CANCELED")]
    assert runs(store) == [("churn/r", "CANCELED")]


FORKS = """
import multiprocessing

def square(number):
    called(f"square {number}")
    return number * number

def work(number):
    return run.step(f"square[{number}]")(square)(number)

if __name__ == "__main__":
    with client.run("churn", name="r") as run:
        run.call(len, "abc")
        with multiprocessing.get_context("fork").Pool(3) as pool:
            assert pool.map(work, range(6)) == [number ** 2 for number in range(6)]
        run.call(len, "abcd")
"""


def test_forked_workers_record_steps_of_their_parents_run(programs, store):
    assert programs.run(FORKS) == (0, "")

    assert runs(store) == [("churn/r", "COMPLETE")]
    found = attempts(store)
    assert sorted(found) == sorted(
        [("len", "COMPLETE")] * 2 + [(f"square[{n}]", "COMPLETE") for n in range(6)]
    )
    workers = {
        one.properties["worker"].string_value for n in range(6) for one in executions(store, f"square[{n}]")
    }
    assert executions(store, "len")[0].properties["worker"].string_value not in workers


def test_a_child_neither_renews_nor_finishes_what_is_its_parents(programs, store):
    code, said = programs.run("""
with client.run("churn", name="r", lease_s=0.5) as run:
    with run.step("train", version="1") as step:
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            step.output("n", value=1)
            print(len(run.recorder.heartbeat.tokens), file=sys.stderr)
        else:
            print(run.recorder.heartbeat.tokens, current_step(), file=sys.stderr)
if not child:
    # It left the run and the step as its parent did; nothing of that was said.
    os._exit(0)
""")

    assert (code, said.splitlines()) == (0, ["[] None", "2"])
    assert attempts(store) == [("train", "COMPLETE")]
    assert runs(store) == [("churn/r", "COMPLETE")]


def test_a_child_that_ends_at_once_leaves_its_parents_run_open(programs, store):
    code, said = programs.run("""
with client.run("churn", name="r") as run:
    for _ in range(3):
        child = os.fork()
        if not child:
            os._exit(3)
        os.waitpid(child, 0)
    run.call(len, "abc")
""")

    assert (code, said) == (0, "")
    assert runs(store) == [("churn/r", "COMPLETE")]


def test_forks_while_other_threads_record_do_not_hang(programs, store):
    code, said = programs.run("""
import threading

def work(number):
    for index in range(10):
        with run.step(f"work[{number}.{index}]") as step:
            step.output("n", value=index)

with client.run("churn", name="r") as run:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for number in range(10):
        child = os.fork()
        if not child:
            with run.step(f"child[{number}]") as step:
                step.output("n", value=number)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    for thread in threads:
        thread.join()
""")

    assert (code, said) == (0, "")
    found = attempts(store)
    assert len(found) == 50
    assert {state for _, state in found} == {"COMPLETE"}
    assert runs(store) == [("churn/r", "COMPLETE")]


SPAWNS = """
import multiprocessing

def square(number):
    return number * number

def work(names):
    run_name, number = names
    with client.run("churn", name=run_name, join=True) as run:
        return run.step(f"square[{number}]")(square)(number)

if __name__ == "__main__":
    with client.run("churn", name="r") as run:
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            found = pool.map(work, [(run.name, number) for number in range(4)])
        assert found == [0, 1, 4, 9]
"""


def test_spawned_workers_join_the_run(programs, store):
    assert programs.run(SPAWNS) == (0, "")

    assert runs(store) == [("churn/r", "COMPLETE")]
    assert sorted(attempts(store)) == [(f"square[{number}]", "COMPLETE") for number in range(4)]


DIES_IN_A_WORKER = """
import multiprocessing

def slow(number):
    called("slow")
    if len(sys.argv) > 1:
        os._exit(9)
    return number

def work():
    with client.run("churn", name="r", join=True) as run:
        run.step("slow")(slow)(1)

if __name__ == "__main__":
    with client.run("churn", name="r" if len(sys.argv) > 1 else "s") as run:
        if len(sys.argv) > 1:
            worker = multiprocessing.get_context("spawn").Process(target=work)
            worker.start()
            worker.join()
            raise MemoryError(worker.exitcode)
        assert run.step("slow")(slow)(1) == 1
"""


def test_nobody_waits_for_a_step_of_a_killed_worker_whose_run_failed(programs, store):
    code, said = programs.run(DIES_IN_A_WORKER, "dies")
    assert (code, said.splitlines()[-1]) == (1, "MemoryError: 9")
    assert (attempts(store), runs(store)) == ([("slow", "FAILED")], [("churn/r", "FAILED")])

    # That it waits would be said.
    assert programs.run(DIES_IN_A_WORKER) == (0, "")
    assert attempts(store) == [("slow", "FAILED"), ("slow", "COMPLETE")]
    assert programs.calls == ["slow"] * 2
    (failed,) = store.steps("churn/r")
    assert failed.error == "its run ended before it was finished"
    assert store.get_run("churn/r").error.endswith("MemoryError: 9\n")


def test_what_cannot_be_sent_says_how_to_do_it(client):
    with client.run("churn", name="r") as run, pytest.raises(TypeError, match="join=True"):
        multiprocessing.get_context("spawn").Process(target=print, args=(run,)).start()


def test_leases_outlive_a_fork_in_the_parent(programs, store):
    code, said = programs.run("""
with client.run("churn", name="r", lease_s=0.6) as run:
    with run.step("train", version="1") as step:
        child = os.fork()
        if not child:
            time.sleep(0.1)
            os._exit(0)
        os.waitpid(child, 0)
        time.sleep(1.5)
        step.output("n", value=1)
    print(step.lease_lost, file=sys.stderr)
""")

    assert (code, said) == (0, "False\n")
    assert attempts(store) == [("train", "COMPLETE")]


def test_a_killed_process_without_a_store_leaves_a_spool_for_the_next(programs, store):
    code, _ = programs.run("""
# As if nobody answered there.
client.transport.close()
with client.run("churn", name="r") as run:
    with run.step("train", version="1") as step:
        step.output("n", value=1)
    os.kill(os.getpid(), signal.SIGKILL)
""")
    assert code == -signal.SIGKILL

    code, said = programs.run("""
import threading
with client.run("later", name="s") as run:
    done = threading.Event()
    run.recorder.heartbeat.do_soon(done.set)
    assert done.wait(30)
""")

    assert (code, said) == (0, "")
    assert attempts(store) == [("train", "COMPLETE")]
    assert ("churn/r", "RUNNING") in runs(store)


@pytest.mark.parametrize("times", [5])
def test_a_program_without_a_store_ends_as_it_would_with_one(tmp_path, times):
    """Same result, same exit code, not much later."""
    programs = Programs("127.0.0.1:1", tmp_path)
    began = time.monotonic()
    code, said = programs.run("""
def fail():
    raise SystemExit(7)

with client.run("churn") as run:
    for number in range(5):
        assert run.call(abs, -number) == number
    run.call(fail)
""")
    took_s = time.monotonic() - began

    assert code == 7
    assert said.count("\n") == 1
    assert "cannot be asked" in said
    assert took_s < 15
    assert current_step() is None


SILENT = """
import multiprocessing, socket, sys
from concurrent.futures import ProcessPoolExecutor
import headwater

with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
    address = "127.0.0.1:%d" % silent.getsockname()[1]
    client = headwater.connect(address)

    def work(number):
        with headwater.connect(address) as joined:
            joined.run("p", name="r", join=True).start().step(f"s{number}", version="1").begin().finish()
        return number

    run = client.run("p", name="r").start()
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
        print(list(pool.map(work, range(3))))
    run.finish()
"""


def test_workers_forked_while_grpc_tries_to_connect_to_a_silent_server_live(tmp_path):
    """gRPC says when it was in the midst of something; a child may crash then, which it does not always."""
    env = {**os.environ, "HEADWATER_SPOOL_DIR": str(tmp_path / "spool")}
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", SILENT],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    said = [program.communicate(timeout=PATIENCE_S) for program in programs]

    assert [(out, "skipping fork()" in errors) for out, errors in said] == [("[0, 1, 2]\n", False)] * 4
