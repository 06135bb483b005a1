"""The signals that end a server: the first in order, the second at once."""

import contextlib
import queue
import signal

_WAKE_S = 0.5
_ENDING = (signal.SIGTERM, signal.SIGINT)


class Received:
    """SIGTERM and SIGINT, from when it is made."""

    def __init__(self) -> None:
        # A SimpleQueue may be put to from a handler that interrupts its own get; an Event would deadlock.
        self._numbers: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in _ENDING:
            signal.signal(number, lambda number, _: self._numbers.put(number))

    def get(self) -> int:
        """Wait for one; its number."""
        while True:
            # The kernel may give a signal to any thread. Python's handler then waits until this one wakes up.
            with contextlib.suppress(queue.Empty):
                return self._numbers.get(timeout=_WAKE_S)


def received() -> Received:
    return Received()


def end_at_once_from_now_on() -> None:
    """Give SIGTERM and SIGINT their own meaning back."""
    for number in _ENDING:
        signal.signal(number, signal.SIG_DFL)
