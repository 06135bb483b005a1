"""What was made from some nodes: how many, of which types, in which states, for which contexts.

The walk is level by level and remembers a bit a node. Databases count, a statement for every 2,000 nodes
met; so neither memory nor what is sent grows with what there is to count.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

import sqlalchemy as sa

from headwater.graph import events
from headwater.graph.events import INPUTS, Bounds, Reader, column_of, is_there, leading_on, other
from headwater.graph.idsets import IdCounts, IdSet
from headwater.graph.walk import Start
from headwater.lineage import Direction
from headwater.storage import schema
from headwater.storage.dialects import InList, Values
from headwater.storage.kinds import ARTIFACT, EXECUTION, NodeKind
from headwater.storage.model import STEP_TYPE
from headwater.storage.nodes import BATCH
from headwater.storage.statements import Prepared
from headwater.storage.transactions import Question, Transaction

MOST_CONTEXTS = 100
MOST_LATEST = 100

_KINDS = (ARTIFACT, EXECUTION)


@dataclass(frozen=True)
class Group:
    """Nodes that are counted together."""

    type_id: int
    state: int | None
    step: str


@dataclass
class Impact:
    """What was made from some nodes; they themselves are not counted."""

    groups: dict[NodeKind, Counter[Group]] = field(
        default_factory=lambda: {kind: Counter() for kind in _KINDS}
    )
    contexts: IdCounts = field(default_factory=IdCounts)
    """By id of a context, how many of the nodes belong to it."""
    unused: list[int] = field(default_factory=list)
    """The newest artifacts that no execution has used, newest first."""
    nodes_left: int = 0
    """Nodes that were met and not followed."""

    @property
    def largest_contexts(self) -> list[tuple[int, int]]:
        """(id, count), largest first, then by id."""
        return heapq.nsmallest(MOST_CONTEXTS, self.contexts, key=lambda pair: (-pair[1], pair[0]))


def find_impact(
    tx: Transaction, start: Start, bounds: Bounds, *, max_hops: int | None, max_nodes: int
) -> Impact:
    """Count what lies downstream of ``start``, at most ``max_nodes`` of it."""
    impact = Impact()
    left = max_nodes
    for kind, ids in _met(tx, start, bounds, max_hops):
        if left < len(ids):
            impact.nodes_left += len(ids) - left
            ids = ids[:left]  # noqa: PLW2901  # the rest is not counted
        left -= len(ids)
        if ids:
            tx.check_caller()
            _count(tx, kind, ids, bounds, impact)
        if impact.nodes_left:
            break
    return impact


def _met(
    tx: Transaction, start: Start, bounds: Bounds, max_hops: int | None
) -> Iterator[tuple[NodeKind, Sequence[int]]]:
    """The nodes downstream, each once, level by level, some at a time."""
    reader = Reader(tx)
    given = {ARTIFACT: IdSet(start.artifact_ids), EXECUTION: IdSet(start.execution_ids)}
    for kind in _KINDS:
        for rows in _members(tx, kind, start.context_ids):
            given[kind].update(rows)
    level = {kind: IdSet(given[kind]) for kind in _KINDS}
    hops = 0
    while any(map(len, level.values())) and (max_hops is None or hops < max_hops):
        hops += 1
        beyond = {kind: IdSet() for kind in _KINDS}
        for kind in _KINDS:
            there = other(kind)
            at, types = column_of(there), leading_on(kind, Direction.DOWNSTREAM)
            for batch in _some(level[kind]):
                for rows in events.all_of(reader, kind, batch, types, bounds):
                    for row in rows:
                        if given[there].add(row[at]):
                            beyond[there].add(row[at])
        for kind in _KINDS:
            for batch in _some(beyond[kind]):
                yield kind, batch
        level = beyond


def _members(tx: Transaction, kind: NodeKind, context_ids: Sequence[int]) -> Iterator[Iterable[int]]:
    """The nodes of contexts, some at a time."""
    assert kind.links is not None and kind.link_column is not None
    for context_id in context_ids:
        after = 0
        while True:
            rows = tx.rows(_members_of(kind), context_id, after, events.MOST_ROWS)
            yield [row[0] for row in rows]
            if len(rows) < events.MOST_ROWS:
                break
            after = rows[-1][0]


@cache
def _members_of(kind: NodeKind) -> Prepared:
    assert kind.links is not None and kind.link_column is not None
    node = kind.links.c[kind.link_column]
    context = kind.links.c.context_id == sa.bindparam("context", type_=sa.BigInteger())
    behind = node > sa.bindparam("after", type_=sa.BigInteger())
    most = sa.bindparam("most", type_=sa.BigInteger())
    return Prepared(
        sa.select(node).where(context, behind).order_by(node).limit(most), "context", "after", "most"
    )


def _some(ids: Iterable[int]) -> Iterator[list[int]]:
    batch: list[int] = []
    for node_id in ids:
        batch.append(node_id)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


# Counting


def _count(tx: Transaction, kind: NodeKind, ids: Sequence[int], bounds: Bounds, impact: Impact) -> None:
    """Add nodes, at most 2,000, to what was counted."""
    questions: list[Question] = [(_groups(kind), Values(ids)), (_contexts(kind), Values(ids))]
    if kind is ARTIFACT:
        questions.append((_unused(), Values(ids), *bounds.values, MOST_LATEST))
    groups, contexts, *unused = tx.rows_of_each(questions)
    for type_id, state, step, count in groups:
        impact.groups[kind][Group(type_id, state, step or "")] += count
    for context_id, count in contexts:
        impact.contexts.add(context_id, count)
    for rows in unused:
        newest = heapq.nlargest(MOST_LATEST, [*impact.unused, *(row[0] for row in rows)])
        impact.unused = newest


@cache
def _groups(kind: NodeKind) -> Prepared:
    node = kind.table
    state = node.c[kind.own_columns[-1]]
    if kind is ARTIFACT:
        step: sa.ColumnElement[str] = sa.literal_column("NULL", sa.Text())
        columns = [node.c.type_id, state]
        select = sa.select(*columns, step, sa.func.count()).where(InList(node.c.id, "ids"))
        return Prepared(select.group_by(*columns), "ids")
    type_, row = schema.type_table, kind.properties
    columns = [node.c.type_id, state, row.c.string_value]
    named = sa.and_(
        row.c.node_id == node.c.id,
        row.c.name == sa.literal_column("'step'"),
        row.c.is_custom_property == sa.false(),
        type_.c.name == sa.literal_column(f"'{STEP_TYPE.name}'"),
    )
    joined = node.outerjoin(type_, type_.c.id == node.c.type_id).outerjoin(row, named)
    select = sa.select(*columns, sa.func.count()).select_from(joined).where(InList(node.c.id, "ids"))
    return Prepared(select.group_by(*columns), "ids")


@cache
def _contexts(kind: NodeKind) -> Prepared:
    assert kind.links is not None and kind.link_column is not None
    context, node = kind.links.c.context_id, kind.links.c[kind.link_column]
    return Prepared(sa.select(context, sa.func.count()).where(InList(node, "ids")).group_by(context), "ids")


@cache
def _unused() -> Prepared:
    artifact, event = schema.artifact_table, schema.event_table
    uses = sa.select(event.c.id).where(event.c.artifact_id == artifact.c.id, is_there(event, INPUTS))
    select = (
        sa.select(artifact.c.id)
        .where(InList(artifact.c.id, "ids"), ~uses.correlate(artifact).exists())
        .order_by(artifact.c.id.desc())
        .limit(sa.bindparam("most", type_=sa.BigInteger()))
    )
    return Prepared(select, "ids", "bound", "as_of", "most")
