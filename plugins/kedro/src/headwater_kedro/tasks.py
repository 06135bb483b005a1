"""Kedro's task, recorded: the seam by which nodes are told of.

Hooks come too early (``after_node_run`` before anything is saved) or not at all (a load that fails, the
last chunk of a generator). A task has all of a node in it, and goes along to worker processes.
"""

from typing import Any

import kedro.runner.runner
from kedro.runner.task import Task

from headwater_kedro.recording import Recording, recordings
from headwater_kedro.saying import say_once


class RecordedTask(Task):
    """One node of a run. Where nothing is recorded it is the task that Kedro has."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.recording: Recording | None = recordings.get((self.run_id or "", id(self.catalog)))
        self.ancestors = self.recording.ancestors(self.node, self.catalog) if self.recording else {}
        makers = {maker.name: maker for maker in self.ancestors.values()}
        self.readers = self.recording.readers(makers.values()) if self.recording else {}
        self.replaced: list[str] = []

    def execute(self) -> Any:
        if self.recording is None:
            return super().execute()
        say_once(self.recording.shelf)
        return self.recording.perform(self, super().execute)

    def _collect_inputs_from_hook(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]  # static there
        given: dict[str, Any] = Task._collect_inputs_from_hook(*args, **kwargs)
        self.replaced = sorted(given)
        return given


def install() -> None:
    """Let Kedro's runners make recorded tasks."""
    kedro.runner.runner.Task = RecordedTask  # type: ignore[attr-defined]  # Kedro only imports it there
