"""GetLineageSubgraph: the request read, the walk taken, the answer put together."""

from headwater.errors import InvalidRequest, NotFound, Unimplemented
from headwater.filters import compile_filter
from headwater.lineage import MOST_HOPS, Direction, Ending, walk
from headwater.storage import edges
from headwater.storage.kinds import ARTIFACT, CONTEXT, EXECUTION, KINDS, NodeKind
from headwater.storage.listing import list_page
from headwater.storage.transactions import Transaction
from headwater.storage.types import all_types, questions_of_all
from headwater.storage.values import checked_text
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc

MOST_STARTING_NODES = 100

_Options = pb.LineageSubgraphQueryOptions
_DIRECTIONS = {_Options.UPSTREAM: Direction.UPSTREAM, _Options.DOWNSTREAM: Direction.DOWNSTREAM}
_PARTS = frozenset(field.name for field in pb.LineageGraph.DESCRIPTOR.fields) - {"parent_contexts"}


def get_lineage_subgraph(
    tx: Transaction, request: rpc.GetLineageSubgraphRequest
) -> rpc.GetLineageSubgraphResponse:
    """Nodes (ids only) and edges around the starting nodes, each list ascending by id."""
    options = request.lineage_subgraph_query_options
    wanted = _PARTS.intersection(request.read_mask.paths) if request.read_mask.paths else _PARTS
    typed = [kind for kind in KINDS if f"{kind.name}_types" in wanted]
    tx.ask_ahead([question for kind in typed for question in questions_of_all(kind)])
    kind, start = _starting_nodes(tx, options)
    found = walk(
        tx,
        kind,
        start,
        _DIRECTIONS.get(options.direction, Direction.BOTH),
        max_hops=min(options.max_num_hops, MOST_HOPS) if options.HasField("max_num_hops") else MOST_HOPS,
        endings=_endings(options),
    )
    artifact_ids, execution_ids = sorted(found.nodes[ARTIFACT]), sorted(found.nodes[EXECUTION])
    events = [found.events[event_id] for event_id in sorted(found.events)] if "events" in wanted else []
    graph = pb.LineageGraph()
    attributed = artifact_ids if wanted & {"attributions", "contexts"} else []
    associated = execution_ids if wanted & {"associations", "contexts"} else []
    tx.ask_ahead(
        [
            *edges.questions_of_links(ARTIFACT, attributed),
            *edges.questions_of_links(EXECUTION, associated),
            *edges.questions_of_steps(events),
        ],
        are_last=True,
    )
    attributions = edges.links_of(tx, ARTIFACT, attributed)
    associations = edges.links_of(tx, EXECUTION, associated)
    if "artifacts" in wanted:
        graph.artifacts.extend([pb.Artifact(id=node_id) for node_id in artifact_ids])
    if "executions" in wanted:
        graph.executions.extend([pb.Execution(id=node_id) for node_id in execution_ids])
    if "contexts" in wanted:
        context_ids = {context_id for _, context_id in attributions + associations}
        graph.contexts.extend([pb.Context(id=context_id) for context_id in sorted(context_ids)])
    if "attributions" in wanted:
        graph.attributions.extend(
            [
                pb.Attribution(artifact_id=node_id, context_id=context_id)
                for node_id, context_id in attributions
            ]
        )
    if "associations" in wanted:
        graph.associations.extend(
            [
                pb.Association(execution_id=node_id, context_id=context_id)
                for node_id, context_id in associations
            ]
        )
    if "events" in wanted:
        graph.events.extend(edges.event_messages(tx, events))
    if "artifact_types" in wanted:
        graph.artifact_types.extend(all_types(tx, ARTIFACT))  # type: ignore[arg-type]  # artifact types
    if "execution_types" in wanted:
        graph.execution_types.extend(all_types(tx, EXECUTION))  # type: ignore[arg-type]  # execution types
    if "context_types" in wanted:
        graph.context_types.extend(all_types(tx, CONTEXT))  # type: ignore[arg-type]  # context types
    return rpc.GetLineageSubgraphResponse(lineage_subgraph=graph)


def _starting_nodes(tx: Transaction, options: _Options) -> tuple[NodeKind, list[int]]:
    which = options.WhichOneof("starting_nodes")
    if which is None:
        raise InvalidRequest("GetLineageSubgraph needs starting_artifacts or starting_executions")
    kind = ARTIFACT if which == "starting_artifacts" else EXECUTION
    text = checked_text(getattr(options, which).filter_query, f"the filter of {which}")
    if not text:
        raise InvalidRequest(f"{which} needs a filter_query, for example 'id = 1'")
    if options.max_num_hops < 0:
        raise InvalidRequest(f"max_num_hops cannot be negative, and is {options.max_num_hops}")
    page = list_page(tx, kind, limit=MOST_STARTING_NODES, where=compile_filter(text, kind))
    if not page:
        raise NotFound(f"no {kind.name} matches the filter of {which}: {text!r:.200}")
    return kind, [position.node_id for position in page]


def _endings(options: _Options) -> dict[NodeKind, Ending]:
    endings = {}
    for kind, given in ((ARTIFACT, options.ending_artifacts), (EXECUTION, options.ending_executions)):
        if given.HasField("filter_query"):
            where = (
                compile_filter(checked_text(given.filter_query, "the ending filter"), kind)
                if given.filter_query
                else None
            )
            endings[kind] = Ending(where, given.include_ending_nodes)
    return endings


def get_lineage_graph(tx: Transaction, request: rpc.GetLineageGraphRequest) -> rpc.GetLineageGraphResponse:
    raise Unimplemented("GetLineageGraph is deprecated and not served; call GetLineageSubgraph")
