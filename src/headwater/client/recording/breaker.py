"""When not to ask: a store that did not answer is left alone for a while.

Closed, everything is asked. After failures it opens, and nothing is asked until a pause is over. Then one
caller at a time may try (half open): an answer closes it, a failure opens it for twice as long.
"""

import threading
import time
from collections.abc import Callable

FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 60.0

# A failure that took all of the time counts for two that came at once.
_ENOUGH = 2


class Breaker:
    """Says whether to ask a store. Safe for threads.

    It opens at the first call that ran out of time, or at the second in a row that failed at once.
    ``clock`` gives seconds that only grow.
    """

    def __init__(
        self,
        *,
        first_pause_s: float = FIRST_PAUSE_S,
        longest_pause_s: float = LONGEST_PAUSE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._first_pause_s = first_pause_s
        self._longest_pause_s = longest_pause_s
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._pause_s = 0.0
        self._until = 0.0
        self._is_trying = False
        self._is_silent = False

    @property
    def is_open(self) -> bool:
        """Whether the last that was heard of the store is that it is away."""
        return self._pause_s > 0

    @property
    def is_silent(self) -> bool:
        """Whether the last that was asked ran out of time."""
        return self._is_silent

    def allows(self) -> bool:
        """Whether to ask now. Who is told so when it is open has to say what became of it."""
        with self._lock:
            if self._pause_s == 0:
                return True
            if self._is_trying or self._clock() < self._until:
                return False
            self._is_trying = True
            return True

    def succeeded(self) -> None:
        """Note that the store answered."""
        with self._lock:
            self._failures, self._pause_s, self._is_trying = 0, 0.0, False
            self._is_silent = False

    def failed(self, *, ran_out_of_time: bool = False) -> None:
        """Note that it did not."""
        with self._lock:
            self._failures += _ENOUGH if ran_out_of_time else 1
            self._is_silent = ran_out_of_time
            was_trying, self._is_trying = self._is_trying, False
            if was_trying:
                self._pause_s = min(2 * self._pause_s, self._longest_pause_s)
            elif self._pause_s == 0 and self._failures >= _ENOUGH:
                self._pause_s = self._first_pause_s
            else:
                # One of several that were asked at the same time: they fail for one reason.
                return
            self._until = self._clock() + self._pause_s
