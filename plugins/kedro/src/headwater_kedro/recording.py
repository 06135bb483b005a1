"""One run of a pipeline, recorded: each node begins and finishes a step, or is skipped."""

import atexit
import logging
import multiprocessing
import os
import secrets
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import SharedMemoryDataCatalog

import headwater
from headwater.client import Run, Step
from headwater.errors import FailedPrecondition, HeadwaterError, InvalidRequest
from headwater.fingerprint import canonical
from headwater_kedro import repeating
from headwater_kedro.config import Settings, own_directory, project_name, target_of
from headwater_kedro.datasets import class_in_memory, is_in_memory, label
from headwater_kedro.describing import (
    InMemory,
    Project,
    dataset_of,
    describe,
    output_of,
    reused_at,
    step_name,
    without_reading,
    written_by,
    wrong_with,
)
from headwater_kedro.orchestrators import facts, fitting, parent_run
from headwater_kedro.parameters import flat, left_over, only_left_out, plain
from headwater_kedro.redacting import redacted, secrets_in
from headwater_kedro.remaking import is_missing_something, make_what_is_missing
from headwater_kedro.running import RunningRun, end_killed, mark_running
from headwater_kedro.saying import say_all, say_once
from headwater_kedro.shelf import Shelf
from headwater_kedro.stamps import stamps_of
from headwater_kedro.wishes import wishes
from headwater_kedro.writing import Writing, writing

if TYPE_CHECKING:
    from kedro.pipeline.node import Node

    from headwater_kedro.tasks import RecordedTask

logger = logging.getLogger("headwater_kedro")

_LONGEST_PIPELINE = 100
_LONGEST_QUESTION_S = 2.0

recordings: "dict[tuple[str, int], Recording]" = {}
"""Open ones of this process, by run id and catalog, since two runs may begin in the same millisecond."""
_stores: dict[tuple[int, str], Any] = {}
_joined: dict[tuple[int, str, str], Run] = {}


def store_at(target: str) -> Any:
    """The store, opened once in each process."""
    key = (os.getpid(), target)
    if key not in _stores:
        store = headwater.connect(target, lazy=True)
        # Questions are not worth waiting for either; what runs tell has a limit of its own.
        _stores[key] = store.with_timeout(_LONGEST_QUESTION_S)
    return _stores[key]


class Recording:
    """Made where the run begins. Sent to a worker process, it takes part in the run from there."""

    def __init__(
        self, target: str, run: Run, shelf: Shelf, project: Project, nodes: "Sequence[Node]"
    ) -> None:
        self.target = target
        self.pipeline, self.name = run.pipeline, run.name
        self.shelf = shelf
        self.project = project
        self.skips = project.settings.skip or wishes.skips
        self.secrets: frozenset[str] = frozenset()
        """What must not stand in an error."""
        self.running: RunningRun | None = None
        self.nodes: list[str] = []
        """Names of all nodes, in the order of the pipeline."""
        self._opened_by = threading.get_ident()
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
                settings = self.project.settings
                joined = store_at(self.target).run(
                    self.pipeline,
                    name=self.name,
                    join=True,
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
        self._performing.add(threading.get_ident())
        try:
            return self._perform(task, execute)
        except BaseException as error:
            if not isinstance(error, Exception) and len(self._performing) == 1:
                # Of an interrupt Kedro tells nobody, and a notebook goes on after it.
                self.close(error)
            raise
        finally:
            self._performing.discard(threading.get_ident())
            if self.skips:
                self.shelf.put_done(task.node.name)

    @property
    def is_left_behind(self) -> bool:
        """Whether the thread that began the run does something else by now: it was interrupted."""
        return self._opened_by == threading.get_ident() and not self._performing

    def _perform(self, task: "RecordedTask", execute: Callable[[], Any]) -> Any:
        node, catalog = task.node, task.catalog
        if is_missing_something(self, task) and not self._is_done(node, catalog):
            # Before it begins, so that it is recorded to have read what is made now.
            make_what_is_missing(self, task)
        before = stamps_of(node, catalog)
        step = self._begin(node, catalog)
        if step is None:
            make_what_is_missing(self, task)
            return execute()
        if step.is_hit:
            self._finish(step, node.outputs, catalog)
            return node
        directory = self.project.directory
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
        return done

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
            if self.project.settings.strict:
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
            if self.project.settings.strict:
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
        options = describe(node, catalog, self.shelf, self.project, skips=self.skips)
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
            file = output_of(name, dataset, self.project)
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
            if self.running is not None:
                self.running.end()
            say_all(self.shelf)
            if self.shelf.directory is not None:
                shutil.rmtree(self.shelf.directory, ignore_errors=True)
        if self.skips and self._run.run_id is not None:
            self._print_summary(self._run.run_id)
        elif error is not None and self._run.run_id is not None:
            logger.info("'kedro headwater run --resume' goes on from there")
        elif self.skips:
            logger.info("the store was away, so all nodes ran; it is told of them later")

    def _print_summary(self, run_id: int) -> None:
        # Loaded when there is something to show.
        from headwater_kedro.summary import print_summary, summarise

        try:
            steps = list(store_at(self.target).steps(run_id, page_size=1000))
        except HeadwaterError as error:
            logger.debug("what became of the nodes cannot be shown: %s", error)
            return
        print_summary(self.pipeline, self.name, summarise(self.nodes, steps))


def _end_of(error: BaseException) -> str:
    return "FAILED" if isinstance(error, Exception) else "CANCELED"


def _in_memory(node: "Node", catalog: Any) -> "list[str]":
    return [name for name in node.outputs if is_in_memory(dataset_of(catalog, name))]


def key_of(run_params: Mapping[str, Any], catalog: Any) -> tuple[str, int]:
    """What tells a run from all others of this process."""
    # Kedro 1.0 has another name for it.
    return str(run_params.get("run_id") or run_params.get("session_id") or ""), id(catalog)


def open_recording(
    settings: Settings, run_params: Mapping[str, Any], pipeline: Any, catalog: Any
) -> Recording:
    """Begin to record a run.

    Raises:
        HeadwaterError: the store cannot be opened, or worker processes could not ask it.
        OSError: the project's own store cannot be made.
    """
    directory = Path(run_params["project_path"])
    target = target_of(settings, directory)
    if isinstance(catalog, SharedMemoryDataCatalog) and "://" not in target:
        _check_fork()
    project = project_name(settings, directory)
    run_id, _ = key = key_of(run_params, catalog)
    # Two runs of the same millisecond are two.
    name = f"{run_id}-{secrets.token_hex(3)}"
    for before, recording in list(recordings.items()):
        if recording.is_left_behind:
            del recordings[before]
            recording.close(KeyboardInterrupt())
    own = _own_directory(directory, target)
    if own is not None:
        end_killed(own / "running", target, lambda: store_at(target))
    parameters = plain(dataset_of(catalog, "parameters").load()) if "parameters" in catalog else {}
    steps = {
        step_name(node): sorted(map(step_name, needed)) for node, needed in pipeline.node_dependencies.items()
    }
    run: Run = store_at(target).run(
        pipeline_of(project, run_params),
        name=name,
        params=_shown(left_over(parameters, "", settings)),
        parent=parent_run(project),
        steps={} if run_params.get("only_missing_outputs") else steps,
        source=directory,
        properties={
            "kedro_run_id": run_id,
            "kedro_env": run_params.get("env") or "",
            "kedro_project": project,
            repeating.PROPERTY: repeating.repeatable(settings, run_params, parameters),
            **({"resumes": wishes.resumes} if wishes.resumes else {}),
            **facts(),
        },
        strict=settings.strict,
        timeout_s=settings.timeout_s,
    )
    shelf = Shelf()
    if isinstance(catalog, SharedMemoryDataCatalog):
        shelf = Shelf(Path(tempfile.mkdtemp(prefix="headwater-kedro-")))
    say_once(shelf)
    known = Project(project, settings, name, own)
    recording = Recording(target, run.start(), shelf, known, pipeline.nodes)
    if own is not None:
        try:
            recording.running = mark_running(own / "running", target, run.pipeline, name)
        except OSError as error:
            logger.debug("nothing marks that this run is going on: %s", error)
    recording.secrets = secrets_in(only_left_out(parameters, "", settings))
    recording.nodes = [step_name(node) for node in pipeline.nodes]
    recordings[key] = recording
    return recording


def _check_fork() -> None:
    method = os.environ.get("KEDRO_MP_CONTEXT")
    if method not in ("fork", "spawn", "forkserver"):
        method = multiprocessing.get_start_method()
    supports = os.environ.get("GRPC_ENABLE_FORK_SUPPORT", "1").strip().lower()
    if method == "fork" and supports in ("0", "false", "no", "off"):
        raise FailedPrecondition(
            f"GRPC_ENABLE_FORK_SUPPORT={supports} is set, with which worker processes that are forked hang "
            "for ever when they ask a server; unset it, or set KEDRO_MP_CONTEXT=spawn"
        )


def _own_directory(project: Path, target: str) -> "Path | None":
    """The project's directory for what is headwater's; ``None`` where it is neither possible nor needed."""
    try:
        return own_directory(project)
    except OSError:
        if target.startswith("sqlite:"):
            raise
        return None


def pipeline_of(project: str, run_params: Mapping[str, Any]) -> str:
    """Name in the store of the pipelines of a run together."""
    return fitting(f"{project}:{'+'.join(repeating.pipeline_names(run_params))}", _LONGEST_PIPELINE)


def _shown(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as they can be recorded with a run; what cannot is shown as text."""
    shown: dict[str, Any] = {}
    for name, value in flat(parameters, "").items() if parameters else ():
        try:
            canonical(value, what=f"parameter {name!r}")
            shown[str(name)] = value
        except InvalidRequest:
            shown[str(name)] = str(value)
    return shown


@atexit.register
def _close_interrupted() -> None:
    """Ctrl-C reaches no hook of Kedro's."""
    for recording in list(recordings.values()):
        recording.close(KeyboardInterrupt())
    recordings.clear()
