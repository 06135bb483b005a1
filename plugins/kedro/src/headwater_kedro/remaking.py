"""Data in memory that skipped nodes left out, made again for a node that runs."""

import copy
from typing import TYPE_CHECKING, Any

from kedro.io import DatasetError
from kedro.runner.task import Task

from headwater_kedro.datasets import is_in_memory
from headwater_kedro.describing import dataset_of

if TYPE_CHECKING:
    from kedro.pipeline.node import Node

    from headwater_kedro.recording import Recording
    from headwater_kedro.tasks import RecordedTask


def is_missing_something(recording: "Recording", task: "RecordedTask") -> bool:
    """Whether data in memory that the node needs was left out, or is being made by somebody."""
    makers = {name: task.ancestors[name] for name in task.node.inputs if name in task.ancestors}
    # In this order, for what is made is there before it is told what it is.
    return any(
        not dataset_of(task.catalog, name).exists() or recording.shelf.is_busy(maker.name)
        for name, maker in makers.items()
    )


def make_what_is_missing(recording: "Recording", task: "RecordedTask") -> None:
    """Make what the node needs. What others are making is waited for, so that it is made once in a run."""
    for name in task.node.inputs:
        maker = task.ancestors.get(name)
        if maker is None:
            continue
        with recording.shelf.alone(maker.name):
            if not dataset_of(task.catalog, name).exists():
                _make(recording, task, maker, f"{task.node.name!r} needs {name!r}")


def _make(recording: "Recording", task: "RecordedTask", maker: "Node", why: str) -> "_OnlyMemory":
    """Execute a node again, after those that it needs."""
    catalog = _OnlyMemory(task.catalog)
    for name in maker.inputs:
        further = task.ancestors.get(name)
        if further is None:
            continue
        with recording.shelf.alone(further.name):
            if not catalog.keep(name):
                made = _make(recording, task, further, f"{maker.name!r} needs {name!r}")
                if not catalog.keep(name):
                    catalog.kept[name] = made.kept[name]
    again = catalog.as_catalog()
    with recording.made_again(maker, task.catalog, f"made again, because {why}, which is in memory only"):
        Task(maker, again, task.is_async, task.hook_manager, task.run_id, task.parallel).execute()
    return catalog


class _OnlyMemory:
    """How a catalog loads and saves for a node that is executed again: only what is in memory is saved.

    Kedro releases data in memory when the last reader that it knows of is done, which may be a skipped one
    at this moment. So what the node reads is kept here.
    """

    def __init__(self, catalog: Any) -> None:
        self._catalog = catalog
        self.kept: dict[str, Any] = {}

    def as_catalog(self) -> Any:
        """The catalog as hooks know it, which loads and saves so."""
        changed = copy.copy(self._catalog)
        changed.load, changed.save, changed.confirm = self._load, self._save, self._confirm
        return changed

    def keep(self, name: str) -> bool:
        """Have the data ready to be loaded; whether it is there."""
        if not dataset_of(self._catalog, name).exists():
            return False
        try:
            self.kept[name] = self._catalog.load(name)
        except DatasetError:
            return False
        return True

    def _load(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return self.kept[name] if name in self.kept else self._catalog.load(name, *args, **kwargs)

    def _save(self, name: str, data: Any) -> None:
        if is_in_memory(dataset_of(self._catalog, name)):
            self.kept[name] = data
            self._catalog.save(name, data)

    def _confirm(self, name: str) -> None:
        """Nothing new was read."""
