"""What was done before and is not what it was: read anew, run again, refused, never taken for unchanged."""

import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from recording.seeing import attempts, ends, executions

from headwater.client.recording import File
from headwater.errors import InvalidRequest

CALLS: list[str] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    CALLS.clear()


class Frame:
    """What is only in memory."""

    def __init__(self, text: str) -> None:
        self.text = text


def clean(text, out):
    Path(out).write_text(text)
    return File(out)


def read(table):
    CALLS.append("read")
    return Path(table).read_text()


def load(source, **options):
    def load():
        CALLS.append("load")
        return Frame(source.read_text())

    return load


def look(frame):
    CALLS.append("look")
    return frame.text


def test_an_output_that_was_overwritten_counts_by_what_is_there_now(client, tmp_path, caplog):
    out = str(tmp_path / "clean.csv")
    with client.run("churn") as run, caplog.at_level(logging.WARNING, "headwater"):
        first, second = run.call(clean, "a", out), run.call(clean, "bb", out)
        assert run.call(read, first) == "bb"
    with client.run("churn") as run:
        assert run.call(read, run.call(clean, "a", out)) == "a"

    (warning,) = caplog.messages
    assert "input 'table', output 'output' of a step, was written again" in warning
    used = [ends(client, one.id)["INPUT"]["table"] for one in executions(client, "read")]
    assert used[0] == second.artifact_id
    assert used[0] != used[1]


def test_an_output_that_was_deleted_is_no_input(client, tmp_path):
    out = tmp_path / "clean.csv"
    with client.run("churn") as run:
        table = run.call(clean, "a", str(out))
        out.unlink()
        with pytest.raises(InvalidRequest, match="input 'table' is not there"):
            run.call(read, table)


@pytest.mark.parametrize("how", ["force", "max_age", "invalidated"])
def test_an_object_that_was_made_again_is_not_taken_for_unchanged(client, tmp_path, how):
    source = tmp_path / "db"
    options = {"force": {"force": True}, "max_age": {"max_age": 0.001}}.get(how, {})
    found = []
    for text in ("old", "new"):
        source.write_text(text)
        with client.run("churn") as run:
            found.append(run.call(look, run.step(**options)(load(source))()))
        if how == "invalidated" and text == "old":
            client.invalidate(pipeline="churn", step="load", reason="the database changed")
    CALLS.clear()
    with client.run("churn") as run:
        found.append(run.call(look, run.step()(load(source))()))

    assert found == ["old", "new", "new"]
    assert CALLS == ["load"]  # Computed only because it was in memory: that changes nothing.


def test_a_lazy_object_that_is_computed_after_all_counts_as_unchanged(client, tmp_path):
    source = tmp_path / "db"
    source.write_text("old")
    for _ in range(3):
        with client.run("churn") as run:
            table = run.step(lazy=True)(load(source))()
            assert run.call(look, table) == "old"
            assert table.value.text == "old"

    assert CALLS.count("look") == 1


def test_a_lazy_object_that_is_asked_for_after_its_run_is_computed_and_not_recorded(client, tmp_path):
    source = tmp_path / "db"
    source.write_text("old")
    for _ in range(2):
        with client.run("churn") as run:
            table = run.step(lazy=True)(load(source))()
    before = attempts(client)

    assert table.value.text == "old"
    assert attempts(client) == before


CLASSES = """
import dataclasses

@dataclasses.dataclass
class Options:
    rate: float
    def scaled(self): return self.rate * {factor}

class Model:
    def __init__(self, weight): self.weight = weight
    def predict(self): return self.weight * {factor}

def train(options): return options.scaled()
def train_all(options): return [one.scaled() for one in options["all"]]
def fit(): return Model(3)
def score(model): return model.predict()
"""


def test_the_classes_of_arguments_count_as_code(client, tmp_path, monkeypatch):
    import importlib
    import sys

    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    found = []
    for factor in (2, 31):
        (tmp_path / "arguments_of_steps.py").write_text(CLASSES.format(factor=factor))
        sys.modules.pop("arguments_of_steps", None)
        importlib.invalidate_caches()
        module = importlib.import_module("arguments_of_steps")
        with client.run("churn", directory=tmp_path / "objects", persist=True) as run:
            one = module.Options(1.0)
            found.append(
                (
                    run.call(module.train, one),
                    run.call(module.train_all, {"all": [one]}),
                    run.call(module.score, run.call(module.fit)),
                )
            )
    sys.modules.pop("arguments_of_steps", None)

    assert found == [(2.0, [2.0], 6), (31.0, [31.0], 93)]


def test_a_version_alone_is_no_hit_in_another_pipeline(client):
    found = []
    for pipeline in ("churn", "fraud", "churn"):
        with client.run(pipeline) as run, run.step("train", version="1") as step:
            if step.must_run:
                CALLS.append(pipeline)
                step.output("model", value=pipeline)
            found.append(step.outputs["model"].value)

    assert found == ["churn", "fraud", "churn"]
    assert CALLS == ["churn", "fraud"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("value", "no json"),
        ("value", "6"),
        ("returned", "no"),
        ("returned", '["dict", 0]'),
        ("returned", "[" * 9999),
    ],
)
def test_a_record_that_cannot_be_read_is_no_hit(connect: Callable, tmp_path, name, text):
    def five():
        CALLS.append("five")
        return 5

    database = tmp_path / "lineage.db"
    with connect(f"sqlite:///{database}") as client, client.run("churn") as run:
        run.call(five)
    with closing(sqlite3.connect(database)) as connection, connection:
        changed = connection.execute("UPDATE ArtifactProperty SET string_value=? WHERE name=?", (text, name))
        assert changed.rowcount == 1
    found = []
    with connect(f"sqlite:///{database}") as client:
        for _ in range(2):
            with client.run("churn") as run:
                found.append(run.call(five))
        assert [state for _, state in attempts(client)] == ["COMPLETE", "COMPLETE", "CACHED"]

    assert found == [5, 5]
    assert CALLS == ["five", "five"]


def test_an_impossible_uri_is_no_hit(connect: Callable, tmp_path):
    def table():
        path = tmp_path / "table"
        path.write_text("1")
        return File(path)

    database = tmp_path / "lineage.db"
    with connect(f"sqlite:///{database}") as client, client.run("churn") as run:
        run.call(table)
    with closing(sqlite3.connect(database)) as connection, connection:
        changed = connection.execute("UPDATE Artifact SET uri='zip://a::file:///x' WHERE uri LIKE '%table'")
        assert changed.rowcount == 1
    with connect(f"sqlite:///{database}") as client, client.run("churn") as run:
        assert run.call(table).path == tmp_path / "table"


def test_what_a_generator_returns_survives_a_hit(client, tmp_path):
    def parts():
        CALLS.append("parts")
        path = tmp_path / "part"
        path.write_text("1")
        yield File(path)
        return 42

    def consume(run, found):
        found.append((yield from run.call(parts)))

    found: list[int] = []
    for _ in range(2):
        with client.run("churn") as run:
            assert [one.path.name for one in consume(run, found)] == ["part"]

    assert found == [42, 42]
    assert CALLS == ["parts"]


def test_an_output_of_another_store_is_found_by_what_it_is(client, connect, tmp_path):
    with client.run("other") as run:
        for number in range(3):
            table = run.call(clean, str(number), str(tmp_path / f"{number}"))
    own = connect("sqlite://", private=True)
    with own.run("churn") as run:
        for number in range(3):
            run.call(clean, f"own {number}", str(tmp_path / f"own-{number}"))
        run.call(read, table)

    (used,) = executions(own, "read")
    (artifact,) = own.get_artifacts_by_id([ends(own, used.id)["INPUT"]["table"]])
    assert artifact.uri == table.uri
