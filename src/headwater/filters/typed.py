"""Checked expressions: SQL, its type, and what it speaks of.

Types are those of GoogleSQL and strict: numbers compare with numbers, strings with strings, and nothing
is converted but INT64 to FLOAT64.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa

from headwater.filters import limits
from headwater.filters.faults import Fault
from headwater.filters.names import Type
from headwater.filters.rows import Row
from headwater.filters.shapes import Column, Constant, Literal
from headwater.filters.sql import Sql, bound, null, truth

_NONE: frozenset[int | None] = frozenset()


@dataclass(frozen=True, eq=False)
class Typed:
    """A checked expression. Rows are told apart by their index, the node's own being ``None``."""

    sql: Sql
    type: Type
    at: int
    """Offset of its first operand in the filter."""
    rows: frozenset[int] = frozenset()
    """The neighbours that it mentions."""
    mentions_node: bool = False
    depth: int = 0
    size: int = 1
    column: Column | None = None
    """If it is nothing but a column."""
    literal: Literal | None = None
    """If it is nothing but a literal."""
    parts: tuple["Typed", ...] = ()
    """Of an AND or OR, what it connects."""
    connective: str = ""
    types: frozenset[int | None] = _NONE
    """Rows whose ``type`` it mentions."""
    types_present: frozenset[int | None] = _NONE
    """Those of which the type is known to be stored if it is true."""
    names_fixed: frozenset[int | None] = _NONE
    """Rows whose name is one of a few given ones if it is true."""
    is_selective: bool = False
    """Whether it is likely to be true of few rows only, which an index finds."""


def column(row: Row, operand: Column, at: int) -> Typed:
    index = operand.neighbour
    return Typed(
        row.column(operand.field),
        operand.type,
        at,
        rows=frozenset() if index is None else frozenset((index,)),
        mentions_node=index is None,
        column=operand,
        types=frozenset((index,)) if operand.field == "type" and row.kind is not None else _NONE,
    )


def literal(operand: Literal, at: int) -> Typed:
    # A list is nothing by itself; ``member`` binds it.
    value = sa.null() if operand.is_list else bound(operand.parameter, operand.type)
    return Typed(value, operand.type, at, literal=operand)


def constant(operand: Constant, at: int) -> Typed:
    # SQLAlchemy's own null() turns = into IS.
    if operand.word == "NULL":
        return Typed(sa.literal_column("NULL"), Type.NULL, at)
    return Typed(truth(operand.word == "TRUE"), Type.BOOL, at)


def made(result: Sql, type_: Type, of: Sequence[Typed], *, weight: int = 1, copies: int = 1) -> Typed:
    """``result`` from the operands ``of``, each of which it repeats ``copies`` times in its SQL."""
    whole = Typed(
        result,
        type_,
        of[0].at,
        rows=frozenset().union(*(part.rows for part in of)),
        mentions_node=any(part.mentions_node for part in of),
        depth=weight + max(part.depth for part in of),
        size=1 + copies * sum(part.size for part in of),
        types=_NONE.union(*(part.types for part in of)),
    )
    if whole.depth > limits.MAX_DEPTH:
        raise Fault(f"nested too deeply; at most {limits.MAX_DEPTH} operators inside each other", whole.at)
    if whole.size > limits.MAX_SQL_PARTS:
        raise Fault("too large to be compiled; send several filters", whole.at)
    return whole


def require(value: Typed, type_: Type, by: str, *, null: bool = True) -> None:
    """Refuse ``value`` unless it is of ``type_``, or NULL where ``null`` is allowed."""
    if value.type is type_ or (value.type is Type.NULL and null):
        return
    if value.type is Type.NULL:
        raise Fault(f"{by} takes no NULL, of which nothing is known; write IS NULL", value.at)
    raise Fault(f"{by} takes {type_.value}, not {value.type.value}", value.at)


def settled(value: Typed, type_: Type) -> Typed:
    """``value``, which if it is NULL is now a NULL of ``type_``."""
    return replace(value, sql=null(type_), type=type_) if value.type is Type.NULL else value


def number(values: Sequence[Typed], by: str, *, null: bool = False) -> Type:
    """The type of arithmetic on ``values``, which must be numbers."""
    for value in values:
        if not value.type.is_number:
            require(value, Type.INT64, by, null=null)
    return Type.FLOAT64 if any(value.type is Type.FLOAT64 for value in values) else Type.INT64


def one_type(values: Sequence[Typed], doing: str) -> Type:
    """The type that all ``values`` have; INT64 if all are NULL, as in GoogleSQL."""
    typed = [value for value in values if value.type is not Type.NULL]
    if not typed:
        return Type.INT64
    first = typed[0]
    for other in typed[1:]:
        if other.type is not first.type and not (other.type.is_number and first.type.is_number):
            both = f"{first.type.value} and {other.type.value}"
            raise Fault(f"{doing} values of one type, not {both}", other.at)
    return Type.FLOAT64 if any(v.type is Type.FLOAT64 for v in typed) else first.type
