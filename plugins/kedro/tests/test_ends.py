"""Runs that are killed, and how they are recorded in the end."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import headwater

NODES = """
import os, signal

def keep(text):
    return text

def stop(text):
    # A worker of ParallelRunner stops the process that waits for it.
    target = os.getppid() if os.environ["TARGET"] == "parent" else os.getpid()
    os.kill(target, getattr(signal, os.environ["SIGNAL"]))
    signal.pause()
"""
PIPELINE = (
    "node(nodes.keep, 'raw', 'kept', name='keep'), node(nodes.stop, 'kept', 'never', name='stop'), "
    "node(nodes.keep, 'never', 'end', name='end')"
)


def stopped(project, signal_name: str, *options: str, target: str = "self") -> None:
    project.hold(NODES, PIPELINE, "{raw: {type: text.TextDataset, filepath: data/raw.txt}}")
    running = subprocess.Popen(
        [sys.executable, "-m", "kedro", "run", *options],
        cwd=project.path,
        env={
            **os.environ,
            "DO_NOT_TRACK": "1",
            "XDG_STATE_HOME": str(project.path / "state"),
            "SIGNAL": signal_name,
            "TARGET": target,
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert running.wait(timeout=60) != 0


def runs(project):
    with headwater.connect(f"sqlite:///{project.path}/.headwater/headwater.db") as store:
        return [(run, {step.step: step.state for step in store.steps(run.run_id)}) for run in store.runs()]


def test_a_run_that_is_interrupted_is_canceled_at_once(project):
    stopped(project, "SIGINT")

    ((run, states),) = runs(project)
    assert (run.state, states) == ("CANCELED", {"keep": "COMPLETE", "stop": "CANCELED"})
    assert list((project.path / ".headwater/running").iterdir()) == []


@pytest.mark.parametrize("signal_name", ["SIGTERM", "SIGKILL"])
def test_a_run_that_is_killed_is_closed_by_the_next_one(project, signal_name):
    stopped(project, signal_name)
    ((before, _),) = runs(project)
    project.run("--nodes=keep")

    _, (run, states) = runs(project)
    assert before.state == "RUNNING"
    assert (run.state, states) == ("FAILED", {"keep": "COMPLETE", "stop": "FAILED"})
    assert "its process ended without a word" in run.error
    assert list((project.path / ".headwater/running").iterdir()) == []


def test_workers_that_outlive_a_killed_run_do_not_keep_it_open(project):
    stopped(project, "SIGKILL", "--runner=ParallelRunner", target="parent")
    project.run("--nodes=keep")

    _, (run, states) = runs(project)
    assert run.state == "FAILED"
    assert states["stop"] == "FAILED"


def test_a_run_that_goes_on_is_left_alone(project):
    """A run starts another one of the same project while it is in the middle."""
    project.hold(
        "import subprocess, sys\n"
        "def keep(text):\n    return text\n"
        "def other(text):\n"
        "    subprocess.run([sys.executable, '-m', 'kedro', 'run', '--nodes=keep'], check=True, timeout=60)\n"
        "    return text\n",
        "node(nodes.keep, 'raw', 'kept', name='keep'), node(nodes.other, 'kept', 'end', name='other')",
        "{raw: {type: text.TextDataset, filepath: data/raw.txt}}",
    )
    project.run()

    (inner, _), (outer, states) = runs(project)
    assert (inner.state, outer.state) == ("COMPLETE", "COMPLETE")
    assert states == {"keep": "COMPLETE", "other": "COMPLETE"}


@pytest.mark.parametrize("runner", ["SequentialRunner", "ThreadRunner"])
def test_a_run_that_is_interrupted_in_a_notebook_is_closed_while_the_kernel_lives(project, runner):
    project.hold(
        "def keep(text):\n    return text\n\ndef stop(text):\n    raise KeyboardInterrupt\n",
        "node(nodes.keep, 'raw', 'kept', name='keep'), node(nodes.stop, 'kept', 'end', name='stop')",
        "{raw: {type: text.TextDataset, filepath: data/raw.txt}}",
    )
    project.script(f"""
from kedro.runner import {runner}
import headwater_kedro.recording as recording

for nodes in (None, ["keep"]):
    with KedroSession.create(project) as session:
        try:
            session.run(runner={runner}(), node_names=nodes)
        except KeyboardInterrupt:
            print("interrupted")
assert recording.recordings == {{}}
assert list((project / ".headwater/running").iterdir()) == []
""")

    (again, _), (interrupted, states) = runs(project)
    assert again.state == "COMPLETE"
    assert (interrupted.state, states) == ("CANCELED", {"keep": "COMPLETE", "stop": "CANCELED"})


@pytest.mark.parametrize("runner", ["SequentialRunner", "ParallelRunner"])
def test_a_run_that_a_hook_starts_leaves_the_one_around_it_open(project, runner):
    project.write(
        "src/shop/hooks.py",
        "from pathlib import Path\n"
        "from kedro.framework.hooks import hook_impl\n"
        "from kedro.framework.session import KedroSession\n"
        "class Prepares:\n"
        "    done = False\n"
        "    @hook_impl(trylast=True)\n"
        "    def before_pipeline_run(self):\n"
        "        if not self.done:\n"
        "            self.done = True\n"
        "            with KedroSession.create(project_path=Path.cwd()) as session:\n"
        "                session.run(node_names=['clean'])\n",
    )
    project.write("src/shop/settings.py", "from shop.hooks import Prepares\nHOOKS = (Prepares(),)\n")
    project.run(f"--runner={runner}")

    (inner, _), (outer, states) = runs(project)
    assert (inner.state, outer.state) == ("COMPLETE", "COMPLETE")
    assert list(states.values()) == ["COMPLETE"] * 4


@pytest.fixture(autouse=True)
def no_orphans(project):
    yield
    found = subprocess.run(["pgrep", "-f", "kedro run"], capture_output=True, text=True, check=False)
    for process in map(int, found.stdout.split()):
        try:
            if Path(f"/proc/{process}/cwd").readlink() == project.path:
                os.kill(process, signal.SIGKILL)
        except OSError:
            pass
