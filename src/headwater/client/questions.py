"""Questions about pipelines: which runs, which steps, why they ran, and what would be done again."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Protocol

from headwater.client.conditions import ConditionLike, FieldLike, condition_messages, read_field
from headwater.client.connected import Connected
from headwater.client.run_comparison import RunComparison, compare
from headwater.client.run_info import (
    ChangedSteps,
    Explanation,
    Invalidation,
    ResumePlan,
    RunInfo,
    Series,
    StepInfo,
    StepStats,
)
from headwater.errors import InvalidRequest, NotFound
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc
from headwater.v1 import pipelines_pb2 as pp

LARGEST_PAGE = 1_000
_PAGE = 100


class HasRunId(Protocol):
    """A run that is known to the store."""

    @property
    def run_id(self) -> int: ...


WhichRun = int | str | HasRunId
"""The id of a run, ``"pipeline/run"``, ``"pipeline"`` for its latest run, or something with a ``run_id``."""


class PipelineQuestions(Connected):
    """What a store answers about pipelines."""

    # Runs

    def runs(
        self,
        pipeline: str | None = None,
        *,
        where: str | ConditionLike | Iterable[str | ConditionLike] = (),
        order_by: str | FieldLike = "started",
        descending: bool = True,
        limit: int | None = None,
        page_size: int = _PAGE,
    ) -> Iterator[RunInfo]:
        """The runs of a pipeline, or of all, that meet all conditions, fetched page by page as they are read.

        Args:
            where: one condition or several, such as ``"metrics.auc > 0.9"``, ``"params.model = 'small'"``,
                ``"tags.team = 'growth'"``, ``"state = FAILED"`` or ``"started >= 7d"``. Fields are
                ``params.NAME``, ``metrics.NAME``, ``tags.NAME``, ``state``, ``owner``, ``trigger``, ``name``,
                ``started`` and ``commit``; operators ``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=``, ``LIKE``.
            order_by: one of these fields. Runs without a value come last either way.

        Raises:
            InvalidRequest: a condition or field that is none, at once; the message says where.
            NotFound: there is no such pipeline, when it is read.
        """
        _check_page(page_size)
        if limit is not None and limit < 0:
            raise InvalidRequest(f"limit cannot be negative, and is {limit}")
        field = read_field(order_by, what="order_by") if isinstance(order_by, str) else order_by
        request = pp.ListRunsRequest(
            pipeline=pipeline or "",
            where=condition_messages(where),
            order_by=field.kind,
            order_name=field.name,
            ascending=not descending,
            page_size=page_size if limit is None else max(1, min(page_size, limit)),
        )
        return islice(self._runs(request), limit)

    def _runs(self, request: pp.ListRunsRequest) -> Iterator[RunInfo]:
        while True:
            answer = self._ask(request, pp.ListRunsResponse)
            yield from map(RunInfo.of, answer.runs)
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    def get_run(self, pipeline: WhichRun, run: str | None = None) -> RunInfo:
        """One run: ``get_run("churn", "monday")``, ``get_run("churn/monday")``, ``get_run(42)``, the id, or
        ``get_run("churn")``, the latest.

        Raises:
            NotFound: there is none.
        """
        if not isinstance(pipeline, str):
            if run is not None:
                raise InvalidRequest(
                    f"a run is named by its id or by its names, not by {pipeline!r} and {run!r}"
                )
            run_id = pipeline if isinstance(pipeline, int) else pipeline.run_id
            return RunInfo.of(self._ask(pp.GetRunRequest(run_id=run_id), pp.GetRunResponse).run)
        if run is None:
            # A pipeline has no slash in its name.
            pipeline, slash, rest = pipeline.partition("/")
            run = rest if slash else None
        if run is None:
            for latest in self.runs(pipeline, limit=1):
                return latest
            raise NotFound(f"pipeline {pipeline!r} has no runs")
        return RunInfo.of(self._ask(pp.GetRunRequest(pipeline=pipeline, run=run), pp.GetRunResponse).run)

    def compare_runs(self, runs: Sequence[WhichRun]) -> RunComparison:
        """What differs among two or more runs: parameters, metrics, environment, code, tags, and steps.

        Reads all steps of each.

        Raises:
            NotFound: one of them is not there.
        """
        if len(runs) < 2:
            raise InvalidRequest(f"two runs at least can be compared, not {len(runs)}")
        found = [run if isinstance(run, RunInfo) else self.get_run(run) for run in runs]
        return compare(found, [list(self.steps(run, page_size=LARGEST_PAGE)) for run in found])

    # Steps

    def steps(
        self,
        run: WhichRun | None = None,
        *,
        execution_ids: Sequence[int] | None = None,
        page_size: int = _PAGE,
    ) -> Iterator[StepInfo]:
        """The attempts of a run in the order in which they began, or those of these executions, ascending.

        Fetched page by page as they are read.

        Raises:
            NotFound: the run or one of the executions is not there, when it is read.
        """
        _check_page(page_size)
        if (run is None) is (execution_ids is None):
            raise InvalidRequest("steps needs a run or execution_ids, one of the two")
        return self._steps(run, execution_ids or (), page_size)

    def _steps(
        self, run: WhichRun | None, execution_ids: Sequence[int], page_size: int
    ) -> Iterator[StepInfo]:
        if run is None and not execution_ids:
            return
        request = pp.ListStepsRequest(
            run_id=0 if run is None else self._run_id(run), execution_ids=execution_ids, page_size=page_size
        )
        while True:
            answer = self._ask(request, pp.ListStepsResponse)
            yield from map(StepInfo.of, answer.steps)
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    def changed_steps(self, run: WhichRun, *, since_ms: int = 0) -> ChangedSteps:
        """The attempts of a run that have changed since, and from when to ask next: for who follows a run.

        Some that changed shortly before come again. Costs a call for every 1,000.
        """
        request = pp.ListStepsRequest(
            run_id=self._run_id(run), changed_since_ms=since_ms, page_size=LARGEST_PAGE
        )
        steps: list[StepInfo] = []
        now_ms = 0
        while True:
            answer = self._ask(request, pp.ListStepsResponse)
            steps += map(StepInfo.of, answer.steps)
            # What changes while pages are read is asked for again.
            now_ms = now_ms or answer.now_ms
            if not answer.next_page_token:
                return ChangedSteps(tuple(steps), now_ms)
            request.page_token = answer.next_page_token

    def metrics(
        self,
        run: WhichRun | None = None,
        *,
        execution_ids: Sequence[int] = (),
        names: Sequence[str] = (),
        max_points: int = 1_000,
    ) -> list[Series]:
        """The metrics of all attempts of a run, or of these executions, by execution and name.

        Of a series longer than ``max_points`` an even selection is given, its first and last point among it.

        Raises:
            NotFound: the run or one of the executions is not there.
            ResourceExhausted: more than a million points in all.
        """
        request = pp.GetMetricsRequest(
            run_ids=[] if run is None else [self._run_id(run)],
            execution_ids=execution_ids,
            names=names,
            max_points=max_points,
        )
        return [Series.of(series) for series in self._ask(request, pp.GetMetricsResponse).series]

    # The cache

    def explain(
        self,
        execution: "int | StepInfo | pp.BeginStepRequest | None" = None,
        *,
        run: WhichRun | None = None,
        step: str | None = None,
    ) -> Explanation:
        """Why an attempt ran or what it reused.

        ``explain(42)`` is about that execution, ``explain(run="churn/monday", step="train")`` about the
        newest attempt at that step; a ``BeginStepRequest`` asks what a step would do.

        Raises:
            NotFound: there is no such attempt.
        """
        if isinstance(execution, pp.BeginStepRequest):
            request = pp.ExplainStepRequest(step=execution)
        elif execution is not None and run is None and step is None:
            request = pp.ExplainStepRequest(
                execution_id=execution if isinstance(execution, int) else execution.execution_id
            )
        elif execution is None and run is not None and step is not None:
            request = pp.ExplainStepRequest(execution_id=self._newest_attempt(self._run_id(run), step))
        else:
            raise InvalidRequest("explain needs an execution, or else a run and a step")
        return Explanation.of(self._ask(request, pp.ExplainStepResponse))

    def _newest_attempt(self, run_id: int, step: str) -> int:
        quoted = step.replace("\\", "\\\\").replace("'", "\\'")
        request = rpc.GetExecutionsByContextRequest(
            context_id=run_id,
            options=pb.ListOperationOptions(
                max_result_size=1,
                order_by_field=pb.ListOperationOptions.OrderByField(
                    field=pb.ListOperationOptions.OrderByField.ID, is_asc=False
                ),
                filter_query=f"type = 'headwater.Step' AND properties.step.string_value = '{quoted}'",
            ),
        )
        for execution in self._ask(request, rpc.GetExecutionsByContextResponse).executions:
            return execution.id
        raise NotFound(f"run {run_id} has no attempt at a step {step!r}")

    def invalidate(
        self,
        *,
        pipeline: str | None = None,
        step: str | None = None,
        run: str | None = None,
        artifact_id: int | None = None,
        execution_ids: Sequence[int] = (),
        ended_before_ms: int | None = None,
        with_downstream: bool = False,
        reason: str = "",
        dry_run: bool = False,
    ) -> Invalidation:
        """Make finished executions unfit to be hit: those that meet all the conditions given.

        Args:
            step, run: names in ``pipeline``, which must be given with them.
            artifact_id: executions that made or used it.
            with_downstream: also what was made from their outputs.
            reason: why, for those who ask later.
            dry_run: only says what would be done.

        Raises:
            InvalidRequest: no condition at all.
            NotFound: what is named is not there.
        """
        request = pp.InvalidateStepsRequest(
            pipeline=pipeline or "",
            step=step or "",
            run=run or "",
            artifact_id=artifact_id or 0,
            execution_ids=execution_ids,
            ended_before_ms=ended_before_ms or 0,
            with_downstream=with_downstream,
            reason=reason,
            dry_run=dry_run,
        )
        answer = self._ask(request, pp.InvalidateStepsResponse)
        return Invalidation(answer.count, tuple(answer.execution_ids))

    def cache_stats(self, pipeline: str | None = None) -> list[StepStats]:
        """How often each step ran, was hit and failed, and the time that hits saved; by pipeline and step.

        Raises:
            NotFound: there is no such pipeline.
        """
        request = pp.GetCacheStatsRequest(pipeline=pipeline or "")
        return [StepStats.of(step) for step in self._ask(request, pp.GetCacheStatsResponse).steps]

    # Resuming

    def plan_resume(self, pipeline: WhichRun, run: str | None = None) -> ResumePlan:
        """What resuming a run, named as for ``get_run``, would do, step by step, and why. Nothing is changed.

        Raises:
            NotFound: there is no such run.
        """
        if not isinstance(pipeline, str) or run is None:
            found = self.get_run(pipeline, run)
            pipeline, run = found.pipeline, found.run
        request = pp.PlanResumeRequest(pipeline=pipeline, run=run)
        return ResumePlan.of(self._ask(request, pp.PlanResumeResponse))

    def _run_id(self, run: WhichRun) -> int:
        if isinstance(run, str):
            return self.get_run(run).run_id
        return run if isinstance(run, int) else run.run_id


def _check_page(page_size: int) -> None:
    if not 1 <= page_size <= LARGEST_PAGE:
        raise InvalidRequest(f"page_size must be from 1 to {LARGEST_PAGE}, and is {page_size}")
