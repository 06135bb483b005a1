"""``headwater run watch``: a run is followed until it ends, from a pipe and on a terminal."""

import json
import os
import pty
import re
import subprocess
import sys
import threading

import pytest
from cli.conftest import PATIENCE_S, headwater
from pipelines.recorded import Recorded

from headwater import connect
from headwater.v1 import pipelines_pb2 as pp

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def churn(url):
    """A run that has begun: one step is done, another is under way, and a third is planned."""
    with connect(url) as store:
        churn = Recorded(store.transport.call)
        churn.start("monday", steps={"split": [], "train": ["split"], "report": ["train"]})
        churn.step("monday", "split")
        churn.request, _ = churn.begin("monday", "train")
        yield churn


def finish(churn, state=pp.COMPLETE, **more):
    """End the step that is under way."""
    churn.call("FinishStep", pp.FinishStepRequest(key=churn.request.key, state=state, **more))


def end_in_time(process):
    """Kill it where it does not end, so that reading from it does."""
    timer = threading.Timer(PATIENCE_S, process.kill)
    timer.daemon = True
    timer.start()
    return timer


def watching(url, *more):
    process = headwater("run", "watch", "churn", "--interval-s", 0.05, "--target", url, *more)
    return process, end_in_time(process)


def test_in_a_pipe_each_change_is_a_line(url, churn):
    process, timer = watching(url)
    seen = [process.stdout.readline().split()[1:] for _ in range(2)]
    finish(churn, metrics=[pp.Metric(name="loss", value=0.25)])
    seen += [process.stdout.readline().split()[1:] for _ in range(2)]
    churn.finish_run("monday")
    seen += [process.stdout.readline().split()[1:]]
    rest, said = process.communicate(timeout=PATIENCE_S)
    timer.cancel()

    assert [line[:2] for line in seen] == [
        ["split", "COMPLETE"],
        ["train", "RUNNING"],
        ["train", "COMPLETE"],
        ["metrics", "loss=0.25"],
        ["run", "COMPLETE"],
    ]
    assert seen[1][2:4] == ["host:1", "since"]
    assert seen[4][-2:] == ["2", "complete"]
    assert (rest, said, process.returncode) == ("", "", 0)


def test_a_run_that_fails_ends_watching_with_exit_code_1_and_says_why(url, churn):
    process, timer = watching(url)
    for _ in range(2):
        process.stdout.readline()
    finish(churn, pp.FAILED, error="Traceback\n  ...\nValueError: no rows\n")
    failed = process.stdout.readline()
    churn.finish_run("monday", pp.FAILED, "step 'train' failed")
    ended, _ = process.communicate(timeout=PATIENCE_S)
    timer.cancel()

    assert failed.rstrip().endswith("  ValueError: no rows")
    assert ended.split()[1:3] == ["run", "FAILED"]
    assert process.returncode == 1


def test_as_json_each_change_is_an_object(url, churn):
    finish(churn, metrics=[pp.Metric(name="loss", value=float("nan"))])
    churn.finish_run("monday")

    process, timer = watching(url, "--json")
    shown, _ = process.communicate(timeout=PATIENCE_S)
    timer.cancel()

    changes = [json.loads(line) for line in shown.splitlines()]
    assert [list(change) for change in changes] == [["step"], ["step"], ["metrics"], ["run"]]
    assert [change["step"]["step"] for change in changes[:2]] == ["split", "train"]
    assert changes[2] == {"metrics": {"loss": "NaN"}}
    assert changes[3]["run"]["state"] == "COMPLETE"


def test_a_server_that_is_started_again_is_borne(serve, url, churn):
    server = serve("--database-url", url)
    process, timer = watching(server.address, "--timeout-s", 5)
    seen = [process.stdout.readline().split()[1:3] for _ in range(2)]
    server.stop()
    said = [process.stderr.readline()]
    serve("--database-url", url, "--port", server.address.rpartition(":")[2])
    said += [process.stderr.readline()]
    finish(churn)
    churn.finish_run("monday")
    ended, _ = process.communicate(timeout=PATIENCE_S)
    timer.cancel()

    assert seen == [["split", "COMPLETE"], ["train", "RUNNING"]]
    assert said[0].startswith("the store does not answer, trying again: ")
    assert said[1] == "the store answers again\n"
    assert [line.split()[1:3] for line in ended.splitlines()] == [["train", "COMPLETE"], ["run", "COMPLETE"]]
    assert process.returncode == 0


def test_a_run_that_has_ended_is_told_at_once(run, url, churn):
    churn.finish_run("monday", pp.CANCELED)

    result = run("run", "watch", "churn/monday", "--target", url)

    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1].split()[1:3] == ["run", "CANCELED"]


def test_a_run_that_is_not_there_is_an_error(run, url, churn):
    result = run("run", "watch", "churn/never", "--target", url)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: pipeline 'churn' has no run 'never'\n"


def test_on_a_terminal_a_picture_is_kept_up_to_date(url, churn):
    terminal, child_side = pty.openpty()
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "headwater.cli",
            "run",
            "watch",
            "churn",
            "--interval-s",
            "0.05",
            "--target",
            url,
        ],
        stdout=child_side,
        env={**os.environ, "COLUMNS": "90", "LINES": "30", "TERM": "xterm"},
    )
    os.close(child_side)
    timer = end_in_time(process)
    written = read_until(terminal, "host:1 since")
    finish(churn)
    written += read_until(terminal, "2/3")
    churn.finish_run("monday")
    last = ESCAPE.sub("", read_until(terminal, None))
    timer.cancel()
    os.close(terminal)

    assert "churn/monday  RUNNING" in ESCAPE.sub("", written)
    lines = [line.split() for line in last[last.rindex("churn/monday") :].splitlines()]
    assert lines[0][:2] == ["churn/monday", "COMPLETE"]
    assert lines[1][-3:] == ["2/3", "2", "complete"]
    assert [line[:2] for line in lines if line[:1] in (["split"], ["train"])] == [
        ["split", "COMPLETE"],
        ["train", "COMPLETE"],
    ]
    assert process.wait() == 0


def test_a_run_of_many_steps_fits_the_terminal(url, churn):
    for number in range(50):
        churn.step(
            "monday", f"part[{number}]", state=pp.FAILED if number == 7 else pp.COMPLETE, error="no rows"
        )
    churn.finish_run("monday", pp.FAILED)

    shown = seen(url, LINES="20")

    lines = [line.split() for line in shown.splitlines()]
    assert lines[0][:2] == ["churn/monday", "FAILED"]
    assert lines[1][1:] == ["51/53", "50", "complete,", "1", "running,", "1", "failed"]
    # Who is at work and what failed comes before what was done last.
    assert [line[0] for line in lines[5:-1]] == ["train", "part[7]", *(f"part[{n}]" for n in range(41, 50))]
    assert lines[-1] == ["and", "41", "more", "steps"]
    assert len(lines) <= 20


def seen(url, **environment):
    """What stays on the terminal of a run that has ended."""
    terminal, child_side = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "headwater.cli", "run", "watch", "churn", "--target", url],
        stdout=child_side,
        env={**os.environ, "COLUMNS": "90", "LINES": "30", "TERM": "xterm", **environment},
    )
    os.close(child_side)
    timer = end_in_time(process)
    written = ESCAPE.sub("", read_until(terminal, None))
    process.wait()
    timer.cancel()
    os.close(terminal)
    return written[written.rindex("churn/monday") :].replace("\r\n", "\n")


def read_until(terminal, text):
    """What is written up to and with ``text``, or to the end."""
    written = ""
    try:
        while text is None or text not in ESCAPE.sub("", written):
            chunk = os.read(terminal, 65536)
            if not chunk:
                break
            written += chunk.decode(errors="replace")
    except OSError:  # How Linux tells that the other side is closed.
        pass
    return written
