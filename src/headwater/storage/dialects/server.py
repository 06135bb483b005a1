"""What a database behind a connection must answer beside what every one must."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from headwater.storage.dialects.base import Call, Dialect, Outcome

# Within what every database takes.
_LONGEST_LIMIT_S = 7 * 24 * 3600


class ServerDialect(Dialect):
    """A database behind connections, which cost round trips, are shared with others, and can be lost."""

    is_server = True
    commit = Call("COMMIT")
    rollback = Call("ROLLBACK")

    @abstractmethod
    def connect(self) -> Any:
        """A connection of its own, without a transaction.

        Raises:
            DatabaseRefused: wrong password, no such database, no rights: with what to do about it.
            Unavailable: nobody answers there now.
        """

    @abstractmethod
    def create_database(self) -> None:
        """Make the database that the URL names, if there is none.

        Raises:
            DatabaseRefused: the user may not.
        """

    @abstractmethod
    def run(self, connection: Any, calls: Sequence[Call]) -> list[Outcome]:
        """Run statements in order in one round trip. The first that fails raises; none after it is run."""

    @abstractmethod
    def stop(self, connection: Any) -> None:
        """Stop what runs on a connection that another thread uses; its statement fails as ``is_stopped``.

        May raise anything, and stop nothing.
        """

    @abstractmethod
    def begin_read(self, timeout_s: float | None) -> Sequence[Call]:
        """Begin a transaction that sees one state and ends no later than in ``timeout_s``."""

    @abstractmethod
    def begin_write(self, timeout_s: float | None) -> Sequence[Call]:
        """Begin a transaction whose every statement sees what is committed by then."""

    @abstractmethod
    def insert_calls(self, text: str, rows: Sequence[Sequence[Any]]) -> Sequence[Call]:
        """The statements that insert ``rows``; ``text`` is that of ``insert_statement``."""

    def around_whole_read(self, timeout_s: float | None) -> tuple[Sequence[Call], Sequence[Call]]:
        """What comes before and after queries of one ``run`` to make them a transaction of their own."""
        return self.begin_read(timeout_s), (self.commit,)

    @abstractmethod
    def reservation(self, table: sa.Table, count: int) -> Sequence[Call]:
        """What takes ids from the counter of ``table``, so that nobody else gets them."""

    @abstractmethod
    def reserved(self, outcomes: Sequence[Outcome], count: int) -> list[int]:
        """The ids that the calls of ``reservation`` took, ascending."""

    @abstractmethod
    def lock_opening(self, connection: Any) -> None:
        """Keep others from making or upgrading this database until ``unlock_opening``."""

    @abstractmethod
    def unlock_opening(self, connection: Any) -> None: ...

    def finish_definition(self, text: str) -> str:
        """A CREATE statement as this database is to run it."""
        return text

    def check_fit_for_a_store(self, connection: Any) -> None:
        """Look at a database that is about to get tables.

        Raises:
            DatabaseRefused: not every text could be stored in it.
        """

    def learn(self, connection: Any) -> None:
        """Look at what differs from one database of this kind to the next, once it holds a store."""

    @abstractmethod
    def is_conflict(self, error: Exception) -> bool:
        """Whether the transaction lost against another one, so that repeating it may succeed."""

    @abstractmethod
    def is_lost(self, error: Exception, connection: Any) -> bool:
        """Whether the connection is of no use any more; what it was asked may have been done."""

    @abstractmethod
    def is_stopped(self, error: Exception) -> bool:
        """Whether the statement was ended by ``stop``, a person, or because its time was up."""


def limit_ms(timeout_s: float | None) -> int | None:
    """How long a statement may take, for databases to which zero means no limit, as ``None`` does here."""
    if timeout_s is None or timeout_s > _LONGEST_LIMIT_S:
        return None
    return max(1, int(timeout_s * 1000))
