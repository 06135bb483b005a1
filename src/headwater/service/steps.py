"""RPCs that record whole steps: PutExecution for one, PutLineageSubgraph for many."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

from headwater.errors import InvalidRequest, NotFound, OutOfRange
from headwater.service.nodes import require_stored
from headwater.storage import edges
from headwater.storage.kinds import ARTIFACT, CONTEXT, EXECUTION, Node, NodeKind
from headwater.storage.nodes import (
    copied,
    find_external_ids,
    find_names,
    question_of_external_ids,
    question_of_names,
    questions_of_existing,
)
from headwater.storage.transactions import Transaction
from headwater.storage.types import known_types
from headwater.storage.writing import announce, check_properties, put_nodes
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc

_NO_ARTIFACT = -1

AnyNode = TypeVar("AnyNode", pb.Artifact, pb.Context)


def put_execution(tx: Transaction, request: rpc.PutExecutionRequest) -> rpc.PutExecutionResponse:
    """Record one step. See ``PutExecutionRequest`` for what a pair may hold."""
    if not request.HasField("execution"):
        raise InvalidRequest("PutExecution needs an execution")
    options, pairs = request.options, request.artifact_event_pairs
    given = [pair.artifact for pair in pairs if pair.HasField("artifact")]
    _announce_step(tx, request, given)
    if options.reuse_artifact_if_already_exist_by_external_id:
        put_ids = _put_artifacts_by_external_id(tx, given)
    else:
        put_ids = put_nodes(tx, ARTIFACT, given)
    written = iter(put_ids)
    (execution_id,) = put_nodes(
        tx, EXECUTION, [request.execution], force_update_time=options.force_update_time
    )
    artifact_ids: list[int] = []
    events: list[pb.Event] = []
    for pair in pairs:
        artifact_id = next(written) if pair.HasField("artifact") else None
        if pair.HasField("event"):
            event = _event_of_pair(pair.event, artifact_id, execution_id)
            events.append(event)
            artifact_id = event.artifact_id
        artifact_ids.append(_NO_ARTIFACT if artifact_id is None else artifact_id)
    edges.put_events(tx, events, written={ARTIFACT: put_ids, EXECUTION: [execution_id]})
    context_ids = _put_contexts(
        tx,
        request.contexts,
        reuses_by_name=options.reuse_context_if_already_exist,
        reuses_by_id=options.force_reuse_context,
    )
    linked = [artifact_id for artifact_id in artifact_ids if artifact_id != _NO_ARTIFACT]
    _link_all(tx, context_ids, executions=[execution_id], artifacts=linked)
    return rpc.PutExecutionResponse(
        execution_id=execution_id, artifact_ids=artifact_ids, context_ids=context_ids
    )


def _announce_step(
    tx: Transaction, request: rpc.PutExecutionRequest, artifacts: Sequence[pb.Artifact]
) -> None:
    if tx.is_careful:
        return
    options = request.options
    _announce_artifacts(tx, artifacts, options.reuse_artifact_if_already_exist_by_external_id)
    announce(tx, EXECUTION, [request.execution])
    events = [pair for pair in request.artifact_event_pairs if pair.HasField("event")]
    edges.announce_events(
        tx,
        len(events),
        artifact_ids={pair.event.artifact_id for pair in events if not pair.HasField("artifact")},
        execution_ids=(),
    )
    _announce_contexts(
        tx,
        request.contexts,
        reuses_by_name=options.reuse_context_if_already_exist,
        reuses_by_id=options.force_reuse_context,
    )
    nodes: list[Node] = [*artifacts, request.execution, *request.contexts]
    known_types(tx, {node.type_id for node in nodes})


def _announce_artifacts(tx: Transaction, artifacts: Sequence[pb.Artifact], reuses: bool) -> None:
    looked_up = [artifact for artifact in artifacts if reuses and _is_found_by_external_id(artifact)]
    if looked_up:
        # Which of them are new shows only then. An update may change who has an external id.
        wanted = {artifact.external_id for artifact in looked_up}
        if not any(artifact.HasField("id") for artifact in artifacts):
            tx.ask_ahead([question_of_external_ids(ARTIFACT, wanted)])
    else:
        announce(tx, ARTIFACT, artifacts)


def _announce_contexts(
    tx: Transaction, contexts: Sequence[pb.Context], *, reuses_by_name: bool, reuses_by_id: bool
) -> None:
    if reuses_by_id:
        tx.ask_ahead(questions_of_existing(CONTEXT, [one.id for one in contexts if one.HasField("id")]))
    if not reuses_by_name:
        announce(tx, CONTEXT, [one for one in contexts if not (reuses_by_id and one.HasField("id"))])
        return
    keys = [_name_key(context) for context in contexts if not context.HasField("id")]
    has_renamed = not reuses_by_id and len(keys) < len(contexts)
    if keys and not has_renamed:
        tx.ask_ahead([question_of_names(CONTEXT, keys)])


def _event_of_pair(given: pb.Event, artifact_id: int | None, execution_id: int) -> pb.Event:
    event = copied(given)
    if event.HasField("execution_id") and event.execution_id != execution_id:
        raise InvalidRequest(
            f"an event names execution {event.execution_id}, but its request writes {execution_id}; "
            "leave execution_id out"
        )
    event.execution_id = execution_id
    if artifact_id is None:
        if not event.HasField("artifact_id"):
            raise InvalidRequest("an event without artifact in its pair needs an artifact_id")
        return event
    if event.HasField("artifact_id") and event.artifact_id != artifact_id:
        raise InvalidRequest(
            f"an event names artifact {event.artifact_id}, but its pair writes {artifact_id}; "
            "leave artifact_id out"
        )
    event.artifact_id = artifact_id
    return event


def _runs(nodes: Sequence[AnyNode], key_of: Callable[[AnyNode], Hashable]) -> Iterator[list[AnyNode]]:
    """Cut ``nodes`` so that keys looked up at the beginning of a run find what they would at their node.

    ``key_of`` gives ``None`` for nodes that are not looked up. One run is what nearly every request has.
    """
    run: list[AnyNode] = []
    keys: set[Hashable] = set()
    has_update = False
    for node in nodes:
        key = key_of(node)
        if key is not None and (key in keys or has_update):
            yield run
            run, keys, has_update = [], set(), False
        run.append(node)
        keys.add(key)
        has_update = has_update or node.HasField("id")
    if run:
        yield run


def _put_artifacts_by_external_id(tx: Transaction, artifacts: Sequence[pb.Artifact]) -> list[int]:
    """Put artifacts; one whose external id is stored, or came earlier, updates that artifact."""
    ids: list[int] = []
    for run in _runs(artifacts, lambda one: one.external_id if _is_found_by_external_id(one) else None):
        ids += put_nodes(tx, ARTIFACT, _with_stored_ids(tx, run))
    return ids


def _is_found_by_external_id(artifact: pb.Artifact) -> bool:
    return bool(artifact.external_id) and not artifact.HasField("id")


def _with_stored_ids(tx: Transaction, artifacts: Sequence[pb.Artifact]) -> list[pb.Artifact]:
    wanted = [artifact.external_id for artifact in artifacts if _is_found_by_external_id(artifact)]
    stored = find_external_ids(tx, ARTIFACT, wanted)
    found = []
    for artifact in artifacts:
        if _is_found_by_external_id(artifact) and artifact.external_id in stored:
            update = copied(artifact)
            update.id = stored[artifact.external_id]
            found.append(update)
        else:
            found.append(artifact)
    return found


def _put_contexts(
    tx: Transaction, contexts: Sequence[pb.Context], *, reuses_by_name: bool, reuses_by_id: bool
) -> list[int]:
    """Put contexts, or find the stored ones, which then stay as they are; ids in order."""
    if reuses_by_id:
        require_stored(tx, CONTEXT, [context.id for context in contexts if context.HasField("id")])
    ids: list[int] = []
    for run in _runs(
        contexts, lambda one: _name_key(one) if reuses_by_name and not one.HasField("id") else None
    ):
        keys = [_name_key(context) for context in run if not context.HasField("id")]
        stored = find_names(tx, CONTEXT, keys) if reuses_by_name else {}
        to_put: list[pb.Context] = []
        found: list[int | None] = []  # The id of a stored context, or None for one that is put.
        for context in run:
            if reuses_by_id and context.HasField("id"):
                found.append(context.id)
            elif not context.HasField("type_id") or not context.HasField("name"):
                raise InvalidRequest("a context of a recorded step needs its type_id and its name")
            elif not context.HasField("id") and _name_key(context) in stored:
                found.append(stored[_name_key(context)])
            else:
                found.append(None)
                to_put.append(context)
        put = iter(put_nodes(tx, CONTEXT, to_put))
        ids += [next(put) if context_id is None else context_id for context_id in found]
    return ids


def _name_key(context: pb.Context) -> tuple[int, str]:
    return context.type_id, context.name


def _link_all(
    tx: Transaction, contexts: Sequence[int], *, executions: Iterable[int], artifacts: Iterable[int]
) -> None:
    """Link every context with every execution and every artifact."""
    for kind, nodes in ((EXECUTION, executions), (ARTIFACT, artifacts)):
        node_ids = list(dict.fromkeys(nodes))
        links = [(context_id, node_id) for context_id in dict.fromkeys(contexts) for node_id in node_ids]
        edges.put_checked_links(tx, kind, links)


def put_lineage_subgraph(
    tx: Transaction, request: rpc.PutLineageSubgraphRequest
) -> rpc.PutLineageSubgraphResponse:
    """Record many steps: nodes, then links of every context with every node, then events."""
    for edge in request.event_edges:
        _check_edge(edge, request)
    _announce_subgraph(tx, request)
    for kind, nodes in (
        (ARTIFACT, request.artifacts),
        (EXECUTION, request.executions),
        (CONTEXT, request.contexts),
    ):
        _check_nodes(tx, kind, nodes)
    options = request.options
    context_ids = _put_contexts(
        tx, request.contexts, reuses_by_name=options.reuse_context_if_already_exist, reuses_by_id=False
    )
    artifacts: Sequence[pb.Artifact] = request.artifacts
    if options.reuse_artifact_if_already_exist_by_external_id:
        artifacts = _with_stored_ids(tx, artifacts)
    artifact_ids = put_nodes(tx, ARTIFACT, artifacts)
    execution_ids = put_nodes(tx, EXECUTION, request.executions)
    _link_all(tx, context_ids, executions=execution_ids, artifacts=artifact_ids)
    events = []
    for edge in request.event_edges:
        event = copied(edge.event)
        if edge.HasField("execution_index"):
            event.execution_id = execution_ids[edge.execution_index]
        if edge.HasField("artifact_index"):
            event.artifact_id = artifact_ids[edge.artifact_index]
        events.append(event)
    edges.put_events(tx, events, written={ARTIFACT: artifact_ids, EXECUTION: execution_ids})
    return rpc.PutLineageSubgraphResponse(
        execution_ids=execution_ids, artifact_ids=artifact_ids, context_ids=context_ids
    )


def _announce_subgraph(tx: Transaction, request: rpc.PutLineageSubgraphRequest) -> None:
    if tx.is_careful:
        return
    options = request.options
    _announce_artifacts(tx, request.artifacts, options.reuse_artifact_if_already_exist_by_external_id)
    announce(tx, EXECUTION, request.executions)
    _announce_contexts(
        tx, request.contexts, reuses_by_name=options.reuse_context_if_already_exist, reuses_by_id=False
    )
    ends = request.event_edges
    edges.announce_events(
        tx,
        len(ends),
        artifact_ids={edge.event.artifact_id for edge in ends if not edge.HasField("artifact_index")},
        execution_ids={edge.event.execution_id for edge in ends if not edge.HasField("execution_index")},
    )
    kinds: Sequence[Sequence[Node]] = (request.artifacts, request.executions, request.contexts)
    known_types(tx, {node.type_id for nodes in kinds for node in nodes})


def _check_edge(
    edge: rpc.PutLineageSubgraphRequest.EventEdge, request: rpc.PutLineageSubgraphRequest
) -> None:
    if not edge.HasField("event"):
        raise InvalidRequest("an event edge needs an event")
    _check_end(
        EXECUTION,
        request.executions,
        edge.execution_index if edge.HasField("execution_index") else None,
        edge.event.execution_id if edge.event.HasField("execution_id") else None,
    )
    _check_end(
        ARTIFACT,
        request.artifacts,
        edge.artifact_index if edge.HasField("artifact_index") else None,
        edge.event.artifact_id if edge.event.HasField("artifact_id") else None,
    )


def _check_end(kind: NodeKind, nodes: Sequence[Node], index: int | None, node_id: int | None) -> None:
    if index is None:
        if node_id is None:
            raise InvalidRequest(f"an event edge needs {kind.name}_index, or an event with {kind.name}_id")
        return
    if not 0 <= index < len(nodes):
        raise OutOfRange(f"{kind.name}_index {index} is outside the {len(nodes)} {kind.name}s of the request")
    node = nodes[index]
    if node_id is not None and (not node.HasField("id") or node.id != node_id):
        raise InvalidRequest(
            f"an event edge names {kind.name} {node_id}, but {kind.name}_index {index} is another; "
            "give one of the two"
        )


def _check_nodes(tx: Transaction, kind: NodeKind, nodes: Sequence[Node]) -> None:
    if not all(node.HasField("type_id") for node in nodes):
        raise InvalidRequest(f"every {kind.name} of PutLineageSubgraph needs a type_id, updates too")
    known = known_types(tx, {node.type_id for node in nodes})
    for node in nodes:
        type_ = known.get(node.type_id)
        if type_ is None or type_.kind is not kind:
            raise NotFound(f"there is no {kind.name} type with id {node.type_id}")
        check_properties(kind, type_, node.properties)
