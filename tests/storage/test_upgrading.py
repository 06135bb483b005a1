"""Old databases become new ones: nothing is lost, and what is cut short or refused leaves no damage."""

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest
import sqlalchemy as sa
from databases import empty_database, server_of
from old_databases import (
    add_duplicate_events,
    backend_of,
    execute,
    fill,
    load,
    migrate,
    read,
    rows,
    stored_version,
    structure,
    take_down,
)
from support import Call, mlmd_engine, needs_mlmd

from headwater.embedded import EmbeddedTransport
from headwater.errors import Aborted, DatabaseRefused, FailedPrecondition, InvalidRequest
from headwater.storage import schema
from headwater.storage.database import Database
from headwater.storage.dialects import dialect_for
from headwater.storage.opening import open_database
from headwater.storage.upgrading import plan, upgrade
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc

FOUR_STEPS = [f"schema version {version} to {version + 1}" for version in range(6, 10)]
OWN_INDEXES = {str(index.name) for index in schema.OWN_INDEXES}
WIDE = 2**40


@pytest.fixture
def old_url(database_url: str) -> str:
    """A database of version 6, as ML Metadata's engine left it, with duplicate events."""
    load(database_url, 6)
    return database_url


def titles(steps) -> list[str]:
    return [step.title for step in steps]


def rows_of_version_8(url: str) -> dict[str, list[tuple]]:
    """What an upgrade must keep: everything, but duplicate events and their paths."""
    found = rows(url)
    # Columns stand in the order of their names: artifact_id, execution_id, id, milliseconds..., type.
    newest = {(artifact, execution, type_): id_ for artifact, execution, id_, _, type_ in found["Event"]}
    found["Event"] = [row for row in found["Event"] if row[2] == newest[row[0], row[1], row[4]]]
    found["EventPath"] = [row for row in found["EventPath"] if row[0] in newest.values()]
    return found


def test_a_database_of_version_6_becomes_one_of_version_10(old_url: str) -> None:
    expected = rows_of_version_8(old_url)

    steps = upgrade(old_url)

    assert titles(steps) == FOUR_STEPS
    assert [step.version for step in steps] == [7, 8, 9, 10]
    assert stored_version(old_url) == 10
    assert rows(old_url) == expected
    assert len(expected["Event"]) == 4
    assert upgrade(old_url) == plan(old_url) == []


def test_its_tables_are_then_those_of_a_new_database(backend: str, old_url: str) -> None:
    upgrade(old_url)

    with empty_database(backend) as new_url:
        load(new_url, 10)
        found, expected = (structure(url, names_of_keys=False) for url in (old_url, new_url))
    if backend == "postgresql":
        # As on SQLite, and unlike ML Metadata's, headwater's indexes on values leave out what is NULL.
        for table in (found, expected):
            for kind in ("artifact", "execution", "context"):
                indexes = table[f"{kind}property"]["indexes"]
                table[f"{kind}property"]["indexes"] = {name: on for name, (on, _) in indexes.items()}
    assert found == expected


def test_the_newest_of_duplicate_events_stays_with_its_path(backend: str, old_url: str) -> None:
    add_duplicate_events(old_url)  # two more, after the four that the dump has
    before = execute(old_url, "SELECT max(id) FROM Event")

    upgrade(old_url)

    assert execute(old_url, "SELECT id FROM Event WHERE artifact_id = 1 AND type = 3") == before
    assert execute(old_url, "SELECT step_index FROM EventPath WHERE event_id = 8") == [(2,)]
    assert execute(
        old_url, "SELECT count(*) FROM EventPath WHERE event_id NOT IN (SELECT id FROM Event)"
    ) == [(0,)]


def test_a_plan_says_what_is_then_done_and_changes_nothing(old_url: str) -> None:
    before = rows(old_url), structure(old_url), bytes_of(old_url)

    planned = plan(old_url, wide_integers=True, add_indexes=True)

    assert (rows(old_url), structure(old_url), bytes_of(old_url)) == before
    done = upgrade(old_url, wide_integers=True, add_indexes=True)
    assert [(step.title, step.version, sql_of(step)) for step in done] == [
        (step.title, step.version, sql_of(step)) for step in planned
    ]
    written = {statement.sql: statement.rows for step in done for statement in step.statements}
    expected = {statement.sql: statement.rows for step in planned for statement in step.statements}
    assert {sql: expected[sql] for sql, count in written.items() if count is not None} == {
        sql: count for sql, count in written.items() if count is not None
    }
    deleted = {sql.split()[2]: count for sql, count in written.items() if sql.startswith("DELETE FROM Event")}
    assert deleted == {"Event": 2, "EventPath": 5}


def sql_of(step) -> list[str]:
    return [statement.sql for statement in step.statements]


def bytes_of(url: str) -> bytes:
    return Path(sa.make_url(url).database).read_bytes() if backend_of(url) == "sqlite" else b""


class Killed(BaseException):
    """Passes through everything that handles errors, as a signal does."""


def test_an_upgrade_may_be_cut_short_before_every_statement(backend: str, old_url: str) -> None:
    """Each run does one statement more than was ever done before, and is cut short before the next."""
    options = {"wide_integers": True, "add_indexes": True}
    expected, finished, whole = rows_of_version_8(old_url), *structures(backend, options)
    statements = sum(len(step.statements) for step in plan(old_url, **options))
    seen: set[str] = set()
    cut_short = 0
    while True:
        new = itertools.count()

        def progress(step, statement, new=new) -> None:
            if statement.sql not in seen:
                if next(new) == 1:
                    raise Killed(statement.sql)
                seen.add(statement.sql)

        try:
            upgrade(old_url, **options, progress=progress)
            break
        except Killed:
            cut_short += 1
        version = stored_version(old_url)
        if backend != "mysql" and version < 10:
            # Where a step is one transaction, there is nothing between two versions.
            assert structure(old_url) == whole[version]

    assert (len(seen), cut_short) == (statements, statements - 1)
    assert structure(old_url) == finished
    assert rows(old_url) == expected


def structures(backend: str, options) -> tuple[dict, dict[int, dict]]:
    """Of a database that was upgraded without a break, and of each version on its way."""
    with empty_database(backend) as url:
        load(url, 6)
        whole = {6: structure(url)}
        for step in plan(url):
            upgrade_until(url, step.title)
            whole[step.version] = structure(url)
        upgrade(url, **options)
        return structure(url), whole


def upgrade_until(url: str, title: str) -> None:
    """Do what comes before and in the step of this title."""
    is_done = False

    def progress(step, statement) -> None:
        nonlocal is_done
        if step.title == title:
            is_done = True
        elif is_done:
            raise Killed

    with suppress(Killed):
        upgrade(url, progress=progress)


KILLED = """
import os, signal, sys
from headwater.storage.upgrading import upgrade
left = int(sys.argv[2])
def progress(step, statement):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
upgrade(sys.argv[1], progress=progress)
"""


@pytest.mark.parametrize("statement", [2, 17, 24])
def test_so_is_one_whose_process_is_killed(old_url: str, statement: int) -> None:
    expected = rows_of_version_8(old_url)

    killed = subprocess.run([sys.executable, "-c", KILLED, old_url, str(statement)], check=False)
    upgrade(old_url)

    assert killed.returncode == -signal.SIGKILL
    assert stored_version(old_url) == 10
    assert rows(old_url) == expected


def test_two_upgrades_at_once_take_turns(old_url: str) -> None:
    expected = rows_of_version_8(old_url)

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(upgrade, old_url, wide_integers=True, add_indexes=True) for _ in range(4)]
        steps = [title for each in running for title in titles(each.result())]

    assert len(steps) == len(set(steps))  # each was done by one of them
    assert set(FOUR_STEPS) < set(steps)
    assert rows(old_url) == expected


def test_an_upgrade_waits_for_another_one_only_so_long(old_url: str) -> None:
    refused = []

    def progress(step, statement) -> None:
        if not refused:
            with pytest.raises(Aborted, match="another") as refusal:
                upgrade(old_url, patience_s=1)
            refused.append(refusal.value)

    assert titles(upgrade(old_url, progress=progress)) == FOUR_STEPS
    assert len(refused) == 1


@pytest.mark.backends("postgresql", "mysql")
@pytest.mark.parametrize(
    "title", [*FOUR_STEPS, "64-bit integers in Event", "index idx_attribution_artifact_id"]
)
def test_a_connection_that_is_lost_is_told_and_the_upgrade_may_be_repeated(
    backend: str, old_url: str, title: str
) -> None:
    expected = rows_of_version_8(old_url)
    database = sa.make_url(old_url).database

    def progress(step, statement) -> None:
        if step.title == title:
            disconnect_all(backend, database)

    with pytest.raises(
        Aborted, match=f"{title}: the connection to the database was lost; repeat the upgrade"
    ):
        upgrade(old_url, wide_integers=True, add_indexes=True, progress=progress)

    upgrade(old_url, wide_integers=True, add_indexes=True)
    assert plan(old_url, wide_integers=True, add_indexes=True) == []
    assert rows(old_url) == expected


def disconnect_all(backend: str, database: str) -> None:
    server = server_of(backend)
    if backend == "postgresql":
        server.execute(
            f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{database}'"
        )
        return
    for (session,) in server.execute(
        f"SELECT id FROM information_schema.processlist WHERE db = '{database}'"
    ):
        server.execute(f"KILL {session}")


@pytest.mark.backends("postgresql", "mysql")
def test_ids_and_values_get_64_bits_when_that_is_asked_for(backend: str, old_url: str) -> None:
    upgrade(old_url)
    narrow = structure(old_url)

    steps = upgrade(old_url, wide_integers=True)

    wide = structure(old_url)
    changed = {
        (table, column)
        for table, found in wide.items()
        for column in found["columns"]
        if found["columns"][column][0] != narrow[table]["columns"][column][0]
    }
    assert changed == {
        (table.name.lower(), column.name)
        for table in schema.MLMD_TABLES
        for column in table.columns
        if column.name == "id"
        or (column.name.endswith("_id") and column.name != "external_id")
        or column.name in ("int_value", "step_index")
    }
    assert {wide[table]["columns"][column][0].split("(")[0] for table, column in changed} == {"BIGINT"}
    for table, column in changed:  # whether it may be empty, and how it is filled
        assert wide[table]["columns"][column][1:] == narrow[table]["columns"][column][1:]
    assert all(step.title.startswith("64-bit integers in ") for step in steps)
    assert plan(old_url, wide_integers=True) == []


@pytest.mark.backends("postgresql", "mysql")
def test_what_was_widened_counts_on_beyond_32_bits(backend: str, old_url: str) -> None:
    upgrade(old_url, wide_integers=True)
    if backend == "postgresql":
        execute(old_url, f"SELECT setval('artifact_id_seq', {WIDE})")
    else:
        execute(old_url, f"ALTER TABLE Artifact AUTO_INCREMENT = {WIDE + 1}")

    execute(
        old_url,
        f"INSERT INTO Artifact (type_id, uri) VALUES ({WIDE}, 'far')",
        "INSERT INTO ArtifactProperty (artifact_id, name, is_custom_property, int_value) "
        f"VALUES ({WIDE + 1}, 'rows', {'TRUE' if backend == 'postgresql' else 1}, {2**62})",
    )

    assert execute(old_url, "SELECT id, type_id FROM Artifact WHERE uri = 'far'") == [(WIDE + 1, WIDE)]
    assert execute(old_url, f"SELECT int_value FROM ArtifactProperty WHERE artifact_id = {WIDE + 1}") == [
        (2**62,)
    ]


def test_headwater_serves_what_it_has_upgraded(old_url: str) -> None:
    with pytest.raises(DatabaseRefused, match="run 'headwater db upgrade'"):
        open_database(old_url)
    upgrade(old_url)

    database = open_database(old_url)
    try:
        call = EmbeddedTransport(database).call
        found = read(call)
        fill_again(call)
    finally:
        database.close()

    first = found["GetArtifacts"].artifacts[0]
    assert (first.id, first.type, first.name, first.uri) == (1, "Dataset", "data 0", "s3://b/data/0/数据")
    assert first.properties["rows"].int_value == 2**31 - 1
    assert first.custom_properties["it's"].string_value == 'a "quoted" 你好 %_ text'
    assert len(found["GetArtifacts"].artifacts) == len(found["events"].events) == 4
    assert sorted(len(event.path.steps) for event in found["events"].events) == [1, 4, 4, 4]
    assert [context.name for context in found["GetParentContextsByContext 2"].contexts] == ["pipeline"]


def test_a_database_that_headwater_made_needs_nothing(database_url: str) -> None:
    open_database(database_url).close()

    assert plan(database_url, wide_integers=True, add_indexes=True) == []


@pytest.mark.backends("postgresql", "mysql")
def test_headwater_stores_large_numbers_once_the_columns_are_wide(old_url: str) -> None:
    upgrade(old_url)
    large = pb.Artifact(type_id=10, properties={"rows": pb.Value(int_value=2**62)})

    with closing(open_database(old_url)) as database, pytest.raises(InvalidRequest, match="--wide-integers"):
        put(database, large)
    upgrade(old_url, wide_integers=True)
    with closing(open_database(old_url)) as database:
        artifact_id = put(database, large)

    assert execute(old_url, f"SELECT int_value FROM ArtifactProperty WHERE artifact_id = {artifact_id}") == [
        (2**62,)
    ]


def put(database: Database, artifact: pb.Artifact) -> int:
    request = rpc.PutArtifactsRequest(artifacts=[artifact])
    return EmbeddedTransport(database).call("PutArtifacts", request).artifact_ids[0]


@pytest.mark.backends("sqlite")
def test_integers_of_sqlite_are_wide_already(old_url: str) -> None:
    assert titles(upgrade(old_url, wide_integers=True)) == FOUR_STEPS


def test_indexes_are_added_only_when_that_is_asked_for(backend: str, old_url: str) -> None:
    upgrade(old_url)
    execute(
        old_url,
        "DROP INDEX idx_type_name" + (" ON Type" if backend == "mysql" else ""),
        "DROP INDEX idx_context_property_int" + (" ON ContextProperty" if backend == "mysql" else ""),
    )
    before = indexes(old_url)

    assert upgrade(old_url) == []
    assert indexes(old_url) == before

    added = {"idx_type_name", "idx_context_property_int", *OWN_INDEXES}
    steps = upgrade(old_url, add_indexes=True)
    assert set(titles(steps)) == {f"index {name}" for name in added}
    assert indexes(old_url) == before | added
    assert plan(old_url, add_indexes=True) == []


def indexes(url: str) -> set[str]:
    return {name for table in structure(url).values() for name in table["indexes"]}


@pytest.mark.backends("postgresql")
def test_an_index_left_invalid_is_built_again(old_url: str) -> None:
    upgrade(old_url, add_indexes=True)
    execute(
        old_url,
        "UPDATE pg_index SET indisvalid = FALSE WHERE indexrelid = 'idx_attribution_artifact_id'::regclass",
    )

    (step,) = upgrade(old_url, add_indexes=True)

    assert sql_of(step) == [
        "DROP INDEX CONCURRENTLY idx_attribution_artifact_id",
        "CREATE INDEX CONCURRENTLY idx_attribution_artifact_id ON Attribution (artifact_id, context_id)",
    ]
    assert execute(old_url, "SELECT 1 FROM pg_index WHERE NOT indisvalid") == []


@pytest.mark.backends("postgresql")
def test_an_index_that_cannot_hold_a_value_is_refused_and_leaves_nothing(old_url: str) -> None:
    upgrade(old_url)
    long_text = "(SELECT string_agg(md5(number::text), '') FROM generate_series(1, 300) AS number)"
    execute(
        old_url,
        "DROP INDEX idx_artifact_uri",
        f"UPDATE Artifact SET uri = {long_text} WHERE id = 1",
    )

    with pytest.raises(DatabaseRefused, match="idx_artifact_uri: a value is longer than an index can hold"):
        upgrade(old_url, add_indexes=True)

    assert "idx_artifact_uri" not in indexes(old_url)
    execute(old_url, f"UPDATE Artifact SET uri = {long_text} WHERE id = 2")


@pytest.mark.backends("postgresql")
def test_times_and_sequences_that_ml_metadata_left_wrong_are_mended(old_url: str) -> None:
    upgrade(old_url)
    times = execute(old_url, "SELECT create_time_since_epoch FROM Execution")
    execute(
        old_url,
        "UPDATE Artifact SET create_time_since_epoch = 0",
        "ALTER TABLE Artifact ALTER COLUMN create_time_since_epoch TYPE INTEGER",
        "SELECT setval('event_id_seq', 1, FALSE)",
    )

    (step,) = upgrade(old_url)

    assert sql_of(step) == [
        "ALTER TABLE Artifact ALTER COLUMN create_time_since_epoch TYPE BIGINT",
        "SELECT setval('public.event_id_seq', (SELECT max(id) FROM Event))",
    ]
    assert execute(old_url, "SELECT create_time_since_epoch FROM Execution") == times
    assert execute(old_url, "SELECT nextval('event_id_seq') > max(id) FROM Event") == [(True,)]
    assert upgrade(old_url) == []


@pytest.mark.backends("postgresql")
def test_tables_of_another_schema_are_left_alone(old_url: str) -> None:
    execute(
        old_url,
        "CREATE SCHEMA other",
        "CREATE TABLE other.type (id INTEGER, external_id TEXT UNIQUE)",
        "CREATE TABLE other.mlmdenv (schema_version INTEGER)",
        "CREATE TABLE other.eventtemp (id INTEGER)",
    )

    assert titles(upgrade(old_url)) == FOUR_STEPS
    assert execute(old_url, "SELECT count(*) FROM other.mlmdenv") == [(0,)]


@pytest.mark.backends("sqlite")
def test_a_copied_table_keeps_its_counter_and_what_others_hung_on_it(old_url: str) -> None:
    others = [
        "CREATE INDEX by_team ON Artifact (state, name)",
        "CREATE VIEW live AS SELECT id FROM Artifact WHERE state = 2",
        "CREATE TRIGGER noted AFTER INSERT ON Artifact BEGIN SELECT 'a:b'; END",
    ]
    execute(old_url, *others)

    upgrade(old_url)

    found = execute(old_url, "SELECT sql FROM sqlite_master WHERE name IN ('by_team', 'live', 'noted')")
    assert {sql for (sql,) in found} == set(others)
    assert len(execute(old_url, "SELECT id FROM live")) == 4
    # The dump's artifact 5 was deleted.
    assert execute(old_url, "INSERT INTO Artifact (type_id) VALUES (10) RETURNING id") == [(6,)]


@pytest.mark.backends("sqlite")
def test_a_table_that_would_lose_a_column_is_not_copied(old_url: str) -> None:
    execute(old_url, "ALTER TABLE Artifact ADD COLUMN owner TEXT")
    before = bytes_of(old_url)

    with pytest.raises(DatabaseRefused, match=r"does not know \(owner\)"):
        plan(old_url)
    assert bytes_of(old_url) == before
    with pytest.raises(DatabaseRefused, match=r"does not know \(owner\)"):
        upgrade(old_url)
    assert stored_version(old_url) == 8


@pytest.mark.backends("postgresql", "mysql")
def test_columns_of_others_stay_where_nothing_is_copied(old_url: str) -> None:
    execute(old_url, "ALTER TABLE Artifact ADD COLUMN owner TEXT", "UPDATE Artifact SET owner = 'me'")

    upgrade(old_url)

    assert execute(old_url, "SELECT DISTINCT owner FROM Artifact") == [("me",)]


REFUSED = {
    "too old": (
        ["UPDATE MLMDEnv SET schema_version = 5"],
        "schema version 5, and the oldest that is upgraded is 6",
    ),
    "too new": (["UPDATE MLMDEnv SET schema_version = 11"], "schema version 11, newer than the 10"),
    "no version": (["DELETE FROM MLMDEnv"], "has no row where one belongs"),
    "two versions": (["INSERT INTO MLMDEnv VALUES (9)"], r"has 2 rows \(6, 9\) where one belongs"),
    "no version table": (["DROP TABLE MLMDEnv"], "but no MLMDEnv with its schema version"),
    "a table is gone": (["DROP TABLE ParentType", "DROP TABLE Event"], "lacks the tables Event, ParentType"),
    "a column is gone": (
        ["ALTER TABLE EventPath DROP COLUMN step_key"],
        "lacks the columns EventPath.step_key",
    ),
    "columns of its version are missing": (
        ["UPDATE MLMDEnv SET schema_version = 7"],
        "version 7 but lacks the columns ArtifactProperty.byte_value, ExecutionProperty.byte_value",
    ),
    "left by a broken upgrade": (["CREATE TABLE EventTemp (id INTEGER)"], "has the tables EventTemp"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_told_and_left_alone(old_url: str, case: str) -> None:
    statements, words = REFUSED[case]
    execute(old_url, *statements)
    before = structure(old_url)

    for way in (plan, upgrade):
        with pytest.raises(DatabaseRefused, match=words):
            way(old_url)

    assert structure(old_url) == before


def test_a_database_without_a_store_is_refused(backend: str, database_url: str) -> None:
    with pytest.raises(DatabaseRefused, match="so there is nothing to upgrade"):
        upgrade(database_url)

    if backend == "sqlite":
        assert not Path(sa.make_url(database_url).database).exists()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:////"])
def test_a_file_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(DatabaseRefused):
        plan(url)


def test_what_is_no_url_of_a_database_is_refused() -> None:
    for url in ("taxi.db", "oracle://host/db"):
        with pytest.raises(InvalidRequest):
            plan(url)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database, but long enough for the header of one" * 20)

    with pytest.raises(DatabaseRefused, match="file is not a database"):
        upgrade(f"sqlite:///{tmp_path}/notes.txt")


@pytest.fixture
def busy(old_url: str) -> Iterator[sa.Connection]:
    """Another program in the middle of a transaction that has written an event."""
    engine = dialect_for(old_url).engine()
    with engine.connect() as connection:
        if backend_of(old_url) == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        connection.exec_driver_sql("UPDATE Event SET type = type")
        connection.exec_driver_sql("UPDATE ArtifactProperty SET name = name")
        yield connection
        connection.rollback()
    engine.dispose()


def test_a_program_that_keeps_the_tables_busy_stops_an_upgrade_and_is_told(busy, old_url: str) -> None:
    with pytest.raises(Aborted, match="schema version 6 to 7: another program kept the tables busy; stop"):
        upgrade(old_url, patience_s=1)

    busy.exec_driver_sql("ROLLBACK")
    assert titles(upgrade(old_url)) == FOUR_STEPS


@pytest.mark.backends("postgresql", "mysql")
def test_a_user_without_the_right_to_change_tables_is_told(backend: str, old_url: str) -> None:
    server = server_of(backend)
    name = f"hw_reader_{os.getpid()}"
    database = sa.make_url(old_url).database
    if backend == "postgresql":
        server.execute(f"CREATE ROLE {name} LOGIN PASSWORD 's3cret'")
        execute(old_url, f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name}")
    else:
        server.execute(f"CREATE USER '{name}'@'%' IDENTIFIED BY 's3cret'")
        server.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {database}.* TO '{name}'@'%'")
    try:
        url = server.url(database, user=name, password="s3cret")
        with pytest.raises(FailedPrecondition, match="may not change the tables; give the one") as refused:
            upgrade(url)
    finally:
        if backend == "postgresql":
            execute(old_url, f"DROP OWNED BY {name}")
            server.execute(f"DROP ROLE {name}")
        else:
            server.execute(f"DROP USER '{name}'@'%'")

    assert "s3cret" not in str(refused.value)
    assert stored_version(old_url) == 6


@pytest.mark.backends("sqlite")
def test_a_file_that_may_not_be_written_is_planned_and_refused(old_url: str, python: str) -> None:
    path = Path(sa.make_url(old_url).database)
    execute(old_url, "PRAGMA journal_mode=DELETE")
    path.chmod(0o444)
    path.parent.chmod(0o555)

    assert titles(plan(old_url)) == FOUR_STEPS
    # Files that root may not write there are none: what the interpreter needs is loaded before.
    script = (
        "import os, sys\n"
        "from headwater.storage.upgrading import plan, upgrade\n"
        "plan(sys.argv[1])\n"
        "os.geteuid() or os.setuid(65534)\n"
        "upgrade(sys.argv[1])"
    )
    refused = subprocess.run([python, "-c", script, old_url], capture_output=True, text=True, check=False)

    path.parent.chmod(0o755)
    assert "may not change the tables" in refused.stderr
    assert stored_version(old_url) == 6


VERSIONS = [6, 7, 8, 9]


@needs_mlmd
@pytest.mark.parametrize("version", VERSIONS)
def test_ml_metadata_reads_what_it_wrote_before_and_goes_on_writing(database_url: str, version: int) -> None:
    with mlmd_engine(database_url) as call:
        fill(call)
        before = read(call)
    take_down(database_url, version)

    upgrade(database_url)

    with mlmd_engine(database_url) as call:
        assert read(call) == before
        fill_again(call)


def fill_again(call: Call) -> None:
    """Write to every table that has a counter, and to those without."""
    types = rpc.PutTypesRequest()
    types.artifact_types.add(name="New", properties={"p": pb.PROTO, "b": pb.BOOLEAN}, external_id="type:new")
    types.execution_types.add(name="New")
    types.context_types.add(name="New")
    made = call("PutTypes", types)
    step = rpc.PutExecutionRequest()
    step.execution.type_id, step.execution.name = made.execution_type_ids[0], "new"
    step.contexts.add(type_id=made.context_type_ids[0], name="new", external_id="context:new")
    pair = step.artifact_event_pairs.add()
    pair.artifact.type_id, pair.artifact.external_id = made.artifact_type_ids[0], "artifact:new"
    pair.artifact.properties["b"].bool_value = True
    pair.artifact.properties["p"].proto_value.type_url = "type.googleapis.com/x.Y"
    pair.artifact.properties["p"].proto_value.value = b"\x01\x00\xff"
    pair.event.type = pb.Event.OUTPUT
    pair.event.path.steps.add(index=3)
    written = call("PutExecution", step)
    (artifact,) = call(
        "GetArtifactsByID", rpc.GetArtifactsByIDRequest(artifact_ids=written.artifact_ids)
    ).artifacts
    assert artifact.properties == pair.artifact.properties
    (found,) = call(
        "GetArtifactsByExternalIds", rpc.GetArtifactsByExternalIdsRequest(external_ids=["artifact:new"])
    ).artifacts
    assert found.id == written.artifact_ids[0]


@needs_mlmd
@pytest.mark.backends("sqlite", "mysql")
@pytest.mark.parametrize("version", VERSIONS)
def test_the_tables_are_those_that_ml_metadatas_own_upgrade_makes(backend: str, version: int) -> None:
    compare_upgrades(backend, version)


@needs_mlmd
@pytest.mark.backends("postgresql")
def test_and_on_postgresql_where_its_own_upgrade_works(backend: str) -> None:
    compare_upgrades(backend, 9)


def compare_upgrades(backend: str, version: int) -> None:
    with empty_database(backend) as ours, empty_database(backend) as theirs:
        for url in (ours, theirs):
            with mlmd_engine(url) as call:
                fill(call)
            take_down(url, version)
        upgrade(ours)
        migrate(theirs, "--up")

        assert structure(ours) == structure(theirs)


@needs_mlmd
@pytest.mark.backends("postgresql", "mysql")
def test_ml_metadata_reads_and_writes_beyond_32_bits_after_widening(backend: str, database_url: str) -> None:
    with mlmd_engine(database_url) as call:
        fill(call)
        before = read(call)
    take_down(database_url, 9)
    upgrade(database_url, wide_integers=True, add_indexes=True)
    tables = ("Type", "Artifact", "Execution", "Context", "Event", "Association", "Attribution")
    for table in tables:
        if backend == "postgresql":
            execute(database_url, f"SELECT setval('{table.lower()}_id_seq', {WIDE})")
        else:
            execute(database_url, f"ALTER TABLE {table} AUTO_INCREMENT = {WIDE + 1}")

    with mlmd_engine(database_url) as call:
        assert read(call) == before
        fill_again(call)
        read(call)

    for table in tables:
        assert execute(database_url, f"SELECT count(*) > 0 FROM {table} WHERE id > {WIDE}")[0][0]
