"""Which CPUs a server runs on (decision 0014)."""

import contextlib
import os
import random
import sys

CHOICES = ("one", "all")


def keep_to_one(worker: int | None = None) -> None:
    """Keep this process, and the threads it starts from now on, on one of the CPUs it may use.

    Workers, counted from 1, take them in turn, a server by itself takes any. Nothing happens where the
    system has no such thing.
    """
    if sys.platform != "linux":
        return
    # Some sandboxes forbid it, and the server only gets slower.
    with contextlib.suppress(OSError):
        allowed = sorted(os.sched_getaffinity(0))
        cpu = random.choice(allowed) if worker is None else allowed[(worker - 1) % len(allowed)]
        os.sched_setaffinity(0, {cpu})
