"""Runs, steps and what is asked about them, as plain Python values.

Each is frozen, has ``to_dict`` for JSON, and ``row``, or ``rows`` where it is a table, for
``pandas.DataFrame``: flat dicts whose keys are columns, ``params.lr`` and ``metrics.auc`` among them. Times
are milliseconds since the epoch, and 0 what has not happened yet.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from headwater.client.values import Plain, plain_properties
from headwater.v1 import pipelines_pb2 as pp

Row = dict[str, Any]


def rows(told: "Iterable[RunInfo | StepInfo | StepStats | StepPlan]") -> list[Row]:
    """A row for each; the columns of a run or step that lacks a value are not in its row."""
    return [one.row() for one in told]


class _Plain:
    """Something whose fields can be told as JSON."""

    def to_dict(self) -> dict[str, Any]:
        """Fields by name, nested ones as dicts and lists."""
        return _listed(asdict(self))  # type: ignore[call-overload, no-any-return]  # dataclasses all


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _listed(one) for name, one in value.items()}
    return [_listed(one) for one in value] if isinstance(value, tuple | list) else value


def _with_prefix(prefix: str, values: Mapping[str, Any]) -> Row:
    return {f"{prefix}.{name}": values[name] for name in sorted(values)}


def _code(given: pp.CodeVersion) -> dict[str, Plain]:
    code: dict[str, Plain] = {
        name: getattr(given, name)
        for name in ("repository", "commit", "source_digest")
        if getattr(given, name)
    }
    if given.HasField("is_dirty"):
        code["is_dirty"] = given.is_dirty
    return code


def _environment(given: pp.Environment) -> dict[str, str]:
    known = {
        name: getattr(given, name)
        for name in ("python", "platform", "lock_file_digest", "container_image")
        if getattr(given, name)
    }
    return {**known, **{name: given.other[name] for name in sorted(given.other)}}


def _sorted(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in sorted(values)}


# Runs


@dataclass(frozen=True)
class PlannedStep(_Plain):
    """A step that a run was said to be going to have."""

    step: str
    after: tuple[str, ...] = ()
    """Steps whose outputs it needs."""


@dataclass(frozen=True)
class RunInfo(_Plain):
    """One run."""

    run_id: int
    pipeline_id: int
    pipeline: str
    run: str
    state: str
    """``RUNNING``, ``COMPLETE``, ``FAILED`` or ``CANCELED``."""
    start_ms: int
    end_ms: int
    error: str
    parameters: dict[str, Plain]
    metrics: dict[str, float]
    """By name the value from the newest execution that has one; of a series its last point."""
    tags: dict[str, str]
    owner: str
    trigger: str
    description: str
    code: dict[str, Plain] | None
    """``repository``, ``commit``, ``is_dirty``, ``source_digest``, as far as known; ``None``: not at all."""
    environment: dict[str, str] | None
    """``python``, ``platform`` and so on; ``None`` if not known."""
    steps: dict[str, int]
    """How many steps are in each state; the newest attempt at a step counts."""
    parent_run_ids: tuple[int, ...]
    planned_steps: tuple[PlannedStep, ...]

    @staticmethod
    def of(message: pp.RunInfo) -> "RunInfo":
        """The run that a message tells of."""
        return RunInfo(
            run_id=message.run_id,
            pipeline_id=message.pipeline_id,
            pipeline=message.pipeline,
            run=message.run,
            state=pp.State.Name(message.state),
            start_ms=message.start_ms,
            end_ms=message.end_ms,
            error=message.error,
            parameters=plain_properties(message.parameters),
            metrics=_sorted(message.metrics),
            tags=_sorted(message.tags),
            owner=message.owner,
            trigger=message.trigger,
            description=message.description,
            code=_code(message.code) if message.HasField("code") else None,
            environment=_environment(message.environment) if message.HasField("environment") else None,
            steps=_sorted(message.steps),
            parent_run_ids=tuple(message.parent_run_ids),
            planned_steps=tuple(PlannedStep(one.step, tuple(one.after)) for one in message.planned_steps),
        )

    def row(self) -> Row:
        """One row: names, state, times, ``params.*``, ``metrics.*``, ``tags.*`` and ``commit``."""
        return {
            "run_id": self.run_id,
            "pipeline": self.pipeline,
            "run": self.run,
            "state": self.state,
            "start_ms": self.start_ms,
            "end_ms": self.end_ms,
            "owner": self.owner,
            "trigger": self.trigger,
            **({"commit": self.code["commit"]} if self.code and "commit" in self.code else {}),
            **_with_prefix("params", self.parameters),
            **_with_prefix("metrics", self.metrics),
            **_with_prefix("tags", self.tags),
        }


# Steps


@dataclass(frozen=True)
class InputInfo(_Plain):
    """Something that a step used."""

    name: str
    artifact_id: int
    type: str
    uri: str
    digest: str
    size_bytes: int | None
    component: str
    """What stands for it in the fingerprint."""


@dataclass(frozen=True)
class OutputInfo(_Plain):
    """Something that a step made."""

    name: str
    artifact_id: int
    type: str
    uri: str
    """Empty for what was only in memory."""
    digest: str
    size_bytes: int | None
    stamp: str
    description: str
    metrics: dict[str, float]
    properties: dict[str, Plain]
    """Custom properties of the artifact."""

    @staticmethod
    def of(message: pp.StepOutput) -> "OutputInfo":
        """The output that a message tells of."""
        return OutputInfo(
            name=message.name,
            artifact_id=message.artifact_id,
            type=message.type,
            uri=message.uri,
            digest=message.digest,
            size_bytes=message.size_bytes if message.HasField("size_bytes") else None,
            stamp=message.stamp,
            description=message.description,
            metrics=_sorted(message.metrics),
            properties=plain_properties(message.custom_properties),
        )


@dataclass(frozen=True)
class StepInfo(_Plain):
    """One attempt at a step."""

    execution_id: int
    run_id: int
    step: str
    attempt: int
    """From 1."""
    state: str
    """``RUNNING``, ``COMPLETE``, ``CACHED``, ``FAILED`` or ``CANCELED``."""
    start_ms: int
    end_ms: int
    why: str
    """Why it ran, in one sentence."""
    error: str
    worker: str
    key: str
    fingerprint: str
    components: dict[str, str]
    cached_execution_id: int
    """Of a hit, the execution whose outputs are reused; otherwise 0."""
    unfit: str
    """Why it cannot be hit any more; or empty."""
    parameters: dict[str, Plain]
    metrics: dict[str, float]
    inputs: tuple[InputInfo, ...]
    outputs: tuple[OutputInfo, ...]
    usage: dict[str, float]
    tags: dict[str, str]
    code: dict[str, Plain] | None
    environment: dict[str, str] | None
    description: str

    @staticmethod
    def of(message: pp.StepInfo) -> "StepInfo":
        """The attempt that a message tells of."""
        return StepInfo(
            execution_id=message.execution_id,
            run_id=message.run_id,
            step=message.step,
            attempt=message.attempt,
            state=pp.State.Name(message.state),
            start_ms=message.start_ms,
            end_ms=message.end_ms,
            why=message.why,
            error=message.error,
            worker=message.worker,
            key=message.key,
            fingerprint=message.fingerprint,
            components=_sorted(message.components),
            cached_execution_id=message.cached_execution_id,
            unfit=message.unfit,
            parameters=plain_properties(message.parameters),
            metrics=_sorted(message.metrics),
            inputs=tuple(
                InputInfo(
                    name=one.name,
                    artifact_id=one.artifact_id,
                    type=one.type,
                    uri=one.uri,
                    digest=one.digest,
                    size_bytes=one.size_bytes if one.HasField("size_bytes") else None,
                    component=one.component,
                )
                for one in message.inputs
            ),
            outputs=tuple(OutputInfo.of(one) for one in message.outputs),
            usage=_sorted(message.usage),
            tags=_sorted(message.tags),
            code=_code(message.code) if message.HasField("code") else None,
            environment=_environment(message.environment) if message.HasField("environment") else None,
            description=message.description,
        )

    def row(self) -> Row:
        """One row: what it is, times, why, ``params.*``, ``metrics.*`` and ``usage.*``."""
        return {
            "execution_id": self.execution_id,
            "run_id": self.run_id,
            "step": self.step,
            "attempt": self.attempt,
            "state": self.state,
            "start_ms": self.start_ms,
            "end_ms": self.end_ms,
            "why": self.why,
            "cached_execution_id": self.cached_execution_id,
            "worker": self.worker,
            **_with_prefix("params", self.parameters),
            **_with_prefix("metrics", self.metrics),
            **_with_prefix("usage", self.usage),
        }


@dataclass(frozen=True)
class ChangedSteps(_Plain):
    """The attempts of a run that have changed."""

    steps: tuple[StepInfo, ...]
    now_ms: int
    """The time of the store, from which to ask next time."""


# Metrics


@dataclass(frozen=True)
class Point(_Plain):
    """A value of a metric."""

    step: int | None
    """Place in the series; ``None`` for a scalar."""
    value: float
    time_ms: int


@dataclass(frozen=True)
class Series(_Plain):
    """The values of a metric in one execution: the scalar first, then points by step."""

    execution_id: int
    name: str
    points: tuple[Point, ...]
    count: int
    """How many there are; of a long series ``points`` are an even selection."""

    @staticmethod
    def of(message: pp.GetMetricsResponse.Series) -> "Series":
        """The series that a message tells of."""
        return Series(
            execution_id=message.execution_id,
            name=message.name,
            points=tuple(
                Point(one.step if one.HasField("step") else None, one.value, one.time_ms)
                for one in message.points
            ),
            count=message.count,
        )

    def rows(self) -> list[Row]:
        """A row for each point."""
        return [
            {"execution_id": self.execution_id, "name": self.name, **one.to_dict()} for one in self.points
        ]


# The cache


@dataclass(frozen=True)
class Difference(_Plain):
    """A component of a fingerprint on both sides; ``None`` where a side has none."""

    component: str
    old: str | None
    new: str | None

    @staticmethod
    def of(message: pp.ComponentDifference) -> "Difference":
        """The difference that a message tells of."""
        return Difference(
            message.component,
            message.old if message.HasField("old") else None,
            message.new if message.HasField("new") else None,
        )


@dataclass(frozen=True)
class Miss(_Plain):
    """Why a step is not a hit."""

    why: str
    """A name of ``Miss.Why``: ``DIFFERS``, ``INVALIDATED`` and so on."""
    text: str
    """One sentence."""
    nearest_execution_id: int
    """0: there is none."""
    differences: tuple[Difference, ...]
    """From that execution to this step."""


@dataclass(frozen=True)
class Nearest(_Plain):
    """An earlier execution, and what differs from it."""

    execution_id: int
    run: str
    state: str
    end_ms: int
    unfit: str
    """Why it cannot be hit; empty if it can."""
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class Explanation(_Plain):
    """Why a step ran, what it hit, or what it would do."""

    decision: str
    """``HIT``, ``RUN`` or ``WAIT``."""
    pipeline: str
    step: str
    fingerprint: str
    """Empty for a step without."""
    components: dict[str, str]
    miss: Miss | None
    """``None`` for a hit."""
    nearest: tuple[Nearest, ...]
    """The nearest earlier executions, nearest first, up to 10."""

    @staticmethod
    def of(message: pp.ExplainStepResponse) -> "Explanation":
        """The explanation in a message."""
        miss = message.miss
        return Explanation(
            decision=pp.Decision.Name(message.decision),
            pipeline=message.pipeline,
            step=message.step,
            fingerprint=message.fingerprint,
            components=_sorted(message.components),
            miss=Miss(
                why=pp.Miss.Why.Name(miss.why),
                text=miss.text,
                nearest_execution_id=miss.nearest_execution_id,
                differences=tuple(Difference.of(one) for one in miss.differences),
            )
            if message.HasField("miss")
            else None,
            nearest=tuple(
                Nearest(
                    execution_id=one.execution_id,
                    run=one.run,
                    state=pp.State.Name(one.state),
                    end_ms=one.end_ms,
                    unfit=one.unfit,
                    differences=tuple(Difference.of(difference) for difference in one.differences),
                )
                for one in message.nearest
            ),
        )

    def __str__(self) -> str:
        if self.miss is None:
            reused = f" of execution {self.nearest[0].execution_id}" if self.nearest else ""
            return f"{self.pipeline}/{self.step} reuses the outputs{reused}"
        return f"{self.pipeline}/{self.step}: {self.miss.text}"

    def rows(self) -> list[Row]:
        """A row for each component that differs from one of the nearest executions."""
        return [
            {"execution_id": one.execution_id, "run": one.run, **difference.to_dict()}
            for one in self.nearest
            for difference in one.differences
        ]


@dataclass(frozen=True)
class Invalidation(_Plain):
    """What can no longer be hit."""

    count: int
    execution_ids: tuple[int, ...]
    """Ascending, the first 1,000."""


@dataclass(frozen=True)
class StepStats(_Plain):
    """How often a step ran, was hit and failed."""

    pipeline: str
    step: str
    completed: int
    hits: int
    failed: int
    entries: int
    """Executions that can be hit."""
    invalidated: int
    saved_ms: int
    """How long the executions took whose outputs were reused, once for each hit."""

    @staticmethod
    def of(message: pp.GetCacheStatsResponse.StepStats) -> "StepStats":
        """The counts in a message."""
        return StepStats(
            pipeline=message.pipeline,
            step=message.step,
            completed=message.completed,
            hits=message.hits,
            failed=message.failed,
            entries=message.entries,
            invalidated=message.invalidated,
            saved_ms=message.saved_ms,
        )

    def row(self) -> Row:
        """One row of these fields."""
        return self.to_dict()


# Resuming


@dataclass(frozen=True)
class StepPlan(_Plain):
    """What resuming a run would do with a step."""

    step: str
    plan: str
    """``DONE``, ``TO_RUN`` or ``BLOCKED``."""
    why: str
    execution_id: int
    """The newest attempt. 0: it never began."""
    blocked_by: tuple[str, ...] = ()
    """Steps that it waits for."""
    outputs: tuple[OutputInfo, ...] = field(default=(), repr=False)
    """Of a step that is done."""

    def row(self) -> Row:
        """One row, without the outputs."""
        return {
            "step": self.step,
            "plan": self.plan,
            "why": self.why,
            "execution_id": self.execution_id,
            "blocked_by": ", ".join(self.blocked_by),
        }


@dataclass(frozen=True)
class ResumePlan(_Plain):
    """What resuming a run would do, step by step, in the order in which they began or would."""

    run_id: int
    steps: tuple[StepPlan, ...]

    @staticmethod
    def of(message: pp.PlanResumeResponse) -> "ResumePlan":
        """The plan in a message."""
        return ResumePlan(
            run_id=message.run_id,
            steps=tuple(
                StepPlan(
                    step=one.step,
                    plan=pp.PlanResumeResponse.StepPlan.Plan.Name(one.plan),
                    why=one.why,
                    execution_id=one.execution_id,
                    blocked_by=tuple(one.blocked_by),
                    outputs=tuple(OutputInfo.of(output) for output in one.outputs),
                )
                for one in message.steps
            ),
        )

    def rows(self) -> list[Row]:
        """A row for each step."""
        return rows(self.steps)
