"""What an upgrade does, as values: steps of statements, shown before they are run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

if TYPE_CHECKING:
    from headwater.storage.upgrading.backend import Backend
    from headwater.storage.upgrading.layout import Layout


@dataclass(frozen=True)
class Statement:
    """One statement of a step."""

    sql: str
    rows: int | None
    """Rows that it writes or removes; ``None`` where that is not known, or no row is touched."""


@dataclass(frozen=True)
class Step:
    """What is done at once: in one transaction where the database can, else one statement after the other."""

    title: str
    version: int | None
    """The schema version that the database has afterwards; ``None`` if the step leaves it as it is."""
    statements: tuple[Statement, ...]


Progress = Callable[[Step, Statement], None]
"""Called before a statement is run, with the step that it belongs to."""


@dataclass(frozen=True)
class Change:
    """A statement before it is text."""

    clause: sa.Executable
    counted: sa.Select[Any] | None = None
    """Asks how many rows the statement will touch."""
    makes_index: str | None = None

    @classmethod
    def of(cls, sql: str, counted: sa.Select[Any] | None = None) -> Change:
        """A change in the database's own words, for what SQLAlchemy has none."""
        return cls(sa.text(sql), counted)


@dataclass(frozen=True)
class Recipe:
    """A step that is not worked out yet, because that takes a look at the database."""

    title: str
    changes: Callable[[Backend, Layout], Iterable[Change]]
    version: int | None = None
    in_transaction: bool = True


EVENT_KEY = ("artifact_id", "execution_id", "type")
"""What may be there once, from version 8 on."""


def all_rows(table: sa.Table) -> sa.Select[Any]:
    """How many rows a table has."""
    return sa.select(sa.func.count()).select_from(table)
