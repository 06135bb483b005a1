"""``headwater db``: made, described, checked."""

import json
import re
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from support import mlmd_engine, needs_mlmd

from headwater import connect
from headwater.storage import schema
from headwater.storage.dialects import dialect_for, shown_url
from headwater.storage.opening import open_database
from headwater.storage.schema import OWN_INDEXES
from headwater.v1 import metadata_store_service_pb2 as rpc

OWN = {str(index.name): index.table.name for index in OWN_INDEXES}
FACTS = {
    "sqlite": {"journal_mode": "wal", "encoding": "UTF-8"},
    "postgresql": {"encoding": "UTF8", "schema": "public"},
    "mysql": {"collation": "latin1_bin", "connection_charset": "latin1"},
}


def execute(url, *statements):
    """Change a database behind headwater's back."""
    with dialect_for(url).engine().begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


@pytest.fixture
def filled(database_url):
    """A store with an artifact, an execution and a context that belong together; its URL."""
    open_database(database_url).close()
    execute(
        database_url,
        "INSERT INTO Type(id, name, type_kind) VALUES (100, 'Dataset', 1), (101, 'Train', 0)",
        "INSERT INTO Type(id, name, type_kind) VALUES (102, 'Run', 2)",
        "INSERT INTO Artifact(id, type_id, name, uri) VALUES (1, 100, 'taxi', 's3://taxi')",
        "INSERT INTO Execution(id, type_id, name) VALUES (1, 101, 'monday')",
        "INSERT INTO Context(id, type_id, name) VALUES (1, 102, 'week 1')",
        "INSERT INTO Event(id, artifact_id, execution_id, type) VALUES (1, 1, 1, 3)",
        "INSERT INTO EventPath(event_id, is_index_step, step_key) VALUES (1, FALSE, 'examples')",
        "INSERT INTO Attribution(context_id, artifact_id) VALUES (1, 1)",
        "INSERT INTO Association(context_id, execution_id) VALUES (1, 1)",
        "INSERT INTO ArtifactProperty(artifact_id, name, is_custom_property, int_value) "
        "VALUES (1, 'rows', TRUE, 9)",
    )
    if is_postgresql(database_url):
        for table in ("type", "artifact", "execution", "context", "event"):
            execute(database_url, f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), 1000)")
    return database_url


def is_postgresql(url):
    return url.startswith("postgresql")


def drop_own_indexes(url):
    of_table = {name: f" ON {table}" if url.startswith("mysql") else "" for name, table in OWN.items()}
    execute(url, *(f"DROP INDEX {name}{table}" for name, table in of_table.items()))


def test_init_makes_a_store_and_may_be_repeated(run, database_url):
    first, second = (run("db", "init", "--database-url", database_url) for _ in range(2))

    shown = shown_url(database_url)
    assert (first.exit_code, first.stdout) == (0, f"{shown} holds a store of schema version 10\n")
    assert (second.exit_code, second.stdout) == (0, first.stdout)


def test_init_adds_the_indexes_that_a_database_of_ml_metadata_lacks(run, database_url):
    open_database(database_url).close()
    drop_own_indexes(database_url)

    before = json.loads(run("db", "info", "--json", "--database-url", database_url).stdout)
    result = run("db", "init", "--json", "--database-url", database_url)
    after = json.loads(run("db", "info", "--json", "--database-url", database_url).stdout)

    assert set(json.loads(result.stdout)["indexes_added"]) == set(before["missing_indexes"]) == set(OWN)
    assert after["missing_indexes"] == []


def test_info_tells_people_how_to_add_indexes(run, database_url):
    open_database(database_url).close()
    drop_own_indexes(database_url)

    result = run("db", "info", "--database-url", database_url)

    names = ", ".join(sorted(OWN))
    assert f"{names}; 'headwater db upgrade --add-indexes' adds them\n" in result.stdout


@pytest.mark.backends("postgresql", "mysql")
def test_info_names_integers_of_32_bits(run, filled):
    change = "ALTER COLUMN type_id TYPE integer" if is_postgresql(filled) else "MODIFY type_id INT NOT NULL"
    before = run("db", "info", "--database-url", filled).stdout
    execute(filled, f"ALTER TABLE Artifact {change}")

    result = run("db", "info", "--json", "--database-url", filled)
    shown = run("db", "info", "--database-url", filled).stdout

    assert json.loads(result.stdout)["narrow_columns"] == ["Artifact.type_id"]
    assert re.search(r"32-bit integers +none\n", before)
    assert re.search("32-bit integers +Artifact.type_id; larger .* --wide-integers' widens", shown)


@needs_mlmd
def test_info_and_check_change_nothing_in_a_database_of_ml_metadata(run, database_url):
    with mlmd_engine(database_url) as call:
        call("GetArtifacts", rpc.GetArtifactsRequest())
    with dialect_for(database_url).engine().connect() as connection:
        before = sa.inspect(connection).get_table_names()

    described = run("db", "info", "--json", "--database-url", database_url)
    checked = run("db", "check", "--database-url", database_url)

    assert (described.exit_code, checked.exit_code) == (0, 0), described.output + checked.output
    found = json.loads(described.stdout)
    assert found["missing_indexes"] == sorted(OWN)
    assert ("Event.artifact_id" in found["narrow_columns"]) == (not database_url.startswith("sqlite"))
    with dialect_for(database_url).engine().connect() as connection:
        assert sa.inspect(connection).get_table_names() == before


def test_info_counts_nodes_by_kind_and_type(run, filled, backend):
    result = run("db", "info", "--json", "--database-url", filled)

    found = json.loads(result.stdout)
    assert found["schema_version"] == 10
    assert found["facts"].items() >= FACTS[backend].items()
    assert re.match(r"(SQLite|PostgreSQL|MySQL) \d|\d+.*MariaDB", found["facts"]["server"])
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

    assert re.search(r"schema version +10\n", result.stdout)
    assert result.stdout.endswith(
        "kind       type id  type     version  nodes\n"
        "artifact       100  Dataset               1\n"
        "execution      101  Train                 1\n"
        "context        102  Run                   1\n"
    )


@pytest.mark.parametrize("verb", ["info", "check"])
@pytest.mark.backends("postgresql", "mysql")
def test_looking_at_a_database_without_a_store_makes_none(run, database_url, verb):
    result = run("db", verb, "--database-url", database_url)

    assert result.exit_code == 1
    assert "tables that are missing: Type, " in result.output
    with dialect_for(database_url).engine().connect() as connection:
        assert sa.inspect(connection).get_table_names() == []


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

    assert (result.exit_code, result.stdout) == (0, f"{shown_url(filled)}: nothing is wrong\n")
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
            [{"artifact_id": 7, "name": "rows", "is_custom_property": True}],
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
            [{"artifact_id": 1, "name": "rows", "is_custom_property": True}],
        ),
    ),
    (
        "UPDATE ArtifactProperty SET int_value = NULL, proto_value = 'CgA'",
        (
            "properties whose message cannot be decoded",
            "ArtifactProperty",
            [{"artifact_id": 1, "name": "rows", "is_custom_property": True}],
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
]


@pytest.mark.parametrize(("statement", "finding"), FAULTS, ids=[statement for statement, _ in FAULTS])
def test_check_finds(run, filled, statement, finding):
    execute(filled, statement)

    result = run("db", "check", "--json", "--database-url", filled)

    problem, table, rows = finding
    assert result.exit_code == 1
    assert json.loads(result.stdout) == [{"problem": problem, "table": table, "count": 1, "rows": rows}]


@pytest.mark.backends("sqlite", "mysql")
@pytest.mark.parametrize(
    ("table", "column", "key"), [("Artifact", "uri", "id"), ("EventPath", "step_key", "event_id")]
)
def test_check_finds_text_that_is_not_utf8(run, filled, table, column, key):
    text = "CAST(x'ff41' AS TEXT)" if filled.startswith("sqlite") else "x'ff41'"
    execute(filled, f"UPDATE {table} SET {column} = {text}")

    (finding,) = json.loads(run("db", "check", "--json", "--database-url", filled).stdout)

    assert finding == {
        "problem": f"text in the column {column} that is not UTF-8",
        "table": table,
        "count": 1,
        "rows": [{key: 1}],
    }


def test_check_takes_a_replacement_character_for_the_text_it_is(run, filled):
    with connect(filled) as store:
        artifact = store.get_artifact(1)
        artifact.uri = artifact.custom_properties["text"].string_value = "\ufffd"
        store.put_artifacts([artifact])

    assert run("db", "check", "--database-url", filled).exit_code == 0


@pytest.mark.backends("postgresql")
def test_check_finds_a_sequence_that_is_behind(run, filled):
    execute(filled, "INSERT INTO Context(id, type_id, name) VALUES (5000, 102, 'week 50')")

    result = run("db", "check", "--database-url", filled)

    assert result.exit_code == 1
    assert result.stdout == (
        "the sequence public.context_id_seq is at 1000 and ids go up to 5000, so new ones would be taken; "
        "run SELECT setval('public.context_id_seq', 5000)\n"
    )


def test_check_for_people_is_a_line_for_each_fault(run, filled):
    execute(filled, "UPDATE Event SET artifact_id = 7, execution_id = 8")

    result = run("db", "check", "--database-url", filled)

    assert result.exit_code == 1
    assert result.stdout == (
        "Event: 1 rows whose artifact is not stored: id=1 artifact_id=7\n"
        "Event: 1 rows whose execution is not stored: id=1 execution_id=8\n"
    )


def test_check_reports_what_opening_would_refuse(run, filled):
    execute(filled, "ALTER TABLE Association RENAME TO hidden")
    without_table = run("db", "check", "--database-url", filled)
    execute(filled, "ALTER TABLE hidden RENAME TO Association", "UPDATE MLMDEnv SET schema_version = 6")
    of_other_version = run("db", "check", "--database-url", filled)

    assert (without_table.exit_code, without_table.stdout) == (1, "tables that are missing: Association\n")
    assert of_other_version.exit_code == 1
    assert of_other_version.stdout == "MLMDEnv: the schema version 10 belongs here, found 6\n"


@pytest.mark.backends("sqlite")
def test_check_reports_pages_that_are_overwritten(run, filled):
    path = Path(filled.removeprefix("sqlite:///"))
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
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
