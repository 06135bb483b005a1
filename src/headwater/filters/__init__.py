"""The language of ``filter_query``: from text to conditions in SQLAlchemy Core.

``compile_filter`` is all that others need. Inside, the text is cut into words (``scanning``), its literals
and names are taken out (``reading``, ``names``), what remains, its shape (``shapes``), is parsed and checked
(``parsing``, ``operations``, ``functions``) and put together as SQL (``rows``, ``neighbourhoods``).
See decision 0004.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import sqlalchemy as sa

from headwater.filters import limits
from headwater.filters.faults import Fault, located
from headwater.filters.neighbourhoods import Neighbourhood, arrange
from headwater.filters.parsing import parse
from headwater.filters.reading import read
from headwater.filters.rows import Row, neighbour_rows, own_row
from headwater.filters.shapes import Shape
from headwater.storage.kinds import NodeKind

__all__ = ["Filter", "Neighbourhood", "compile_filter"]


@dataclass(frozen=True, eq=False)
class Filter:
    """The conditions of a filter; a node matches if all hold."""

    shape: str
    """Filters of one kind and shape have the same SQL and differ in ``values`` only."""
    own: sa.ColumnElement[bool] | None
    """Conditions on the node's own row, a row of ``kind.table``."""
    own_is_selective: bool
    """Whether few nodes are likely to fulfil them, and an index finds these."""
    neighbourhoods: tuple[Neighbourhood, ...]
    values: Mapping[str, object]
    """Values of the parameters by name; lists are ``Values``. A parameter may occur often, or not at all."""


def compile_filter(text: str, kind: NodeKind) -> Filter:
    """The conditions that ``text`` puts on nodes of ``kind``.

    Compiling is much dearer for the first text of a shape than for the next, which differ in literals
    and labels; equal texts of moderate length are remembered whole.

    Raises:
        InvalidRequest: not a filter for this kind, or larger than a limit. The message says where.
    """
    if len(text) <= limits.MAX_CACHED_TEXT:
        return _remembered(text, kind)
    return _compile(text, kind)


def _compile(text: str, kind: NodeKind) -> Filter:
    try:
        shape, values = read(text, kind)
        conditions = _conditions(shape)
    except Fault as fault:
        raise located(text, fault) from None
    return Filter(
        conditions.shape, conditions.own, conditions.own_is_selective, conditions.neighbourhoods, values
    )


_remembered = lru_cache(limits.CACHED_TEXTS)(_compile)


@dataclass(frozen=True, eq=False)
class _Conditions:
    shape: str
    own: sa.ColumnElement[bool] | None
    own_is_selective: bool
    neighbourhoods: tuple[Neighbourhood, ...]


@lru_cache(limits.CACHED_SHAPES)
def _conditions(shape: Shape) -> _Conditions:
    node = own_row(shape.kind)
    rows = neighbour_rows(shape.kind, shape.neighbours)

    def row_of(index: int | None) -> Row:
        return node if index is None else rows[index]

    whole = parse(shape, row_of)
    conjuncts = whole.parts if whole.connective == "AND" else (whole,)
    own, neighbourhoods = arrange(node, rows, conjuncts)
    is_selective = any(conjunct.is_selective for conjunct in conjuncts if not conjunct.rows)
    return _Conditions(str(shape), own, is_selective, neighbourhoods)
