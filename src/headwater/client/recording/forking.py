"""What a process does before it forks, and what its child has to forget.

A child must not use what its parent has open, nor renew or end what its parent holds, and no lock may
be copied while a thread that the child does not have holds it.
"""

import os
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

_LONGEST_WAIT_S = 3.0


class Forkable(Protocol):
    """Something of this process alone."""

    def before_fork(self) -> None: ...

    def after_fork_in_parent(self) -> None: ...

    def after_fork_in_child(self) -> None: ...


_known: "weakref.WeakSet[Forkable]" = weakref.WeakSet()
_registered: set[bool] = set()
_STORAGE = "headwater.storage.database"


def watch(one: Forkable) -> None:
    """Tell ``one`` of forks from now on, for as long as it lives."""
    _known.add(one)
    # Who registers last is asked first before a fork. Calls have to end before the databases in this process
    # stop answering, so it is done again when there are such; being asked twice does no harm.
    has_storage = _STORAGE in sys.modules
    if has_storage not in _registered and True not in _registered and hasattr(os, "register_at_fork"):
        _registered.add(has_storage)
        os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)


class Gate:
    """Keeps calls from being in flight while the process forks."""

    def __init__(self) -> None:
        self._idle = threading.Condition()
        self._in_flight = 0
        self._is_closed = False

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Be in flight. Waits, for a bounded time, while the process forks."""
        with self._idle:
            self._idle.wait_for(lambda: not self._is_closed, timeout=_LONGEST_WAIT_S)
            self._in_flight += 1
        idle = self._idle
        try:
            yield
        finally:
            # A child that forked in here has another condition, and nothing in flight.
            with idle:
                if idle is self._idle:
                    self._in_flight -= 1
                    idle.notify_all()

    def close(self) -> None:
        """Let nobody in, and wait for a bounded time until nobody is left."""
        with self._idle:
            self._is_closed = True
            self._idle.wait_for(lambda: self._in_flight == 0, timeout=_LONGEST_WAIT_S)

    def open(self) -> None:
        with self._idle:
            self._is_closed = False
            self._idle.notify_all()


def _before() -> None:
    for one in list(_known):
        one.before_fork()


def _in_parent() -> None:
    for one in list(_known):
        one.after_fork_in_parent()


def _in_child() -> None:
    for one in list(_known):
        one.after_fork_in_child()
