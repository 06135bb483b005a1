"""From the readings of a gauge to smooth levels by day. The same nodes for each gauge."""

import csv
from statistics import fmean

from kedro.pipeline import Pipeline, node

GAUGES = ("mill", "town")


def clean(readings: str, highest_cm: float) -> dict[str, float]:
    """Level in cm by day, without days that are empty or above what the river can be."""
    levels = {}
    for row in csv.DictReader(readings.splitlines()):
        day, level = row["day"], row["level_cm"]
        if level and not level.isdecimal():
            raise ValueError(f"{day}: {level!r} is no level")
        if level and float(level) <= highest_cm:
            levels[day] = float(level)
    return levels


def smooth(levels: dict[str, float], window_days: int) -> dict[str, float]:
    """The mean of each day and of those before it, ``window_days`` in all."""
    days = sorted(levels)
    return {
        day: round(fmean(levels[one] for one in days[max(0, number - window_days + 1) : number + 1]), 1)
        for number, day in enumerate(days)
    }


def create_pipeline() -> Pipeline:
    """One modular pipeline, once for each gauge: ``mill.clean``, ``town.clean`` and so on."""
    nodes = [
        node(clean, ["readings", "params:highest_cm"], "levels", name="clean"),
        node(smooth, ["levels", "params:window_days"], "smoothed", name="smooth"),
    ]
    return sum(
        (Pipeline(nodes, namespace=gauge, outputs={"smoothed": f"{gauge}_smoothed"}) for gauge in GAUGES),
        Pipeline([]),
    )
