"""Listing nodes: one page, in a fixed order, of all nodes or of those that match.

A page is a range of (order column, id), so nothing is repeated or skipped however many rows share a time.
Two plans answer it. If one of the conditions leaves few nodes, these are looked up first and the rest is
checked on them; otherwise the table is walked in the order of the page until the page is full. Which it is
is found by asking each condition for its first few nodes: the cost of a page does not grow with the store
in either case.

A file is asked one condition after the other, until one leaves few. A server is asked all at once, together
with what orders the nodes, since a round trip costs more than they do; it passes over the dearer ones itself
if another leaves few. If each condition leaves few, the page is what their answers have in common.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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

    @property
    def is_selective(self) -> bool:
        """Whether few nodes are likely to match, and an index finds them."""

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
    def own_is_selective(self) -> bool:
        """As ``Neighbourhood.is_selective``."""

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
    sources = _sources(query, where)
    if tx.dialect.is_server:
        found = _few_of_each(tx, query, where, values)
    else:
        found = _first_few(tx, query, where, values)
    known = frozenset(found)
    if found:
        first, *others = found.values()
        values["few"] = Values(node_id for node_id in first if all(node_id in other for other in others))
        if not values["few"]:
            return []
        if len(known) == len(sources) and tx.dialect.is_server:
            rows = [(first[node_id], node_id) for node_id in values["few"]]
            return _page_of(rows, order, after, limit)
    if after is not None:
        values |= {"after_value": after.value, "after_id": after.node_id}
    statement = _page_statement(query, known if found else None, _Compiled(where))
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
    statement = _page_statement(query, frozenset(), _Compiled(where))
    questions = []
    for batch in batches(ids):
        values = {**where.values, "few": Values(batch)}
        questions.append((statement, *(values.get(name) for name in _names(where)), _NO_LIMIT))
    return {row[0] for rows in tx.rows_of_each(questions) for row in rows}


# Candidates

_Source = str | int
"""A condition: ``scope``, ``own``, or the index of a neighbourhood."""


def _sources(query: "_Query", where: Filter | None) -> list[_Source]:
    """The conditions of a page that may leave few nodes, first those that are likely to."""
    sources: list[_Source] = []
    if where is not None:
        sources += range(len(where.neighbourhoods))
        if where.own is not None:
            sources.append("own")
    if query.by_type or (query.by_context and (where is not None or query.order.column != "id")):
        sources.append("scope")
    return sorted(sources, key=lambda source: not _is_selective(source, where))


def _is_selective(source: _Source, where: Filter | None) -> bool:
    if where is None or source == "scope":
        return False
    return where.neighbourhoods[source].is_selective if isinstance(source, int) else where.own_is_selective


def _few(source: _Source, where: Filter | None) -> int:
    repeats = where is not None and isinstance(source, int) and where.neighbourhoods[source].repeats
    return _FEW_REPEATED if repeats else _FEW


def _first_few(
    tx: Transaction, query: "_Query", where: Filter | None, values: Mapping[str, Any]
) -> dict[_Source, dict[int, int]]:
    """The first condition that leaves few nodes, and these; nothing if each leaves many."""
    for source in _sources(query, where):
        statement = _candidates_statement(query, source, _Compiled(where))
        rows = tx.rows(statement, *(values.get(name) for name in _candidate_names(where)))
        if len(rows) <= _FEW:
            return {source: dict.fromkeys((row[0] for row in rows), 0)}
    return {}


def _few_of_each(
    tx: Transaction, query: "_Query", where: Filter | None, values: Mapping[str, Any]
) -> dict[_Source, dict[int, int]]:
    """The conditions that leave few nodes, each with all of these and the values that order them."""
    sources = _sources(query, where)
    given = [values.get(name) for name in _candidate_names(where)]
    answers = tx.rows_of_each(
        [(_candidates_statement(query, source, _Compiled(where)), *given) for source in sources]
    )
    found: dict[_Source, dict[int, int]] = {}
    for source, rows in zip(sources, answers, strict=True):
        is_passed_over = not _is_selective(source, where) and any(_is_selective(s, where) for s in found)
        if not is_passed_over and len(rows) <= _few(source, where):
            found[source] = {node_id: value for node_id, value in rows if node_id is not None}
    return found


def _page_of(rows: list[tuple[int, int]], order: Order, after: Position | None, limit: int) -> list[Position]:
    """The page of nodes that are known to the last, given as what orders them and their ids."""
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


def _candidates_statement(query: _Query, source: _Source, compiled: _Compiled) -> Prepared:
    return _prepared_candidates(replace(query, continues=False), source, compiled)


@lru_cache(_STATEMENTS_KEPT)
def _prepared_candidates(query: _Query, source: _Source, compiled: _Compiled) -> Prepared:
    def build(dialect: Dialect) -> sa.Select[Any]:
        if dialect.is_server:
            return _candidates_in_one_go(query, source, compiled.where)
        select = _candidates(query, source, compiled.where, (query.kind.table.c.id,))
        return (select.distinct() if isinstance(source, int) else select).limit(_FEW + 1)

    return Prepared(build, *_candidate_names(compiled.where))


def _candidates(
    query: _Query, source: _Source, where: Filter | None, columns: Sequence[sa.Column[Any]]
) -> sa.Select[Any]:
    """``columns`` of the nodes that the condition leaves; of a neighbourhood only their ids."""
    if source == "scope":
        return _in_scope(query, *columns)
    assert where is not None
    if isinstance(source, int):
        return where.neighbourhoods[source].candidates()
    assert where.own is not None
    return sa.select(*columns).where(where.own)


def _candidates_in_one_go(query: _Query, source: _Source, where: Filter | None) -> sa.Select[Any]:
    """The ids of the first few nodes with what orders them; none if another condition makes them needless."""
    node = query.kind.table
    columns = (node.c.id, node.c[query.order.column])
    # The planner knows how much it may stop early only from a number that is no parameter.
    select = _candidates(query, source, where, columns).limit(sa.literal_column(str(_few(source, where) + 1)))
    if not _is_selective(source, where):
        for other in _sources(query, where):
            if _is_selective(other, where):
                select = select.where(_leaves_many(query, other, where))
    if not isinstance(source, int):
        return select
    # Distinct ids would be all that match, found before the first is given. The outer join keeps nodes that
    # are gone, or it would seem that the limit was not reached.
    few = select.subquery("candidate")
    return sa.select(*columns).select_from(few.outerjoin(node, node.c.id == next(iter(few.c))))


def _leaves_many(query: _Query, source: _Source, where: Filter | None) -> sa.ColumnElement[bool]:
    most = _few(source, where)
    candidates = _candidates(query, source, where, (query.kind.table.c.id,))
    first = candidates.limit(sa.literal_column(str(most + 1))).subquery("first")
    return sa.select(sa.func.count()).select_from(first).scalar_subquery() > sa.literal_column(str(most))


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
def _page_statement(query: _Query, known: frozenset[_Source] | None, compiled: _Compiled) -> Prepared:
    """A page of a few given nodes, of which the conditions ``known`` are true; of all nodes if ``None``."""
    where = compiled.where
    has_few = known is not None

    def build(dialect: Dialect) -> sa.Select[Any]:
        node = query.kind.table
        along_links = query.by_context and not has_few and query.order.column == "id"
        scope = sa.bindparam("scope", type_=sa.BigInteger())
        if along_links:
            links, position = _links(query.kind)
            joined = links.join(node, node.c.id == position)
            select = sa.select(node.c.id, node.c.id).select_from(joined).where(links.c.context_id == scope)
        else:
            position = node.c.id
            select = sa.select(node.c.id, node.c[query.order.column])
            if query.by_context and "scope" not in (known or ()):
                links, link = _links(query.kind)
                linked = sa.select(links.c.context_id).where(links.c.context_id == scope, link == node.c.id)
                select = select.where(linked.correlate(node).scalar_subquery().is_not(None))
        if query.by_type and "scope" not in (known or ()):
            select = select.where(node.c.type_id == scope)
        if where is not None:
            for index, neighbourhood in enumerate(where.neighbourhoods):
                if index not in (known or ()):
                    select = select.where(neighbourhood.exists())
            if where.own is not None and "own" not in (known or ()):
                select = select.where(where.own)
        if has_few:
            select = select.where(InList(node.c.id, "few"))
        elif not along_links:
            select = dialect.walk_in_order(select, node, query.order.column)
        return _in_order(select, query, position, is_server=dialect.is_server)

    return Prepared(build, *_names(where), "most")


def _in_order(
    select: sa.Select[Any], query: _Query, node_id: sa.ColumnElement[int], *, is_server: bool
) -> sa.Select[Any]:
    """``select`` in the order of the query, behind the position where it continues, limited."""
    ascending = query.order.ascending
    columns = [node_id]
    marks = [sa.bindparam("after_id", type_=sa.BigInteger())]
    if query.order.column != "id":
        columns.insert(0, query.kind.table.c[query.order.column])
        marks.insert(0, sa.bindparam("after_value", type_=sa.BigInteger()))
    if query.continues and len(columns) == 1:
        select = select.where(node_id > marks[0] if ascending else node_id < marks[0])
    elif query.continues:
        left, right = sa.tuple_(*columns), sa.tuple_(*marks)
        select = select.where(left > right if ascending else left < right)
        if is_server:
            # MySQL does not look for a pair in an index, but for its first half.
            select = select.where(columns[0] >= marks[0] if ascending else columns[0] <= marks[0])
    most = sa.bindparam("most", type_=sa.BigInteger())
    return select.order_by(*map(sa.asc if ascending else sa.desc, columns)).limit(most)
