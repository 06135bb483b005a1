"""LogMetrics and GetMetrics."""

from headwater.errors import InvalidRequest, NotFound
from headwater.service.pipelines.naming import check_key
from headwater.storage.attempts import attempts_by_id, find_by_key
from headwater.storage.kinds import CONTEXT, EXECUTION
from headwater.storage.metrics import SCALAR, checked_name, put_metrics, read_series
from headwater.storage.nodes import existing_ids, questions_of_existing
from headwater.storage.transactions import Transaction
from headwater.v1 import pipelines_pb2 as pp

_MOST_METRICS = 10_000
_DEFAULT_POINTS = 1_000
_MOST_POINTS_IN_ALL = 1_000_000


def log_metrics(tx: Transaction, request: pp.LogMetricsRequest) -> pp.LogMetricsResponse:
    """Record numbers of an attempt, which may be over. See ``LogMetricsRequest``."""
    if len(request.metrics) > _MOST_METRICS:
        raise InvalidRequest(
            f"{len(request.metrics)} metrics are more than the {_MOST_METRICS} that one request can log; "
            "send them in several"
        )
    if bool(request.key) == bool(request.execution_id):
        raise InvalidRequest("LogMetrics needs the key of the attempt or its execution_id, one of the two")
    if request.key:
        attempt = find_by_key(tx, check_key(request.key))
    else:
        attempt = attempts_by_id(tx, [request.execution_id]).get(request.execution_id)
    if attempt is None:
        which = f"the key {request.key!r}" if request.key else f"the execution id {request.execution_id}"
        raise NotFound(
            f"there is no attempt at a step with {which}; begin the step before its metrics are logged"
        )
    put_metrics(tx, execution_id=attempt.execution_id, run_id=attempt.run_id, metrics=request.metrics)
    return pp.LogMetricsResponse(execution_id=attempt.execution_id)


def get_metrics(tx: Transaction, request: pp.GetMetricsRequest) -> pp.GetMetricsResponse:
    """The numbers of executions and runs. See ``GetMetricsRequest``."""
    if not request.execution_ids and not request.run_ids:
        raise InvalidRequest("GetMetrics needs execution_ids or run_ids")
    if request.max_points < 0:
        raise InvalidRequest(f"max_points cannot be negative, and is {request.max_points}; 0 means 1,000")
    names = [checked_name(name) for name in request.names]
    wanted = ((EXECUTION, request.execution_ids), (CONTEXT, request.run_ids))
    tx.ask_ahead([question for kind, ids in wanted for question in questions_of_existing(kind, ids)])
    for kind, ids in wanted:
        missing = sorted(set(ids) - existing_ids(tx, kind, ids))
        if missing:
            what = "execution" if kind is EXECUTION else "run"
            raise NotFound(f"there is no {what} with id {missing[0]}")
    answer = pp.GetMetricsResponse()
    for series in read_series(
        tx,
        execution_ids=request.execution_ids,
        run_ids=request.run_ids,
        names=names,
        max_points=request.max_points or _DEFAULT_POINTS,
        most=_MOST_POINTS_IN_ALL,
    ):
        told = answer.series.add(execution_id=series.execution_id, name=series.name, count=series.count)
        for step, value, time_ms in series.points:
            point = told.points.add(name=series.name, value=value, time_ms=time_ms)
            if step != SCALAR:
                point.step = step
    return answer
