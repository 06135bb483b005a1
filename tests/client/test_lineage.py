import json
import subprocess
import sys

import networkx
import pytest

from headwater import errors
from headwater.client import Store, Subgraph
from headwater.client.walking import MOST_HOPS, MOST_STARTING_NODES
from headwater.v1 import metadata_store_pb2 as pb


def names(subgraph: Subgraph) -> set[str]:
    nodes = [*subgraph.artifacts.values(), *subgraph.executions.values()]
    return {node.name for node in nodes}


EVERYTHING = {"taxi", "train", "fares", "evaluate", "report"}


@pytest.mark.parametrize(
    ("start", "options", "expected"),
    [
        ({"artifact": "report"}, {}, EVERYTHING),
        ({"artifact": "fares"}, {}, {"taxi", "train", "fares"}),
        ({"artifact": "fares"}, {"direction": "downstream"}, {"fares", "evaluate", "report"}),
        ({"artifact": "fares"}, {"direction": "both"}, EVERYTHING),
        ({"execution": "train"}, {}, {"train", "taxi"}),
        ({"artifact": "report"}, {"max_hops": 0}, {"report"}),
        ({"artifact": "report"}, {"max_hops": 2}, {"report", "evaluate", "fares"}),
        ({"artifact": "report"}, {"until": "type = 'Model'"}, {"report", "evaluate", "fares"}),
        (
            {"artifact": "report"},
            {"until": "type = 'Model'", "include_until": False},
            {"report", "evaluate"},
        ),
        ({"artifact": "report"}, {"until_execution": "type = 'Train'"}, EVERYTHING - {"taxi"}),
        ({"artifact": "taxi", "execution": "evaluate"}, {}, {"taxi", "train", "fares", "evaluate"}),
    ],
    # Sets have no order, and runs on several processes need the same names.
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),
)
def test_what_a_walk_meets(store, taxi_run, start, options, expected):
    ids = {"taxi": taxi_run.data, "fares": taxi_run.model, "report": taxi_run.report}
    ids |= {"train": taxi_run.train, "evaluate": taxi_run.evaluate}
    start_ids = {f"{kind}_id": ids[name] for kind, name in start.items()}

    assert names(store.lineage(**start_ids, **options)) == expected


def test_a_subgraph_has_full_nodes_their_types_and_their_contexts(store, taxi_run):
    subgraph = store.lineage(artifact_id=taxi_run.model)

    assert subgraph.artifacts[taxi_run.data] == store.get_artifact(taxi_run.data)
    assert subgraph.executions[taxi_run.train] == store.get_execution(taxi_run.train)
    assert subgraph.contexts == {taxi_run.run: store.get_context(taxi_run.run)}
    assert [type_.name for type_ in subgraph.artifact_types.values()] == ["Data", "Model"]
    assert [type_.name for type_ in subgraph.execution_types.values()] == ["Train"]
    assert [type_.name for type_ in subgraph.context_types.values()] == ["Run"]
    assert subgraph.attributions == [
        pb.Attribution(artifact_id=taxi_run.data, context_id=taxi_run.run),
        pb.Attribution(artifact_id=taxi_run.model, context_id=taxi_run.run),
    ]
    assert subgraph.associations == [pb.Association(execution_id=taxi_run.train, context_id=taxi_run.run)]


def test_questions_to_a_subgraph(store, taxi_run):
    subgraph = store.lineage(artifact_id=taxi_run.model, direction="both")

    assert subgraph.producer_of(taxi_run.model).name == "train"
    assert subgraph.producer_of(taxi_run.data) is None
    assert [execution.name for execution in subgraph.consumers_of(taxi_run.model)] == ["evaluate"]
    assert [artifact.name for artifact in subgraph.inputs_of(taxi_run.train)] == ["taxi"]
    assert [artifact.name for artifact in subgraph.outputs_of(taxi_run.train)] == ["fares"]


def test_a_question_about_a_node_that_was_not_met_is_not_found():
    with pytest.raises(errors.NotFound, match="artifact 7 is not in this subgraph"):
        Subgraph().producer_of(7)
    with pytest.raises(errors.NotFound, match="execution 7 is not in this subgraph"):
        Subgraph().inputs_of(7)


def test_of_several_producers_the_latest_counts():
    events = [
        pb.Event(artifact_id=1, execution_id=execution_id, type=pb.Event.OUTPUT, milliseconds_since_epoch=ms)
        for execution_id, ms in ((1, 10), (2, 30), (3, 20))
    ]
    executions = {execution_id: pb.Execution(id=execution_id) for execution_id in (1, 2, 3)}
    subgraph = Subgraph(artifacts={1: pb.Artifact(id=1)}, executions=executions, events=events)

    assert subgraph.producer_of(1) == executions[2]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, errors.InvalidRequest, "lineage needs artifact_id"),
        ({"artifact_id": 77}, errors.NotFound, "there is no artifact 77$"),
        ({"artifact_id": 1, "max_hops": -1}, errors.InvalidRequest, "max_hops cannot be negative"),
        ({"artifact_id": 1, "direction": "up"}, errors.InvalidRequest, "direction must be one of 'upstream'"),
        ({"artifact_id": 1, "until": "colour = 'red'"}, errors.InvalidRequest, None),
    ],
    ids=str,
)
def test_walks_that_cannot_be_taken(store, taxi_run, options, error, message):
    with pytest.raises(error, match=message):
        store.lineage(**options)


@pytest.fixture
def chain(store: Store) -> list[int]:
    """130 artifacts, each made from the one before it; their ids."""
    data = store.put_artifact_type(pb.ArtifactType(name="Data"))
    step = store.put_execution_type(pb.ExecutionType(name="Step"))
    count = 130
    return store.put_lineage_subgraph(
        [pb.Execution(type_id=step) for _ in range(count - 1)],
        [pb.Artifact(type_id=data) for _ in range(count)],
        [],
        [(index, index, pb.Event(type=pb.Event.INPUT)) for index in range(count - 1)]
        + [(index, index + 1, pb.Event(type=pb.Event.OUTPUT)) for index in range(count - 1)],
    ).artifact_ids


@pytest.mark.parametrize("direction", ["upstream", "downstream", "both"])
def test_a_walk_goes_further_than_one_call_of_the_service(store, chain, direction):
    start = chain[0] if direction == "downstream" else chain[-1]

    subgraph = store.lineage(artifact_id=start, direction=direction)

    assert len(chain) * 2 > MOST_HOPS
    assert list(subgraph.artifacts) == sorted(chain)
    assert len(subgraph.events) == 2 * (len(chain) - 1)


@pytest.mark.parametrize("max_hops", [99, 100, 101, 102, 200, 202])
def test_a_long_walk_ends_at_its_last_hop(store, chain, max_hops):
    subgraph = store.lineage(artifact_id=chain[-1], max_hops=max_hops)

    assert len(subgraph.artifacts) == 1 + max_hops // 2
    assert len(subgraph.executions) == (max_hops + 1) // 2


def test_a_walk_starts_from_more_nodes_than_one_call_takes(store, chain):
    subgraph = store.lineage(artifact_ids=chain, max_hops=1)

    assert len(chain) > MOST_STARTING_NODES
    assert len(subgraph.artifacts) == len(chain)
    assert len(subgraph.executions) == len(chain) - 1


def test_starting_nodes_that_are_not_stored_are_left_out(store, taxi_run):
    missing = range(1_000_000, 1_000_150)

    subgraph = store.lineage(artifact_ids=[*missing, taxi_run.model], execution_ids=[77])

    assert names(subgraph) == {"taxi", "train", "fares"}


def test_a_networkx_graph_follows_the_data(store, taxi_run):
    graph = store.lineage(artifact_id=taxi_run.report).to_networkx()
    data, model, report = (("artifact", id_) for id_ in (taxi_run.data, taxi_run.model, taxi_run.report))
    train, evaluate = ("execution", taxi_run.train), ("execution", taxi_run.evaluate)

    assert networkx.shortest_path(graph, data, report) == [data, train, model, evaluate, report]
    assert networkx.ancestors(graph, model) == {data, train}
    assert graph.nodes[data]["uri"] == "s3://taxi"
    assert graph.nodes[data]["properties"] == {"rows": 1000}
    assert graph.nodes[train]["state"] == "COMPLETE"
    assert graph.nodes[train]["contexts"] == [taxi_run.run]
    assert graph.graph["contexts"][taxi_run.run]["name"] == "monday"
    edge = graph.edges[data, train, 0]
    assert (edge["type"], edge["path"]) == ("INPUT", ("examples", 0))
    assert graph.edges[train, model, 0]["type"] == "OUTPUT"


def test_without_networkx_the_error_says_what_to_install():
    code = (
        "import sys; sys.modules['networkx'] = None\n"
        "from headwater.client import Subgraph\n"
        "Subgraph().to_networkx()"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert "pip install 'headwater[graph]'" in done.stderr


def test_a_subgraph_as_json(store, taxi_run):
    subgraph = store.lineage(execution_id=taxi_run.train)
    data, train = subgraph.artifacts[taxi_run.data], subgraph.executions[taxi_run.train]

    assert json.loads(json.dumps(subgraph.to_dict())) == subgraph.to_dict()
    assert subgraph.to_dict()["artifacts"] == [
        {
            "id": taxi_run.data,
            "type_id": data.type_id,
            "type": "Data",
            "name": "taxi",
            "uri": "s3://taxi",
            "create_ms": data.create_time_since_epoch,
            "update_ms": data.last_update_time_since_epoch,
            "properties": {"rows": 1000},
            "custom_properties": {},
        }
    ]
    assert subgraph.to_dict()["executions"][0]["state"] == "COMPLETE"
    assert subgraph.to_dict()["artifact_types"] == [
        {"id": data.type_id, "name": "Data", "properties": {"rows": "INT"}}
    ]
    assert subgraph.to_dict()["events"] == [
        {
            "artifact_id": taxi_run.data,
            "execution_id": train.id,
            "type": "INPUT",
            "path": ["examples", 0],
            "time_ms": subgraph.events[0].milliseconds_since_epoch,
        }
    ]
    assert subgraph.to_dict()["associations"] == [{"execution_id": train.id, "context_id": taxi_run.run}]
