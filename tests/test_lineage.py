"""Walks over random graphs find what a plain breadth-first search finds."""

import random
from collections.abc import Mapping

import pytest
from support import Call

from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc

INPUTS = {pb.Event.INPUT, pb.Event.DECLARED_INPUT, pb.Event.INTERNAL_INPUT}
Options = pb.LineageSubgraphQueryOptions
Edges = Mapping[tuple[int, int, int], None]
"""(artifact id, execution id, event type), in the order of their ids."""


def put_graph(call: Call, seed: int) -> Edges:
    """A random graph of 40 artifacts and 30 executions, with cycles, in the store behind ``call``."""
    draw = random.Random(seed)
    types = rpc.PutTypesRequest()
    types.artifact_types.add(name="A")
    types.execution_types.add(name="E")
    made = call("PutTypes", types)
    artifact, execution = (
        pb.Artifact(type_id=made.artifact_type_ids[0]),
        pb.Execution(type_id=made.execution_type_ids[0]),
    )
    call("PutArtifacts", rpc.PutArtifactsRequest(artifacts=[artifact] * 40))
    call("PutExecutions", rpc.PutExecutionsRequest(executions=[execution] * 30))
    kinds = [number for number in pb.Event.Type.values() if number]
    # Mostly narrow, with a hub, so that both ways of reading events come to pass.
    edges = {
        (min(40, max(1, execution_id + draw.randint(-2, 3))), execution_id, draw.choice(kinds)): None
        for execution_id in range(1, 31)
        for _ in range(3)
    } | {(artifact_id, 7, pb.Event.OUTPUT): None for artifact_id in range(1, 30)}
    events = [pb.Event(artifact_id=a, execution_id=e, type=t) for a, e, t in edges]
    call("PutEvents", rpc.PutEventsRequest(events=events))
    return edges


def searched(edges: Edges, start: int, direction: int, hops: int, ends: set[int], *, with_ends: bool):
    """Artifacts, executions and events within ``hops`` of the artifact ``start``; ``ends`` are artifacts."""
    nodes = {("a", start)}
    left_out = set()
    if start in ends and not with_ends:
        nodes, left_out = set(), {("a", start)}
    found = set()
    frontier = set() if start in ends else {("a", start)}
    for _ in range(hops):
        met = set()
        followed = []
        for a, e, t in edges:
            for here, there, leads_up in (
                (("a", a), ("e", e), t not in INPUTS),
                (("e", e), ("a", a), t in INPUTS),
            ):
                is_followed = direction == Options.BIDIRECTIONAL or leads_up == (
                    direction == Options.UPSTREAM
                )
                if here in frontier and is_followed:
                    followed.append(((a, e, t), there))
                    met.add(there)
        met -= nodes | left_out
        ended = {node for node in met if node[0] == "a" and node[1] in ends}
        if not with_ends:
            left_out |= ended
        nodes |= met - left_out
        found |= {edge for edge, there in followed if there not in left_out}
        frontier = met - ended
    return (
        sorted(number for kind, number in nodes if kind == "a"),
        sorted(number for kind, number in nodes if kind == "e"),
        found,
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("direction", [Options.UPSTREAM, Options.DOWNSTREAM, Options.BIDIRECTIONAL])
def test_a_walk_finds_what_a_search_finds(call: Call, seed: int, direction: int) -> None:
    edges = put_graph(call, seed)
    draw = random.Random(seed)
    for hops in (0, 1, 2, 3, 4, 5, 8, 20, 100):
        for with_ends in (False, True):
            start, ends = draw.randint(1, 40), set(draw.sample(range(1, 41), draw.choice([0, 3])))
            options = Options(max_num_hops=hops, direction=direction)
            options.starting_artifacts.filter_query = f"id = {start}"
            if ends:
                options.ending_artifacts.filter_query = f"id IN ({', '.join(map(str, ends))})"
                options.ending_artifacts.include_ending_nodes = with_ends
            request = rpc.GetLineageSubgraphRequest(lineage_subgraph_query_options=options)

            graph = call("GetLineageSubgraph", request).lineage_subgraph

            found = (
                [artifact.id for artifact in graph.artifacts],
                [execution.id for execution in graph.executions],
                {(event.artifact_id, event.execution_id, event.type) for event in graph.events},
            )
            assert found == searched(edges, start, direction, hops, ends, with_ends=with_ends or not ends)
            assert len(graph.events) == len(found[2]), "each event comes once"
