"""Time and memory of this process and its children, as the system tells.

``psutil`` is used where it is installed. Without it children count only when they have ended, and only where
the standard library has ``resource``.
"""

import contextlib
import importlib
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any


@cache
def load_psutil() -> Any:
    """The module ``psutil``, or ``None``. As ``load_nvml``: to be called in the user's own thread."""
    try:
        return importlib.import_module("psutil")
    except Exception:  # Whatever an import may raise.
        return None


def cpu_seconds() -> float:
    """Of this process, and of its children that have ended where the system adds them up."""
    usages = list(_usages())
    return sum(usage.ru_utime + usage.ru_stime for usage in usages) if usages else time.process_time()


def high_water_bytes() -> int | None:
    """The most memory that this process ever had."""
    usages = list(_usages())
    if not usages:
        return None
    return int(usages[0].ru_maxrss) * (1 if sys.platform == "darwin" else 1024)


def resident_bytes(psutil: Any) -> int | None:
    """The memory of this process now; ``None`` where nothing tells."""
    try:
        if psutil is not None:
            return int(psutil.Process().memory_info().rss)
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    except Exception:  # psutil has errors of its own, and not every system has statm.
        return None


def _usages() -> Iterator[Any]:
    try:
        resource = importlib.import_module("resource")
    except ImportError:  # Windows.
        return
    yield resource.getrusage(resource.RUSAGE_SELF)
    yield resource.getrusage(resource.RUSAGE_CHILDREN)


@dataclass
class _Child:
    process: Any
    first_cpu_s: float
    last_cpu_s: float


class Children:
    """The children of this process and theirs, seen from time to time."""

    def __init__(self, psutil: Any) -> None:
        self._psutil = psutil
        self._children: dict[tuple[int, float], _Child] = {}
        self._has_looked = False

    def look(self) -> tuple[int, set[int]]:
        """How much memory they have together, in bytes, and which they are, by process id.

        Asks the system for all its processes, and so may take long.
        """
        if self._psutil is None:
            return 0, set()
        total, pids = 0, set()
        for process in self._psutil.Process().children(recursive=True):
            with contextlib.suppress(self._psutil.Error):
                total += int(process.memory_info().rss)
                pids.add(process.pid)
                cpu_s = _cpu_seconds_of(process)
                # What a child that was there before had used by then is not of this time.
                first_s = 0.0 if self._has_looked else cpu_s
                key = (process.pid, process.create_time())
                child = self._children.setdefault(key, _Child(process, first_s, cpu_s))
                child.last_cpu_s = cpu_s
        self._has_looked = True
        return total, pids

    def cpu_seconds(self) -> float:
        """What the children that were seen add to ``cpu_seconds()`` of this process."""
        total_s = 0.0
        for child in list(self._children.values()):
            is_alive = False
            with contextlib.suppress(self._psutil.Error):
                is_alive = child.process.is_running()
                child.last_cpu_s = _cpu_seconds_of(child.process) if is_alive else child.last_cpu_s
            if is_alive or sys.platform == "win32":
                total_s += child.last_cpu_s - child.first_cpu_s
            else:
                # The system has added all of its time to ours when it ended.
                total_s -= child.first_cpu_s
        return total_s


def _cpu_seconds_of(process: Any) -> float:
    times = process.cpu_times()
    # With what its own children used that have ended.
    of_children = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return float(times.user + times.system + of_children)
