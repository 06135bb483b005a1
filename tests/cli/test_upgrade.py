"""``headwater db upgrade``: it says what it would do, asks, and does it."""

import json
import os
import pty
import subprocess
import sys

import pytest
import sqlalchemy as sa
from databases import server_of
from old_databases import load, stored_version

STEPS = [f"schema version {version} to {version + 1}" for version in range(6, 10)]


@pytest.fixture
def old(url: str) -> str:
    """The URL of a SQLite database of version 6."""
    load(url, 6)
    return url


def test_a_dry_run_prints_the_sql_and_changes_nothing(run, old):
    result = run("db", "upgrade", "--database-url", old, "--dry-run", "--add-indexes")

    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert [line.removeprefix("-- ") for line in lines if line.startswith("--")] == [
        *STEPS,
        "index idx_association_execution_id",
        "index idx_attribution_artifact_id",
    ]
    assert "ALTER TABLE ArtifactProperty ADD COLUMN byte_value BLOB;" in lines
    assert "UPDATE MLMDEnv SET schema_version=10;  -- 1 row" in lines
    assert any(line.startswith("DELETE FROM EventPath ") and line.endswith(";  -- 5 rows") for line in lines)
    assert stored_version(old) == 6


def test_with_yes_it_upgrades_and_names_the_steps_on_stderr(run, old):
    result = run("db", "upgrade", "--database-url", old, "--yes")

    assert (result.exit_code, result.stdout) == (0, f"{old} has schema version 10; 4 steps done\n")
    assert result.stderr.splitlines() == STEPS
    assert stored_version(old) == 10


def test_when_there_is_nothing_to_do_it_does_not_ask(run, old):
    run("db", "upgrade", "--database-url", old, "--yes")

    again = run("db", "upgrade", "--database-url", old)
    planned = run("db", "upgrade", "--database-url", old, "--dry-run")

    assert (again.exit_code, again.stdout) == (0, f"{old} has schema version 10; nothing was to do\n")
    assert planned.stdout == "-- nothing to do\n"


def test_without_a_terminal_and_without_yes_nothing_is_done(run, old):
    result = run("db", "upgrade", "--database-url", old)

    assert result.exit_code == 2
    assert "give --yes" in result.stderr
    assert stored_version(old) == 6


@pytest.mark.parametrize(("answer", "code", "version"), [("y\n", 0, 10), ("n\n", 1, 6), ("\n", 1, 6)])
def test_on_a_terminal_it_says_to_back_up_and_asks(old, answer, code, version):
    terminal, child_side = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "headwater.cli", "db", "upgrade", "--database-url", old],
        stdin=child_side,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(child_side)
    os.write(terminal, answer.encode())
    _, said = process.communicate(timeout=60)
    os.close(terminal)

    assert "Back up the database first, and stop the servers that use it.\nUpgrade now? [y/N]: " in said
    assert process.returncode == code
    assert stored_version(old) == version


@pytest.mark.parametrize("options", [["--dry-run"], ["--yes"]])
def test_json_has_each_step_with_its_statements(run, old, options):
    result = run("db", "upgrade", "--database-url", old, "--json", *options)

    found = json.loads(result.stdout)
    assert (result.exit_code, result.stderr) == (0, "")
    assert (found["database_url"], found["dry_run"]) == (old, options == ["--dry-run"])
    assert [(step["title"], step["version"]) for step in found["steps"]] == list(
        zip(STEPS, (7, 8, 9, 10), strict=True)
    )
    assert {"sql": "UPDATE MLMDEnv SET schema_version=8", "rows": 1} in found["steps"][1]["statements"]


def test_what_is_refused_is_one_sentence(run, url):
    result = run("db", "upgrade", "--database-url", url, "--yes")

    path = url.removeprefix("sqlite:///")
    assert result.exit_code == 1
    assert result.stderr == f"Error: there is no database at '{path}', so there is nothing to upgrade\n"


@pytest.mark.backends("postgresql", "mysql")
def test_the_password_is_not_shown(run, backend, database_url):
    load(database_url, 6)
    server, database = server_of(backend), sa.make_url(database_url).database
    user = f"hw_upgrader_{os.getpid()}"
    if backend == "postgresql":
        server.execute(f"CREATE ROLE {user} SUPERUSER LOGIN PASSWORD 's3cret'")
    else:
        server.execute(f"CREATE USER '{user}'@'%' IDENTIFIED BY 's3cret'")
        server.execute(f"GRANT ALL ON {database}.* TO '{user}'@'%'")
    try:
        url = server.url(database, user=user, password="s3cret")
        result = run("db", "upgrade", "--database-url", url, "--yes", "--wide-integers")
    finally:
        server.execute(f"DROP ROLE {user}" if backend == "postgresql" else f"DROP USER '{user}'@'%'")

    assert result.exit_code == 0
    assert "64-bit integers in Artifact" in result.stderr
    assert f"{user}:***@" in result.stdout
    assert "s3cret" not in result.output
