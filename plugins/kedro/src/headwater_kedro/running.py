"""Runs of the project that are going on: each has a file that it holds locked.

The lock ends with the process, however it ends. So the next run of the project can tell which runs were
killed before they could say how they ended, and closes them.
"""

import hashlib
import json
import logging
import os
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from headwater.client.recording.locking import is_held, lock, unlock
from headwater.errors import FailedPrecondition, HeadwaterError, NotFound

logger = logging.getLogger("headwater_kedro")

_KILLED = "its process ended without a word: it was killed, or its machine stopped"


class RunningRun:
    """The file of a run that is going on here."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        _marked.add(self)

    def end(self) -> None:
        """The run has told how it ended."""
        if self._descriptor >= 0:
            unlock(self._descriptor)
            self.close()
            # Who takes the run for dead meanwhile finds that it is closed.
            self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file here alone: it stays locked while another process has it open."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


_marked: "weakref.WeakSet[RunningRun]" = weakref.WeakSet()


def _close_in_child() -> None:
    # A worker that outlives the process of its run must not look like it.
    for one in list(_marked):
        one.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)


def mark_running(directory: Path, target: str, pipeline: str, run: str) -> RunningRun:
    """Make and hold the file of a run.

    Raises:
        OSError: it cannot be made.
    """
    directory.mkdir(exist_ok=True)
    path = directory / f"{run}.json"
    # Under another name until it is locked: whoever looks meanwhile would take the run for dead.
    beside = path.with_suffix(".new")
    descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    lock(descriptor)
    os.write(descriptor, json.dumps({"store": _store_id(target), "pipeline": pipeline, "run": run}).encode())
    beside.replace(path)
    return RunningRun(path, descriptor)


def _store_id(target: str) -> str:
    # The URL of a database may hold a password.
    return hashlib.sha256(target.encode()).hexdigest()


def end_killed(directory: Path, target: str, store: Callable[[], Any]) -> None:
    """Close the runs that were recorded at ``target`` and whose process is gone. Never raises."""
    for path in sorted(directory.glob("*.json")):
        try:
            if is_held(path):
                continue
            told = json.loads(path.read_bytes())
            if told["store"] != _store_id(target):
                continue
            store().end_run(told["pipeline"], told["run"], error=_KILLED)
            logger.info("run %s was killed; it is recorded as failed now", told["run"])
        except (NotFound, FailedPrecondition):
            # Closed by then, or never known there.
            pass
        except HeadwaterError as error:
            logger.debug("run of %s could not be closed: %s", path, error)
            # The store is away, and would be asked for as long as there are runs.
            break
        except (OSError, ValueError, KeyError) as error:
            logger.debug("run of %s could not be closed: %s", path, error)
            continue
        path.unlink(missing_ok=True)
