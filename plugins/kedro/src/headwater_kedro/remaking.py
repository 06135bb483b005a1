"""Data in memory that skipped nodes left out, made again for a node that runs."""

import copy
from collections.abc import Callable
from contextlib import ExitStack
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

    def is_awaited(name: str) -> bool:
        return any(recording.shelf.done(reader) is None for reader in task.readers.get(name, ()))

    memory = _OnlyMemory(task.catalog, is_awaited)
    # Not by recursion, for a chain may be long. Whoever needs it stands before what it needs.
    needed = [(name, task.node) for name in task.node.inputs if name in task.ancestors]
    with ExitStack() as locks:
        held: dict[str, ExitStack] = {}
        while needed:
            name, reader = needed[-1]
            maker = task.ancestors[name]
            if maker.name not in held:
                if _is_there(memory, name, reader, task):
                    needed.pop()
                    continue
                # Before what it needs is made, so that others wait rather than make that too.
                held[maker.name] = locks.enter_context(ExitStack())
                held[maker.name].enter_context(recording.shelf.alone(maker.name))
            further = [one for one in maker.inputs if one in task.ancestors and not memory.keep(one)]
            if not _is_there(memory, name, reader, task):
                if further:
                    needed += [(one, maker) for one in further]
                    continue
                why = f"made again, because {reader.name!r} needs {name!r}, which is in memory only"
                with recording.made_again(maker, task.catalog, why):
                    again = memory.as_catalog()
                    Task(maker, again, task.is_async, task.hook_manager, task.run_id, task.parallel).execute()
            held.pop(maker.name).close()
            needed.pop()
            memory.keep_only({one for other, _ in needed for one in task.ancestors[other].inputs})


def _is_there(memory: "_OnlyMemory", name: str, reader: "Node", task: "RecordedTask") -> bool:
    if reader is task.node:
        # It reads the catalog of Kedro.
        return bool(dataset_of(task.catalog, name).exists())
    return memory.keep(name)


class _OnlyMemory:
    """How a catalog loads and saves for a node that is executed again: only what is in memory is saved.

    Kedro releases data in memory when the last reader that it knows of is done, which may be a skipped one
    at this moment. So what the node reads is kept here.
    """

    def __init__(self, catalog: Any, is_awaited: Callable[[str], bool]) -> None:
        self._catalog = catalog
        self._is_awaited = is_awaited
        self.kept: dict[str, Any] = {}

    def as_catalog(self) -> Any:
        """The catalog as hooks know it, which loads and saves so."""
        changed = copy.copy(self._catalog)
        changed.load, changed.save, changed.confirm = self._load, self._save, self._confirm
        return changed

    def keep(self, name: str) -> bool:
        """Have the data ready to be loaded; whether it is there."""
        if name in self.kept:
            return True
        if not dataset_of(self._catalog, name).exists():
            return False
        try:
            self.kept[name] = self._catalog.load(name)
        except DatasetError:
            return False
        return True

    def keep_only(self, names: "set[str]") -> None:
        """Let go what nobody waits for."""
        self.kept = {name: data for name, data in self.kept.items() if name in names}

    def _load(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return self.kept[name] if name in self.kept else self._catalog.load(name, *args, **kwargs)

    def _save(self, name: str, data: Any) -> None:
        if is_in_memory(dataset_of(self._catalog, name)):
            self.kept[name] = data
            # What all readers are done with would stay to the end of the run: nobody releases it.
            if self._is_awaited(name):
                self._catalog.save(name, data)

    def _confirm(self, name: str) -> None:
        """Nothing new was read."""
