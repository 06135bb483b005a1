"""Paths between two nodes: the shortest first, along the flow of data."""

import random
from collections.abc import Collection, Iterator

import pytest
from graph.graphs import chain, put_edges, put_nodes, put_random_graph
from graph.searching import Edge, Node, followed
from support import Call

from headwater.errors import InvalidRequest, NotFound
from headwater.v1 import lineage_pb2 as rpc
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as store_rpc

Stop = rpc.FindPathsResponse.Stop


def between(first: Node, last: Node, **more: object) -> rpc.FindPathsRequest:
    names = {"a": "artifact", "e": "execution"}
    ends = {f"from_{names[first[0]]}_id": first[1], f"to_{names[last[0]]}_id": last[1]}
    return rpc.FindPathsRequest(**ends, **more)


def paths_of(found: rpc.FindPathsResponse) -> list[list[Node]]:
    return [
        [("a", stop.artifact_id) if stop.artifact_id else ("e", stop.execution_id) for stop in path.stops]
        for path in found.paths
    ]


def all_paths(edges: Collection[Edge], first: Node, last: Node, most: int) -> Iterator[list[Node]]:
    """Every path of at most ``most`` hops, in no order."""
    heads: dict[Node, set[Node]] = {}
    for edge in edges:
        for here, there in followed(edge, rpc.DOWNSTREAM):
            heads.setdefault(here, set()).add(there)
    pending = [[first]]
    while pending:
        path = pending.pop()
        if path[-1] == last:
            yield path
        elif len(path) <= most:
            pending += [[*path, node] for node in heads.get(path[-1], ()) if node not in path]


@pytest.mark.parametrize("style", ["narrow", "tangle", "flow"])
def test_the_shortest_of_all_paths_are_found_in_their_order(call: Call, style: str) -> None:
    draw = random.Random(style)
    graph = put_random_graph(call, draw, style)
    for _ in range(30):
        first, last = (
            (kind, draw.randint(1, graph.artifacts if kind == "a" else graph.executions))
            for kind in (draw.choice("ae"), draw.choice("ae"))
        )
        max_hops, count = draw.choice([1, 3, 5]), draw.choice([1, 3, 100])
        whole = list(all_paths(graph.edges, first, last, max_hops))
        whole = whole or list(all_paths(graph.edges, last, first, max_hops))

        found = call("FindPaths", between(first, last, max_paths=count, max_hops=max_hops))

        assert paths_of(found) == sorted(whole, key=lambda path: (len(path), path))[:count]
        assert found.HasField("cut") == (len(whole) > count)
        nodes = {node for path in paths_of(found) for node in path}
        assert [artifact.id for artifact in found.artifacts] == sorted(i for kind, i in nodes if kind == "a")
        assert [execution.id for execution in found.executions] == sorted(
            i for kind, i in nodes if kind == "e"
        )


def test_a_path_names_the_events_and_follows_the_data_whichever_end_is_given_first(call: Call) -> None:
    put_nodes(call, 2, 1)
    path = pb.Event.Path(steps=[pb.Event.Path.Step(key="parts"), pb.Event.Path.Step(index=0)])
    events = [
        pb.Event(artifact_id=1, execution_id=1, type=pb.Event.INPUT),
        pb.Event(artifact_id=2, execution_id=1, type=pb.Event.OUTPUT, path=path),
    ]
    call("PutEvents", store_rpc.PutEventsRequest(events=events))

    forth = call("FindPaths", between(("a", 1), ("a", 2)))
    back = call("FindPaths", between(("a", 2), ("a", 1)))

    (only,) = forth.paths
    assert list(only.stops) == [
        Stop(artifact_id=1),
        Stop(execution_id=1),
        Stop(artifact_id=2, event_path="parts[0]"),
    ]
    assert [artifact.id for artifact in forth.artifacts] == [1, 2]
    assert [execution.type for execution in forth.executions] == ["E"]
    assert not forth.HasField("cut")
    assert back == forth


def test_two_events_of_the_same_nodes_are_one_path(call: Call) -> None:
    put_nodes(call, 1, 1)
    put_edges(call, [(1, 1, pb.Event.INPUT), (1, 1, pb.Event.DECLARED_INPUT)])

    found = call("FindPaths", between(("a", 1), ("e", 1)))

    assert paths_of(found) == [[("a", 1), ("e", 1)]]


def test_a_node_leads_to_itself_in_no_hops(call: Call) -> None:
    put_nodes(call, 1, 1)
    put_edges(call, [(1, 1, pb.Event.INPUT), (1, 1, pb.Event.OUTPUT)])

    found = call("FindPaths", between(("a", 1), ("a", 1)))

    assert paths_of(found) == [[("a", 1)]]


def test_nodes_that_have_nothing_to_do_with_each_other_have_no_path(call: Call) -> None:
    put_nodes(call, 3, 2)
    put_edges(call, [(1, 1, pb.Event.INPUT), (1, 2, pb.Event.INPUT), (3, 2, pb.Event.OUTPUT)])

    assert call("FindPaths", between(("e", 1), ("a", 3))) == rpc.FindPathsResponse()


def test_a_path_of_hundreds_of_hops_is_found(call: Call) -> None:
    put_nodes(call, 301, 300)
    put_edges(call, chain(300))

    (path,) = paths_of(call("FindPaths", between(("a", 1), ("a", 301))))

    assert len(path) == 601


def test_of_a_great_many_paths_as_many_are_given_as_were_asked_for(call: Call) -> None:
    # 20 layers of 3 artifacts, each made from all three of the layer below: 3 ** 20 ways.
    put_nodes(call, 60, 60)
    edges = [
        (3 * layer + column, 3 * layer + column, pb.Event.OUTPUT)
        for layer in range(20)
        for column in (1, 2, 3)
    ]
    edges += [
        (3 * layer + below, 3 * (layer + 1) + column, pb.Event.INPUT)
        for layer in range(19)
        for below in (1, 2, 3)
        for column in (1, 2, 3)
    ]
    put_edges(call, edges)

    found = call("FindPaths", between(("a", 1), ("a", 58), max_paths=100))

    assert len(found.paths) == 100
    assert {len(path.stops) for path in found.paths} == {39}
    assert paths_of(found) == sorted(paths_of(found))
    assert found.cut.reason == (
        "there are more than 100 paths; raise max_paths (to 100 at most), or lower max_hops"
    )


def test_a_data_set_with_many_consumers_is_no_reason_to_read_them(call: Call) -> None:
    put_nodes(call, 2, 3_000)
    put_edges(call, [(1, execution, pb.Event.INPUT) for execution in range(1, 3_001)])
    put_edges(call, [(2, 3_000, pb.Event.OUTPUT)])

    found = call("FindPaths", between(("a", 1), ("a", 2)))

    assert paths_of(found) == [[("a", 1), ("e", 3_000), ("a", 2)]]
    assert not found.HasField("cut")


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (rpc.FindPathsRequest(to_artifact_id=1), "give either from_artifact_id or from_execution_id"),
        (
            rpc.FindPathsRequest(from_artifact_id=1, to_artifact_id=1, to_execution_id=1),
            "give either to_artifact_id or to_execution_id",
        ),
        (between(("a", 1), ("e", 1), max_paths=101), "max_paths must be from 1 to 100, and is 101"),
        (between(("a", 1), ("e", 1), max_hops=-1), "max_hops cannot be negative, and is -1"),
    ],
    ids=["no first", "two last", "max_paths", "max_hops"],
)
def test_a_request_that_cannot_be_carried_out_is_refused(
    call: Call, request_: rpc.FindPathsRequest, said: str
) -> None:
    put_nodes(call, 1, 1)

    with pytest.raises(InvalidRequest) as error:
        call("FindPaths", request_)

    assert str(error.value) == said


def test_nodes_that_are_not_stored_are_named(call: Call) -> None:
    put_nodes(call, 1, 1)

    with pytest.raises(NotFound, match="there is no artifact 5, no execution 6"):
        call("FindPaths", between(("e", 6), ("a", 5)))
