"""The rows that a filter looks at: the node's own and those of its neighbours."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from headwater.filters.names import Type
from headwater.filters.shapes import Neighbour
from headwater.filters.sql import in_list
from headwater.storage import schema
from headwater.storage.kinds import ARTIFACT, CONTEXT, EXECUTION, NodeKind


@dataclass(frozen=True, eq=False)
class Row:
    """One row of a table, or a link and the row that it leads to."""

    node_id: sa.ColumnElement[int]
    """The column that says whose neighbour the row is."""
    table: sa.FromClause
    """The one whose columns are asked for."""
    kind: NodeKind | None
    """If the row is a node, its kind."""
    tables: tuple[sa.FromClause, ...]
    conditions: tuple[sa.ColumnElement[bool], ...] = ()
    """What makes ``tables`` one row."""
    is_property: bool = False
    """Of which a node has one at most."""

    def column(self, name: str) -> sa.ColumnElement[Any]:
        """A column of the row; ``type`` is the name of its type."""
        if name != "type" or self.kind is None:
            return self.table.c[name]
        types = schema.type_table.alias("type_of")
        return (
            sa.select(types.c.name)
            .where(types.c.id == self.table.c.type_id, types.c.type_kind == self.kind.number)
            .correlate(self.table)
            .scalar_subquery()
        )

    def type_is(self, parameter: str, *, is_list: bool) -> sa.ColumnElement[bool]:
        """The name of the type is the one bound as ``parameter``, or one of them."""
        name = schema.type_table.c.name
        named = (
            in_list(name, parameter, Type.STRING)
            if is_list
            else name == sa.bindparam(parameter, type_=sa.Text())
        )
        return self._type_in(named)

    def has_type(self) -> sa.ColumnElement[bool]:
        """The type is stored. True of all rows, but makes the index on (type_id, name) useful."""
        return self._type_in()

    def _type_in(self, *conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
        assert self.kind is not None
        types = schema.type_table
        ids = sa.select(types.c.id).where(types.c.type_kind == self.kind.number, *conditions)
        return self.table.c.type_id.in_(ids.correlate(None))


def own_row(kind: NodeKind) -> Row:
    return Row(kind.table.c.id, kind.table, kind, (kind.table,))


def neighbour_rows(kind: NodeKind, neighbours: Sequence[Neighbour]) -> list[Row]:
    """A row for each of ``neighbours``, under names that do not depend on anything else."""
    return [_neighbour_row(kind, neighbour, str(index)) for index, neighbour in enumerate(neighbours)]


@lru_cache(1024)  # Aliases are a fifth of the cost of a new shape.
def _neighbour_row(kind: NodeKind, neighbour: Neighbour, index: str) -> Row:
    family = neighbour.family
    if neighbour.parameter is not None:
        prop = kind.properties.alias(f"property_{index}")
        # Written out, so that the indexes on (name, is_custom_property, value) serve.
        conditions = (
            prop.c.name == sa.bindparam(neighbour.parameter, type_=sa.Text()),
            prop.c.is_custom_property == (sa.true() if family == "custom_properties" else sa.false()),
        )
        return Row(prop.c.node_id, prop, None, (prop,), conditions, is_property=True)
    if family == "events":
        event = schema.event_table.alias(f"event_{index}")
        return Row(event.c[f"{kind.name}_id"], event, None, (event,))
    if family in ("parent_contexts", "child_contexts"):
        child, parent = "context_id", "parent_context_id"
        near, far = (child, parent) if family == "parent_contexts" else (parent, child)
        return _linked_row(schema.parent_context_table, near, far, CONTEXT, index)
    other = {"contexts": CONTEXT, "artifacts": ARTIFACT, "executions": EXECUTION}[family]
    side = other if kind is CONTEXT else kind
    assert side.links is not None
    return _linked_row(side.links, f"{kind.name}_id", f"{other.name}_id", other, index)


def _linked_row(links: sa.Table, near: str, far: str, other: NodeKind, index: str) -> Row:
    link = links.alias(f"link_{index}")
    node = other.table.alias(f"{other.name}_{index}")
    return Row(link.c[near], node, other, (link, node), (node.c.id == link.c[far],))
