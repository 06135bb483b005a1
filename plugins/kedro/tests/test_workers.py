"""Nodes in threads and in processes, however those are started."""

import pytest

METHODS = ["fork", "spawn", "forkserver"]
CACHED = "--runner=headwater_kedro.CachedRunner"
ALL_RUN = {name: ["COMPLETE"] for name in ("clean", "split", "train", "judge")}


@pytest.mark.parametrize("method", METHODS)
def test_each_node_is_recorded_once_however_workers_are_started(project, method):
    project.run("--runner=ParallelRunner", KEDRO_MP_CONTEXT=method)

    assert project.states() == ALL_RUN
    steps = {step.step: step for step in project.steps()}
    assert steps["train"].inputs[0].artifact_id in [one.artifact_id for one in steps["split"].outputs]


@pytest.mark.parametrize("method", METHODS)
def test_disabled_hooks_record_nothing_in_workers_either(project, method):
    project.write("src/shop/settings.py", 'DISABLE_HOOKS_FOR_PLUGINS = ("headwater-kedro",)\n')
    project.run("--runner=ParallelRunner", KEDRO_MP_CONTEXT=method)

    assert project.read("data/report.txt") == "18 of 2"
    assert not (project.path / ".headwater").exists()


@pytest.mark.parametrize("method", METHODS)
def test_skipping_with_disabled_hooks_runs_everything_and_says_so(project, method):
    project.write("src/shop/settings.py", 'DISABLE_HOOKS_FOR_PLUGINS = ("headwater-kedro",)\n')
    said = project.run("--runner=headwater_kedro.CachedParallelRunner", KEDRO_MP_CONTEXT=method)

    assert project.read("data/report.txt") == "18 of 2"
    assert "not recorded" in said
    assert not (project.path / ".headwater").exists()


@pytest.mark.parametrize("method", METHODS)
def test_a_node_that_fails_in_a_worker_is_failed_with_its_error(project, method):
    project.write("data/raw.txt", "one two")
    project.run("--runner=ParallelRunner", fails=True, KEDRO_MP_CONTEXT=method)

    assert project.states()["train"] == ["FAILED"]
    assert "invalid literal" in {step.step: step.error for step in project.steps()}["train"]
    assert project.latest().state == "FAILED"


def test_hooks_of_the_project_that_replace_inputs_are_noticed_in_workers(project):
    project.write(
        "src/shop/settings.py",
        """
from kedro.framework.hooks import hook_impl

class Replacing:
    @hook_impl
    def before_node_run(self, node):
        return {"raw": "5 6 7"} if node.name == "clean" else None

HOOKS = (Replacing(),)
""",
    )
    project.run("--runner=ParallelRunner", KEDRO_MP_CONTEXT="fork")

    assert project.read("data/report.txt") == "66 of 1"
    assert "raw" in {step.step: step.unfit for step in project.steps()}["clean"]


# Two files are made of what is in memory, by two nodes that may run at the same time.
BRANCHES = """
from pathlib import Path

def first(raw):
    with Path("data/counted.txt").open("a") as counted:
        counted.write("first\\n")
    return raw.split()

def second(words):
    return list(reversed(words))

def left(backwards, size):
    return "left" * size + str(backwards)

def right(backwards, size):
    return "right" * size + str(backwards)

def other(words):
    return str(words)
"""
JOINED = """
    node(nodes.first, "raw", "words", name="first"),
    node(nodes.second, "words", "backwards", name="second"),
    node(nodes.left, ["backwards", "params:size"], "left", name="left"),
    node(nodes.right, ["backwards", "params:size"], "right", name="right"),
    node(nodes.other, "words", "other", name="other"),
"""
FILES = """
raw: {type: text.TextDataset, filepath: data/raw.txt}
left: {type: text.TextDataset, filepath: data/left.txt}
right: {type: text.TextDataset, filepath: data/right.txt}
other: {type: text.TextDataset, filepath: data/other.txt}
"""


@pytest.mark.parametrize("method", [*METHODS, "threads", "sequence"])
def test_what_two_nodes_need_is_made_again_once(project, method):
    project.hold(BRANCHES, JOINED, FILES, "size: 1")
    project.run(CACHED)
    project.write("data/counted.txt", "")
    runner = {"threads": "CachedThreadRunner", "sequence": "CachedRunner"}.get(method, "CachedParallelRunner")
    env = {"KEDRO_MP_CONTEXT": method} if method in METHODS else {}
    project.run(f"--runner=headwater_kedro.{runner}", "--params=size=2", **env)

    assert project.read("data/left.txt") == "leftleft['4', '3', '2', '1']"
    assert project.read("data/right.txt") == "rightright['4', '3', '2', '1']"
    assert project.states() == {
        "first": ["CACHED", "COMPLETE"],
        "second": ["CACHED", "COMPLETE"],
        "left": ["COMPLETE"],
        "right": ["COMPLETE"],
        "other": ["CACHED"],
    }
    assert project.read("data/counted.txt") == "first\n"
    # What was read is what was made now.
    made = {step.step: step for step in project.steps() if step.state == "COMPLETE"}
    (backwards,) = made["second"].outputs
    assert [step.inputs[0].artifact_id for step in (made["left"], made["right"])] == [
        backwards.artifact_id
    ] * 2


def test_what_is_made_again_can_be_reused_through_its_readers(project):
    project.hold(BRANCHES, JOINED, FILES, "size: 1")
    project.run(CACHED)
    project.run(CACHED, "--params=size=2")
    project.run(CACHED, "--params=size=2")

    assert {state for states in project.states().values() for state in states} == {"CACHED"}


def test_data_made_again_is_not_released_before_its_last_reader(project):
    """`words` is made again for `late`, whose other readers are skipped before and after."""
    project.hold(
        """
def first(raw):
    return raw.split()

def early(words):
    return str(words)

def late(words, early, size):
    return early + str(words) * size

def last(words, late):
    return late + str(len(words))
""",
        """
    node(nodes.first, "raw", "words", name="first"),
    node(nodes.early, "words", "early", name="early"),
    node(nodes.late, ["words", "early", "params:size"], "late", name="late"),
    node(nodes.last, ["words", "late"], "last", name="last"),
""",
        """
raw: {type: text.TextDataset, filepath: data/raw.txt}
early: {type: text.TextDataset, filepath: data/early.txt}
late: {type: text.TextDataset, filepath: data/late.txt}
last: {type: text.TextDataset, filepath: data/last.txt}
""",
        "size: 1",
    )
    project.run(CACHED)
    project.run(CACHED, "--params=size=2")

    assert project.states() == {
        "first": ["CACHED", "COMPLETE"],
        "early": ["CACHED"],
        "late": ["COMPLETE"],
        "last": ["COMPLETE"],
    }


def test_what_is_made_again_is_there_although_kedro_releases_it(project):
    """As by a skipped reader in another thread that is done at this moment."""
    project.write(
        "src/shop/datasets.py",
        """
import threading
from kedro.io import MemoryDataset

class ReleasedDataset(MemoryDataset):
    def __init__(self, metadata=None):
        super().__init__()

    def save(self, data):
        super().save(data)
        if threading.current_thread() is not threading.main_thread():
            self.release()
""",
    )
    project.hold(
        BRANCHES,
        """
    node(nodes.first, "raw", "words", name="first"),
    node(nodes.second, "words", "backwards", name="second"),
    node(nodes.left, ["backwards", "params:size"], "left", name="left"),
""",
        FILES + "words: {type: shop.datasets.ReleasedDataset}\n",
        "size: 1",
    )
    project.run(CACHED)
    project.run("--runner=headwater_kedro.CachedThreadRunner", "--params=size=2")

    assert project.read("data/left.txt") == "leftleft['4', '3', '2', '1']"


def test_what_lies_in_files_stays_as_it_is_where_a_node_is_made_again(project):
    project.hold(
        """
def split(raw):
    return raw.split(), raw

def join(words, size):
    return str(words) * size
""",
        """
    node(nodes.split, "raw", ["words", "model"], name="split"),
    node(nodes.join, ["words", "params:size"], "joined", name="join"),
""",
        """
raw: {type: text.TextDataset, filepath: data/raw.txt}
model: {type: text.TextDataset, filepath: data/model.txt, versioned: true}
joined: {type: text.TextDataset, filepath: data/joined.txt}
""",
        "size: 1",
    )
    project.run(CACHED)
    said = project.run(CACHED, "--params=size=2")

    assert project.states() == {"split": ["CACHED", "COMPLETE"], "join": ["COMPLETE"]}
    assert len(list((project.path / "data/model.txt").iterdir())) == 1
    assert "could not be recorded" not in said
    again = [step for step in project.steps() if step.step == "split" and step.state == "COMPLETE"]
    assert [one.name for one in again[0].outputs] == ["words"]
    assert "made again, because 'join' needs 'words'" in again[0].why


@pytest.mark.parametrize("runner", ["CachedThreadRunner", "CachedParallelRunner"])
def test_data_of_the_catalog_in_memory_goes_between_workers(project, runner):
    kind = "MemoryDataset" if runner == "CachedThreadRunner" else "SharedMemoryDataset"
    catalog = project.read("conf/base/catalog.yml")
    project.write("conf/base/catalog.yml", f"{catalog}\ntrain_rows: {{type: kedro.io.{kind}}}\n")
    project.run(f"--runner=headwater_kedro.{runner}")
    first = project.states()
    project.run(f"--runner=headwater_kedro.{runner}")

    assert first == ALL_RUN
    assert project.states() == {name: ["CACHED"] for name in ALL_RUN}


def test_loading_and_saving_in_threads_of_workers_is_recorded(project):
    project.run("--runner=ParallelRunner", "--async")

    assert project.states() == ALL_RUN
