"""Who waits for an answer. Work is not begun for one who has gone, and long reads stop."""

import time

from headwater.errors import Cancelled, DeadlineExceeded, HeadwaterError


class Caller:
    """One who waits until there is an answer."""

    def still_waits(self) -> bool:
        return True

    def remaining_s(self) -> float | None:
        """How long it still waits; ``None``: for ever."""
        return None

    def why_not(self) -> HeadwaterError:
        """What to tell one who does not wait any more."""
        return Cancelled("the caller went away")


class Deadline(Caller):
    """A caller who waits until a moment of ``time.monotonic``."""

    def __init__(self, timeout_s: float) -> None:
        self._at = time.monotonic() + timeout_s

    def still_waits(self) -> bool:
        return time.monotonic() < self._at

    def remaining_s(self) -> float | None:
        return self._at - time.monotonic()

    def why_not(self) -> HeadwaterError:
        return DeadlineExceeded("the deadline passed before the answer was ready")


PATIENT = Caller()
