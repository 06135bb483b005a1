"""The signals that end a server: the first in order, the second at once."""

import queue
import signal

_ENDING = (signal.SIGTERM, signal.SIGINT)


def received() -> "queue.SimpleQueue[int]":
    """Where the numbers of SIGTERM and SIGINT arrive from now on."""
    # A SimpleQueue may be put to from a handler that interrupts its own get; an Event would deadlock.
    numbers: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in _ENDING:
        signal.signal(number, lambda number, _: numbers.put(number))
    return numbers


def end_at_once_from_now_on() -> None:
    """Give SIGTERM and SIGINT their own meaning back."""
    for number in _ENDING:
        signal.signal(number, signal.SIG_DFL)
