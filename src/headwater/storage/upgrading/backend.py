"""What every database answers when it is upgraded, with the answers that most have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any, ClassVar

import sqlalchemy as sa

from headwater.errors import Aborted, DatabaseRefused, FailedPrecondition, HeadwaterError, ResourceExhausted
from headwater.storage import schema
from headwater.storage.upgrading.changes import EVENT_KEY, Change
from headwater.storage.upgrading.layout import Layout, read_layout


class Backend:
    """A connection in autocommit mode, and what is particular to the database behind it."""

    types: ClassVar[Mapping[str, str]]
    """The type of each column that an upgrade adds."""
    external_id_key: str
    """Names the constraint on the external id of a table, which goes in by ``format``; may be empty."""
    event_key: str
    is_alone = True
    """Whether ``alone`` keeps others out from one step to the next."""
    after_failure = "nothing of this step was stored"

    def __init__(self, connection: sa.Connection, patience_s: int) -> None:
        self.connection = connection
        self.patience_s = patience_s
        """How long to wait for another upgrade, and for a table that another program keeps busy."""

    def set_up(self) -> None:
        """Called once, before anything else."""

    def layout(self) -> Layout:
        """What is there now."""
        return read_layout(self.connection)

    def alone(self) -> AbstractContextManager[object]:
        """Keep other upgrades of this database out; waits for one that is at work.

        Raises:
            Aborted: it did not end in ``patience_s``.
        """
        return nullcontext()

    def step(self) -> AbstractContextManager[object]:
        """One transaction, where the database can change tables in one."""
        return self._transaction("BEGIN")

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        self.connection.exec_driver_sql(begin)
        try:
            yield
            self.connection.exec_driver_sql("COMMIT")
        except BaseException:
            # A connection that is lost has rolled back; what was raised first is what matters.
            with suppress(sa.exc.SQLAlchemyError):
                self.connection.exec_driver_sql("ROLLBACK")
            raise

    def add_columns(self, table: sa.Table, names: Sequence[str], layout: Layout) -> Iterable[Change]:
        """Add those of the columns that are missing."""
        added = [
            f"ADD COLUMN {name} {self.types[name]}" for name in names if layout.type_of(table, name) is None
        ]
        if added:
            yield Change.of(f"ALTER TABLE {table.name} {', '.join(added)}")

    def lengthen_strings(self, properties: sa.Table, layout: Layout) -> Iterable[Change]:
        """Make room for long strings in a property table."""
        return ()

    def add_external_id(self, table: sa.Table, layout: Layout) -> Iterable[Change]:
        """Add the column, its unique key and its index, whichever is missing."""
        added = []
        if layout.type_of(table, "external_id") is None:
            added.append(f"ADD COLUMN external_id {self.types['external_id']}")
        if not layout.is_unique(table, "external_id"):
            added.append(f"ADD {self.external_id_key.format(table.name)}UNIQUE (external_id)")
        if added:
            yield Change.of(f"ALTER TABLE {table.name} {', '.join(added)}")
        yield from self.add_indexes(
            (index for index in table.indexes if index.columns.keys() == ["external_id"]), layout
        )

    def make_events_unique(self, layout: Layout) -> Iterable[Change]:
        """Allow one event of a type between an artifact and an execution; duplicates are gone already."""
        events = schema.event_table
        if not layout.is_unique(events, *EVENT_KEY):
            yield Change.of(f"ALTER TABLE Event ADD {self.event_key}UNIQUE ({', '.join(EVENT_KEY)})")
        yield from self.add_indexes(events.indexes, layout)
        if layout.has_index("idx_event_artifact_id"):
            yield self.drop_index("idx_event_artifact_id", events)

    def drop_index(self, name: str, table: sa.Table) -> Change:
        return Change.of(f"DROP INDEX {name}")

    def add_indexes(self, indexes: Iterable[sa.Index], layout: Layout) -> Iterable[Change]:
        """Make those of the indexes that are missing."""
        for index in sorted(indexes, key=lambda index: str(index.name)):
            if not layout.has_index(index.name):
                yield Change(sa.schema.CreateIndex(index), makes_index=str(index.name))

    def add_index_beside_writers(self, index: sa.Index, layout: Layout) -> Iterable[Change]:
        """Make an index that is missing, outside a transaction; writers are kept out only if they must be."""
        return self.add_indexes([index], layout)

    def mend(self, layout: Layout) -> Iterable[Change]:
        """Put right what ML Metadata's own upgrade leaves wrong."""
        return ()

    def widen(self, table: sa.Table, columns: Sequence[sa.Column[Any]], layout: Layout) -> Iterable[Change]:
        """Give ``columns`` 64 bits, which have 32 today, and what counts the ids of the table."""
        return ()

    def drop_failed_index(self, name: str) -> None:
        """Remove what a failed ``add_index_beside_writers`` may leave."""

    def text_of(self, clause: sa.Executable) -> str:
        """The statement on one line, its values in place."""
        assert isinstance(clause, sa.ClauseElement)
        compiled = clause.compile(self.connection, compile_kwargs={"literal_binds": True})
        return " ".join(str(compiled).split())

    def explained(self, error: sa.exc.DBAPIError, title: str) -> HeadwaterError:
        """The driver's error in the words of somebody who runs an upgrade."""
        said = str(error.orig).strip().split("\n")[0]
        raised, advice = self._advice(error.orig)
        return raised(f"{title}: {advice}; {self.after_failure} (the database says: {said})")

    def _advice(self, error: BaseException | None) -> tuple[type[HeadwaterError], str]:
        match self._cause(error):
            case "busy":
                return Aborted, (
                    "another program kept the tables busy; stop the servers that use the database, and "
                    "repeat the upgrade"
                )
            case "rights":
                return FailedPrecondition, (
                    "the user of the URL may not change the tables; give the one that owns them"
                )
            case "full":
                return (
                    ResourceExhausted,
                    "the disk of the database is full; make room, and repeat the upgrade",
                )
            case "too long for an index":
                return DatabaseRefused, (
                    "a value is longer than an index can hold; shorten it, and repeat the upgrade"
                )
            case "gone":
                return Aborted, "the connection to the database was lost; repeat the upgrade"
            case _:
                return FailedPrecondition, "the database refused a statement"

    def _cause(self, error: BaseException | None) -> str:
        raise NotImplementedError
