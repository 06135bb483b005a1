"""The methods of a store by which a program records its runs."""

import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headwater.client.connected import Connected
from headwater.client.recording.binding import parameter_values
from headwater.client.recording.keeping import property_value
from headwater.client.recording.options import CacheOptions
from headwater.client.recording.recorder import STRICT_TIMEOUT_S, TIMEOUT_S, Manner, Recorder
from headwater.client.recording.run import Run, new_run_name
from headwater.client.run_info import RunInfo
from headwater.errors import InvalidRequest
from headwater.fingerprint import canonical
from headwater.v1 import pipelines_pb2 as pp

if TYPE_CHECKING:
    from datetime import timedelta

_making = threading.Lock()
_resumed: "set[tuple[int, str]]" = set()
_LONGEST_PIPELINE = 100
_LONGEST_RUN = 140


class Recording(Connected):
    """A store by which runs are recorded."""

    _recorder: Recorder | None = None

    @property
    def recorder(self) -> Recorder:
        """What tells this store of the process's runs."""
        if self._recorder is None:
            with _making:
                if self._recorder is None:
                    self._recorder = Recorder(self.transport)
        return self._recorder

    def close(self) -> None:
        if self._recorder is not None:
            self._recorder.close()
        super().close()

    def run(
        self,
        pipeline: str,
        *,
        name: str | None = None,
        params: Mapping[str, Any] | None = None,
        join: bool = False,
        tags: Mapping[str, str] | None = None,
        owner: str = "",
        trigger: str = "",
        description: str = "",
        parent: "Run | tuple[str, str] | None" = None,
        steps: "Sequence[str] | Mapping[str, Sequence[str]]" = (),
        properties: Mapping[str, Any] | None = None,
        strict: bool = False,
        timeout_s: float | None = None,
        lease_s: float = 60.0,
        directory: "str | os.PathLike[str] | None" = None,
        roots: "Sequence[str | os.PathLike[str]] | None" = None,
        storage_options: Mapping[str, Mapping[str, Any]] | None = None,
        capture: bool = True,
        source: "str | os.PathLike[str] | None" = None,
        usage: bool = True,
        cache: "bool | str | None" = None,
        max_age: "timedelta | float | None" = None,
        salt: str | None = None,
        environment: "Sequence[str] | Mapping[str, str] | None" = None,
        persist: bool | None = None,
        wait_timeout: float | None = None,
        never_waits: bool | None = None,
    ) -> "Run":
        """A run of ``pipeline``, to be used in a ``with`` statement.

        A store that is away never fails, blocks or slows a step: what it should know is kept in a spool
        and told later (``docs/recording.md``).

        Args:
            name: unique in the pipeline; a new one by the time where it is left out. Where the environment
                has ``HEADWATER_RESUME=PIPELINE/RUN`` and this is left out or that run's, it resumes that run.
            params: recorded with the run. They decide about hits only where steps are given them.
            join: take part in a run of this name that another process opened and will close.
            owner, trigger: who answers for it and what started it; found out where they are left out.
            parent: the run that this one is part of, or its pipeline and name.
            steps: what it is going to do; steps by name to those that they need, or names in their order.
            strict: raise where the store is away or refuses.
            timeout_s: how long recording may take before and after each step: 2 s, or 60 s if strict.
            lease_s: after how long without a sign of life others take over what this process computes.
            directory: where objects that persist are pickled.
            roots: paths and URIs beneath which outputs of hits are read; anywhere where it is left out.
            storage_options: for fsspec, by scheme.
            capture: find out commit, environment, owner and trigger.
            source: directory of the project, whose commit it is; that of the program where it is left out.
            usage: measure time, memory and GPU of each step.
            cache, max_age, salt, environment, persist, wait_timeout, never_waits: what holds for steps that
                do not say otherwise, see ``CacheOptions``.

        Raises:
            InvalidRequest: a name or an option that cannot be.
        """
        if join and name is None:
            raise InvalidRequest("join=True needs name, the name of the run to take part in")
        resumed = None if join else _resumed_run(pipeline, name)
        if resumed is not None:
            name = resumed
        request = pp.StartRunRequest(
            pipeline=_checked(pipeline, "a pipeline", _LONGEST_PIPELINE),
            run=_checked(new_run_name() if name is None else name, "a run", _LONGEST_RUN),
            parameters=_values("parameter", params),
            trigger=trigger,
            owner=owner,
            description=description,
            tags={key: str(text) for key, text in (tags or {}).items()},
            steps=_planned(steps),
            worker=self.recorder.worker,
            lease_ms=round(_positive("lease_s", lease_s) * 1000),
            custom_properties=_values("property", properties),
        )
        if parent is not None:
            names = parent if isinstance(parent, tuple) else (parent.pipeline, parent.name)
            request.parent.pipeline, request.parent.run = names
        limit_s = (STRICT_TIMEOUT_S if strict else TIMEOUT_S) if timeout_s is None else timeout_s
        defaults = CacheOptions(cache, max_age, salt, environment, wait_timeout, never_waits, persist)
        defaults.policy()
        run = Run(
            self,
            self.recorder,
            request,
            manner=Manner(strict, _positive("timeout_s", limit_s)),
            cache=defaults,
            joins=join,
            directory=None if directory is None else Path(directory).absolute(),
            roots=roots,
            storage_options=storage_options,
            captures=capture and not join,
            source=None if source is None else Path(source).absolute(),
            measures_usage=usage,
        )
        if resumed is not None:
            run.reopen()
        return run

    def resume(self, pipeline: "str | Run | RunInfo", *, run: "str | None" = None, **options: Any) -> "Run":
        """The run again, open: steps that are done are hits, what failed or never began runs.

        The run is given by the names of pipeline and run, or alone: as it is, or as ``"PIPELINE/RUN"``.
        ``options`` as those of ``run``. ``plan_resume`` shows beforehand what would happen.

        Raises:
            InvalidRequest: that names no run.
            NotFound: as it is started, where the store has no such run.
        """
        if isinstance(pipeline, Run):
            run, pipeline = run or pipeline.name, pipeline.pipeline
        elif isinstance(pipeline, RunInfo):
            run, pipeline = run or pipeline.run, pipeline.pipeline
        elif run is None and isinstance(pipeline, str) and "/" in pipeline:
            # Names of pipelines may hold a slash as well as those of runs; as HEADWATER_RESUME reads it.
            pipeline, _, run = pipeline.partition("/")
        if not isinstance(run, str) or not run:
            raise InvalidRequest(
                f"resume({pipeline!r:.100}, run={run!r:.100}) names no run; give a Run, 'PIPELINE/RUN', or "
                "the pipeline with run= and the name of the run"
            )
        resumed = self.run(pipeline, name=run, **options)
        resumed.reopen()
        return resumed

    def end_run(self, pipeline: str, run: str, *, error: str) -> None:
        """Close a run whose process is known to be gone, as FAILED, and its steps that are still open.

        Raises:
            NotFound: there is no such run.
            FailedPrecondition: it was closed otherwise.
        """
        request = pp.FinishRunRequest(
            pipeline=pipeline, run=run, state=pp.FAILED, error=error, ends_steps=True, is_gone=True
        )
        self._ask(request, pp.FinishRunResponse)


def _resumed_run(pipeline: str, name: str | None) -> str | None:
    """The run of this pipeline that the environment asks to resume, if ``name`` does not say another.

    Once in a process: a program that has two runs of the pipeline goes on with one of them.
    """
    asked = os.environ.get("HEADWATER_RESUME", "")
    wanted, slash, run = asked.partition("/")
    if not slash or wanted != pipeline or name not in (None, run):
        return None
    honoured = (os.getpid(), asked)
    if honoured in _resumed and name is None:
        return None
    _resumed.add(honoured)
    return run


def _checked(name: object, what: str, longest: int) -> str:
    if not isinstance(name, str) or not name:
        raise InvalidRequest(f"the name of {what} must be text that is not empty, and is {name!r}")
    if len(name) > longest:
        raise InvalidRequest(
            f"the name of {what} has {len(name)} characters, and at most {longest}: {name!r:.60}"
        )
    return name


def _positive(what: str, seconds: float) -> float:
    if seconds <= 0:
        raise InvalidRequest(f"{what} must be above 0, and is {seconds}")
    return seconds


def _values(what: str, given: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if what == "parameter":
        for name, value in (given or {}).items():
            # Refused here rather than shown as something that it is not.
            canonical(value, what=f"parameter {name!r}")
        return parameter_values(given or {})
    return {name: property_value(name, value) for name, value in (given or {}).items()}


def _planned(steps: "Sequence[str] | Mapping[str, Sequence[str]]") -> list[pp.StartRunRequest.PlannedStep]:
    if isinstance(steps, Mapping):
        return [pp.StartRunRequest.PlannedStep(step=name, after=after) for name, after in steps.items()]
    return [pp.StartRunRequest.PlannedStep(step=name) for name in steps]
