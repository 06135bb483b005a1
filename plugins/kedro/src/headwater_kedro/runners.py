"""Runners that skip nodes which are proven done. What they do else is Kedro's."""

import logging
from typing import Any

from kedro.runner import ParallelRunner, SequentialRunner, ThreadRunner

from headwater_kedro.recording import recordings

logger = logging.getLogger("headwater_kedro")


class _Skipping:
    def _run(self, pipeline: Any, catalog: Any, hook_manager: Any = None, run_id: str | None = None) -> None:
        recording = recordings.get((run_id or "", id(catalog)))
        if recording is None:
            logger.warning("this run is not recorded by headwater, so no node of it is skipped")
        else:
            recording.skips = True
        super()._run(pipeline, catalog, hook_manager, run_id)  # type: ignore[misc]  # of the runner


class CachedRunner(_Skipping, SequentialRunner):
    """``SequentialRunner`` that skips."""


class CachedThreadRunner(_Skipping, ThreadRunner):
    """``ThreadRunner`` that skips."""


class CachedParallelRunner(_Skipping, ParallelRunner):
    """``ParallelRunner`` that skips."""
