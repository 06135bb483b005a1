"""Databases are made, recognised, or refused with a sentence that says what to do."""

import re
import subprocess
from pathlib import Path

import pytest
import sqlalchemy as sa
from databases import empty_database
from support import Connect, mlmd_engine, needs_mlmd

from headwater.embedded import open_transport
from headwater.errors import DatabaseRefused, InvalidRequest
from headwater.storage import schema
from headwater.storage.opening import add_own_indexes, missing_own_indexes, open_database
from headwater.v1 import metadata_store_service_pb2 as rpc

# SQLAlchemy's inspector does not know SQLite's TINYINT(1).
pytestmark = pytest.mark.filterwarnings("ignore:Could not instantiate type")

OURS = {str(index.name) for index in schema.OWN_INDEXES}
OWN_TABLES = {table.name for table in schema.OWN_TABLES}

Structure = dict[object, object]


@pytest.fixture
def store(database_url: str) -> str:
    """The URL of a store that headwater made."""
    open_database(database_url).close()
    return database_url


def change(connect: Connect, url: str, *statements: str) -> None:
    with connect(url) as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
        connection.commit()


def structure(connect: Connect, url: str) -> Structure:
    """Tables with their columns, keys and indexes, as the database reports them."""
    found: Structure = {}
    with connect(url) as connection:
        inspector = sa.inspect(connection)
        for table in inspector.get_table_names():
            key = inspector.get_pk_constraint(table)["constrained_columns"]
            found[table, "key"] = key
            for column in inspector.get_columns(table):
                # NOT NULL says nothing on SQLite's primary key that is the row id.
                is_nullable = column["nullable"] and column["name"] not in key
                about = (str(column["type"]), is_nullable, column["default"], column.get("comment"))
                found[table, "column", column["name"]] = about
            for index in inspector.get_indexes(table):
                # ML Metadata puts names in quotes in the conditions of SQLite's partial indexes; on
                # PostgreSQL only ours are partial.
                options = {
                    name: re.sub('[`"]', "", str(value))
                    for name, value in index.get("dialect_options", {}).items()
                    if name != "postgresql_where"
                }
                about = (index["column_names"], bool(index["unique"]), options)
                found[table, "index", index["name"]] = about
            for name, columns in unique_constraints(connection, table):
                found[(table, "unique", name, *columns)] = True
    return found


def unique_constraints(connection: sa.Connection, table: str) -> list[tuple[str | None, list[str]]]:
    """Their names, if they have any, and columns."""
    if connection.dialect.name != "sqlite":
        found = sa.inspect(connection).get_unique_constraints(table)
        return [(unique["name"], unique["column_names"]) for unique in found]
    # SQLAlchemy looks for them in the text of CREATE TABLE, and does not know each way to write them.
    indexes = connection.exec_driver_sql(f"PRAGMA index_list({table})").fetchall()
    names = [name for _, name, _, origin, _ in indexes if origin == "u"]
    return [
        (None, [row[2] for row in connection.exec_driver_sql(f"PRAGMA index_info({name})")]) for name in names
    ]


@needs_mlmd
def test_a_new_store_has_the_tables_of_ml_metadata_and_little_more(
    backend: str, store: str, connect: Connect
) -> None:
    with empty_database(backend) as theirs, mlmd_engine(theirs):
        expected = structure(connect, theirs)

    ours = structure(connect, store)
    more = {key for key in ours if key[0] in OWN_TABLES or (key[1] == "index" and key[2] in OURS)}
    # Ours hold 64-bit numbers where theirs hold 32 bits.
    wide = {
        key
        for key, about in ours.items()
        if key not in more and key[1] == "column" and about != expected[key] and "BIGINT" in about[0]
    }
    assert {key: about for key, about in ours.items() if key not in more | wide} == {
        key: about for key, about in expected.items() if key not in wide
    }
    assert (wide == set()) == (backend == "sqlite")
    assert {re.sub(r"\W.*", "", expected[key][0]) for key in wide} <= {"INTEGER"}


def test_a_new_store_has_the_simple_types_in_their_customary_order(store: str, connect: Connect) -> None:
    with connect(store) as connection:
        found = connection.exec_driver_sql("SELECT id, name, type_kind FROM Type ORDER BY id").fetchall()

    assert found == [
        (1, "mlmd.Dataset", 1),
        (2, "mlmd.Model", 1),
        (3, "mlmd.Metrics", 1),
        (4, "mlmd.Statistics", 1),
        (5, "mlmd.Train", 0),
        (6, "mlmd.Transform", 0),
        (7, "mlmd.Process", 0),
        (8, "mlmd.Evaluate", 0),
        (9, "mlmd.Deploy", 0),
    ]


def test_opening_again_changes_nothing(store: str, connect: Connect) -> None:
    before = structure(connect, store)
    open_database(store).close()

    assert structure(connect, store) == before


def test_a_missing_simple_type_is_added(store: str, connect: Connect) -> None:
    change(connect, store, "DELETE FROM Type WHERE name = 'mlmd.Metrics'")
    open_database(store).close()

    with connect(store) as connection:
        counted = connection.exec_driver_sql("SELECT count(*) FROM Type WHERE name = 'mlmd.Metrics'").scalar()
    assert counted == 1


def test_a_database_without_our_indexes_is_served_and_can_be_given_them(
    backend: str, store: str, connect: Connect
) -> None:
    on = {"mysql": " ON {}"}.get(backend, "")
    change(
        connect,
        store,
        *(f"DROP INDEX {index.name}{on.format(index.table.name)}" for index in schema.OWN_INDEXES),
    )

    database = open_database(store)
    assert set(database.read(missing_own_indexes)) == OURS
    assert set(add_own_indexes(database)) == OURS
    assert database.read(missing_own_indexes) == []
    database.close()


REFUSED = {
    "an older schema version": (["UPDATE MLMDEnv SET schema_version = 9"], "schema version 9"),
    "a newer schema version": (["UPDATE MLMDEnv SET schema_version = 11"], "newer release"),
    "no schema version": (["DELETE FROM MLMDEnv"], "no row"),
    "two schema versions": (["INSERT INTO MLMDEnv VALUES (9)"], "2 rows"),
    "a missing table": (["DROP TABLE Event"], "Event"),
    "no MLMDEnv": (["DROP TABLE MLMDEnv"], "MLMDEnv"),
    "a missing column": (["ALTER TABLE Artifact RENAME COLUMN state TO status"], "state"),
}


@pytest.mark.parametrize(("statements", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_a_database_that_cannot_be_served_is_refused(
    store: str, connect: Connect, statements: list[str], told: str
) -> None:
    change(connect, store, *statements)
    before = structure(connect, store)

    with pytest.raises(DatabaseRefused, match=told):
        open_database(store)
    assert structure(connect, store) == before


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, " * 100)

    with pytest.raises(DatabaseRefused, match="not a SQLite database"):
        open_database(f"sqlite:///{path}")


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatabaseRefused, match="create it first"):
        open_database(f"sqlite:///{tmp_path}/nowhere/store.db")


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatabaseRefused, match="is a directory"):
        open_database(f"sqlite:///{tmp_path}")


@pytest.mark.backends("sqlite")
def test_a_read_only_file_is_refused(store: str) -> None:
    path = store.removeprefix("sqlite:///")
    with pytest.raises(DatabaseRefused, match="cannot be opened for writing"):
        open_database(f"sqlite:///file:{path}?mode=ro&uri=true")


def test_a_database_is_left_empty_when_only_looking(database_url: str, connect: Connect) -> None:
    with connect(database_url) as connection:
        connection.exec_driver_sql("SELECT 1")

    with pytest.raises(DatabaseRefused, match="headwater db init"):
        open_database(database_url, create=False)
    assert structure(connect, database_url) == {}


def test_a_missing_file_is_not_made_when_only_looking(tmp_path: Path) -> None:
    path = tmp_path / "store.db"

    with pytest.raises(DatabaseRefused, match="headwater db init"):
        open_database(f"sqlite:///{path}", create=False)
    assert not path.exists()


@pytest.mark.parametrize("url", ["", "store.db", "oracle://h/db", "sqlite:/store.db"])
def test_what_is_no_url_of_a_supported_database_is_refused(url: str) -> None:
    with pytest.raises((InvalidRequest, DatabaseRefused)):
        open_database(url)


@pytest.mark.parametrize("urls", [("sqlite://", "sqlite://"), ("sqlite://", "sqlite:///:memory:")])
def test_in_memory_urls_name_one_store_for_the_life_of_the_process(urls: tuple[str, str]) -> None:
    first, second = map(open_transport, urls)
    request = rpc.PutContextTypeRequest()
    request.context_type.name = "Seen from both"
    type_id = first.call("PutContextType", request).type_id
    first.close()

    found = second.call("GetContextType", rpc.GetContextTypeRequest(type_name="Seen from both"))
    assert found.context_type.id == type_id


def test_a_private_store_in_memory_is_apart() -> None:
    request = rpc.PutContextTypeRequest()
    request.context_type.name = "Private"
    first = open_transport("sqlite://", private=True)
    first.call("PutContextType", request)

    second = open_transport("sqlite://", private=True)
    assert not second.call("GetContextTypes", rpc.GetContextTypesRequest()).context_types


def test_a_new_store_survives_four_programs_making_it_at_once(
    database_url: str, connect: Connect, python: str
) -> None:
    program = (
        "import sys; from headwater.storage.opening import open_database; open_database(sys.argv[1]).close()"
    )
    processes = [subprocess.Popen([python, "-c", program, database_url]) for _ in range(4)]

    assert [process.wait() for process in processes] == [0, 0, 0, 0]
    with connect(database_url) as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM Type").scalar() == 9


@pytest.mark.parametrize("index", ["idx_artifact_last_update_time_since_epoch", *sorted(OURS)])
def test_a_store_that_lacks_an_index_is_served_and_left_as_it_is(
    connect: Connect, backend: str, store: str, index: str
) -> None:
    table = next(table.name for table in schema.MLMD_TABLES for i in table.indexes if i.name == index)
    change(connect, store, f"DROP INDEX {index}" + (f" ON {table}" if backend == "mysql" else ""))
    served = open_transport(store)
    request = rpc.PutArtifactsRequest()
    for _ in range(3):
        request.artifacts.add(type_id=1)
    ids = served.call("PutArtifacts", request).artifact_ids
    newest = rpc.GetArtifactsRequest()
    newest.options.order_by_field.field = newest.options.order_by_field.LAST_UPDATE_TIME

    listed = served.call("GetArtifacts", newest).artifacts
    served.close()

    assert [artifact.id for artifact in listed] == list(ids)
    with connect(store) as connection:
        indexes = sa.inspect(connection).get_indexes(table.lower() if backend == "postgresql" else table)
    assert index not in {found["name"] for found in indexes}
