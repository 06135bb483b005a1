"""Graphs for tests of walks and searches, put into a store by calls."""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from graph.searching import Edge, Node
from support import Call

from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc

_AT_ONCE = 10_000


@dataclass
class Graph:
    """What ``put_random_graph`` put."""

    artifacts: int
    executions: int
    edges: dict[Edge, int]
    """With their times."""
    members: dict[int, set[Node]] = field(default_factory=dict)
    """Of each context."""


def put_nodes(call: Call, artifacts: int, executions: int, contexts: int = 0) -> None:
    """Nodes without names, whose ids begin at 1 in a store without any."""
    types = rpc.PutTypesRequest()
    types.artifact_types.add(name="A")
    types.execution_types.add(name="E")
    types.context_types.add(name="C")
    made = call("PutTypes", types)
    artifact = pb.Artifact(type_id=made.artifact_type_ids[0])
    execution = pb.Execution(type_id=made.execution_type_ids[0])
    for count in _batches(artifacts):
        call("PutArtifacts", rpc.PutArtifactsRequest(artifacts=[artifact] * count))
    for count in _batches(executions):
        call("PutExecutions", rpc.PutExecutionsRequest(executions=[execution] * count))
    named = [pb.Context(type_id=made.context_type_ids[0], name=str(number)) for number in range(contexts)]
    call("PutContexts", rpc.PutContextsRequest(contexts=named))


def _batches(count: int) -> Iterable[int]:
    return (min(_AT_ONCE, count - begin) for begin in range(0, count, _AT_ONCE))


def put_edges(call: Call, edges: Iterable[Edge], times: Iterable[int] | None = None) -> None:
    """Events in this order, with these times or that of now."""
    events = (pb.Event(artifact_id=a, execution_id=e, type=t) for a, e, t in edges)
    if times is not None:
        events = (_at(event, time_ms) for event, time_ms in zip(events, times, strict=True))
    while some := list(islice(events, _AT_ONCE)):
        call("PutEvents", rpc.PutEventsRequest(events=some))


def _at(event: pb.Event, time_ms: int) -> pb.Event:
    event.milliseconds_since_epoch = time_ms
    return event


def put_members(call: Call, context_id: int, members: Iterable[Node]) -> None:
    """Link nodes to a context."""
    members = list(members)
    call(
        "PutAttributionsAndAssociations",
        rpc.PutAttributionsAndAssociationsRequest(
            attributions=[
                pb.Attribution(context_id=context_id, artifact_id=i) for kind, i in members if kind == "a"
            ],
            associations=[
                pb.Association(context_id=context_id, execution_id=i) for kind, i in members if kind == "e"
            ],
        ),
    )


def put_random_graph(call: Call, draw: random.Random, style: str) -> Graph:
    """Up to 80 artifacts and 90 executions with three contexts.

    ``style`` is what the events are like: ``narrow``, ``hubs`` (few artifacts have most of them), ``tangle``
    (anything, with cycles) or ``flow`` (data flows one way, and no event is of a type of its own).
    """
    artifacts, executions = draw.choice([8, 40, 80]), draw.choice([6, 30, 90])
    put_nodes(call, artifacts, executions, contexts=3)
    kinds = [number for number in pb.Event.Type.values() if number]
    edges: dict[Edge, int] = {}
    for _ in range(draw.choice([20, 100, 400])):
        execution = draw.randint(1, executions)
        artifact = draw.randint(1, artifacts)
        kind = draw.choice(kinds)
        if style == "narrow":
            artifact = min(artifacts, max(1, execution * artifacts // executions + draw.randint(-3, 3)))
        elif style == "hubs":
            artifact = draw.choice([1, 2, 3, artifact])
        elif style == "flow":
            kind = pb.Event.INPUT if artifact * executions < execution * artifacts else pb.Event.OUTPUT
        edges[artifact, execution, kind] = draw.randint(1, 100)
    put_edges(call, edges, edges.values())
    members: dict[int, set[Node]] = {}
    for context_id in (1, 2, 3):
        members[context_id] = {("a", draw.randint(1, artifacts)) for _ in range(draw.choice([0, 2, 20]))}
        members[context_id] |= {("e", draw.randint(1, executions)) for _ in range(draw.choice([0, 2, 20]))}
        put_members(call, context_id, sorted(members[context_id]))
    return Graph(artifacts, executions, edges, members)


def chain(length: int) -> list[Edge]:
    """Artifact 1, execution 1, artifact 2 and so on, to artifact ``length + 1``."""
    return [
        edge
        for step in range(1, length + 1)
        for edge in ((step, step, pb.Event.INPUT), (step + 1, step, pb.Event.OUTPUT))
    ]
