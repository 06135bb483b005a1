"""``headwater run list``, ``show``, ``diff``, ``plan`` and ``resume``."""

import contextlib
import json
import os
import pty
import subprocess
import sys
import time

import pytest
from cli.churn import ERROR, MONDAY_MS, TUESDAY_MS, record_churn
from pipelines.recorded import Recorded

from headwater import connect
from headwater.client.content import digest_of_bytes
from headwater.client.recording.places import memo
from headwater.v1 import pipelines_pb2 as pp

HEADWATER = (sys.executable, "-m", "headwater.cli")


@pytest.fixture
def churn(url):
    """The URL of a store with the runs of Monday and Tuesday."""
    record_churn(url)
    return url


@pytest.fixture
def _in_utc(monkeypatch):
    """Times on the command line are local."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(autouse=True)
def _with_a_home_of_its_own(monkeypatch, tmp_path):
    """Digests of files are remembered for the user."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    memo.cache_clear()
    yield
    memo.cache_clear()


def listed(run, url, *arguments):
    """The runs that ``run list --json`` names."""
    result = run("run", "list", *arguments, "--json", "--target", url)
    assert result.exit_code == 0, result.output
    return [one["run"] for one in json.loads(result.stdout)]


def table(text):
    """The cells of a table whose cells have no two spaces in them."""
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in text.splitlines()]


# List


def test_a_list_shows_the_latest_run_first_with_what_tells_the_runs_apart(run, churn):
    result = run("run", "list", "churn", "--target", churn)

    heading, first, second = table(result.stdout)
    assert heading == [
        "run",
        "state",
        "started",
        "took",
        "steps",
        "params.lr",
        "metrics.auc",
        "metrics.epochs",
        "metrics.loss",
    ]
    assert (first[0], first[1], *first[3:]) == (
        "tuesday",
        "FAILED",
        "3 min 0 s",
        "1 complete, 1 cached, 1 failed",
        "0.2",
        "2",
        "0.5",
    )
    assert (second[0], second[1], *second[3:]) == (
        "monday",
        "COMPLETE",
        "3 min 27 s",
        "4 complete",
        "0.1",
        "0.91",
        "2",
        "0.25",
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--where", "metrics.auc > 0.9"], ["monday"]),
        (["--where", "params.lr = 0.2"], ["tuesday"]),
        (["--where", "params.lr > 0.05 AND state = complete"], ["monday"]),
        (["--where", "tags.team = growth", "--where", "params.model = 'small'"], ["tuesday", "monday"]),
        (["--where", "tags.team = 'sales'"], []),
        (["--where", "name LIKE 'tues%'"], ["tuesday"]),
        (["--where", "owner = ann AND trigger = manual AND commit LIKE 4b825dc%"], ["tuesday", "monday"]),
        (["--where", "started < 2026-06-02"], ["monday"]),
        (["--sort", "metrics.loss", "--asc"], ["monday", "tuesday"]),
        (["--sort", "metrics.auc"], ["monday", "tuesday"]),
        (["--asc"], ["monday", "tuesday"]),
    ],
    ids=lambda value: " ".join(value) if value and value[0].startswith("--") else "",
)
@pytest.mark.usefixtures("_in_utc")
def test_runs_are_chosen_and_ordered(run, churn, arguments, expected):
    assert listed(run, churn, *arguments) == expected


def test_columns_are_those_that_are_asked_for(run, churn):
    columns = "id,pipeline,run,commit,params.model,metrics.auc,tags.team,error"

    result = run("run", "list", "--columns", columns, "--target", churn)

    assert table(result.stdout) == [
        ["id", "pipeline", "run", "commit", "params.model", "metrics.auc", "tags.team", "error"],
        ["3", "churn", "tuesday", "4b825dc642cb", "small", "growth", "step 'evaluate' failed"],
        ["2", "churn", "monday", "4b825dc642cb", "small", "0.91", "growth"],
    ]


def test_what_is_sorted_by_has_a_column(run, churn):
    result = run("run", "list", "--sort", "params.model", "--where", "tags.team = growth", "--target", churn)

    assert table(result.stdout)[0][5:8] == ["tags.team", "params.model", "params.lr"]


def test_many_metrics_are_named_rather_than_shown(run, url):
    with connect(url) as store:
        churn = Recorded(store.transport.call)
        churn.step(
            "monday", "train", metrics=[pp.Metric(name=f"m{number}", value=number) for number in range(9)]
        )

    result = run("run", "list", "--target", url)

    assert table(result.stdout)[0][5:] == [f"metrics.m{number}" for number in range(6)]
    assert result.stderr == "not shown: metrics.m6, metrics.m7, metrics.m8; choose with --columns\n"


def test_runs_of_several_pipelines_are_listed_with_their_pipelines(run, churn):
    with connect(churn) as store:
        Recorded(store.transport.call, "fraud").start("tuesday", start_ms=TUESDAY_MS + 1)

    result = run("run", "list", "--target", churn)

    assert [line[:2] for line in table(result.stdout)] == [
        ["pipeline", "run"],
        ["fraud", "tuesday"],
        ["churn", "tuesday"],
        ["churn", "monday"],
    ]


def test_a_list_that_is_cut_short_says_so(run, churn):
    cut = run("run", "list", "--limit", 1, "--json", "--target", churn)

    assert [one["run"] for one in json.loads(cut.stdout)] == ["tuesday"]
    assert cut.stderr == "there are more than these 1; --limit 0 lists all\n"
    assert run("run", "list", "--limit", 2, "--target", churn).stderr == ""


def test_a_table_of_runs_shows_50_unless_told_otherwise_and_json_shows_all(run, url):
    with connect(url) as store:
        churn = Recorded(store.transport.call)
        for number in range(60):
            churn.start(f"run-{number}")

    result = run("run", "list", "churn", "--target", url)

    assert len(result.stdout.splitlines()) == 51
    assert result.stderr == "there are more than these 50; --limit 0 lists all\n"
    assert len(run("run", "list", "churn", "--limit", 0, "--target", url).stdout.splitlines()) == 61
    assert len(listed(run, url)) == 60


def test_a_run_as_json_has_all_that_it_was_given_and_came_to(run, churn):
    (found,) = json.loads(run("run", "list", "--where", "name = monday", "--json", "--target", churn).stdout)

    assert {name: found[name] for name in ("pipeline", "run", "state", "start_ms", "end_ms", "owner")} == {
        "pipeline": "churn",
        "run": "monday",
        "state": "COMPLETE",
        "start_ms": MONDAY_MS,
        "end_ms": MONDAY_MS + 207_200,
        "owner": "ann",
    }
    assert found["parameters"] == {"lr": 0.1, "model": "small"}
    assert found["metrics"] == {"auc": 0.91, "epochs": 2, "loss": 0.25}
    assert found["tags"] == {"team": "growth"}
    assert found["steps"] == {"COMPLETE": 4}


def test_a_bar_on_the_terminal_leaves_stdout_alone(churn):
    terminal, child_side = pty.openpty()
    process = subprocess.Popen(
        [*HEADWATER, "run", "list", "--json", "--target", churn], stdout=subprocess.PIPE, stderr=child_side
    )
    os.close(child_side)
    shown, _ = process.communicate(timeout=60)
    seen = os.read(terminal, 65536).decode()
    os.close(terminal)

    assert [one["run"] for one in json.loads(shown)] == ["tuesday", "monday"]
    assert "reading runs" in seen


# Show


def test_showing_a_run_names_what_it_was_given_its_steps_and_why_they_ran(run, churn):
    result = run("run", "show", "churn/tuesday", "--target", churn)

    parts = [part.splitlines() for part in result.stdout.split("\n\n")]
    assert [part[0] for part in parts[1:]] == [
        "error",
        "parameters",
        "metrics",
        "steps",
        "not begun: report",
        "error of evaluate",
    ]
    assert dict(line.split(maxsplit=1) for line in parts[0])["tags"] == "team=growth"
    assert table("\n".join(parts[4])) == [
        ["steps"],
        ["execution", "step", "attempt", "state", "took", "why"],
        ["5", "split", "1", "CACHED", "hit: outputs of execution 1"],
        ["6", "train", "1", "COMPLETE", "3 min 0 s", "parameter:lr changed from 0.1 to 0.2"],
        ["7", "evaluate", "1", "FAILED", "300 ms", "input:model changed from sha256:of-3 to sha256:of-6"],
    ]
    assert parts[6][1:] == ERROR.splitlines()


def test_what_failed_a_run_is_shown_once_where_it_is_what_failed_its_step(run, url):
    def divide(number):
        return 1 / number

    for name, wraps in (("once", False), ("twice", True)):
        with (
            contextlib.suppress(ZeroDivisionError, ValueError),
            connect(url) as store,
            store.run("churn", name=name) as opened,
        ):
            try:
                opened.step(divide)(0)
            except ZeroDivisionError as error:
                if wraps:
                    raise ValueError("no number") from error
                raise

    once, twice = (run("run", "show", f"churn/{name}", "--target", url).stdout for name in ("once", "twice"))

    assert once.count("ZeroDivisionError: division by zero") == 1
    assert "error of divide\n" in once
    assert "\nerror\n" not in once
    assert twice.index("ValueError: no number") < twice.index("error of divide\n")


def test_a_run_is_found_by_its_names_by_its_id_and_by_its_pipeline(run, churn):
    for named in ("churn/tuesday", "3", "churn"):
        found = json.loads(run("run", "show", named, "--json", "--target", churn).stdout)
        assert (found["run_id"], found["run"]) == (3, "tuesday")
        assert [attempt["step"] for attempt in found["attempts"]] == ["split", "train", "evaluate"]


def test_the_name_of_a_run_may_have_slashes(run, url):
    with connect(url) as store:
        Recorded(store.transport.call).step("2026/06/01", "split")

    assert run("run", "show", "churn/2026/06/01", "--target", url).exit_code == 0
    explained = run("cache", "explain", "churn/2026/06/01/split", "--target", url)
    assert explained.stdout.splitlines()[0].split() == ["step", "churn/2026/06/01/split"]


def test_of_a_long_error_the_end_is_shown(run, url):
    error = "\n".join(f"line {number} \x1b[31m" for number in range(100))
    with connect(url) as store:
        Recorded(store.transport.call).step("monday", "split", state=pp.FAILED, error=error)

    result = run("run", "show", "churn", "--target", url)

    shown = result.stdout.partition("error of split\n")[2].splitlines()
    assert shown == [
        "(88 lines before these: see --json)",
        *(f"line {number} \\x1b[31m" for number in range(88, 100)),
    ]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("show", "churn/never"), "pipeline 'churn' has no run 'never'"),
        (("show", "fraud"), "there is no pipeline 'fraud'"),
        (("show", "fraud/monday"), "there is no pipeline 'fraud'"),
        (("show", "99"), "there is no run with id 99"),
        (("list", "fraud"), "there is no pipeline 'fraud'"),
        (("plan", "churn/never"), "pipeline 'churn' has no run 'never'"),
    ],
    ids=" ".join,
)
def test_what_is_not_there_is_an_error(run, churn, arguments, sentence):
    result = run("run", *arguments, "--target", churn)

    assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"Error: {sentence}\n")


# Diff


def test_diff_shows_only_what_differs(run, churn):
    result = run("run", "diff", "churn/monday", "churn/tuesday", "--target", churn)

    parts = [table(part) for part in result.stdout.split("\n\n")]
    assert [line[0] for line in parts[0]] == ["monday", "id", "state", "started", "took", "steps"]
    assert parts[1:] == [
        [["parameters"], ["name", "monday", "tuesday"], ["lr", "0.1", "0.2"]],
        [["metrics"], ["name", "monday", "tuesday"], ["auc", "0.91"], ["loss", "0.25", "0.5"]],
        [["environment"], ["name", "monday", "tuesday"], ["python", "3.11.7", "3.12.1"]],
        [
            ["steps"],
            ["name", "monday", "tuesday"],
            ["split", "COMPLETE", "CACHED"],
            ["evaluate", "COMPLETE", "FAILED"],
            ["report", "COMPLETE"],
        ],
        [
            ["what steps were made of"],
            ["step", "component", "monday", "tuesday"],
            ["train", "parameter:lr", "0.1", "0.2"],
            ["evaluate", "input:model", "sha256:of-3", "sha256:of-6"],
        ],
    ]


def test_diff_as_json_has_the_values_in_the_order_of_the_runs(run, churn):
    with connect(churn) as store:
        recorded = Recorded(store.transport.call)
        recorded.start("wednesday", parameters={"lr": 0.1, "deep": True}, tags={"team": "sales"})
        recorded.step("wednesday", "train", inputs={"examples": 2}, parameters={"lr": 0.1}, code="2")

    result = run("run", "diff", 2, 3, "churn", "--json", "--target", churn)

    found = json.loads(result.stdout)
    assert [one["run"] for one in found["runs"]] == ["monday", "tuesday", "wednesday"]
    assert found["parameters"] == {
        "lr": [0.1, 0.2, 0.1],
        "model": ["small", "small", None],
        "deep": [None, None, True],
    }
    assert found["tags"] == {"team": ["growth", "growth", "sales"]}
    assert found["components"]["train"] == {
        "code": ["sha256:1", "sha256:1", "sha256:2"],
        "parameter:lr": ["0.1", "0.2", "0.1"],
    }


def test_runs_that_are_alike_do_not_differ(run, url):
    with connect(url) as store:
        churn = Recorded(store.transport.call)
        for name in ("monday", "tuesday"):
            churn.start(name, parameters={"lr": 0.1})
            churn.step(name, "train", state=pp.FAILED, metrics=[pp.Metric(name="loss", value=float("nan"))])

    result = run("run", "diff", "churn/monday", "churn/tuesday", "--target", url)

    assert result.stdout.split("\n\n")[1:] == ["nothing else differs\n"]


def test_one_run_cannot_be_compared(run, churn):
    result = run("run", "diff", "churn", "--target", churn)

    assert result.exit_code == 2
    assert "give at least two runs to be compared" in result.stderr


# Plan and resume


def test_a_plan_says_of_each_step_what_resuming_would_do_and_why(run, churn):
    result = run("run", "plan", "churn/tuesday", "--target", churn)

    assert [line[:2] for line in table(result.stdout)] == [
        ["step", "plan"],
        ["split", "hit"],
        ["train", "hit"],
        ["evaluate", "run"],
        ["report", "blocked"],
        [],
        ["2 hit, 1 run, 1 blocked"],
    ]
    assert "it failed: ValueError: the model has no classes" in result.stdout


def test_a_plan_as_json_names_the_steps_that_others_wait_for(run, churn):
    planned = json.loads(run("run", "plan", "churn", "--json", "--target", churn).stdout)

    assert [(step["step"], step["plan"], step["blocked_by"]) for step in planned] == [
        ("split", "DONE", []),
        ("train", "DONE", []),
        ("evaluate", "TO_RUN", []),
        ("report", "BLOCKED", ["evaluate"]),
    ]


def test_a_plan_may_look_whether_outputs_are_still_there(run, url, tmp_path):
    model = tmp_path / "model.txt"
    model.write_bytes(b"weights")
    with connect(url) as store:
        recorded = Recorded(store.transport.call)
        request, _ = recorded.begin("monday", "train")
        made = pp.StepOutput(
            name="model", uri=model.as_uri(), digest=digest_of_bytes(b"weights").digest, size_bytes=7
        )
        recorded.call("FinishStep", pp.FinishStepRequest(key=request.key, state=pp.COMPLETE, outputs=[made]))
    asked = ("run", "plan", "churn", "--check", "--json", "--target", url)

    (there,) = json.loads(run(*asked).stdout)
    model.unlink()
    (gone,) = json.loads(run(*asked).stdout)
    (unlooked,) = json.loads(run("run", "plan", "churn", "--json", "--target", url).stdout)

    assert (there["plan"], gone["plan"], unlooked["plan"]) == ("DONE", "TO_RUN", "DONE")
    assert gone["why"].startswith("it is done, but output 'model': ")


def command(text):
    """A program to be started behind ``--``."""
    return ("--", sys.executable, "-c", text)


SAY = "import os; print(os.environ['HEADWATER_RESUME'], os.environ['HEADWATER_TARGET'])"


def test_resuming_shows_the_plan_and_starts_the_command_with_the_run_in_its_environment(churn):
    process = subprocess.run(
        [*HEADWATER, "run", "resume", "churn/tuesday", "--yes", "--database-url", churn, *command(SAY)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (process.returncode, process.stdout) == (0, f"churn/tuesday {churn}\n")
    assert table(process.stderr)[3][:2] == ["evaluate", "run"]


@pytest.mark.parametrize(("text", "code"), [("raise SystemExit(7)", 7), ("raise ValueError('no')", 1)])
def test_the_exit_code_of_resuming_is_that_of_the_command(run, churn, text, code):
    result = run("run", "resume", "churn/tuesday", "--yes", "--target", churn, *command(text))

    assert result.exit_code == code


def test_a_program_that_is_not_there_is_an_error(run, churn):
    result = run("run", "resume", "churn", "--yes", "--target", churn, "--", "no-such-program")

    assert result.exit_code == 1
    assert result.stderr.endswith(
        "Error: there is no program 'no-such-program'; give it as in a shell, after --\n"
    )


def test_without_a_terminal_and_without_yes_nothing_is_resumed(run, churn):
    result = run("run", "resume", "churn", "--target", churn, *command("print('ran')"))

    assert (result.exit_code, result.stdout) == (2, "")
    assert "give --yes" in result.stderr


def test_without_a_command_there_is_nothing_to_resume_with(run, churn):
    assert run("run", "resume", "churn", "--yes", "--target", churn).exit_code == 2


def test_a_run_that_is_complete_is_not_resumed(run, churn):
    result = run(
        "run", "resume", "churn/monday", "--no-check", "--target", churn, *command("raise SystemExit(7)")
    )

    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "churn/monday is complete; there is nothing to resume\n"


@pytest.mark.parametrize(("answer", "code", "said"), [("y\n", 0, "ran\n"), ("n\n", 1, ""), ("\n", 1, "")])
def test_on_a_terminal_it_asks_before_it_resumes(churn, answer, code, said):
    terminal, child_side = pty.openpty()
    process = subprocess.Popen(
        [*HEADWATER, "run", "resume", "churn", "--target", churn, *command("print('ran')")],
        stdin=child_side,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(child_side)
    os.write(terminal, answer.encode())
    out, talk = process.communicate(timeout=60)
    os.close(terminal)

    assert (process.returncode, out) == (code, said)
    assert "Resume churn/tuesday? [y/N]" in talk


def test_a_run_that_has_not_ended_is_resumed_with_a_warning(run, url):
    with connect(url) as store:
        Recorded(store.transport.call).begin("monday", "train")

    result = run("run", "resume", "churn", "--yes", "--target", url, *command("pass"))

    assert result.exit_code == 0
    assert "churn/monday has not ended; if a process is at work on it, wait for that\n" in result.stderr
