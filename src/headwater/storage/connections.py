"""A bounded number of connections to one server, each lent to one attempt at a time.

Whoever waits for a connection stops waiting when nobody waits for it any more, and a connection that was
opened before the server went away is not lent again: that is why this is no pool of SQLAlchemy's.
"""

import logging
import threading
import time
from collections import deque
from contextlib import suppress
from typing import Any

from headwater.errors import Unavailable
from headwater.storage.callers import PATIENT, Caller
from headwater.storage.dialects import ServerDialect

log = logging.getLogger(__name__)

# How often one who waits for a connection, or the watcher, looks whether the caller still waits.
_LOOK_S = 0.25
# Firewalls forget connections that are silent for long.
_OLDEST_S = 1_800.0


class Lent:
    """A connection while an attempt has it."""

    __slots__ = ("born_at", "caller", "connection", "lock", "was_stopped")

    def __init__(self, connection: Any, caller: Caller) -> None:
        self.connection = connection
        self.caller = caller
        self.born_at = time.monotonic()
        self.lock = threading.Lock()
        """Held by the watcher while it stops a statement, so that nothing else is stopped in its stead."""
        self.was_stopped = False


class Connections:
    """Connections that are open, in use or idle. Never more than ``limit``. Safe for threads."""

    def __init__(self, dialect: ServerDialect, *, limit: int, patience_s: float) -> None:
        self._dialect = dialect
        self._limit = limit
        self._patience_s = patience_s
        self.away_since: float | None = None
        """When the server was first found away, by ``time.monotonic``; ``None`` while it answers."""
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        """Begin anew: threads, and connections if there are any, belong to the other process."""
        self._slots = threading.Semaphore(self._limit)
        self._idle: deque[Lent] = deque()
        self._oldest_good = 0.0
        self._watcher = _Watcher(self._dialect)

    def borrow(self, caller: Caller) -> Lent:
        """A connection without a transaction, to be given back whatever happens.

        Raises:
            Unavailable: the server is away, or every connection is in use for long.
            DatabaseRefused: the server does not let us in.
            DeadlineExceeded, Cancelled: the caller went while this waited.
        """
        self._take_slot(caller)
        try:
            lent = self._usable(caller) or Lent(self._connected(), caller)
        except BaseException:
            self._slots.release()
            raise
        if caller is not PATIENT:
            self._watcher.watch(lent)
        return lent

    def give_back(self, lent: Lent, *, is_clean: bool) -> None:
        """Take a connection back; it is closed unless it is ``is_clean``: sound, and in no transaction."""
        try:
            self._watcher.forget(lent)
            # A statement may be stopped late, when the next one is running.
            if is_clean and not lent.was_stopped and self._is_good(lent):
                lent.caller = PATIENT
                self._idle.append(lent)
            else:
                _close(lent)
        finally:
            self._slots.release()

    def drop_idle(self) -> None:
        """Close connections that nobody uses, and those in use when they are given back."""
        self._oldest_good = time.monotonic()
        while True:
            try:
                lent = self._idle.pop()
            except IndexError:
                return
            _close(lent)

    def close(self) -> None:
        self.drop_idle()
        self._oldest_good = float("inf")
        self._watcher.close()

    def _take_slot(self, caller: Caller) -> None:
        until = time.monotonic() + self._patience_s
        while not self._slots.acquire(timeout=_LOOK_S):
            if not caller.still_waits():
                raise caller.why_not()
            if time.monotonic() > until:
                raise Unavailable(
                    "every connection to the database is in use; raise --database-connections, or try again"
                )

    def _usable(self, caller: Caller) -> Lent | None:
        while True:
            try:
                lent = self._idle.pop()
            except IndexError:
                return None
            if self._is_good(lent):
                lent.caller = caller
                return lent
            _close(lent)

    def _connected(self) -> Any:
        try:
            connection = self._dialect.connect()
        except Unavailable:
            if self.away_since is None:
                self.away_since = time.monotonic()
            raise
        self.away_since = None
        return connection

    def _is_good(self, lent: Lent) -> bool:
        return lent.born_at > max(self._oldest_good, time.monotonic() - _OLDEST_S)


def _close(lent: Lent) -> None:
    # However a connection is broken, there is no more to do about it than this.
    with suppress(Exception):
        lent.connection.close()


class _Watcher:
    """Stops what runs for a caller who has gone without a deadline that the database could have kept."""

    def __init__(self, dialect: ServerDialect) -> None:
        self._dialect = dialect
        self._watched: set[Lent] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def watch(self, lent: Lent) -> None:
        with self._changed:
            self._watched.add(lent)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="headwater-watcher", daemon=True)
                self._thread.start()
            elif len(self._watched) == 1:
                self._changed.notify()

    def forget(self, lent: Lent) -> None:
        """Leave ``lent`` alone from now on."""
        with self._changed:
            self._watched.discard(lent)
        with lent.lock:
            pass  # A stop that is under way goes to this statement, not to the next.

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._watched or self._is_closed)
                if self._is_closed:
                    return
                watched = list(self._watched)
            for lent in watched:
                if not lent.was_stopped and not lent.caller.still_waits():
                    self._stop(lent)
            time.sleep(_LOOK_S)

    def _stop(self, lent: Lent) -> None:
        with lent.lock:
            with self._changed:
                if lent not in self._watched:
                    return
                lent.was_stopped = True
            try:
                self._dialect.stop(lent.connection)
            except Exception as error:  # It ends by itself, only later.
                log.debug("a statement was not stopped", extra={"error": type(error).__name__})
