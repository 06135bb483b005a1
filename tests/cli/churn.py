"""A store in which a pipeline ran twice, at known times, for the commands that show runs."""

from pipelines.recorded import Recorded

from headwater import connect
from headwater.v1 import pipelines_pb2 as pp

MONDAY_MS = 1_780_315_200_000
TUESDAY_MS = MONDAY_MS + 86_400_000
ERROR = """Traceback (most recent call last):
  File "churn.py", line 12, in evaluate
    return score(model)
ValueError: the model has no classes"""


def record_churn(url: str) -> None:
    """On Monday all went well; on Tuesday, with another learning rate, ``evaluate`` failed."""
    with connect(url) as store:
        churn = Recorded(store.transport.call)
        start(churn, "monday", MONDAY_MS, lr=0.1, python="3.11.7")
        parts = step(churn, "monday", "split", MONDAY_MS, took_ms=2_000, inputs={"table": "customers"})
        model = step(
            churn,
            "monday",
            "train",
            MONDAY_MS + 2_000,
            took_ms=200_000,
            inputs={"examples": parts},
            parameters={"lr": 0.1},
            metrics=[pp.Metric(name="loss", value=0.25, step=1), pp.Metric(name="epochs", value=2)],
        )
        step(
            churn,
            "monday",
            "evaluate",
            MONDAY_MS + 202_000,
            took_ms=4_500,
            inputs={"model": model},
            metrics=[pp.Metric(name="auc", value=0.91)],
        )
        step(churn, "monday", "report", MONDAY_MS + 207_000, took_ms=100)
        finish(churn, "monday", MONDAY_MS + 207_200, pp.COMPLETE)
        start(churn, "tuesday", TUESDAY_MS, lr=0.2, python="3.12.1")
        parts = step(churn, "tuesday", "split", TUESDAY_MS, took_ms=10, inputs={"table": "customers"})
        model = step(
            churn,
            "tuesday",
            "train",
            TUESDAY_MS + 100,
            took_ms=180_000,
            inputs={"examples": parts},
            parameters={"lr": 0.2},
            metrics=[pp.Metric(name="loss", value=0.5, step=1), pp.Metric(name="epochs", value=2)],
        )
        step(
            churn,
            "tuesday",
            "evaluate",
            TUESDAY_MS + 180_200,
            took_ms=300,
            inputs={"model": model},
            state=pp.FAILED,
            error=ERROR,
        )
        finish(churn, "tuesday", TUESDAY_MS + 180_600, pp.FAILED, error="step 'evaluate' failed")


def start(churn: Recorded, run: str, start_ms: int, *, lr: float, python: str) -> None:
    churn.start(
        run,
        parameters={"lr": lr, "model": "small"},
        steps={"split": [], "train": ["split"], "evaluate": ["train"], "report": ["evaluate"]},
        tags={"team": "growth"},
        owner="ann",
        trigger="manual",
        code=pp.CodeVersion(commit="4b825dc642cb6eb9a060e54bf8d69288fbee4904"),
        environment=pp.Environment(python=python),
        start_ms=start_ms,
    )


def finish(churn: Recorded, run: str, end_ms: int, state: int, error: str = "") -> None:
    request = pp.FinishRunRequest(pipeline="churn", run=run, state=state, error=error, end_ms=end_ms)
    churn.call("FinishRun", request)


def step(churn: Recorded, run: str, name: str, start_ms: int, *, took_ms: int, **more: object) -> int:
    """Record a step; the id of its output, 0 if it has none."""
    done = churn.step(run, name, start_ms=start_ms, end_ms=start_ms + took_ms, **more)
    return done.artifact_ids[0] if done.artifact_ids else 0
