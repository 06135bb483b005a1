"""Runs of part of a pipeline, of several pipelines, at the same time, by other runners and from programs."""

from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import pytest

import headwater

CACHED = "--runner=headwater_kedro.CachedRunner"
ALL_RUN = {name: ["COMPLETE"] for name in ("clean", "split", "train", "judge")}


def runs_of(project):
    """All runs, by their id the states of their nodes."""
    with headwater.connect(f"sqlite:///{project.path}/.headwater/headwater.db") as store:
        return {
            run.run_id: {step.step: step.state for step in store.steps(run.run_id)} for run in store.runs()
        }


ONE_NAME = """
def run(runner):
    with KedroSession.create(project) as session:
        session.session_id = "2026-01-31T12.30.00.000Z"
        session.store["session_id"] = session.session_id
        session.run(runner=runner)

"""


def test_two_runs_of_the_same_millisecond_are_two(project):
    project.script(ONE_NAME + "run(None)\nrun(None)")

    assert list(runs_of(project).values()) == [dict.fromkeys(ALL_RUN, "COMPLETE")] * 2


def test_runs_of_one_process_at_the_same_time_do_not_mix(project):
    # Kedro cannot save twice with the same version.
    if not is_newer_than_1_3():
        pytest.skip("Kedro has KedroServiceSession from 1.4 on")
    # All else in memory: several that write one file disturb each other without the plugin too.
    project.write("conf/base/catalog.yml", "raw: {type: text.TextDataset, filepath: data/raw.txt}\n")
    project.script(
        """
import threading
from kedro.framework.session import service_session
from kedro.runner import SequentialRunner, ThreadRunner

with service_session.KedroServiceSession.create(project_path=project) as session:
    def run(runner):
        session.run(run_id="2026-01-31T12.30.00.000Z", runner=runner)

    threads = [threading.Thread(target=run, args=[kind()]) for kind in (SequentialRunner, ThreadRunner) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""
    )

    assert list(runs_of(project).values()) == [dict.fromkeys(ALL_RUN, "COMPLETE")] * 4


def is_newer_than_1_3():
    return tuple(map(int, version("kedro").split(".")[:2])) > (1, 3)


def test_the_result_of_a_run_is_that_of_kedro(project):
    project.write("conf/base/catalog.yml", project.read("conf/base/catalog.yml").replace("report:", "other:"))
    said = project.script(
        """
with KedroSession.create(project) as session:
    (result,) = session.run().values()
print("result:", result.load())
"""
    )

    assert "result: 18 of 2" in said


def test_the_result_of_a_skipped_node_is_empty_where_it_is_in_memory(project):
    project.write("conf/base/catalog.yml", project.read("conf/base/catalog.yml").replace("report:", "other:"))
    said = project.script(
        """
from headwater_kedro import CachedRunner

for _ in range(2):
    with KedroSession.create(project) as session:
        (result,) = session.run(runner=CachedRunner()).values()
    print("exists:", result.exists())
"""
    )

    assert [line for line in said.splitlines() if line.startswith("exists")] == [
        "exists: True",
        "exists: False",
    ]


@pytest.mark.parametrize(
    "options, nodes",
    [
        (["--nodes=clean"], {"clean"}),
        (["--to-nodes=split"], {"clean", "split"}),
        (["--from-nodes=judge,train,split"], {"split", "train", "judge"}),
        (["--tags=early"], {"clean"}),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_run_of_some_nodes_has_those(project, options, nodes):
    registry = project.read("src/shop/pipeline_registry.py")
    project.write(
        "src/shop/pipeline_registry.py", registry.replace('name="clean"', 'name="clean", tags=["early"]')
    )
    project.run()
    project.run(CACHED, *options)

    assert project.states() == {name: ["CACHED"] for name in nodes}
    assert {one.step for one in project.latest().planned_steps} == nodes


def test_a_node_whose_input_in_memory_nobody_makes_fails_as_in_kedro(project):
    project.run()
    said = project.run(CACHED, "--nodes=train", fails=True)

    assert "not found in the" in said
    assert project.latest().state == "FAILED"


def test_data_in_memory_that_a_program_gives_is_no_reason_to_skip(project):
    said = project.script(
        """
from kedro.framework.project import pipelines
from kedro.io import MemoryDataset
from headwater_kedro import CachedRunner

class Session(KedroSession):
    def load_context(self):
        context = super().load_context()
        given = context._get_catalog
        def with_rows(*args, **kwargs):
            catalog = given(*args, **kwargs)
            catalog["rows"] = MemoryDataset(rows)
            return catalog
        context._get_catalog = with_rows
        return context

for rows in (["1", "2", "3"], ["4", "5", "6"]):
    with Session.create(project) as session:
        session.run(runner=CachedRunner(), from_nodes=["split"])
    print("report:", Path("data/report.txt").read_text())
"""
    )

    assert "report: 18 of 1" in said
    assert "report: 54 of 1" in said
    assert project.states() == {name: ["COMPLETE"] for name in ("split", "train", "judge")}


def test_only_missing_outputs_records_what_runs(project):
    project.run()
    (project.path / "data/report.txt").unlink()
    project.run("--only-missing-outputs")
    missing = project.states()
    (project.path / "data/report.txt").unlink()
    project.run("--only-missing-outputs", CACHED)

    # Kedro runs `split` for what is in memory.
    assert missing == {"split": ["COMPLETE"], "judge": ["COMPLETE"]}
    assert project.states()["judge"] == ["COMPLETE"]
    assert project.latest().state == "COMPLETE"
    assert project.read("data/report.txt") == "18 of 2"


def test_several_pipelines_are_one_run(project):
    if not is_newer_than_1_3():
        pytest.skip("Kedro runs several pipelines at once from 1.4 on")
    registry = project.read("src/shop/pipeline_registry.py")
    other = '"other": Pipeline([node(nodes.clean, "raw", "other_rows", name="other")])'
    project.write("src/shop/pipeline_registry.py", registry.replace("])}", f"]), {other}}}"))
    project.run("--pipelines=__default__,other")

    assert project.states() == {**ALL_RUN, "other": ["COMPLETE"]}
    assert project.latest().pipeline == "shop:__default__+other"


def test_a_runner_of_the_project_is_recorded(project):
    project.write(
        "src/shop/runners.py",
        """
from kedro.runner import SequentialRunner
from kedro.runner.runner import AbstractRunner

class OwnRunner(SequentialRunner):
    def _run(self, pipeline, catalog, hook_manager=None, run_id=None):
        super()._run(pipeline=pipeline, catalog=catalog, hook_manager=hook_manager, run_id=run_id)

class BareRunner(AbstractRunner):
    def _get_executor(self, max_workers):
        return None

    def _run(self, pipeline, catalog, hook_manager=None, run_id=None):
        from kedro.runner import runner
        for node in pipeline.nodes:
            runner.Task(
                node=node, catalog=catalog, is_async=False, hook_manager=hook_manager, run_id=run_id
            ).execute()
""",
    )
    project.run("--runner=shop.runners.OwnRunner")
    own = project.states()
    project.run("--runner=shop.runners.BareRunner")

    assert own == project.states() == ALL_RUN


def test_a_runner_that_makes_tasks_of_kedro_itself_is_recorded_as_a_run_without_nodes(project):
    project.write(
        "src/shop/runners.py",
        """
from kedro.runner import SequentialRunner, Task

class OwnRunner(SequentialRunner):
    def _run(self, pipeline, catalog, hook_manager=None, run_id=None):
        for node in pipeline.nodes:
            Task(
                node=node, catalog=catalog, is_async=False, hook_manager=hook_manager, run_id=run_id
            ).execute()
""",
    )
    project.run("--runner=shop.runners.OwnRunner")

    assert project.states() == {}
    assert project.latest().state == "COMPLETE"
    assert project.read("data/report.txt") == "18 of 2"


def test_a_runner_without_a_session_is_that_of_kedro(project):
    said = project.script(
        """
from kedro.framework.project import pipelines
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner
from headwater_kedro import CachedRunner

with KedroSession.create(project) as session:
    session.run()
given = {"raw": "5 6 7", "parameters": {}, "params:size": 1, "params:rate": 1}
for runner in (SequentialRunner(), CachedRunner()):
    catalog = DataCatalog({name: MemoryDataset(value) for name, value in given.items()})
    print("result:", runner.run(pipelines["__default__"], catalog)["report"].load())
"""
    )

    assert said.count("result: 10 of 2") == 2
    assert "not recorded" in said
    assert len(runs_of(project)) == 1


def test_cached_runs_of_two_processes_at_the_same_time_are_right(project):
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda _: project.run(CACHED), range(2)))

    assert project.read("data/report.txt") == "18 of 2"
    for states in runs_of(project).values():
        assert set(states) == set(ALL_RUN)
        assert set(states.values()) <= {"COMPLETE", "CACHED"}


def test_names_that_are_too_long_for_the_store_do_not_fail_a_run(project):
    name = "x" * 250
    project.hold(
        "def copy(raw):\n    return raw\n",
        f'''
        node(nodes.copy, "raw", "{name}", name="copy"),
        node(nodes.copy, "{name}", "report", name="again"),
        ''',
        """
raw: {type: text.TextDataset, filepath: data/raw.txt}
report: {type: text.TextDataset, filepath: data/report.txt}
""",
    )
    for runner in ("CachedRunner", "CachedParallelRunner"):
        project.run(f"--runner=headwater_kedro.{runner}")

    assert project.read("data/report.txt") == "1 2 3 4"
    assert project.latest().state == "COMPLETE"


@pytest.mark.parametrize("versioned", [True, False], ids=["versioned", "not versioned"])
def test_what_was_changed_back_is_made_again_and_not_stale(project, versioned):
    if not versioned:
        catalog = project.read("conf/base/catalog.yml")
        project.write("conf/base/catalog.yml", catalog.replace(", versioned: true", ""))
    project.run(CACHED)
    project.run(CACHED, "--params=rate=4")
    project.run(CACHED)

    # The model that a load would read is that of the second run.
    assert project.states()["train"] == ["COMPLETE"]
    assert project.read("data/report.txt") == "18 of 2"
    project.run(CACHED)
    assert project.states() == {name: ["CACHED"] for name in ALL_RUN}


def test_a_pinned_version_is_what_a_node_is_recorded_to_have_read(project):
    project.run(CACHED)
    project.run(CACHED, "--params=rate=4")
    first, _ = sorted((project.path / "data/model.json").iterdir())
    # What is in memory cannot be made again by a run that has no node for it.
    project.run(CACHED, f"--load-versions=model:{first.name}", "--from-nodes=split,judge")
    judge = {step.step: step for step in project.steps()}["judge"]

    assert project.read("data/report.txt") == "18 of 2"
    assert {one.name: one.uri for one in judge.inputs}["model"].endswith(f"{first.name}/model.json")


def test_a_node_whose_output_has_a_pinned_version_is_recorded_with_what_it_saved(project):
    project.run()
    (first,) = (project.path / "data/model.json").iterdir()
    project.run("--params=rate=4", f"--load-versions=model:{first.name}")
    steps = {step.step: step for step in project.steps()}
    (second,) = set((project.path / "data/model.json").iterdir()) - {first}

    assert steps["train"].outputs[0].uri.endswith(f"{second.name}/model.json")
    assert {one.name: one.uri for one in steps["judge"].inputs}["model"].endswith(f"{first.name}/model.json")


PARAMETERS = """
def one(a): return str(a)
def nested(a): return str(a)
def whole(a): return str(sorted(a))
"""


def test_parameters_count_where_they_are_used(project):
    project.hold(
        PARAMETERS,
        """
        node(nodes.one, "params:a.b", "one", name="one"),
        node(nodes.nested, "params:a", "nested", name="nested"),
        node(nodes.whole, "parameters", "whole", name="whole"),
        """,
        '"{name}": {type: text.TextDataset, filepath: "data/{name}.txt"}',
        "a: {b: 1, c: [1, 2.5, null, {d: x}]}\ne: 2026-01-31\n",
    )
    project.run(CACHED)
    parameters = {step.step: step.parameters for step in project.steps()}
    runs = []
    for change in ("a.c=[]", "e=1", "a.b=2"):
        project.run(CACHED)
        project.run(CACHED, f"--params={change}")
        runs.append({name for name, (state,) in project.states().items() if state == "COMPLETE"})

    assert parameters["one"] == {"a.b": 1}
    assert parameters["nested"] == {"a.b": 1, "a.c": '[1,2.5,null,{"d":"x"}]'}
    assert parameters["whole"] == {**parameters["nested"], "e": "2026-01-31"}
    assert runs == [{"nested", "whole"}, {"whole"}, {"one", "nested", "whole"}]


@pytest.mark.parametrize("kind", ["dataclass", "pydantic"])
def test_typed_parameters_are_recorded_and_count(project, kind):
    if not is_newer_than_1_3():
        pytest.skip("Kedro makes objects of parameters from 1.3 on")
    base = (
        "@dataclasses.dataclass\nclass Options:"
        if kind == "dataclass"
        else "class Options(pydantic.BaseModel):"
    )
    if kind == "pydantic":
        pytest.importorskip("pydantic")
    project.hold(
        f"""
import dataclasses
{"import pydantic" if kind == "pydantic" else ""}

{base}
    rate: int
    names: list[str]

def train(raw: str, options: Options) -> str:
    return raw * options.rate + str(options.names)
""",
        'node(nodes.train, ["raw", "params:options"], "report", name="train")',
        """
raw: {type: text.TextDataset, filepath: data/raw.txt}
report: {type: text.TextDataset, filepath: data/report.txt}
""",
        "options: {rate: 2, names: [a]}",
    )
    project.run(CACHED)
    (first,) = project.steps()
    project.run(CACHED)
    second = project.states()
    project.run(CACHED, "--params=options.rate=3")

    assert first.parameters == {"options.rate": 2, "options.names": '["a"]'}
    assert second == {"train": ["CACHED"]}
    assert project.states() == {"train": ["COMPLETE"]}
