"""The pieces of SQL that SQLite, PostgreSQL and MySQL write or understand differently.

Each gives what GoogleSQL gives, on every database. Where GoogleSQL ends a query with an error, because of
what a row holds, the result is NULL: whether a database looks at that row is its own choice.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import operators

from headwater.filters.names import Type
from headwater.storage.dialects import InList

Sql = sa.ColumnElement[Any]

SQL_TYPES: dict[Type, sa.types.TypeEngine[Any]] = {
    Type.INT64: sa.BigInteger(),
    Type.FLOAT64: sa.Double(),
    Type.STRING: sa.Text(),
    Type.BOOL: sa.Boolean(),
}


class Written(sa.sql.functions.FunctionElement[Any]):
    """SQL as a template, ``{0}`` for the first operand; ``variants`` are those of single databases.

    A template has to be whole by itself: a call, a CASE, or in parentheses. It may repeat an operand.
    """

    inherit_cache = False

    def __init__(self, type_: Type, template: str, *operands: Sql, **variants: str) -> None:
        super().__init__(*(operand.self_group(against=operators.getitem) for operand in operands))
        self.type = SQL_TYPES[type_]
        self.template = template
        self.variants = variants

    def self_group(self, against: Any = None) -> Any:
        # A condition as it stands, which SQLAlchemy would compare with 1.
        return self


@compiles(Written)
def _filled_in(element: Written, compiler: Any, **kw: Any) -> str:
    template = element.variants.get(compiler.dialect.name, element.template)
    charset = getattr(compiler.dialect, "charset", "latin1")
    if charset != "latin1":
        template = template.replace("USING latin1", f"USING {charset}")
    return template.format(*(compiler.process(operand, **kw) for operand in element.clauses))


def in_list(column: Sql, parameter: str, member: Type) -> sa.ColumnElement[bool]:
    """``column`` is one of the ``Values`` bound as ``parameter``, which are of the type ``member``."""
    return InList(column, parameter, SQL_TYPES[member])


def bound(parameter: str, type_: Type) -> Sql:
    """The value bound as ``parameter``."""
    value = sa.bindparam(parameter, type_=SQL_TYPES[type_])
    # SQLAlchemy names the type of integers and strings only. To MySQL 0.1 is a decimal number, exact.
    return as_float(value) if type_ is Type.FLOAT64 else value


def truth(value: bool) -> Sql:
    # SQLAlchemy's own true() and false() fold conditions.
    return Written(Type.BOOL, str(int(value)), postgresql=str(value).upper())


def null(type_: Type) -> Sql:
    """NULL, where it decides the type of what it stands in."""
    name = {Type.INT64: "BIGINT", Type.FLOAT64: "DOUBLE PRECISION", Type.STRING: "TEXT"}.get(type_, "BOOLEAN")
    return Written(type_, "NULL", postgresql=f"CAST(NULL AS {name})")


def bundle(condition: Sql) -> Sql:
    """A condition in parentheses of its own, where SQLAlchemy would leave them out."""
    return Written(Type.BOOL, "({0})", condition)


# Numbers


def wide(value: Sql) -> Sql:
    """An integer column in arithmetic: PostgreSQL computes with the bits of the column."""
    return Written(Type.INT64, "{0}", value, postgresql="CAST({0} AS BIGINT)")


def as_float(value: Sql) -> Sql:
    """A number as FLOAT64."""
    # CAST knows DOUBLE from MySQL 8.0.17 and MariaDB 10.4 on only.
    return Written(Type.FLOAT64, "CAST({0} AS DOUBLE PRECISION)", value, mysql="({0} + 0e0)")


def bitwise(operator: str, left: Sql, right: Sql) -> Sql:
    """``&``, ``|`` or ``^``."""
    sign, sqlite = operator, f"({{0}} {operator} {{1}})"
    if operator == "^":
        sign, sqlite = "#", "(({0} | {1}) - ({0} & {1}))"
    return Written(
        Type.INT64,
        sqlite,
        left,
        right,
        postgresql=f"({{0}} {sign} {{1}})",
        mysql=_signed(f"{{0}} {operator} {{1}}"),
    )


def bitwise_not(value: Sql) -> Sql:
    # Without the blank PostgreSQL would take ~- for one operator.
    return Written(Type.INT64, "(~ {0})", value, mysql=_signed("~ {0}"))


def shift_left(value: Sql, bits: Sql) -> Sql:
    """No bits are left of more than 63; a negative number of bits gives NULL."""
    template = "CASE WHEN {{1}} BETWEEN 0 AND 63 THEN {0} WHEN {{1}} > 63 THEN 0 * {{0}} END"
    return Written(
        Type.INT64,
        template.format("{0} << {1}"),
        value,
        bits,
        postgresql=template.format("CAST({0} AS BIGINT) << CAST({1} AS INTEGER)"),
        mysql=template.format(_signed("{0} << {1}")),
    )


def shift_right(value: Sql, bits: Sql) -> Sql:
    """Zeros come in from the left, as in ``shift_left`` from the right."""
    some = "CASE WHEN {{1}} BETWEEN 1 AND 63 THEN {0}"
    template = some + " WHEN {{1}} > 63 THEN 0 * {{0}} WHEN {{1}} = 0 THEN {{0}} END"
    return Written(
        Type.INT64,
        template.format("({0} >> {1}) & ~(-1 << (64 - {1}))"),
        value,
        bits,
        postgresql=template.format(
            "(CAST({0} AS BIGINT) >> CAST({1} AS INTEGER)) "
            "& ~(CAST(-1 AS BIGINT) << CAST(64 - {1} AS INTEGER))"
        ),
        mysql=template.format(_signed("{0} >> {1}")),
    )


def _signed(template: str) -> str:
    # MySQL computes with bits as unsigned numbers.
    return f"CAST({template} AS SIGNED)"


# Text

# MySQL knows the text of most stores as latin1, though it is UTF-8: bytes, and the characters they mean.
_BYTES = "CAST(CONVERT({0} USING latin1) AS BINARY)"
_CHARACTERS = f"CONVERT({_BYTES} USING utf8mb4)"


def length(value: Sql) -> Sql:
    """Characters of a string."""
    return Written(Type.INT64, "LENGTH({0})", value, mysql=f"CHAR_LENGTH({_CHARACTERS})")


def lower(value: Sql) -> Sql:
    return Written(Type.STRING, "LOWER({0})", value, mysql=f"CAST(LOWER({_CHARACTERS}) AS BINARY)")


def upper(value: Sql) -> Sql:
    return Written(Type.STRING, "UPPER({0})", value, mysql=f"CAST(UPPER({_CHARACTERS}) AS BINARY)")


def substr(value: Sql, start: Sql, count: Sql | None = None) -> Sql:
    """``start`` counts from 1, or if negative from the end; of a negative ``count`` NULL."""
    # Databases count characters with 32 bits.
    begin = (
        "CASE WHEN {{1}} > 1000000000 THEN 1000000000 WHEN {{1}} > 0 THEN {{1}} WHEN {{1}} = 0 THEN 1 "
        "WHEN {{1}} > -{0} THEN {0} + {{1}} + 1 WHEN {{1}} < 0 THEN 1 END"
    )
    whole, in_mysql = [begin.format("LENGTH({0})")], [begin.format(f"CHAR_LENGTH({_CHARACTERS})")]
    operands = [value, start]
    if count is not None:
        operands.append(count)
        for parts in (whole, in_mysql):
            parts.append("CASE WHEN {2} > 1000000000 THEN 1000000000 WHEN {2} >= 0 THEN {2} END")
    return Written(
        Type.STRING,
        f"SUBSTR({{0}}, {', '.join(whole)})",
        *operands,
        postgresql=f"SUBSTR({{0}}, {', '.join(f'CAST({part} AS INTEGER)' for part in whole)})",
        mysql=f"CAST(SUBSTR({_CHARACTERS}, {', '.join(in_mysql)}) AS BINARY)",
    )


def starts_with(value: Sql, start: Sql) -> Sql:
    return _same_part(value, start, begin="1")


def ends_with(value: Sql, end: Sql) -> Sql:
    return _same_part(value, end, begin="LENGTH({0}) - LENGTH({1}) + 1")


def _same_part(value: Sql, part: Sql, *, begin: str) -> Sql:
    # Of a value shorter than ``part`` the position is not positive, which databases read differently.
    template = f"(LENGTH({{0}}) >= LENGTH({{1}}) AND SUBSTR({{0}}, {begin}, LENGTH({{1}})) = {{1}})"
    in_mysql = template.format(_BYTES, _BYTES.format("{1}"))
    return Written(Type.BOOL, template, value, part, mysql=in_mysql)
