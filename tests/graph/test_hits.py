"""A walk without hits gives what a search finds in a graph that has none, and says how many there are."""

import random
from collections.abc import Mapping

import pytest
from graph.graphs import put_edges, put_members, put_nodes, put_random_graph
from graph.searching import Edge, Node, edge_of, node_of, searched
from support import Call

from headwater.storage import schema
from headwater.storage.database import Database
from headwater.storage.statements import Insert
from headwater.v1 import lineage_pb2 as rpc
from headwater.v1 import metadata_store_pb2 as pb

from .conftest import Walk

DIRECTIONS = {"up": rpc.UPSTREAM, "down": rpc.DOWNSTREAM, "both": rpc.BOTH}


def put_attempts(database: Database, originals: Mapping[int, int | None], runs: int = 1_000_000) -> None:
    """Make these executions attempts at steps: hits of others, or none, each in one of so many runs."""
    columns = ("execution_id", "pipeline_id", "run_id", "step", "number", "fingerprint", "is_kept")
    into = Insert(schema.attempt_table, *columns, "cached_execution_id", "start_ms", "begin_digest")
    rows = [
        (execution_id, 1, 1 + execution_id % runs, "s", 1, "", True, original, execution_id, "")
        for execution_id, original in originals.items()
    ]
    database.write(lambda tx: tx.insert(into, rows))


def without_hits(edges: set[Edge], originals: Mapping[int, int | None], start: set[Node]) -> set[Edge]:
    return {
        (artifact, execution, type_)
        for artifact, execution, type_ in edges
        if ("e", execution) in start or (artifact, originals.get(execution), type_) not in edges
    }


@pytest.mark.parametrize("style", ["narrow", "hubs", "tangle"])
@pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS)
def test_a_walk_without_hits_is_a_walk_in_a_graph_without_them(
    call: Call, walk: Walk, database: Database, style: str, direction: int
) -> None:
    draw = random.Random(f"{style} {direction}")
    graph = put_random_graph(call, draw, style)
    hits = draw.sample(range(1, graph.executions + 1), graph.executions // 2)
    done = sorted(set(range(1, graph.executions + 1)) - set(hits))
    originals = {hit: draw.choice(done) for hit in hits} | dict.fromkeys(done)
    put_attempts(database, originals)
    # Most hits have the events of what they reuse, and some have others, or not all of them.
    given = {
        (artifact, hit, type_): 101
        for artifact, execution, type_ in graph.edges
        for hit in hits
        if originals[hit] == execution and draw.random() < 0.9
    }
    given = {edge: time_ms for edge, time_ms in given.items() if edge not in graph.edges}
    put_edges(call, given, given.values())
    times = graph.edges | given
    for _ in range(20):
        request = rpc.WalkRequest(direction=direction, page_size=draw.choice([1, 3, 20]), ids_only=True)
        request.leaves_out_hits = True
        request.start.artifact_ids.append(draw.randint(1, graph.artifacts))
        start: set[Node] = {("a", request.start.artifact_ids[0])}
        if draw.random() < 0.5:
            request.start.execution_ids.append(draw.choice(hits))
            start.add(("e", request.start.execution_ids[0]))
        if draw.random() < 0.5:
            request.start.context_ids.append(draw.randint(1, 3))
            start |= graph.members[request.start.context_ids[0]]
        edges = set(times)
        if draw.random() < 0.3:
            request.as_of_ms = draw.randint(1, 100)
            edges = {edge for edge, time_ms in times.items() if time_ms <= request.as_of_ms}
        found = searched(without_hits(edges, originals, start), start, direction)

        pages = list(walk(request))

        assert [(node.hops, node_of(node)) for page in pages for node in page.nodes] == list(found.nodes)
        assert sorted(edge_of(event) for page in pages for event in page.events) == sorted(
            set().union(*found.events)
        )
        if len(pages) > 1:
            request.page_token = pages[len(pages) // 2 - 1].next_page_token
            assert list(walk(request)) == pages[len(pages) // 2 :]


def put_reused(call: Call, database: Database, hits: int) -> None:
    """Execution 1 made artifact 2 from artifact 1, and so many hits in ten runs reuse that; 2 used it."""
    put_nodes(call, 3, 2 + hits, contexts=1)
    events = [(1, pb.Event.INPUT), (2, pb.Event.OUTPUT)]
    edges = [(artifact, 1, type_) for artifact, type_ in events]
    edges += [(2, 2, pb.Event.INPUT), (3, 2, pb.Event.OUTPUT)]
    edges += [(artifact, hit, type_) for hit in range(3, 3 + hits) for artifact, type_ in events]
    put_edges(call, edges)
    put_attempts(database, {1: None, 2: None} | dict.fromkeys(range(3, 3 + hits), 1), runs=10)


def ids_of(pages: list[rpc.WalkResponse]) -> list[Node]:
    return [node_of(node) for page in pages for node in page.nodes]


def test_a_walk_says_how_often_what_it_met_was_reused(call: Call, walk: Walk, database: Database) -> None:
    put_reused(call, database, 25)
    request = rpc.WalkRequest(direction=rpc.UPSTREAM, leaves_out_hits=True, ids_only=True)
    request.start.artifact_ids.append(3)

    (page,) = walk(request)

    assert ids_of([page]) == [("a", 3), ("e", 2), ("a", 2), ("e", 1), ("a", 1)]
    assert list(page.reuses) == [rpc.WalkResponse.Reuse(execution_id=1, hits=25, runs=10)]
    request.as_of_ms = 12
    assert not next(walk(request)).reuses, "the events are later"
    request.ClearField("as_of_ms")
    request.leaves_out_hits = False
    (whole,) = walk(request)
    assert (len(whole.nodes), len(whole.reuses)) == (30, 0)


def test_a_walk_that_begins_at_hits_gives_these_and_no_others(
    call: Call, walk: Walk, database: Database
) -> None:
    put_reused(call, database, 25)
    put_members(call, 1, [("e", 5), ("e", 6), ("a", 2)])
    request = rpc.WalkRequest(direction=rpc.UPSTREAM, leaves_out_hits=True, ids_only=True)
    request.start.context_ids.append(1)

    (page,) = walk(request)

    assert ids_of([page]) == [("a", 2), ("e", 5), ("e", 6), ("a", 1), ("e", 1)]
    assert sorted(map(edge_of, page.events)) == sorted(
        (artifact, execution, type_)
        for execution in (1, 5, 6)
        for artifact, type_ in ((1, pb.Event.INPUT), (2, pb.Event.OUTPUT))
    )


def test_hits_of_what_is_gone_are_given(call: Call, walk: Walk, database: Database) -> None:
    put_nodes(call, 2, 2)
    put_edges(call, [(1, 2, pb.Event.INPUT), (2, 2, pb.Event.OUTPUT)])
    put_attempts(database, {2: 1})
    request = rpc.WalkRequest(direction=rpc.UPSTREAM, leaves_out_hits=True, ids_only=True)
    request.start.artifact_ids.append(2)

    assert ids_of(list(walk(request))) == [("a", 2), ("e", 2), ("a", 1)]


def test_ten_thousand_hits_are_counted_and_not_sent(call: Call, walk: Walk, database: Database) -> None:
    put_reused(call, database, 10_000)
    for artifact_id, direction, expected in (
        (3, rpc.UPSTREAM, [("a", 3), ("e", 2), ("a", 2), ("e", 1), ("a", 1)]),
        (1, rpc.DOWNSTREAM, [("a", 1), ("e", 1), ("a", 2), ("e", 2), ("a", 3)]),
    ):
        request = rpc.WalkRequest(direction=direction, leaves_out_hits=True)
        request.start.artifact_ids.append(artifact_id)

        pages = list(walk(request))

        assert ids_of(pages) == expected
        assert [reuse.hits for page in pages for reuse in page.reuses] == [10_000]
