"""Listing nodes: one page, in a fixed order, of all nodes or of those that match.

A page is a range of (order column, id), so nothing is repeated or skipped however many rows share a time.
Two plans answer it. If one of the conditions leaves few nodes, these are looked up first and the rest is
checked on them; otherwise the table is walked in the order of the page until the page is full. Which it is
is found by asking each condition for its first few nodes: the cost of a page does not grow with the store
in either case.
"""

from collections.abc import Mapping, Sequence
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
_STATEMENTS_KEPT = 1024
_NO_LIMIT = 2**62


class Neighbourhood(Protocol):
    """Conditions on what surrounds a node, asked from either end."""

    def exists(self) -> sa.ColumnElement[bool]:
        """Whether the node of the enclosing statement matches."""

    def candidates(self) -> sa.Select[Any]:
        """The ids of all nodes that match; an id may come more than once."""


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
    few = _few_candidates(tx, query, where, values)
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
    return [row[0] for row in tx.rows(_candidates_statement(query, "scope", _Compiled(None)), value, _NO_LIMIT)]


def matching(tx: Transaction, kind: NodeKind, ids: Sequence[int], where: Filter) -> set[int]:
    """Those of ``ids`` that match."""
    query = _Query(kind, Order(), False, False, False, where.shape)
    statement = _page_statement(query, True, _Compiled(where))
    found: set[int] = set()
    for batch in batches(ids):
        values = {**where.values, "few": Values(batch)}
        found.update(row[0] for row in tx.rows(statement, *(values.get(name) for name in _names(where)), _NO_LIMIT))
    return found


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


def _few_candidates(
    tx: Transaction, query: _Query, where: Filter | None, values: Mapping[str, Any]
) -> list[int] | None:
    """The nodes of the first condition that leaves few; ``None`` if each leaves many."""
    sources: list[str | int] = []
    if where is not None:
        sources += range(len(where.neighbourhoods))
        if where.own is not None:
            sources.append("own")
    if query.by_type or (query.by_context and (where is not None or query.order.column != "id")):
        sources.append("scope")
    for source in sources:
        statement = _candidates_statement(query, source, _Compiled(where))
        rows = tx.rows(statement, *(values.get(name) for name in _candidate_names(where)), _FEW + 1)
        if len(rows) <= _FEW:
            return [row[0] for row in rows]
    return None


@lru_cache(_STATEMENTS_KEPT)
def _candidates_statement(query: _Query, source: str | int, compiled: _Compiled) -> Prepared:
    node, where = query.kind.table, compiled.where
    if source == "scope":
        select = _scope_candidates(query)
    elif source == "own":
        assert where is not None and where.own is not None
        select = sa.select(node.c.id).where(where.own)
    else:
        assert where is not None and isinstance(source, int)
        select = where.neighbourhoods[source].candidates().distinct()
    limited = select.limit(sa.bindparam("most", type_=sa.BigInteger()))
    return Prepared(limited, *_candidate_names(where), "most")


def _scope_candidates(query: _Query) -> sa.Select[Any]:
    node = query.kind.table
    if query.by_context:
        links, link = _links(query.kind)
        return (
            sa.select(node.c.id)
            .select_from(links.join(node, node.c.id == link))
            .where(links.c.context_id == sa.bindparam("scope"))
            .order_by(link)
        )
    if query.by_type:
        return sa.select(node.c.id).where(node.c.type_id == sa.bindparam("scope")).order_by(node.c.id)
    return sa.select(node.c.id).order_by(node.c.id)


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
        return _in_order(select, query, position)

    return Prepared(build, *_names(where), "most")


def _in_order(select: sa.Select[Any], query: _Query, node_id: sa.ColumnElement[int]) -> sa.Select[Any]:
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
