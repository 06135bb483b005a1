"""What operators do: the types they take and give, and their SQL."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import sqlalchemy as sa

from headwater.filters import sql
from headwater.filters.faults import Fault
from headwater.filters.names import Type
from headwater.filters.rows import Row
from headwater.filters.shapes import Column, Literal
from headwater.filters.sql import SQL_TYPES, Sql, in_list
from headwater.filters.typed import Typed, made, number, one_type, require, settled

_LONGEST_CHAIN = 50
# Columns with an index, of which few rows have one value as a rule.
_KEYS = frozenset(
    {"id", "name", "external_id", "uri", "artifact_id", "execution_id"}
    | {"int_value", "double_value", "string_value"}
)

# Connectives


def connect(connective: str, parts: Sequence[Typed]) -> Typed:
    """``parts`` with AND, or OR, between them."""
    flat: list[Typed] = []
    for part in parts:
        require(part, Type.BOOL, connective)
        flat += part.parts if part.connective == connective else (part,)
    whole = made(_joined(sa.and_ if connective == "AND" else sa.or_, flat), Type.BOOL, flat)
    together = frozenset.union if connective == "AND" else frozenset.intersection
    return replace(
        whole,
        parts=tuple(flat),
        connective=connective,
        types_present=together(*(part.types_present for part in flat)),
        names_fixed=together(*(part.names_fixed for part in flat)),
        is_selective=(any if connective == "AND" else all)(part.is_selective for part in flat),
    )


def _joined(join: Callable[..., sa.ColumnElement[bool]], parts: Sequence[Typed]) -> Sql:
    """``parts`` joined, long chains in bundles: each link of a chain is a level of depth to SQLite."""
    if len(parts) <= _LONGEST_CHAIN:
        return join(*(part.sql for part in parts))
    bundles = [parts[start : start + _LONGEST_CHAIN] for start in range(0, len(parts), _LONGEST_CHAIN)]
    return join(*(sql.bundle(join(*(part.sql for part in bundle))) for bundle in bundles))


def conjunction(parts: Sequence[Typed]) -> Typed:
    return parts[0] if len(parts) == 1 else connect("AND", parts)


def negate(part: Typed) -> Typed:
    require(part, Type.BOOL, "NOT", null=False)
    negated = sa.not_(part.sql)
    # SQLAlchemy takes NOT for a tight operator: a = NOT b would lack its parentheses.
    return made(
        sql.bundle(negated) if isinstance(negated, sa.UnaryExpression) else negated, Type.BOOL, [part]
    )


# Comparisons

_COMPARE: dict[str, Callable[[Sql, Sql], Sql]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def compare(operator: str, left: Typed, right: Typed, row_of: Callable[[int | None], Row]) -> Typed:
    for side in (left, right):
        if side.type is Type.NULL:
            raise Fault(f"nothing is {operator} NULL; write IS NULL or IS NOT NULL", side.at)
    one_type([left, right], f"'{operator}' compares")
    if operator == "=" and left.column and right.literal:
        return _equals_literal(left, left.column, right, right.literal, row_of)
    if operator == "=" and right.column and left.literal:
        return _equals_literal(right, right.column, left, left.literal, row_of)
    return made(_COMPARE[operator](left.sql, right.sql), Type.BOOL, [left, right])


def _equals_literal(
    left: Typed, of: Column, right: Typed, to: Literal, row_of: Callable[[int | None], Row]
) -> Typed:
    whole = made(left.sql == right.sql, Type.BOOL, [left, right])
    return _fixed(whole, left, of, row_of, to)


def _fixed(whole: Typed, left: Typed, of: Column, row_of: Callable[[int | None], Row], to: Literal) -> Typed:
    """``whole``, a comparison of the column ``of`` with given values, in a form that finds an index."""
    if left.types:
        by_type = row_of(of.neighbour).type_is(to.parameter, is_list=to.is_list)
        return replace(whole, sql=by_type, types_present=left.types)
    if of.field in _KEYS:
        whole = replace(whole, is_selective=True)
    if of.field == "name":
        whole = replace(whole, names_fixed=frozenset((of.neighbour,)))
    return whole


def member(left: Typed, members: Sequence[Typed], row_of: Callable[[int | None], Row]) -> Typed:
    """``left IN (members)``."""
    one_type([left, *members], "IN compares")
    lists = [m.literal for m in members if m.literal and m.literal.is_list]
    others = [m for m in members if not (m.literal and m.literal.is_list)]
    tests: list[Sql] = [in_list(left.sql, listed.parameter, listed.type) for listed in lists]
    if others:
        tests.append(left.sql.in_([m.sql for m in others]))
    whole = made(sa.or_(*tests), Type.BOOL, [left, *members], weight=2, copies=len(tests))
    if left.column and len(lists) == 1 and not others:
        return _fixed(whole, left, left.column, row_of, lists[0])
    return whole


def between(value: Typed, low: Typed, high: Typed) -> Typed:
    one_type([value, low, high], "BETWEEN compares")
    return made(value.sql.between(low.sql, high.sql), Type.BOOL, [value, low, high], weight=2)


def like(value: Typed, pattern: Typed) -> Typed:
    for side in (value, pattern):
        require(side, Type.STRING, "LIKE", null=False)
    return made(value.sql.like(pattern.sql, escape="\\"), Type.BOOL, [value, pattern])


def is_(value: Typed, word: str) -> Typed:
    """``value IS word``, one of NULL, TRUE, FALSE and UNKNOWN."""
    if word != "NULL":
        require(value, Type.BOOL, f"IS {word}")
    what = {"TRUE": sa.true(), "FALSE": sa.false()}.get(word, sa.null())
    return made(value.sql.is_(what), Type.BOOL, [value])


def enum_predicate(name: str, of: Typed, words: Typed) -> Typed:
    """``state = LIVE`` and its like. As in MLMD, ``!=`` and NOT IN are true of nodes without a state."""
    assert words.literal is not None
    is_list = words.literal.is_list
    test = in_list(of.sql, words.literal.parameter, Type.INT64) if is_list else of.sql == words.sql
    if name in ("enum_ne", "enum_not_in"):
        return made(test.is_not(sa.true()), Type.BOOL, [of, words])
    return made(test, Type.BOOL, [of, words])


# Arithmetic


def _quotient(a: Sql, b: Sql) -> Sql:
    # Databases disagree on 1 / 2 and on division by zero.
    divisor: Sql = sa.func.nullif(b, sa.literal_column("0"))
    return sql.as_float(a) / divisor


_NUMERIC: dict[str, Callable[[Sql, Sql], Sql]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": _quotient,
}


def arithmetic(operator: str, left: Typed, right: Typed) -> Typed:
    if operator == "||":
        for side in (left, right):
            require(side, Type.STRING, "'||'", null=False)
        return made(left.sql.concat(right.sql), Type.STRING, [left, right])
    a, b = _computed_with(left), _computed_with(right)
    if operator in _NUMERIC:
        type_ = number([left, right], f"'{operator}'")
        if operator == "/":
            type_ = Type.FLOAT64
        number_sql = sa.type_coerce(_NUMERIC[operator](a, b), SQL_TYPES[type_])
        return made(number_sql, type_, [left, right], weight=2)
    is_shift = operator in ("<<", ">>")
    for side in (left, right):
        require(side, Type.INT64, f"'{operator}'", null=is_shift)
    if is_shift:
        shift = sql.shift_left if operator == "<<" else sql.shift_right
        return made(shift(a, b), Type.INT64, [left, right], weight=3, copies=4)
    # Some databases have no exclusive or.
    weight, copies = (2, 2) if operator == "^" else (1, 1)
    return made(sql.bitwise(operator, a, b), Type.INT64, [left, right], weight=weight, copies=copies)


def unary(operator: str, value: Typed) -> Typed:
    if operator == "~":
        require(value, Type.INT64, "'~'", null=False)
        return made(sql.bitwise_not(_computed_with(value)), Type.INT64, [value])
    type_ = number([value], "'-'")
    return made(-_computed_with(value), type_, [value])


def _computed_with(value: Typed) -> Sql:
    """An operand of arithmetic."""
    if value.column and value.type is Type.INT64:
        return sql.wide(value.sql)
    return settled(value, Type.INT64).sql
