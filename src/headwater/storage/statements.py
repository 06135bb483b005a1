"""Statements written in SQLAlchemy Core and run as text.

Core is readable and knows the dialects; running through it costs more than twice a raw cursor on small
statements. So a statement is compiled once a dialect and afterwards goes to the driver as text.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from headwater.storage.dialects import Dialect, Values, checked_member


class Prepared:
    """A statement and the names of its parameters, in the order in which callers give the values.

    ``statement`` may be a function of the dialect, for statements that differ among databases.
    Parameters that it holds beside these are constants of the statement.
    """

    __slots__ = ("_compiled", "_parameters", "_statement")

    def __init__(
        self,
        statement: sa.sql.ClauseElement | Callable[[Dialect], sa.sql.ClauseElement],
        *parameters: str,
    ) -> None:
        self._statement = statement
        self._parameters = parameters
        self._compiled: dict[tuple[type[Dialect], bool], _Compiled] = {}

    def for_driver(self, dialect: Dialect, values: Sequence[Any]) -> tuple[str, Sequence[Any]]:
        """The text and the values in the driver's order."""
        lists = [value for value in values if type(value) is Values]
        is_single = bool(lists) and all(len(value) == 1 for value in lists)
        compiled = self._compiled.get((type(dialect), is_single)) or self._compile(dialect, is_single)
        if is_single:
            values = [checked_member(value[0]) if type(value) is Values else value for value in values]
        elif lists:
            values = [dialect.list_value(value) if type(value) is Values else value for value in values]
        return compiled.text, compiled.arrange(values)

    def many_for_driver(
        self, dialect: Dialect, rows: Sequence[Sequence[Any]]
    ) -> tuple[str, Sequence[Sequence[Any]]]:
        """The text and each row's values in the driver's order."""
        compiled = self._compiled.get((type(dialect), False)) or self._compile(dialect, False)
        if compiled.order is None:
            return compiled.text, rows
        return compiled.text, [compiled.arrange(row) for row in rows]

    def _compile(self, dialect: Dialect, lists_are_single: bool) -> "_Compiled":
        statement = self._statement(dialect) if callable(self._statement) else self._statement
        if lists_are_single:
            statement = statement.execution_options(lists_are_single=True)  # type: ignore[attr-defined]  # of queries
        columns = list(self._parameters) if isinstance(statement, sa.Insert) else None
        compiled = statement.compile(dialect=dialect.core, column_keys=columns)
        assert isinstance(compiled, sa.sql.compiler.SQLCompiler)
        marks = compiled.positiontup or []
        constants = tuple(mark for mark in marks if mark not in self._parameters)
        given = (*self._parameters, *constants)
        order = tuple(given.index(mark) for mark in marks)
        result = self._compiled[type(dialect), lists_are_single] = _Compiled(
            text=compiled.string,
            order=None if order == tuple(range(len(self._parameters))) else order,
            constants=tuple(compiled.params[name] for name in constants),
        )
        return result


@dataclass(frozen=True)
class _Compiled:
    text: str
    order: tuple[int, ...] | None
    """For each mark of the text the index of its value; ``None``: they come in order."""
    constants: tuple[Any, ...]

    def arrange(self, values: Sequence[Any]) -> Sequence[Any]:
        if self.order is None:
            return values
        given = (*values, *self.constants)
        return tuple(given[index] for index in self.order)


def insert(table: sa.Table, *columns: str) -> Prepared:
    """Insert rows whose values are given in the order of ``columns`` (column keys)."""
    return Prepared(sa.insert(table), *columns)


def insert_or_ignore(table: sa.Table, *columns: str) -> Prepared:
    """The same, leaving out rows that a unique key forbids."""
    return Prepared(lambda dialect: dialect.insert_or_ignore(table), *columns)
