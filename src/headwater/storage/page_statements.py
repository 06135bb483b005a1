"""The statements behind a listing: the first candidates of one condition, and a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol

import sqlalchemy as sa

from headwater.storage.dialects import Dialect, InList
from headwater.storage.kinds import NodeKind
from headwater.storage.statements import Prepared

FEW = 256
"""A condition that leaves at most this many nodes is where a page starts from."""
# A server is asked for this many rows of a condition that may name a node again and again.
_FEW_REPEATED = 1024
_STATEMENTS_KEPT = 1024


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


BY_ID = Order()
EVERYTHING = Scope()


@dataclass(frozen=True)
class Query:
    """All that decides the text of a page's statement, beside the filter itself."""

    kind: NodeKind
    order: Order
    by_type: bool
    by_context: bool
    continues: bool
    shape: str | None


class Compiled:
    """A filter as an argument of a cached function: the shape, part of the query, stands for it."""

    def __init__(self, where: Filter | None) -> None:
        self.where = where

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Compiled)

    def __hash__(self) -> int:
        return 0


Source = str | int
"""A condition: ``scope``, ``own``, or the index of a neighbourhood."""


def sources_of(query: Query, where: Filter | None) -> list[Source]:
    """The conditions of a page that may leave few nodes, first those that are likely to."""
    sources: list[Source] = []
    if where is not None:
        sources += range(len(where.neighbourhoods))
        if where.own is not None:
            sources.append("own")
    if query.by_type or (query.by_context and (where is not None or query.order.column != "id")):
        sources.append("scope")
    return sorted(sources, key=lambda source: not is_selective(source, where))


def is_selective(source: Source, where: Filter | None) -> bool:
    """Whether a condition is likely to leave few nodes, and cheap to ask."""
    if where is None or source == "scope":
        return False
    return where.neighbourhoods[source].is_selective if isinstance(source, int) else where.own_is_selective


def most_of(source: Source, where: Filter | None) -> int:
    """How many rows of a condition still are few to a server."""
    repeats = where is not None and isinstance(source, int) and where.neighbourhoods[source].repeats
    return _FEW_REPEATED if repeats else FEW


_OWN_NAMES = ("scope", "few", "after_value", "after_id")


def names_for_page(where: Filter | None) -> tuple[str, ...]:
    """The parameters of ``page_statement`` in order; the last one is the limit."""
    return (*_OWN_NAMES, *sorted(where.values)) if where else _OWN_NAMES


def names_for_candidates(where: Filter | None) -> tuple[str, ...]:
    """The parameters of ``candidates_statement`` in order."""
    return ("scope", *sorted(where.values)) if where else ("scope",)


def candidates_statement(query: Query, source: Source, compiled: Compiled) -> Prepared:
    """The ids of the first nodes that one condition leaves, one more than are few.

    Servers give what orders the nodes too, and give an id again for each way in which a node matches; an id
    may be NULL. They give nothing for a condition that is not selective if one that is leaves few nodes.
    """
    return _prepared_candidates(replace(query, continues=False), source, compiled)


@lru_cache(_STATEMENTS_KEPT)
def _prepared_candidates(query: Query, source: Source, compiled: Compiled) -> Prepared:
    def build(dialect: Dialect) -> sa.Select[Any]:
        if dialect.is_server:
            return _candidates_in_one_go(query, source, compiled.where)
        select = _candidates(query, source, compiled.where, (query.kind.table.c.id,))
        return (select.distinct() if isinstance(source, int) else select).limit(FEW + 1)

    return Prepared(build, *names_for_candidates(compiled.where))


def _candidates(
    query: Query, source: Source, where: Filter | None, columns: Sequence[sa.Column[Any]]
) -> sa.Select[Any]:
    """``columns`` of the nodes that the condition leaves; of a neighbourhood only their ids."""
    if source == "scope":
        return _in_scope(query, *columns)
    assert where is not None
    if isinstance(source, int):
        return where.neighbourhoods[source].candidates()
    assert where.own is not None
    return sa.select(*columns).where(where.own)


def _candidates_in_one_go(query: Query, source: Source, where: Filter | None) -> sa.Select[Any]:
    """What a server is asked."""
    node = query.kind.table
    columns = (node.c.id, node.c[query.order.column])
    select = _first(_candidates(query, source, where, columns), most_of(source, where) + 1)
    if not is_selective(source, where):
        for other in sources_of(query, where):
            if is_selective(other, where):
                select = select.where(_leaves_many(query, other, where))
    if not isinstance(source, int):
        return select
    # Distinct ids would be all that match, found before the first is given. The outer join keeps nodes that
    # are gone, or it would seem that the limit was not reached.
    few = select.subquery("candidate")
    return sa.select(*columns).select_from(few.outerjoin(node, node.c.id == next(iter(few.c))))


def _leaves_many(query: Query, source: Source, where: Filter | None) -> sa.ColumnElement[bool]:
    most = most_of(source, where)
    candidates = _candidates(query, source, where, (query.kind.table.c.id,))
    first = _first(candidates, most + 1).subquery("first")
    return sa.select(sa.func.count()).select_from(first).scalar_subquery() > sa.literal_column(str(most))


def _first(select: sa.Select[Any], count: int) -> sa.Select[Any]:
    # Only from a number that is no parameter a planner knows beforehand that it can stop early.
    return select.limit(sa.literal_column(str(count)))


@lru_cache(_STATEMENTS_KEPT)
def scope_statement(query: Query) -> Prepared:
    """All ids of a type or context, or all there are, ascending."""
    return Prepared(_in_scope(query, query.kind.table.c.id).order_by(query.kind.table.c.id), "scope")


def _in_scope(query: Query, *columns: sa.Column[Any]) -> sa.Select[Any]:
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
def page_statement(query: Query, known: frozenset[Source] | None, compiled: Compiled) -> Prepared:
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

    return Prepared(build, *names_for_page(where), "most")


def _in_order(
    select: sa.Select[Any], query: Query, node_id: sa.ColumnElement[int], *, is_server: bool
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
