"""Listing nodes: one page, in a fixed order, of all nodes or of those that match.

A page is a range of (order column, id), so nothing is repeated or skipped however many rows share a time.
Two plans answer it. If one of the conditions leaves few nodes, these are looked up first and the rest is
checked on them; otherwise the table is walked in the order of the page until the page is full. Which it is
is found by asking each condition for its first few nodes: the cost of a page does not grow with the store
in either case.

A file is asked one condition after the other, until one leaves few. A server is asked all at once, together
with what orders the nodes, since a round trip costs more than they do; if each leaves few, the page is what
their answers have in common.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import sqlalchemy as sa

from headwater.storage.dialects import Dialect, InList, Values
from headwater.storage.kinds import NodeKind
from headwater.storage.nodes import batches
from headwater.storage.statements import Prepared
from headwater.storage.transactions import Transaction

# A condition that leaves at most this many nodes is where a page starts from.
_FEW = 256
# A server is asked for this many rows of a condition that may name a node again and again.
_FEW_REPEATED = 1024
_STATEMENTS_KEPT = 1024
_NO_LIMIT = 2**62


class Neighbourhood(Protocol):
    """Conditions on what surrounds a node, asked from either end."""

    def exists(self) -> sa.ColumnElement[bool]:
        """Whether the node of the enclosing statement matches."""

    @property
    def repeats(self) -> bool:
        """Whether an id may come more than once among ``candidates``."""

    def candidates(self) -> sa.Select[Any]:
        """The ids of all nodes that match, and perhaps of some that are gone."""


class Filter(Protocol):
    """What ``headwater.filters.compile_filter`` makes of a filter text."""

    @property
    def shape(self) -> str:
        """Filters of one shape differ in ``values`` only."""

    @property
    def own(self) -> sa.ColumnElement[bool] | None:
        """Conditions on the node's own row."""

    @property
    def neighbourhoods(self) -> Sequence[Neighbourhood]:
        """Conditions on its neighbours; all must hold."""

    @property
    def values(self) -> Mapping[str, object]:
        """Values of the parameters, by name."""


@dataclass(frozen=True)
class Order:
    """The order of a listing. Ties are broken by id, in the same direction."""

    column: str = "id"
    ascending: bool = True


@dataclass(frozen=True)
class Position:
    """The last row of a page: the next one begins behind it."""

    value: int
    """Of the order column."""
    node_id: int


@dataclass(frozen=True)
class Scope:
    """What a listing is confined to: one type, one context, or neither."""

    type_id: int | None = None
    context_id: int | None = None


EVERYTHING = Scope()


def list_page(
    tx: Transaction,
    kind: NodeKind,
    *,
    limit: int,
    scope: Scope = EVERYTHING,
    order: Order = Order(),  # frozen
    after: Position | None = None,
    where: Filter | None = None,
) -> list[Position]:
    """The positions of the next ``limit`` nodes behind ``after``."""
    query = _Query(
        kind,
        order=order,
        by_type=scope.type_id is not None,
        by_context=scope.context_id is not None,
        continues=after is not None,
        shape=None if where is None else where.shape,
    )
    values: dict[str, Any] = dict(where.values) if where else {}
    values |= {"scope": scope.context_id if scope.type_id is None else scope.type_id}
    few: Collection[int] | None
    if tx.dialect.is_server:
        found = _few_of_each(tx, query, where, values)
        if found and None not in found:
            return _page_of([nodes for nodes in found if nodes is not None], order, after, limit)
        few = min((nodes for nodes in found if nodes is not None), key=len, default=None)
    else:
        few = _first_few(tx, query, where, values)
    if few is not None:
        values["few"] = Values(few)
    if after is not None:
        values |= {"after_value": after.value, "after_id": after.node_id}
    statement = _page_statement(query, few is not None, _Compiled(where))
    rows = tx.rows(statement, *(values.get(name) for name in _names(where)), limit)
    return [Position(value, node_id) for node_id, value in rows]


def all_ids(tx: Transaction, kind: NodeKind, scope: Scope = EVERYTHING) -> list[int]:
    """The ids of all nodes in ``scope``, ascending."""
    query = _Query(kind, Order(), scope.type_id is not None, scope.context_id is not None, False, None)
    value = scope.context_id if scope.type_id is None else scope.type_id
    return [row[0] for row in tx.rows(_scope_statement(query), value)]


def matching(tx: Transaction, kind: NodeKind, ids: Sequence[int], where: Filter) -> set[int]:
    """Those of ``ids`` that match."""
    query = _Query(kind, Order(), False, False, False, where.shape)
    statement = _page_statement(query, True, _Compiled(where))
    questions = []
    for batch in batches(ids):
        values = {**where.values, "few": Values(batch)}
        questions.append((statement, *(values.get(name) for name in _names(where)), _NO_LIMIT))
    return {row[0] for rows in tx.rows_of_each(questions) for row in rows}


# Candidates

_Source = str | int
"""A condition: ``scope``, ``own``, or the index of a neighbourhood."""


def _sources(query: "_Query", where: Filter | None) -> list[_Source]:
    """The conditions of a page, all of them, that may leave few nodes."""
    sources: list[_Source] = []
    if where is not None:
        sources += range(len(where.neighbourhoods))
        if where.own is not None:
            sources.append("own")
    if query.by_type or (query.by_context and (where is not None or query.order.column != "id")):
        sources.append("scope")
    return sources


def _first_few(
    tx: Transaction, query: "_Query", where: Filter | None, values: Mapping[str, Any]
) -> list[int] | None:
    """The nodes of the first condition that leaves few; ``None`` if each leaves many."""
    for source in _sources(query, where):
        statement = _candidates_statement(query, source, _Compiled(where))
        rows = tx.rows(statement, *(values.get(name) for name in _candidate_names(where)), _FEW + 1)
        if len(rows) <= _FEW:
            return [row[0] for row in rows]
    return None


def _few_of_each(
    tx: Transaction, query: "_Query", where: Filter | None, values: Mapping[str, Any]
) -> list[dict[int, int] | None]:
    """For each condition its nodes, with the values that order them, or ``None`` if it leaves many."""
    sources = _sources(query, where)
    most = [
        _FEW_REPEATED if where and isinstance(source, int) and where.neighbourhoods[source].repeats else _FEW
        for source in sources
    ]
    given = [values.get(name) for name in _candidate_names(where)]
    answers = tx.rows_of_each([
        (_candidates_statement(query, source, _Compiled(where)), *given, count + 1)
        for source, count in zip(sources, most, strict=True)
    ])  # fmt: skip
    return [
        None if len(rows) > count else {node_id: value for node_id, value in rows if node_id is not None}
        for rows, count in zip(answers, most, strict=True)
    ]


def _page_of(
    found: Sequence[Mapping[int, int]], order: Order, after: Position | None, limit: int
) -> list[Position]:
    """The page of the nodes that all of ``found`` have, where these are known to the last."""
    first, *others = found
    rows = [(value, node_id) for node_id, value in first.items() if all(node_id in other for other in others)]
    rows.sort(reverse=not order.ascending)
    if after is not None:
        last = (after.value, after.node_id)
        rows = [row for row in rows if (row > last if order.ascending else row < last)]
    return [Position(*row) for row in rows[:limit]]


# Statements


@dataclass(frozen=True)
class _Query:
    """All that decides the text of a page's statement, beside the filter itself."""

    kind: NodeKind
    order: Order
    by_type: bool
    by_context: bool
    continues: bool
    shape: str | None


class _Compiled:
    """A filter as an argument of a cached function: the shape, part of the query, stands for it."""

    def __init__(self, where: Filter | None) -> None:
        self.where = where

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Compiled)

    def __hash__(self) -> int:
        return 0


_OWN_NAMES = ("scope", "few", "after_value", "after_id")


def _names(where: Filter | None) -> tuple[str, ...]:
    return (*_OWN_NAMES, *sorted(where.values)) if where else _OWN_NAMES


def _candidate_names(where: Filter | None) -> tuple[str, ...]:
    return ("scope", *sorted(where.values)) if where else ("scope",)


@lru_cache(_STATEMENTS_KEPT)
def _candidates_statement(query: _Query, source: _Source, compiled: _Compiled) -> Prepared:
    def build(dialect: Dialect) -> sa.Select[Any]:
        select = _candidates(query, source, compiled.where, is_server=dialect.is_server)
        return select if dialect.is_server and isinstance(source, int) else select.limit(_most())

    return Prepared(build, *_candidate_names(compiled.where), "most")


def _candidates(query: _Query, source: _Source, where: Filter | None, *, is_server: bool) -> sa.Select[Any]:
    """Ids of nodes, and from servers what orders them too."""
    node = query.kind.table
    columns = (node.c.id, node.c[query.order.column]) if is_server else (node.c.id,)
    if source == "scope":
        return _in_scope(query, *columns)
    assert where is not None
    if source == "own":
        assert where.own is not None
        return sa.select(*columns).where(where.own)
    assert isinstance(source, int)
    candidates = where.neighbourhoods[source].candidates()
    if not is_server:
        return candidates.distinct()
    # Servers would find all that match before they drop repeated ones: so the limit comes first. The outer
    # join keeps nodes that are gone, or the limit would seem not to be reached.
    few = candidates.limit(_most()).subquery("candidate")
    return sa.select(*columns).select_from(few.outerjoin(node, node.c.id == next(iter(few.c))))


def _most() -> sa.BindParameter[int]:
    return sa.bindparam("most", type_=sa.BigInteger())


@lru_cache(_STATEMENTS_KEPT)
def _scope_statement(query: _Query) -> Prepared:
    return Prepared(_in_scope(query, query.kind.table.c.id).order_by(query.kind.table.c.id), "scope")


def _in_scope(query: _Query, *columns: sa.Column[Any]) -> sa.Select[Any]:
    node, scope = query.kind.table, sa.bindparam("scope", type_=sa.BigInteger())
    if query.by_context:
        links, link = _links(query.kind)
        joined = links.join(node, node.c.id == link)
        return sa.select(*columns).select_from(joined).where(links.c.context_id == scope)
    if query.by_type:
        return sa.select(*columns).where(node.c.type_id == scope)
    return sa.select(*columns)


def _links(kind: NodeKind) -> tuple[sa.Table, sa.ColumnElement[int]]:
    assert kind.links is not None and kind.link_column is not None
    return kind.links, kind.links.c[kind.link_column]


@lru_cache(_STATEMENTS_KEPT)
def _page_statement(query: _Query, from_few: bool, compiled: _Compiled) -> Prepared:
    where = compiled.where

    def build(dialect: Dialect) -> sa.Select[Any]:
        node = query.kind.table
        along_links = query.by_context and not from_few and query.order.column == "id"
        if along_links:
            links, position = _links(query.kind)
            select = (
                sa.select(node.c.id, node.c.id)
                .select_from(links.join(node, node.c.id == position))
                .where(links.c.context_id == sa.bindparam("scope"))
            )
        else:
            position = node.c.id
            select = sa.select(node.c.id, node.c[query.order.column])
            if query.by_context:
                links, link = _links(query.kind)
                linked = sa.select(1).where(links.c.context_id == sa.bindparam("scope"), link == node.c.id)
                select = select.where(linked.correlate(node).exists())
        if query.by_type:
            select = select.where(node.c.type_id == sa.bindparam("scope"))
        if where is not None:
            for neighbourhood in where.neighbourhoods:
                select = select.where(neighbourhood.exists())
            if where.own is not None:
                select = select.where(where.own)
        if from_few:
            select = select.where(InList(node.c.id, "few"))
        elif not along_links:
            select = dialect.walk_in_order(select, node, query.order.column)
        return _in_order(select, query, position, is_server=dialect.is_server)

    return Prepared(build, *_names(where), "most")


def _in_order(
    select: sa.Select[Any], query: _Query, node_id: sa.ColumnElement[int], *, is_server: bool
) -> sa.Select[Any]:
    """``select`` in the order of the query, behind the position where it continues, limited."""
    direction = sa.asc if query.order.ascending else sa.desc
    columns = [node_id]
    marks = [sa.bindparam("after_id", type_=sa.BigInteger())]
    if query.order.column != "id":
        columns.insert(0, query.kind.table.c[query.order.column])
        marks.insert(0, sa.bindparam("after_value", type_=sa.BigInteger()))
    if query.continues:
        left, right = (sa.tuple_(*columns), sa.tuple_(*marks)) if len(columns) > 1 else (columns[0], marks[0])
        select = select.where(left > right if query.order.ascending else left < right)
    return select.order_by(*map(direction, columns)).limit(sa.bindparam("most", type_=sa.BigInteger()))
