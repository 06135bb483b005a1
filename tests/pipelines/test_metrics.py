"""LogMetrics and GetMetrics: what counts of what was logged, and how much of it is given back."""

import itertools
import math
from concurrent.futures import ThreadPoolExecutor

import pytest
from pipelines.recorded import Recorded
from support import Call

from headwater.errors import InvalidRequest, NotFound, ResourceExhausted
from headwater.storage.metrics import copy_scalars
from headwater.v1 import pipelines_pb2 as pp


@pytest.fixture
def churn(call: Call) -> Recorded:
    return Recorded(call)


def log(churn: Recorded, execution_id: int, *metrics: pp.Metric) -> None:
    churn.call("LogMetrics", pp.LogMetricsRequest(execution_id=execution_id, metrics=metrics))


def points(churn: Recorded, *execution_ids: int, **more: object) -> dict[str, list[tuple[int | None, float]]]:
    """Step and value of the points of each series, by name."""
    answer = churn.call("GetMetrics", pp.GetMetricsRequest(execution_ids=execution_ids, **more))
    return {
        series.name: [(one.step if one.HasField("step") else None, one.value) for one in series.points]
        for series in answer.series
    }


def test_the_last_value_of_a_name_and_step_counts_in_whatever_order_they_come(churn):
    _, begun = churn.begin("monday", "train")
    log(
        churn,
        begun.execution_id,
        pp.Metric(name="auc", value=0.5),
        pp.Metric(name="loss", step=1, value=0.25),
        pp.Metric(name="loss", step=0, value=0.5),
        pp.Metric(name="auc", value=0.75),
    )
    log(
        churn,
        begun.execution_id,
        pp.Metric(name="loss", step=1, value=0.125),
        pp.Metric(name="loss", value=9),
    )

    assert points(churn, begun.execution_id) == {
        "auc": [(None, 0.75)],
        "loss": [(None, 9.0), (0, 0.5), (1, 0.125)],
    }


def test_metrics_that_are_logged_twice_are_there_once(churn):
    _, begun = churn.begin("monday", "train")
    given = [pp.Metric(name="loss", step=step, value=step / 2, time_ms=1000 + step) for step in range(20)]
    log(churn, begun.execution_id, *given)
    request = pp.GetMetricsRequest(execution_ids=[begun.execution_id])
    before = churn.call("GetMetrics", request)

    log(churn, begun.execution_id, *given)

    assert churn.call("GetMetrics", request) == before
    assert before.series[0] == pp.GetMetricsResponse.Series(
        execution_id=begun.execution_id, name="loss", points=given, count=20
    )


def test_nan_and_infinities_survive(churn):
    _, begun = churn.begin("monday", "train")
    values = [math.nan, math.inf, -math.inf, 1.7976931348623157e308, 5e-324, -0.5]
    log(
        churn,
        begun.execution_id,
        *(pp.Metric(name="loss", step=step, value=v) for step, v in enumerate(values)),
    )

    back = [value for _, value in points(churn, begun.execution_id)["loss"]]

    assert math.isnan(back[0])
    assert back[1:] == values[1:]


def test_those_who_log_the_same_at_the_same_moment_leave_each_value_once(churn):
    _, begun = churn.begin("monday", "train")
    given = [pp.Metric(name=name, step=step, value=step) for name in ("loss", "auc") for step in range(50)]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: log(churn, begun.execution_id, *given), range(24)))

    expected = [(step, float(step)) for step in range(50)]
    assert points(churn, begun.execution_id) == {"auc": expected, "loss": expected}


def test_metrics_come_by_the_key_of_the_attempt_too_and_after_its_end(churn):
    finished = churn.step("monday", "train", key="my-key", metrics=[pp.Metric(name="auc", value=0.5)])

    answer = churn.call(
        "LogMetrics", pp.LogMetricsRequest(key="my-key", metrics=[pp.Metric(name="late", value=1)])
    )

    assert answer == pp.LogMetricsResponse(execution_id=finished.execution_id)
    assert points(churn, finished.execution_id) == {"auc": [(None, 0.5)], "late": [(None, 1.0)]}


@pytest.mark.parametrize("count", [1, 2, 3, 10, 11, 999])
@pytest.mark.parametrize("max_points", [1, 2, 3, 10, 100])
@pytest.mark.backends("sqlite")
def test_a_thinned_series_is_even_and_has_its_ends(churn, count, max_points):
    _, begun = churn.begin("monday", "train")
    log(churn, begun.execution_id, *(pp.Metric(name="loss", step=3 * i, value=i) for i in range(count)))

    request = pp.GetMetricsRequest(execution_ids=[begun.execution_id], max_points=max_points)
    (series,) = churn.call("GetMetrics", request).series
    left = [int(one.value) for one in series.points]

    assert series.count == count
    assert len(left) == min(count, max_points)
    assert left[-1] == count - 1
    if max_points > 1:
        gaps = [after - before for before, after in itertools.pairwise(left)]
        assert left[0] == 0
        assert not gaps or max(gaps) - min(gaps) <= 1


def test_a_long_series_is_thinned_and_a_scalar_of_its_name_stays(churn):
    _, begun = churn.begin("monday", "train")
    log(churn, begun.execution_id, *(pp.Metric(name="loss", step=i, value=i) for i in range(5_000)))
    log(churn, begun.execution_id, pp.Metric(name="loss", value=-1))

    assert points(churn, begun.execution_id, max_points=3) == {
        "loss": [(None, -1.0), (0, 0.0), (2500, 2500.0), (4999, 4999.0)]
    }
    by_default = points(churn, begun.execution_id)["loss"]
    assert (len(by_default), by_default[1], by_default[-1]) == (1001, (0, 0.0), (4999, 4999.0))


def test_scalars_can_be_copied_to_an_attempt_that_reuses_others_work(churn, database):
    metrics = [pp.Metric(name="auc", value=math.inf, time_ms=7), pp.Metric(name="loss", step=1, value=1)]
    done = churn.step("monday", "train", metrics=metrics)
    _, other = churn.begin("tuesday", "train", code="2")
    original_id, execution_id, run_id = done.execution_id, other.execution_id, other.run_id

    database.write(
        lambda tx: copy_scalars(tx, original_id=original_id, execution_id=execution_id, run_id=run_id)
    )

    answer = churn.call("GetMetrics", pp.GetMetricsRequest(run_ids=[run_id]))
    assert list(answer.series) == [
        pp.GetMetricsResponse.Series(execution_id=execution_id, name="auc", points=metrics[:1], count=1)
    ]


def test_a_run_gives_the_metrics_of_all_its_attempts_and_names_confine_them(churn):
    first = churn.step(
        "monday", "train", metrics=[pp.Metric(name="auc", value=0.5), pp.Metric(name="f1", value=1)]
    )
    second = churn.step("monday", "evaluate", metrics=[pp.Metric(name="auc", value=0.75)])
    churn.step("tuesday", "train", code="2", metrics=[pp.Metric(name="auc", value=0.1)])

    answer = churn.call("GetMetrics", pp.GetMetricsRequest(run_ids=[first.run_id], names=["auc"]))

    assert [(one.execution_id, one.name, one.points[0].value) for one in answer.series] == [
        (first.execution_id, "auc", 0.5),
        (second.execution_id, "auc", 0.75),
    ]


def test_a_series_has_at_most_100_000_points(churn):
    _, begun = churn.begin("monday", "train")
    for start in range(0, 100_000, 10_000):
        log(
            churn,
            begun.execution_id,
            *(pp.Metric(name="loss", step=step, value=1) for step in range(start, start + 10_000)),
        )
    log(churn, begun.execution_id, pp.Metric(name="loss", step=99_999, value=2))

    with pytest.raises(
        ResourceExhausted, match="100001 points, and 100000 is the most; log every tenth step"
    ):
        log(churn, begun.execution_id, pp.Metric(name="loss", step=100_000, value=1))

    (series,) = churn.call(
        "GetMetrics", pp.GetMetricsRequest(execution_ids=[begun.execution_id], max_points=1)
    ).series
    assert (series.count, series.points[0].step, series.points[0].value) == (100_000, 99_999, 2.0)


@pytest.mark.backends("sqlite")
@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (pp.Metric(value=1), "a metric needs a name that is not empty"),
        (pp.Metric(name="x" * 251, value=1), "at most 250 characters, not 251"),
        (pp.Metric(name="auc ", value=1), "begins or ends with white space"),
        (pp.Metric(name="a\0b", value=1), "NUL character"),
        (pp.Metric(name="auc", step=-1, value=1), "has the step -1; steps count from 0"),
        (pp.Metric(name="auc", time_ms=-5, value=1), "has the time -5"),
    ],
)
def test_a_metric_that_cannot_be_is_refused_by_name(churn, metric, message):
    _, begun = churn.begin("monday", "train")

    with pytest.raises(InvalidRequest, match=message):
        log(churn, begun.execution_id, metric)


@pytest.mark.backends("sqlite")
def test_metrics_of_an_attempt_that_is_not_there_are_refused(churn):
    with pytest.raises(NotFound, match="no attempt at a step with the execution id 77"):
        log(churn, 77, pp.Metric(name="auc", value=1))
    with pytest.raises(NotFound, match="no attempt at a step with the key 'lost'"):
        churn.call("LogMetrics", pp.LogMetricsRequest(key="lost"))
    with pytest.raises(InvalidRequest, match="the key of the attempt or its execution_id"):
        churn.call("LogMetrics", pp.LogMetricsRequest())
    with pytest.raises(InvalidRequest, match="10001 metrics are more than the 10000"):
        log(churn, 77, *[pp.Metric(name="auc", value=1)] * 10_001)
    with pytest.raises(NotFound, match="no run with id 5"):
        churn.call("GetMetrics", pp.GetMetricsRequest(run_ids=[5]))
    with pytest.raises(InvalidRequest, match="execution_ids or run_ids"):
        churn.call("GetMetrics", pp.GetMetricsRequest())
