"""What functions, CASE and CAST do: the types they take and give, and their SQL.

They are those that every database has, or that can be written in what it has.
"""

from collections.abc import Callable, Sequence

import sqlalchemy as sa

from headwater.filters import casts, sql
from headwater.filters.faults import Fault
from headwater.filters.names import Type
from headwater.filters.sql import SQL_TYPES, Sql
from headwater.filters.typed import Typed, made, number, one_type, require, settled


def case(subject: Typed | None, branches: Sequence[tuple[Typed, Typed]], default: Typed | None) -> Typed:
    results = [result for _, result in branches] + ([default] if default else [])
    type_ = one_type(results, "the results of CASE are")
    branches = [(when, settled(then, type_)) for when, then in branches]
    of = [*results, *(when for when, _ in branches)]
    if subject is None:
        for when, _ in branches:
            require(when, Type.BOOL, "WHEN")
    else:
        of.append(subject)
        one_type([subject, *(when for when, _ in branches)], "CASE compares")
    tests = [(when.sql if subject is None else subject.sql == when.sql, then.sql) for when, then in branches]
    chosen = sa.case(*tests, else_=default.sql if default else None)
    return made(chosen, type_, of, weight=2, copies=1 if subject is None else len(tests))


def cast(value: Typed, type_: Type) -> Typed:
    result = casts.cast(value.sql, value.type, type_)
    if result is None:
        raise Fault(f"{value.type.value} cannot be cast to {type_.value}", value.at)
    copies = casts.copies(value.type, type_)
    return made(result, type_, [value], weight=3 if copies > 2 else 2, copies=copies)


def call(name: str, arguments: Sequence[Typed], at: int) -> Typed:
    """The function ``name``, in lower case, at the offset ``at``."""
    least, most = _ARGUMENTS[name]
    if not least <= len(arguments) <= most:
        count = str(least) if least == most else f"{least} to {most}"
        raise Fault(f"{name.upper()} takes {count} arguments, not {len(arguments)}", at)
    return _CALLS[name](arguments)


def _text_function(
    name: str,
    result: Callable[..., Sql],
    *types: Type,
    gives: Type,
    weight: int = 1,
    copies: int = 1,
) -> Callable[[Sequence[Typed]], Typed]:
    """A function of strings: SQL from SQL, checked against ``types``."""

    def called(arguments: Sequence[Typed]) -> Typed:
        for argument, type_ in zip(arguments, types, strict=False):
            require(argument, type_, name)
        operands = [settled(argument, type_).sql for argument, type_ in zip(arguments, types, strict=False)]
        return made(result(*operands), gives, arguments, weight=weight, copies=copies)

    return called


def _concat(arguments: Sequence[Typed]) -> Typed:
    for argument in arguments:
        require(argument, Type.STRING, "CONCAT")
    first, *others = (settled(argument, Type.STRING).sql for argument in arguments)
    whole = first
    for other in others:
        whole = whole.concat(other)
    # It is a chain of || in the end, and each link is a level of depth.
    return made(whole, Type.STRING, arguments, weight=1 + len(arguments) // 20)


def _coalesce(arguments: Sequence[Typed]) -> Typed:
    type_ = one_type(arguments, "COALESCE chooses among")
    if len(arguments) == 1:
        return settled(arguments[0], type_)
    chosen = sa.func.coalesce(*(settled(a, type_).sql for a in arguments), type_=SQL_TYPES[type_])
    return made(chosen, type_, arguments, weight=2)


def _if(arguments: Sequence[Typed]) -> Typed:
    condition, then, otherwise = arguments
    return case(None, [(condition, then)], otherwise)


def _abs(arguments: Sequence[Typed]) -> Typed:
    (value,) = arguments
    type_ = number(arguments, "ABS", null=True)
    return made(sa.func.abs(settled(value, type_).sql), type_, arguments)


def _mod(arguments: Sequence[Typed]) -> Typed:
    for argument in arguments:
        require(argument, Type.INT64, "MOD")
    left, right = (settled(argument, Type.INT64).sql for argument in arguments)
    return made(left % sa.func.nullif(right, sa.literal_column("0")), Type.INT64, arguments, weight=2)


_S, _I, _B = Type.STRING, Type.INT64, Type.BOOL
_CALLS: dict[str, Callable[[Sequence[Typed]], Typed]] = {
    "length": _text_function("LENGTH", sql.length, _S, gives=_I),
    "lower": _text_function("LOWER", sql.lower, _S, gives=_S),
    "upper": _text_function("UPPER", sql.upper, _S, gives=_S),
    "substr": _text_function("SUBSTR", sql.substr, _S, _I, _I, gives=_S, weight=4, copies=4),
    "starts_with": _text_function(
        "STARTS_WITH", sql.starts_with, _S, _S, gives=Type.BOOL, weight=3, copies=4
    ),
    "ends_with": _text_function("ENDS_WITH", sql.ends_with, _S, _S, gives=_B, weight=3, copies=4),
    "concat": _concat,
    "coalesce": _coalesce,
    "ifnull": _coalesce,
    "if": _if,
    "abs": _abs,
    "mod": _mod,
}
# SQLite takes at most 127 arguments.
_ARGUMENTS = {
    "length": (1, 1),
    "lower": (1, 1),
    "upper": (1, 1),
    "substr": (2, 3),
    "starts_with": (2, 2),
    "ends_with": (2, 2),
    "concat": (1, 100),
    "coalesce": (1, 100),
    "ifnull": (2, 2),
    "if": (3, 3),
    "abs": (1, 1),
    "mod": (2, 2),
}
