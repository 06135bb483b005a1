"""What operators and functions do: which types they take, what they give, and their SQL.

Types are those of GoogleSQL and strict: numbers compare with numbers, strings with strings, and nothing
is converted but INT64 to FLOAT64.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from headwater.filters import limits, sql
from headwater.filters.faults import Fault
from headwater.filters.names import Type
from headwater.filters.reading import Column, Literal
from headwater.filters.rows import Row
from headwater.filters.sql import SQL_TYPES, in_list

_Sql = sa.ColumnElement[Any]
_NONE: frozenset[int | None] = frozenset()
_LONGEST_CHAIN = 50


@dataclass(frozen=True, eq=False)
class Typed:
    """A checked expression. Rows are told apart by their index, the node's own being ``None``."""

    sql: _Sql
    type: Type
    at: int | None
    """Offset of its first operand, if it has one."""
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
    # A list is nothing by itself; ``membership`` binds it.
    bound = sa.null() if operand.is_list else sa.bindparam(operand.parameter, type_=SQL_TYPES[operand.type])
    return Typed(bound, operand.type, at, literal=operand)


def constant(word: str) -> Typed:
    """TRUE, FALSE or NULL."""
    # SQLAlchemy's own true(), false() and null() fold conditions and turn = into IS.
    if word == "NULL":
        return Typed(sa.literal_column("NULL"), Type.NULL, None)
    return Typed(sa.literal(word == "TRUE", sa.Boolean()), Type.BOOL, None)


def _made(result: _Sql, type_: Type, of: Sequence[Typed], *, weight: int = 1, copies: int = 1) -> Typed:
    """``result`` from the operands ``of``, each of which it repeats ``copies`` times in its SQL."""
    made = Typed(
        result,
        type_,
        next((part.at for part in of if part.at is not None), None),
        rows=frozenset().union(*(part.rows for part in of)),
        mentions_node=any(part.mentions_node for part in of),
        depth=weight + max(part.depth for part in of),
        size=1 + copies * sum(part.size for part in of),
        types=_NONE.union(*(part.types for part in of)),
    )
    if made.depth > limits.MAX_DEPTH:
        raise Fault(f"nested too deeply; at most {limits.MAX_DEPTH} operators inside each other", made.at)
    if made.size > limits.MAX_SQL_PARTS:
        raise Fault("too large to be compiled; send several filters", made.at)
    return made


# Connectives


def connect(connective: str, parts: Sequence[Typed]) -> Typed:
    """``parts`` with AND, or OR, between them."""
    flat: list[Typed] = []
    for part in parts:
        _require(part, Type.BOOL, connective)
        flat += part.parts if part.connective == connective else (part,)
    made = _made(_joined(sa.and_ if connective == "AND" else sa.or_, flat), Type.BOOL, flat)
    together = frozenset.union if connective == "AND" else frozenset.intersection
    return replace(
        made,
        parts=tuple(flat),
        connective=connective,
        types_present=together(*(part.types_present for part in flat)),
        names_fixed=together(*(part.names_fixed for part in flat)),
    )


def _joined(join: Callable[..., sa.ColumnElement[bool]], parts: Sequence[Typed]) -> _Sql:
    """``parts`` joined, long chains in bundles: each link of a chain is a level of depth to SQLite."""
    if len(parts) <= _LONGEST_CHAIN:
        return join(*(part.sql for part in parts))
    bundles = [parts[start : start + _LONGEST_CHAIN] for start in range(0, len(parts), _LONGEST_CHAIN)]
    return join(*(sql.bundle(join(*(part.sql for part in bundle))) for bundle in bundles))


def conjunction(parts: Sequence[Typed]) -> Typed:
    return parts[0] if len(parts) == 1 else connect("AND", parts)


def negate(part: Typed) -> Typed:
    _require(part, Type.BOOL, "NOT", null=False)
    return _made(sa.not_(part.sql), Type.BOOL, [part])


# Comparisons

_COMPARE: dict[str, Callable[[_Sql, _Sql], _Sql]] = {
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
            raise Fault(
                f"nothing is {operator} NULL; write IS NULL or IS NOT NULL",
                side.at if side.at is not None else _place(left, right),
            )
    _one_type([left, right], f"'{operator}' compares")
    if operator == "=" and left.column and right.literal:
        return _equals_literal(left, left.column, right, right.literal, row_of)
    if operator == "=" and right.column and left.literal:
        return _equals_literal(right, right.column, left, left.literal, row_of)
    return _made(_COMPARE[operator](left.sql, right.sql), Type.BOOL, [left, right])


def _equals_literal(
    left: Typed, of: Column, right: Typed, to: Literal, row_of: Callable[[int | None], Row]
) -> Typed:
    made = _made(left.sql == right.sql, Type.BOOL, [left, right])
    return _fixed(made, left, of, row_of, to)


def _fixed(made: Typed, left: Typed, of: Column, row_of: Callable[[int | None], Row], to: Literal) -> Typed:
    """``made``, a comparison of the column ``of`` with given values, in a form that finds an index."""
    if left.types:
        by_type = row_of(of.neighbour).type_is(to.parameter, is_list=to.is_list)
        return replace(made, sql=by_type, types_present=left.types)
    if of.field == "name":
        return replace(made, names_fixed=frozenset((of.neighbour,)))
    return made


def member(left: Typed, members: Sequence[Typed], row_of: Callable[[int | None], Row]) -> Typed:
    """``left IN (members)``."""
    if left.type is Type.NULL:
        raise Fault("NULL is in no list; write IS NULL", _place(left, *members))
    _one_type([left, *members], "IN compares")
    lists = [m.literal for m in members if m.literal and m.literal.is_list]
    others = [m for m in members if not (m.literal and m.literal.is_list)]
    tests: list[_Sql] = [in_list(left.sql, listed.parameter, listed.type) for listed in lists]
    if others:
        tests.append(left.sql.in_([m.sql for m in others]))
    made = _made(sa.or_(*tests), Type.BOOL, [left, *members], weight=2, copies=len(tests))
    if left.column and len(lists) == 1 and not others:
        return _fixed(made, left, left.column, row_of, lists[0])
    return made


def between(value: Typed, low: Typed, high: Typed) -> Typed:
    _one_type([value, low, high], "BETWEEN compares")
    return _made(value.sql.between(low.sql, high.sql), Type.BOOL, [value, low, high], weight=2)


def like(value: Typed, pattern: Typed) -> Typed:
    for side in (value, pattern):
        _require(side, Type.STRING, "LIKE", null=False)
    return _made(value.sql.like(pattern.sql, escape="\\"), Type.BOOL, [value, pattern])


def is_(value: Typed, word: str) -> Typed:
    """``value IS word``, one of NULL, TRUE, FALSE and UNKNOWN."""
    if word != "NULL":
        _require(value, Type.BOOL, f"IS {word}")
    what = {"TRUE": sa.true(), "FALSE": sa.false()}.get(word, sa.null())
    return _made(value.sql.is_(what), Type.BOOL, [value])


def enum_predicate(name: str, of: Typed, words: Typed) -> Typed:
    """``state = LIVE`` and its like. As in MLMD, ``!=`` and NOT IN are true of nodes without a state."""
    assert words.literal is not None
    is_list = words.literal.is_list
    test = in_list(of.sql, words.literal.parameter, Type.INT64) if is_list else of.sql == words.sql
    if name in ("enum_ne", "enum_not_in"):
        return _made(test.is_not(sa.true()), Type.BOOL, [of, words])
    return _made(test, Type.BOOL, [of, words])


# Arithmetic


def _quotient(a: _Sql, b: _Sql) -> _Sql:
    # Databases disagree on 1 / 2 and on division by zero.
    divisor: _Sql = sa.func.nullif(b, sa.literal_column("0"))
    return sa.cast(a, sa.Double()) / divisor


_NUMERIC: dict[str, Callable[[_Sql, _Sql], _Sql]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": _quotient,
}


def arithmetic(operator: str, left: Typed, right: Typed) -> Typed:
    a, b = left.sql, right.sql
    if operator == "||":
        for side in (left, right):
            _require(side, Type.STRING, "'||'")
        return _made(a.concat(b), Type.STRING, [left, right])
    if operator in _NUMERIC:
        type_ = _number(left, right, f"'{operator}'")
        if operator == "/":
            type_ = Type.FLOAT64
        return _made(sa.type_coerce(_NUMERIC[operator](a, b), SQL_TYPES[type_]), type_, [left, right], weight=2)
    for side in (left, right):
        _require(side, Type.INT64, f"'{operator}'")
    if operator == "^":
        # SQLite has no exclusive or, and elsewhere the sign is another.
        result = a.bitwise_or(b) - a.bitwise_and(b)
        return _made(result, Type.INT64, [left, right], weight=2, copies=2)
    bitwise = {
        "&": a.bitwise_and, "|": a.bitwise_or, "<<": a.bitwise_lshift, ">>": a.bitwise_rshift
    }[operator]  # fmt: skip
    return _made(bitwise(b), Type.INT64, [left, right])


def unary(operator: str, value: Typed) -> Typed:
    if operator == "~":
        _require(value, Type.INT64, "'~'")
        return _made(value.sql.bitwise_not(), Type.INT64, [value])
    _number(value, value, operator)
    return _made(-value.sql, value.type, [value])


# Functions


def case(subject: Typed | None, branches: Sequence[tuple[Typed, Typed]], default: Typed | None) -> Typed:
    results = [result for _, result in branches] + ([default] if default else [])
    type_ = _one_type(results, "the results of CASE are")
    of = [*results, *(when for when, _ in branches)]
    if subject is None:
        for when, _ in branches:
            _require(when, Type.BOOL, "WHEN")
    else:
        of.append(subject)
        _one_type([subject, *(when for when, _ in branches)], "CASE compares")
    tests = [(when.sql if subject is None else subject.sql == when.sql, then.sql) for when, then in branches]
    made = sa.case(*tests, else_=default.sql if default else None)
    return _made(made, type_, of, weight=2, copies=1 if subject is None else len(tests))


def cast(value: Typed, type_: Type) -> Typed:
    result = sql.cast(value.sql, value.type, type_)
    if result is None:
        raise Fault(f"{value.type.value} cannot be cast to {type_.value}", value.at)
    return _made(result, type_, [value], weight=2, copies=2)


def call(name: str, arguments: Sequence[Typed], at: int) -> Typed:
    """The function ``name``, in lower case, at the offset ``at``."""
    least, most = _ARGUMENTS[name]
    if not least <= len(arguments) <= (most or len(arguments)):
        count = str(least) if least == most else f"{least} or more" if most is None else f"{least} to {most}"
        raise Fault(f"{name.upper()} takes {count} arguments, not {len(arguments)}", at)
    return _CALLS[name](arguments)


def _text_function(
    name: str,
    result: Callable[..., _Sql],
    *types: Type,
    gives: Type,
    weight: int = 1,
    copies: int = 1,
) -> Callable[[Sequence[Typed]], Typed]:
    """A function of strings: SQL from SQL, checked against ``types``."""

    def made(arguments: Sequence[Typed]) -> Typed:
        for argument, type_ in zip(arguments, types, strict=False):
            _require(argument, type_, name)
        return _made(result(*(a.sql for a in arguments)), gives, arguments, weight=weight, copies=copies)

    return made


def _starts_with(value: _Sql, start: _Sql) -> _Sql:
    return sa.func.substr(value, sa.literal_column("1"), sql.length(start)) == start


def _ends_with(value: _Sql, end: _Sql) -> _Sql:
    # Of a value shorter than ``end`` the position is not positive, which databases read differently.
    begin = sql.length(value) - sql.length(end) + sa.literal_column("1")
    return sa.and_(sql.length(value) >= sql.length(end), sa.func.substr(value, begin) == end)


def _concat(arguments: Sequence[Typed]) -> Typed:
    made = arguments[0]
    _require(made, Type.STRING, "CONCAT")
    for argument in arguments[1:]:
        made = arithmetic("||", made, argument)
    return made


def _coalesce(arguments: Sequence[Typed]) -> Typed:
    type_ = _one_type(arguments, "COALESCE chooses among")
    chosen = sa.func.coalesce(*(a.sql for a in arguments), type_=_sql_type(type_))
    return _made(chosen, type_, arguments, weight=2)


def _if(arguments: Sequence[Typed]) -> Typed:
    condition, then, otherwise = arguments
    return case(None, [(condition, then)], otherwise)


def _abs(arguments: Sequence[Typed]) -> Typed:
    (value,) = arguments
    _number(value, value, "ABS")
    return _made(sa.func.abs(value.sql), value.type, arguments)


def _mod(arguments: Sequence[Typed]) -> Typed:
    for argument in arguments:
        _require(argument, Type.INT64, "MOD")
    left, right = arguments
    return _made(
        left.sql % sa.func.nullif(right.sql, sa.literal_column("0")), Type.INT64, arguments, weight=2
    )


_S, _I = Type.STRING, Type.INT64
_CALLS: dict[str, Callable[[Sequence[Typed]], Typed]] = {
    "length": _text_function("LENGTH", sql.length, _S, gives=_I),
    "lower": _text_function("LOWER", sa.func.lower, _S, gives=_S),
    "upper": _text_function("UPPER", sa.func.upper, _S, gives=_S),
    "substr": _text_function("SUBSTR", sa.func.substr, _S, _I, _I, gives=_S, weight=2),
    "starts_with": _text_function("STARTS_WITH", _starts_with, _S, _S, gives=Type.BOOL, weight=2, copies=2),
    "ends_with": _text_function("ENDS_WITH", _ends_with, _S, _S, gives=Type.BOOL, weight=3, copies=3),
    "concat": _concat,
    "coalesce": _coalesce,
    "ifnull": _coalesce,
    "if": _if,
    "abs": _abs,
    "mod": _mod,
}
_ARGUMENTS: dict[str, tuple[int, int | None]] = {
    "length": (1, 1),
    "lower": (1, 1),
    "upper": (1, 1),
    "substr": (2, 3),
    "starts_with": (2, 2),
    "ends_with": (2, 2),
    "concat": (1, None),
    "coalesce": (1, None),
    "ifnull": (2, 2),
    "if": (3, 3),
    "abs": (1, 1),
    "mod": (2, 2),
}


# Types


def _require(value: Typed, type_: Type, by: str, *, null: bool = True) -> None:
    if value.type is type_ or (value.type is Type.NULL and null):
        return
    if value.type is Type.NULL:
        raise Fault(f"{by} of NULL is neither true nor false; write IS NULL", value.at)
    raise Fault(f"{by} takes {type_.value}, not {value.type.value}", value.at)


def _number(left: Typed, right: Typed, by: str) -> Type:
    for side in (left, right):
        if not side.type.is_number and side.type is not Type.NULL:
            raise Fault(f"{by} takes numbers, not {side.type.value}", side.at)
    types = {left.type, right.type} - {Type.NULL}
    return Type.FLOAT64 if Type.FLOAT64 in types else Type.INT64


def _one_type(values: Sequence[Typed], doing: str) -> Type:
    """The type that all ``values`` have."""
    typed = [value for value in values if value.type is not Type.NULL]
    if not typed:
        return Type.NULL
    first = typed[0]
    for other in typed[1:]:
        if other.type is not first.type and not (other.type.is_number and first.type.is_number):
            place = other.at if other.at is not None else first.at
            raise Fault(f"{doing} values of one type, not {first.type.value} and {other.type.value}", place)
    return Type.FLOAT64 if any(v.type is Type.FLOAT64 for v in typed) else first.type


def _sql_type(type_: Type) -> sa.types.TypeEngine[Any]:
    return sa.types.NullType() if type_ is Type.NULL else SQL_TYPES[type_]


def _place(*values: Typed) -> int | None:
    return next((value.at for value in values if value.at is not None), None)
