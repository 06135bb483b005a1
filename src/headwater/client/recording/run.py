"""A run of a pipeline while it is recorded."""

import datetime
import logging
import os
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from headwater.client.capture.environment import environment
from headwater.client.capture.git import repository_state
from headwater.client.capture.trigger import owner, trigger
from headwater.client.recording import awaiting, current
from headwater.client.recording.attempt import Attempt
from headwater.client.recording.decorating import as_step
from headwater.client.recording.ending import Stopwatch, error_text
from headwater.client.recording.options import CacheOptions, StepOptions, name_of, step_options
from headwater.client.recording.outputs import Output
from headwater.client.recording.recorder import Manner, Recorder
from headwater.client.recording.replay import JUDGED
from headwater.client.recording.steps import Step
from headwater.errors import FailedPrecondition, HeadwaterError, InvalidRequest
from headwater.v1 import pipelines_pb2 as pp

if TYPE_CHECKING:
    from datetime import timedelta

    from headwater.client.connected import Connected

logger = logging.getLogger("headwater")


def new_run_name() -> str:
    """A name that no other run has, and that sorts by time: ``20260131-123000-1f9a04``, UTC."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


class Run:
    """One run of a pipeline. ``client.run`` and ``client.resume`` make it; use it in a ``with`` statement.

    Steps may be begun in any thread. A forked child may begin steps of its own too; the run is its
    parent's to finish.
    """

    def __init__(
        self,
        store: "Connected",
        recorder: Recorder,
        request: pp.StartRunRequest,
        *,
        manner: Manner,
        cache: CacheOptions,
        joins: bool = False,
        directory: Path | None = None,
        roots: Sequence[str | os.PathLike[str]] | None = None,
        storage_options: Mapping[str, Mapping[str, Any]] | None = None,
        captures: bool = True,
        source: Path | None = None,
        measures_usage: bool = True,
    ) -> None:
        self.store = store
        self.recorder = recorder
        self.pipeline = request.pipeline
        self.name = request.run
        self.manner = manner
        self.cache = cache
        self.directory = directory
        """Where objects that are to persist are pickled."""
        self.roots = roots
        self.storage_options = storage_options
        self.measures_usage = measures_usage
        self.lease_ms = request.lease_ms
        self.run_id: int | None = None
        """Id of the run's context; ``None`` until the store knows it."""
        self._request = request
        self._joins = joins
        self._captures = captures
        self._source = source
        self._state = "new"
        self._process_id = os.getpid()
        self._token = ""
        self._watch = Stopwatch()
        self._steps: dict[str, Attempt] = {}
        self._before: Run | None = None

    # Steps

    def step(
        self,
        name: "str | Callable[..., Any] | None" = None,
        *,
        inputs: "Mapping[str, Any] | Sequence[str]" = (),
        params: Mapping[str, Any] | None = None,
        outputs: "str | Sequence[str] | Mapping[str, str] | None" = None,
        version: str | None = None,
        code: "str | Callable[..., Any] | Sequence[Callable[..., Any]] | None" = None,
        exclude: "str | Sequence[str]" = (),
        cache: "bool | str | None" = None,
        max_age: "timedelta | float | None" = None,
        salt: str | None = None,
        environment: "Sequence[str] | Mapping[str, str] | None" = None,
        force: bool = False,
        persist: bool | None = None,
        lazy: bool = False,
        wait_timeout: float | None = None,
        never_waits: bool | None = None,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        components: Mapping[str, str] | None = None,
        check: "Callable[[Mapping[str, Output]], Mapping[str, str]] | None" = None,
        reason: str = "",
    ) -> Any:
        """A step: for a ``with`` statement, to be put on a function, or to be begun by hand.

        Put on a function (``@run.step`` or ``@run.step("train", ...)``), a call of it is a step. It is
        skipped if it was done before with equal code, arguments and inputs, and then gives what it gave
        before. Generators and ``async`` functions too.

        Args:
            name: of the step in its pipeline; on a function, that of the function where it is left out.
            inputs: for a ``with`` statement, places by name; on a function, names of arguments that are
                inputs, or further inputs by name. ``File`` and ``Output`` arguments are inputs anyway.
            params: parameters, beside the arguments of the function.
            outputs: names, or types by name, of what it makes. They belong to the fingerprint.
            version: counts instead of the code; change it when the step should run again.
            code: what counts as the step's code: functions, or a text. On a function, its own code and what
                it uses of the project by default. A ``with`` statement has neither, so without ``version``
                and ``code`` it runs always.
            exclude: parameters that are neither recorded nor decide about hits.
            cache, max_age, salt, environment, persist, wait_timeout, never_waits: see ``CacheOptions``.
            force: run whatever was done before; others may reuse it.
            lazy: on a function, compute an object that is only in memory when its value is needed.
            components: further texts that decide about hits, by name.
            check: looks at the outputs of a hit in place of what is done otherwise, and says by name of
                an output what is wrong with it; the hit is used if nothing is. For frameworks that know their
                own places.
            reason: why the cache is used as it is, for those who ask why the step ran.

        Raises:
            InvalidRequest: a name or an option that cannot be.
        """
        if callable(name):
            return as_step(name, StepOptions(name_of(name), cache=self.cache), run=self)
        own = CacheOptions(cache, max_age, salt, environment, wait_timeout, never_waits, persist)

        def described(name: str) -> Step:
            options = step_options(
                name,
                inputs=inputs,
                params=params,
                outputs=outputs,
                version=version,
                code=code,
                exclude=exclude,
                cache=own.over(self.cache),
                force=force,
                lazy=lazy,
                description=description,
                tags=tags,
                components=dict(components or {}),
                check=check,
                reason=reason,
            )
            return Step(self, options)

        if name is None:
            return lambda function: described(name_of(function))(function)
        return described(name)

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function as a step of its name, with default options."""
        return self.step(function)(*args, **kwargs)

    def with_defaults(self, options: StepOptions) -> StepOptions:
        """Options of a step that was described apart from a run."""
        return replace(options, cache=options.cache.over(self.cache))

    def add_step(self, step: Attempt) -> None:
        """Know of a step that was begun here."""
        self._steps[step.key] = step

    def forget_step(self, step: Attempt) -> None:
        """It is finished."""
        self._steps.pop(step.key, None)

    # Start and end

    @property
    def is_open(self) -> bool:
        """Whether steps can be begun."""
        return self._state == "open"

    @property
    def is_own(self) -> bool:
        """Whether this process started it, and has to finish it."""
        return not self._joins and self._process_id == os.getpid()

    def check_open(self) -> None:
        """Raises FailedPrecondition if steps cannot be begun."""
        if self._state != "open":
            is_what = "over" if self._state == "closed" else "not started"
            raise FailedPrecondition(
                f"run {self.name!r} of {self.pipeline!r} is {is_what}; "
                "begin its steps inside 'with client.run(...) as run:'"
            )

    def start(self) -> "Run":
        """Open the run in the store. In a ``with`` statement that is done already.

        Raises:
            FailedPrecondition: a run of this name is closed; resume it, or choose another name.
            InvalidRequest: a name or a value that cannot be stored.
            HeadwaterError: the run is strict, and the store is away or refuses.
        """
        if self._state != "new":
            raise FailedPrecondition(f"run {self.name!r} of {self.pipeline!r} was started before")
        self._watch = Stopwatch()
        if not self._joins:
            self._request.start_ms = self._watch.start_ms
            if self._captures:
                _add_facts(self._request, self._source)
            answer = self.recorder.tell(
                self._request,
                pp.StartRunResponse,
                self.manner,
                self.manner.deadline(),
                on_answer=self._learn,
            )
            if answer is not None:
                self._learn(answer)
        self._state = "open"
        self.recorder.sweep()
        return self

    def reopen(self) -> None:
        """Let ``start`` open the run again if it is closed."""
        self._request.reopens = True

    def _learn(self, answer: pp.StartRunResponse) -> None:
        self.run_id = answer.run_id
        if answer.HasField("lease") and self._state != "closed":
            self._token = answer.lease.token
            self.recorder.heartbeat.hold(answer.lease, self._lose_lease)

    def _lose_lease(self) -> None:
        if self.is_open:
            logger.warning(
                "the lease of run %r has ended, because the store did not hear of this process in time; "
                "it may be shown as failed until it is finished",
                self.name,
            )

    def finish(self, *, state: str = "COMPLETE", error: "BaseException | str" = "") -> None:
        """Close the run: ``COMPLETE``, ``FAILED`` or ``CANCELED``. Steps that are still open are FAILED.

        Those of other processes that joined the run too, unless it is COMPLETE: nobody waits for them then.
        What such a process still says of its steps is recorded all the same.

        Raises:
            FailedPrecondition: it is not open.
            InvalidRequest: no such state.
            HeadwaterError: the run is strict, and the store is away or refuses.
        """
        if self._process_id != os.getpid():
            return
        self.check_open()
        if state not in ("COMPLETE", "FAILED", "CANCELED"):
            raise InvalidRequest(
                f"state={state!r} is no end of a run; use 'COMPLETE', 'FAILED' or 'CANCELED'"
            )
        for step in list(self._steps.values()):
            logger.warning("step %r was begun and not finished before its run ended", step.name)
            step.finish(state="FAILED", error="the run ended before the step was finished")
        self._state = "closed"
        self.recorder.heartbeat.let_go(self._token)
        if self._joins:
            return
        request = pp.FinishRunRequest(
            pipeline=self.pipeline,
            run=self.name,
            state=state,
            end_ms=self._watch.end_ms,
            # A worker that was killed said nothing.
            ends_steps=state != "COMPLETE",
        )
        text = error_text(error) if isinstance(error, BaseException) else error
        request.error = text.encode(errors="replace").decode()
        if not self.manner.strict:
            # Steps do not wait for the spool to be told; their run may, as long as for a call.
            self.recorder.drain(self.manner.timeout_s)
        try:
            self.recorder.tell(request, pp.FinishRunResponse, self.manner, self.manner.deadline())
        except JUDGED as refused:
            if self.manner.strict:
                raise
            self.recorder.set_aside(request, refused)
            logger.warning("the store refuses to close run %r: %s", self.name, refused)
        # What waits there may be told by another process from now on.
        self.recorder.spool.close()

    def _finish_with(self, error: BaseException | None) -> None:
        if error is None:
            self.finish()
            return
        try:
            self.finish(state="FAILED" if isinstance(error, Exception) else "CANCELED", error=error)
        except HeadwaterError as problem:
            logger.warning("the failure of run %r could not be recorded: %s", self.name, problem)

    def __enter__(self) -> "Run":
        self.start()
        self._before = current.enter_run(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        current.leave_run(self, self._before)
        if self.is_open:
            self._finish_with(error)

    async def __aenter__(self) -> "Run":
        await awaiting.in_thread(self.start)
        self._before = current.enter_run(self)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        current.leave_run(self, self._before)
        if self.is_open:
            await awaiting.in_thread(self._finish_with, error)

    def __reduce__(self) -> Any:
        raise TypeError(
            f"run {self.name!r} cannot be sent to another process; send its pipeline and name, and join it "
            f"there: client.run({self.pipeline!r}, name={self.name!r}, join=True)"
        )

    def __repr__(self) -> str:
        return f"Run({self.pipeline!r}, {self.name!r}, {self._state})"


def _add_facts(request: pp.StartRunRequest, source: Path | None) -> None:
    """Add what can be found out without being told. Never raises."""
    try:
        request.trigger = request.trigger or trigger()
        request.owner = request.owner or owner()
        found = environment()
        request.environment.python = found.python
        request.environment.platform = f"{found.platform} {found.machine}".strip()
        request.environment.lock_file_digest = found.lock_digest or ""
        request.environment.container_image = found.container_image or ""
        request.environment.other["implementation"] = found.implementation
        started = Path(sys.argv[0]) if sys.argv and sys.argv[0] and Path(sys.argv[0]).exists() else Path.cwd()
        repository = repository_state(source or started)
        if repository is not None:
            request.code.repository = repository.url or ""
            request.code.commit = repository.commit or ""
            if repository.is_dirty is not None:
                request.code.is_dirty = repository.is_dirty
    except Exception:
        logger.debug("the surroundings of the run could not be looked at", exc_info=True)
