"""The pieces of SQL that are written differently by SQLite, PostgreSQL and MySQL."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import Grouping

from headwater.filters.names import Type
from headwater.storage.dialects import InList

SQL_TYPES: dict[Type, sa.types.TypeEngine[Any]] = {
    Type.INT64: sa.BigInteger(),
    Type.FLOAT64: sa.Double(),
    Type.STRING: sa.Text(),
    Type.BOOL: sa.Boolean(),
}


_NEEDS_NO_PARENTHESES = (None, operators.and_, operators.or_, operators._asbool)
_MEMBERS_IN_POSTGRESQL = {Type.INT64: "BIGINT", Type.FLOAT64: "DOUBLE PRECISION", Type.STRING: "TEXT"}
_MEMBERS_IN_MYSQL = {Type.INT64: "BIGINT", Type.FLOAT64: "DOUBLE", Type.STRING: "LONGTEXT"}


class _InTypedList(InList):
    """``InList`` as a part of larger expressions, for a list whose members are of the type ``member``."""

    inherit_cache = False

    def __init__(self, column: sa.ColumnElement[Any], name: str, member: Type) -> None:
        super().__init__(column, name)
        self.member = member

    def self_group(self, against: Any = None) -> Any:
        # Databases read a = b IN c as (a = b) IN c.
        return self if against in _NEEDS_NO_PARENTHESES else Grouping(self)


def in_list(column: sa.ColumnElement[Any], parameter: str, member: Type) -> sa.ColumnElement[bool]:
    """``column`` is one of the ``Values`` bound as ``parameter``, which are of the type ``member``."""
    return _InTypedList(column.self_group(against=operators.in_op), parameter, member)


# A compiler is untyped in SQLAlchemy, whose dialects have no common class for it.
@compiles(_InTypedList, "postgresql")
def _in_postgresql_list(element: _InTypedList, compiler: Any, **kw: Any) -> str:
    column, parameter = _parts(element, compiler, **kw)
    if _is_single(compiler):
        return f"{column} = {parameter}"
    type_ = _MEMBERS_IN_POSTGRESQL[element.member]
    members = f"SELECT CAST(value AS {type_}) FROM json_array_elements_text(CAST({parameter} AS JSON))"
    return f"{column} = ANY (ARRAY({members}))"


@compiles(_InTypedList, "mysql", "mariadb")
def _in_mysql_list(element: _InTypedList, compiler: Any, **kw: Any) -> str:
    column, parameter = _parts(element, compiler, **kw)
    if _is_single(compiler):
        return f"{column} = {parameter}"
    members = f"member {_MEMBERS_IN_MYSQL[element.member]} PATH '$'"
    return f"{column} IN (SELECT member FROM JSON_TABLE({parameter}, '$[*]' COLUMNS ({members})) AS listed)"


def _parts(element: _InTypedList, compiler: Any, **kw: Any) -> tuple[str, str]:
    return compiler.process(element.column, **kw), compiler.process(element.parameter, **kw)


def _is_single(compiler: Any) -> bool:
    # Set by ``Prepared``.
    return bool(compiler.execution_options.get("lists_are_single"))


class length(sa.sql.functions.GenericFunction[int]):  # noqa: N801  # SQLAlchemy's way to name functions
    """Characters of a string."""

    type = sa.BigInteger()
    inherit_cache = True
    _register = False


@compiles(length, "mysql", "mariadb")
def _length_of_characters(element: length, compiler: Any, **kw: Any) -> str:
    # LENGTH counts bytes there.
    return f"CHAR_LENGTH({compiler.process(element.clauses, **kw)})"


class as_float(sa.sql.functions.FunctionElement[float]):  # noqa: N801
    """A number, or a text that is one, as FLOAT64."""

    type = sa.Double()
    inherit_cache = True


@compiles(as_float)
def _cast_to_double(element: as_float, compiler: Any, **kw: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **kw)} AS DOUBLE PRECISION)"


@compiles(as_float, "mysql", "mariadb")
def _plus_zero(element: as_float, compiler: Any, **kw: Any) -> str:
    # CAST knows DOUBLE from MySQL 8.0.17 and MariaDB 10.4 on only.
    (value,) = element.clauses
    return f"({compiler.process(value.self_group(against=operators.add), **kw)} + 0e0)"


class bundle(sa.sql.functions.FunctionElement[bool]):  # noqa: N801
    """A condition in parentheses of its own, where SQLAlchemy would leave them out."""

    type = sa.Boolean()
    inherit_cache = True

    def self_group(self, against: Any = None) -> "bundle":
        return self  # As in ``InList``.


@compiles(bundle)
def _in_parentheses(element: bundle, compiler: Any, **kw: Any) -> str:
    return f"({compiler.process(element.clauses, **kw)})"


def cast(value: sa.ColumnElement[Any], source: Type, target: Type) -> sa.ColumnElement[Any] | None:
    """``value`` as another type, as GoogleSQL converts it; ``None`` if it does not."""
    if source in (target, Type.NULL):
        return value
    convert = _CASTS.get((source, target))
    return None if convert is None else convert(value)


def _to_text(value: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return sa.cast(value, sa.Text())


_CASTS: dict[tuple[Type, Type], Callable[[sa.ColumnElement[Any]], sa.ColumnElement[Any]]] = {
    (Type.INT64, Type.STRING): _to_text,
    (Type.FLOAT64, Type.STRING): _to_text,
    (Type.BOOL, Type.STRING): lambda x: _choose(x, sa.literal_column("'true'"), sa.literal_column("'false'")),
    (Type.INT64, Type.FLOAT64): as_float,
    (Type.STRING, Type.FLOAT64): as_float,
    (Type.STRING, Type.INT64): lambda x: sa.cast(x, sa.BigInteger()),
    (Type.FLOAT64, Type.INT64): lambda x: sa.cast(sa.func.round(x), sa.BigInteger()),
    (Type.BOOL, Type.INT64): lambda x: _choose(x, sa.literal_column("1"), sa.literal_column("0")),
    (Type.INT64, Type.BOOL): lambda x: x != sa.literal_column("0"),
    (Type.STRING, Type.BOOL): lambda x: sa.case(
        (sa.func.lower(x) == sa.literal_column("'true'"), sa.true()),
        (sa.func.lower(x) == sa.literal_column("'false'"), sa.false()),
    ),
}


def _choose(
    value: sa.ColumnElement[Any], if_true: sa.ColumnElement[Any], if_false: sa.ColumnElement[Any]
) -> sa.ColumnElement[Any]:
    return sa.case((value.is_(sa.true()), if_true), (value.is_(sa.false()), if_false))
