"""What walks and searches must find, found by going through all events again and again."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from headwater.v1 import lineage_pb2 as rpc
from headwater.v1 import metadata_store_pb2 as pb

INPUTS = {pb.Event.INPUT, pb.Event.DECLARED_INPUT, pb.Event.INTERNAL_INPUT}

Node = tuple[str, int]
"""``"a"`` or ``"e"``, and the id. In order artifacts come first."""
Edge = tuple[int, int, int]
"""Artifact id, execution id, event type."""


@dataclass(frozen=True)
class Found:
    """The nodes of a walk in their order with their distances, and the events that come with each."""

    nodes: Sequence[tuple[int, Node]]
    events: Sequence[set[Edge]]
    """Of each node, in the order of ``nodes``."""


def searched(
    edges: Collection[Edge],
    start: Collection[Node],
    direction: int,
    *,
    hops: int | None = None,
    ends: Collection[Node] = (),
) -> Found:
    """What lies within ``hops`` of ``start`` without going beyond ``ends``."""
    follows: dict[Node, list[tuple[Node, Edge]]] = {}
    for edge in edges:
        for here, there in followed(edge, direction):
            follows.setdefault(here, []).append((there, edge))
    distances = dict.fromkeys(start, 0)
    level, passed = set(start), set()
    distance = 0
    while level and distance != hops:
        going_on = {node for node in level if node not in ends}
        passed |= going_on
        distance += 1
        level = {there for node in going_on for there, _ in follows.get(node, ())} - distances.keys()
        distances |= dict.fromkeys(level, distance)
    nodes = sorted((distance, node) for node, distance in distances.items())
    places = {node: place for place, (_, node) in enumerate(nodes)}
    events: list[set[Edge]] = [set() for _ in nodes]
    for node in passed:
        for there, edge in follows.get(node, ()):
            events[max(places[node], places[there])].add(edge)
    return Found(nodes, events)


def followed(edge: Edge, direction: int) -> Iterator[tuple[Node, Node]]:
    """From which node to which the event is followed."""
    artifact, execution, type_ = ("a", edge[0]), ("e", edge[1]), edge[2]
    forth, back = (artifact, execution), (execution, artifact)
    if direction != rpc.UPSTREAM:
        yield forth if type_ in INPUTS else back
    if direction != rpc.DOWNSTREAM:
        yield back if type_ in INPUTS else forth


def node_of(node: rpc.WalkResponse.WalkNode) -> Node:
    """The node of an answer, as it is named here."""
    return ("a", node.artifact.id) if node.HasField("artifact") else ("e", node.execution.id)


def edge_of(event: pb.Event) -> Edge:
    """The event of an answer, as it is named here."""
    return event.artifact_id, event.execution_id, event.type
