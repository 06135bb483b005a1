"""Walking events: what a node was made from, and what was made from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from typing import Any

import sqlalchemy as sa

from headwater.storage import schema
from headwater.storage.dialects import InList
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
    other do not, unless followed from elsewhere. Costs one statement a hop (two with endings).

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
    for _ in range(max_hops):
        if not frontier:
            break
        other = EXECUTION if kind is ARTIFACT else ARTIFACT
        rows = _events_from(tx, kind, direction, frontier)
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


@cache
def _events_statement(kind: NodeKind, direction: Direction) -> Prepared:
    event = schema.event_table
    select = sa.select(*event.c).where(InList(event.c[f"{kind.name}_id"], "ids"))
    if direction is not Direction.BOTH:
        is_towards_inputs = (kind is EXECUTION) is (direction is Direction.UPSTREAM)
        followed = _INPUTS if is_towards_inputs else _OUTPUTS
        select = select.where(event.c.type.in_([sa.literal_column(str(int(type_))) for type_ in followed]))
    return Prepared(select, "ids")


def _events_from(tx: Transaction, kind: NodeKind, direction: Direction, ids: Sequence[int]) -> list[Any]:
    rows: list[Any] = []
    for batch in batches(ids):
        rows += tx.rows(_events_statement(kind, direction), tx.list(batch))
    return rows
