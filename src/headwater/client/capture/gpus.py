"""What the GPUs of this machine are doing, if ``pynvml`` (nvidia-ml-py) and a driver are there."""

import importlib
import os
import sys
import warnings
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Any


@dataclass(frozen=True)
class GpuSample:
    """One look at all visible GPUs."""

    memory_bytes: int
    """Used by the given processes; by all where the driver does not list them, as in many containers."""
    utilisation_percent: float
    """The mean over the GPUs of the share of time in which something ran on them."""


@cache
def load_nvml() -> Any:
    """The module ``pynvml``, or ``None``.

    To be called in the user's own thread: a thread that imports holds locks, and a fork at that moment would
    leave them locked in the child.
    """
    try:
        with warnings.catch_warnings():
            # An old package of this name complains that it is old.
            warnings.simplefilter("ignore")
            return sys.modules.get("pynvml") or importlib.import_module("pynvml")
    except Exception:  # Whatever an import may raise.
        return None


class Gpus:
    """The visible GPUs. Opening and reading may be slow, so both belong to a thread of their own."""

    def __init__(self, nvml: Any) -> None:
        """Raises whatever the driver raises, for one when there is no GPU."""
        self._nvml = nvml
        nvml.nvmlInit()
        self._handles = _visible(nvml, os.environ.get("CUDA_VISIBLE_DEVICES"))

    @property
    def count(self) -> int:
        return len(self._handles)

    def sample(self, pids: Collection[int]) -> GpuSample | None:
        """What they do now; ``None`` without any."""
        if not self._handles:
            return None
        nvml = self._nvml
        used, ours, busy = 0, 0, 0.0
        for handle in self._handles:
            used += int(nvml.nvmlDeviceGetMemoryInfo(handle).used)
            for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle):
                if process.pid in pids:
                    ours += int(process.usedGpuMemory or 0)
            busy += float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
        return GpuSample(ours or used, busy / len(self._handles))

    def close(self) -> None:
        self._nvml.nvmlShutdown()


def _visible(nvml: Any, variable: str | None) -> list[Any]:
    if variable is None:
        return [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
    handles = []
    for name in map(str.strip, variable.split(",")):
        if name.isdigit():
            handles.append(nvml.nvmlDeviceGetHandleByIndex(int(name)))
        elif name.startswith(("GPU-", "MIG-")):
            handles.append(nvml.nvmlDeviceGetHandleByUUID(name))
        else:
            break  # As CUDA reads it: what follows an unknown name is not visible.
    return handles
