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
from typing import Any

from headwater.storage.dialects import Values
from headwater.storage.kinds import NodeKind
from headwater.storage.nodes import batches
from headwater.storage.page_statements import (
    BY_ID,
    EVERYTHING,
    FEW,
    Compiled,
    Filter,
    Neighbourhood,
    Order,
    Position,
    Query,
    Scope,
    Source,
    candidates_statement,
    is_selective,
    most_of,
    names_for_candidates,
    names_for_page,
    page_statement,
    scope_statement,
    sources_of,
)
from headwater.storage.transactions import Transaction

__all__ = [
    "EVERYTHING",
    "Filter",
    "Neighbourhood",
    "Order",
    "Position",
    "Scope",
    "all_ids",
    "list_page",
    "matching",
]

_NO_LIMIT = 2**62


def list_page(
    tx: Transaction,
    kind: NodeKind,
    *,
    limit: int,
    scope: Scope = EVERYTHING,
    order: Order = BY_ID,
    after: Position | None = None,
    where: Filter | None = None,
) -> list[Position]:
    """The positions of the next ``limit`` nodes behind ``after``."""
    query = Query(
        kind,
        order=order,
        by_type=scope.type_id is not None,
        by_context=scope.context_id is not None,
        continues=after is not None,
        shape=None if where is None else where.shape,
    )
    values: dict[str, Any] = dict(where.values) if where else {}
    values |= {"scope": scope.context_id if scope.type_id is None else scope.type_id}
    sources = sources_of(query, where)
    find = _few_of_each if tx.dialect.is_server else _first_few
    found = find(tx, query, sources, where, values)
    if found:
        first, *others = found.values()
        values["few"] = Values(node_id for node_id in first if all(node_id in other for other in others))
        if not values["few"]:
            return []
        if tx.dialect.is_server and len(found) == len(sources):
            return _page_of([(first[node_id], node_id) for node_id in values["few"]], order, after, limit)
    if after is not None:
        values |= {"after_value": after.value, "after_id": after.node_id}
    statement = page_statement(query, frozenset(found) if found else None, Compiled(where))
    rows = tx.rows(statement, *(values.get(name) for name in names_for_page(where)), limit)
    return [Position(value, node_id) for node_id, value in rows]


def all_ids(tx: Transaction, kind: NodeKind, scope: Scope = EVERYTHING) -> list[int]:
    """The ids of all nodes in ``scope``, ascending."""
    query = Query(kind, BY_ID, scope.type_id is not None, scope.context_id is not None, False, None)
    value = scope.context_id if scope.type_id is None else scope.type_id
    return [row[0] for row in tx.rows(scope_statement(query), value)]


def matching(tx: Transaction, kind: NodeKind, ids: Sequence[int], where: Filter) -> set[int]:
    """Those of ``ids`` that match."""
    query = Query(kind, BY_ID, False, False, False, where.shape)
    statement = page_statement(query, frozenset(), Compiled(where))
    questions = []
    for batch in batches(ids):
        values = {**where.values, "few": Values(batch)}
        questions.append((statement, *(values.get(name) for name in names_for_page(where)), _NO_LIMIT))
    return {row[0] for rows in tx.rows_of_each(questions) for row in rows}


def _first_few(
    tx: Transaction, query: Query, sources: Sequence[Source], where: Filter | None, values: Mapping[str, Any]
) -> dict[Source, dict[int, int]]:
    """The first condition that leaves few nodes, with these; nothing if each leaves many."""
    for source in sources:
        statement = candidates_statement(query, source, Compiled(where))
        rows = tx.rows(statement, *(values.get(name) for name in names_for_candidates(where)))
        if len(rows) <= FEW:
            return {source: dict.fromkeys((row[0] for row in rows), 0)}
    return {}


def _few_of_each(
    tx: Transaction, query: Query, sources: Sequence[Source], where: Filter | None, values: Mapping[str, Any]
) -> dict[Source, dict[int, int]]:
    """The conditions that leave few nodes, each with all of these and the values that order them."""
    given = [values.get(name) for name in names_for_candidates(where)]
    answers = tx.rows_of_each(
        [(candidates_statement(query, source, Compiled(where)), *given) for source in sources]
    )
    found: dict[Source, dict[int, int]] = {}
    for source, rows in zip(sources, answers, strict=True):
        is_passed_over = not is_selective(source, where) and any(is_selective(s, where) for s in found)
        if not is_passed_over and len(rows) <= most_of(source, where):
            found[source] = {node_id: value for node_id, value in rows if node_id is not None}
    return found


def _page_of(rows: list[tuple[int, int]], order: Order, after: Position | None, limit: int) -> list[Position]:
    """The page of nodes that are known to the last, given as what orders them and their ids."""
    rows.sort(reverse=not order.ascending)
    if after is not None:
        last = (after.value, after.node_id)
        rows = [row for row in rows if (row > last if order.ascending else row < last)]
    return [Position(*row) for row in rows[:limit]]
