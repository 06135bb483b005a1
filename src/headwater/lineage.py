"""Walking events: what a node was made from, and what was made from it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from typing import Any

import sqlalchemy as sa

from headwater.storage import schema
from headwater.storage.dialects import InList, Values
from headwater.storage.kinds import ARTIFACT, EXECUTION, NodeKind
from headwater.storage.listing import Filter, matching
from headwater.storage.nodes import batches
from headwater.storage.statements import Prepared
from headwater.storage.transactions import Transaction
from headwater.v1 import metadata_store_pb2 as pb

MOST_HOPS = 100

_INPUTS = (pb.Event.INPUT, pb.Event.DECLARED_INPUT, pb.Event.INTERNAL_INPUT)
_OUTPUTS = (pb.Event.OUTPUT, pb.Event.DECLARED_OUTPUT, pb.Event.INTERNAL_OUTPUT, pb.Event.PENDING_OUTPUT)


class Direction(Enum):
    """Which way events are followed."""

    UPSTREAM = "upstream"
    """Towards the sources: from an artifact to what made it, from an execution to what it used."""
    DOWNSTREAM = "downstream"
    """Towards the results."""
    BOTH = "both"


@dataclass(frozen=True)
class Ending:
    """Nodes that a walk does not go beyond."""

    where: Filter | None
    """``None``: every node."""
    is_included: bool
    """Whether the node where the walk ends, and the events that lead to it, belong to the answer."""


@dataclass
class Walk:
    """What one walk has met: node ids by kind, and rows of the event table by event id."""

    nodes: dict[NodeKind, set[int]] = field(default_factory=lambda: {ARTIFACT: set(), EXECUTION: set()})
    events: dict[int, Any] = field(default_factory=dict)


def walk(
    tx: Transaction,
    kind: NodeKind,
    start: Sequence[int],
    direction: Direction,
    *,
    max_hops: int = MOST_HOPS,
    endings: Mapping[NodeKind, Ending] | None = None,
) -> Walk:
    """Collect what lies within ``max_hops`` of the nodes ``start``, all of one ``kind``.

    A hop crosses one event: the execution that made an artifact is one hop up, its inputs are two.
    ``max_hops=0`` gives ``start`` alone. Nodes at the last hop belong to the answer; their events to each
    other do not, unless followed from elsewhere. Costs at most one statement a hop (two with endings), and
    one for many hops where the graph is narrow.

    Source: ``LineageSubgraphQueryOptions`` in proto/headwater/v1/metadata_store.proto.
    """
    found = Walk()
    left_out: dict[NodeKind, set[int]] = {ARTIFACT: set(), EXECUTION: set()}
    endings = endings or {}
    found.nodes[kind] |= set(start)
    ended = _ended(tx, kind, start, endings)
    if ended and not endings[kind].is_included:
        found.nodes[kind] -= ended
        left_out[kind] |= ended
    frontier = sorted(set(start) - ended)
    events = _Events(tx, direction, ends=bool(endings))
    for hop in range(max_hops):
        if not frontier:
            break
        other = EXECUTION if kind is ARTIFACT else ARTIFACT
        rows = events.around(kind, frontier, hops_left=max_hops - hop)
        other_index = 1 if other is ARTIFACT else 2
        met = {row[other_index] for row in rows} - found.nodes[other] - left_out[other]
        ended = _ended(tx, other, sorted(met), endings)
        if ended and not endings[other].is_included:
            left_out[other] |= ended
        found.nodes[other] |= met - left_out[other]
        for row in rows:
            if row[other_index] not in left_out[other]:
                found.events[row[0]] = row
        frontier = sorted(met - ended)
        kind = other
    return found


def _ended(
    tx: Transaction, kind: NodeKind, ids: Sequence[int], endings: Mapping[NodeKind, Ending]
) -> set[int]:
    ending = endings.get(kind)
    if ending is None or not ids:
        return set()
    return set(ids) if ending.where is None else matching(tx, kind, ids, ending.where)


# Few enough nodes to look ahead from, and how far it is worth it.
_NARROW = 8
_FEWEST_HOPS_AHEAD = 4
_MOST_ARTIFACTS_AHEAD = 200
_MOST_EVENTS_AHEAD = 2_000
# Where the whole of a look ahead is made before its first row: how far the first one goes, and any.
_FIRST_HOPS_AHEAD = 4
_MOST_HOPS_AHEAD = 8


class _Events:
    """The events to follow from one level to the next.

    A walk asks level by level, and a statement a level is what a long, narrow graph costs. So from a narrow
    level the events of the next few hundred nodes are read ahead with one statement. What was read
    ahead in vain costs little, and what was not is read when its level comes.

    A database that is not lazy about it looks ahead only where the walk itself will read all that, a few
    hops and then more, until it meets a wide level.
    """

    def __init__(self, tx: Transaction, direction: Direction, *, ends: bool) -> None:
        self._tx = tx
        self._direction = direction
        self._is_lazy = tx.dialect.recursion_is_lazy
        self._hops_ahead = MOST_HOPS if self._is_lazy else 0 if ends else _FIRST_HOPS_AHEAD
        self._ahead: dict[tuple[NodeKind, int], list[Any]] = {}

    def around(self, kind: NodeKind, ids: Sequence[int], *, hops_left: int) -> list[Any]:
        """Rows of the event table that lead on from the nodes ``ids``."""
        unknown = [node_id for node_id in ids if (kind, node_id) not in self._ahead]
        hops = min(hops_left, self._hops_ahead) if kind is ARTIFACT else 0
        if unknown and len(ids) <= _NARROW and hops >= _FEWEST_HOPS_AHEAD:
            self._look_ahead(unknown, hops)
            unknown = [node_id for node_id in unknown if (kind, node_id) not in self._ahead]
        rows = [row for node_id in ids for row in self._ahead.get((kind, node_id), ())]
        for batch in batches(unknown):
            rows += self._tx.rows(_events_of(kind, self._direction), Values(batch))
        return rows

    def _look_ahead(self, artifact_ids: Sequence[int], hops: int) -> None:
        """Read the events of artifacts within ``hops`` and of their executions, unless they are many."""
        rows = self._tx.rows(
            _events_ahead(self._direction),
            Values(artifact_ids),
            # The events of an artifact lead on to what is two hops from it.
            (hops - 1) // 2,
            _MOST_ARTIFACTS_AHEAD,
            _MOST_EVENTS_AHEAD + 1,
        )
        is_too_much = len(rows) > _MOST_EVENTS_AHEAD
        if not self._is_lazy:
            self._hops_ahead = 0 if is_too_much else min(2 * self._hops_ahead, _MOST_HOPS_AHEAD)
        if is_too_much:
            return
        read: dict[tuple[NodeKind, int], list[Any]] = {
            (ARTIFACT, row[1]): [] for row in rows if row[0] == REACHED
        }
        for what, *event in rows:
            if what == REACHED:
                continue
            if what == OF_ARTIFACT:
                read[ARTIFACT, event[1]].append(event)
                read.setdefault((EXECUTION, event[2]), [])
            else:
                read.setdefault((EXECUTION, event[2]), []).append(event)
        self._ahead |= read


@cache
def _events_of(kind: NodeKind, direction: Direction) -> Prepared:
    event = schema.event_table
    select = sa.select(*event.c).where(InList(event.c[f"{kind.name}_id"], "ids"))
    return Prepared(select.where(_is_followed(event, kind, direction)), "ids")


def _is_followed(event: sa.FromClause, kind: NodeKind, direction: Direction) -> sa.ColumnElement[bool]:
    """Whether a walk in this direction follows the event from its node of ``kind``."""
    if direction is Direction.BOTH:
        return sa.true()
    is_towards_inputs = (kind is EXECUTION) is (direction is Direction.UPSTREAM)
    followed = _INPUTS if is_towards_inputs else _OUTPUTS
    return event.c.type.in_([sa.literal_column(str(int(type_))) for type_ in followed])


# What a row of ``events_ahead`` is.
REACHED, OF_ARTIFACT, OF_EXECUTION = 0, 1, 2


@cache
def _events_ahead(direction: Direction) -> Prepared:
    select = events_ahead(lambda event, kind: _is_followed(event, kind, direction))
    return Prepared(select, "ids", "depth", "artifacts", "events")


def events_ahead(
    follows: Callable[[sa.FromClause, NodeKind], sa.ColumnElement[bool]],
) -> sa.CompoundSelect[Any]:
    """The artifacts ``ids``, those two hops on and so on, and the events of these and of what is between.

    ``follows`` is whether an event is followed from its node of a kind. Nearest first, to a ``depth`` and so
    many ``artifacts`` and ``events``: a recursive statement that is read row by row stops where its reader
    does. A row is ``REACHED`` and an artifact id, or ``OF_ARTIFACT`` or ``OF_EXECUTION`` and an event.
    """
    artifact = schema.artifact_table
    first, second, event, again, beyond = (
        schema.event_table.alias(name) for name in ("first", "second", "event_1", "event_2", "event_3")
    )
    near = (
        sa.select(artifact.c.id, sa.literal_column("0").label("depth"))
        .where(InList(artifact.c.id, "ids"))
        .cte("near", recursive=True)
    )
    near = near.union(
        sa.select(second.c.artifact_id, near.c.depth + sa.literal_column("1"))
        .select_from(near)
        .join(first, sa.and_(first.c.artifact_id == near.c.id, follows(first, ARTIFACT)))
        .join(second, sa.and_(second.c.execution_id == first.c.execution_id, follows(second, EXECUTION)))
        .where(near.c.depth < sa.bindparam("depth", type_=sa.BigInteger()))
    )
    nearest = sa.select(near.c.id).limit(sa.bindparam("artifacts", type_=sa.BigInteger())).subquery("nearest")
    reached = sa.select(nearest.c.id).distinct().cte("reached")
    ids = sa.select(reached.c.id)
    executions = sa.select(again.c.execution_id).where(again.c.artifact_id.in_(ids), follows(again, ARTIFACT))
    nothing: Sequence[sa.ColumnElement[Any]] = [sa.literal_column("0") for _ in event.c][1:]
    select = sa.union_all(
        sa.select(sa.literal_column(str(REACHED)), reached.c.id, *nothing),
        sa.select(sa.literal_column(str(OF_ARTIFACT)), *event.c).where(
            event.c.artifact_id.in_(ids), follows(event, ARTIFACT)
        ),
        sa.select(sa.literal_column(str(OF_EXECUTION)), *beyond.c).where(
            beyond.c.execution_id.in_(executions), follows(beyond, EXECUTION)
        ),
    )
    return select.limit(sa.bindparam("events", type_=sa.BigInteger()))
