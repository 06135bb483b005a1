"""Impact: what was made from a node, counted by type, state and step."""

import random

import pytest
from graph.graphs import chain, put_edges, put_members, put_nodes, put_random_graph
from graph.searching import INPUTS, Node, searched
from support import Call

from headwater.errors import InvalidRequest, NotFound
from headwater.v1 import lineage_pb2 as rpc
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as store_rpc

Count = rpc.GetImpactResponse.Count
ContextCount = rpc.GetImpactResponse.ContextCount


def of(*artifact_ids: int, **more: object) -> rpc.GetImpactRequest:
    return rpc.GetImpactRequest(start=rpc.StartingNodes(artifact_ids=artifact_ids), **more)


def put_typed_graph(call: Call) -> None:
    """data -> two attempts at a step, FAILED, and COMPLETE with a model -> CACHED evaluation -> report.

    The complete attempt and the model belong to run 1, the evaluation to run 2.
    """
    types = store_rpc.PutTypesRequest()
    for name in ("Data", "Model", "Report"):
        types.artifact_types.add(name=name)
    types.execution_types.add(name="headwater.Step", properties={"step": pb.STRING})
    types.execution_types.add(name="Evaluate", properties={"step": pb.STRING})
    types.context_types.add(name="Run")
    made = call("PutTypes", types)
    data, model, report = made.artifact_type_ids
    step, evaluate = made.execution_type_ids
    call(
        "PutArtifacts",
        store_rpc.PutArtifactsRequest(
            artifacts=[
                pb.Artifact(type_id=data, state=pb.Artifact.LIVE),
                pb.Artifact(type_id=model, state=pb.Artifact.LIVE),
                pb.Artifact(type_id=report),
            ]
        ),
    )
    properties = {"step": pb.Value(string_value="train")}
    state = pb.Execution.State
    call(
        "PutExecutions",
        store_rpc.PutExecutionsRequest(
            executions=[
                pb.Execution(type_id=step, last_known_state=state.FAILED, properties=properties),
                pb.Execution(type_id=step, last_known_state=state.COMPLETE, properties=properties),
                pb.Execution(type_id=evaluate, last_known_state=state.CACHED, properties=properties),
            ]
        ),
    )
    run = made.context_type_ids[0]
    contexts = [pb.Context(type_id=run, name="first"), pb.Context(type_id=run, name="second")]
    call("PutContexts", store_rpc.PutContextsRequest(contexts=contexts))
    put_members(call, 1, [("e", 2), ("a", 2), ("a", 1)])
    put_members(call, 2, [("e", 3)])
    put_edges(
        call,
        [(1, 1, pb.Event.INPUT), (1, 2, pb.Event.INPUT), (2, 2, pb.Event.OUTPUT), (2, 3, pb.Event.INPUT)],
        [10, 20, 30, 40],
    )
    put_edges(call, [(3, 3, pb.Event.OUTPUT)], [50])


def test_what_was_made_from_a_data_set_is_counted(call: Call) -> None:
    put_typed_graph(call)
    (report,) = call("GetArtifactsByID", store_rpc.GetArtifactsByIDRequest(artifact_ids=[3])).artifacts
    contexts = call("GetContextsByID", store_rpc.GetContextsByIDRequest(context_ids=[1, 2])).contexts

    assert call("GetImpact", of(1)) == rpc.GetImpactResponse(
        artifacts=[Count(type="Model", state="LIVE", count=1), Count(type="Report", count=1)],
        executions=[
            Count(type="Evaluate", state="CACHED", count=1),
            Count(type="headwater.Step", state="COMPLETE", step="train", count=1),
            Count(type="headwater.Step", state="FAILED", step="train", count=1),
        ],
        contexts=[
            ContextCount(context=contexts[0], count=2),
            ContextCount(context=contexts[1], count=1),
        ],
        latest=[report],
    )


def test_impact_is_that_of_a_time_and_of_so_many_hops(call: Call) -> None:
    put_typed_graph(call)

    as_of = call("GetImpact", of(1, as_of_ms=30))
    near = call("GetImpact", of(1, max_hops=2))

    assert [count.type for count in as_of.artifacts] == ["Model"]
    assert [artifact.id for artifact in as_of.latest] == [2], "it had not been used at that time"
    assert [count.type for count in near.artifacts] == ["Model"]
    assert list(near.latest) == []
    assert not near.HasField("cut")


@pytest.mark.parametrize("style", ["hubs", "tangle", "flow"])
def test_as_many_are_counted_as_a_search_finds(call: Call, style: str) -> None:
    draw = random.Random(style)
    graph = put_random_graph(call, draw, style)
    for _ in range(10):
        request = rpc.GetImpactRequest()
        start: set[Node] = set()
        for kind in draw.choice(["a", "e", "c", "aec"]):
            node_id = draw.randint(1, {"a": graph.artifacts, "e": graph.executions, "c": 3}[kind])
            names = {"a": "artifact_ids", "e": "execution_ids", "c": "context_ids"}
            getattr(request.start, names[kind]).append(node_id)
            start |= graph.members[node_id] if kind == "c" else {(kind, node_id)}
        found = [node for hops, node in searched(graph.edges, start, rpc.DOWNSTREAM).nodes if hops]
        used = {("a", artifact) for artifact, _, type_ in graph.edges if type_ in INPUTS}

        impact = call("GetImpact", request)

        assert sum(count.count for count in impact.artifacts) == sum(kind == "a" for kind, _ in found)
        assert sum(count.count for count in impact.executions) == sum(kind == "e" for kind, _ in found)
        assert {count.context.id: count.count for count in impact.contexts} == {
            context_id: count
            for context_id, members in graph.members.items()
            if (count := len(members & set(found)))
        }
        unused = sorted((i for kind, i in found if kind == "a" and (kind, i) not in used), reverse=True)
        assert [artifact.id for artifact in impact.latest] == unused


def test_more_nodes_than_were_asked_for_are_cut_off(call: Call) -> None:
    put_nodes(call, 5, 4)
    put_edges(call, chain(4))

    impact = call("GetImpact", of(1, max_nodes=3))

    assert [count.count for count in (*impact.artifacts, *impact.executions)] == [1, 2]
    assert impact.cut == rpc.Cut(
        reason="max_nodes is 3, and there are more; raise it, or lower max_hops", nodes_left=1
    )


def test_a_request_that_cannot_be_carried_out_is_refused(call: Call) -> None:
    put_nodes(call, 1, 0)

    with pytest.raises(InvalidRequest, match="start needs an artifact"):
        call("GetImpact", rpc.GetImpactRequest())
    with pytest.raises(InvalidRequest, match="max_nodes cannot be negative, and is -2"):
        call("GetImpact", of(1, max_nodes=-2))
    with pytest.raises(NotFound, match="there is no artifact 4"):
        call("GetImpact", of(4))
