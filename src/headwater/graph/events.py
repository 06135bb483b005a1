"""Reading the events of nodes, never more at a time than is asked for.

A node may have millions of events, and a graph many such nodes. So every statement here has a limit, and
what is beyond it is read by going on behind what was read.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa

from headwater.graph import hits
from headwater.lineage import OF_ARTIFACT, OF_EXECUTION, REACHED, Direction, events_ahead
from headwater.storage import schema
from headwater.storage.dialects import Dialect, InList, Values
from headwater.storage.kinds import ARTIFACT, EXECUTION, NodeKind
from headwater.storage.nodes import batches
from headwater.storage.statements import Prepared
from headwater.storage.transactions import Question, Transaction
from headwater.v1 import metadata_store_pb2 as pb

Row = Any
"""A row of the event table: id, artifact id, execution id, type, time."""
ARTIFACT_AT, EXECUTION_AT = 1, 2

INPUTS = (int(pb.Event.INPUT), int(pb.Event.DECLARED_INPUT), int(pb.Event.INTERNAL_INPUT))
OUTPUTS = (
    int(pb.Event.OUTPUT),
    int(pb.Event.DECLARED_OUTPUT),
    int(pb.Event.INTERNAL_OUTPUT),
    int(pb.Event.PENDING_OUTPUT),
)
Types = tuple[int, ...]
"""Event types. None at all: whatever it is."""
ANY: Types = ()

MOST_ROWS = 10_000
"""How many events are read with one statement."""

_FOR_EVER = 2**62
_event = schema.event_table


def other(kind: NodeKind) -> NodeKind:
    """The kind at the other end of events."""
    return EXECUTION if kind is ARTIFACT else ARTIFACT


def column_of(kind: NodeKind) -> int:
    """Where a row has the node of ``kind``."""
    return ARTIFACT_AT if kind is ARTIFACT else EXECUTION_AT


def leading_on(kind: NodeKind, direction: Direction) -> Types:
    """The types of the events that are followed from nodes of ``kind``."""
    if direction is Direction.BOTH:
        return ANY
    return INPUTS if (kind is EXECUTION) is (direction is Direction.UPSTREAM) else OUTPUTS


@dataclass(frozen=True)
class Bounds:
    """Which events and links there are, to one question from its beginning to its end."""

    event_id: int
    attribution_id: int
    association_id: int
    as_of_ms: int | None = None
    """Later events are not there; ``None``: all are."""
    kept_hits: hits.Kept | None = None
    """Hits but for these are left out (``headwater.graph.hits``); ``None``: all are there."""

    @property
    def leaves_out_hits(self) -> bool:
        return self.kept_hits is not None

    @property
    def values(self) -> tuple[Any, ...]:
        """For the parameters ``names_of_bounds``."""
        values = self.event_id, _FOR_EVER if self.as_of_ms is None else self.as_of_ms
        if self.kept_hits is None:
            return values
        return *values, *self.kept_hits.values(self.association_id)


def names_of_bounds(leaves_out_hits: bool) -> tuple[str, ...]:
    """The parameters of ``is_there``."""
    return "bound", "as_of", *(hits.NAMES if leaves_out_hits else ())


@cache
def _largest_id(table: sa.Table) -> Prepared:
    return Prepared(sa.select(sa.func.max(table.c.id)))


def questions_of_bounds() -> list[Question]:
    """What ``bounds_now`` asks, for ``ask_ahead``."""
    tables = (_event, schema.attribution_table, schema.association_table)
    return [(_largest_id(table),) for table in tables]


def bounds_now(tx: Transaction, as_of_ms: int | None = None) -> Bounds:
    """All that is stored at this moment, or, of the events, what had happened ``as_of_ms``."""
    event, attribution, association = (rows[0][0] or 0 for rows in tx.rows_of_each(questions_of_bounds()))
    return Bounds(event, attribution, association, as_of_ms)


def is_there(event: sa.FromClause, types: Types, leaves_out_hits: bool = False) -> sa.ColumnElement[bool]:
    """Whether an event is within the bounds, and one of ``types``. Parameters: ``names_of_bounds``."""
    conditions = [
        event.c.id <= sa.bindparam("bound", type_=sa.BigInteger()),
        # ML Metadata allows events without a time.
        sa.func.coalesce(event.c.milliseconds_since_epoch, sa.literal_column("0"))
        <= sa.bindparam("as_of", type_=sa.BigInteger()),
    ]
    if types:
        conditions.insert(0, event.c.type.in_([sa.literal_column(str(type_)) for type_ in types]))
    if leaves_out_hits:
        twin = _event.alias()
        conditions.append(sa.not_(hits.is_of_hit(event, twin, is_there(twin, ANY))))
    return sa.and_(*conditions)


def _most() -> sa.BindParameter[int]:
    return sa.bindparam("most", type_=sa.BigInteger())


@cache
def _of_many(kind: NodeKind, types: Types, leaves_out_hits: bool) -> Prepared:
    column = _event.c[f"{kind.name}_id"]
    there = is_there(_event, types, leaves_out_hits)
    select = sa.select(*_event.c).where(InList(column, "ids"), there).limit(_most())
    return Prepared(select, "ids", *names_of_bounds(leaves_out_hits), "most")


@cache
def _of_one(kind: NodeKind, types: Types, leaves_out_hits: bool) -> Prepared:
    """Those of an artifact behind an execution id, by it; those of an execution behind an event id, by it.

    That is how an index has them, so that the first ones are found whatever their number.
    """
    column = _event.c[f"{kind.name}_id"]
    position = _event.c.execution_id if kind is ARTIFACT else _event.c.id

    def build(dialect: Dialect) -> sa.Select[Any]:
        # PostgreSQL would rather read all events by their id than sort those of one execution.
        order = position if kind is ARTIFACT or not dialect.is_server else position + sa.literal_column("0")
        return (
            sa.select(*_event.c)
            .where(
                column == sa.bindparam("node", type_=sa.BigInteger()),
                position > sa.bindparam("after", type_=sa.BigInteger()),
                is_there(_event, types, leaves_out_hits),
            )
            .order_by(order)
            .limit(_most())
        )

    return Prepared(build, "node", "after", *names_of_bounds(leaves_out_hits), "most")


@cache
def _between(types: Types, leaves_out_hits: bool) -> Prepared:
    select = sa.select(*_event.c).where(
        InList(_event.c.artifact_id, "artifacts"),
        InList(_event.c.execution_id, "executions"),
        is_there(_event, types, leaves_out_hits),
    )
    return Prepared(select, "artifacts", "executions", *names_of_bounds(leaves_out_hits))


def question_of_one(
    kind: NodeKind, types: Types, bounds: Bounds, *, node_id: int, after: int, most: int
) -> Question:
    """The next ``most`` events of one node: of an artifact by execution id, of an execution by event id."""
    return _of_one(kind, types, bounds.leaves_out_hits), node_id, after, *bounds.values, most


def some_of(
    tx: Transaction, kind: NodeKind, ids: Sequence[int], types: Types, bounds: Bounds, *, most: int
) -> list[Row]:
    """Events of the nodes ``ids``, in no order and at most ``most``."""
    return tx.rows(_of_many(kind, types, bounds.leaves_out_hits), Values(ids), *bounds.values, most)


def few_of_each(
    tx: Transaction, kind: NodeKind, ids: Sequence[int], types: Types, bounds: Bounds, *, most: int
) -> dict[int, list[Row]]:
    """By node, in the order of ``ids``, its first events, at most ``most``."""
    questions = [question_of_one(kind, types, bounds, node_id=node_id, after=0, most=most) for node_id in ids]
    return dict(zip(ids, tx.rows_of_each(questions), strict=True))


def between(
    tx: Transaction, artifact_ids: Sequence[int], execution_ids: Sequence[int], types: Types, bounds: Bounds
) -> list[Row]:
    """The events that artifacts and executions have with each other, in no order."""
    if not artifact_ids or not execution_ids:
        return []
    statement = _between(types, bounds.leaves_out_hits)
    return tx.rows(statement, Values(artifact_ids), Values(execution_ids), *bounds.values)


class Reader:
    """The transaction of the moment, for what outlives one."""

    __slots__ = ("tx",)

    def __init__(self, tx: Transaction) -> None:
        self.tx = tx


def all_of(
    reader: Reader, kind: NodeKind, ids: Sequence[int], types: Types, bounds: Bounds
) -> Iterator[list[Row]]:
    """All events of the nodes ``ids``, each once, in no order, at most ``MOST_ROWS`` at a time."""
    pending = list(reversed([list(batch) for batch in batches(ids)]))
    while pending:
        some = pending.pop()
        reader.tx.check_caller()
        if len(some) == 1:
            yield from _all_of_one(reader, kind, some[0], types, bounds)
            continue
        rows = some_of(reader.tx, kind, some, types, bounds, most=MOST_ROWS + 1)
        if len(rows) <= MOST_ROWS:
            yield rows
        else:
            middle = len(some) // 2
            pending += [some[middle:], some[:middle]]


def _all_of_one(
    reader: Reader, kind: NodeKind, node_id: int, types: Types, bounds: Bounds
) -> Iterator[list[Row]]:
    at = EXECUTION_AT if kind is ARTIFACT else 0
    after = 0
    while True:
        reader.tx.check_caller()
        rows = reader.tx.rows(
            *question_of_one(kind, types, bounds, node_id=node_id, after=after, most=MOST_ROWS)
        )
        is_last = len(rows) < MOST_ROWS
        if not is_last:
            rows = without_last(rows, at)
        if rows:
            after = rows[-1][at]
            yield rows
        if is_last:
            return


def without_last(rows: Sequence[Row], at: int) -> list[Row]:
    """All but the rows with the last value of column ``at``, of which some may not have been read.

    Two nodes have a handful of events at most, since each is of another type.
    """
    end = len(rows)
    while end and rows[end - 1][at] == rows[-1][at]:
        end -= 1
    return list(rows[:end])


# Looking ahead

# Few enough nodes to look ahead from, and how far it is worth it.
_NARROW = 8
_NEAR = 2
_FEWEST_HOPS_AHEAD = 4
_MOST_ARTIFACTS_AHEAD = 200
_MOST_EVENTS_AHEAD = 2_000
# Where the whole of a look ahead is made before its first row: how far the first one goes, and any.
_FIRST_HOPS_AHEAD = 4
_MOST_HOPS_AHEAD = 8
_ANY_HOPS = 100


class Ahead:
    """Events around narrow places, read with one statement for many hops.

    A walk goes level by level, and a statement a level is what a long, narrow graph costs. Executions use a
    few artifacts, so upstream it is safe to look ahead. What uses an artifact may be millions, so downstream
    it is done only where a statement a level is dear, and a recursive one ends in the middle of a level.
    """

    def __init__(self, direction: Direction, bounds: Bounds, dialect: Dialect, *, ends: bool) -> None:
        self._direction = direction
        self._bounds = bounds
        self._is_lazy = dialect.recursion_is_lazy
        if direction is Direction.UPSTREAM:
            self._hops_ahead = _ANY_HOPS if self._is_lazy else 0 if ends else _FIRST_HOPS_AHEAD
        else:
            is_safe = direction is Direction.DOWNSTREAM and self._is_lazy and dialect.is_server
            self._hops_ahead = _ANY_HOPS if is_safe else 0
        self._known: Mapping[tuple[NodeKind, int], list[Row]] = {}

    def find(
        self, tx: Transaction, kind: NodeKind, ids: Sequence[int], *, hops: int, hops_left: int | None
    ) -> list[Row] | None:
        """The events that lead on from all of ``ids``, ``hops`` from the start; ``None``: read them."""
        if not self._hops_ahead or len(ids) > _MOST_ARTIFACTS_AHEAD:
            return None
        if hops < _NEAR and self._direction is Direction.DOWNSTREAM:
            return None  # Most such walks begin at a data set that is used everywhere.
        if kind is ARTIFACT and len(ids) <= _NARROW and any((kind, i) not in self._known for i in ids):
            most = self._hops_ahead if hops_left is None else min(hops_left, self._hops_ahead)
            if most >= _FEWEST_HOPS_AHEAD:
                self._look(tx, ids, most)
        rows: list[Row] = []
        for node_id in ids:
            known = self._known.get((kind, node_id))
            if known is None:
                return None
            rows += known
        return rows

    def _look(self, tx: Transaction, artifact_ids: Sequence[int], hops: int) -> None:
        rows = tx.rows(
            _events_ahead(self._direction, self._bounds.leaves_out_hits),
            Values(artifact_ids),
            *self._bounds.values,
            # The events of an artifact lead on to what is two hops from it.
            (hops - 1) // 2,
            _MOST_ARTIFACTS_AHEAD,
            _MOST_EVENTS_AHEAD + 1,
        )
        self._known = {}
        is_too_much = len(rows) > _MOST_EVENTS_AHEAD
        if is_too_much:
            # What is wide here is not often narrow further up.
            self._hops_ahead = 0
            return
        if not self._is_lazy:
            self._hops_ahead = min(2 * self._hops_ahead, _MOST_HOPS_AHEAD)
        known: dict[tuple[NodeKind, int], list[Row]] = {
            (ARTIFACT, row[1]): [] for row in rows if row[0] == REACHED
        }
        for what, *event in rows:
            if what == OF_ARTIFACT:
                known[ARTIFACT, event[1]].append(tuple(event))
                known.setdefault((EXECUTION, event[2]), [])
            elif what == OF_EXECUTION:
                known.setdefault((EXECUTION, event[2]), []).append(tuple(event))
        self._known = known


@cache
def _events_ahead(direction: Direction, leaves_out_hits: bool) -> Prepared:
    def follows(event: sa.FromClause, kind: NodeKind) -> sa.ColumnElement[bool]:
        return is_there(event, leading_on(kind, direction), leaves_out_hits=leaves_out_hits)

    names = names_of_bounds(leaves_out_hits)
    return Prepared(events_ahead(follows), "ids", *names, "depth", "artifacts", "events")
