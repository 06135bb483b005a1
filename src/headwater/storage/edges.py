"""Edges: events between artifacts and executions, links to contexts, parents of contexts.

Edges are only ever added. An event that is there already is refused, and so is a parent; a link to a
context that is there already is accepted.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa

from headwater.errors import AlreadyExists, HeadwaterError, InvalidRequest
from headwater.storage import schema
from headwater.storage.dialects import InList, Values
from headwater.storage.kinds import ARTIFACT, CONTEXT, EXECUTION, NodeKind
from headwater.storage.nodes import batches, existing_ids, questions_of_existing
from headwater.storage.statements import Insert, Prepared
from headwater.storage.transactions import Question, Transaction
from headwater.storage.values import checked_text
from headwater.v1 import metadata_store_pb2 as pb

_event = schema.event_table
_path = schema.event_path_table
_parents = schema.parent_context_table

EventKey = tuple[int, int, int]
"""Artifact id, execution id, ``Event.Type`` number: what identifies an event."""

_EVENT_TYPES = frozenset(pb.Event.Type.values())


# Events

_INSERT_EVENT = Insert(_event, "id", "artifact_id", "execution_id", "type", "milliseconds_since_epoch")
_INSERT_STEP = Insert(_path, "event_id", "is_index_step", "step_index", "step_key")
_EVENTS_BETWEEN = Prepared(
    sa.select(_event.c.id, _event.c.artifact_id, _event.c.execution_id, _event.c.type).where(
        InList(_event.c.artifact_id, "artifacts"), InList(_event.c.execution_id, "executions")
    ),
    "artifacts",
    "executions",
)


def put_events(
    tx: Transaction, events: Sequence[pb.Event], *, written: Mapping[NodeKind, Collection[int]] | None = None
) -> None:
    """Store events with their paths; those without a time get that of the transaction.

    ``written`` are nodes that this transaction has put, which need not be looked up.

    Raises:
        InvalidRequest: an id or the type is missing, or a node is not stored.
        AlreadyExists: the two nodes have an event of this type.
    """
    if not events:
        return
    artifacts = set(written[ARTIFACT]) if written else set()
    executions = set(written[EXECUTION]) if written else set()
    other_artifacts = {event.artifact_id for event in events} - artifacts
    other_executions = {event.execution_id for event in events} - executions
    announce_events(tx, len(events), artifact_ids=other_artifacts, execution_ids=other_executions)
    artifacts |= existing_ids(tx, ARTIFACT, other_artifacts)
    executions |= existing_ids(tx, EXECUTION, other_executions)
    rows: list[tuple[int, ...]] = []
    steps: list[tuple[Any, ...]] = []
    try:
        for event_id, event in zip(tx.new_ids(_event, len(events)), events, strict=True):
            _check_event(event, artifacts, executions)
            time_ms = (
                event.milliseconds_since_epoch if event.HasField("milliseconds_since_epoch") else tx.now_ms
            )
            rows.append((event_id, event.artifact_id, event.execution_id, event.type, time_ms))
            steps += _step_rows(event_id, event.path)
    except HeadwaterError:
        _refuse_repeated(tx, rows)
        raise
    if not tx.insert_new(_INSERT_EVENT, rows):
        _refuse_repeated(tx, rows)
    tx.insert(_INSERT_STEP, steps)


def announce_events(
    tx: Transaction, count: int, *, artifact_ids: Iterable[int], execution_ids: Iterable[int]
) -> None:
    """Say that events will be put, with these nodes, so that what this has to know is asked together."""
    if tx.is_careful:
        return
    tx.reserve_ids({_event: count})
    tx.ask_ahead(questions_of_existing(ARTIFACT, artifact_ids))
    tx.ask_ahead(questions_of_existing(EXECUTION, execution_ids))


def _check_event(event: pb.Event, artifacts: set[int], executions: set[int]) -> None:
    if not event.HasField("artifact_id") or not event.HasField("execution_id"):
        raise InvalidRequest("an event needs an artifact_id and an execution_id")
    if not event.HasField("type") or event.type == pb.Event.UNKNOWN:
        raise InvalidRequest(
            f"the event of artifact {event.artifact_id} and execution {event.execution_id} needs a type, "
            "for example INPUT or OUTPUT"
        )
    if event.artifact_id not in artifacts:
        raise InvalidRequest(f"there is no artifact with id {event.artifact_id}; put it before its events")
    if event.execution_id not in executions:
        raise InvalidRequest(f"there is no execution with id {event.execution_id}; put it before its events")


def _step_rows(event_id: int, path: pb.Event.Path) -> Iterator[tuple[Any, ...]]:
    for step in path.steps:
        if step.HasField("index"):
            yield event_id, True, step.index, None
        elif step.HasField("key"):
            yield event_id, False, None, checked_text(step.key, "a step of an event path")


def _refuse_repeated(tx: Transaction, rows: Sequence[tuple[int, ...]]) -> None:
    """Raise AlreadyExists for the first new event that was stored before, or came earlier in ``rows``."""
    artifacts = Values(sorted({row[1] for row in rows}))
    executions = Values(sorted({row[2] for row in rows}))
    new_ids = {row[0] for row in rows}
    seen: set[EventKey] = {
        (artifact_id, execution_id, type_)
        for event_id, artifact_id, execution_id, type_ in tx.rows(_EVENTS_BETWEEN, artifacts, executions)
        if event_id not in new_ids
    }
    given: set[EventKey] = set()
    for _, artifact_id, execution_id, type_, _ in rows:
        if (artifact_id, execution_id, type_) in given:
            raise AlreadyExists(
                f"two events of this request are of type {pb.Event.Type.Name(type_)} and have the same "
                "artifact and execution"
            )
        given.add((artifact_id, execution_id, type_))
        if (artifact_id, execution_id, type_) in seen:
            raise AlreadyExists(
                f"artifact {artifact_id} and execution {execution_id} have an event of type "
                f"{pb.Event.Type.Name(type_)} already"
            )


@cache
def _events_of(column: str) -> Prepared:
    return Prepared(sa.select(*_event.c).where(InList(_event.c[column], "ids")).order_by(_event.c.id), "ids")


_STEPS = Prepared(
    sa.select(_path.c.event_id, _path.c.is_index_step, _path.c.step_index, _path.c.step_key).where(
        InList(_path.c.event_id, "ids")
    ),
    "ids",
)


def events_of(tx: Transaction, kind: NodeKind, ids: Iterable[int]) -> list[pb.Event]:
    """Events of these artifacts or executions, with their paths, by ascending event id."""
    rows: list[Any] = []
    for batch in batches(sorted(set(ids))):
        rows += tx.rows(_events_of(f"{kind.name}_id"), Values(batch))
    rows.sort()
    return event_messages(tx, rows)


def event_messages(tx: Transaction, rows: Sequence[Any]) -> list[pb.Event]:
    """Messages for rows of the event table, in their order."""
    events = {}
    for event_id, artifact_id, execution_id, type_, time_ms in rows:
        event = events[event_id] = pb.Event(
            artifact_id=artifact_id, execution_id=execution_id, milliseconds_since_epoch=time_ms
        )
        if type_ in _EVENT_TYPES:
            event.type = type_
    for steps in tx.rows_of_each(questions_of_steps(rows)):
        # The order of steps is that of insertion; an index lookup gives rows in that order.
        for event_id, is_index, index, key in steps:
            step = events[event_id].path.steps.add()
            if is_index:
                step.index = index
            else:
                step.key = key
    return list(events.values())


def questions_of_steps(rows: Iterable[Any]) -> list[Question]:
    """What ``event_messages`` asks, for ``ask_ahead``."""
    return [(_STEPS, Values(batch)) for batch in batches([row[0] for row in rows])]


# Links to contexts


@cache
def _insert_link(kind: NodeKind) -> Insert:
    assert kind.links is not None and kind.link_column is not None
    return Insert(kind.links, "context_id", kind.link_column)


def put_links(tx: Transaction, kind: NodeKind, links: Sequence[tuple[int, int]]) -> None:
    """Link contexts and nodes, given as (context id, node id). Links that are there are accepted.

    Raises:
        InvalidRequest: the context or the node is not stored.
    """
    context_ids, node_ids = {context_id for context_id, _ in links}, {node_id for _, node_id in links}
    tx.ask_ahead([*questions_of_existing(CONTEXT, context_ids), *questions_of_existing(kind, node_ids)])
    contexts, nodes = existing_ids(tx, CONTEXT, context_ids), existing_ids(tx, kind, node_ids)
    for context_id, node_id in links:
        if context_id not in contexts:
            raise InvalidRequest(f"there is no context with id {context_id}; put it before linking to it")
        if node_id not in nodes:
            raise InvalidRequest(f"there is no {kind.name} with id {node_id}; put it before linking it")
    put_checked_links(tx, kind, links)


def put_checked_links(tx: Transaction, kind: NodeKind, links: Iterable[tuple[int, int]]) -> None:
    """Link contexts and nodes that are known to be stored."""
    tx.insert_missing(_insert_link(kind), list(dict.fromkeys(links)))


@cache
def _links_of(kind: NodeKind) -> Prepared:
    assert kind.links is not None and kind.link_column is not None
    context, node = kind.links.c.context_id, kind.links.c[kind.link_column]
    return Prepared(sa.select(node, context).where(InList(node, "ids")).order_by(node, context), "ids")


def links_of(tx: Transaction, kind: NodeKind, ids: Sequence[int]) -> list[tuple[int, int]]:
    """(node id, context id) of the links of these nodes, ascending."""
    found: list[tuple[int, int]] = []
    for rows in tx.rows_of_each(questions_of_links(kind, ids)):
        found += rows
    return found


def questions_of_links(kind: NodeKind, ids: Iterable[int]) -> list[Question]:
    """What ``links_of`` asks, for ``ask_ahead``."""
    return [(_links_of(kind), Values(batch)) for batch in batches(sorted(set(ids)))]


# Parents of contexts

_INSERT_PARENT = Insert(_parents, "context_id", "parent_context_id")
_PARENTS = Prepared(
    sa.select(_parents.c.context_id, _parents.c.parent_context_id)
    .where(InList(_parents.c.context_id, "ids"))
    .order_by(_parents.c.context_id, _parents.c.parent_context_id),
    "ids",
)
_CHILDREN = Prepared(
    sa.select(_parents.c.parent_context_id, _parents.c.context_id)
    .where(InList(_parents.c.parent_context_id, "ids"))
    .order_by(_parents.c.parent_context_id, _parents.c.context_id),
    "ids",
)


def put_parents(tx: Transaction, links: Sequence[pb.ParentContext]) -> None:
    """Make contexts children of others.

    Raises:
        InvalidRequest: an id is missing or not stored, or the link would close a cycle.
        AlreadyExists: the link is stored, or repeated in ``links``.
    """
    if not links:
        return
    # Two that each close half of a cycle must see each other.
    tx.lock_store()
    ids = {context_id for link in links for context_id in (link.child_id, link.parent_id)}
    stored = existing_ids(tx, CONTEXT, ids)
    parents = _ancestry(tx, ids)
    new: list[tuple[int, int]] = []
    for link in links:
        if not link.HasField("child_id") or not link.HasField("parent_id"):
            raise InvalidRequest("a parent context needs a child_id and a parent_id")
        for context_id in (link.child_id, link.parent_id):
            if context_id not in stored:
                raise InvalidRequest(f"there is no context with id {context_id}; put it before linking to it")
        if _is_ancestor(parents, link.child_id, of=link.parent_id):
            raise InvalidRequest(
                f"context {link.parent_id} cannot be a parent of context {link.child_id}: "
                "it is that context, or descends from it"
            )
        if link.parent_id in parents[link.child_id]:
            raise AlreadyExists(f"context {link.parent_id} is a parent of context {link.child_id} already")
        parents[link.child_id].add(link.parent_id)
        new.append((link.child_id, link.parent_id))
    tx.insert(_INSERT_PARENT, new)


def _ancestry(tx: Transaction, ids: Iterable[int]) -> dict[int, set[int]]:
    """The parents of ``ids`` and of all their ancestors."""
    found: dict[int, set[int]] = defaultdict(set)
    level = sorted(set(ids))
    seen = set(level)
    while level:
        above = set()
        for child, parent in tx.rows(_PARENTS, Values(level)):
            found[child].add(parent)
            above.add(parent)
        level = sorted(above - seen)
        seen |= above
    return found


def _is_ancestor(parents: dict[int, set[int]], candidate: int, *, of: int) -> bool:
    """Whether ``candidate`` is ``of`` or one of its ancestors."""
    pending, seen = [of], {of}
    while pending:
        context_id = pending.pop()
        if context_id == candidate:
            return True
        above = parents[context_id] - seen
        seen |= above
        pending += above
    return False


def parents_of(tx: Transaction, ids: Iterable[int]) -> dict[int, list[int]]:
    """Parent ids by context id; contexts without parents are absent."""
    return _grouped(tx, _PARENTS, ids)


def children_of(tx: Transaction, ids: Iterable[int]) -> dict[int, list[int]]:
    """Child ids by context id; contexts without children are absent."""
    return _grouped(tx, _CHILDREN, ids)


def _grouped(tx: Transaction, statement: Prepared, ids: Iterable[int]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    for batch in batches(sorted(set(ids))):
        for key, value in tx.rows(statement, Values(batch)):
            found[key].append(value)
    return dict(found)
