"""A step while it is recorded: begun, then run or reused, then finished."""

import logging
import os
import time
import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from headwater.client.capture.hardware import Usage
from headwater.client.recording import awaiting, current, keeping
from headwater.client.recording.asking import ask_until_decided, begin_request, fingerprint_of
from headwater.client.recording.binding import Given, given_outright
from headwater.client.recording.ending import Made, Stopwatch, error_text, made_of_file, made_of_value
from headwater.client.recording.options import StepOptions, check_name
from headwater.client.recording.outputs import File, Output, check_declared_type
from headwater.client.recording.places import memo
from headwater.client.recording.replay import JUDGED
from headwater.client.recording.series import Metrics
from headwater.client.recording.verifying import problems_of_hit
from headwater.errors import FailedPrecondition, HeadwaterError, InvalidRequest
from headwater.fingerprint import made_by
from headwater.v1 import pipelines_pb2 as pp

if TYPE_CHECKING:
    from headwater.client.recording.run import Run

logger = logging.getLogger("headwater")

_MISSING: Any = object()
_Mode = pp.CachePolicy.Mode
# Of a step that the store was not asked about. Nobody was asked, so it was not read.
_AFTERWARDS = {_Mode.READ_AND_WRITE: _Mode.WRITE, _Mode.READ: _Mode.OFF}


class Step:
    """One attempt at a step of a run. ``Run.step`` makes it.

    In a ``with`` statement the body has to ask whether it is to do anything, because Python cannot skip it:

    >>> with run.step("train", inputs={"table": "data.csv"}, version="1") as step:  # doctest: +SKIP
    ...     if step.must_run:
    ...         train("data.csv", "model.bin")
    ...         step.output("model", "model.bin", type="Model")

    It can also be put on a function, which then is skipped by itself (``Run.step``), or be begun and
    finished by calls.
    """

    def __init__(
        self,
        run: "Run",
        options: StepOptions,
        *,
        given: Given | None = None,
        function: Callable[..., Any] | None = None,
    ) -> None:
        self.run = run
        self.name = options.name
        self.key = str(uuid.uuid4())
        """The id of this attempt, new for each."""
        self.process_id = os.getpid()
        self.is_hit = False
        """Whether it was done before and its outputs are reused."""
        self.outputs: dict[str, Output] = {}
        """By name: those of the hit, or those that were declared so far."""
        self.execution_id: int | None = None
        """The attempt's execution; of a hit, until the step is finished, the one that is reused."""
        self.attempt = 0
        self.fingerprint = ""
        self.why = ""
        """Why it runs, in a sentence."""
        self.lease_lost = False
        """Whether others may be computing the same, because the store did not hear of this process in time."""
        self._options = options
        self._given = given
        self._function = function
        self._state = "new"
        self._made: dict[str, Made] = {}
        self._metrics = Metrics()
        self._properties: dict[str, Any] = {}
        self._request: pp.BeginStepRequest | None = None
        self._was_asked = False
        self._cached_execution_id = 0
        self._token = ""
        self._watch = Stopwatch()
        self._usage: Usage | None = None
        self._before: "Step | None" = None

    # What an author asks and says

    @property
    def must_run(self) -> bool:
        """Whether the body has to do its work."""
        return not self.is_hit

    @property
    def is_open(self) -> bool:
        """Whether it was begun and not finished."""
        return self._state == "open"

    def output(
        self,
        name: str,
        place: "str | os.PathLike[str] | None" = None,
        *,
        value: Any = _MISSING,
        type: str = "",  # noqa: A002  # the field's word
        description: str = "",
        properties: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        preview: bool = False,
        redact: Sequence[str] = (),
        manifest: bool = False,
    ) -> Output:
        """Declare what the step made: what lies at ``place``, or a value. It is read when the step is finished.

        Args:
            place: path or URI of a file or directory, or a ``File``.
            value: instead of a place; kept in the record if it is plain (``recording.keeping``).
            type: of the artifact; ``Dataset``, or ``Value`` for values, where it is left out.
            metrics: results of an evaluation that the output holds.
            preview: record columns, row count and first rows of a data set, without the columns ``redact``.
            manifest: record path, size and digest of each file of a model package.

        Raises:
            InvalidRequest: a name that is taken, neither place nor value or both, a type other than declared.
            FailedPrecondition: the step is not open.
        """
        self._check_open()
        check_name(name, "output")
        if name in self._made:
            raise InvalidRequest(f"step {self.name!r} has an output {name!r} already; choose another name")
        if (place is None) == (value is _MISSING):
            raise InvalidRequest(f"output {name!r} needs either a place or a value")
        if place is None:
            type = check_declared_type(name, type, self._options.outputs)  # noqa: A001
            made = made_of_value(name, value, type_=type, properties=properties or {}, preview=preview, redact=redact)
            made.metrics = dict(metrics or {})
        else:
            given = place if isinstance(place, File) else File(place)
            type = check_declared_type(name, type or given.type, self._options.outputs)  # noqa: A001
            file = File(
                given.place,
                digest=given.digest,
                description=description or given.description,
                properties={**given.properties, **(properties or {})},
                preview=preview or given.preview,
                redact=redact or given.redact,
                metrics={**given.metrics, **(metrics or {})},
            )
            made = made_of_file(name, file, type_=type, with_manifest=manifest)
        return self._add(name, made)

    def evaluation(
        self,
        name: str,
        metrics: Mapping[str, float],
        *,
        model: Output | None = None,
        data: Output | None = None,
    ) -> Output:
        """Declare an output of type ``Metrics``: results of ``model`` on ``data``, tied to their digests."""
        properties: dict[str, Any] = {}
        for what, output in (("model", model), ("data", data)):
            if output is not None:
                properties[f"{what}_digest"] = output.digest or output.made_by
                if output.artifact_id is not None:
                    properties[f"{what}_artifact_id"] = output.artifact_id
        numbers = {str(key): float(number) for key, number in metrics.items()}
        return self.output(name, value=numbers, type="Metrics", metrics=numbers, properties=properties)

    def _add(self, name: str, made: Made) -> Output:
        if self.is_hit:
            self._run_after_all()
        made.output.made_by = made_by(self.fingerprint, name) if self.fingerprint else ""
        made.output._store = self.run.store
        self._made[name] = made
        self.outputs[name] = made.output
        return made.output

    def look_at(self, name: str) -> Output:
        """Read an output now, rather than when the step is finished.

        Raises:
            InvalidRequest: there is no such output, or nothing where it should be.
        """
        if name not in self._made:
            raise InvalidRequest(f"step {self.name!r} has no output {name!r}")
        self._made[name].look(self.run.storage_options)
        return self._made[name].output

    def metric(self, name: str, value: float, *, step: int | None = None) -> None:
        """Record a number; with ``step`` a point of a series.

        Raises:
            InvalidRequest: no number, or a negative ``step``.
        """
        self._check_open()
        full = self._metrics.add(name, value, step)
        if full and self._was_asked and not self.is_hit:
            self._log_metrics()

    def note(self, **properties: Any) -> None:
        """Record further properties of the attempt."""
        self._check_open()
        self._properties.update(properties)

    def _check_open(self) -> None:
        if self._state != "open":
            raise FailedPrecondition(
                f"step {self.name!r} is {'finished' if self._state == 'closed' else 'not begun'}; "
                "say this between its beginning and its end"
            )

    def _run_after_all(self) -> None:
        """Record as run what was a hit: its body did the work all the same, and made outputs anew."""
        logger.debug("step %r made outputs although it was a hit", self.name)
        self.is_hit, self._cached_execution_id, self.outputs = False, 0, {}
        self.execution_id = None

    # Beginning

    def begin(self) -> "Step":
        """Ask whether it has to run. Waits while somebody else computes the same.

        Raises:
            InvalidRequest: what the step is given cannot be recorded, for example a parameter.
            FailedPrecondition: it was begun before, or its run is over.
            HeadwaterError: the run is strict, and the store is away or refuses.
        """
        for pause_s in self._begin_turns():
            time.sleep(pause_s)
        return self

    async def begin_async(self) -> "Step":
        """As ``begin``, without blocking the event loop."""
        await awaiting.in_turns(self._begin_turns())
        return self

    def _begin_turns(self) -> Generator[float, None, None]:
        if self._state != "new":
            raise FailedPrecondition(
                f"step {self.name!r} was begun before; make another with run.step for another attempt"
            )
        run = self.run
        run.check_open()
        given = self._given
        if given is None:
            given = given_outright(self._options.inputs, self._options.params, self._options.exclude)
        request = begin_request(
            self._options, given, key=self.key, function=self._function, storage_options=run.storage_options
        )
        memo().flush()
        request.pipeline, request.run = run.pipeline, run.name
        request.worker = run.recorder.worker
        request.lease_ms = run.lease_ms
        request.start_ms = self._watch.start_ms
        self._request = request
        self.fingerprint = fingerprint_of(request)
        first_mode = request.cache.mode
        cache = self._options.cache
        answer = yield from ask_until_decided(
            run.recorder, request, run.manner, self._check_hit, wait_timeout_s=cache.wait_timeout
        )
        self._state = "open"
        run.add_step(self)
        if answer is None:
            self.why = "the store could not be asked"
            request.cache.mode = _AFTERWARDS.get(first_mode, first_mode)
            request.ClearField("refused")
        else:
            self._take(answer)
        if not self.is_hit and run.measures_usage:
            self._usage = Usage()
            with run.recorder.without_forks():
                self._usage.__enter__()

    def _check_hit(self, answer: pp.BeginStepResponse) -> tuple[list[pp.RefusedHit], bool]:
        run = self.run
        outputs = self._outputs_of(answer)
        return problems_of_hit(
            answer,
            outputs,
            needs_values=not self._options.lazy,
            directory=run.directory,
            roots=run.roots,
            storage_options=run.storage_options,
        )

    def _outputs_of(self, answer: pp.BeginStepResponse) -> dict[str, Output]:
        return {
            message.name: Output.of_message(
                message,
                made_by=made_by(answer.fingerprint, message.name) if answer.fingerprint else "",
                store=self.run.store,
            )
            for message in answer.outputs
        }

    def _take(self, answer: pp.BeginStepResponse) -> None:
        self.fingerprint = answer.fingerprint
        self.execution_id = answer.execution_id
        self.attempt = answer.attempt
        if answer.decision == pp.HIT:
            self.is_hit = True
            self._cached_execution_id = answer.execution_id
            self.outputs = self._outputs_of(answer)
            for output in self.outputs.values():
                if output.is_pickled:
                    path = output.path
                    output._compute = lambda path=path: keeping.read_pickle(path)
            return
        self._was_asked = True
        self.why = answer.miss.text
        if answer.HasField("lease"):
            self._token = answer.lease.token
            self.run.recorder.heartbeat.hold(answer.lease, self._lose_lease)

    def _lose_lease(self) -> None:
        if not self.is_open:
            return
        self.lease_lost = True
        logger.warning(
            "the lease of step %r has ended, because the store did not hear of this process in time; somebody "
            "else may compute the same now. What comes out here is recorded all the same",
            self.name,
        )

    # Ending

    def finish(self, *, state: str = "COMPLETE", error: "BaseException | str" = "") -> None:
        """Record the outputs and the end: ``COMPLETE``, ``FAILED`` or ``CANCELED``.

        Raises:
            InvalidRequest: an output is not there; the step is FAILED then.
            FailedPrecondition: the step was not begun, or is finished already.
            HeadwaterError: the run is strict, and the store is away or refuses.
        """
        if self.process_id != os.getpid():
            # A forked child leaves the step that its parent is in.
            return
        self._check_open()
        if state not in ("COMPLETE", "FAILED", "CANCELED"):
            raise InvalidRequest(f"state={state!r} is no end of a step; use 'COMPLETE', 'FAILED' or 'CANCELED'")
        self._state = "closed"
        self.run.forget_step(self)
        request = pp.FinishStepRequest(key=self.key, state=pp.State.Value(state))
        request.error = error_text(error) if isinstance(error, BaseException) else error
        if self._usage is not None:
            self._usage.__exit__(None, None, None)
            request.usage.update(self._usage.result())
        problem: InvalidRequest | None = None
        try:
            if state == "COMPLETE" and not self.is_hit:
                request.outputs.extend(
                    made.message(self.run.storage_options) for made in self._made.values()
                )
                for name in self._options.outputs:
                    if name not in self._made:
                        raise InvalidRequest(
                            f"step {self.name!r} declares output {name!r}, and its body did not make it"
                        )
            for name, value in self._properties.items():
                request.custom_properties[name].CopyFrom(keeping.property_value(name, value))
        except InvalidRequest as refused:
            problem = refused
            request.ClearField("outputs")
            request.state, request.error = pp.FAILED, str(refused)
        memo().flush()
        if self.is_hit and request.state == pp.COMPLETE:
            request.state = pp.CACHED
            request.cached_execution_id = self._cached_execution_id
        request.end_ms = self._watch.end_ms
        self.run.recorder.heartbeat.let_go(self._token)
        try:
            self._tell_end(request)
        finally:
            if problem is not None:
                raise problem

    def _tell_end(self, request: pp.FinishStepRequest) -> None:
        assert self._request is not None
        request.metrics.extend(self._metrics.take())
        if not self._was_asked:
            request.begin.CopyFrom(self._request)
        recorder, manner = self.run.recorder, self.run.manner
        try:
            answer = recorder.tell(
                request, pp.FinishStepResponse, manner, manner.deadline(), on_answer=self._learn
            )
        except JUDGED as error:
            if manner.strict:
                raise
            recorder.set_aside(request, error)
            logger.warning("the store refuses to record step %r: %s", self.name, error)
            return
        if answer is not None:
            self._learn(answer)

    def _learn(self, answer: pp.FinishStepResponse) -> None:
        self.execution_id = answer.execution_id
        if self._made and len(answer.artifact_ids) == len(self._made):
            for made, artifact_id in zip(self._made.values(), answer.artifact_ids, strict=True):
                made.output.artifact_id = artifact_id
        if answer.lease_was_lost and self._token and not self.lease_lost:
            self.lease_lost = True
            other = answer.taken_over_by.worker
            logger.warning(
                "the lease of step %r had ended before the step did%s", self.name,
                f"; {other} computes the same now" if other else "",
            )

    def _log_metrics(self) -> None:
        request = pp.LogMetricsRequest(key=self.key, metrics=self._metrics.take())
        run = self.run
        try:
            run.recorder.tell(request, pp.LogMetricsResponse, run.manner, run.manner.deadline())
        except JUDGED as error:
            if run.manner.strict:
                raise
            run.recorder.set_aside(request, error)
            logger.warning("the store refuses metrics of step %r: %s", self.name, error)

    def finish_with(self, error: BaseException | None) -> None:
        """Finish as the body ended. What goes wrong with that does not hide the body's own error."""
        if error is None:
            self.finish()
            return
        try:
            self.finish(state="FAILED" if isinstance(error, Exception) else "CANCELED", error=error)
        except HeadwaterError as problem:
            logger.warning("the failure of step %r could not be recorded: %s", self.name, problem)

    # As a context, and on functions

    def __enter__(self) -> "Step":
        if self._state == "new":
            self.begin()
        self._check_open()
        self.enter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.leave()
        if self.is_open:
            self.finish_with(error)

    async def __aenter__(self) -> "Step":
        if self._state == "new":
            await self.begin_async()
        self._check_open()
        self.enter()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.leave()
        if self.is_open:
            await awaiting.in_thread(self.finish_with, error)

    def enter(self) -> None:
        """Make it the current step of the calling code."""
        self._before = current.enter_step(self)

    def leave(self) -> None:
        """Undo ``enter``."""
        current.leave_step(self, self._before)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function as this step: see ``Run.step``."""
        from headwater.client.recording.decorating import as_step

        return as_step(function, self._options, run=self.run)

    def __reduce__(self) -> Any:
        raise TypeError(
            f"step {self.name!r} cannot be sent to another process; join the run there with "
            f"client.run({self.run.pipeline!r}, name={self.run.name!r}, join=True) and begin a step of its own"
        )

    def __repr__(self) -> str:
        state = "hit" if self.is_hit else {"new": "not begun", "open": "running", "closed": "finished"}[self._state]
        return f"Step({self.name!r}, {state})"
