"""GetCacheStats: how often each step ran and was hit, and what that saved."""

import pytest
from pipelines.recorded import Recorded
from support import Call

from headwater.errors import NotFound
from headwater.v1 import pipelines_pb2 as pp

Stats = pp.GetCacheStatsResponse.StepStats


def stats(call: Call, pipeline: str = "") -> list[Stats]:
    return list(call("GetCacheStats", pp.GetCacheStatsRequest(pipeline=pipeline)).steps)


def test_steps_are_counted_by_what_became_of_them(call):
    churn, sales = Recorded(call), Recorded(call, "sales")
    churn.step("a", "train", start_ms=1_000, end_ms=5_000)
    churn.step("b", "train", start_ms=1_000)
    churn.step("c", "train", start_ms=1_000)
    churn.step("c", "train", code="2", start_ms=1_000, state=pp.FAILED)
    churn.step("d", "train", code="3", start_ms=1_000, end_ms=3_000)
    churn.call("InvalidateSteps", pp.InvalidateStepsRequest(pipeline="churn", run="d"))
    churn.step("a", "load")
    churn.begin("b", "load", code="2")
    sales.step("a", "train", start_ms=1_000)

    of_churn = [
        Stats(pipeline="churn", step="load", completed=1, entries=1),
        Stats(
            pipeline="churn",
            step="train",
            completed=2,
            hits=2,
            failed=1,
            entries=1,
            saved_ms=8_000,
            invalidated=1,
        ),
    ]
    assert stats(call, "churn") == of_churn
    assert stats(call) == [*of_churn, Stats(pipeline="sales", step="train", hits=1, saved_ms=4_000)]


def test_an_empty_store_has_no_steps(call):
    assert stats(call) == []
    with pytest.raises(NotFound, match="there is no pipeline 'churn'"):
        stats(call, "churn")
