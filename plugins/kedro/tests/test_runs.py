"""What is recorded of runs, and what is skipped, as a user of `kedro run` sees it."""

import pytest

CACHED = "--runner=headwater_kedro.CachedRunner"
ALL_RUN = {name: ["COMPLETE"] for name in ("clean", "split", "train", "judge")}
ALL_HIT = {name: ["CACHED"] for name in ALL_RUN}


@pytest.mark.parametrize("runner", ["SequentialRunner", "ThreadRunner", "ParallelRunner"])
def test_each_node_is_recorded_with_what_it_read_and_made(project, runner):
    project.run(f"--runner={runner}")

    assert project.states() == ALL_RUN
    assert project.latest().state == "COMPLETE"
    steps = {step.step: step for step in project.steps()}
    assert [one.name for one in steps["train"].inputs] == ["train_rows"]
    assert [one.name for one in steps["split"].outputs] == ["test_rows", "train_rows"]
    assert steps["train"].parameters == {"rate": 3}
    assert "/model.json/" in steps["train"].outputs[0].uri
    assert steps["train"].inputs[0].artifact_id in [one.artifact_id for one in steps["split"].outputs]


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_that_are_started_anew_record_too(project, method):
    project.run("--runner=ParallelRunner", KEDRO_MP_CONTEXT=method)

    assert project.states() == ALL_RUN


@pytest.mark.parametrize("runner", ["CachedRunner", "CachedThreadRunner", "CachedParallelRunner"])
def test_a_second_run_skips_everything(project, runner):
    project.run()
    project.run(f"--runner=headwater_kedro.{runner}")

    assert project.states() == ALL_HIT


@pytest.mark.parametrize("runner", ["CachedRunner", "CachedThreadRunner", "CachedParallelRunner"])
def test_what_is_in_memory_is_made_again_for_a_node_that_runs(project, runner):
    project.run(CACHED)
    project.run(f"--runner=headwater_kedro.{runner}", "--params=rate=4")

    states = project.states()
    assert states["clean"] == ["CACHED"]
    assert states["split"][:2] == ["CACHED", "COMPLETE"]
    assert (states["train"], states["judge"]) == (["COMPLETE"], ["COMPLETE"])
    assert (project.path / "data/report.txt").read_text() == "24 of 2"
    why = {step.step: step.why for step in project.steps()}
    assert "parameter:rate" in why["train"]


def test_a_parameter_that_is_changed_back_is_not_stale(project):
    project.run(CACHED)
    project.run(CACHED, "--params=rate=4")
    project.run(CACHED)

    assert (project.path / "data/report.txt").read_text() == "18 of 2"


@pytest.mark.parametrize("change", ["deleted", "altered"])
def test_the_producer_of_an_output_that_is_not_what_it_was_runs(project, change):
    project.run(CACHED)
    rows = project.path / "data/rows.json"
    rows.unlink() if change == "deleted" else rows.write_text("[]")
    project.run(CACHED)

    assert project.states() == {**ALL_HIT, "clean": ["COMPLETE"]}
    why = {step.step: step.why for step in project.steps()}["clean"]
    assert "output 'rows'" in why


def test_a_helper_that_changed_runs_exactly_what_uses_it(project):
    project.run(CACHED)
    project.write("src/shop/helpers.py", "def doubled(number):\n    return number + number + 1\n")
    project.run(CACHED)

    states = project.states()
    assert states["clean"] == ["CACHED"]
    assert states["train"] == states["judge"] == ["COMPLETE"]


def test_a_load_that_fails_is_the_failure_of_its_node(project):
    (project.path / "data/raw.txt").unlink()
    project.run(fails=True)

    assert project.states() == {"clean": ["FAILED"]}
    assert project.latest().state == "FAILED"


def test_a_save_that_fails_is_the_failure_of_its_node_and_the_next_run_goes_on_from_there(project):
    catalog = (project.path / "conf/base/catalog.yml").read_text()
    project.write("data/file", "")
    project.write("conf/base/catalog.yml", catalog.replace("data/report.txt", "data/file/report.txt"))
    project.run(CACHED, fails=True)
    failed = project.states()
    project.write("conf/base/catalog.yml", catalog)
    project.run(CACHED)

    assert failed == {**ALL_RUN, "judge": ["FAILED"]}
    assert project.states()["train"] == ["CACHED"]
    assert project.states()["judge"] == ["COMPLETE"]


def test_a_server_that_is_away_changes_nothing_of_the_run(project):
    said = project.run(HEADWATER_ADDRESS="localhost:1", HEADWATER_SPOOL_DIR=str(project.path / "spool"))

    assert (project.path / "data/report.txt").read_text() == "18 of 2"
    assert said.count("cannot be") == 1


def test_a_project_that_disables_the_hooks_is_not_recorded(project):
    project.write("src/shop/settings.py", 'DISABLE_HOOKS_FOR_PLUGINS = ("headwater-kedro",)\n')
    project.run()

    assert not (project.path / ".headwater").exists()
