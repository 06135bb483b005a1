"""What one process says to one store about runs and steps: in bounded time, and into the spool if it is away.

A *judged* request is one that a store answered, even if with a refusal; anything else means that the store
is away. Before anything new is said, what this process has in the spool is told, so that a store learns
things in the order in which they happened.
"""

import atexit
import logging
import os
import socket
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from google.protobuf.message import Message

from headwater import errors
from headwater.client.recording import replay as replaying
from headwater.client.recording.breaker import Breaker
from headwater.client.recording.forking import Gate, watch
from headwater.client.recording.leases import Heartbeat
from headwater.client.recording.places import shown_target, spool_directory
from headwater.client.recording.punctual import ask_in_time
from headwater.client.recording.spool import SpoolWriter
from headwater.client.transport import Transport
from headwater.v1 import pipelines_pb2 as pp
from headwater.wire import METHODS

if TYPE_CHECKING:
    from headwater.client.recording.attempt import Attempt

logger = logging.getLogger("headwater")

R = TypeVar("R", bound=Message)

TIMEOUT_S = 2.0
"""How long what is said before or after a step may take."""
STRICT_TIMEOUT_S = 60.0
_REPLAY_S = 5.0
"""How long a run that begins replays what earlier processes left, in the background."""
_SWEEPS_EVERY_S = 60.0
_SHORTEST_S = 0.1
_MOMENT_S = 0.05
"""How long a step waits for the spool to be told."""
_SLICE_S = 0.5
"""How long it is told in the background before leases are renewed again."""
_MOST_AWAITED = 10_000


class Deadline:
    """The time that is left for one thing, however many calls it takes."""

    def __init__(self, timeout_s: float) -> None:
        self._until = time.monotonic() + timeout_s

    def left_s(self) -> float:
        """Seconds.

        Raises:
            DeadlineExceeded: there are none.
        """
        left_s = self._until - time.monotonic()
        if left_s <= 0:
            raise errors.DeadlineExceeded("the time for recording is up")
        return left_s


@dataclass(frozen=True)
class Manner:
    """How a run is recorded."""

    strict: bool = False
    """Whether what the store does not take is raised."""
    timeout_s: float = TIMEOUT_S

    def deadline(self) -> Deadline:
        return Deadline(self.timeout_s)


class Recorder:
    """Safe for threads, and across fork: a child begins anew, without leases and with its own spool file."""

    def __init__(
        self, transport: Transport, *, breaker: Breaker | None = None, spool_root: Path | None = None
    ) -> None:
        self._transport = transport
        self.target = str(getattr(transport, "target", ""))
        self._breaker = breaker
        self._begin_anew()
        directory = spool_directory(self.target, spool_root)
        self.spool = SpoolWriter(directory, target=self.target)
        self.heartbeat = Heartbeat(self._renew)
        self._awaited: dict[str, Callable[[Message], None]] = {}
        self.begun: dict[int, Attempt] = {}
        """What this process computes, by execution."""
        watch(self)
        _recorders.add(self)

    def _begin_anew(self) -> None:
        self._gate = Gate()
        self.breaker = self._breaker or Breaker()
        self._draining = threading.Lock()
        self._drains = threading.Lock()
        self._drained: threading.Event | None = None
        self._has_warned = False
        self._has_told_waiting = False
        self._swept_at = 0.0

    @property
    def worker(self) -> str:
        """Who this process is, for people to read."""
        return f"{socket.gethostname()}:{os.getpid()}"

    def without_forks(self) -> AbstractContextManager[None]:
        """Keeps the process from forking, for a bounded time, while something short is done.

        A child that is forked while another thread imports a module can never import it.
        """
        return self._gate.passing()

    # Asking and telling

    def ask(self, request: Message, response_class: type[R], manner: Manner, deadline: Deadline) -> R:
        """The answer of the store.

        Raises:
            HeadwaterError: as a transport does; ``Unavailable`` at once where the store was away just now.
        """
        if manner.strict:
            return self._call(request, response_class, deadline)
        if not self.breaker.allows():
            raise errors.Unavailable("the store was away a moment ago; it is asked again later")
        if not self.spool.is_empty and not self._drain_soon():
            raise errors.Unavailable("the store is still being told what happened while it was away")
        began = time.monotonic()
        try:
            answer = self._call(request, response_class, deadline)
        except replaying.JUDGED:
            self.breaker.succeeded()
            raise
        except errors.HeadwaterError as error:
            self.breaker.failed(ran_out_of_time=isinstance(error, errors.DeadlineExceeded))
            raise
        except Exception as error:
            # A fault of ours is no reason to end a program that computes something.
            self.breaker.failed()
            logger.debug("recording failed", exc_info=True)
            raise errors.Internal(f"recording failed: {error!r}") from error
        except BaseException:
            self.breaker.failed()
            raise
        if time.monotonic() - began > manner.timeout_s / 2:
            # An answer, and as bad for who waits for it as none would be soon.
            self.breaker.failed()
        else:
            self.breaker.succeeded()
        return answer

    def tell(
        self,
        request: Message,
        response_class: type[R],
        manner: Manner,
        deadline: Deadline,
        *,
        otherwise: Message | None = None,
        on_answer: Callable[[R], None] | None = None,
    ) -> R | None:
        """The answer of the store, or ``None`` where it is away and the request lies in the spool.

        There lies ``otherwise``, if it is given. ``on_answer`` is called with the answer when it comes later.

        Raises:
            HeadwaterError: the store refused it, or ``manner`` is strict.
        """
        try:
            return self.ask(request, response_class, manner, deadline)
        except replaying.JUDGED:
            raise
        except errors.HeadwaterError as error:
            if manner.strict:
                raise
            self.warn_away(error)
            self.keep(otherwise or request, on_answer)
            return None

    def keep(self, request: Message, on_answer: Callable[[R], None] | None = None) -> None:
        """Put a request into the spool."""
        is_kept = self.spool.write(request)
        if is_kept and on_answer is not None and len(self._awaited) < _MOST_AWAITED:
            self._awaited[_key_of(request)] = on_answer  # type: ignore[assignment]  # the key tells the class

    def set_aside(self, request: Message, error: errors.HeadwaterError) -> None:
        """Keep a request that the store refused, for people to look at."""
        replaying.set_aside(self.spool.directory, request, error)

    def warn_away(self, error: errors.HeadwaterError) -> None:
        """Say once that the store is away."""
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "the store %s cannot be asked (%s: %s). Steps run all the same, without reuse, and are "
                "recorded in %s until they can be told; 'headwater spool status' shows what waits",
                shown_target(self.target),
                type(error).__name__,
                error,
                self.spool.directory,
            )

    def tell_waiting(self, text: str, *values: object) -> None:
        """Say that a step waits: the first time as a warning, because a program then seems to stand still."""
        logger.log(logging.INFO if self._has_told_waiting else logging.WARNING, text, *values)
        self._has_told_waiting = True

    def _call(self, request: Message, response_class: type[R], deadline: Deadline) -> R:
        with self._gate.passing():
            return ask_in_time(self._transport, request, response_class, timeout_s=deadline.left_s())

    def _renew(self, request: pp.RenewLeasesRequest) -> pp.RenewLeasesResponse:
        # Past the breaker: a lease is worth a call that may fail, and nobody waits for this one.
        return self._call(request, pp.RenewLeasesResponse, Deadline(STRICT_TIMEOUT_S / 6))

    # The spool

    def _drain_soon(self) -> bool:
        """Tell what is in the spool, in the background; whether all of it is told within a moment."""
        with self._drains:
            if self._drained is not None:
                return False
            drained = self._drained = threading.Event()
        self.heartbeat.do_soon(self._drain_on)
        drained.wait(_MOMENT_S)
        return self.spool.is_empty

    def _drain_on(self) -> None:
        """Tell a part of the spool, and the rest after leases were renewed."""
        is_unfinished = False
        try:
            is_unfinished = not self._drain(Deadline(_SLICE_S), call_s=TIMEOUT_S)
            self.breaker.succeeded()
        except errors.HeadwaterError as error:
            self.breaker.failed(ran_out_of_time=isinstance(error, errors.DeadlineExceeded))
        except BaseException:
            self.breaker.failed()
            raise
        finally:
            if is_unfinished:
                self.heartbeat.do_soon(self._drain_on)
            else:
                with self._drains:
                    drained, self._drained = self._drained, None
                if drained is not None:
                    drained.set()

    def _drain(self, deadline: Deadline, *, call_s: float = _SHORTEST_S) -> bool:
        """Tell what this process has in the spool; whether all of it is told.

        What was begun in time may take ``call_s`` more.

        Raises:
            HeadwaterError: the store is away.
        """
        if not self._draining.acquire(timeout=deadline.left_s()):
            return False
        try:
            failures: list[errors.HeadwaterError] = []
            while not self.spool.is_empty:
                done = replaying.replay(
                    self.spool.directory,
                    self._sender(failures, deadline, call_s),
                    files=self.spool.close(),
                    budget_s=deadline.left_s(),
                    on_answer=self._answered,
                )
                _tell_refused(done, self.spool.directory)
                if failures:
                    raise failures[0]
                if done.why_stopped:
                    return False
            return True
        finally:
            self._draining.release()

    def drain(self, timeout_s: float) -> bool:
        """Tell what this process has in the spool, if the store is there; whether all of it is told."""
        if self.spool.is_empty:
            return True
        if not self.breaker.allows():
            return False
        try:
            is_empty = self._drain(Deadline(timeout_s))
        except errors.HeadwaterError as error:
            self.breaker.failed(ran_out_of_time=isinstance(error, errors.DeadlineExceeded))
            return False
        self.breaker.succeeded()
        return is_empty

    def _sender(
        self, failures: list[errors.HeadwaterError], deadline: Deadline, call_s: float
    ) -> replaying.Send:
        def send(request: Message) -> Message:
            try:
                timeout_s = max(deadline.left_s(), call_s)
                return sender(self._transport, self._gate, timeout_s=timeout_s)(request)
            except replaying.JUDGED:
                raise
            except errors.HeadwaterError as error:
                failures.append(error)
                raise

        return send

    def _answered(self, request: Message, answer: Message) -> None:
        awaits = self._awaited.pop(_key_of(request), None)
        if awaits is not None:
            awaits(answer)

    def sweep(self) -> None:
        """Close, in the background and once a minute at most, what dead processes left open."""
        now = time.monotonic()
        if self._swept_at and now - self._swept_at < _SWEEPS_EVERY_S:
            return
        self._swept_at = now
        self.heartbeat.do_soon(self._sweep)

    def _sweep(self) -> None:
        try:
            self._call(pp.EndExpiredLeasesRequest(), pp.EndExpiredLeasesResponse, Deadline(_REPLAY_S))
        except errors.HeadwaterError as error:
            logger.debug("leases that ended were not looked for: %s", error)
            return
        directory = self.spool.directory
        if replaying.waiting_files(directory):
            done = replaying.replay(
                directory,
                sender(self._transport, self._gate),
                budget_s=_REPLAY_S,
                on_answer=self._answered,
            )
            _tell_refused(done, directory)
            logger.info("told the store %d records that earlier processes left in %s", done.sent, directory)

    def close(self) -> None:
        """End the heartbeat and close the spool."""
        self.heartbeat.close()
        self.spool.close()

    # Forks

    def before_fork(self) -> None:
        self._gate.close()
        # Only gRPC's has threads, in which it waits for a server that says nothing.
        rest = getattr(self._transport, "rest", None)
        if rest is not None and self.breaker.is_silent:
            rest()

    def after_fork_in_parent(self) -> None:
        self._gate.open()

    def after_fork_in_child(self) -> None:
        self._begin_anew()
        self._awaited = {}
        self.begun = {}
        self.spool.after_fork_in_child()
        self.heartbeat.begin_anew()


def sender(transport: Transport, gate: Gate | None = None, *, timeout_s: float = TIMEOUT_S) -> replaying.Send:
    """Tells a store one request at a time, each for ``timeout_s`` at most."""
    gate = gate or Gate()

    def send(request: Message) -> Message:
        name = type(request).__name__.removesuffix("Request")
        with gate.passing():
            return ask_in_time(transport, request, METHODS[name].response_class, timeout_s=timeout_s)

    return send


def _key_of(request: Message) -> str:
    if isinstance(request, pp.StartRunRequest):
        return f"run {request.pipeline}/{request.run}"
    return f"{type(request).__name__} {getattr(request, 'key', '')}"


def _tell_refused(done: replaying.Replayed, directory: Path) -> None:
    if done.refused:
        logger.warning(
            "the store refused %d records, which lie in %s now: %s",
            done.refused,
            directory / "refused",
            "; ".join(done.reasons),
        )


_recorders: "weakref.WeakSet[Recorder]" = weakref.WeakSet()


@atexit.register
def _close_spools() -> None:
    for recorder in list(_recorders):
        recorder.spool.close()
