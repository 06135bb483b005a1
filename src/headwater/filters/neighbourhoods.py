"""From checked conditions to what a statement is made of: a part about the node, and its neighbourhoods.

All joins are inner, as in MLMD: a node that lacks a neighbour which is mentioned anywhere cannot match.
So conditions that share no neighbour are independent of each other, and each set of conditions that do
becomes an EXISTS of its own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from headwater.filters.operations import conjunction
from headwater.filters.rows import Row
from headwater.filters.typed import Typed

# With more, databases take long to find the best order.
_MOST_TABLES_JOINED = 6


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """Conditions that share neighbours: one combination of rows of these must satisfy them all."""

    _node: Row
    _rows: Sequence[Row]
    _condition: sa.ColumnElement[bool]
    _keys: Sequence[sa.ColumnElement[bool]]
    """Conditions that are true of every row and let an index find the rows by name."""
    _needs_node: bool
    """Whether the conditions speak of the node's own columns too."""
    is_selective: bool
    """Whether few nodes are likely to match, and an index finds them."""

    def exists(self) -> sa.ColumnElement[bool]:
        """Whether the node of the enclosing statement, a row of ``kind.table``, has such rows."""
        return self._exist(self._rows, self._node)

    @property
    def repeats(self) -> bool:
        """Whether an id may come more than once among ``candidates``."""
        return not all(row.is_property for row in self._rows)

    def candidates(self) -> sa.Select[Any]:
        """The ids of all nodes that match, in no order; an id may come more than once.

        Links to nodes that are gone count too: whoever reads the nodes finds them missing.
        """
        first, *others = self._rows
        tables, linked = [*first.tables], []
        if self._needs_node:
            tables.append(self._node.table)
            linked.append(self._node.node_id == first.node_id)
        select = sa.select(first.node_id)
        if len(self._tables(self._rows)) <= _MOST_TABLES_JOINED:
            tables += self._tables(others)
            linked += [row.node_id == first.node_id for row in others]
            return select.select_from(*tables).where(*linked, *self._conditions(self._rows), *self._keys)
        return select.select_from(*tables).where(*linked, *first.conditions, self._exist(others, first))

    def _exist(self, rows: Sequence[Row], of: Row) -> sa.ColumnElement[bool]:
        """Whether the node that ``of`` speaks of in the enclosing statement has fitting ``rows``."""
        first: sa.Select[Any] = (
            sa.select(sa.literal_column("1"))
            .select_from(*self._tables(rows))
            .where(*(row.node_id == of.node_id for row in rows), *self._conditions(rows))
            .correlate(*of.tables, self._node.table)
            .limit(sa.literal_column("1"))
        )
        # Node is to be tested after node, until there are enough. Of an EXISTS, databases would rather make a
        # join with all there are, and PostgreSQL take seconds to decide in which order.
        return first.scalar_subquery().is_not(None)

    def _tables(self, rows: Sequence[Row]) -> list[sa.FromClause]:
        return [table for row in rows for table in row.tables]

    def _conditions(self, rows: Sequence[Row]) -> list[sa.ColumnElement[bool]]:
        return [*(condition for row in rows for condition in row.conditions), self._condition]


def arrange(
    node: Row, rows: Sequence[Row], conjuncts: Sequence[Typed]
) -> tuple[sa.ColumnElement[bool] | None, tuple[Neighbourhood, ...]]:
    """The conditions about the node alone, and those about its neighbours."""
    about_node = [conjunct for conjunct in conjuncts if not conjunct.rows]
    own = None
    if about_node:
        parts = conjunction(about_node)
        own = sa.and_(parts.sql, *_types_present(parts, node, rows), *_key_conditions(parts, node, rows))
    neighbourhoods = []
    for indexes, members in _sharing(conjuncts):
        parts = conjunction(members)
        neighbourhoods.append(
            Neighbourhood(
                node,
                [rows[index] for index in indexes],
                sa.and_(parts.sql, *_types_present(parts, node, rows)),
                _key_conditions(parts, node, rows),
                parts.mentions_node,
                parts.is_selective,
            )
        )
    return own, tuple(neighbourhoods)


def _sharing(conjuncts: Iterable[Typed]) -> list[tuple[list[int], list[Typed]]]:
    """Sets of conjuncts that share neighbours, directly or not, each with the indexes of these."""
    sets: list[tuple[set[int], list[Typed]]] = []
    for conjunct in conjuncts:
        if not conjunct.rows:
            continue
        merged: tuple[set[int], list[Typed]] = (set(conjunct.rows), [])
        apart = []
        for known in sets:
            if known[0] & merged[0]:
                merged[0].update(known[0])
                merged[1].extend(known[1])
            else:
                apart.append(known)
        merged[1].append(conjunct)
        sets = [*apart, merged]
    return [(sorted(indexes), members) for indexes, members in sets]


def _types_present(parts: Typed, node: Row, rows: Sequence[Row]) -> list[sa.ColumnElement[bool]]:
    return [_row(index, node, rows).has_type() for index in _ordered(parts.types - parts.types_present)]


def _key_conditions(parts: Typed, node: Row, rows: Sequence[Row]) -> list[sa.ColumnElement[bool]]:
    return [_row(index, node, rows).has_type() for index in _ordered(parts.names_fixed - parts.types)]


def _row(index: int | None, node: Row, rows: Sequence[Row]) -> Row:
    return node if index is None else rows[index]


def _ordered(indexes: Iterable[int | None]) -> list[int | None]:
    return sorted(indexes, key=lambda index: -1 if index is None else index)
