"""``headwater cache explain``, ``invalidate`` and ``stats``."""

import json

import pytest
from cli.churn import record_churn
from pipelines.recorded import Recorded

from headwater import connect
from headwater.v1 import pipelines_pb2 as pp


@pytest.fixture
def churn(url):
    """The URL of a store with the runs of Monday and Tuesday."""
    record_churn(url)
    return url


def table(text):
    """The cells of a table whose cells have no two spaces in them."""
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in text.splitlines()]


def invalidated(run, url, *arguments):
    """The executions that ``cache invalidate`` makes unfit."""
    result = run("cache", "invalidate", *arguments, "--yes", "--json", "--target", url)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)["execution_ids"]


# Explain


def test_explaining_a_step_that_ran_shows_which_components_differ(run, churn):
    result = run("cache", "explain", "churn/train", "--target", churn)

    parts = [table(part) for part in result.stdout.split("\n\n")]
    assert dict(line for line in parts[0] if line[0] != "fingerprint") == {
        "step": "churn/tuesday/train",
        "execution": "6",
        "attempt": "1",
        "state": "COMPLETE",
        "ran because": "parameter:lr changed from 0.1 to 0.2",
    }
    assert parts[1] == [
        ["what differs from execution 2"],
        ["component", "old", "new"],
        ["parameter:lr", "0.1", "0.2"],
    ]
    assert parts[2][0] == ["nearest earlier executions"]
    assert [line[:3] for line in parts[2][2:]] == [["2", "monday", "COMPLETE"]]


def test_what_was_made_again_of_the_same_is_told_in_words_and_no_difference_of_runs(run, url):
    class Table:
        """What is only in memory."""

    def load():
        return Table()

    def count(table):
        return 1

    with connect(url) as store:
        for name in ("monday", "tuesday"):
            # As plain runs of frameworks: they record, and skip nothing.
            with store.run("churn", name=name, cache="write") as opened:
                loaded = opened.step(load)()
                opened.step(count)(loaded)
        with store.run("churn", name="wednesday") as opened:
            opened.step(count)(opened.step("load", force=True)(load)())

    result = run("cache", "explain", "churn/wednesday/count", "--target", url)
    parts = [table(part) for part in result.stdout.split("\n\n")]
    again = "input:table, which is in memory, was made again by another execution"
    assert dict(line for line in parts[0] if len(line) == 2)["ran because"] == again
    assert parts[1][2][0] == "input:table"
    assert parts[1][2][1].startswith("made:hw1:")
    assert parts[1][2][2] == "made again by another execution"
    assert (
        "nothing else differs" in run("run", "diff", "churn/monday", "churn/tuesday", "--target", url).stdout
    )


def test_explaining_a_hit_says_whose_outputs_were_taken(run, churn):
    result = run("cache", "explain", "churn/tuesday/split", "--target", churn)

    fields = dict(table(result.stdout))
    assert (fields["execution"], fields["state"]) == ("5", "CACHED")
    assert fields["hit"].startswith("the outputs of execution 1, made by run churn/monday at ")
    assert "nearest" not in result.stdout


def test_explaining_a_first_execution_says_that_there_was_none(run, churn):
    result = run("cache", "explain", "churn/monday/train", "--target", churn)

    assert dict(table(result.stdout))["ran because"] == "not completed before in this pipeline"


def test_an_explanation_as_json_has_the_differences(run, churn):
    explained = json.loads(run("cache", "explain", 6, "--json", "--target", churn).stdout)

    assert explained["execution_id"] == 6
    assert explained["decision"] == "RUN"
    assert explained["components"]["parameter:lr"] == "0.2"
    assert explained["miss"]["differences"] == [{"component": "parameter:lr", "old": "0.1", "new": "0.2"}]


def test_an_attempt_is_named_by_its_number(run, url):
    with connect(url) as store:
        churn = Recorded(store.transport.call)
        churn.step("monday", "train", state=pp.FAILED)
        churn.step("monday", "train")

    def explained(named):
        return json.loads(run("cache", "explain", named, "--json", "--target", url).stdout)["execution_id"]

    assert (
        explained("churn/train") == explained("churn/monday/train") == explained("churn/monday/train#2") == 2
    )
    assert explained("1") == 1


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        ("churn/never", "no step 'churn/never' was begun"),
        ("churn/monday/never", "no step 'churn/monday/never' was begun"),
        ("churn/never/train", "no step 'churn/never/train' was begun"),
        ("churn", "'churn' is not an execution id, PIPELINE/STEP or PIPELINE/RUN/STEP"),
        ("99", "there is no attempt at a step with execution id 99"),
    ],
)
def test_what_was_not_begun_cannot_be_explained(run, churn, named, sentence):
    result = run("cache", "explain", named, "--target", churn)

    assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"Error: {sentence}\n")


# Invalidate


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--step", "churn/train"], [2, 6]),
        (["--run", "churn/monday"], [1, 2, 3, 4]),
        (["--step", "churn/train", "--run", "churn/monday"], [2]),
        (["--step", "churn/train", "--run", "churn/monday", "--with-downstream"], [2, 3]),
        (["--pipeline", "churn"], [1, 2, 3, 4, 6]),
        (["--execution", "2", "--execution", "4"], [2, 4]),
        (["--artifact", "file:///data/table"], [1]),
        (["--artifact", "file:///data/table", "--with-downstream"], [1, 2, 3, 6]),
        (["--step", "churn/report", "--older-than", "36500d"], []),
        (["--step", "churn/report", "--older-than", "0s"], [4]),
    ],
    ids=lambda value: " ".join(value) if value and isinstance(value[0], str) else "",
)
def test_executions_are_invalidated_that_meet_all_conditions(run, churn, arguments, expected):
    assert invalidated(run, churn, *arguments) == expected
    assert invalidated(run, churn, *arguments) == []


def test_what_would_be_invalidated_is_shown_and_left_alone_by_a_dry_run(run, churn):
    shown = run("cache", "invalidate", "--step", "churn/train", "--dry-run", "--target", churn)

    assert shown.exit_code == 0
    assert [line[:4] for line in table(shown.stdout)] == [
        ["execution", "run", "step", "state"],
        ["2", "churn/monday", "train", "COMPLETE"],
        ["6", "churn/tuesday", "train", "COMPLETE"],
    ]
    assert invalidated(run, churn, "--step", "churn/train") == [2, 6]


def test_the_reason_is_told_to_those_who_ask_later(run, churn):
    arguments = ("--step", "churn/split", "--reason", "the dates were read wrongly")

    done = run("cache", "invalidate", *arguments, "--yes", "--target", churn)

    assert done.stdout.endswith("\n1 execution can no longer be hit\n")
    with connect(churn) as store:
        _, begun = Recorded(store.transport.call).begin("wednesday", "split", inputs={"table": "customers"})
    assert (begun.decision, begun.miss.text) == (pp.RUN, "done before, but the dates were read wrongly")
    explained = run("cache", "explain", "churn/split", "--target", churn)
    assert "the dates were read wrongly" in explained.stdout


def test_nothing_to_invalidate_is_said_and_not_asked(run, churn):
    result = run("cache", "invalidate", "--step", "churn/train", "--older-than", "36500d", "--target", churn)

    assert (result.exit_code, result.stdout) == (0, "nothing that can be hit is among these\n")


def test_without_a_terminal_and_without_yes_nothing_is_invalidated(run, churn):
    result = run("cache", "invalidate", "--pipeline", "churn", "--target", churn)

    assert result.exit_code == 2
    assert "give --yes" in result.stderr
    assert len(invalidated(run, churn, "--pipeline", "churn")) == 5


def test_of_many_executions_the_first_are_shown(run, url):
    with connect(url) as store:
        churn = Recorded(store.transport.call)
        for number in range(25):
            churn.step("monday", f"train[{number}]")

    result = run("cache", "invalidate", "--pipeline", "churn", "--dry-run", "--target", url)

    assert len(result.stdout.splitlines()) == 22
    assert result.stdout.splitlines()[-1] == "and 5 more executions"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "say which: --pipeline, --step, --run, --artifact, --execution or --older-than, or several"),
        (["--with-downstream"], "say which: "),
        (
            ["--step", "churn/train", "--run", "fraud/monday"],
            "'churn' and 'fraud' are two pipelines, and an execution is of one",
        ),
        (["--older-than", "30"], "Invalid value for '--older-than': '30' is not a length of time"),
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_is_wrong_usage(run, churn, arguments, sentence):
    result = run("cache", "invalidate", *arguments, "--yes", "--target", churn)

    assert (result.exit_code, result.stdout) == (2, "")
    assert sentence in result.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--step", "train"], "'train' has no name behind its pipeline; write PIPELINE/NAME"),
        (["--step", "churn/never"], "pipeline 'churn' never had a step 'never'"),
        (["--run", "churn/never"], "pipeline 'churn' has no run 'never'"),
        (["--artifact", "s3://b/none"], "there is no artifact with the URI 's3://b/none'"),
        (["--execution", "99"], "there is no attempt at a step with execution id 99"),
    ],
    ids=" ".join,
)
def test_what_is_not_there_cannot_be_invalidated(run, churn, arguments, sentence):
    result = run("cache", "invalidate", *arguments, "--yes", "--target", churn)

    assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"Error: {sentence}\n")


# Stats


def test_stats_count_hits_and_failures_of_each_step_and_the_time_that_was_saved(run, churn):
    result = run("cache", "stats", "churn", "--target", churn)

    assert table(result.stdout) == [
        ["pipeline", "step", "completed", "hits", "hit rate", "failed", "can be hit", "invalidated", "saved"],
        ["churn", "evaluate", "1", "0", "0%", "1", "1", "0"],
        ["churn", "report", "1", "0", "0%", "0", "1", "0"],
        ["churn", "split", "1", "1", "50%", "0", "1", "0", "2.0 s"],
        ["churn", "train", "2", "0", "0%", "0", "2", "0"],
        ["total", "5", "1", "17%", "1", "5", "0", "2.0 s"],
    ]


def test_stats_as_json_are_numbers(run, churn):
    found = json.loads(run("cache", "stats", "--json", "--target", churn).stdout)

    assert found[2] == {
        "pipeline": "churn",
        "step": "split",
        "completed": 1,
        "hits": 1,
        "failed": 0,
        "entries": 1,
        "saved_ms": 2_000,
        "invalidated": 0,
    }


def test_a_store_without_pipelines_has_no_stats(run, url):
    connect(url).close()

    assert json.loads(run("cache", "stats", "--json", "--target", url).stdout) == []
