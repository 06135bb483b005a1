"""Numbers of a step while they wait to be told."""

import threading
import time

from headwater.errors import InvalidRequest
from headwater.v1 import pipelines_pb2 as pp

BATCH = 5_000
_LONGEST_NAME = 200


class Metrics:
    """Collects metrics of one step. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[pp.Metric] = []

    def add(self, name: str, value: float, step: int | None) -> bool:
        """Take one number; whether there are enough to be told.

        Raises:
            InvalidRequest: no number, a negative ``step``, or a name that cannot be one.
        """
        if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME:
            raise InvalidRequest(
                f"a metric's name must be text of 1 to {_LONGEST_NAME} characters: {name!r:.60}"
            )
        try:
            metric = pp.Metric(name=name, value=float(value), time_ms=time.time_ns() // 1_000_000)
        except (TypeError, ValueError, OverflowError) as error:
            raise InvalidRequest(f"metric {name!r} must be a number, and is {value!r:.60}") from error
        if step is not None:
            if not isinstance(step, int) or step < 0:
                raise InvalidRequest(f"step={step!r} of metric {name!r} must be an integer from 0 on")
            metric.step = step
        with self._lock:
            self._waiting.append(metric)
            return len(self._waiting) >= BATCH

    def take(self) -> list[pp.Metric]:
        """What waits; it waits no more."""
        with self._lock:
            taken, self._waiting = self._waiting, []
        return taken
