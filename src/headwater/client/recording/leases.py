"""The heartbeat: one thread of a process renews all its leases, in one call.

It also does what a run leaves for later, so that a process has one thread of ours and no more.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from headwater.errors import HeadwaterError
from headwater.v1 import pipelines_pb2 as pp

logger = logging.getLogger("headwater")

Renew = Callable[[pp.RenewLeasesRequest], pp.RenewLeasesResponse]


@dataclass
class _Held:
    duration_s: float
    due: float
    """When it is to be renewed, by the monotonic clock."""
    on_lost: Callable[[], None]


class Heartbeat:
    """The leases of this process at one store. Safe for threads.

    Each is renewed when a third of its time is over, with all others. ``renew`` asks the store.
    """

    def __init__(self, renew: Renew) -> None:
        self._renew = renew
        self._wakes = threading.Condition()
        self._held: dict[str, _Held] = {}
        self._chores: list[Callable[[], None]] = []
        self._thread: threading.Thread | None = None
        self._is_closed = False

    @property
    def tokens(self) -> list[str]:
        """The leases that are held."""
        with self._wakes:
            return list(self._held)

    def hold(self, lease: pp.Lease, on_lost: Callable[[], None]) -> None:
        """Renew a lease until it is let go. ``on_lost`` is called, in another thread, if it ended before."""
        if not lease.token:
            return
        duration_s = lease.duration_ms / 1000
        with self._wakes:
            self._held[lease.token] = _Held(duration_s, time.monotonic() + duration_s / 3, on_lost)
            self._start()

    def let_go(self, token: str) -> None:
        """Do not renew it any more."""
        with self._wakes:
            self._held.pop(token, None)

    def do_soon(self, chore: Callable[[], None]) -> None:
        """Do something in the thread. What it raises is logged, not more."""
        with self._wakes:
            self._chores.append(chore)
            self._start()

    def close(self) -> None:
        """Renew nothing more, and end the thread."""
        with self._wakes:
            self._is_closed = True
            self._held.clear()
            self._wakes.notify_all()

    def begin_anew(self) -> None:
        """In a forked child: there is no thread, and the leases are the parent's."""
        self._wakes = threading.Condition()
        self._held, self._chores, self._thread = {}, [], None

    def _start(self) -> None:
        self._is_closed = False
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._beat, name="headwater-heartbeat", daemon=True)
            try:
                self._thread.start()
            except RuntimeError as error:  # The interpreter is ending, or there are too many threads.
                logger.debug("leases are not renewed: %s", error)
                self._thread = None
                return
        self._wakes.notify_all()

    def _beat(self) -> None:
        while True:
            with self._wakes:
                if self._is_closed:
                    self._thread = None
                    return
                chore = self._chores.pop(0) if self._chores else None
                due = min((held.due for held in self._held.values()), default=None)
                if chore is None and (due is None or due > time.monotonic()):
                    self._wakes.wait(None if due is None else due - time.monotonic())
                    continue
                tokens = list(self._held) if due is not None and due <= time.monotonic() else []
            # Leases first: a chore may take a while.
            if tokens:
                self._renew_now(tokens)
            if chore is not None:
                try:
                    chore()
                except Exception:
                    logger.debug("a background task failed", exc_info=True)

    def _renew_now(self, tokens: list[str]) -> None:
        try:
            answer = self._renew(pp.RenewLeasesRequest(tokens=tokens))
        except HeadwaterError as error:
            logger.debug("leases were not renewed: %s", error)
            lost: list[str] = []
        else:
            lost = list(answer.lost_tokens)
        now = time.monotonic()
        with self._wakes:
            for token in tokens:
                held = self._held.get(token)
                if held is not None:
                    held.due = now + held.duration_s / 3
            gone = [self._held.pop(token) for token in lost if token in self._held]
        for held in gone:
            held.on_lost()
