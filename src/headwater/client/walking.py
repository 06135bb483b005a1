"""Following lineage through the store: which calls make one ``Subgraph``.

``GetLineageSubgraph`` answers ids and edges, from at most 100 nodes and for at most 100 hops. Here both
limits are lifted by calling again, and the nodes are fetched by their ids.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from google.protobuf.field_mask_pb2 import FieldMask

from headwater.client.lineage import INPUTS, OUTPUTS, Subgraph
from headwater.client.transport import Ask
from headwater.errors import InvalidRequest, NotFound
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc

Direction = Literal["upstream", "downstream", "both"]

MOST_STARTING_NODES = 100
MOST_HOPS = 100  # Even, so that a walk that was cut short ends on the kind of node it began with.
_NODES_PER_CALL = 1_000

_Options = pb.LineageSubgraphQueryOptions
_DIRECTIONS = {
    "upstream": _Options.UPSTREAM,
    "downstream": _Options.DOWNSTREAM,
    "both": _Options.BIDIRECTIONAL,
}
_MASK = FieldMask(paths=["artifacts", "executions", "contexts", "events", "attributions", "associations"])


@dataclass
class Skeleton:
    """The ids and edges that walks have met."""

    artifact_ids: set[int] = field(default_factory=set)
    execution_ids: set[int] = field(default_factory=set)
    context_ids: set[int] = field(default_factory=set)
    events: dict[tuple[int, int, int], pb.Event] = field(default_factory=dict)
    """By artifact, execution and type, which together are unique."""
    attributions: set[tuple[int, int]] = field(default_factory=set)
    associations: set[tuple[int, int]] = field(default_factory=set)

    def add(self, graph: pb.LineageGraph) -> None:
        self.artifact_ids.update(node.id for node in graph.artifacts)
        self.execution_ids.update(node.id for node in graph.executions)
        self.context_ids.update(node.id for node in graph.contexts)
        self.events.update(
            {(event.artifact_id, event.execution_id, event.type): event for event in graph.events}
        )
        self.attributions.update((link.artifact_id, link.context_id) for link in graph.attributions)
        self.associations.update((link.execution_id, link.context_id) for link in graph.associations)


@dataclass(frozen=True)
class Question:
    """Where walks go and end."""

    direction: Direction
    max_hops: int | None
    """``None``: as far as events lead."""
    until_artifact: str | None
    until_execution: str | None
    include_until: bool

    def __post_init__(self) -> None:
        if self.direction not in _DIRECTIONS:
            known = ", ".join(map(repr, _DIRECTIONS))
            raise InvalidRequest(f"direction must be one of {known}, and is {self.direction!r}")
        if self.max_hops is not None and self.max_hops < 0:
            raise InvalidRequest(f"max_hops cannot be negative, and is {self.max_hops}")

    def options(self, max_hops: int) -> pb.LineageSubgraphQueryOptions:
        options = _Options(direction=_DIRECTIONS[self.direction], max_num_hops=max_hops)
        if self.until_artifact:
            options.ending_artifacts.filter_query = self.until_artifact
            options.ending_artifacts.include_ending_nodes = self.include_until
        if self.until_execution:
            options.ending_executions.filter_query = self.until_execution
            options.ending_executions.include_ending_nodes = self.include_until
        return options


def walk(
    ask: Ask, question: Question, *, artifact_ids: Sequence[int], execution_ids: Sequence[int]
) -> Skeleton:
    """What lies within the question's hops of the starting nodes. Those that are missing are left out.

    Costs one call for every 100 starting nodes and every 100 hops.

    Raises:
        NotFound: none of the starting nodes is stored.
    """
    skeleton = Skeleton()
    is_any_stored = False
    for kind, ids in (("artifact", artifact_ids), ("execution", execution_ids)):
        remaining = question.max_hops
        frontier = sorted(set(ids))
        known = set(frontier)
        while frontier:
            hops = MOST_HOPS if remaining is None else min(MOST_HOPS, remaining)
            border: set[int] = set()
            for batch in batches(frontier, MOST_STARTING_NODES):
                try:
                    graph = _one_walk(ask, question.options(hops), kind, batch)
                except NotFound:  # None of this batch is stored.
                    continue
                is_any_stored = True
                skeleton.add(graph)
                if hops == MOST_HOPS:
                    border |= _nodes_at_last_hop(graph, question.direction, kind, batch)
            if remaining is not None:
                remaining -= hops
            if remaining == 0:
                break
            frontier = sorted(border - known)
            known |= skeleton.artifact_ids if kind == "artifact" else skeleton.execution_ids
    if not is_any_stored:
        wanted = [*(f"artifact {i}" for i in artifact_ids), *(f"execution {i}" for i in execution_ids)]
        raise NotFound(f"there is no {' and no '.join(wanted[:10])}{' ...' if len(wanted) > 10 else ''}")
    return skeleton


def _one_walk(
    ask: Ask, options: pb.LineageSubgraphQueryOptions, kind: str, ids: Sequence[int]
) -> pb.LineageGraph:
    start = options.starting_artifacts if kind == "artifact" else options.starting_executions
    start.filter_query = f"id IN ({', '.join(map(str, ids))})"
    request = rpc.GetLineageSubgraphRequest(lineage_subgraph_query_options=options, read_mask=_MASK)
    return ask(request, rpc.GetLineageSubgraphResponse).lineage_subgraph


def _nodes_at_last_hop(
    graph: pb.LineageGraph, direction: Direction, kind: str, start: Sequence[int]
) -> set[int]:
    """The nodes, of the kind of ``start``, that the walk reached with its last hop and did not go beyond."""
    nexts: dict[tuple[str, int], list[tuple[str, int]]] = {}
    for event in graph.events:
        artifact, execution = ("artifact", event.artifact_id), ("execution", event.execution_id)
        if direction == "both" or (event.type in OUTPUTS) == (direction == "upstream"):
            nexts.setdefault(artifact, []).append(execution)
        if direction == "both" or (event.type in INPUTS) == (direction == "upstream"):
            nexts.setdefault(execution, []).append(artifact)
    layer = {(kind, node_id) for node_id in start}
    met = set(layer)
    for _ in range(MOST_HOPS):
        layer = {node for reached in layer for node in nexts.get(reached, ())} - met
        met |= layer
    return {node_id for _, node_id in layer}


def fetch(ask: Ask, skeleton: Skeleton) -> Subgraph:
    """The skeleton with full nodes and their types. Edges to nodes that are not stored are left out.

    Costs at most five calls for every 1,000 nodes of each kind.
    """
    artifacts: dict[int, pb.Artifact] = {}
    artifact_types: dict[int, pb.ArtifactType] = {}
    for batch in batches(sorted(skeleton.artifact_ids), _NODES_PER_CALL):
        found = ask(
            rpc.GetArtifactsByIDRequest(artifact_ids=batch, populate_artifact_types=True),
            rpc.GetArtifactsByIDResponse,
        )
        artifacts.update({node.id: node for node in found.artifacts})
        artifact_types.update({type_.id: type_ for type_ in found.artifact_types})
    executions: dict[int, pb.Execution] = {}
    for batch in batches(sorted(skeleton.execution_ids), _NODES_PER_CALL):
        executions_found = ask(
            rpc.GetExecutionsByIDRequest(execution_ids=batch), rpc.GetExecutionsByIDResponse
        )
        executions.update({node.id: node for node in executions_found.executions})
    contexts: dict[int, pb.Context] = {}
    for batch in batches(sorted(skeleton.context_ids), _NODES_PER_CALL):
        contexts_found = ask(rpc.GetContextsByIDRequest(context_ids=batch), rpc.GetContextsByIDResponse)
        contexts.update({node.id: node for node in contexts_found.contexts})
    return Subgraph(
        artifacts=dict(sorted(artifacts.items())),
        executions=dict(sorted(executions.items())),
        contexts=dict(sorted(contexts.items())),
        artifact_types=dict(sorted(artifact_types.items())),
        execution_types=_execution_types(ask, executions.values()),
        context_types=_context_types(ask, contexts.values()),
        events=[
            event
            for event in skeleton.events.values()
            if event.artifact_id in artifacts and event.execution_id in executions
        ],
        attributions=[
            pb.Attribution(artifact_id=artifact_id, context_id=context_id)
            for artifact_id, context_id in sorted(skeleton.attributions)
            if artifact_id in artifacts and context_id in contexts
        ],
        associations=[
            pb.Association(execution_id=execution_id, context_id=context_id)
            for execution_id, context_id in sorted(skeleton.associations)
            if execution_id in executions and context_id in contexts
        ],
    )


def _execution_types(ask: Ask, nodes: Iterable[pb.Execution]) -> dict[int, pb.ExecutionType]:
    ids = sorted({node.type_id for node in nodes})
    if not ids:
        return {}
    found = ask(rpc.GetExecutionTypesByIDRequest(type_ids=ids), rpc.GetExecutionTypesByIDResponse)
    return {type_.id: type_ for type_ in found.execution_types}


def _context_types(ask: Ask, nodes: Iterable[pb.Context]) -> dict[int, pb.ContextType]:
    ids = sorted({node.type_id for node in nodes})
    if not ids:
        return {}
    found = ask(rpc.GetContextTypesByIDRequest(type_ids=ids), rpc.GetContextTypesByIDResponse)
    return {type_.id: type_ for type_ in found.context_types}


def batches(ids: Sequence[int], most: int) -> Iterator[Sequence[int]]:
    """``ids`` in order, ``most`` at a time."""
    for begin in range(0, len(ids), most):
        yield ids[begin : begin + most]
