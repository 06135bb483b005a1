"""Statements written in SQLAlchemy Core and run as text.

Core is readable and knows the dialects; running through it costs more than twice a raw cursor on small
statements. So a statement is compiled once a dialect and afterwards goes to the driver as text.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from headwater.storage.dialects import Call, Dialect, ServerDialect, Values, checked_member


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
        self._compiled: dict[tuple[type[Dialect], Hashable, bool], _Compiled] = {}

    def call(self, dialect: Dialect, values: Sequence[Any]) -> Call:
        """The text and the values in the driver's order."""
        lists = [value for value in values if type(value) is Values]
        is_single = bool(lists) and all(len(value) == 1 for value in lists)
        compiled = self._compiled.get((type(dialect), dialect.variant, is_single)) or self._compile(
            dialect, is_single
        )
        if is_single:
            values = [checked_member(value[0]) if type(value) is Values else value for value in values]
        elif lists:
            values = [dialect.list_value(value) if type(value) is Values else value for value in values]
        return Call(compiled.text, compiled.arrange(values))

    def many(self, dialect: Dialect, rows: Sequence[Sequence[Any]]) -> tuple[str, Sequence[Sequence[Any]]]:
        """The text and each row's values in the driver's order."""
        compiled = self._compiled.get((type(dialect), dialect.variant, False)) or self._compile(
            dialect, False
        )
        if compiled.order is None:
            return compiled.text, rows
        return compiled.text, [compiled.arrange(row) for row in rows]

    def _compile(self, dialect: Dialect, lists_are_single: bool) -> "_Compiled":
        statement = self._statement(dialect) if callable(self._statement) else self._statement
        if lists_are_single:
            statement = statement.execution_options(lists_are_single=True)  # type: ignore[attr-defined]  # of queries
        result = self._compiled[type(dialect), dialect.variant, lists_are_single] = compiled_for(
            dialect, statement, self._parameters
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


def compiled_for(
    dialect: Dialect,
    statement: sa.sql.ClauseElement,
    parameters: Sequence[str],
    *,
    columns: list[str] | None = None,
) -> _Compiled:
    """``statement`` as text; ``columns`` are those that an INSERT fills."""
    compiled = statement.compile(dialect=dialect.core, column_keys=columns)
    assert isinstance(compiled, sa.sql.compiler.SQLCompiler)
    marks = compiled.positiontup or []
    constants = tuple(mark for mark in marks if mark not in parameters)
    given = (*parameters, *constants)
    order = tuple(given.index(mark) for mark in marks)
    return _Compiled(
        text=compiled.string,
        order=None if order == tuple(range(len(parameters))) else order,
        constants=tuple(compiled.params[name] for name in constants),
    )


class Insert:
    """Rows for a table, whose values are given in the order of ``columns`` (column keys)."""

    __slots__ = ("_columns", "_keys", "_text", "table")

    def __init__(self, table: sa.Table, *columns: str) -> None:
        self.table = table
        self._columns = columns
        self._text: dict[tuple[type[Dialect], bool], str] = {}
        keys = [
            key
            for key in (table.primary_key, *table.constraints)
            if isinstance(key, sa.PrimaryKeyConstraint | sa.UniqueConstraint)
        ]
        uniques = [[column.key for column in key] for key in keys if "id" not in key.columns]
        uniques += [[column.key] for column in table.columns if column.unique]
        if "node_id" in table.c:
            uniques = []  # Properties of nodes that nobody else knows yet, or that are locked.
        self._keys = [
            columns.index(key) for unique in uniques if set(unique) <= set(columns) for key in unique
        ]

    def text(self, dialect: Dialect, *, ignores: bool) -> str:
        """The statement of one row, or of many, as ``dialect`` takes it."""
        text = self._text.get((type(dialect), ignores))
        if text is None:
            statement = dialect.insert_statement(self.table, self._columns, ignores=ignores)
            text = compiled_for(dialect, statement, self._columns, columns=list(self._columns)).text
            self._text[type(dialect), ignores] = text
        return text

    def calls(
        self, dialect: ServerDialect, rows: Sequence[Sequence[Any]], *, ignores: bool
    ) -> Sequence[Call]:
        """The statements for all of ``rows``, one but for a great many.

        Keys are locked in sorted order, so that two requests with the same ones wait for each other instead
        of each holding what the other needs.
        """
        if self._keys and len(rows) > 1:
            rows = sorted(rows, key=self._lock_order)
        return dialect.insert_calls(self.text(dialect, ignores=ignores), rows)

    def _lock_order(self, row: Sequence[Any]) -> list[tuple[bool, Any]]:
        return [(row[index] is not None, row[index] if row[index] is not None else 0) for index in self._keys]
