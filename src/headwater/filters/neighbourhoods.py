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

    def exists(self) -> sa.ColumnElement[bool]:
        """Whether the node of the enclosing statement, a row of ``kind.table``, has such rows."""
        return (
            sa.select(sa.literal_column("1"))
            .select_from(*self._tables())
            .where(
                *(row.node_id == self._node.node_id for row in self._rows),
                *self._conditions(),
            )
            .correlate(self._node.table)
            .exists()
        )

    def candidates(self) -> sa.Select[Any]:
        """The ids of all nodes that match, in no order; an id may come more than once.

        Links to nodes that are gone count too: whoever reads the nodes finds them missing.
        """
        first, *others = self._rows
        tables = self._tables()
        linked = [row.node_id == first.node_id for row in others]
        if self._needs_node:
            tables.append(self._node.table)
            linked.append(self._node.node_id == first.node_id)
        return sa.select(first.node_id).select_from(*tables).where(*linked, *self._conditions(), *self._keys)

    def _tables(self) -> list[sa.FromClause]:
        return [table for row in self._rows for table in row.tables]

    def _conditions(self) -> list[sa.ColumnElement[bool]]:
        return [*(condition for row in self._rows for condition in row.conditions), self._condition]


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
