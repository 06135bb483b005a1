"""One attempt at a step: asking whether it has to run, and saying what became of it."""

import logging
import os
import time
import uuid
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, TypeVar

from headwater.client.capture.hardware import Usage
from headwater.client.recording import awaiting, current, keeping
from headwater.client.recording.asking import MADE_AGAIN, ask_until_decided, begin_request, fingerprint_of
from headwater.client.recording.binding import Given, given_outright
from headwater.client.recording.ending import Made, Stopwatch, error_text
from headwater.client.recording.looking import Found, look_up
from headwater.client.recording.options import StepOptions
from headwater.client.recording.outputs import Output
from headwater.client.recording.places import is_address, memo
from headwater.client.recording.replay import JUDGED
from headwater.client.recording.series import Metrics
from headwater.client.recording.verifying import is_only_in_memory, problems_of_hit
from headwater.errors import FailedPrecondition, HeadwaterError, InvalidRequest
from headwater.fingerprint import made_by
from headwater.v1 import pipelines_pb2 as pp

if TYPE_CHECKING:
    from headwater.client.recording.run import Run

logger = logging.getLogger("headwater")

Self = TypeVar("Self", bound="Attempt")

_Mode = pp.CachePolicy.Mode
# Of a step that the store was not asked about. Nobody was asked, so it was not read.
_AFTERWARDS = {_Mode.READ_AND_WRITE: _Mode.WRITE, _Mode.READ: _Mode.OFF}
# Why a step runs whose fingerprint was done before.
_DONE_BEFORE = (pp.Miss.TOO_OLD, pp.Miss.INVALIDATED, pp.Miss.POLICY, pp.Miss.NOT_REUSABLE)


class Attempt:
    """What ``Step`` is without the words of its author: begun once, finished once, in one process."""

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
        """Whether others may compute the same, because the store did not hear of this process in time."""
        self._options = options
        self._given = given
        self._function = function
        self._state = "new"
        self._made: dict[str, Made] = {}
        self._metrics = Metrics()
        self._properties: dict[str, Any] = {}
        self._unfit = ""
        self._request: pp.BeginStepRequest | None = None
        self._was_asked = False
        self._cached_execution_id = 0
        self._token = ""
        self._watch = Stopwatch()
        self._usage: Usage | None = None
        self._place: awaiting.Place = (0, None)
        self.is_suspended = False
        """Whether it is a generator's, and waits for its consumer."""
        self.made_again = ""
        """What tells its outputs in memory from those of earlier attempts with this fingerprint."""
        self._inherits: str | None = None
        self._is_only_for_memory: bool | None = None

    @property
    def is_open(self) -> bool:
        """Whether it was begun and not finished."""
        return self._state == "open"

    def _check_open(self) -> None:
        if self._state != "open":
            raise FailedPrecondition(
                f"step {self.name!r} is {'finished' if self._state == 'closed' else 'not begun'}; "
                "say this between its beginning and its end"
            )

    def begin(self: Self) -> Self:
        """Ask whether it has to run. Waits while somebody else computes the same.

        Raises:
            InvalidRequest: what the step is given cannot be recorded, for example a parameter.
            FailedPrecondition: it was begun before, or its run is over.
            HeadwaterError: the run is strict, and the store is away or refuses.
        """
        self._check_new()
        try:
            for pause_s in self._begin_turns(lambda other: other._place[0] == self._place[0]):
                time.sleep(pause_s)
        except BaseException as error:
            if self.is_open:
                self.finish_with(error)
            raise
        return self

    async def begin_async(self: Self) -> Self:
        """As ``begin``, without blocking the event loop."""
        self._check_new()
        try:
            await awaiting.in_turns(self._begin_turns(lambda other: other._place == self._place))
        except BaseException as error:
            # Cancelled, maybe, after the store gave a lease: it is given back.
            if self.is_open:
                await awaiting.in_thread(self.finish_with, error)
            raise
        return self

    def _check_new(self) -> None:
        if self._state != "new":
            raise FailedPrecondition(
                f"step {self.name!r} was begun before; make another with run.step for another attempt"
            )
        self._place = awaiting.place()

    def _begin_turns(self, is_here: "Callable[[Attempt], bool]") -> Generator[float, None, None]:
        run = self.run
        run.check_open()
        request = self._request = self._asked()
        self.fingerprint = fingerprint_of(request)
        first_mode = request.cache.mode
        cache = self._options.cache

        def is_own(holder: pp.Holder) -> bool:
            # It cannot end while this waits: it is the code that calls, or a generator that stands still.
            other = run.recorder.begun.get(holder.execution_id)
            if other is None or not other.is_open:
                return False
            return other.is_suspended or is_here(other) or _is_within(other)

        answer = yield from ask_until_decided(
            run.recorder,
            request,
            run.manner,
            self._check_hit,
            wait_timeout_s=cache.wait_timeout,
            is_own=is_own,
        )
        if self._inherits is None and self._runs_again(answer, first_mode):
            self.made_again = f" by {self.key}"
        elif self._inherits is not None:
            self.made_again = self._inherits
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

    def _asked(self) -> pp.BeginStepRequest:
        run = self.run
        given = self._given
        if given is None:
            given = given_outright(self._options.inputs, self._options.params, self._options.exclude)
        request = begin_request(
            self._options,
            given,
            pipeline=run.pipeline,
            key=self.key,
            function=self._function,
            storage_options=run.storage_options,
            knows_artifacts_of=self._knows_artifact,
        )
        memo().flush()
        request.pipeline, request.run = run.pipeline, run.name
        request.worker = run.recorder.worker
        request.lease_ms = run.lease_ms
        request.start_ms = self._watch.start_ms
        return request

    def look_up(self) -> Found:
        """What would become of it if it were begun now: whether it is a hit, and why. Changes nothing.

        Its run need not be started, and it can be begun afterwards. Waits for nobody, and is a question, so
        a store that is away is an error. Outputs of a hit are looked at as ``begin`` does.

        Raises:
            InvalidRequest: what the step is given cannot be recorded, for example a parameter.
            HeadwaterError: the store is away, or refuses to answer.
        """
        store = self.run.store
        return look_up(
            lambda request: store._ask(request, pp.LookUpStepsResponse),
            self._asked(),
            lambda answer: self._look_at_hit(answer)[:2],
            self._outputs_of,
        )

    def _knows_artifact(self, output: Output) -> bool:
        store, other = self.run.store, output._store
        if other is None or other is store:
            return True
        target = str(getattr(other.transport, "target", ""))
        # Stores without address are in memory, so another one is another.
        return is_address(target) and target == self.run.recorder.target

    def _runs_again(self, answer: pp.BeginStepResponse | None, first_mode: int) -> bool:
        """Whether it runs although its fingerprint was done before, so that something else may come out.

        What ran only because its objects were in the memory of another process counts as unchanged.
        """
        if first_mode == _Mode.WRITE:
            return True
        if answer is None:
            return bool(self._options.cache.max_age)
        if answer.decision != pp.RUN or self._is_only_for_memory:
            return False
        return answer.miss.why in _DONE_BEFORE

    def _check_hit(self, answer: pp.BeginStepResponse) -> tuple[list[pp.RefusedHit], bool]:
        refused, is_usable, outputs = self._look_at_hit(answer)
        if self._is_only_for_memory is None:
            # The newest is offered first.
            again = [str(output.properties.get(MADE_AGAIN, "")) for output in outputs.values()]
            self.made_again = max(again, default="")
            self._is_only_for_memory = True
        self._is_only_for_memory &= is_usable or is_only_in_memory(refused)
        return refused, is_usable

    def _look_at_hit(
        self, answer: pp.BeginStepResponse
    ) -> tuple[list[pp.RefusedHit], bool, dict[str, Output]]:
        """What is wrong with a hit, whether it can be used, and its outputs as far as they can be read."""
        outputs: dict[str, Output] = {}
        try:
            outputs = self._outputs_of(answer)
            return *self._problems(answer, outputs), outputs
        except (HeadwaterError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            logger.debug("a hit cannot be read", exc_info=True)
            reason = f"its record cannot be read: {error}"
            refused = [pp.RefusedHit(execution_id=answer.execution_id, reason=reason[:500])]
            return refused, False, outputs

    def _problems(
        self, answer: pp.BeginStepResponse, outputs: dict[str, Output]
    ) -> tuple[list[pp.RefusedHit], bool]:
        run = self.run
        if self._options.check is not None:
            # Of no use here; whether it is to others is not known.
            wrong = [
                pp.RefusedHit(
                    execution_id=answer.execution_id, reason=f"output {name!r} {text}", stays_fit=True
                )
                for name, text in self._options.check(outputs).items()
            ]
            return wrong, not wrong
        return problems_of_hit(
            answer,
            outputs,
            needs_values=not self._options.lazy,
            directory=run.directory,
            roots=run.roots,
            storage_options=run.storage_options,
        )

    def _outputs_of(self, answer: pp.BeginStepResponse) -> dict[str, Output]:
        outputs = {
            message.name: Output.of_message(
                message,
                made_by=made_by(answer.fingerprint, message.name) if answer.fingerprint else "",
                store=self.run.store,
            )
            for message in answer.outputs
        }
        for output in outputs.values():
            if output.is_pickled:
                output._compute = lambda output=output: keeping.read_pickle(output.path)
        return outputs

    def _take(self, answer: pp.BeginStepResponse) -> None:
        self.fingerprint = answer.fingerprint
        self.execution_id = answer.execution_id
        self.attempt = answer.attempt
        if answer.decision == pp.HIT:
            self.is_hit = True
            self._cached_execution_id = answer.execution_id
            self.outputs = self._outputs_of(answer)
            return
        self._was_asked = True
        self.why = answer.miss.text
        self.run.recorder.begun[answer.execution_id] = self
        if answer.HasField("lease"):
            self._token = answer.lease.token
            self.run.recorder.heartbeat.hold(answer.lease, self._lose_lease)

    def _lose_lease(self) -> None:
        if not self.is_open:
            return
        self.lease_lost = True
        logger.warning(
            "the lease of step %r has ended, because the store did not hear of this process in time; "
            "somebody else may compute the same now. What comes out here is recorded all the same",
            self.name,
        )

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
            raise InvalidRequest(
                f"state={state!r} is no end of a step; use 'COMPLETE', 'FAILED' or 'CANCELED'"
            )
        self._state = "closed"
        self.run.forget_step(self)
        if self.execution_id is not None:
            self.run.recorder.begun.pop(self.execution_id, None)
        request = pp.FinishStepRequest(key=self.key, state=state, unfit=self._unfit)
        problem: BaseException | None = None
        try:
            request.error = _sound(error_text(error) if isinstance(error, BaseException) else error)
            if self._usage is not None:
                self._usage.__exit__(None, None, None)
                request.usage.update(self._usage.result())
            if state == "COMPLETE" and not self.is_hit:
                request.outputs.extend(made.message(self.run.storage_options) for made in self._made.values())
                for name in self._options.outputs:
                    if name not in self._made:
                        raise InvalidRequest(
                            f"step {self.name!r} declares output {name!r}, and its body did not make it"
                        )
            for name, value in self._properties.items():
                request.custom_properties[name].CopyFrom(keeping.property_value(name, value))
            memo().flush()
        except BaseException as refused:
            # Whatever it is: a step that cannot be recorded as it should must not stay open.
            problem = refused
            request.ClearField("outputs")
            request.state = pp.FAILED if isinstance(refused, Exception) else pp.CANCELED
            request.error = _sound(
                str(refused) if isinstance(refused, InvalidRequest) else error_text(refused)
            )
        finally:
            self.run.recorder.heartbeat.let_go(self._token)
        if self.is_hit and request.state == pp.COMPLETE:
            request.state = pp.CACHED
            request.cached_execution_id = self._cached_execution_id
        request.end_ms = self._watch.end_ms
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
                "the lease of step %r had ended before the step did%s",
                self.name,
                f"; {other} computes the same now" if other else "",
            )

    def finish_with(self, error: BaseException | None) -> None:
        """Finish as the body ended. What goes wrong with that does not hide the body's own error."""
        if error is None:
            self.finish()
            return
        try:
            self.finish(state="FAILED" if isinstance(error, Exception) else "CANCELED", error=error)
        except HeadwaterError as problem:
            logger.warning("the failure of step %r could not be recorded: %s", self.name, problem)


def _is_within(attempt: Attempt) -> bool:
    """Whether the calling code is part of what an attempt does."""
    step = current.current_step()
    while step is not None and step is not attempt:
        step = step._before
    return step is not None


def _sound(text: str) -> str:
    """Text without what no encoding has."""
    return text.encode(errors="replace").decode()
