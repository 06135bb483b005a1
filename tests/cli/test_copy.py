"""``headwater db copy`` as people and programs use it, and killed while it is at work."""

import json
import os
import pty
import signal
import subprocess
import sys

import pytest
import sqlalchemy as sa

from headwater import connect
from headwater.storage import schema
from headwater.storage.dialects import dialect_for

from .conftest import PATIENCE_S, headwater

TABLES = 18


def execute(url, *statements):
    with dialect_for(url).engine().begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement) if isinstance(statement, str) else statement)


@pytest.fixture
def target(tmp_path):
    return f"sqlite:///{tmp_path}/target.db"


def test_a_copy_is_told_table_by_table(run, taxi, target):
    result = run("db", "copy", taxi.url, target)

    assert result.exit_code == 0
    header, *rows = result.stdout.splitlines()[: TABLES + 1]
    assert header.split() == ["table", "rows", "digest"]
    assert {row.split()[0]: int(row.split()[1]) for row in rows}["Artifact"] == 5
    total = sum(int(row.split()[1]) for row in rows)
    assert result.stdout.endswith(f"{target} is a copy of {taxi.url}: {total} rows are equal on both sides\n")
    assert "copying Artifact\n" in result.stderr
    assert "comparing Artifact\n" in result.stderr
    with connect(target) as store:
        assert store.get_artifact(taxi.model).name == "fares"


def test_a_program_reads_json(run, taxi, target):
    result = run("db", "copy", "--json", taxi.url, target)

    found = json.loads(result.stdout)
    assert (result.exit_code, found["is_whole"], found["resumed"]) == (0, True, False)
    assert len(found["tables"]) == TABLES
    assert all(table["source_digest"] == table["target_digest"] for table in found["tables"])


def test_the_urls_may_stand_in_the_environment(run, taxi, target, tmp_path):
    both = run("db", "copy", env={"HEADWATER_COPY_FROM": taxi.url, "HEADWATER_COPY_TO": target})
    source = run("db", "copy", f"sqlite:///{tmp_path}/2.db", env={"HEADWATER_COPY_FROM": taxi.url})
    of_target = run("db", "copy", taxi.url, env={"HEADWATER_COPY_TO": f"sqlite:///{tmp_path}/3.db"})
    neither = run("db", "copy", taxi.url)

    assert [result.exit_code for result in (both, source, of_target)] == [0, 0, 0]
    assert neither.exit_code == 2
    assert "HEADWATER_COPY_TO" in neither.stderr


def test_rows_that_differ_are_named_with_exit_code_1(run, taxi, target):
    run("db", "copy", taxi.url, target)
    execute(target, f"UPDATE Artifact SET uri = 'elsewhere' WHERE id = {taxi.raw}")

    result = run("db", "copy", taxi.url, target)

    assert result.exit_code == 1
    assert (
        f"Artifact id={taxi.raw} has uri 's3://b/taxi.csv' in the source and 'elsewhere' in the target\n"
        in result.stdout
    )
    assert result.stdout.endswith(f"1 rows of {taxi.url} and {target} differ\n")


def test_rows_that_cannot_be_stored_are_named_with_exit_code_1(run, taxi, target):
    execute(taxi.url, f"UPDATE Artifact SET uri = CAST(x'ff' AS TEXT) WHERE id = {taxi.raw}")

    result = run("db", "copy", taxi.url, target)

    assert result.exit_code == 1
    assert result.stdout == (
        f"Artifact id={taxi.raw}, uri: is not UTF-8; mend it in the source ('headwater db check' names all "
        f"such rows)\n1 rows cannot be stored in {target}; nothing more was copied. Mend them in the source, "
        "and repeat the command\n"
    )


def test_a_target_that_holds_a_store_is_refused(run, taxi, target):
    run("db", "init", "--database-url", target)

    result = run("db", "copy", taxi.url, target)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: the target holds a store already")


@pytest.mark.backends("postgresql", "mysql")
def test_no_password_is_shown(run, taxi, database_url):
    secret = sa.make_url(database_url).set(
        password="unlikely-secret" if "postgresql" in database_url else None
    )

    result = run("db", "copy", taxi.url, secret.render_as_string(hide_password=False))

    assert result.exit_code == 0
    assert "unlikely-secret" not in result.output


@pytest.fixture
def large(taxi) -> str:
    """The URL of a store of several pages a table."""
    artifacts = [
        {"id": number, "type_id": 10, "uri": f"s3://b/{number}", "name": f"artifact {number}"}
        for number in range(1_000, 7_000)
    ]
    properties = [
        {"node_id": artifact["id"], "name": name, "is_custom_property": True, "int_value": artifact["id"]}
        for artifact in artifacts
        for name in ("rows", "columns")
    ]
    steps = [
        {"event_id": 1, "is_index_step": True, "step_index": number * 7 % 5_000} for number in range(5_000)
    ]
    with dialect_for(taxi.url).engine().begin() as connection:
        connection.execute(sa.insert(schema.artifact_table), artifacts)
        connection.execute(sa.insert(schema.artifact_property_table), properties)
        connection.execute(sa.insert(schema.event_path_table), steps)
    return taxi.url


def test_kill_9_at_any_moment_loses_only_time(large, database_url):
    kills = 0
    for said in ("Type", "Artifact", "ArtifactProperty", "Execution", "EventPath", "ParentContext"):
        process = headwater("db", "copy", large, database_url)
        # It goes on while this is read, so it dies somewhere in the table or behind it.
        for line in process.stderr:
            if line == f"copying {said}\n":
                break
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=PATIENCE_S)
        kills += process.returncode == -signal.SIGKILL

    process = headwater("db", "copy", "--json", large, database_url)
    found = json.loads(process.communicate(timeout=PATIENCE_S)[0])

    assert kills >= 5
    assert (process.returncode, found["is_whole"], found["resumed"]) == (0, True, True)
    assert {table["name"]: table["target_rows"] for table in found["tables"]}["EventPath"] == 5_009
    with connect(database_url) as store:
        assert len(list(store.list_artifacts())) == 6_005
        assert store.get_artifact(6_999).custom_properties["rows"].int_value == 6_999


def test_ctrl_c_ends_it_and_it_goes_on_later(large, database_url):
    process = headwater("db", "copy", large, database_url)
    for line in process.stderr:
        if line == "copying ArtifactProperty\n":
            break
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE_S)

    assert process.returncode != 0
    assert "Traceback" not in said
    process = headwater("db", "copy", large, database_url)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0


def test_a_terminal_shows_a_bar(large, target):
    terminal, child_side = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "headwater.cli", "db", "copy", large, target],
        stdout=subprocess.DEVNULL,
        stderr=child_side,
        env={**os.environ, "COLUMNS": "120", "TERM": "xterm"},
    )
    os.close(child_side)
    shown = b""
    try:
        while chunk := os.read(terminal, 65536):
            shown += chunk
    except OSError:  # How Linux tells that the other side is closed.
        pass
    os.close(terminal)

    assert process.wait(PATIENCE_S) == 0
    assert "━" in shown.decode()
    assert "comparing" in shown.decode()
