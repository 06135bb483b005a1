"""`kedro headwater`, as its users type it: what was recorded is told, and runs are planned and repeated."""

import contextlib
import itertools
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from headwater_kedro.commands.initialising import TEXT
from headwater_kedro.config import CachePolicy, Settings, parse_settings

import headwater
from headwater.client.recording.recorder import TIMEOUT_S

ALL = ["clean", "split", "train", "judge"]

# Kedro's logs go to stdout unless it is told otherwise; a program that reads JSON tells it.
LOGGING = """
version: 1
disable_existing_loggers: false
handlers: {stderr: {class: logging.StreamHandler, level: WARNING}}
loggers: {kedro: {level: INFO}}
root: {handlers: [stderr]}
"""

# It fails while there is a file that is called so, which is no part of what the node is known by.
NODES = """
from pathlib import Path
from shop.helpers import doubled

def clean(raw):
    return [line for line in raw.split() if line]

def split(rows, size):
    return rows[:size], rows[size:]

def train(train_rows, rate):
    return {"weight": doubled(sum(map(int, train_rows))) * rate}

def judge(model, test_rows):
    if Path("broken").exists():
        raise ValueError("the judge is broken")
    return f"{model['weight']} of {len(test_rows)}"
"""

REGISTRY = """
from kedro.pipeline import Pipeline, node
from shop import nodes

def register_pipelines():
    prepare = Pipeline([
        node(nodes.clean, "raw", "rows@json", name="clean", tags="cheap"),
    ])
    learn = Pipeline([
        node(nodes.split, ["rows@same", "params:size"], ["train_rows", "test_rows"], name="split"),
        node(nodes.train, ["train_rows", "params:rate"], "model", name="train"),
        node(nodes.judge, ["model", "test_rows"], "report", name="judge"),
    ])
    return {"__default__": prepare + learn, "prepare": prepare, "learn": learn}
"""

CATALOG = """
raw: {type: text.TextDataset, filepath: data/raw.txt}
rows@json: {type: json.JSONDataset, filepath: data/rows.json}
rows@same: {type: json.JSONDataset, filepath: data/rows.json}
model: {type: json.JSONDataset, filepath: data/model.json, versioned: true}
report: {type: text.TextDataset, filepath: data/report.txt}
"""


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The sentence that a command that failed ends with."""
        assert self.code != 0, self.out + self.err
        assert "Traceback" not in self.out + self.err
        return self.err[self.err.index("Error: ") + 7 :].strip()


def kedro(project, *command: str, code: "int | None" = 0, **env: str) -> Said:
    done = subprocess.run(
        [sys.executable, "-m", "kedro", *command],
        check=False,
        cwd=project.path,
        env={
            **os.environ,
            "DO_NOT_TRACK": "1",
            "KEDRO_LOGGING_CONFIG": str(project.path / "logging.yml"),
            "XDG_STATE_HOME": str(project.path / "state"),
            **env,
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert code is None or done.returncode == code, done.stdout + done.stderr
    return Said(done.returncode, done.stdout, done.stderr)


def ask(project, *command: str, code: int = 0, **env: str) -> Said:
    return kedro(project, "headwater", *command, code=code, **env)


def store_of(project):
    return headwater.connect(f"sqlite:///{project.path}/.headwater/headwater.db", create=False)


def shared_beginning(one: str, other: str) -> str:
    pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return "".join(char for char, _ in pairs)


def recorded(project) -> list[dict]:
    """The runs, the oldest first, with the states of their nodes and what is kept of them."""
    found = []
    with store_of(project) as store:
        for run in store.runs():
            kept = store.get_context(run.run_id).custom_properties
            found.append(
                {
                    "id": run.run_id,
                    "name": run.run,
                    "pipeline": run.pipeline,
                    "state": run.state,
                    "nodes": {step.step: step.state for step in store.steps(run)},
                    "told": json.loads(kept["kedro"].string_value),
                    "resumes": kept["resumes"].string_value if "resumes" in kept else "",
                }
            )
    return found[::-1]


@pytest.fixture(scope="session")
def new_shop(new_project: Callable):
    def make():
        project = new_project()
        project.write("src/shop/nodes.py", NODES)
        project.write("src/shop/pipeline_registry.py", REGISTRY)
        project.write("conf/base/catalog.yml", CATALOG)
        project.write("logging.yml", LOGGING)
        return project

    return make


@pytest.fixture
def shop(new_shop):
    return new_shop()


@pytest.fixture(scope="session")
def told_shop(new_shop):
    """A shop with a history that no test adds to.

    Three runs with `kedro run`, of which the second has another rate, and the third other raw data; and the
    runs of two projects whose names are nearly the same.
    """
    project = new_shop()
    project.write("conf/base/headwater.yml", "project: the_shop\n")
    with contextlib.ExitStack() as stack:
        kedro(project, "run")
        kedro(project, "run", "--params=rate=4")
        project.write("data/raw.txt", "5 6 7 8")
        kedro(project, "run", "--params=rate=4", "--to-nodes=train")
        # The first content again, which is the first artifact again.
        project.write("data/raw.txt", "1 2 3 4")
        kedro(project, "run", "--pipeline=prepare")
        store = stack.enter_context(store_of(project))
        for other in ("the_shop_2:__default__", "the-shop:__default__"):
            with store.run(other, name="2026-other") as run, run.step("train"):
                pass
    return project


# What is told of runs


def test_the_runs_of_this_project_are_listed_the_newest_first(told_shop):
    runs = ask(told_shop, "runs", "--json").json

    assert [run["pipeline"] for run in runs] == ["the_shop:prepare", *["the_shop:__default__"] * 3]
    assert [run["run_id"] for run in runs] == sorted((run["run_id"] for run in runs), reverse=True)
    assert runs[1]["parameters"]["rate"] == 4


def test_a_table_of_runs_has_the_numbers_by_which_they_can_be_named(told_shop):
    said = ask(told_shop, "runs", "--limit=2", "--pipeline=__default__")

    head, *rows = said.out.splitlines()
    assert head.split()[:2] == ["id", "run"]
    assert len(rows) == 2
    assert "there are more than these 2" in said.err
    # Parameters that tell the runs apart.
    with store_of(told_shop) as store:
        ids = [str(run.run_id) for run in store.runs("the_shop:__default__")]
    assert [row.split()[0] for row in rows] == ids[:2]


def test_a_pipeline_that_was_never_run_is_refused_with_those_that_were(told_shop):
    assert (
        ask(told_shop, "runs", "--pipeline=learn", code=1).error
        == "no run of a pipeline 'learn' was recorded; there are runs of __default__, prepare"
    )


FINDING = """
import json, sys
import click
from headwater_kedro.commands.project import Project

found = {}
project = Project(Path.cwd())
with project.store() as store:
    for name in sys.argv[1:]:
        try:
            found[name] = project.find_run(store, name).run_id
        except click.ClickException as error:
            found[name] = error.message
print("\\n" + json.dumps(found))
"""


def test_a_run_is_named_by_its_number_its_name_the_beginning_of_it_or_its_pipeline(told_shop):
    with store_of(told_shop) as store:
        first, second, third = [*store.runs("the_shop:__default__")][::-1]
        prepared = next(store.runs("the_shop:prepare"))
        other = next(store.runs("the-shop:__default__"))
    others = [first, third, prepared]
    common = max((shared_beginning(second.run, one.run) for one in others), key=len)

    names = {
        str(first.run_id): first.run_id,
        second.run: second.run_id,
        second.run[: len(common) + 1]: second.run_id,
        f"the_shop:__default__/{first.run}": first.run_id,
        f"__default__/{first.run}": first.run_id,
        "prepare": prepared.run_id,
        "the_shop:prepare": prepared.run_id,
        "latest": prepared.run_id,
        "latest~1": third.run_id,
        "latest~3": first.run_id,
    }
    missing = "latest~4"
    wrong = [common, "1999", f"the-shop:__default__/{other.run}", str(other.run_id), "'; %"]
    said = json.loads(told_shop.script(FINDING, *names, *wrong, missing).splitlines()[-1])

    assert said[missing] == "there is no run latest~4 of 'the_shop': there are 4 runs"
    assert {name: said[name] for name in names} == names
    assert said[common].startswith(f"{common!r} may be several runs: ")
    for name in wrong[1:]:
        assert (
            said[name]
            == f"there is no run {name!r} of 'the_shop'; 'kedro headwater runs' lists those there are"
        )


def test_two_runs_are_put_side_by_side(told_shop):
    with store_of(told_shop) as store:
        first, second = [run.run_id for run in store.runs("the_shop:__default__")][::-1][:2]

    differences = ask(told_shop, "diff", str(first), str(second), "--json").json

    assert differences["parameters"] == {"rate": [3, 4]}
    assert differences["components"]["train"]["parameter:rate"] == ["3", "4"]
    assert "clean" not in differences["components"]


def test_two_runs_are_asked_for_where_there_is_one(told_shop):
    said = ask(told_shop, "diff", "latest", code=2)

    assert "diff [OPTIONS] RUN RUN" in said.err
    assert said.error == "Missing argument 'RUN'."


def test_what_became_of_nodes_is_counted_in_the_words_of_the_table_after_a_run(shop):
    shop.write("broken", "")
    kedro(shop, "run", "--to-nodes=train")
    ask(shop, "run", code=1)
    (shop.path / "data/raw.txt").unlink()
    kedro(shop, "run", code=1)

    head, *rows = ask(shop, "runs").out.splitlines()

    assert "  nodes" in head
    for row, counts in zip(rows, ["1 failed, 3 not reached", "1 run, 2 hit, 1 failed", "3 run"], strict=True):
        assert re.search(rf" m?s +{counts}( |$)", row), row


# Answers in a file


def test_an_answer_in_a_file_is_nothing_but_the_answer(told_shop, tmp_path):
    file = tmp_path / "answer.json"
    # Kedro's usual logging, whose first line is on stdout before any command begins.
    usual = {"KEDRO_LOGGING_CONFIG": ""}

    for command in (
        ["runs"],
        ["show"],
        ["explain", "train"],
        ["lineage", "model"],
        ["diff", "latest~1", "latest"],
        ["plan"],
    ):
        file.unlink(missing_ok=True)
        said = ask(told_shop, *command, "--json", "-o", str(file), **usual)
        assert json.loads(file.read_text()), command
        assert file.read_text() not in said.out

    ask(told_shop, "runs", f"--output={file}")
    assert file.read_text() == ask(told_shop, "runs").out


def test_a_file_is_left_alone_by_an_answer_that_fails(told_shop, tmp_path):
    file = tmp_path / "answer.json"
    file.write_text("earlier")

    ask(told_shop, "explain", "nothing", "-o", str(file), code=1)
    ask(told_shop, "diff", "latest", "nothing", "-o", str(file), code=1)

    assert file.read_text() == "earlier"
    assert "nowhere" in ask(told_shop, "runs", "-o", str(tmp_path / "nowhere" / "answer"), code=1).error


# What a run did

SHOUTING = (
    NODES
    + """
def judge(model, test_rows):
    raise ValueError("first line\\nlast line of the error")
"""
)


def test_a_run_is_shown_node_by_node_with_the_error_of_the_one_that_failed(shop):
    kedro(shop, "run")
    shop.write("src/shop/nodes.py", SHOUTING)
    ask(shop, "run", "--params=rate=4", code=1)
    failed = recorded(shop)[-1]

    said = ask(shop, "show")
    nodes = {one["node"]: one for one in ask(shop, "show", "latest", "--json").json["nodes"]}

    assert f"shop:__default__/{failed['name']}" in said.out
    lines = [line.split(maxsplit=1) for line in said.out.splitlines() if line.startswith(tuple(ALL))]
    assert [node for node, _ in lines] == ALL
    assert [re.match(r"hit|run|re-made|failed", rest)[0] for _, rest in lines] == [
        *("hit", "re-made", "run", "failed")
    ]
    assert "last line of the error" in lines[-1][1]
    assert "4 nodes: 1 run, 1 hit, 1 re-made, 1 failed" in said.out
    assert "Traceback" not in said.out
    assert f"'kedro headwater run --resume {failed['id']}' goes on with what is left of it" in said.err
    assert {name: one["outcome"] for name, one in nodes.items()} == {
        "clean": "hit",
        "split": "re-made",
        "train": "run",
        "judge": "failed",
    }
    assert "Traceback" in nodes["judge"]["error"]
    assert nodes["train"]["why"] == "parameter:rate changed from 3 to 4"
    assert nodes["train"]["end_ms"] >= nodes["train"]["start_ms"] > 0
    whole = ask(shop, "show", "--errors").out
    assert "error of judge" in whole
    assert nodes["judge"]["error"].strip() in whole
    assert "4 nodes: 4 run" in ask(shop, "show", "latest~1").out


def test_nodes_that_a_run_did_not_come_to_stand_in_its_order(shop):
    shop.write(
        "src/shop/nodes.py", NODES.replace("return rows[:size], rows[size:]", "raise ValueError(size)")
    )
    kedro(shop, "run", code=1)

    shown = ask(shop, "show", "--json").json

    assert [(one["node"], one["outcome"]) for one in shown["nodes"]] == [
        ("clean", "run"),
        ("split", "failed"),
        ("train", "not reached"),
        ("judge", "not reached"),
    ]
    assert shown["state"] == "FAILED"


def test_a_node_that_is_at_work_is_shown_as_running(shop):
    kedro(shop, "run", "--to-nodes=clean")
    with store_of(shop) as store, store.run("shop:__default__", name="now") as run, run.step("clean"):
        nodes = ask(shop, "show", "now", "--json").json["nodes"]

    assert [(one["node"], one["outcome"]) for one in nodes] == [("clean", "running")]


# Why a node ran


def test_a_node_is_explained_by_what_differed_old_and_new(told_shop):
    with store_of(told_shop) as store:
        second = [run.run_id for run in store.runs("the_shop:__default__")][1]

    said = ask(told_shop, "explain", "train", "--run", str(second)).out

    assert re.search(r"parameter:rate +3 +4", said)
    assert "the_shop:__default__/" in said


def test_a_node_is_explained_for_the_latest_run_that_came_to_it(told_shop):
    with store_of(told_shop) as store:
        third = next(store.runs("the_shop:__default__"))
        train = [step for step in store.steps(third) if step.step == "train"]

    assert ask(told_shop, "explain", "train", "--json").json["execution_id"] == train[0].execution_id


def test_a_node_that_is_not_known_is_refused_with_what_may_be_meant(told_shop):
    # The latest run is of a pipeline without it.
    assert ask(told_shop, "explain", "claen", code=1).error == (
        "no run came to a node 'claen'; did you mean 'clean'?"
    )


def test_of_a_node_that_failed_the_error_is_told_too(shop):
    shop.write("broken", "")
    kedro(shop, "run", code=1)

    said = ask(shop, "explain", "judge")

    assert "FAILED" in said.out
    assert said.out.splitlines()[-1] == "ValueError: the judge is broken"
    told = ask(shop, "explain", "judge", "--json").json
    assert told["state"] == "FAILED"
    assert told["error"].strip().endswith("ValueError: the judge is broken")
    assert ask(shop, "explain", "train", "--json").json["error"] == ""


# Lineage


def artifact(said: Said) -> dict:
    """The artifact that a lineage starts from."""
    start = said.json["start"][0]["id"]
    return next(one for one in said.json["artifacts"] if one["id"] == start)


def test_the_lineage_of_a_dataset_goes_back_to_its_raw_data(told_shop):
    lines = ask(told_shop, "lineage", "model").out.splitlines()

    assert "dataset=model" in lines[0]
    assert [line for line in lines if "  train  " in line and "rate=4" in line]
    assert "data/raw.txt" in lines[-1]


def test_down_is_what_was_made_from_a_dataset(told_shop):
    said = ask(told_shop, "lineage", "raw", "--down", "--hops=2", "--json").json

    # In two runs with this content, and the run of one pipeline.
    assert {one["properties"]["step"] for one in said["executions"]} == {"clean"}
    assert {one["custom_properties"]["dataset"] for one in said["artifacts"]} == {"raw", "rows"}


def test_of_raw_data_that_changed_back_the_content_of_now_is_meant(told_shop):
    with store_of(told_shop) as store:
        runs = [*store.runs("the_shop:__default__")][::-1]
        read = [next(store.steps(run)).inputs[0].artifact_id for run in runs]

    assert read[0] == read[1] < read[2]
    assert artifact(ask(told_shop, "lineage", "raw", "--json"))["id"] == read[0]
    assert artifact(ask(told_shop, "lineage", "raw", "--run", str(runs[2].run_id), "--json"))["id"] == read[2]


def test_a_version_is_found_by_its_name_or_the_beginning_of_it(told_shop):
    versions = sorted(path.name for path in (told_shop.path / "data/model.json").iterdir())
    common = shared_beginning(*versions[:2])

    found = artifact(ask(told_shop, "lineage", f"model@{versions[0]}", "--json"))
    longest = max(common, shared_beginning(*versions[1:]), key=len)
    by_beginning = ask(told_shop, "lineage", f"model@{versions[1][: len(longest) + 1]}", "--json")

    assert found["custom_properties"]["version"] == versions[0]
    assert artifact(by_beginning)["custom_properties"]["version"] == versions[1]
    assert (
        artifact(ask(told_shop, "lineage", "model", "--json"))["custom_properties"]["version"] == versions[2]
    )
    assert ask(told_shop, "lineage", f"model@{common}", code=1).error.startswith(
        f"'model' has several versions that begin with {common!r}: "
    )
    assert ask(told_shop, "lineage", "model@1999", code=1).error == (
        f"no version '1999' of 'model' was recorded; there are {', '.join(versions[::-1])}"
    )


def test_a_transcoding_is_no_version(told_shop):
    rows = artifact(ask(told_shop, "lineage", "rows", "--json"))["id"]

    assert artifact(ask(told_shop, "lineage", "rows@json", "--json"))["id"] == rows
    assert artifact(ask(told_shop, "lineage", "rows@same", "--json"))["id"] == rows
    assert ask(told_shop, "lineage", "rows@spark", code=1).error == (
        "no version 'spark' of 'rows' was recorded, since it is not versioned"
    )


def test_a_dataset_that_is_not_known_is_refused_with_what_may_be_meant(told_shop):
    assert ask(told_shop, "lineage", "row", code=1).error == (
        "no dataset 'row' was recorded; did you mean 'rows' or 'test_rows' or 'train_rows' or 'raw'?"
    )
    assert ask(told_shop, "lineage", "zzz", code=1).error == (
        "no dataset 'zzz' was recorded; there are raw, rows, model, test_rows, train_rows and 1 more"
    )


@pytest.mark.parametrize("path", ["data/raw.txt", "./data/raw.txt", "raw.txt"])
def test_for_the_file_of_a_dataset_its_name_is_told(told_shop, path):
    assert ask(told_shop, "lineage", path, code=1).error == (
        f"{path!r} is the file of a dataset; give its name: raw"
    )
    assert "give its name: model" in ask(told_shop, "lineage", "data/model.json", code=1).error


def test_a_parameter_is_no_dataset(told_shop):
    assert ask(told_shop, "lineage", "params:rate", code=1).error == (
        "'params:rate' is no dataset; 'kedro headwater show --json' tells parameters"
    )


def made_by(project, said: Said) -> set[tuple[str, int]]:
    """Nodes in a lineage, with which run it was, the first being 0."""
    with store_of(project) as store:
        runs = [run.run_id for run in store.runs()][::-1]
        steps = {step.execution_id: step for run in runs for step in store.steps(run)}
    found = [steps[one["id"]] for one in said.json["executions"]]
    return {(step.step, runs.index(step.run_id)) for step in found}


def test_down_of_each_node_the_newest_execution_is_shown_and_what_leads_to_it(new_shop):
    shop = new_shop()
    kedro(shop, "run")
    kedro(shop, "run")
    kedro(shop, "run", "--pipeline=prepare")
    shop.write("data/raw.txt", "5 6")
    kedro(shop, "run")
    shop.write("data/raw.txt", "1 2 3 4")
    kedro(shop, "run", "--to-nodes=clean")

    newest = ask(shop, "lineage", "raw", "--down", "--json")
    everything = ask(shop, "lineage", "raw", "--down", "--all", "--json")
    of_first = ask(shop, "lineage", "raw", "--down", "--run=latest~4", "--json")

    assert made_by(shop, newest) == {("clean", 4), *((node, 1) for node in ALL)}
    assert {event["execution_id"] for event in newest.json["events"]} == {
        one["id"] for one in newest.json["executions"]
    }
    assert newest.err.endswith("5 older executions of these nodes left out; --all shows all\n")
    assert len(made_by(shop, everything)) == 10
    assert made_by(shop, of_first) == {(node, 0) for node in ALL}
    tree = ask(shop, "lineage", "raw", "--down").out
    assert len(re.findall("execution \\d+  clean  ", tree)) == 2


def test_down_of_a_run_that_reused_executions_shows_these(shop):
    kedro(shop, "run")
    kedro(shop, "run")
    ask(shop, "run", "--params=rate=4")

    shown = ask(shop, "lineage", "raw", "--down", "--run=latest", "--json")

    nodes = made_by(shop, shown)
    assert {("clean", 1), ("train", 2), ("judge", 2)} <= nodes
    assert not any(run == 0 for _, run in nodes)


def test_options_of_lineage_that_exclude_each_other_are_refused(told_shop):
    assert ask(told_shop, "lineage", "raw", "--svg=a.svg", "-o", "a", code=2).error == (
        "give --svg or --output, not both"
    )
    assert ask(told_shop, "lineage", "raw", "--all", "--run=latest", code=2).error == (
        "give --run or --all, not both"
    )


def test_a_lineage_is_drawn_into_a_file_or_the_lack_of_graphviz_is_told(told_shop, tmp_path):
    drawing = tmp_path / "model.svg"
    said = ask(told_shop, "lineage", "model", "--svg", str(drawing), code=None)

    if said.code == 0:
        assert drawing.read_text().startswith("<?xml")
    else:
        assert "raphviz" in said.error
        assert not drawing.exists()


# Plans


def test_a_plan_says_what_would_run_and_does_nothing_of_it(shop):
    before = ask(shop, "plan", "--json")
    assert [one["decision"] for one in before.json] == ["run"] * 4
    assert not (shop.path / ".headwater").exists()

    kedro(shop, "run")
    runs = recorded(shop)
    files = {path: path.stat().st_mtime_ns for path in (shop.path / "data").rglob("*")}
    plan = {one["node"]: one for one in ask(shop, "plan", "--params=rate=4", "--json").json}
    table = ask(shop, "run", "--plan").out

    assert {node: one["decision"] for node, one in plan.items()} == {
        "clean": "hit",
        "split": "re-made",
        "train": "run",
        "judge": "depends",
    }
    assert plan["train"]["why"] == "parameter:rate changed from 3 to 4"
    assert table.splitlines()[-1] == "4 nodes: 4 hit"
    assert recorded(shop) == runs
    assert {path: path.stat().st_mtime_ns for path in (shop.path / "data").rglob("*")} == files


def on_terminal(project, *command: str, columns: int) -> list[str]:
    """The lines that are seen on a terminal of this width."""
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "kedro", "headwater", *command],
            check=False,
            cwd=project.path,
            env={
                **os.environ,
                "DO_NOT_TRACK": "1",
                "NO_COLOR": "1",
                "COLUMNS": str(columns),
                "KEDRO_LOGGING_CONFIG": str(project.path / "logging.yml"),
            },
            stdout=theirs,
            stderr=subprocess.PIPE,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        # Less than what fits into its buffer.
        text = os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    return re.sub(r"\x1b\[[\d;]*m", "", text).splitlines()


def test_reasons_are_folded_to_the_terminal(shop):
    kedro(shop, "run")
    shop.write("data/report.txt", "altered")

    for command in (["plan"], ["run", "--plan"]):
        lines = on_terminal(shop, *command, columns=60)

        assert max(map(len, lines)) <= 60
        assert "report.txt" in re.sub(r"\s", "", "".join(lines))
    assert any("report.txt" in line and len(line) > 100 for line in ask(shop, "plan").out.splitlines())


def test_a_plan_chooses_nodes_as_a_run_does(told_shop):
    def nodes(*options: str) -> list[str]:
        return [one["node"] for one in ask(told_shop, "plan", "--json", *options).json]

    assert nodes("--pipeline=learn", "--to-nodes=train") == ["split", "train"]
    told_shop.write("run.yml", "run:\n  tags: cheap\n")
    assert nodes("--config=run.yml") == ["clean"]
    assert "'nothing'" in ask(told_shop, "plan", "--pipeline=nothing", code=1).error
    assert "nowhere" in ask(told_shop, "plan", "--to-nodes=nowhere", code=1).error


FOUND = """
from kedro.framework.project import find_pipelines
print("printed by the project")

def register_pipelines():
    return find_pipelines(raise_errors=True)
"""

PREPARE = """
from kedro.pipeline import Pipeline, node
from shop import nodes

def create_pipeline(**_):
    return Pipeline([node(nodes.clean, "raw", "rows@json", name="clean")])
"""


def test_a_pipeline_that_kedro_does_not_find_is_refused_in_a_sentence(shop):
    shop.write("src/shop/pipeline_registry.py", FOUND)
    shop.write("src/shop/pipelines/__init__.py", "")
    shop.write("src/shop/pipelines/prepare/__init__.py", PREPARE)

    assert ask(shop, "plan", "--pipeline=nope", code=1).error == "there is no pipeline 'nope'"
    said = ask(shop, "plan", "--pipeline=prepare", "--json")
    assert [one["node"] for one in said.json] == ["clean"]
    assert "printed by the project" in said.err
    # A fault of the project's own is shown where it is.
    shop.write("src/shop/pipelines/prepare/__init__.py", "import not_there\n")
    assert "import not_there" in ask(shop, "plan", "--pipeline=prepare", code=1).err


def test_later_lines_of_the_log_are_not_among_the_answer(told_shop):
    # Kedro's usual logging, whose first line comes before any command begins.
    said = ask(told_shop, "plan", "--json", KEDRO_LOGGING_CONFIG="").out

    assert len(json.loads(said[said.index("[\n") :])) == len(ALL)
    assert len(re.findall("INFO|WARNING", said)) <= 1


# Repeating runs


def test_run_skips_what_is_done_and_has_all_options_of_kedros_own(shop):
    def options(said: Said) -> set[str]:
        return set(re.findall(r"--[a-z][a-z-]+", said.out))

    kedro(shop, "run")
    ask(shop, "run", "--runner=ThreadRunner", "--params=rate=3")

    assert recorded(shop)[-1]["nodes"] == dict.fromkeys(ALL, "CACHED")
    of_kedro = options(kedro(shop, "run", "--help"))
    assert len(of_kedro) > 10
    assert options(ask(shop, "run", "--help")) >= of_kedro | {"--resume", "--plan"}
    assert options(ask(shop, "plan", "--help")) >= of_kedro | {"--resume", "--json"}


@pytest.fixture
def failed_shop(shop):
    """Its first run is complete, and its second one, in another environment, was cut short."""
    shop.write("conf/prod/parameters.yml", "rate: 5\n")
    kedro(shop, "run")
    shop.write("broken", "")
    kedro(
        shop,
        "run",
        "--env=prod",
        "--pipeline=learn",
        "--params=size=3",
        "--runner=ThreadRunner",
        "--async",
        code=1,
    )
    (shop.path / "broken").unlink()
    return shop


def test_a_run_that_failed_is_repeated_with_all_that_it_was_told(failed_shop):
    complete, failed = recorded(failed_shop)
    # Neither is what it was: the run has its own.
    failed_shop.write("conf/prod/parameters.yml", "rate: 6\n")
    failed_shop.write("conf/base/parameters.yml", "size: 1\nrate: 1\nnew: 1\n")

    plan = {one["node"]: one["decision"] for one in ask(failed_shop, "plan", "--resume", "--json").json}
    said = ask(failed_shop, "run", "--resume")

    assert plan == {"split": "re-made", "train": "hit", "judge": "run"}
    *_, resumed = recorded(failed_shop)
    assert len(recorded(failed_shop)) == 3
    assert f"repeats shop:learn/{failed['name']}, which is FAILED" in said.err
    assert resumed["pipeline"] == "shop:learn"
    assert (resumed["state"], resumed["resumes"]) == ("COMPLETE", f"shop:learn/{failed['name']}")
    assert {node: state for node, state in resumed["nodes"].items() if node != "split"} == {
        "train": "CACHED",
        "judge": "COMPLETE",
    }
    assert resumed["told"]["env"] == "prod"
    assert resumed["told"]["parameters"] == "size: 3\nrate: 5\n"
    assert resumed["told"]["runtime_params"] == {"size": 3}
    assert resumed["told"]["runner"].endswith(".ThreadRunner")
    assert "is_async" in json.dumps(resumed["told"])
    assert failed_shop.read("data/report.txt") == "60 of 1"

    assert "left incomplete" in ask(failed_shop, "run", "--resume", code=1).error

    # What is complete can be repeated too, by its name.
    ask(failed_shop, "run", "--resume", complete["name"], KEDRO_ENV="prod")
    *_, repeated = recorded(failed_shop)
    # It had none, and the variable does not stand for it.
    assert repeated["told"]["env"] == "local"
    assert repeated["pipeline"] == "shop:__default__"
    assert repeated["told"]["parameters"] == "size: 2\nrate: 3\n"
    assert repeated["nodes"]["clean"] == "CACHED"
    assert failed_shop.read("data/report.txt") == "18 of 2"


def test_options_that_say_something_else_than_the_run_are_refused(failed_shop):
    name = recorded(failed_shop)[-1]["name"]

    def refused(*options: str) -> str:
        return ask(failed_shop, "run", "--resume", name, *options, code=2).error

    def sentence(had: str, given: str) -> str:
        return (
            f"--resume repeats run {name}, which had {had}, but {given} is given; leave that out, or --resume"
        )

    assert refused("--params=size=4") == sentence("--params size=3", "--params size=4")
    assert refused("--env=local") == sentence("--env prod", "--env local")
    assert refused("--pipeline=prepare") == sentence("--pipeline learn", "--pipeline prepare")
    assert refused("--tags=cheap,dear") == sentence("no --tags", "--tags cheap,dear")
    assert len(recorded(failed_shop)) == 2
    # What agrees may be said, and how it runs is free.
    ask(
        failed_shop,
        *("run", "--resume", name, "--env=prod", "--params=size=3"),
        *("--pipeline=learn", "--runner=SequentialRunner"),
    )
    assert recorded(failed_shop)[-1]["told"]["runner"].endswith(".SequentialRunner")


KEYS = """
from pathlib import Path

def fetch(raw):
    return raw

def call(mid, token, city):
    if Path("broken").exists():
        raise ValueError("the service is broken")
    return f"{mid} by {token} in {city}"
"""


def test_parameters_that_are_not_kept_are_given_again_to_resume(shop):
    shop.hold(
        KEYS,
        'node(nodes.fetch, "raw", "mid", name="fetch"),'
        'node(nodes.call, ["mid", "params:api.token", "params:city"], "report", name="call")',
        "{raw: {type: text.TextDataset, filepath: data/raw.txt},"
        " mid: {type: text.TextDataset, filepath: data/mid.txt},"
        " report: {type: text.TextDataset, filepath: data/report.txt}}",
        "{api: {token: none}, city: Oslo}",
    )
    shop.write("conf/base/headwater.yml", "parameters: {exclude: [api.token]}")
    shop.write("broken", "")
    ask(shop, "run", "--params=api.token=sesame,city=Bergen", code=1)
    (shop.path / "broken").unlink()
    (failed,) = recorded(shop)

    forgotten = ask(shop, "run", "--resume", code=2)
    other = ask(shop, "run", "--resume", "--params=api.token=tahini,city=Moss", code=2)
    plan = ask(shop, "plan", "--resume", "--json")
    ask(shop, "run", "--resume", "--params=api.token=tahini")

    name = failed["name"]
    assert forgotten.error == (
        f"run {name} was given parameters that headwater.yml excludes, so their values were not kept; "
        f"give them again: --resume {name} --params api.token=..."
    )
    assert other.error == (
        f"--resume repeats run {name}, which had --params city=Bergen, but --params city=Moss is given; "
        "leave that out, or --resume"
    )
    assert [one["decision"] for one in plan.json] == ["hit", "run"]
    assert "to be given again, since headwater.yml excludes them: api.token" in plan.err
    assert shop.read("data/report.txt") == "1 2 3 4 by tahini in Bergen"
    _, resumed = recorded(shop)
    for run in (failed, resumed):
        assert run["told"]["runtime_params"] == {"city": "Bergen"}
        assert run["told"]["runtime_params_left_out"] == ["api.token"]
    database = (shop.path / ".headwater/headwater.db").read_bytes()
    assert b"sesame" not in database
    assert b"tahini" not in database
    # What agrees may be said with it.
    ask(shop, "run", "--resume", name, "--params=city=Bergen,api.token=za")
    ask(shop, "run", "--resume", name, "--params=api.token=za,other=1", code=2)


def test_runs_that_cannot_be_repeated_are_refused_with_the_reason(told_shop):
    with store_of(told_shop) as store:
        other = next(store.runs("the-shop:__default__")).run_id
        names = [run.run for run in store.runs("the_shop:__default__")]

    assert ask(told_shop, "run", "--resume", code=1).error == (
        "no run of this project is left incomplete; name one to repeat: --resume RUN"
    )
    assert ask(told_shop, "run", "--resume", str(other), code=1).error.startswith("there is no run ")
    assert "may be several runs" in ask(told_shop, "run", f"--resume={names[0][:5]}", code=1).error


def test_a_run_that_was_repeated_until_it_was_complete_is_no_more_to_be_resumed(shop):
    kedro(shop, "run", "--to-nodes=clean")
    with store_of(shop) as store:
        for name, resumes, state in (
            ("first", "", "FAILED"),
            ("second", "shop:__default__/first", "FAILED"),
            ("third", "shop:__default__/second", "COMPLETE"),
        ):
            run = store.run("shop:__default__", name=name, properties={"resumes": resumes}).start()
            run.finish(state=state)
        nothing_left = ask(shop, "run", "--resume", code=1).error
        store.run("shop:__default__", name="fourth").start().finish(state="FAILED")

    assert nothing_left == "no run of this project is left incomplete; name one to repeat: --resume RUN"
    assert ask(shop, "run", "--resume", code=1).error.startswith("run fourth cannot be repeated")


def test_a_run_of_which_no_options_were_kept_is_refused(shop):
    kedro(shop, "run", "--to-nodes=clean")
    with store_of(shop) as store, store.run("shop:__default__", name="of-old"):
        pass

    assert ask(shop, "run", "--resume", "of-old", code=1).error == (
        "run of-old cannot be repeated: it was recorded by an older version of headwater-kedro, which did "
        "not keep its options; give them again: kedro headwater run ..."
    )


def test_a_runner_that_is_gone_is_replaced_with_a_word(shop):
    shop.write(
        "src/shop/runners.py", "from kedro.runner import SequentialRunner\nclass Own(SequentialRunner): ...\n"
    )
    kedro(shop, "run", "--runner=shop.runners.Own")
    (shop.path / "src/shop/runners.py").unlink()

    said = ask(shop, "run", "--resume", "__default__")

    assert "its runner shop.runners.Own is not there" in said.err
    assert recorded(shop)[-1]["told"]["runner"].endswith(".SequentialRunner")


OWN_RUN = """
import click
from kedro.framework.cli.utils import env_option
from kedro.framework.session import KedroSession

@click.group()
def cli():
    pass

@cli.command()
@click.option("--city", default="Oslo")
@env_option
def run(city, env):
    print("run in", city)
    with KedroSession.create(env=env) as session:
        session.run(node_names=["clean"])
"""


def test_the_run_command_of_the_project_itself_is_the_one_that_skips(shop):
    shop.write("src/shop/cli.py", OWN_RUN)

    first = ask(shop, "run", "--city=Bergen")
    ask(shop, "run")

    assert "run in Bergen" in first.out
    assert [run["nodes"] for run in recorded(shop)] == [{"clean": "COMPLETE"}, {"clean": "CACHED"}]


def test_a_run_that_fails_fails_as_kedros_own(shop):
    shop.write("broken", "")

    said = ask(shop, "run", code=1)

    assert "ValueError: the judge is broken" in said.err
    assert recorded(shop)[-1]["state"] == "FAILED"


def test_disabled_hooks_are_told_of(shop):
    shop.write("src/shop/settings.py", 'DISABLE_HOOKS_FOR_PLUGINS = ("headwater-kedro",)\n')

    said = ask(shop, "run", "--to-nodes=clean")

    assert "nothing is recorded or skipped: settings.py disables the hooks of headwater-kedro" in said.err
    assert not (shop.path / ".headwater").exists()


# Where there is nothing


@pytest.mark.parametrize(
    "command",
    [["runs"], ["show"], ["explain", "clean"], ["lineage", "raw"], ["diff", "1", "2"], ["run", "--resume"]],
    ids=lambda command: command[0],
)
def test_where_nothing_was_recorded_that_is_said_and_nothing_made(shop, command):
    assert ask(shop, *command, code=1).error == (
        f"nothing was recorded of 'shop' in sqlite:///{shop.path}/.headwater/headwater.db yet; "
        "run 'kedro run' first"
    )
    assert not (shop.path / ".headwater").exists()


def test_a_store_that_is_away_is_told_of_in_a_sentence(shop):
    began = time.monotonic()
    said = ask(shop, "runs", code=1, HEADWATER_ADDRESS="localhost:1")

    assert said.error.startswith("the store at localhost:1 cannot be reached: ")
    assert time.monotonic() - began < 60


def test_settings_that_are_wrong_are_told_of_in_a_sentence(shop):
    shop.write("conf/base/headwater.yml", "adress: localhost:1\n")

    assert "there is no key 'adress'" in ask(shop, "runs", code=1).error
    shop.write("conf/base/headwater.yml", "address: [\n")
    assert "the settings of headwater cannot be read" in ask(shop, "runs", code=1).error


# Settings


def test_the_settings_that_init_writes_are_all_there_are_with_what_holds_without_them():
    assert parse_settings(yaml.safe_load(TEXT) or {}) == Settings()
    settings = re.sub(r"^#(?! \S)", "", TEXT, flags=re.MULTILINE)
    given = yaml.safe_load(settings)

    assert parse_settings(given) == Settings(timeout_s=TIMEOUT_S, cache=CachePolicy(policy="on"))
    flat = {**given, **given["parameters"], **given["cache"]}
    named = {*vars(Settings()), *vars(CachePolicy())}
    assert set(flat) == named | {"parameters"}


def test_init_writes_settings_once_and_says_what_is_next(shop):
    said = ask(shop, "init")
    written = shop.read("conf/base/headwater.yml")
    kedro(shop, "run", "--to-nodes=clean")
    shop.write("conf/base/headwater.yml", "project: mine\n")

    assert written == TEXT
    assert said.out.splitlines() == [
        "written: conf/base/headwater.yml",
        "runs are recorded in .headwater, which git leaves alone",
        "next: 'kedro run', then 'kedro headwater runs'; 'kedro headwater run' skips what is done",
    ]
    assert [run["pipeline"] for run in recorded(shop)] == ["shop:__default__"]
    assert (
        ask(shop, "init", code=1).error == "conf/base/headwater.yml is there already; --force writes over it"
    )
    assert shop.read("conf/base/headwater.yml") == "project: mine\n"
    ask(shop, "init", "--force")
    assert shop.read("conf/base/headwater.yml") == TEXT


@contextlib.contextmanager
def server(directory: Path) -> Iterator[str]:
    """The address of `headwater serve`."""
    command = [str(Path(sys.executable).with_name("headwater")), "serve", "--port=0"]
    database = f"--database-url=sqlite:///{directory}/server.db"
    with subprocess.Popen(
        [*command, "--host=127.0.0.1", database],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()
            process.wait(60)


def test_what_waits_for_a_store_that_was_away_is_shown_and_told_later(shop, tmp_path):
    away = {"HEADWATER_ADDRESS": "127.0.0.1:1"}
    said = ask(shop, "init", **away)
    kedro(shop, "run", **away)

    assert "127.0.0.1:1, says HEADWATER_ADDRESS, which does not answer now" in said.out
    (waiting,) = ask(shop, "spool", "status", "--json").json
    assert (waiting["target"], waiting["records"] > 4) == ("127.0.0.1:1", True)
    assert "127.0.0.1:1" in ask(shop, "spool").out
    with server(tmp_path) as address:
        shop.write("conf/prod/headwater.yml", f"address: {address}\n")
        assert ask(shop, "runs", "--env=prod", code=1).error.startswith("nothing was recorded of 'shop' in ")
        ask(shop, "spool", "replay", "--env=prod", "--from=127.0.0.1:1")
        (run,) = ask(shop, "runs", "--env=prod", "--json").json
        steps = ask(shop, "lineage", "report", "--env=prod", "--json").json["executions"]
        shown = ask(shop, "init", "--env=prod", "--force", HEADWATER_ADDRESS=address).out
    assert (run["state"], run["steps"]) == ("COMPLETE", {"COMPLETE": 4})
    assert {step["properties"]["step"] for step in steps} == set(ALL)
    assert f"runs are recorded in {address}, says HEADWATER_ADDRESS, which answers" in shown
    assert ask(shop, "spool").out == "nothing waits\n"


# Kedro's own start

LOADING = """
import sys
import kedro.framework.cli.cli
before = set(sys.modules)
import headwater_kedro.commands
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(loaded & {"headwater", "grpc", "google", "sqlalchemy", "pandas"}))
"""

WALKING = """
from kedro.framework.cli.cli import KedroCLI
from kedro_telemetry.masking import _mask_kedro_cli
print(_mask_kedro_cli(KedroCLI(project), ["headwater", "run", "--params", "key=secret", "--resume"]))
"""


def test_kedros_other_commands_load_nothing_of_weight_for_ours(shop):
    assert shop.script(LOADING).splitlines()[-1] == "[]"


def test_kedros_telemetry_can_walk_through_the_commands(shop):
    assert shop.script(WALKING).splitlines()[-1] == ("['headwater', 'run', '--params', '*****', '--resume']")


def test_a_dataset_of_a_run_is_what_its_node_made_and_not_what_a_hit_once_read(project):
    cached = "--runner=headwater_kedro.CachedRunner"
    project.write("logging.yml", LOGGING)
    project.run(cached)
    shutil.rmtree(project.path / "data/model.json")
    project.run(cached)

    (version,) = (path.name for path in (project.path / "data/model.json").iterdir())
    states = {step.step: step.state for step in project.steps()}
    assert (states["train"], states["judge"]) == ("COMPLETE", "CACHED")
    assert artifact(ask(project, "lineage", "model", "--json"))["custom_properties"]["version"] == version


def test_a_run_whose_nodes_a_later_one_completed_is_not_repeated(project):
    project.write("logging.yml", LOGGING)
    project.run("--nodes=judge", fails=True)
    assert "judge" in ask(project, "run", "--resume", "--plan").out
    project.run("--nodes=clean")
    assert "judge" in ask(project, "run", "--resume", "--plan").out
    project.run()

    assert "left incomplete" in ask(project, "run", "--resume", code=1).error
