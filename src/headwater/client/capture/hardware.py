"""What a step costs: time, CPU time, memory, GPU.

Measured for the whole process and its children, because that is what the system counts: steps that run at
the same time in one process share the numbers, and memory that processes share counts in each. A thread looks
from time to time. It holds still for a fork and does not go on in the child.
"""

import _thread
import contextlib
import os
import threading
import time
import weakref
from dataclasses import dataclass
from types import TracebackType

from headwater.client.capture.gpus import Gpus, GpuSample, load_nvml
from headwater.client.capture.processes import (
    Children,
    cpu_seconds,
    high_water_bytes,
    load_psutil,
    resident_bytes,
)

#: Seconds between two looks at first.
INTERVAL_S = 0.5

#: More samples than this are never kept: every second one is dropped and the interval doubled.
MAX_SAMPLES = 512

# A look at many children takes long; looking may take this share of one CPU at most. A step that is over
# before the first look costs nothing but the start of a thread.
_SHARE = 0.01
_FIRST_LOOK_S = 0.05

# How long others wait for a driver that does not answer.
_FORK_PATIENCE_S = 0.5
_STOP_PATIENCE_S = 0.2


@dataclass(frozen=True)
class Sample:
    """One look. ``None`` where the system does not tell."""

    seconds: float
    """Since the start."""
    memory_bytes: int | None
    """Resident, of this process and its children together."""
    gpu: GpuSample | None


class Usage:
    """Measures what happens between entering and leaving.

    >>> with Usage() as usage:
    ...     total = sum(range(1000))
    >>> sorted(usage.result())[:2]
    ['cpu_seconds', 'peak_memory_bytes']

    Uses ``psutil`` where it is installed, otherwise what the standard library tells. Never raises.
    """

    def __init__(self, *, interval_s: float = INTERVAL_S) -> None:
        self._interval_s = max(interval_s, 0.01)
        self._samples: list[Sample] = []
        # Held while a driver is asked and while what was seen is written down.
        self._lock = threading.Lock()
        self._is_asking_driver = False
        self._held = False
        self._stop = threading.Event()
        self._pid = 0
        self._gpu_count = 0
        self._gpu_peak = 0
        self._gpu_busiest = 0.0
        self._peak: int | None = None
        self._result: dict[str, float] = {}

    def __enter__(self) -> "Usage":
        with contextlib.suppress(Exception):
            self._pid = os.getpid()
            self._psutil = load_psutil()
            self._nvml = load_nvml() if not _unresponsive else None
            self._children = Children(self._psutil)
            self._start_s = time.perf_counter()
            self._start_cpu_s = cpu_seconds()
            self._start_high_water = high_water_bytes()
            self._add(resident_bytes(self._psutil), None)
            _measuring.add(self)
            # ``Thread.start`` would wait until it runs: longer than many a step takes, on a busy machine.
            _thread.start_new_thread(self._run, ())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with contextlib.suppress(Exception):
            self._finish()

    def result(self) -> dict[str, float]:
        """What was measured, by names that end in the unit; empty before the end, and in a forked child.

        Always ``wall_seconds`` and ``cpu_seconds`` (of all threads, and of the children). Where the system
        tells, ``peak_memory_bytes`` (resident, with children; where nothing can look meanwhile, the highest
        that the process ever had), and with a GPU ``gpu_count``, ``gpu_peak_memory_bytes``,
        ``gpu_mean_utilisation_percent`` and ``gpu_peak_utilisation_percent``.
        """
        return dict(self._result)

    def samples(self) -> tuple[Sample, ...]:
        """The looks, in order, at most ``MAX_SAMPLES``."""
        return tuple(self._samples)

    def _finish(self) -> None:
        if self._pid != os.getpid() or self._result:
            return
        wall_s = time.perf_counter() - self._start_s
        self._stop.set()  # The thread ends when it sees this, and nobody waits for it.
        _measuring.discard(self)
        if self._lock.acquire(timeout=_STOP_PATIENCE_S):
            self._add(resident_bytes(self._psutil), None)
            self._lock.release()
        elif self._is_asking_driver:
            # Each further step would leave another thread waiting.
            _unresponsive.append(True)
        cpu_s = cpu_seconds() - self._start_cpu_s + self._children.cpu_seconds()
        result: dict[str, float] = {"wall_seconds": wall_s, "cpu_seconds": max(0.0, cpu_s)}
        peak = self._peak_memory()
        if peak is not None:
            result["peak_memory_bytes"] = peak
        seen = [sample.gpu for sample in self._samples if sample.gpu is not None]
        if seen:
            result["gpu_count"] = self._gpu_count
            result["gpu_peak_memory_bytes"] = self._gpu_peak
            # Samples are dropped evenly, so those that are left have the same mean.
            result["gpu_mean_utilisation_percent"] = sum(gpu.utilisation_percent for gpu in seen) / len(seen)
            result["gpu_peak_utilisation_percent"] = self._gpu_busiest
        self._result = result

    def _peak_memory(self) -> int | None:
        high_water = high_water_bytes()
        if high_water is None:
            return self._peak
        if self._peak is None:
            return high_water
        # It rose since the start, so that peak is of this time, and no look has to have seen it.
        rose = self._start_high_water is not None and high_water > self._start_high_water
        return max(self._peak, high_water) if rose else self._peak

    def _add(self, memory_bytes: int | None, gpu: GpuSample | None) -> None:
        if memory_bytes is not None:
            self._peak = max(self._peak or 0, memory_bytes)
        if gpu is not None:
            self._gpu_peak = max(self._gpu_peak, gpu.memory_bytes)
            self._gpu_busiest = max(self._gpu_busiest, gpu.utilisation_percent)
        self._samples.append(Sample(time.perf_counter() - self._start_s, memory_bytes, gpu))
        if len(self._samples) > MAX_SAMPLES:
            del self._samples[1::2]
            self._interval_s *= 2

    # In the thread.

    def _run(self) -> None:
        gpus: Gpus | None = None
        delay_s = min(_FIRST_LOOK_S, self._interval_s)
        stop, lock = self._stop, self._lock
        while not stop.wait(delay_s):
            begun_s, begun_cpu_s = time.perf_counter(), time.thread_time()
            with contextlib.suppress(Exception):
                memory, pids = self._memory()
                with lock:
                    if stop.is_set():
                        break
                    gpus = gpus or self._opened()
                    self._add(memory, self._asked(gpus, pids))
            # A look takes little CPU and much longer where the step keeps Python's lock to itself.
            delay_s = max(
                self._interval_s,
                (time.thread_time() - begun_cpu_s) / _SHARE,
                time.perf_counter() - begun_s,
            )
        with lock, contextlib.suppress(Exception):
            if gpus is not None:
                gpus.close()

    def _memory(self) -> tuple[int | None, set[int]]:
        own = resident_bytes(self._psutil)
        try:
            of_children, pids = self._children.look()
        except Exception:  # psutil may be refused what it asks for.
            of_children, pids = 0, set()
        return (None if own is None else own + of_children), {self._pid, *pids}

    def _opened(self) -> Gpus | None:
        nvml, self._nvml = self._nvml, None  # Tried once.
        if nvml is None:
            return None
        self._is_asking_driver = True
        try:
            gpus = Gpus(nvml)
            self._gpu_count = gpus.count
            return gpus
        except Exception:  # The library's own errors, such as that there is no driver.
            return None
        finally:
            self._is_asking_driver = False

    def _asked(self, gpus: Gpus | None, pids: set[int]) -> GpuSample | None:
        if gpus is None:
            return None
        self._is_asking_driver = True
        try:
            return gpus.sample(pids)
        except Exception:  # As above.
            return None
        finally:
            self._is_asking_driver = False

    # At a fork.

    def _before_fork(self) -> None:
        # No driver is asked while the process is copied, or the child would find it locked. One that does not
        # answer keeps nobody from forking.
        self._held = self._lock.acquire(timeout=_FORK_PATIENCE_S)

    def _after_fork_in_parent(self) -> None:
        if self._held:
            self._lock.release()

    def _after_fork_in_child(self) -> None:
        self._lock = threading.Lock()
        self._stop = threading.Event()


# Those that are entered and not left; and those that a fork is waiting for.
_measuring: "weakref.WeakSet[Usage]" = weakref.WeakSet()
_forking: list[Usage] = []

# Not empty once a driver did not answer in time. Then it is not asked again in this process.
_unresponsive: list[bool] = []


def _before_fork() -> None:
    with contextlib.suppress(Exception):
        _forking[:] = list(_measuring)
        for usage in _forking:
            usage._before_fork()


def _after_fork_in_parent() -> None:
    for usage in _forking:
        with contextlib.suppress(Exception):
            usage._after_fork_in_parent()
    _forking.clear()


def _after_fork_in_child() -> None:
    for usage in _forking:
        with contextlib.suppress(Exception):
            usage._after_fork_in_child()
    _forking.clear()
    _measuring.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
