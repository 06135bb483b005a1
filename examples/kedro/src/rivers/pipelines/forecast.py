"""From the levels at the mill to the level in the town some days later."""

import logging
from datetime import date, timedelta
from statistics import fmean, linear_regression

from kedro.pipeline import Pipeline, node

logger = logging.getLogger(__name__)

Days = list[tuple[float, float]]
"""For each day the level at the mill some days before, and that in the town."""


def pair_days(
    mill: dict[str, float], town: dict[str, float], lag_days: int, test_days: int
) -> tuple[Days, Days]:
    """Days to learn from, and the last ``test_days`` to judge by."""
    lag = timedelta(days=lag_days)
    earlier = {day: str(date.fromisoformat(day) - lag) for day in sorted(town)}
    days = [(mill[before], town[day]) for day, before in earlier.items() if before in mill]
    return days[:-test_days], days[-test_days:]


def fit(training_days: Days) -> dict[str, float]:
    """The straight line through the days."""
    slope, intercept = linear_regression(*zip(*training_days, strict=True))
    return {"slope": round(slope, 3), "intercept_cm": round(intercept, 1)}


def judge(model: dict[str, float], test_days: Days) -> dict[str, float]:
    """How far off the model is, in cm."""
    errors = [abs(model["intercept_cm"] + model["slope"] * mill - town) for mill, town in test_days]
    return {"mean_error_cm": round(fmean(errors), 1), "worst_error_cm": round(max(errors), 1)}


def publish(scores: str) -> None:
    """Tell people. It leaves nothing that could be looked at, so it is never skipped."""
    logger.info("sent to the town: %s", " ".join(scores.split()))


def create_pipeline() -> Pipeline:
    """Four nodes; what ``pair_days`` gives is in memory only."""
    return Pipeline(
        [
            node(
                pair_days,
                ["mill_smoothed", "town_smoothed", "params:lag_days", "params:test_days"],
                ["training_days", "test_days"],
                name="pair_days",
            ),
            node(fit, "training_days", "model", name="fit"),
            node(judge, ["model", "test_days"], "scores@json", name="judge"),
            node(publish, "scores@text", None, name="publish"),
        ]
    )
