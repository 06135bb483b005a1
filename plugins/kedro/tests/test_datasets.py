"""Datasets of every kind that Kedro has: where they are said to lie, and what they decide."""

import importlib.metadata
import sqlite3
import subprocess

import pytest

CACHED = "--runner=headwater_kedro.CachedRunner"
HEADWATER = ".headwater/headwater.db"
COPY = "def copy(data):\n    return data\n\ndef again(data):\n    return data\n"
TWO = """
    node(nodes.copy, "raw", "middle", name="copy"),
    node(nodes.again, "middle", "report", name="again"),
"""
CATALOG = """
raw: {type: text.TextDataset, filepath: data/raw.txt}
report: {type: text.TextDataset, filepath: data/report.txt}
"""


def kedro_is_older_than(*wanted: int) -> bool:
    return tuple(map(int, importlib.metadata.version("kedro").split(".")[:2])) < wanted


def by_name(project):
    return {step.step: step for step in project.steps()}


def test_a_cached_file_is_a_file(project):
    project.hold(
        COPY,
        TWO,
        CATALOG
        + "middle: {type: CachedDataset, dataset: {type: text.TextDataset, filepath: data/middle.txt}}\n",
    )
    project.run(CACHED)
    first = by_name(project)
    project.run(CACHED)
    hit = project.states()
    project.write("data/middle.txt", "other")
    project.run(CACHED)

    assert first["copy"].outputs[0].uri.endswith("/data/middle.txt")
    assert hit == {"copy": ["CACHED"], "again": ["CACHED"]}
    assert project.states() == {"copy": ["COMPLETE"], "again": ["CACHED"]}


def test_a_cached_file_with_versions_is_the_version_that_was_saved(project):
    project.hold(
        COPY,
        TWO,
        CATALOG
        + """
middle: {type: CachedDataset, versioned: true, dataset: {type: text.TextDataset, filepath: data/middle.txt}}
""",
    )
    project.run(CACHED)
    (version,) = (project.path / "data/middle.txt").iterdir()
    first = by_name(project)
    project.run(CACHED)

    assert first["copy"].outputs[0].uri.endswith(f"/{version.name}/middle.txt")
    assert project.states() == {"copy": ["CACHED"], "again": ["CACHED"]}


@pytest.mark.parametrize(
    "middle",
    ["{type: MemoryDataset}", "{type: CachedDataset, dataset: {type: MemoryDataset}}"],
    ids=["memory", "cached memory"],
)
def test_memory_that_the_catalog_names_is_memory(project, middle):
    project.hold(COPY, TWO, CATALOG + f"middle: {middle}\n")
    project.run(CACHED)
    first = by_name(project)
    project.run(CACHED)

    assert first["copy"].outputs[0].uri == ""
    assert first["again"].inputs[0].artifact_id == first["copy"].outputs[0].artifact_id
    assert project.states() == {"copy": ["CACHED"], "again": ["CACHED"]}


PARTS = """
middle: {type: partitions.PartitionedDataset, path: data/middle, dataset: text.TextDataset}
"""
SPLIT = """
def copy(data):
    return {word: word for word in data.split()}

def again(data):
    return " ".join(load() for _, load in sorted(data.items()))
"""


@pytest.mark.parametrize("change", ["altered", "added", "removed"])
def test_a_partitioned_dataset_is_all_of_its_files(project, change):
    project.hold(SPLIT, TWO, CATALOG + PARTS)
    project.run(CACHED)
    project.run(CACHED)
    hit = project.states()
    part = project.path / "data/middle/1"
    if change == "removed":
        part.unlink()
    else:
        (part if change == "altered" else part.with_name("9")).write_text("9")
    project.run(CACHED)

    assert hit == {"copy": ["CACHED"], "again": ["CACHED"]}
    assert project.states()["copy"] == ["COMPLETE"]


def test_a_changed_part_of_an_input_runs_what_reads_it(project):
    project.write("data/middle/1", "1")
    project.write("data/middle/2", "2")
    project.hold(SPLIT, 'node(nodes.again, "middle", "report", name="again")', CATALOG + PARTS)
    project.run(CACHED)
    project.run(CACHED)
    hit = project.states()
    project.write("data/middle/2", "3")
    project.run(CACHED)

    assert hit == {"again": ["CACHED"]}
    assert project.states() == {"again": ["COMPLETE"]}
    assert project.read("data/report.txt") == "1 3"


def test_an_incremental_dataset_is_read_in_each_run(project):
    project.write("data/middle/1", "1")
    project.hold(
        'def again(data):\n    return " ".join(sorted(data.values()))\n',
        'node(nodes.again, "middle", "report", name="again", confirms="middle")',
        CATALOG + PARTS.replace("PartitionedDataset", "IncrementalDataset"),
    )
    project.run(CACHED)
    first = project.read("data/report.txt")
    project.write("data/middle/2", "2")
    project.run(CACHED)

    assert (first, project.read("data/report.txt")) == ("1", "2")
    assert project.states() == {"again": ["COMPLETE"]}


def test_a_table_of_a_database_cannot_be_looked_at_so_its_nodes_run(project):
    pytest.importorskip("pandas", reason="pandas.SQLTableDataset needs pandas")
    with sqlite3.connect(project.path / "data/shop.db") as database:
        database.execute("CREATE TABLE given (number INTEGER)")
        database.execute("INSERT INTO given VALUES (1)")
    database.close()
    table = "{type: pandas.SQLTableDataset, table_name: NAME, credentials: shop}\n"
    save = "save_args: {if_exists: replace, index: false}, credentials: shop"
    project.write("conf/local/credentials.yml", f"shop: {{con: 'sqlite:///{project.path}/data/shop.db'}}\n")
    project.hold(
        COPY,
        TWO.replace('"raw"', '"given"'),
        f"given: {table.replace('NAME', 'given')}"
        f"middle: {table.replace('NAME', 'middle').replace('credentials: shop', save)}"
        "report: {type: pandas.CSVDataset, filepath: data/report.csv}\n",
    )
    project.run(CACHED)
    project.run(CACHED)

    assert project.states() == {"copy": ["COMPLETE"], "again": ["COMPLETE"]}
    steps = by_name(project)
    assert "cannot be looked at" in steps["copy"].why
    assert "cannot be looked at" in steps["again"].why
    assert [one.name for one in steps["again"].outputs] == ["report"]


def test_two_names_for_one_file_are_one_artifact(project):
    project.hold(
        COPY,
        """
    node(nodes.copy, "raw", "middle", name="copy"),
    node(nodes.again, ["other"], "report", name="again"),
""",
        CATALOG
        + """
middle: {type: text.TextDataset, filepath: data/middle.txt}
other: {type: text.TextDataset, filepath: data/middle.txt}
""",
    )
    project.run("--nodes=copy")
    (made,) = by_name(project)["copy"].outputs
    project.run("--nodes=again")
    (read,) = by_name(project)["again"].inputs

    assert (read.uri, read.artifact_id) == (made.uri, made.artifact_id)


def test_how_a_dataset_is_loaded_decides_about_its_readers(project):
    pytest.importorskip("pandas", reason="pandas.CSVDataset needs pandas")
    project.write("data/raw.csv", "a;b\n1;2\n")
    catalog = """
raw: {type: pandas.CSVDataset, filepath: data/raw.csv, load_args: {sep: ";"}}
middle: {type: pandas.CSVDataset, filepath: data/middle.csv, save_args: {index: false}}
report: {type: pandas.CSVDataset, filepath: data/report.csv, save_args: {index: false}}
"""
    project.hold(COPY, TWO, catalog)
    project.run(CACHED)
    project.run(CACHED)
    hit = project.states()
    project.write("conf/base/catalog.yml", catalog.replace('sep: ";"', 'sep: ";", usecols: [a]'))
    project.run(CACHED)

    assert hit == {"copy": ["CACHED"], "again": ["CACHED"]}
    assert project.states() == {"copy": ["COMPLETE"], "again": ["COMPLETE"]}
    assert project.read("data/report.csv") == "a\n1\n"


def test_how_a_dataset_is_saved_decides_about_its_maker(project):
    catalog = CATALOG + "middle: {type: json.JSONDataset, filepath: data/middle.json}\n"
    project.hold(COPY, TWO, catalog)
    project.run(CACHED)
    project.write(
        "conf/base/catalog.yml", catalog.replace("middle.json}", "middle.json, save_args: {indent: 2}}")
    )
    project.run(CACHED)

    assert project.states()["copy"] == ["COMPLETE"]


def test_where_a_dataset_lies_does_not_decide(project):
    project.hold(COPY, TWO, CATALOG)
    project.run(CACHED)
    (project.path / "data/raw.txt").rename(project.path / "data/moved.txt")
    project.write("conf/base/catalog.yml", CATALOG.replace("data/raw.txt", "data/moved.txt"))
    project.run(CACHED)

    assert project.states() == {"copy": ["CACHED"], "again": ["CACHED"]}


def test_an_output_that_goes_elsewhere_is_made_there(project):
    project.hold(COPY, TWO, CATALOG)
    project.run(CACHED)
    project.write("conf/base/catalog.yml", CATALOG.replace("data/report.txt", "data/moved.txt"))
    project.run(CACHED)

    assert project.states()["again"] == ["COMPLETE"]
    assert project.read("data/moved.txt") == "1 2 3 4"


def test_a_validator_that_changes_what_a_node_sees_decides(project):
    if kedro_is_older_than(1, 7):
        pytest.skip("Kedro validates datasets from 1.7 on")
    project.write(
        "src/shop/validators.py",
        """
class Shortened:
    def __init__(self, length):
        self.length = length

    def validate(self, data):
        return data[: self.length]
""",
    )
    catalog = CATALOG.replace(
        "data/raw.txt}",
        "data/raw.txt, validator: {class: shop.validators.Shortened, options: {length: 3}}}",
    )
    project.hold(COPY, TWO, catalog)
    project.run(CACHED)
    first = project.read("data/report.txt")
    project.write("conf/base/catalog.yml", catalog.replace("length: 3", "length: 1"))
    project.run(CACHED)

    assert (first, project.read("data/report.txt")) == ("1 2", "1")


def test_a_directory_of_files_is_one_output(project):
    project.write(
        "src/shop/datasets.py",
        """
from pathlib import Path
from kedro.io import AbstractDataset

class FolderDataset(AbstractDataset):
    def __init__(self, filepath):
        self._filepath = Path(filepath)

    def load(self):
        return " ".join(path.read_text() for path in sorted(self._filepath.iterdir()))

    def save(self, data):
        self._filepath.mkdir(exist_ok=True)
        for word in data.split():
            (self._filepath / word).write_text(word)

    def _describe(self):
        return {"filepath": str(self._filepath)}
""",
    )
    project.hold(COPY, TWO, CATALOG + "middle: {type: shop.datasets.FolderDataset, filepath: data/middle}\n")
    project.run(CACHED)
    first = by_name(project)["copy"].outputs[0]
    project.run(CACHED)
    hit = project.states()
    project.write("data/middle/1", "9")
    project.run(CACHED)

    assert first.uri.rstrip("/").endswith("/data/middle")
    assert first.digest
    assert hit == {"copy": ["CACHED"], "again": ["CACHED"]}
    assert project.states()["copy"] == ["COMPLETE"]


SECRET = "hunter2-very-secret"


def test_no_secret_is_anywhere_in_the_store(project):
    """Not those of credentials, of URLs, of options of file systems, nor in what errors say."""
    project.write(
        "src/shop/datasets.py",
        """
from kedro.io import AbstractDataset, DatasetError

class TableDataset(AbstractDataset):
    def __init__(self, con, credentials=None, storage_options=None, fails=False):
        self._con, self._credentials, self._fails = con, credentials, fails

    def load(self):
        return "1"

    def save(self, data):
        if self._fails:
            raise DatasetError(f"cannot write to {self._con} as {self._credentials}")

    def _describe(self):
        return {"con": self._con, "credentials": self._credentials}

class FileDataset(TableDataset):
    def __init__(self, filepath, **others):
        super().__init__(filepath, **others)
        self._filepath = filepath
""",
    )
    project.write(
        "conf/local/credentials.yml", f"shop: {{key: {SECRET}, client_kwargs: {{deep: [{SECRET}]}}}}\n"
    )
    table = (
        f"type: shop.datasets.TableDataset, con: 'postgresql://me:{SECRET}@localhost/shop', credentials: shop"
    )
    options = f"storage_options: {{account_key: {SECRET}}}"
    place = f"https://me:{SECRET}@127.0.0.1:1/x.txt"
    file = f"type: shop.datasets.FileDataset, filepath: '{place}', credentials: shop"
    project.hold(
        "def one(a): return a\ndef two(a): return a\ndef three(a): return a\n",
        """
        node(nodes.one, "table", "written", name="one"),
        node(nodes.two, "file", "other", name="two"),
        node(nodes.three, ["written"], "broken", name="three"),
        """,
        f"""
table: {{{table}, {options}}}
written: {{{table}}}
file: {{{file}, {options}}}
other: {{{file}}}
broken: {{{table}, fails: true}}
""",
    )
    subprocess.run(["git", "init", "-q"], cwd=project.path, check=True, timeout=60)
    remote = f"https://me:{SECRET}@example.com/shop.git"
    subprocess.run(["git", "remote", "add", "origin", remote], cwd=project.path, check=True, timeout=60)
    project.run(CACHED, fails=True)
    project.run(fails=True, HEADWATER_ADDRESS="localhost:1", HEADWATER_SPOOL_DIR=str(project.path / "spool"))

    assert project.states()["three"] == ["FAILED"]
    kept = [path for root in (".headwater", "spool", "state") for path in (project.path / root).rglob("*")]
    assert any("spool" in str(path) for path in kept)
    assert [path for path in kept if path.is_file() and SECRET.encode() in path.read_bytes()] == []
