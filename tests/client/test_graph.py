"""Questions about lineage, asked by a program: walks, paths, impact, comparisons, and what they turn into."""

import itertools
import re
import shutil
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from xml.etree import ElementTree

import pytest

from headwater.client import GrpcTransport, Store, to_value
from headwater.client.artifacts import Artifact
from headwater.client.graph import LineageQuestions, Reuse
from headwater.client.graph_answers import ComponentDifference, ImpactCount, StepDifference
from headwater.errors import DeadlineExceeded, InvalidRequest, NotFound
from headwater.server import Server
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import pipelines_pb2 as pp

from .conftest import put_taxi_run

needs_dot = pytest.mark.skipif(
    shutil.which("dot") is None, reason="graphviz' program dot is not installed: apt install graphviz"
)


class Pipeline:
    """Two runs of prepare, train and evaluate; the second has another learning rate, and a hit.

    Artifacts 1 to 4 are the raw data and what the first run made, 5 and 6 model and report of the second.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._keys = itertools.count(1)
        self.executions: dict[str, int] = {}
        for run, rate in (("monday", "0.1"), ("tuesday", "0.2")):
            prepared = self._step(
                run, "prepare", pp.StepInput(name="raw", uri="s3://b/raw", digest="sha256:d")
            )
            model = self._step(run, "train", pp.StepInput(name="examples", artifact_id=prepared), rate=rate)
            self._step(run, "evaluate", pp.StepInput(name="model", artifact_id=model), type_="Report")

    def _step(self, run: str, step: str, given: pp.StepInput, *, rate: str = "", type_: str = "") -> int:
        key = f"key-{next(self._keys)}"
        given.digest = given.digest or f"sha256:of-{given.artifact_id}"
        begin = pp.BeginStepRequest(
            pipeline="churn",
            run=run,
            step=step,
            key=key,
            worker="here",
            components={"code": "v1"},
            inputs=[given],
        )
        if rate:
            begin.components["parameter:rate"] = rate
            begin.parameters["rate"].double_value = float(rate)
        answer = self._store._ask(begin, pp.BeginStepResponse)
        finish = pp.FinishStepRequest(key=key, state=pp.COMPLETE)
        if answer.decision == pp.HIT:
            finish.state, finish.cached_execution_id = pp.CACHED, answer.execution_id
            finish.begin.CopyFrom(begin)
        else:
            uri = f"s3://b/{run}/{step}"
            finish.outputs.add(
                name="out", type=type_ or "Dataset", uri=uri, digest=f"sha256:{key}", size_bytes=7
            )
        finished = self._store._ask(finish, pp.FinishStepResponse)
        self.executions[f"{run}/{step}"] = finished.execution_id
        return finished.artifact_ids[0]


@pytest.fixture
def pipeline(own_store: Store) -> Pipeline:
    return Pipeline(own_store)


def test_an_artifact_is_found_by_its_id_its_type_and_name_or_its_uri(
    own_store: Store, pipeline: Pipeline
) -> None:
    by_id = own_store.artifact(6)

    assert by_id == own_store.artifact("Report/churn/tuesday/evaluate/out")
    assert by_id == own_store.artifact("s3://b/tuesday/evaluate")
    assert by_id == own_store.artifact("artifact:6") == own_store.artifact(by_id)
    assert (by_id.id, by_id.type, by_id.name) == (6, "Report", "churn/tuesday/evaluate/out")
    assert (by_id.uri, by_id.digest, by_id.size_bytes) == ("s3://b/tuesday/evaluate", "sha256:key-6", 7)
    assert by_id.state == "LIVE"
    assert by_id.properties["size_bytes"] == 7
    assert repr(by_id) == "<Artifact 6: Report 'churn/tuesday/evaluate/out'>"


def test_what_no_artifact_is_named_is_not_found(own_store: Store) -> None:
    data = own_store.put_artifact_type(pb.ArtifactType(name="Data"))
    own_store.put_artifacts([pb.Artifact(type_id=data, uri="s3://b/twice") for _ in range(2)])

    for named, said in (
        (7, "there is no artifact 7"),
        ("Data/x", "there is no artifact 'Data/x'"),
        ("s3://b/none", "there is no artifact with the URI 's3://b/none'"),
        ("run:churn/never", "there is no run 'churn/never'"),
        ("execution:Train/x", "there is no execution 'Train/x'"),
        ("context:Run/x", "there is no context 'Run/x'"),
    ):
        with pytest.raises(NotFound) as error:
            own_store.artifact(named)
        assert str(error.value) == said
    for named, said in (
        ("s3://b/twice", "2 artifacts have the URI 's3://b/twice'; give one of their ids: 1, 2"),
        ("nonsense", "'nonsense' is not an id, TYPE/NAME or a URI"),
        ("execution:nonsense", "'execution:nonsense' is not an id or TYPE/NAME"),
        (("execution", 1), "execution 1 is no artifact"),
        (pb.Artifact(), "this artifact has no id; put it first, or get it from the store"),
    ):
        with pytest.raises(InvalidRequest) as refused:
            own_store.artifact(named)
        assert str(refused.value) == said
    with pytest.raises(InvalidRequest, match=r"^1\.5 is no node; give an artifact's id"):
        own_store.artifact(1.5)


def test_upstream_is_what_it_was_made_from_with_distances_runs_and_contexts(
    own_store: Store, pipeline: Pipeline
) -> None:
    lineage = own_store.artifact(6).upstream()

    steps = pipeline.executions
    assert dict(lineage.hops) == {
        ("artifact", 6): 0,
        ("execution", steps["tuesday/evaluate"]): 1,
        ("artifact", 5): 2,
        ("execution", steps["tuesday/train"]): 3,
        ("artifact", 2): 4,
        ("execution", steps["monday/prepare"]): 5,
        ("artifact", 1): 6,
    }
    assert [node.id for node in lineage.nodes] == [node_id for _, node_id in lineage.hops]
    assert (len(lineage), lineage.cut) == (7, None)
    assert lineage.producer_of(5).id == steps["tuesday/train"]
    assert {context.name for context in lineage.contexts.values()} == {
        "churn",
        "churn/monday",
        "churn/tuesday",
    }
    assert repr(lineage) == "<Lineage of artifact 6: 4 artifacts, 3 executions>"


def test_hits_are_left_out_and_counted_unless_they_are_asked_for(
    own_store: Store, pipeline: Pipeline
) -> None:
    prepared, hit = pipeline.executions["monday/prepare"], pipeline.executions["tuesday/prepare"]
    lineage = own_store.artifact(6).upstream()
    whole = own_store.artifact(6).upstream(with_hits=True)
    begun_at_a_hit = own_store.walk_all(("execution", hit))

    assert lineage.reused_by == {prepared: Reuse(hits=1, runs=1)}
    assert str(lineage.reused_by[prepared]) == "reused by 1 run"
    assert [row["id"] for row in lineage.rows() if row["reused_by"]] == [prepared]
    reused = [node.get("reused_by") for node in lineage.to_dict()["executions"]]
    assert reused == [{"hits": 1, "runs": 1}, None, None]
    assert whole.hops.keys() - lineage.hops.keys() == {("execution", hit)}
    assert whole.reused_by == {}
    assert list(begun_at_a_hit.hops) == [("execution", hit), ("artifact", 1)]
    downstream = own_store.artifact(1).downstream()
    assert hit not in downstream.executions
    assert downstream.reused_by == lineage.reused_by
    assert hit in own_store.artifact(1).downstream(with_hits=True).executions


def test_rows_are_flat_with_a_column_for_each_property(own_store: Store, pipeline: Pipeline) -> None:
    rows = own_store.artifact(5).upstream(max_hops=1).rows()

    model, train = rows
    assert {
        name: model[name] for name in ("kind", "id", "hops", "type", "name", "state", "step", "run", "uri")
    } == {
        "kind": "artifact",
        "id": 5,
        "hops": 0,
        "type": "Dataset",
        "name": "churn/tuesday/train/out",
        "state": "LIVE",
        "step": None,
        "run": "churn/tuesday",
        "uri": "s3://b/tuesday/train",
    }
    assert (model["digest"], model["size_bytes"]) == ("sha256:key-5", 7)
    assert (train["kind"], train["step"], train["run"], train["state"]) == (
        "execution",
        "train",
        "churn/tuesday",
        "COMPLETE",
    )
    assert train["parameter.rate"] == 0.2


def test_a_property_that_is_named_like_a_column_gets_a_name_of_its_own(own_store: Store) -> None:
    data = own_store.put_artifact_type(
        pb.ArtifactType(name="Data", properties={"uri": pb.STRING, "x": pb.INT})
    )
    own_store.put_artifacts(
        [
            pb.Artifact(
                type_id=data,
                properties={"uri": to_value("declared"), "x": to_value(1)},
                custom_properties={"uri": to_value("custom"), "x": to_value(2)},
            )
        ]
    )

    (row,) = own_store.artifact(1).upstream().rows()

    assert (row["uri"], row["property.uri"], row["custom.uri"]) == ("", "declared", "custom")
    assert (row["x"], row["custom.x"]) == (1, 2)


def test_a_lineage_as_networkx_has_the_edges_of_the_data(own_store: Store, pipeline: Pipeline) -> None:
    networkx = pytest.importorskip("networkx")

    graph = own_store.artifact(1).downstream().to_networkx()

    assert graph.nodes["artifact", 6]["type"] == "Report"
    assert networkx.shortest_path_length(graph, ("artifact", 1), ("artifact", 6)) == 6


def test_as_json_a_lineage_has_nodes_with_distances_and_no_types(own_store: Store) -> None:
    run = put_taxi_run(own_store)

    plain = own_store.artifact(run.model).upstream().to_dict()

    assert not any(name.endswith("_types") for name in plain)
    assert (plain["cut"], plain["nodes_left"]) == (None, 0)
    assert plain["start"] == [{"kind": "artifact", "id": run.model}]
    assert [(node["id"], node["hops"]) for node in plain["artifacts"]] == [(run.data, 2), (run.model, 0)]
    assert [event["path"] for event in plain["events"]] == [["examples", 0], ["model", 0]]


def test_event_rows_have_paths_as_text(own_store: Store) -> None:
    run = put_taxi_run(own_store)

    rows = own_store.artifact(run.model).upstream().event_rows()

    assert [(row["artifact_id"], row["execution_id"], row["type"], row["path"]) for row in rows] == [
        (run.data, run.train, "INPUT", "examples[0]"),
        (run.model, run.train, "OUTPUT", "model[0]"),
    ]


def test_a_walk_comes_page_by_page_and_goes_on_from_a_token(own_store: Store, pipeline: Pipeline) -> None:
    pages = list(own_store.walk("s3://b/raw", direction="downstream", page_size=3))

    assert [len(page.nodes) for page in pages] == [3, 3, 3, 2]
    assert pages[0].nodes[0] == (0, own_store.artifact(1).message)
    continued = own_store.walk(
        "s3://b/raw", direction="downstream", page_size=3, page_token=pages[1].next_page_token
    )
    assert list(continued) == pages[2:]


def test_a_walk_begins_at_a_run_an_execution_or_several_nodes(own_store: Store, pipeline: Pipeline) -> None:
    def begun(*start: object) -> list[tuple[str, int]]:
        return [at for at, hops in own_store.walk_all(*start, max_hops=0).hops.items() if hops == 0]

    evaluate = pipeline.executions["tuesday/evaluate"]
    execution = own_store.get_execution(evaluate)
    assert begun(("execution", evaluate)) == begun(f"execution:{evaluate}") == begun(execution)
    assert begun(execution, 3, "artifact:4") == [("artifact", 3), ("artifact", 4), ("execution", evaluate)]
    run = begun("run:churn/tuesday")
    assert run == begun("context:headwater.Run/churn/tuesday")
    assert [node_id for kind, node_id in run if kind == "execution"] == [
        pipeline.executions[f"tuesday/{step}"] for step in ("prepare", "train", "evaluate")
    ]


def test_a_walk_ends_at_a_filter_at_a_time_and_at_a_number_of_nodes(
    own_store: Store, pipeline: Pipeline
) -> None:
    model = own_store.artifact(6)

    until = model.upstream(until="uri = 's3://b/tuesday/train'")
    long_ago = model.upstream(as_of=datetime(2001, 1, 1, tzinfo=timezone.utc))
    few = model.upstream(max_nodes=2)

    assert list(until.artifacts) == [5, 6]
    assert list(long_ago.hops) == [("artifact", 6)]
    assert len(few) == 2
    assert few.cut == "max_nodes is 2, and there are more; raise it, or lower max_hops"
    assert few.nodes_left == 1
    assert repr(few) == f"<Lineage of artifact 6: 1 artifacts, 1 executions; cut: {few.cut}>"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"direction": "sideways"},
            "direction must be one of 'upstream', 'downstream', 'both', and is 'sideways'",
        ),
        ({"page_size": 0}, "page_size must be from 1 to 1000, and is 0"),
        ({"max_nodes": 0}, "max_nodes must be 1 or more, and is 0"),
    ],
    ids=["direction", "page_size", "max_nodes"],
)
@pytest.mark.backends("sqlite")
def test_a_wrong_option_is_refused_at_once(own_store: Store, options: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        own_store.walk(1, **options)

    assert str(error.value) == said


@pytest.mark.backends("sqlite")
def test_a_walk_from_nowhere_is_refused(own_store: Store) -> None:
    with pytest.raises(InvalidRequest, match="give at least one node to start from"):
        own_store.walk()


def test_paths_are_stops_with_the_names_of_events(own_store: Store) -> None:
    run = put_taxi_run(own_store)

    paths = own_store.artifact(run.report).paths_to(run.data)

    (path,) = paths
    assert [(stop.node.id, stop.event_path) for stop in path] == [
        (run.data, ""),
        (run.train, "examples[0]"),
        (run.model, "model[0]"),
        (run.evaluate, "model[0]"),
        (run.report, "report[0]"),
    ]
    assert [(row["path"], row["stop"], row["kind"], row["type"]) for row in paths.rows()] == [
        (0, 0, "artifact", "Data"),
        (0, 1, "execution", "Train"),
        (0, 2, "artifact", "Model"),
        (0, 3, "execution", "Evaluate"),
        (0, 4, "artifact", "Report"),
    ]
    assert paths.to_dict()["paths"][0][1]["event_path"] == "examples[0]"
    assert len(paths.subgraph.events) == 4
    assert paths.cut is None


def test_several_paths_as_a_graph_share_their_nodes(own_store: Store) -> None:
    pytest.importorskip("networkx")
    data = put_fan(own_store, 3)

    paths = own_store.paths(data, data + 4)

    assert [len(path) for path in paths] == [5, 5, 5]
    assert paths.to_networkx().number_of_edges() == 9 + 1
    assert own_store.paths(data, data + 4, max_paths=1).cut is not None
    assert list(own_store.paths(data + 1, data + 2)) == []


def test_paths_do_not_go_by_way_of_hits_but_begin_at_them(own_store: Store, pipeline: Pipeline) -> None:
    steps = pipeline.executions

    (path,) = own_store.paths(1, 6)
    hit = own_store.paths(1, ("execution", steps["tuesday/prepare"]))

    assert [stop.node.id for stop in path if isinstance(stop.node, pb.Execution)] == [
        steps[step] for step in ("monday/prepare", "tuesday/train", "tuesday/evaluate")
    ]
    assert [len(path) for path in hit] == [2]


def test_paths_need_artifacts_or_executions_and_a_number(own_store: Store, pipeline: Pipeline) -> None:
    with pytest.raises(InvalidRequest, match=r"context \d is no end; give an artifact or an execution of it"):
        own_store.paths("run:churn/monday", 6)
    with pytest.raises(InvalidRequest, match="max_paths must be from 1 to 100, and is 0"):
        own_store.paths(1, 6, max_paths=0)


def test_impact_counts_what_was_made(own_store: Store, pipeline: Pipeline) -> None:
    impact = own_store.artifact("s3://b/raw").impact()

    assert impact.artifacts == [ImpactCount("Dataset", "LIVE", "", 3), ImpactCount("Report", "LIVE", "", 2)]
    assert impact.executions == [
        ImpactCount("headwater.Step", "COMPLETE", "evaluate", 2),
        ImpactCount("headwater.Step", "COMPLETE", "train", 2),
        ImpactCount("headwater.Step", "CACHED", "prepare", 1),
        ImpactCount("headwater.Step", "COMPLETE", "prepare", 1),
    ]
    assert (impact.artifact_count, impact.execution_count) == (5, 6)
    assert (impact.contexts[0][0].name, impact.contexts[0][1]) == ("churn", 11)
    assert [artifact.id for artifact in impact.latest] == [6, 4]
    assert impact.rows()[1] == {"kind": "artifact", "type": "Report", "step": "", "state": "LIVE", "count": 2}
    assert impact.to_dict()["contexts"][0]["count"] == 11
    assert impact.cut is None


def test_a_comparison_names_the_cause_and_what_follows_from_it(own_store: Store, pipeline: Pipeline) -> None:
    comparison = own_store.artifact(4).diff(6)

    steps = pipeline.executions
    cause = StepDifference(
        "train",
        3,
        steps["monday/train"],
        steps["tuesday/train"],
        [ComponentDifference("parameter:rate", "0.1", "0.2")],
        only_inputs=False,
    )
    assert comparison.causes == [cause]
    assert [(step.step, step.only_inputs) for step in comparison.steps] == [
        ("evaluate", True),
        ("train", False),
    ]
    assert comparison.equal_steps == 1
    assert comparison.rows()[1] == {
        "step": "train",
        "hops": 3,
        "component": "parameter:rate",
        "a": "0.1",
        "b": "0.2",
        "a_execution_id": steps["monday/train"],
        "b_execution_id": steps["tuesday/train"],
        "only_inputs": False,
    }
    assert comparison.to_dict()["steps"][1]["differences"] == [
        {"component": "parameter:rate", "a": "0.1", "b": "0.2"}
    ]


def test_a_step_of_one_side_only_has_a_row_without_component(own_store: Store, pipeline: Pipeline) -> None:
    (row,) = own_store.compare(3, 1).rows()[:1]

    assert (row["step"], row["component"], row["b_execution_id"]) == ("train", None, None)


def test_the_picture_frames_runs_and_marks_hits(own_store: Store, pipeline: Pipeline) -> None:
    pytest.importorskip("graphviz")

    dot = str(own_store.artifact(1).downstream().to_dot())
    whole = str(own_store.artifact(1).downstream(with_hits=True).to_dot())

    monday, tuesday = (
        dot.partition(f'label="churn/{run}"')[2].partition("}")[0] for run in ("monday", "tuesday")
    )
    assert re.findall(r"\t(\w+) \[", monday) == [
        "artifact_2",
        "artifact_3",
        "artifact_4",
        "execution_1",
        "execution_2",
        "execution_3",
    ]
    trained, evaluated = (pipeline.executions[f"tuesday/{step}"] for step in ("train", "evaluate"))
    assert re.findall(r"\t(\w+) \[", tuesday) == [
        "artifact_5",
        "artifact_6",
        f"execution_{trained}",
        f"execution_{evaluated}",
    ]
    assert 'execution_1 [label="prepare\\nexecution 1\\nreused by 1 run"' in dot
    hit = pipeline.executions["tuesday/prepare"]
    assert f'execution_{hit} [label="prepare\\nexecution {hit}\\nCACHED"' in whole
    assert f"execution_{hit}" not in dot
    assert '\tartifact_2 [label="out\\nDataset\\nartifact 2"' in dot
    assert "\tartifact_2 -> execution_2 [label=examples]" in dot
    assert "\texecution_1 -> artifact_2\n" in dot, "the name of the output is that of the artifact"


@needs_dot
@pytest.mark.backends("sqlite")
def test_what_a_run_made_is_framed_where_its_step_is_beyond_the_walk(
    own_store: Store, pipeline: Pipeline
) -> None:
    dot = str(own_store.artifact(2).downstream(max_hops=0).to_dot())

    assert 'label="churn/monday"' in dot
    assert 'label="churn/tuesday"' not in dot


def put_fan(store: Store, width: int) -> int:
    """One data set, read by many executions of one type that each made a model; all models make a report."""
    data, model, report = (
        store.put_artifact_type(pb.ArtifactType(name=name)) for name in ("Data", "Model", "Report")
    )
    train, choose = (store.put_execution_type(pb.ExecutionType(name=name)) for name in ("Train", "Choose"))
    edges: list[tuple[int | None, int | None, pb.Event]] = []
    for index in range(width):
        edges.append((index, 0, pb.Event(type=pb.Event.INPUT)))
        edges.append((index, 1 + index, pb.Event(type=pb.Event.OUTPUT)))
        edges.append((width, 1 + index, pb.Event(type=pb.Event.INPUT)))
    edges.append((width, 1 + width, pb.Event(type=pb.Event.OUTPUT)))
    ids = store.put_lineage_subgraph(
        [*(pb.Execution(type_id=train) for _ in range(width)), pb.Execution(type_id=choose)],
        [
            pb.Artifact(type_id=data),
            *(pb.Artifact(type_id=model) for _ in range(width)),
            pb.Artifact(type_id=report),
        ],
        [],
        edges,
    )
    return ids.artifact_ids[0]


@pytest.mark.parametrize("start", ["data", "report"])
def test_many_nodes_that_are_alike_are_drawn_as_one_with_their_number(own_store: Store, start: str) -> None:
    pytest.importorskip("graphviz")
    data = put_fan(own_store, 412)
    lineage = (
        own_store.artifact(data).downstream()
        if start == "data"
        else own_store.walk_all("artifact:414", direction="upstream")
    )

    lines = str(lineage.to_dot()).splitlines()
    every = str(lineage.to_dot(most_alike=None))

    nodes = [line for line in lines if "label=" in line and "->" not in line]
    assert len(nodes) == 5
    assert any('label="Train × 412"' in node for node in nodes)
    assert any('label="Model × 412"' in node for node in nodes)
    assert sum("->" in line for line in lines) == 4
    assert every.count("->") == 3 * 412 + 1


def test_a_few_nodes_that_are_alike_are_drawn_each(own_store: Store) -> None:
    pytest.importorskip("graphviz")
    lineage = own_store.artifact(put_fan(own_store, 12)).downstream()

    assert str(lineage.to_dot()).count("->") == 3 * 12 + 1
    assert str(lineage.to_dot(most_alike=11)).count("->") == 4


def test_a_graph_that_goes_in_circles_is_drawn(own_store: Store) -> None:
    pytest.importorskip("graphviz")
    data = put_fan(own_store, 20)
    own_store.put_events([pb.Event(artifact_id=data, execution_id=21, type=pb.Event.OUTPUT)])

    dot = str(own_store.artifact(data).downstream().to_dot())

    assert "execution_21 -> artifact_1" in dot


@needs_dot
@pytest.mark.backends("sqlite")
def test_the_picture_is_an_svg_image_that_notebooks_show(own_store: Store) -> None:
    lineage = own_store.artifact(put_fan(own_store, 30)).downstream()

    assert ElementTree.fromstring(lineage.svg()).tag == "{http://www.w3.org/2000/svg}svg"
    assert lineage._repr_svg_() == lineage.svg()


@pytest.fixture
def served(server: Server) -> Iterator[Store]:
    with Store(GrpcTransport(f"127.0.0.1:{server.port}", timeout_s=30)) as store:
        yield store


@pytest.mark.backends("sqlite")
def test_a_walk_that_outlives_the_time_limit_of_a_call_goes_on_behind_its_last_page(
    server: Server, served: Store
) -> None:
    # More than gRPC sends ahead, so that the call is still being answered when its time is over.
    put_fan(served, 3_000)
    hurried = served.with_timeout(2.0)
    pages = hurried.walk(1, direction="downstream", page_size=10)
    first = next(pages)
    threading.Event().wait(2.5)

    rest = list(pages)

    ids = [node.id for page in (first, *rest) for _, node in page.nodes if isinstance(node, pb.Execution)]
    assert sorted(ids) == list(range(1, 3_002))


@pytest.mark.backends("sqlite")
def test_a_walk_that_is_given_no_time_fails_and_is_not_tried_again(served: Store) -> None:
    put_fan(served, 3)

    with pytest.raises(DeadlineExceeded):
        list(served.with_timeout(0).walk(1))


@pytest.mark.backends("sqlite")
def test_over_grpc_all_questions_have_the_same_answers(served: Store) -> None:
    pipeline = Pipeline(served)
    artifact = served.artifact(6)

    assert isinstance(artifact, Artifact)
    assert len(artifact.upstream()) == 7
    assert len(artifact.paths_to("s3://b/raw")) == 1
    assert served.impact("run:churn/monday").execution_count == 3
    assert [step.step for step in artifact.diff(4).causes] == ["train"]
    assert pipeline.executions["monday/prepare"] == 1


def test_the_questions_stand_on_their_own(own_store: Store) -> None:
    data = put_fan(own_store, 2)

    assert len(LineageQuestions(own_store.transport).walk_all(data, direction="downstream")) == 7
