"""Rows on their way: values that mean the same whichever database they come from.

Flags are ``bool``, messages and bytes are ``bytes``, everything else is what Python has for it. Equal
rows are then equal tuples, on which comparing and the digest rely.
"""

from __future__ import annotations

import binascii
import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from headwater.storage import schema
from headwater.storage.copying.backends import Backend
from headwater.storage.statements import Prepared

Row = tuple[Any, ...]

Ask = Callable[..., Sequence[Row]]
"""Gives the rows of a ``Prepared`` query, followed by its values."""

TABLES = (
    *(table for table in schema.MLMD_TABLES if table is not schema.env_table),
    *schema.PIPELINE_TABLES,
)
"""What is copied, row by row; the table with the version is written when all is done."""

EXAMPLES = 100
"""So many rows of each table are described; all are counted."""

_NAN = float("nan")  # One object, so that two rows which have it are equal.
_PAGE_ROWS = 2_000
_PAGE_BYTES = 8 * 1024 * 1024
# Shorter text fits into every column.
_SURELY_SHORT = 63


@dataclass(frozen=True)
class Problem:
    """A row that the target cannot hold."""

    table: str
    key: dict[str, Any]
    """Column name to value, of the columns that tell the row apart."""
    column: str | None
    """Where it is known."""
    problem: str


@dataclass(frozen=True)
class Difference:
    """A row that is not the same on both sides."""

    table: str
    key: dict[str, Any]
    problem: str


class Layout:
    """A table as it is copied."""

    def __init__(self, table: sa.Table) -> None:
        self.table = table
        self.name = table.name
        self.columns: list[sa.Column[Any]] = list(table.columns)
        self.lead = self.columns[0]
        """The integer column by which the table is read, page by page; rows that share one stay together."""
        self.keys = [index for index, column in enumerate(self.columns) if column.primary_key]
        """What tells rows apart. Steps of event paths have nothing; there it is their order that counts."""
        self._large = [
            index
            for index, column in enumerate(self.columns)
            if isinstance(column.type, sa.String | sa.LargeBinary)
        ]
        self._doubles = [
            index for index, column in enumerate(self.columns) if isinstance(column.type, sa.Float)
        ]
        self._sort_key: Callable[[Row], Any] | None = itemgetter(*self.keys) if self.keys else None

    def in_order(self, rows: Iterable[Row]) -> list[Row]:
        """As they are compared: sorted alike whatever the collation, but for the steps of event paths."""
        found = sorted(rows, key=self._sort_key) if self._sort_key else list(rows)
        for index in self._doubles:
            # Not every database tells minus zero from zero.
            if any(row[index] == 0 for row in found):
                found = [(*row[:index], 0.0, *row[index + 1 :]) if row[index] == 0 else row for row in found]
        return found

    def size(self, rows: Sequence[Row]) -> int:
        """About how many bytes rows have in those columns that may be large."""
        return sum(sum(map(len, filter(None, map(itemgetter(index), rows)))) for index in self._large)

    def key_of(self, row: Row) -> dict[str, Any]:
        """What tells this row apart, by the names of the columns."""
        return {str(self.columns[index].name): row[index] for index in self.keys or [0]}


@cache
def layout_of(table: sa.Table) -> Layout:
    return Layout(table)


class Reading:
    """How a database is asked for the rows of one table, and what its values mean."""

    def __init__(self, backend: Backend, layout: Layout) -> None:
        self.layout = layout
        self._dialect = dialect = backend.dialect
        lead = layout.lead
        # Drivers that give all bytes as text would garble bytes that are none.
        selected = [
            dialect.as_hex(column) if column.key == "byte_value" else column for column in layout.columns
        ]
        everything = backend.in_order(sa.select(*selected), layout.table, lead)
        after, upto = (sa.bindparam(name, type_=sa.BigInteger()) for name in ("after", "upto"))
        limit = sa.bindparam("count", type_=sa.Integer())
        self.first_page = Prepared(everything.limit(limit), "count")
        self.next_page = Prepared(everything.where(lead > after).limit(limit), "after", "count")
        self.until = Prepared(everything.where(lead <= upto), "upto")
        self.between = Prepared(everything.where(lead > after, lead <= upto), "after", "upto")
        self.count = Prepared(sa.select(sa.func.count()).select_from(layout.table))
        self._converters = [
            (index, converter)
            for index, column in enumerate(layout.columns)
            if (converter := self._converter(column)) is not None
        ]
        self._texts = [
            index for index, column in enumerate(layout.columns) if isinstance(column.type, sa.String)
        ]
        self._messages = [index for index, column in enumerate(layout.columns) if column.key == "proto_value"]

    def _converter(self, column: sa.Column[Any]) -> Callable[[Any], Any] | None:
        if isinstance(column.type, sa.Boolean):
            return bool
        if isinstance(column.type, sa.Float):
            return _double
        if column.key == "byte_value":
            return bytes.fromhex
        return self._message if isinstance(column.type, sa.LargeBinary) else None

    def _message(self, value: Any) -> Any:
        try:
            return self._dialect.decode_proto(value)
        except (binascii.Error, ValueError):
            return str(value)  # Noticed by ``suspicious``.

    def understood(self, rows: Sequence[Row]) -> list[Row]:
        """Rows as the driver gives them, as values of ours."""
        if not rows:
            return []
        columns = list(zip(*rows, strict=True))
        changed = False
        for index, convert in self._converters:
            if any(value is not None for value in columns[index]):
                columns[index] = tuple(None if value is None else convert(value) for value in columns[index])
                changed = True
        return list(zip(*columns, strict=True)) if changed else [tuple(row) for row in rows]

    def suspicious(self, rows: Sequence[Row]) -> Iterator[tuple[Row, sa.Column[Any], str]]:
        """The texts that need a closer look: long ones, and those with characters that mean trouble."""
        for index in self._texts:
            column = self.layout.columns[index]
            for row in rows:
                value = row[index]
                if isinstance(value, str) and (
                    len(value) > _SURELY_SHORT or "\0" in value or "\ufffd" in value
                ):
                    yield row, column, value

    def undecodable(self, rows: Sequence[Row]) -> Iterator[tuple[Row, sa.Column[Any]]]:
        """The messages that are none."""
        for index in self._messages:
            yield from ((row, self.layout.columns[index]) for row in rows if isinstance(row[index], str))

    def is_utf8(self, ask: Ask, row: Row, column: sa.Column[Any]) -> bool:
        """Whether what reads as a replacement character in this row is one."""
        exact = Prepared(
            sa.select(*(self.layout.columns[index] for index in self.layout.keys))
            .add_columns(self._dialect.as_hex(column))
            .where(self.layout.lead == sa.bindparam("lead", type_=sa.BigInteger())),
            "lead",
        )
        key = tuple(row[index] for index in self.layout.keys)
        for *stored_key, stored in ask(exact, row[0]):
            try:
                bytes.fromhex(stored or "").decode()
            except UnicodeDecodeError:
                if tuple(stored_key) == key:
                    return False
        return True


def _double(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return _NAN if math.isnan(value) else value


def pages(ask: Ask, reading: Reading, after: int | None = None) -> Iterator[list[Row]]:
    """A table whose leading column is beyond ``after``, in pages; rows that share it are in one of them."""
    wanted = _PAGE_ROWS
    while True:
        rows = ask(reading.first_page, wanted) if after is None else ask(reading.next_page, after, wanted)
        is_last = len(rows) < wanted
        if not is_last:
            # The last value may go on beyond the page.
            kept = [row for row in rows if row[0] != rows[-1][0]]
            if not kept:
                wanted *= 2
                continue
            rows = kept
        if rows:
            after = rows[-1][0]
            understood = reading.understood(rows)
            yield understood
            fitting = len(rows) * _PAGE_BYTES // max(reading.layout.size(understood), 1)
            wanted = max(2, min(_PAGE_ROWS, fitting))
        if is_last:
            return


class Digest:
    """A digest of all rows of a table, the same for equal tables on whatever database."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.rows = 0

    def add(self, rows: Sequence[Row]) -> bytes:
        """Add rows; what they are as text, for ``add_text`` of the other side."""
        text = "".join([f"{row!r}\n" for row in rows]).encode("utf-8", "surrogatepass")
        self.add_text(text, len(rows))
        return text

    def add_text(self, text: bytes, rows: int) -> None:
        self.rows += rows
        self._hash.update(text)

    def __str__(self) -> str:
        return self._hash.hexdigest()


def differences(layout: Layout, source: Sequence[Row], target: Sequence[Row]) -> Iterator[Difference]:
    """How rows that should be equal differ."""
    keys = layout.keys or [0]

    def by_key(rows: Sequence[Row]) -> dict[Row, list[Row]]:
        found: dict[Row, list[Row]] = {}
        for row in rows:
            found.setdefault(tuple(row[index] for index in keys), []).append(row)
        return found

    here, there = by_key(source), by_key(target)
    for key, rows in here.items():
        if key not in there:
            yield Difference(layout.name, layout.key_of(rows[0]), "is missing in the target")
        elif rows != there[key]:
            yield Difference(layout.name, layout.key_of(rows[0]), _difference(layout, rows, there[key]))
    for key in there.keys() - here.keys():
        yield Difference(layout.name, layout.key_of(there[key][0]), "is not in the source")


def _difference(layout: Layout, here: Sequence[Row], there: Sequence[Row]) -> str:
    if len(here) != len(there):
        return f"has {len(here)} rows in the source and {len(there)} in the target"
    for one, other in zip(here, there, strict=True):
        for column, value, copied in zip(layout.columns, one, other, strict=True):
            if value != copied:
                return f"has {column.name} {value!r:.100} in the source and {copied!r:.100} in the target"
    return "differs"
