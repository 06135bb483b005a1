"""Nodes of every kind that Kedro has: what is recorded of each, and whether it is skipped the second time."""

import pytest

CACHED = "--runner=headwater_kedro.CachedRunner"

NODES = """
import functools
import time
from pathlib import Path

def counted(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args) + BONUS
    return wrapper

BONUS = 0

def words(raw):
    return raw.split()

def lines(words):
    for word in words:
        yield word + "\\n"

def tell(words):
    with Path("data/told.txt").open("a") as told:
        told.write("told\\n")

def add(amount, words):
    return sum(map(int, words)) + amount

@counted
def total(words):
    return sum(map(int, words))

class Times:
    def __init__(self, factor):
        self.factor = factor
    def __call__(self, words):
        return sum(map(int, words)) * self.factor

def same(text):
    return text

def slow(text):
    return text

last = lambda words: words[-1]
"""
PIPELINE = """
    node(nodes.words, "raw", "words", name="words", tags=["first", "text"]),
    node(nodes.lines, "words", "lines", name="lines"),
    node(nodes.tell, "words", None, name="tell"),
    node(functools.partial(nodes.add, 10), "words", "added", name="added"),
    node(nodes.total, "words", "total", name="total"),
    node(nodes.Times(2), "words", "times", name="times"),
    node(nodes.last, "words", "last", name="last"),
    node(nodes.same, "raw", "one_note", name="one"),
    node(nodes.same, "raw", "two_note", name="two"),
    node(nodes.same, "raw", "three_note"),
    node(nodes.words, "raw", "table@json", name="table"),
    node(nodes.same, "table@text", "four_note", name="text_of_table"),
    node(nodes.slow, "slow_in", "slow_out", name="slow"),
    Pipeline([node(nodes.same, "raw", "place", name="copy")], namespace="region", inputs="raw"),
"""
CATALOG = """
raw: {type: text.TextDataset, filepath: data/raw.txt}
words: {type: json.JSONDataset, filepath: data/words.json}
lines: {type: text.TextDataset, filepath: data/lines.txt, fs_args: {open_args_save: {mode: a}}}
added: {type: json.JSONDataset, filepath: data/added.json}
total: {type: json.JSONDataset, filepath: data/total.json}
times: {type: json.JSONDataset, filepath: data/times.json}
last: {type: json.JSONDataset, filepath: data/last.json}
"table@json": {type: json.JSONDataset, filepath: data/table.json}
"table@text": {type: text.TextDataset, filepath: data/table.json}
"{name}_note": {type: text.TextDataset, filepath: "data/{name}.txt"}
region.place: {type: text.TextDataset, filepath: data/place.txt}
slow_in: {type: shop.datasets.SlowDataset, filepath: data/raw.txt}
slow_out: {type: shop.datasets.SlowDataset, filepath: data/slow.txt}
"""
DATASETS = '''
import time
from pathlib import Path
from kedro.io import AbstractDataset

class SlowDataset(AbstractDataset):
    """Takes its time, and writes down when."""

    def __init__(self, filepath):
        self._filepath = Path(filepath)

    def load(self):
        return self._slowly("load", self._filepath.read_text)

    def save(self, data):
        self._slowly("save", lambda: self._filepath.write_text(data))

    def _slowly(self, what, act):
        begin = time.time()
        result = act()
        while time.time() < begin + 0.05:
            pass
        with Path("data/clock.txt").open("a") as clock:
            clock.write(f"{what} {begin * 1000} {time.time() * 1000}\\n")
        return result

    def _describe(self):
        return {"filepath": str(self._filepath)}

    def _exists(self):
        return self._filepath.exists()
'''
ALWAYS = {"tell"}


@pytest.fixture(scope="module")
def odd(new_project):
    """A project with nodes of all kinds that ran twice, the second time to be skipped."""
    project = new_project()
    project.write("src/shop/datasets.py", DATASETS)
    project.hold(NODES, PIPELINE, CATALOG)
    project.run(CACHED)
    project.first = {step.step: step for step in project.steps()}
    project.first_steps = project.steps()
    project.run(CACHED)
    project.second = {step.step: step for step in project.steps()}
    return project


def unnamed(steps):
    return next(name for name in steps if name.startswith("same__"))


def test_every_node_is_recorded_once(odd):
    assert sorted(step.step for step in odd.first_steps) == sorted(odd.first)
    assert len(odd.first) == 14
    assert {step.state for step in odd.first.values()} == {"COMPLETE"}


def test_every_node_is_skipped_the_second_time_but_for_those_without_outputs(odd):
    ran = {name for name, step in odd.second.items() if step.state != "CACHED"}

    assert ran == ALWAYS


def test_a_node_without_outputs_runs_always_and_is_complete(odd):
    assert odd.read("data/told.txt") == "told\ntold\n"
    assert odd.second["tell"].state == "COMPLETE"
    assert "no outputs" in odd.second["tell"].why


def test_loading_and_saving_are_within_the_time_of_the_execution(odd):
    lines = [line.split() for line in odd.read("data/clock.txt").splitlines()]
    clock = {what: (float(begin), float(end)) for what, begin, end in lines}
    slow = odd.first["slow"]

    # The store's times are whole milliseconds.
    assert slow.start_ms <= clock["load"][0] + 1
    assert slow.end_ms >= clock["save"][1] - 1


def test_all_chunks_of_a_generator_are_in_the_digest(odd, digest):
    assert odd.read("data/lines.txt") == "1\n2\n3\n4\n"
    assert odd.first["lines"].outputs[0].digest == digest(odd.path / "data/lines.txt")


def test_entries_of_the_catalog_for_one_file_are_one_artifact(odd):
    (made,), (read,) = odd.first["table"].outputs, odd.first["text_of_table"].inputs

    assert made.artifact_id == read.artifact_id
    assert made.properties["dataset"] == "table"


def test_a_dataset_of_a_factory_has_a_place_of_its_own(odd):
    assert odd.first["one"].outputs[0].uri.endswith("/data/one.txt")
    assert odd.first["two"].outputs[0].uri.endswith("/data/two.txt")


def test_tags_and_namespaces_are_recorded(odd):
    assert set(odd.first["words"].tags) == {"first", "text"}
    assert [one.name for one in odd.first["region.copy"].outputs] == ["region.place"]


def test_a_node_without_a_name_is_known_by_what_kedro_calls_it(odd):
    name = unnamed(odd.first)

    assert odd.first[name].outputs[0].uri.endswith("/data/three.txt")
    assert odd.second[name].state == "CACHED"


@pytest.mark.parametrize(
    "before, after, runs",
    [
        ("functools.partial(nodes.add, 10)", "functools.partial(nodes.add, 11)", "added"),
        ("nodes.Times(2)", "nodes.Times(3)", "times"),
    ],
    ids=["an argument of a partial", "the state of an object that is called"],
)
def test_what_is_bound_to_a_function_counts(odd, before, after, runs):
    odd.hold(NODES, PIPELINE, CATALOG)
    odd.run(CACHED)
    odd.hold(NODES, PIPELINE.replace(before, after), CATALOG)
    odd.run(CACHED)

    assert {name for name, (state,) in odd.states().items() if state != "CACHED"} == {runs, *ALWAYS}


@pytest.mark.parametrize(
    "before, after, runs",
    [
        ("function(*args) + BONUS", "function(*args) + BONUS * 2", "total"),
        ("BONUS = 0", "BONUS = 1", "total"),
        ("words: words[-1]", "words: words[0]", "last"),
    ],
    ids=["a wrapper", "what a wrapper uses", "a lambda"],
)
def test_code_around_a_function_counts(odd, before, after, runs):
    odd.hold(NODES, PIPELINE, CATALOG)
    odd.run(CACHED)
    odd.hold(NODES.replace(before, after), PIPELINE, CATALOG)
    odd.run(CACHED)

    assert {name for name, (state,) in odd.states().items() if state != "CACHED"} == {runs, *ALWAYS}


def test_the_error_of_a_function_is_in_the_record(project):
    project.write("data/raw.txt", "one two")
    project.run(fails=True)

    assert project.states() == {"clean": ["COMPLETE"], "split": ["COMPLETE"], "train": ["FAILED"]}
    (error,) = [step.error for step in project.steps() if step.error]
    assert "ValueError: invalid literal for int() with base 10: 'one'" in error
    assert "invalid literal" in project.latest().error


def test_a_node_that_failed_is_never_reused(project):
    nodes = project.read("src/shop/nodes.py")
    project.write(
        "src/shop/nodes.py", nodes.replace("return f", "1 / int(open('data/divisor').read()); return f")
    )
    project.write("data/divisor", "0")
    project.run(CACHED, fails=True)
    project.write("data/report.txt", "of no use")
    project.write("data/divisor", "1")
    project.run(CACHED)

    assert project.states()["judge"] == ["COMPLETE"]
    assert project.read("data/report.txt") == "18 of 2"


def test_loading_and_saving_in_threads_is_recorded_alike(project):
    project.run("--async")
    first = project.states()
    project.run(CACHED, "--async")

    assert first == {name: ["COMPLETE"] for name in ("clean", "split", "train", "judge")}
    assert project.states() == {name: ["CACHED"] for name in first}


def test_a_generator_that_kedro_refuses_is_a_failed_node(project):
    project.hold(
        "def lines(raw):\n    yield raw\n", 'node(nodes.lines, "raw", "report", name="lines")', CATALOG
    )
    project.run("--async", fails=True)

    assert project.states() == {"lines": ["FAILED"]}
    assert "generator functions" in project.steps()[0].error


def test_a_generator_that_fails_is_failed_at_its_last_chunk(project):
    project.hold(
        "def lines(raw):\n    yield raw\n    raise OSError('no more')\n",
        'node(nodes.lines, "raw", "lines", name="lines")',
        CATALOG,
    )
    project.run(fails=True)

    assert project.states() == {"lines": ["FAILED"]}
    assert "no more" in project.steps()[0].error


@pytest.mark.parametrize("option", ['tags=["headwater.nocache"]', 'confirms=["raw"]'])
def test_a_node_that_must_run_each_time_does(project, option):
    project.write("src/shop/datasets.py", CONFIRMED)
    project.hold(
        "def copy(raw):\n    return raw\n",
        f'node(nodes.copy, "raw", "report", name="copy", {option})',
        """
raw: {type: shop.datasets.ConfirmedDataset, filepath: data/raw.txt}
report: {type: text.TextDataset, filepath: data/report.txt}
""",
    )
    project.run(CACHED)
    project.run(CACHED)

    assert project.states() == {"copy": ["COMPLETE"]}
    assert "so it runs always" in project.steps()[0].why


CONFIRMED = """
from kedro_datasets.text import TextDataset

class ConfirmedDataset(TextDataset):
    def confirm(self):
        pass
"""


def test_what_comes_after_a_node_that_gives_other_results_each_time_runs(project):
    project.hold(
        "import uuid\ndef draw(raw):\n    return str(uuid.uuid4())\ndef copy(drawn):\n    return drawn\n",
        """
        node(nodes.draw, "raw", "drawn", name="draw", tags=["headwater.nocache"]),
        node(nodes.copy, "drawn", "report", name="copy"),
        """,
        """
raw: {type: text.TextDataset, filepath: data/raw.txt}
drawn: {type: text.TextDataset, filepath: data/drawn.txt}
report: {type: text.TextDataset, filepath: data/report.txt}
""",
    )
    project.run(CACHED)
    project.run(CACHED)

    assert project.states() == {"draw": ["COMPLETE"], "copy": ["COMPLETE"]}
    assert project.read("data/report.txt") == project.read("data/drawn.txt")


def test_what_comes_after_data_in_memory_that_is_other_each_time_runs(project):
    project.hold(
        "import uuid\ndef draw(raw):\n    return str(uuid.uuid4())\ndef copy(drawn):\n    return drawn\n",
        """
        node(nodes.draw, "raw", "drawn", name="draw", tags=["headwater.nocache"]),
        node(nodes.copy, "drawn", "report", name="copy"),
        """,
        CATALOG + "report: {type: text.TextDataset, filepath: data/report.txt}\n",
    )
    project.run(CACHED)
    first = project.read("data/report.txt")
    project.run(CACHED)

    assert project.states() == {"draw": ["COMPLETE"], "copy": ["COMPLETE"]}
    assert project.read("data/report.txt") != first


def test_an_input_that_a_hook_replaces_is_said_and_keeps_the_node_from_being_reused(project):
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
    project.run(CACHED)
    first = {step.step: step for step in project.steps()}
    project.run(CACHED)

    assert project.read("data/report.txt") == "66 of 1"
    assert first["clean"].state == "COMPLETE"
    assert "raw" in first["clean"].unfit
    assert project.states()["clean"] == ["COMPLETE"]
    assert project.states()["judge"] == ["CACHED"]


def test_an_input_that_is_written_while_its_node_runs_keeps_the_node_from_being_reused(project):
    """What was looked at is not what was loaded, for a hook writes the file before that."""
    project.write(
        "src/shop/settings.py",
        """
from pathlib import Path
from kedro.framework.hooks import hook_impl

class Writing:
    @hook_impl
    def before_dataset_loaded(self, dataset_name):
        if dataset_name == "raw" and Path("data/raw.txt").read_text() == "1 2 3 4":
            Path("data/raw.txt").write_text("5 6 7")

HOOKS = (Writing(),)
""",
    )
    project.run(CACHED)
    first = {step.step: step for step in project.steps()}
    project.write("src/shop/settings.py", "")
    project.write("data/raw.txt", "1 2 3 4")
    project.run(CACHED)

    assert "raw" in first["clean"].unfit
    assert project.states()["clean"] == ["COMPLETE"]
    assert project.read("data/report.txt") == "18 of 2"
