"""An open database, of whatever kind: transactions that read, and transactions that write."""

import os
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

from headwater.storage.callers import PATIENT, Caller
from headwater.storage.dialects import Dialect
from headwater.storage.transactions import Transaction

T = TypeVar("T")

# How long closing and forking wait for what is under way.
_WAIT_S = 10.0


class Database(ABC):
    """A database that has been opened and found fit to serve (``headwater.storage.opening``).

    Safe for threads, and across ``fork``: no connection is open while the process forks.
    """

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self._closed = False
        self._used = 0
        self._is_forking = False
        self._idle = threading.Condition()
        _OPEN.add(self)

    @abstractmethod
    def read(self, work: Callable[[Transaction], T], caller: Caller = PATIENT) -> T:
        """Run ``work`` on one state of the database and return what it returns."""

    @abstractmethod
    def write(self, work: Callable[[Transaction], T], caller: Caller = PATIENT) -> T:
        """Run ``work`` in a transaction of its own and return what it returns, once it is on disk.

        ``work`` may be run more than once; only what the last run wrote is stored.

        Raises:
            HeadwaterError: from ``work``; nothing of it is stored.
            Aborted: other writers were in the way for a minute.
            Unavailable: the database cannot be reached.
            DeadlineExceeded, Cancelled: the caller had gone before its turn came.
        """

    @abstractmethod
    def close(self) -> None:
        """Wait for what is under way, then close. Later calls raise ``Unavailable``."""

    # Connections in use

    def _one_more(self) -> None:
        with self._idle:
            self._idle.wait_for(lambda: not self._is_forking)
            self._used += 1

    def _one_less(self) -> None:
        with self._idle:
            self._used -= 1
            self._idle.notify_all()

    def _wait_until_unused(self) -> None:
        with self._idle:
            self._idle.wait_for(lambda: self._used == 0, timeout=_WAIT_S)

    def _forget(self) -> None:
        """Have no more to do with forks."""
        _OPEN.discard(self)

    @abstractmethod
    def _close_connections(self) -> None:
        """Close what a child must not inherit, once nothing is in use."""

    def before_fork(self) -> None:
        with self._idle:
            self._is_forking = True
        self._close_connections()

    def after_fork_in_parent(self) -> None:
        with self._idle:
            self._is_forking = False
            self._idle.notify_all()

    def after_fork_in_child(self) -> None:
        self._idle = threading.Condition()
        self._is_forking = False
        self._used = 0


_OPEN: "weakref.WeakSet[Database]" = weakref.WeakSet()


def _before_fork() -> None:
    for database in list(_OPEN):
        database.before_fork()


def _after_fork_in_parent() -> None:
    for database in list(_OPEN):
        database.after_fork_in_parent()


def _after_fork_in_child() -> None:
    for database in list(_OPEN):
        database.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
