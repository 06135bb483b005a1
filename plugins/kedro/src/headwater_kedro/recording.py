"""One run of a pipeline, recorded: each node begins and finishes a step, or is skipped."""

import atexit
import logging
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from headwater.client import Run, Step
from headwater.errors import InvalidRequest
from headwater_kedro.datasets import class_in_memory, is_in_memory, label
from headwater_kedro.describing import (
    InMemory,
    Terms,
    dataset_of,
    describe,
    output_of,
    reused_at,
    without_reading,
    written_by,
    wrong_with,
)
from headwater_kedro.names import step_name
from headwater_kedro.orchestrators import facts
from headwater_kedro.redacting import redacted
from headwater_kedro.remaking import is_missing_something, make_what_is_missing
from headwater_kedro.running import RunningRun
from headwater_kedro.saying import say_all
from headwater_kedro.shelf import Shelf
from headwater_kedro.stamps import stamps_of
from headwater_kedro.stores import store_at
from headwater_kedro.summary import FAILED, HIT, REMADE, RUN, from_shelf, print_summary
from headwater_kedro.wishes import wishes
from headwater_kedro.writing import Writing, writing

if TYPE_CHECKING:
    from kedro.pipeline.node import Node

    from headwater_kedro.tasks import RecordedTask

logger = logging.getLogger("headwater_kedro")

recordings: "dict[tuple[str, int], Recording]" = {}
"""Open ones of this process, by run id and catalog, since two runs may begin in the same millisecond."""
_joined: dict[tuple[int, str, str], Run] = {}


class Recording:
    """Made where the run begins. Sent to a worker process, it takes part in the run from there."""

    def __init__(self, target: str, run: Run, shelf: Shelf, terms: Terms, nodes: "Sequence[Node]") -> None:
        self.target = target
        self.pipeline, self.name = run.pipeline, run.name
        self.shelf = shelf
        self.terms = terms
        self.skips = terms.settings.skip or wishes.skips
        self.secrets: frozenset[str] = frozenset()
        """What must not stand in an error."""
        self.running: RunningRun | None = None
        self.nodes: list[str] = []
        """Names of all nodes, in the order of the pipeline."""
        self._opened_by = threading.get_ident()
        self._caller = next(filter(_is_session, _frames()), None)
        self._performing: set[int] = set()
        self._run: Run | None = run
        self._producers = {name: node for node in nodes for name in node.outputs}
        self._consumers: dict[str, list[Node]] = {}
        for node in nodes:
            for name in node.inputs:
                self._consumers.setdefault(name, []).append(node)

    def __getstate__(self) -> dict[str, Any]:
        return {
            **vars(self),
            "_run": None,
            "_caller": None,
            "_producers": {},
            "_consumers": {},
            "_performing": set(),
            "running": None,
        }

    @property
    def run(self) -> Run:
        """The run, to begin steps of."""
        if self._run is None:
            key = (os.getpid(), self.pipeline, self.name)
            if key not in _joined:
                settings = self.terms.settings
                joined = store_at(self.target).run(
                    self.pipeline,
                    name=self.name,
                    join=True,
                    usage=False,
                    strict=settings.strict,
                    timeout_s=settings.timeout_s,
                )
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
                if maker is not None and name not in found and is_in_memory(dataset_of(catalog, name)):
                    found[name] = maker
                    waiting.append(maker)
        return found

    def readers(self, nodes: "Iterable[Node]") -> dict[str, list[str]]:
        """By output of these nodes the names of the nodes that read it."""
        outputs = [name for node in nodes for name in node.outputs]
        return {name: [node.name for node in self._consumers.get(name, ())] for name in outputs}

    # A node

    def perform(self, task: "RecordedTask", execute: Callable[[], Any]) -> Any:
        """What the task gives; recorded, and skipped if it may be and was done before."""
        name = task.node.name
        came_to = (FAILED, "")
        self._performing.add(threading.get_ident())
        if self.skips:
            self.shelf.put_begun(name)
        try:
            done, came_to = self._perform(task, execute)
            return done
        except BaseException as error:
            came_to = (FAILED, redacted(error, self.secrets).strip().rpartition("\n")[2])
            if not isinstance(error, Exception) and len(self._performing) == 1:
                # Of an interrupt Kedro tells nobody, and a notebook goes on after it.
                self.shelf.put_done(name, came_to)
                self.close(error)
            raise
        finally:
            self._performing.discard(threading.get_ident())
            if self.skips:
                self.shelf.put_done(name, came_to)

    @property
    def is_left_behind(self) -> bool:
        """Whether what called the run is over without having said so: it was interrupted."""
        if self._caller is None or self._opened_by != threading.get_ident():
            return False
        return all(frame is not self._caller for frame in _frames())

    def _perform(self, task: "RecordedTask", execute: Callable[[], Any]) -> tuple[Any, tuple[str, str]]:
        """What the task gives, and what became of the node and why."""
        node, catalog = task.node, task.catalog
        if is_missing_something(self, task) and not self._is_done(node, catalog):
            # Before it begins, so that it is recorded to have read what is made now.
            make_what_is_missing(self, task)
        before = stamps_of(node, catalog)
        step = self._begin(node, catalog)
        if step is None:
            make_what_is_missing(self, task)
            return execute(), (RUN, "it could not be recorded")
        if step.is_hit:
            why = f"reuses execution {step.execution_id}"
            self._finish(step, node.outputs, catalog)
            return node, (HIT, why)
        directory = self.terms.directory
        with writing(directory and directory / "writing", written_by(node, catalog)) as written:
            try:
                make_what_is_missing(self, task)
                done = execute()
            except BaseException as error:
                self._fail(step, error)
                raise
            if task.replaced:
                names = ", ".join(task.replaced)
                step.note(replaced_inputs=names)
                step.keep_from_reuse(f"a hook replaced its inputs {names}")
            now = stamps_of(node, catalog)
            names = ", ".join(name for name, stamp in before.items() if now.get(name) != stamp)
            if names:
                step.keep_from_reuse(f"its inputs {names} were written while it ran")
            self._finish(step, node.outputs, catalog, written)
        return done, (RUN, step.why)

    @contextmanager
    def made_again(self, node: "Node", catalog: Any, why: str) -> Iterator[None]:
        """Record that a skipped node is executed after all, for its outputs in memory."""
        step = self._begin(node, catalog, again=why)
        skipped = {name: self.shelf.get(label(name)) for name in _in_memory(node, catalog)}
        try:
            yield
        except BaseException as error:
            if step is not None:
                self._fail(step, error)
            raise
        if step is not None:
            step.keep_from_reuse("it was made again for one run only")
            self._finish(step, _in_memory(node, catalog), catalog)
        for name, left_out in skipped.items():
            if left_out is None:
                continue
            made = step.outputs.get(name) if step is not None else None
            if made is None or made.artifact_id is None:
                made = left_out
            # It stands for what was left out, so it counts as that for its readers.
            made.properties, made.made_by = left_out.properties, left_out.made_by
            self.shelf.put(label(name), made)
        self.shelf.put_done(node.name, (REMADE, why))

    def _is_done(self, node: "Node", catalog: Any) -> bool:
        """Whether the node will be skipped, as far as can be told beforehand."""
        try:
            return bool(self._step(node, catalog).look_up().is_hit)
        except Exception as error:
            logger.debug("whether node %r is done cannot be told: %s", node.name, error)
            return False

    def _begin(self, node: "Node", catalog: Any, *, again: "str | None" = None) -> "Step | None":
        """The node's step, begun; ``None`` if it cannot be recorded."""
        try:
            step = self._step(node, catalog, again=again)
            try:
                step.begin()
            except InvalidRequest as error:
                # What it reads is not there, for instance: then its load fails, which is to be recorded.
                step = self._step(node, catalog, again=again, unreadable=str(error)).begin()
            step.note(**facts())
        except Exception as error:
            if self.terms.settings.strict:
                raise
            # Whatever it is: recording is no reason for a node to fail.
            logger.warning("node %r runs without being recorded: %s", node.name, error)
            logger.debug("the node could not be begun", exc_info=True)
            return None
        return step

    def _finish(
        self, step: Step, outputs: Sequence[str], catalog: Any, written: "Writing | None" = None
    ) -> None:
        try:
            if not step.is_hit:
                self._declare(step, outputs, catalog)
            if written is not None:
                for name in outputs:
                    step.look_at(name)
                names = ", ".join(written.met())
                if names:
                    step.keep_from_reuse(f"another run wrote {names} at the same time")
            step.finish()
        except Exception as error:
            if self.terms.settings.strict:
                raise
            logger.warning("the end of node %r could not be recorded: %s", step.name, error)
            logger.debug("the node could not be finished", exc_info=True)
            if step.is_open:
                self._fail(step, error)
        self._leave(step, outputs, catalog)

    def _fail(self, step: Step, error: BaseException) -> None:
        try:
            step.finish(state=_end_of(error), error=redacted(error, self.secrets))
        except Exception as problem:
            # The node's own error is what counts.
            logger.warning("the failure of node %r could not be recorded: %s", step.name, problem)

    def _step(self, node: "Node", catalog: Any, *, again: "str | None" = None, unreadable: str = "") -> Step:
        """The node as a step, with what it is given."""
        options = describe(node, catalog, self.shelf, self.terms, skips=self.skips)
        if unreadable:
            inputs = {name: without_reading(given) for name, given in options["inputs"].items()}
            options.update(inputs=inputs, cache="off", reason=unreadable)
        elif again is not None:
            options.update(force=True, reason=again, outputs=_in_memory(node, catalog))
        else:
            options.update(check=lambda hit: wrong_with(node, catalog, hit))
        return self.run.step(step_name(node), **options)  # type: ignore[no-any-return]  # a step where a name is given

    def _declare(self, step: Step, outputs: Sequence[str], catalog: Any) -> None:
        for name in outputs:
            dataset = dataset_of(catalog, name)
            file = output_of(name, dataset, self.terms)
            if file is None:
                known = {"dataset": label(name), "python_class": class_in_memory(dataset)}
                step.output(name, value=InMemory(), properties=known)
            else:
                step.output(name, file)

    def _leave(self, step: Step, outputs: Sequence[str], catalog: Any) -> None:
        """Let the nodes that read it know what it is."""
        for name in outputs:
            output = step.outputs.get(name)
            if output is None:
                continue
            if step.is_hit:
                output = reused_at(output, dataset_of(catalog, name))
            self.shelf.put(label(name), output)

    # The end

    def close(self, error: BaseException | None) -> None:
        """Close the run."""
        if self._run is None or not self._run.is_open or not self._run.is_own:
            return
        try:
            if error is None:
                self._run.finish()
            else:
                self._run.finish(state=_end_of(error), error=redacted(error, self.secrets))
        finally:
            self._caller = None
            for key in [key for key, one in recordings.items() if one is self]:
                del recordings[key]
            if self.running is not None:
                self.running.end()
            say_all(self.shelf)
            if self.skips:
                print_summary(self.pipeline, self.name, from_shelf(self.nodes, self.shelf))
            elif error is not None and self._run.run_id is not None:
                logger.info("'kedro headwater run --resume' goes on from there")
            if self.shelf.directory is not None:
                shutil.rmtree(self.shelf.directory, ignore_errors=True)


def _frames() -> Iterator[FrameType]:
    """Those that are being executed in this thread, the innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_session(frame: FrameType) -> bool:
    """Whether it is a session of Kedro that runs a pipeline."""
    module = str(frame.f_globals.get("__name__", ""))
    return frame.f_code.co_name == "run" and module.startswith("kedro.framework.session")


def _end_of(error: BaseException) -> str:
    return "FAILED" if isinstance(error, Exception) else "CANCELED"


def _in_memory(node: "Node", catalog: Any) -> "list[str]":
    return [name for name in node.outputs if is_in_memory(dataset_of(catalog, name))]


def key_of(run_params: Mapping[str, Any], catalog: Any) -> tuple[str, int]:
    """What tells a run from all others of this process."""
    # Kedro 1.0 has another name for it.
    return str(run_params.get("run_id") or run_params.get("session_id") or ""), id(catalog)


@atexit.register
def _close_interrupted() -> None:
    """Ctrl-C reaches no hook of Kedro's."""
    for recording in list(recordings.values()):
        recording.close(KeyboardInterrupt())
    recordings.clear()
