"""CAST, as GoogleSQL converts, except that a value that cannot be converted gives NULL.

Databases are of several minds about it: PostgreSQL ends the query, SQLite and MySQL take ``12abc`` for 12.
"""

from collections.abc import Callable

import sqlalchemy as sa

from headwater.filters.names import Type
from headwater.filters.sql import Sql, Written, as_float, lower, null


def copies(source: Type, target: Type) -> int:
    """How often a cast repeats its operand at most."""
    return 7 if target is Type.INT64 and source in (Type.FLOAT64, Type.STRING) else 2


def cast(value: Sql, source: Type, target: Type) -> Sql | None:
    """``value`` as another type; ``None`` if GoogleSQL does not convert between the two."""
    if source is target:
        return value
    if source is Type.NULL:
        return null(target)
    convert = _CASTS.get((source, target))
    return None if convert is None else convert(value)


def _to_text(value: Sql) -> Sql:
    return sa.cast(value, sa.Text())


def _rounded(value: Sql) -> Sql:
    """The nearest integer, halves away from zero; NULL beyond 64 bits."""
    # What databases call ROUND differs in halves, and just below them.
    template = (
        "CASE WHEN {{0}} >= -9223372036854775808e0 AND {{0}} < 9223372036854775808e0 THEN {0} + "
        "CASE WHEN {{0}} - {0} >= 0.5e0 THEN 1 WHEN {{0}} - {0} <= -0.5e0 THEN -1 ELSE 0 END END"
    )
    return Written(
        Type.INT64,
        template.format("CAST({0} AS INTEGER)"),
        value,
        postgresql=template.format("CAST(TRUNC({0}) AS BIGINT)"),
        mysql=template.format("CAST(TRUNCATE({0}, 0) AS SIGNED)"),
    )


_INTEGER = "^[[:space:]]*[+-]?[0-9]{{1,60}}[[:space:]]*$"
_NUMBER = "^[[:space:]]*[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]{{1,3}})?[[:space:]]*$"
# MySQL 8 matches no bytes, which is what functions of text give there.
_TEXT = "CONVERT({0} USING latin1)"


def _text_to_integer(value: Sql) -> Sql:
    # Nested, since only CASE promises that one condition is looked at before the other.
    within = (
        "CASE WHEN {0} THEN CASE WHEN {1} BETWEEN -9223372036854775808 AND 9223372036854775807 "
        "THEN {2} END END"
    )
    return Written(
        Type.INT64,
        # SQLite compares text with a number as a number if all of it is one, and gives an INTEGER if it fits.
        "CASE WHEN CAST({0} AS NUMERIC) = {0} AND {0} NOT GLOB '*[.eE]*' AND "
        "TYPEOF(CAST({0} AS NUMERIC)) = 'integer' THEN CAST({0} AS INTEGER) END",
        value,
        postgresql=within.format(f"{{0}} ~ '{_INTEGER}'", "CAST({0} AS NUMERIC)", "CAST({0} AS BIGINT)"),
        mysql=within.format(
            f"{_TEXT} REGEXP '{_INTEGER}'",
            "CAST({0} AS DECIMAL(65))",
            "CAST(CAST({0} AS DECIMAL(65)) AS SIGNED)",
        ),
    )


def _text_to_float(value: Sql) -> Sql:
    template = "CASE WHEN {0} THEN {1} END"
    return Written(
        Type.FLOAT64,
        "CASE WHEN CAST({0} AS NUMERIC) = {0} THEN CAST({0} AS REAL) END",
        value,
        postgresql=template.format(f"{{0}} ~ '{_NUMBER}'", "CAST({0} AS DOUBLE PRECISION)"),
        mysql=template.format(f"{_TEXT} REGEXP '{_NUMBER}'", "({0} + 0e0)"),
    )


def _choose(value: Sql, if_true: Sql, if_false: Sql) -> Sql:
    return sa.case((value.is_(sa.true()), if_true), (value.is_(sa.false()), if_false))


_CASTS: dict[tuple[Type, Type], Callable[[Sql], Sql]] = {
    (Type.INT64, Type.STRING): _to_text,
    (Type.FLOAT64, Type.STRING): _to_text,
    (Type.BOOL, Type.STRING): lambda x: _choose(x, sa.literal_column("'true'"), sa.literal_column("'false'")),
    (Type.INT64, Type.FLOAT64): as_float,
    (Type.STRING, Type.FLOAT64): _text_to_float,
    (Type.STRING, Type.INT64): _text_to_integer,
    (Type.FLOAT64, Type.INT64): _rounded,
    (Type.BOOL, Type.INT64): lambda x: _choose(x, sa.literal_column("1"), sa.literal_column("0")),
    (Type.INT64, Type.BOOL): lambda x: x != sa.literal_column("0"),
    (Type.STRING, Type.BOOL): lambda x: sa.case(
        (lower(x) == sa.literal_column("'true'"), sa.true()),
        (lower(x) == sa.literal_column("'false'"), sa.false()),
    ),
}
