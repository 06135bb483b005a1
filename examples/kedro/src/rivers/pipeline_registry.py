"""The pipelines of the project, by name."""

from kedro.pipeline import Pipeline

from rivers.pipelines import forecast, gauges


def register_pipelines() -> dict[str, Pipeline]:
    """Each pipeline, and both together as the default."""
    found = {"gauges": gauges.create_pipeline(), "forecast": forecast.create_pipeline()}
    return {**found, "__default__": found["gauges"] + found["forecast"]}
