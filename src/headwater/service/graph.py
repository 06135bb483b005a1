"""The Lineage service: requests checked, questions asked of ``headwater.graph``, answers put together."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from google.protobuf.message import Message

from headwater.errors import Aborted, InvalidRequest, NotFound
from headwater.filters import compile_filter
from headwater.graph import comparison, impact, paths
from headwater.graph.events import Reader, bounds_now, questions_of_bounds
from headwater.graph.hits import Kept, reuses
from headwater.graph.idsets import IdSet
from headwater.graph.tokens import Position, position_of, token_of
from headwater.graph.walk import Page, Question, Start, Walk
from headwater.lineage import Direction
from headwater.storage import edges
from headwater.storage.callers import Caller
from headwater.storage.database import Database
from headwater.storage.kinds import ARTIFACT, CONTEXT, EXECUTION, NodeKind
from headwater.storage.listing import Filter
from headwater.storage.nodes import existing_ids, load_nodes, questions_of_existing
from headwater.storage.transactions import Transaction
from headwater.storage.types import known_types
from headwater.storage.values import checked_text
from headwater.v1 import lineage_pb2 as rpc
from headwater.v1 import metadata_store_pb2 as pb

LARGEST_PAGE = 1_000
_USUAL_PAGE = 100
MOST_STARTING_NODES = 10_000

_DIRECTIONS = {
    rpc.UPSTREAM: Direction.UPSTREAM,
    rpc.DOWNSTREAM: Direction.DOWNSTREAM,
    rpc.BOTH: Direction.BOTH,
}


# Walk


def walk(database: Database, request: rpc.WalkRequest, caller: Caller) -> Iterator[rpc.WalkResponse]:
    """The pages of a walk, each read when it is asked for and in a transaction of its own."""
    question = _question(request)
    position = position_of(request)
    answer: _Answer | None = None

    def next_page(tx: Transaction) -> tuple[_Answer, rpc.WalkResponse]:
        nonlocal answer
        # A transaction may be tried again, and what an attempt left half done is of no use to the next one.
        current, answer = answer, None
        if current is None:
            current = _Answer(tx, request, question, position)
        return current, current.next_page(tx)

    while True:
        answer, message = database.read(next_page, caller)
        yield message
        if not message.next_page_token:
            return
        position = answer.position


def _question(request: rpc.WalkRequest) -> Question:
    if request.direction not in _DIRECTIONS:
        raise InvalidRequest("direction must be UPSTREAM, DOWNSTREAM or BOTH")
    if not 0 <= request.page_size <= LARGEST_PAGE:
        raise InvalidRequest(f"page_size must be from 1 to {LARGEST_PAGE}, and is {request.page_size}")
    if request.max_nodes < 0:
        raise InvalidRequest(f"max_nodes cannot be negative, and is {request.max_nodes}; 0 means no limit")
    until: dict[NodeKind, Filter] = {}
    for kind, name in ((ARTIFACT, "until_artifacts"), (EXECUTION, "until_executions")):
        text = checked_text(getattr(request, name), name)
        if text:
            until[kind] = compile_filter(text, kind)
    return Question(
        _DIRECTIONS[request.direction],
        request.page_size or _USUAL_PAGE,
        _max_hops(request),
        request.max_nodes or None,
        until,
    )


def _max_hops(
    request: rpc.WalkRequest | rpc.FindPathsRequest | rpc.GetImpactRequest | rpc.CompareLineagesRequest,
) -> int | None:
    if not request.HasField("max_hops"):
        return None
    if request.max_hops < 0:
        raise InvalidRequest(f"max_hops cannot be negative, and is {request.max_hops}")
    return request.max_hops


def _as_of_ms(request: rpc.WalkRequest | rpc.GetImpactRequest) -> int | None:
    return request.as_of_ms if request.HasField("as_of_ms") else None


def _start(tx: Transaction, given: rpc.StartingNodes) -> Start:
    """The starting nodes, all of which are stored.

    Raises:
        InvalidRequest: none is given, or too many.
        NotFound: one is not stored.
    """
    ids = {
        ARTIFACT: sorted(set(given.artifact_ids)),
        EXECUTION: sorted(set(given.execution_ids)),
        CONTEXT: sorted(set(given.context_ids)),
    }
    count = sum(map(len, ids.values()))
    if not count:
        raise InvalidRequest("start needs an artifact, an execution or a context")
    if count > MOST_STARTING_NODES:
        raise InvalidRequest(
            f"start has {count} nodes, and may have {MOST_STARTING_NODES}; name a context that has them all"
        )
    _check_stored(tx, ids)
    return Start(ids[ARTIFACT], ids[EXECUTION], ids[CONTEXT])


_MOST_NAMED = 10


def _check_stored(tx: Transaction, ids: dict[NodeKind, list[int]]) -> None:
    tx.ask_ahead([question for kind in ids for question in questions_of_existing(kind, ids[kind])])
    missing = [
        f"{kind.name} {node_id}"
        for kind, wanted in ids.items()
        for node_id in sorted(set(wanted) - existing_ids(tx, kind, wanted))
    ]
    if missing:
        more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
        raise NotFound(f"there is no {', no '.join(missing[:_MOST_NAMED])}{more}")


class _Answer:
    """The pages of one walk as messages, from ``position`` on."""

    def __init__(
        self, tx: Transaction, request: rpc.WalkRequest, question: Question, position: Position | None
    ) -> None:
        self._request = request
        self._question = question
        self._contexts = IdSet()
        """Those that pages before had."""
        if position is None:
            tx.ask_ahead(questions_of_bounds())
        start = _start(tx, request.start)
        self._bounds = bounds_now(tx, _as_of_ms(request)) if position is None else position.bounds
        self.position = Position(0, self._bounds, False, 0)
        """Behind the last page that was made."""
        self._reader = Reader(tx)
        kept = Kept(start.execution_ids, start.context_ids) if request.leaves_out_hits else None
        self._pages = Walk(self._reader, start, question, replace(self._bounds, kept_hits=kept)).pages()
        if position is not None:
            self._skip_to(tx, position)

    def _skip_to(self, tx: Transaction, position: Position) -> None:
        for _ in range(position.pages):
            tx.check_caller()
            page = next(self._pages, None)
            if page is None or page.is_last:
                break
            self._add_links(tx, page, rpc.WalkResponse())
            self._advance(page)
        if self.position != position:
            raise Aborted(
                "the lineage is not what it was when page_token was given: a filter or an event changed it; "
                "start again without a token"
            )

    def next_page(self, tx: Transaction) -> rpc.WalkResponse:
        self._reader.tx = tx
        page = next(self._pages)
        self._advance(page)
        message = rpc.WalkResponse()
        rows = sorted(page.events)
        tx.ask_ahead(edges.questions_of_steps(rows))
        context_ids = self._add_links(tx, page, message)
        message.events.extend(edges.event_messages(tx, rows))
        _add_nodes(tx, page, context_ids, message, ids_only=self._request.ids_only)
        if self._request.leaves_out_hits:
            message.reuses.extend(
                [
                    rpc.WalkResponse.Reuse(execution_id=reuse.execution_id, hits=reuse.hits, runs=reuse.runs)
                    for reuse in reuses(tx, _ids(page, EXECUTION), self._bounds.as_of_ms)
                ]
            )
        if not page.is_last:
            message.next_page_token = token_of(self.position, self._request)
        if page.nodes_left is not None:
            message.cut.nodes_left = page.nodes_left
            message.cut.reason = (
                f"max_nodes is {self._question.max_nodes}, and there are more; raise it, or lower max_hops"
            )
        return message

    def _advance(self, page: Page) -> None:
        at = self.position
        is_artifact, last_id = at.last_is_artifact, at.last_id
        if page.parts:
            is_artifact, last_id = page.parts[-1].kind is ARTIFACT, page.parts[-1].ids[-1]
        self.position = Position(at.pages + 1, self._bounds, is_artifact, last_id)

    def _add_links(self, tx: Transaction, page: Page, message: rpc.WalkResponse) -> list[int]:
        """Add the nodes' links to contexts; the ids of the contexts that no page had, ascending."""
        artifact_ids, execution_ids = _ids(page, ARTIFACT), _ids(page, EXECUTION)
        tx.ask_ahead(
            [
                *edges.questions_of_links(ARTIFACT, artifact_ids),
                *edges.questions_of_links(EXECUTION, execution_ids),
            ]
        )
        attributions = edges.links_of(tx, ARTIFACT, artifact_ids)
        associations = edges.links_of(tx, EXECUTION, execution_ids)
        message.attributions.extend(
            [
                pb.Attribution(artifact_id=node_id, context_id=context_id)
                for node_id, context_id in attributions
            ]
        )
        message.associations.extend(
            [
                pb.Association(execution_id=node_id, context_id=context_id)
                for node_id, context_id in associations
            ]
        )
        found = {context_id for _, context_id in [*attributions, *associations]}
        return [context_id for context_id in sorted(found) if self._contexts.add(context_id)]


def _ids(page: Page, kind: NodeKind) -> list[int]:
    return [node_id for part in page.parts if part.kind is kind for node_id in part.ids]


# What precedes a node in WalkNode: its field number and that it has a length. As field 1 it has another.
_AS_FIELD = {ARTIFACT: b"\x12", EXECUTION: b"\x1a"}


def _add_nodes(
    tx: Transaction, page: Page, context_ids: Sequence[int], message: rpc.WalkResponse, *, ids_only: bool
) -> None:
    """Add the nodes of a page, in its order, and the contexts; one that is not stored has only its id."""
    stored: dict[NodeKind, dict[int, bytes]] = {ARTIFACT: {}, EXECUTION: {}, CONTEXT: {}}
    if not ids_only:
        for kind, ids in (
            (ARTIFACT, _ids(page, ARTIFACT)),
            (EXECUTION, _ids(page, EXECUTION)),
            (CONTEXT, context_ids),
        ):
            if ids:
                stored[kind] = load_nodes(tx, kind, ids)
    for part in page.parts:
        for node_id in part.ids:
            node = message.nodes.add(hops=part.hops)
            framed = stored[part.kind].get(node_id)
            if framed is not None:
                node.MergeFromString(_AS_FIELD[part.kind] + framed[1:])
            elif part.kind is ARTIFACT:
                node.artifact.id = node_id
            else:
                node.execution.id = node_id
    contexts = stored[CONTEXT]
    message.contexts.extend([_context(contexts, node_id) for node_id in context_ids])


def _content(framed: bytes) -> bytes:
    """What is behind the field number and the length."""
    at = 1
    while framed[at] & 0x80:
        at += 1
    return framed[at + 1 :]


# Paths


_MOST_PATHS = 100
_USUAL_PATHS = 10


def find_paths(tx: Transaction, request: rpc.FindPathsRequest) -> rpc.FindPathsResponse:
    """How one node leads to another, along the flow of data."""
    if not 0 <= request.max_paths <= _MOST_PATHS:
        raise InvalidRequest(f"max_paths must be from 1 to {_MOST_PATHS}, and is {request.max_paths}")
    max_hops = _max_hops(request)
    first = _one_of("from", request.from_artifact_id, request.from_execution_id)
    last = _one_of("to", request.to_artifact_id, request.to_execution_id)
    tx.ask_ahead(questions_of_bounds())
    _check_both_stored(tx, first, last)
    ends = [node_id for kind, node_id in (first, last) if kind is EXECUTION]
    found = paths.find_paths(
        tx,
        paths.Node(first[0] is EXECUTION, first[1]),
        paths.Node(last[0] is EXECUTION, last[1]),
        replace(bounds_now(tx), kept_hits=Kept(ends)),
        max_paths=request.max_paths or _USUAL_PATHS,
        max_hops=max_hops,
    )
    response = rpc.FindPathsResponse()
    rows = [found.rows[event_id] for event_id in sorted(found.rows)]
    names = {
        row[0]: _path_text(event) for row, event in zip(rows, edges.event_messages(tx, rows), strict=True)
    }
    for path in found.paths:
        stops = response.paths.add().stops
        before: paths.Node | None = None
        for node in path:
            stop = stops.add()
            if node.is_execution:
                stop.execution_id = node.node_id
            else:
                stop.artifact_id = node.node_id
            if before is not None:
                stop.event_path = names[found.events[before, node]]
            before = node
    nodes = {node for path in found.paths for node in path}
    for kind, field_number in ((ARTIFACT, _PATHS_ARTIFACTS), (EXECUTION, _PATHS_EXECUTIONS)):
        ids = sorted(node.node_id for node in nodes if node.kind is kind)
        if ids:
            _merge(response, field_number, load_nodes(tx, kind, ids), ids)
    if found.cut is not None:
        response.cut.reason = found.cut
    return response


_PATHS_ARTIFACTS, _PATHS_EXECUTIONS, _IMPACT_LATEST = 2, 3, 4


def _merge(message: Message, field_number: int, stored: Mapping[int, bytes], ids: Sequence[int]) -> None:
    """Add the nodes of ``ids`` that are stored to a repeated field."""
    tag = bytes([field_number << 3 | 2])
    message.MergeFromString(b"".join([tag + stored[node_id][1:] for node_id in ids if node_id in stored]))


def _path_text(event: pb.Event) -> str:
    """The path of an event as Python would write it: ``examples[0]``; empty if it has none."""
    steps = (f"[{step.index}]" if step.HasField("index") else f".{step.key}" for step in event.path.steps)
    return "".join(steps).removeprefix(".")


def _one_of(name: str, artifact_id: int, execution_id: int) -> tuple[NodeKind, int]:
    if bool(artifact_id) is bool(execution_id):
        raise InvalidRequest(f"give either {name}_artifact_id or {name}_execution_id")
    return (ARTIFACT, artifact_id) if artifact_id else (EXECUTION, execution_id)


def _check_both_stored(tx: Transaction, *nodes: tuple[NodeKind, int]) -> None:
    kinds = (ARTIFACT, EXECUTION)
    _check_stored(tx, {kind: sorted({node_id for k, node_id in nodes if k is kind}) for kind in kinds})


# Impact

_MOST_COUNTED = 1_000_000


def get_impact(tx: Transaction, request: rpc.GetImpactRequest) -> rpc.GetImpactResponse:
    """What was made from some nodes, counted."""
    if request.max_nodes < 0:
        raise InvalidRequest(f"max_nodes cannot be negative, and is {request.max_nodes}; 0 means 1,000,000")
    max_nodes = request.max_nodes or _MOST_COUNTED
    max_hops = _max_hops(request)
    tx.ask_ahead(questions_of_bounds())
    start = _start(tx, request.start)
    found = impact.find_impact(
        tx, start, bounds_now(tx, _as_of_ms(request)), max_hops=max_hops, max_nodes=max_nodes
    )
    response = rpc.GetImpactResponse()
    response.artifacts.extend(_counts(tx, ARTIFACT, found))
    response.executions.extend(_counts(tx, EXECUTION, found))
    contexts = found.largest_contexts
    nodes = load_nodes(tx, CONTEXT, [context_id for context_id, _ in contexts]) if contexts else {}
    for context_id, count in contexts:
        response.contexts.add(context=_context(nodes, context_id), count=count)
    if found.unused:
        _merge(response, _IMPACT_LATEST, load_nodes(tx, ARTIFACT, found.unused), found.unused)
    if found.nodes_left:
        response.cut.nodes_left = found.nodes_left
        response.cut.reason = f"max_nodes is {max_nodes}, and there are more; raise it, or lower max_hops"
    return response


def _counts(tx: Transaction, kind: NodeKind, found: impact.Impact) -> list[rpc.GetImpactResponse.Count]:
    """Largest first, then by type, step and state."""
    groups = found.groups[kind]
    types = known_types(tx, sorted({group.type_id for group in groups}))
    states = pb.Artifact.State if kind is ARTIFACT else pb.Execution.State
    numbers = frozenset(states.values())
    total: Counter[tuple[str, str, str]] = Counter()
    for group, count in groups.items():
        # What has no state says so in one of two ways.
        state = states.Name(group.state) if group.state and group.state in numbers else ""
        name = types[group.type_id].name if group.type_id in types else ""
        total[name, group.step, state] += count
    return [
        rpc.GetImpactResponse.Count(type=name, state=state, step=step, count=count)
        for (name, step, state), count in sorted(total.items(), key=lambda item: (-item[1], item[0]))
    ]


def _context(stored: Mapping[int, bytes], context_id: int) -> pb.Context:
    """The context, or what has only its id if it is not stored."""
    framed = stored.get(context_id)
    return pb.Context(id=context_id) if framed is None else pb.Context.FromString(_content(framed))


# Comparison


def compare_lineages(tx: Transaction, request: rpc.CompareLineagesRequest) -> rpc.CompareLineagesResponse:
    """Where the pasts of two nodes differ."""
    max_hops = _max_hops(request)
    a = _one_of("a", request.a_artifact_id, request.a_execution_id)
    b = _one_of("b", request.b_artifact_id, request.b_execution_id)
    tx.ask_ahead(questions_of_bounds())
    _check_both_stored(tx, a, b)
    found = comparison.compare(tx, a, b, bounds_now(tx), max_hops=max_hops)
    response = rpc.CompareLineagesResponse(equal_steps=found.equal_steps)
    for step in found.steps:
        message = response.steps.add(
            step=step.name,
            hops=step.hops,
            a_execution_id=step.a.execution_id if step.a else 0,
            b_execution_id=step.b.execution_id if step.b else 0,
            only_inputs=step.only_inputs,
        )
        for difference in step.differences:
            message.differences.add(component=difference.component, old=difference.old, new=difference.new)
    if found.nodes_left:
        response.cut.nodes_left = found.nodes_left
        response.cut.reason = (
            f"more than {comparison.MOST_EXECUTIONS} executions are upstream; lower max_hops"
        )
    return response
