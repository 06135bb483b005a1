"""The run and the step that the running code belongs to.

Threads started by others do not have the context of who started them; there ``current_run`` is the only
run that is open in the process, if it is the only one.
"""

import os
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headwater.client.recording.run import Run
    from headwater.client.recording.steps import Step

_run: "ContextVar[Run | None]" = ContextVar("headwater_run", default=None)
_step: "ContextVar[Step | None]" = ContextVar("headwater_step", default=None)
_open: "dict[int, Run]" = {}


def current_run() -> "Run | None":
    """The run that the calling code is part of; ``None`` outside of runs."""
    run = _run.get()
    if run is not None and run.is_open:
        return run
    # Copied first: another thread may open or close one.
    runs = [run for run in list(_open.values()) if run.is_open]
    return runs[0] if len(runs) == 1 else None


def current_step() -> "Step | None":
    """The step that the calling code is part of; ``None`` outside of steps."""
    step = _step.get()
    return step if step is not None and step.is_open and step.process_id == os.getpid() else None


def enter_run(run: "Run") -> "Run | None":
    """Make ``run`` the current one; the one it was before, for ``leave_run``."""
    before = _run.get()
    _run.set(run)
    _open[id(run)] = run
    return before


def leave_run(run: "Run", before: "Run | None") -> None:
    _open.pop(id(run), None)
    # A generator may be left in another context than it was entered in.
    if _run.get() is run:
        _run.set(before)


def enter_step(step: "Step") -> "Step | None":
    """Make ``step`` the current one; the one it was before, for ``leave_step``."""
    before = _step.get()
    _step.set(step)
    return before


def leave_step(step: "Step", before: "Step | None") -> None:
    if _step.get() is step:
        _step.set(before)
