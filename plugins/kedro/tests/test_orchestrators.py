"""Tasks of an orchestrator's run, each a run of Kedro of its own, in one lineage."""

import pytest

import headwater

AIRFLOW = {
    "AIRFLOW_CTX_DAG_ID": "shop",
    "AIRFLOW_CTX_DAG_RUN_ID": "manual__2026-11-23T10:00:00+00:00",
    "AIRFLOW_CTX_DAG_OWNER": "data-team",
    "AIRFLOW_CTX_TRY_NUMBER": "1",
}


@pytest.fixture
def store(project):
    # In a deployed project what goes from task to task lies in files.
    catalog = project.read("conf/base/catalog.yml")
    for name in ("train_rows", "test_rows"):
        catalog += f"{name}: {{type: json.JSONDataset, filepath: data/{name}.json}}\n"
    project.write("conf/base/catalog.yml", catalog)

    def opened():
        return headwater.connect(f"sqlite:///{project.path}/.headwater/headwater.db")

    return opened


def test_the_tasks_of_a_dag_run_stand_under_one_run_and_are_joined_by_content(project, store):
    for task in ("clean", "split", "train", "judge"):
        project.run(f"--nodes={task}", **AIRFLOW, AIRFLOW_CTX_TASK_ID=task)

    with store() as opened:
        sessions = list(opened.runs("shop:__default__"))
        parent = opened.get_run("shop", AIRFLOW["AIRFLOW_CTX_DAG_RUN_ID"])
        report = opened.get_artifacts_by_uri((project.path / "data/report.txt").as_uri())
        above = opened.artifact(report[0].id).upstream()
        uris = {artifact.uri.rpartition("/data/")[2] for artifact in above.artifacts.values()}
    assert len(sessions) == 4
    assert {run.parent_run_ids for run in sessions} == {(parent.run_id,)}
    assert {run.owner for run in sessions} == {"data-team"}
    assert {"raw.txt", "rows.json", "train_rows.json", "test_rows.json", "report.txt"} <= uris


def test_a_retry_is_another_session_with_its_number(project, store):
    raw = project.path / "data/raw.txt"
    raw.rename(raw.with_suffix(".away"))
    project.run("--nodes=clean", fails=True, **AIRFLOW, AIRFLOW_CTX_TASK_ID="clean")
    raw.with_suffix(".away").rename(raw)
    project.run("--nodes=clean", **{**AIRFLOW, "AIRFLOW_CTX_TRY_NUMBER": "2"}, AIRFLOW_CTX_TASK_ID="clean")

    with store() as opened:
        tries = {}
        for run in opened.runs("shop:__default__"):
            (step,) = opened.steps(run.run_id)
            known = opened.get_execution(step.execution_id).custom_properties
            tries[known["try_number"].int_value] = (step.state, known["airflow_task_id"].string_value)
    assert tries == {1: ("FAILED", "clean"), 2: ("COMPLETE", "clean")}


@pytest.mark.parametrize(
    ("key", "pipeline", "run"), [("night/42", "night", "42"), ("argo-7x", "shop", "argo-7x")]
)
def test_other_orchestrators_name_the_run_themselves(project, store, key, pipeline, run):
    project.run("--nodes=clean", **AIRFLOW, HEADWATER_RUN_KEY=key)
    project.run("--nodes=split", HEADWATER_RUN_KEY=key)

    with store() as opened:
        parent = opened.get_run(pipeline, run)
        sessions = list(opened.runs("shop:__default__"))
    assert {one.parent_run_ids for one in sessions} == {(parent.run_id,)}


def test_names_that_are_too_long_are_cut_and_told_apart(project, store):
    project.run("--nodes=clean", HEADWATER_RUN_KEY=f"{'p' * 200}/{'r' * 200}a")
    project.run("--nodes=clean", HEADWATER_RUN_KEY=f"{'p' * 200}/{'r' * 200}b")

    with store() as opened:
        parents = {one.parent_run_ids for one in opened.runs("shop:__default__")}
    assert len(parents) == 2
