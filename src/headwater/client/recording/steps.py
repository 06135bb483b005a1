"""A step while it is recorded, in the words of who writes it."""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any

from headwater.client.recording import awaiting, current
from headwater.client.recording.asking import MADE_AGAIN
from headwater.client.recording.attempt import Attempt
from headwater.client.recording.ending import Made, made_of_file, made_of_value
from headwater.client.recording.options import check_name
from headwater.client.recording.outputs import File, Output, check_declared_type
from headwater.client.recording.replay import JUDGED
from headwater.errors import InvalidRequest
from headwater.fingerprint import made_by
from headwater.v1 import pipelines_pb2 as pp

logger = logging.getLogger("headwater")

_MISSING: Any = object()


class Step(Attempt):
    """One attempt at a step of a run. ``Run.step`` makes it.

    In a ``with`` statement the body has to ask whether it is to do anything, because Python cannot skip it:

    >>> with run.step("train", inputs={"table": "data.csv"}, version="1") as step:  # doctest: +SKIP
    ...     if step.must_run:
    ...         train("data.csv", "model.bin")
    ...         step.output("model", "model.bin", type="Model")

    It can also be put on a function, which then is skipped by itself (``Run.step``), or be begun and
    finished by calls.
    """

    _before: "Step | None" = None

    @property
    def must_run(self) -> bool:
        """Whether the body has to do its work."""
        return not self.is_hit

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
        """Declare what the step made: what lies at ``place``, or a value. It is read as the step ends.

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
            made = made_of_value(
                name, value, type_=type, properties=properties or {}, preview=preview, redact=redact
            )
            made.metrics = dict(metrics or {})
        else:
            given = place if isinstance(place, File) else File(place)
            type = check_declared_type(name, type or given.type, self._options.outputs)  # noqa: A001
            file = replace(
                given,
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
        made.output.found_by = made.output.made_by or f"made:{self.key}#{name}"
        made.output._store = self.run.store
        if self.made_again and made.file is None and not made.output.digest:
            made.output.properties[MADE_AGAIN] = self.made_again
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

    def keep_from_reuse(self, reason: str) -> None:
        """Let nobody reuse what this attempt makes."""
        self._check_open()
        self._unfit = reason

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

    def _run_after_all(self) -> None:
        """Record as run what was a hit: its body did the work all the same, and made outputs anew."""
        logger.debug("step %r made outputs although it was a hit", self.name)
        self.is_hit, self._cached_execution_id, self.outputs = False, 0, {}
        self.execution_id = None

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
            f"client.run({self.run.pipeline!r}, name={self.run.name!r}, join=True) and begin a step there"
        )

    def __repr__(self) -> str:
        state = (
            "hit"
            if self.is_hit
            else {"new": "not begun", "open": "running", "closed": "finished"}[self._state]
        )
        return f"Step({self.name!r}, {state})"
