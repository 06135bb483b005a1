"""The run of an orchestrator that this run of Kedro is a task of, as its environment tells."""

import os

from headwater_kedro.names import LONGEST_PIPELINE, LONGEST_RUN, fitting

RUN_KEY = "HEADWATER_RUN_KEY"
_AIRFLOW = {
    "AIRFLOW_CTX_TASK_ID": "airflow_task_id",
    "AIRFLOW_CTX_TRY_NUMBER": "try_number",
    "AIRFLOW_CTX_MAP_INDEX": "airflow_map_index",
}


def parent_run(project: str) -> "tuple[str, str] | None":
    """Pipeline and run under which all tasks of the orchestrator's run stand; ``None`` if there is none.

    ``HEADWATER_RUN_KEY`` is ``PIPELINE/RUN``, or only a run, of the pipeline ``project``. Otherwise the DAG
    and the DAG run that Airflow tells of.
    """
    key = os.environ.get(RUN_KEY, "").strip()
    if key:
        pipeline, slash, run = key.partition("/")
        if not slash or not pipeline or not run:
            pipeline, run = project, key.strip("/")
    else:
        pipeline = os.environ.get("AIRFLOW_CTX_DAG_ID", "")
        run = os.environ.get("AIRFLOW_CTX_DAG_RUN_ID", "")
    if not pipeline or not run:
        return None
    return fitting(pipeline, LONGEST_PIPELINE), fitting(run, LONGEST_RUN)


def facts() -> dict[str, "int | str"]:
    """What is recorded with each node of which task and which try of it this is."""
    if not os.environ.get("AIRFLOW_CTX_DAG_ID"):
        return {}
    found: dict[str, int | str] = {}
    for variable, name in _AIRFLOW.items():
        text = os.environ.get(variable, "")
        if text:
            found[name] = int(text) if text.lstrip("-").isdecimal() else text
    return found
