"""``headwater db``: made, described, checked."""

import json
import sqlite3
from pathlib import Path

import pytest

from headwater.storage import schema
from headwater.storage.opening import open_database
from headwater.storage.schema import OWN_INDEXES

OWN = {str(index.name) for index in OWN_INDEXES}


def execute(url, *statements):
    """Change a database behind headwater's back."""
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


@pytest.fixture
def filled(url):
    """A store with an artifact, an execution and a context that belong together; its URL."""
    open_database(url).close()
    execute(
        url,
        "INSERT INTO Type(id, name, type_kind) VALUES (100, 'Dataset', 1), (101, 'Train', 0)",
        "INSERT INTO Type(id, name, type_kind) VALUES (102, 'Run', 2)",
        "INSERT INTO Artifact(id, type_id, name, uri) VALUES (1, 100, 'taxi', 's3://taxi')",
        "INSERT INTO Execution(id, type_id, name) VALUES (1, 101, 'monday')",
        "INSERT INTO Context(id, type_id, name) VALUES (1, 102, 'week 1')",
        "INSERT INTO Event(id, artifact_id, execution_id, type) VALUES (1, 1, 1, 3)",
        "INSERT INTO EventPath(event_id, is_index_step, step_key) VALUES (1, 0, 'examples')",
        "INSERT INTO Attribution(context_id, artifact_id) VALUES (1, 1)",
        "INSERT INTO Association(context_id, execution_id) VALUES (1, 1)",
        "INSERT INTO ArtifactProperty(artifact_id, name, is_custom_property, int_value) "
        "VALUES (1, 'rows', 1, 9)",
    )
    return url


def test_init_makes_a_store_and_may_be_repeated(run, url):
    first, second = run("db", "init", "--database-url", url), run("db", "init", "--database-url", url)

    assert (first.exit_code, first.stdout) == (0, f"{url} holds a store of schema version 10\n")
    assert (second.exit_code, second.stdout) == (0, first.stdout)


def test_init_adds_the_indexes_that_a_database_of_ml_metadata_lacks(run, url):
    open_database(url).close()
    execute(url, *(f"DROP INDEX {name}" for name in OWN))

    before = json.loads(run("db", "info", "--json", "--database-url", url).stdout)
    result = run("db", "init", "--json", "--database-url", url)
    after = json.loads(run("db", "info", "--json", "--database-url", url).stdout)

    assert set(json.loads(result.stdout)["indexes_added"]) == set(before["missing_indexes"]) == OWN
    assert after["missing_indexes"] == []


def test_info_counts_nodes_by_kind_and_type(run, filled):
    result = run("db", "info", "--json", "--database-url", filled)

    found = json.loads(result.stdout)
    assert (found["schema_version"], found["journal_mode"]) == (10, "wal")
    assert found["size_bytes"] > 0
    assert found["counts"] == {
        "artifact": 1,
        "execution": 1,
        "context": 1,
        "event": 1,
        "attribution": 1,
        "association": 1,
        "parent_context": 0,
    }
    assert {"kind": "artifact", "id": 100, "name": "Dataset", "version": None, "count": 1} in found["types"]


def test_info_for_people_leaves_out_types_without_nodes(run, filled):
    result = run("db", "info", "--database-url", filled)

    assert "schema version   10\n" in result.stdout
    assert result.stdout.endswith(
        "kind       type id  type     version  nodes\n"
        "artifact       100  Dataset               1\n"
        "execution      101  Train                 1\n"
        "context        102  Run                   1\n"
    )


@pytest.mark.parametrize("verb", ["info", "check"])
def test_looking_at_a_database_that_is_not_there_makes_none(run, tmp_path, verb):
    result = run("db", verb, "--database-url", f"sqlite:///{tmp_path}/none.db")

    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: there is no database at '{tmp_path}/none.db'; "
        "'headwater db init' or 'headwater serve' makes one\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_check_finds_nothing_in_a_sound_store(run, filled):
    result = run("db", "check", "--database-url", filled)
    as_json = run("db", "check", "--json", "--database-url", filled)

    assert (result.exit_code, result.stdout) == (0, f"{filled}: nothing is wrong\n")
    assert (as_json.exit_code, json.loads(as_json.stdout)) == (0, [])


FAULTS = [
    (
        "UPDATE Event SET artifact_id = 7",
        ("rows whose artifact is not stored", "Event", [{"id": 1, "artifact_id": 7}]),
    ),
    (
        "UPDATE Event SET execution_id = 7",
        ("rows whose execution is not stored", "Event", [{"id": 1, "execution_id": 7}]),
    ),
    ("UPDATE EventPath SET event_id = 7", ("rows whose event is not stored", "EventPath", [{"event_id": 7}])),
    (
        "UPDATE Attribution SET context_id = 7",
        ("rows whose context is not stored", "Attribution", [{"id": 1, "context_id": 7}]),
    ),
    (
        "UPDATE Association SET execution_id = 7",
        ("rows whose execution is not stored", "Association", [{"id": 1, "execution_id": 7}]),
    ),
    (
        "INSERT INTO ParentContext VALUES (1, 7)",
        (
            "rows whose parent context is not stored",
            "ParentContext",
            [{"context_id": 1, "parent_context_id": 7}],
        ),
    ),
    (
        "INSERT INTO TypeProperty VALUES (777, 'rows', 1)",
        ("rows whose type is not stored", "TypeProperty", [{"type_id": 777, "name": "rows"}]),
    ),
    (
        "UPDATE ArtifactProperty SET artifact_id = 7",
        (
            "rows whose artifact is not stored",
            "ArtifactProperty",
            [{"artifact_id": 7, "name": "rows", "is_custom_property": 1}],
        ),
    ),
    (
        "UPDATE Artifact SET type_id = 777",
        ("artifacts whose type is not stored", "Artifact", [{"id": 1, "type_id": 777}]),
    ),
    (
        "UPDATE Execution SET type_id = 100",
        ("executions whose type is not stored", "Execution", [{"id": 1, "type_id": 100}]),
    ),
    (
        "UPDATE ArtifactProperty SET int_value = NULL",
        (
            "properties without a value",
            "ArtifactProperty",
            [{"artifact_id": 1, "name": "rows", "is_custom_property": 1}],
        ),
    ),
    (
        "UPDATE ArtifactProperty SET int_value = NULL, proto_value = 'CgA'",
        (
            "properties whose message cannot be decoded",
            "ArtifactProperty",
            [{"artifact_id": 1, "name": "rows"}],
        ),
    ),
    (
        "UPDATE Event SET type = 99",
        ("events that are neither input nor output", "Event", [{"id": 1, "type": 99}]),
    ),
    (
        "INSERT INTO Type(id, name, type_kind, version) VALUES (200, 'Dataset', 1, '')",
        (
            "types that an older one of the same kind, name and version hides",
            "Type",
            [{"id": 200, "name": "Dataset"}],
        ),
    ),
    (
        "UPDATE Artifact SET uri = CAST(x'ff41' AS TEXT)",
        ("text in the column uri that is not UTF-8", "Artifact", [{"id": 1}]),
    ),
    (
        "UPDATE EventPath SET step_key = CAST(x'ff41' AS TEXT)",
        ("text in the column step_key that is not UTF-8", "EventPath", [{"event_id": 1}]),
    ),
]


@pytest.mark.parametrize(("statement", "finding"), FAULTS, ids=[statement for statement, _ in FAULTS])
def test_check_finds(run, filled, statement, finding):
    execute(filled, statement)

    result = run("db", "check", "--json", "--database-url", filled)

    problem, table, rows = finding
    assert result.exit_code == 1
    assert json.loads(result.stdout) == [{"problem": problem, "table": table, "count": 1, "rows": rows}]


def test_check_for_people_is_a_line_for_each_fault(run, filled):
    execute(filled, "UPDATE Event SET artifact_id = 7, execution_id = 8")

    result = run("db", "check", "--database-url", filled)

    assert result.exit_code == 1
    assert result.stdout == (
        "Event: 1 rows whose artifact is not stored: id=1 artifact_id=7\n"
        "Event: 1 rows whose execution is not stored: id=1 execution_id=8\n"
    )


def test_check_reports_what_opening_would_refuse(run, filled):
    execute(filled, "DROP TABLE Association")
    without_table = run("db", "check", "--database-url", filled)
    execute(filled, "CREATE TABLE Association(id)", "UPDATE MLMDEnv SET schema_version = 6")
    of_other_version = run("db", "check", "--database-url", filled)

    assert (without_table.exit_code, without_table.stdout) == (1, "tables that are missing: Association\n")
    assert of_other_version.exit_code == 1
    assert of_other_version.stdout == "MLMDEnv: the schema version 10 belongs here, found 6\n"


def test_check_reports_pages_that_are_overwritten(run, filled):
    path = Path(filled.removeprefix("sqlite:///"))
    execute(filled, "PRAGMA wal_checkpoint(TRUNCATE)")
    connection = sqlite3.connect(path)
    ((page,),) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'Artifact'")
    ((page_bytes,),) = connection.execute("PRAGMA page_size")
    connection.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * page_bytes)
        file.write(b"\xa5" * page_bytes)

    result = run("db", "check", "--database-url", filled)

    assert result.exit_code == 1
    assert result.stdout.startswith("the database file is damaged: ")


def test_every_table_is_looked_over():
    """``checking`` lists pointers by hand; a new table must not be forgotten there."""
    from headwater.storage.checking import _broken_rows

    looked_over = {table.name for _, table, _, _ in _broken_rows()}

    assert {table.name for table in schema.MLMD_TABLES} - looked_over == {"MLMDEnv"}
