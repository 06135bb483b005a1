"""``headwater lineage diff|impact|path``, and ``up`` and ``down`` of runs, executions and other times."""

import json
import re
from dataclasses import dataclass

import pytest

from headwater import connect
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import pipelines_pb2 as pp


@pytest.fixture
def url(database_url):
    """The URL of a database on each backend: what these commands show must not depend on it."""
    return database_url


@dataclass(frozen=True)
class Churn:
    """Two runs of prepare and train; the second has another learning rate, and a hit.

    Artifact 1 is the raw data, 2 what was prepared, 3 and 4 are the models. Executions have ids
    that a database gives out in its own way.
    """

    url: str
    prepared: int
    trained: int
    hit: int
    trained_again: int


@pytest.fixture
def churn(url):
    executions = []
    with connect(url) as store:
        for run, rate in (("monday", 0.1), ("tuesday", 0.2)):
            raw = pp.StepInput(name="raw", uri="s3://b/raw", digest="sha256:d")
            prepared = _step(store, run, "prepare", raw)
            examples = pp.StepInput(name="examples", artifact_id=prepared.artifact_ids[0], digest="sha256:e")
            executions += [prepared, _step(store, run, "train", examples, rate=rate)]
    return Churn(url, *(finished.execution_id for finished in executions))


def _step(store, run, step, given, *, rate=None):
    """The answer to the end of a step that is recorded, or hit."""
    begin = pp.BeginStepRequest(pipeline="churn", run=run, step=step, key=f"{run} {step}", worker="here")
    begin.components["code"] = "v1"
    begin.inputs.append(given)
    if rate is not None:
        begin.components["parameter:rate"] = str(rate)
        begin.parameters["rate"].double_value = rate
    answer = store.transport.call("BeginStep", begin)
    finish = pp.FinishStepRequest(key=begin.key, state=pp.COMPLETE)
    if answer.decision == pp.HIT:
        finish.state, finish.cached_execution_id = pp.CACHED, answer.execution_id
        finish.begin.CopyFrom(begin)
    else:
        type_ = "Model" if step == "train" else "Dataset"
        uri = f"s3://b/{run}/{step}"
        finish.outputs.add(name="out", type=type_, uri=uri, digest=f"sha256:{run}{step}", size_bytes=5)
    return store.transport.call("FinishStep", finish)


def lines_of(result):
    """Without how long the steps took."""
    return [re.sub(r"  \d+(\.\d)? m?s(?=  |$)", "", line) for line in result.stdout.splitlines()]


def test_up_shows_what_a_step_was_given_why_it_ran_and_how_often_it_was_reused(run, churn):
    result = run("lineage", "up", "s3://b/tuesday/train", "--target", churn.url)

    assert lines_of(result) == [
        "artifact 4  Model  churn/tuesday/train/out  s3://b/tuesday/train  sha256:tuesdayt  5 bytes",
        f"└─ out: execution {churn.trained_again}  train  churn/tuesday  COMPLETE  "
        "parameter:rate changed from 0.1 to 0.2  rate=0.2",
        "   └─ examples: artifact 2  Dataset  churn/monday/prepare/out  s3://b/monday/prepare  "
        "sha256:mondaypr  5 bytes",
        f"      └─ out: execution {churn.prepared}  prepare  churn/monday  COMPLETE  "
        "not completed before in this pipeline  reused by 1 run",
        "         └─ raw: artifact 1  Dataset  s3://b/raw  sha256:d",
    ]
    assert re.search(r"  COMPLETE  \d+(\.\d)? m?s  ", result.stdout)


@pytest.mark.parametrize(("direction", "node"), [("up", 2), ("down", 1)])
def test_hits_are_shown_where_they_are_asked_for_or_begun_at(run, churn, direction, node):
    def steps(*arguments):
        lines = lines_of(run("lineage", direction, *arguments, "--target", churn.url))
        return [line.partition("execution ")[2] for line in lines if "  prepare  " in line]

    done = f"{churn.prepared}  prepare  churn/monday  COMPLETE  not completed before in this pipeline"
    hit = f"{churn.hit}  prepare  churn/tuesday  CACHED  reuses execution {churn.prepared}"
    assert steps(node) == [f"{done}  reused by 1 run"]
    assert steps(node, "--hits") == [done, hit]
    assert steps(f"execution:{churn.hit}") == [hit]
    assert steps("run:churn/tuesday") == [f"{done}  reused by 1 run", hit]


def test_as_json_what_was_reused_says_so(run, churn):
    def reused(*arguments):
        found = json.loads(run("lineage", *arguments, "--json", "--target", churn.url).stdout)
        return {node["id"]: node["reused_by"] for node in found["executions"] if "reused_by" in node}

    assert reused("up", 2) == {churn.prepared: {"hits": 1, "runs": 1}}
    assert reused("up", 2, "--hits") == {}


def test_up_and_down_begin_at_a_run_or_an_execution_too(run, churn):
    def roots(*arguments):
        lines = run("lineage", *arguments, "--target", churn.url).stdout.splitlines()
        return [line.partition("  ")[0] for line in lines if not line.startswith((" ", "└", "├", "│"))]

    assert roots("up", "run:churn/tuesday") == ["artifact 4"]
    assert roots("down", "run:churn/tuesday") == ["artifact 1"]
    assert roots("up", f"execution:{churn.trained}") == [f"execution {churn.trained}"]
    assert roots("down", "context:headwater.Run/churn/monday") == ["artifact 1"]


def test_up_as_of_a_time_shows_what_was_there_then(run, churn):
    long_ago = run("lineage", "up", 4, "--as-of", "2001-01-01", "--target", churn.url)
    today = run("lineage", "up", 4, "--as-of", "2901-01-01T00:00Z", "--target", churn.url)
    wrong = run("lineage", "up", 4, "--as-of", "yesterday", "--target", churn.url)

    assert len(long_ago.stdout.splitlines()) == 1
    assert len(today.stdout.splitlines()) == 5
    assert wrong.exit_code == 2
    assert "'yesterday' is no time; write for example 2024-05-31T18:00" in wrong.stderr


def test_a_walk_as_json_has_distances(run, churn):
    start = f"execution:{churn.trained}"
    found = json.loads(run("lineage", "up", start, "--hops", 1, "--json", "--target", churn.url).stdout)

    assert found["start"] == [{"kind": "execution", "id": churn.trained}]
    assert [(node["id"], node["hops"]) for node in found["artifacts"]] == [(2, 1)]


def test_diff_names_the_steps_that_are_the_cause(run, churn):
    result = run("lineage", "diff", 3, 4, "--target", churn.url)

    assert result.stdout == (
        f"train  1 hop up  executions {churn.trained} and {churn.trained_again}\n"
        "  parameter:rate  0.1 → 0.2\n"
    )
    assert result.stderr == "1 step is equal.\n"


def test_diff_leaves_out_what_only_follows_unless_it_is_asked_for(run, url):
    with connect(url) as store:
        for run_name, rate in (("monday", 0.1), ("tuesday", 0.2)):
            raw = pp.StepInput(name="raw", uri="s3://b/raw", digest="sha256:d")
            (model,) = _step(store, run_name, "train", raw, rate=rate).artifact_ids
            given = pp.StepInput(name="model", artifact_id=model, digest=f"sha256:{run_name}")
            _step(store, run_name, "evaluate", given)

    causes = run("lineage", "diff", 3, 5, "--target", url)
    everything = run("lineage", "diff", 3, 5, "--all", "--target", url)

    assert causes.stdout.splitlines() == [
        "train  3 hops up  executions 1 and 3",
        "  parameter:rate  0.1 → 0.2",
    ]
    assert causes.stderr == "0 steps are equal, 1 step is different only in what it was given.\n"
    assert everything.stdout.splitlines() == [
        "evaluate  1 hop up  executions 2 and 4",
        "  input:model  sha256:monday → sha256:tuesday",
        "train  3 hops up  executions 1 and 3",
        "  parameter:rate  0.1 → 0.2",
    ]


def test_diff_says_which_side_alone_has_a_step(run, churn):
    result = run("lineage", "diff", 2, 4, "--target", churn.url)

    assert result.stdout == f"train  1 hop up  execution {churn.trained_again}  only in B\n"


def test_diff_as_json_has_every_difference(run, churn):
    found = json.loads(run("lineage", "diff", 3, 4, "--json", "--target", churn.url).stdout)

    assert found == {
        "steps": [
            {
                "step": "train",
                "hops": 1,
                "a_execution_id": churn.trained,
                "b_execution_id": churn.trained_again,
                "differences": [{"component": "parameter:rate", "a": "0.1", "b": "0.2"}],
                "only_inputs": False,
            }
        ],
        "equal_steps": 1,
        "cut": None,
    }


def test_impact_counts_what_was_made(run, churn):
    result = run("lineage", "impact", "s3://b/raw", "--target", churn.url)

    lines = result.stdout.splitlines()
    assert lines[:6] == [
        "count  kind       type            step     state",
        "    2  artifact   Model                    LIVE",
        "    1  artifact   Dataset                  LIVE",
        "    2  execution  headwater.Step  train    COMPLETE",
        "    1  execution  headwater.Step  prepare  CACHED",
        "    1  execution  headwater.Step  prepare  COMPLETE",
    ]
    assert [line.split() for line in lines[7:11]] == [
        ["count", "context", "type", "name"],
        ["7", "1", "headwater.Pipeline", "churn"],
        ["4", "2", "headwater.Run", "churn/monday"],
        ["4", "3", "headwater.Run", "churn/tuesday"],
    ]
    assert [line.split()[0] for line in lines[12:]] == ["unused", "4", "3"]


def test_impact_of_what_was_not_used_says_so(run, churn):
    result = run("lineage", "impact", 4, "--target", churn.url)

    assert (result.stdout, result.stderr) == ("", "Nothing was made from it.\n")


def test_impact_as_json_has_counts(run, churn):
    found = json.loads(run("lineage", "impact", "run:churn/monday", "--json", "--target", churn.url).stdout)

    assert found["counts"][0] == {
        "kind": "artifact",
        "type": "Model",
        "step": "",
        "state": "LIVE",
        "count": 1,
    }
    assert [artifact["id"] for artifact in found["latest"]] == [4]


def test_path_shows_the_way_of_the_data_whichever_end_is_given_first(run, taxi):
    result = run("lineage", "path", taxi.report, "Dataset/taxi/test", "--target", taxi.url)

    assert result.stdout.splitlines() == [
        "artifact 3  Dataset  taxi/test  rows=200",
        "→ examples: execution 3  Evaluate  FAILED",
        "→ artifact 5  Report  s3://b/report.html",
    ]


def test_path_shows_several_ways_and_says_where_there_are_more(run, taxi):
    both = run("lineage", "path", taxi.raw, taxi.report, "--target", taxi.url)
    one = run("lineage", "path", taxi.raw, taxi.report, "--most", 1, "--target", taxi.url)

    shorter, longer = both.stdout.split("\n\n")
    assert (len(shorter.splitlines()), len(longer.splitlines())) == (5, 7)
    assert one.stdout.splitlines() == shorter.splitlines()
    assert one.stderr == (
        "Cut: there are more than 1 paths; raise max_paths (to 100 at most), or lower max_hops.\n"
    )


def test_path_between_nodes_of_which_neither_was_made_from_the_other_says_so(run, taxi):
    result = run("lineage", "path", taxi.test, taxi.model, "--target", taxi.url)

    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "Neither of '3' and '4' was made from the other.\n"


def test_path_as_json_has_nodes_in_order(run, taxi):
    found = json.loads(run("lineage", "path", taxi.train, taxi.model, "--json", "--target", taxi.url).stdout)

    assert [(node["kind"], node["id"], node["event_path"]) for node in found["paths"][0]] == [
        ("artifact", taxi.train, ""),
        ("execution", taxi.training, "examples"),
        ("artifact", taxi.model, "model"),
    ]


@pytest.mark.parametrize(
    "question", [("path", 99, 1), ("diff", 1, 99), ("impact", 99), ("up", "execution:99")]
)
def test_nodes_that_are_not_there_are_named(run, taxi, question):
    result = run("lineage", *question, "--target", taxi.url)

    kind = "execution" if question[0] == "up" else "artifact"
    assert (result.exit_code, result.stderr) == (1, f"Error: there is no {kind} 99\n")


def test_a_run_in_the_picture_is_a_frame(run, churn):
    pytest.importorskip("graphviz")

    drawn = run("export", "dot", 1, "--target", churn.url).stdout
    with_hits = run("export", "dot", 1, "--hits", "--target", churn.url).stdout

    assert "subgraph cluster_2 {" in drawn
    assert 'label="churn/tuesday"' in drawn
    assert (
        f'execution_{churn.prepared} [label="prepare\\nexecution {churn.prepared}\\nreused by 1 run"' in drawn
    )
    assert f"execution_{churn.hit} " not in drawn
    assert f'execution_{churn.hit} [label="prepare\\nexecution {churn.hit}\\nCACHED"' in with_hits


def test_many_results_are_one_node_of_the_picture(run, url):
    pytest.importorskip("graphviz")
    with connect(url) as store:
        data = store.put_artifact_type(pb.ArtifactType(name="Data"))
        train = store.put_execution_type(pb.ExecutionType(name="Train"))
        edges = [(index, 0, pb.Event(type=pb.Event.INPUT)) for index in range(40)]
        executions = [pb.Execution(type_id=train) for _ in range(40)]
        store.put_lineage_subgraph(executions, [pb.Artifact(type_id=data)], [], edges)

    drawn = run("export", "dot", 1, "--target", url).stdout

    assert 'label="Train × 40"' in drawn
    assert drawn.count("->") == 1
