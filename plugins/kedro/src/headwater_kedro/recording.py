"""One run of a pipeline, recorded: each node begins and finishes a step, or is skipped."""

import atexit
import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import SharedMemoryDataCatalog
from kedro.runner.task import Task

import headwater
from headwater.client import File, Output, Run, Step
from headwater.client.content import digest_of
from headwater.errors import HeadwaterError, InvalidRequest
from headwater.fingerprint import canonical
from headwater_kedro.datasets import (
    has_place,
    is_in_memory,
    label,
    place_of,
    settings_of,
    version_of,
)
from headwater_kedro.shelf import Shelf

if TYPE_CHECKING:
    from kedro.pipeline.node import Node

    from headwater_kedro.tasks import RecordedTask

logger = logging.getLogger(__name__)

NO_CACHE = "headwater.nocache"
"""Tag of a node that always runs."""

recordings: "dict[tuple[str, int], Recording]" = {}
"""Open ones of this process, by run id and catalog, since two runs may begin in the same millisecond."""
_stores: dict[tuple[int, str], Any] = {}
_joined: dict[tuple[int, str, str], Run] = {}


class _InMemory:
    """Stands for data in memory, which is recorded without its content."""


def _store(target: str) -> Any:
    """The store, opened once in each process."""
    key = (os.getpid(), target)
    if key not in _stores:
        _stores[key] = headwater.connect(target)
    return _stores[key]


class Recording:
    """Made where the run begins. Sent to a worker process, it takes part in the run from there."""

    def __init__(self, target: str, run: Run, shelf: Shelf, producers: "Mapping[str, Node]") -> None:
        self.target = target
        self.pipeline, self.name = run.pipeline, run.name
        self.shelf = shelf
        self.skips = False
        self._run: Run | None = run
        self._producers = producers

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_run": None, "_producers": {}}

    @property
    def run(self) -> Run:
        """The run, to begin steps of."""
        if self._run is None:
            key = (os.getpid(), self.pipeline, self.name)
            if key not in _joined:
                joined = _store(self.target).run(self.pipeline, name=self.name, join=True)
                _joined[key] = joined.start()
            self._run = _joined[key]
        return self._run

    def ancestors(self, node: "Node", catalog: Any) -> "dict[str, Node]":
        """By name of a dataset in memory the node that makes it, as far as memory reaches back."""
        found: dict[str, Node] = {}
        waiting = [node] if self.skips else []
        while waiting:
            for name in waiting.pop().inputs:
                maker = self._producers.get(name)
                if maker is not None and name not in found and is_in_memory(_dataset(catalog, name)):
                    found[name] = maker
                    waiting.append(maker)
        return found

    # A node

    def perform(self, task: "RecordedTask", execute: Callable[[], Any]) -> Any:
        """What the task gives; recorded, and skipped if it may be and was done before."""
        node, catalog = task.node, task.catalog
        try:
            step = self._step(node, catalog)
            step.begin()
        except Exception as error:
            # Whatever it is: recording is no reason for a node to fail.
            logger.warning("node %r runs without being recorded: %s", node.name, error)
            logger.debug("the node could not be begun", exc_info=True)
            self._fill(task)
            return execute()
        if step.is_hit:
            self._finish(step, node, catalog)
            return node
        try:
            self._fill(task)
            done = execute()
        except BaseException as error:
            step.finish_with(error)
            raise
        if task.replaced:
            names = ", ".join(task.replaced)
            step.note(replaced_inputs=names)
            step.keep_from_reuse(f"a hook replaced its inputs {names}")
        self._finish(step, node, catalog)
        return done

    def _finish(self, step: Step, node: "Node", catalog: Any) -> None:
        try:
            if not step.is_hit:
                self._declare(step, node, catalog)
            step.finish()
        except Exception as error:
            logger.warning("the end of node %r could not be recorded: %s", node.name, error)
            logger.debug("the node could not be finished", exc_info=True)
            if step.is_open:
                step.finish_with(error)
        self._leave(step, node, catalog)

    def _step(self, node: "Node", catalog: Any, *, again: "str | None" = None) -> Step:
        """The node as a step, with what it is given."""
        inputs: dict[str, Any] = {}
        params: dict[str, Any] = {}
        components: dict[str, str] = {}
        unknown = ""
        for name in dict.fromkeys(node.inputs):
            if name == "parameters" or name.startswith("params:"):
                value = catalog.load(name)
                try:
                    canonical(value, what=f"parameter {name!r}")
                    params[name.removeprefix("params:")] = value
                except InvalidRequest as error:
                    unknown = unknown or str(error)
                continue
            dataset = _dataset(catalog, name)
            if is_in_memory(dataset):
                made = self.shelf.get(name)
                if made is None:
                    unknown = unknown or f"nothing tells what {name!r}, which is in memory, was made by"
                else:
                    inputs[name] = made
                continue
            components[f"dataset:{name}"] = settings_of(dataset, of_input=True)
            place = place_of(dataset)
            if place is None or _is_missing(place):
                unknown = unknown or f"the content of {name!r} cannot be looked at"
            else:
                inputs[name] = File(place, properties=_properties(name, dataset, place))
        for name in node.outputs:
            dataset = _dataset(catalog, name)
            if not is_in_memory(dataset):
                components[f"dataset:{name}"] = settings_of(dataset, of_input=False)
                if not has_place(dataset):
                    unknown = unknown or f"the content of {name!r} cannot be looked at"
        cache, reason = self._policy(node, unknown)
        options: dict[str, Any] = {
            "inputs": inputs,
            "params": params,
            "outputs": list(node.outputs),
            "code": node.func,
            "tags": dict.fromkeys(node.tags, ""),
            "components": components,
        }
        if again is not None:
            return self.run.step(node.name, force=True, reason=again, **options)  # type: ignore[no-any-return]
        return self.run.step(  # type: ignore[no-any-return]  # a step where a name is given
            node.name, cache=cache, reason=reason, check=lambda hit: _wrong(node, catalog, hit), **options
        )

    def _policy(self, node: "Node", unknown: str) -> tuple[str, str]:
        if not node.outputs:
            return "off", "it has no outputs, so it runs always"
        if NO_CACHE in node.tags:
            return "off", f"it has the tag {NO_CACHE}, so it runs always"
        if node.confirms:
            return "off", "it confirms datasets, so it runs always"
        if unknown:
            return "off", unknown
        return ("on", "") if self.skips else ("write", "its runner skips nothing")

    def _declare(self, step: Step, node: "Node", catalog: Any) -> None:
        for name in node.outputs:
            dataset = _dataset(catalog, name)
            place = None if is_in_memory(dataset) else place_of(dataset)
            if place is None:
                step.output(name, value=_InMemory(), properties={"dataset": label(name)})
            else:
                step.output(name, File(place), properties=_properties(name, dataset, place))

    def _leave(self, step: Step, node: "Node", catalog: Any) -> None:
        """Let the nodes that read data in memory know what it is."""
        for name in node.outputs:
            if name in step.outputs and is_in_memory(_dataset(catalog, name)):
                self.shelf.put(name, step.outputs[name])

    # Data in memory that was skipped

    def _fill(self, task: "RecordedTask") -> None:
        """Make what the node needs and what skipped nodes left out."""
        with self.shelf.lock:
            for name in task.node.inputs:
                self._make(name, task.node, task)

    def _make(self, name: str, reader: "Node", task: "RecordedTask") -> None:
        maker = task.ancestors.get(name)
        if maker is None or _dataset(task.catalog, name).exists():
            return
        for needed in maker.inputs:
            self._make(needed, maker, task)
        why = f"made again, because {reader.name!r} needs {name!r}, which is in memory only"
        step = self._step(maker, task.catalog, again=why)
        before = {one: self.shelf.get(one) for one in maker.outputs}
        step.begin()
        try:
            catalog: Any = _OnlyMemory(task.catalog)
            Task(maker, catalog, task.is_async, task.hook_manager, task.run_id, task.parallel).execute()
        except BaseException as error:
            step.finish_with(error)
            raise
        step.keep_from_reuse("it was made again for one run only")
        self._finish(step, maker, task.catalog)
        # It stands for what was left out, so it counts as that.
        for one, output in before.items():
            if output is not None:
                self.shelf.put(one, output)

    # The end

    def close(self, error: BaseException | None) -> None:
        """Close the run."""
        if self._run is None or not self._run.is_open:
            return
        if error is None:
            self._run.finish()
        else:
            state = "FAILED" if isinstance(error, Exception) else "CANCELED"
            self._run.finish(state=state, error=error)
        if self.shelf.directory is not None:
            shutil.rmtree(self.shelf.directory, ignore_errors=True)


class _OnlyMemory:
    """A catalog whose data that is not in memory stays as it is."""

    def __init__(self, catalog: Any) -> None:
        self._catalog = catalog

    def load(self, name: str) -> Any:
        return self._catalog.load(name)

    def save(self, name: str, data: Any) -> None:
        if is_in_memory(_dataset(self._catalog, name)):
            self._catalog.save(name, data)

    def confirm(self, name: str) -> None:
        """Nothing new was read."""


def _dataset(catalog: Any, name: str) -> Any:
    return catalog.get(name, fallback_to_runtime_pattern=True)


def _is_missing(place: str) -> bool:
    # Then the load fails, and says so better.
    return "://" not in place and not Path(place).exists()


def _properties(name: str, dataset: Any, place: str) -> dict[str, str]:
    version = version_of(dataset, place)
    return {"dataset": label(name), **({"version": version} if version else {})}


def _wrong(node: "Node", catalog: Any, hit: Mapping[str, Output]) -> dict[str, str]:
    """What is wrong with a hit, by output: a load must read now what was recorded."""
    wrong: dict[str, str] = {}
    for name in node.outputs:
        dataset, recorded = _dataset(catalog, name), hit.get(name)
        if recorded is None:
            wrong[name] = "is not among what was recorded"
        elif not is_in_memory(dataset):
            place = place_of(dataset)
            try:
                digest = "" if place is None else digest_of(place).digest
            except HeadwaterError:
                digest = ""
            if not digest:
                wrong[name] = f"is not there: nothing can be read at {place or 'its place'}"
            elif digest != recorded.digest:
                wrong[name] = f"has other content now than was recorded, at {place}"
    return wrong


def key_of(run_params: Mapping[str, Any], catalog: Any) -> tuple[str, int]:
    """What tells a run from all others of this process."""
    # Kedro 1.0 has another name for it.
    return str(run_params.get("run_id") or run_params.get("session_id") or ""), id(catalog)


def open_recording(target: str, run_params: Mapping[str, Any], pipeline: Any, catalog: Any) -> Recording:
    """Begin to record a run.

    Raises:
        HeadwaterError: the store cannot be opened.
    """
    project = Path(run_params["project_path"])
    run_id, _ = key = key_of(run_params, catalog)
    names = run_params.get("pipeline_names") or [run_params.get("pipeline_name") or "__default__"]
    # Two runs of the same millisecond are two.
    name = f"{run_id}-{secrets.token_hex(3)}"
    steps = {
        node.name: sorted(one.name for one in needed) for node, needed in pipeline.node_dependencies.items()
    }
    run: Run = _store(target).run(
        f"{project.name}:{'+'.join(names)}"[:100],
        name=name,
        steps={} if run_params.get("only_missing_outputs") else steps,
        source=project,
        properties={"kedro_run_id": run_id, "kedro_env": run_params.get("env") or ""},
    )
    directory = None
    if isinstance(catalog, SharedMemoryDataCatalog):
        directory = Path(tempfile.mkdtemp(prefix="headwater-kedro-"))
    producers = {name: node for node in pipeline.nodes for name in node.outputs}
    recording = Recording(target, run.start(), Shelf(directory), producers)
    recordings[key] = recording
    return recording


@atexit.register
def _close_interrupted() -> None:
    """Ctrl-C reaches no hook of Kedro's."""
    for recording in list(recordings.values()):
        recording.close(KeyboardInterrupt())
    recordings.clear()
