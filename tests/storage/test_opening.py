"""Databases are made, recognised, or refused with a sentence that says what to do."""

import sqlite3
from pathlib import Path

import pytest
from support import mlmd_engine, needs_mlmd

from headwater.embedded import open_transport
from headwater.errors import DatabaseRefused, InvalidRequest
from headwater.storage import schema
from headwater.storage.opening import add_own_indexes, missing_own_indexes, open_database
from headwater.v1 import metadata_store_service_pb2 as rpc

OURS = {str(index.name) for index in schema.OWN_INDEXES}


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store that headwater made."""
    path = tmp_path / "store.db"
    open_database(url_of(path)).close()
    return path


def change(path: Path, *statements: str) -> None:
    with sqlite3.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def structure(path: Path) -> dict[object, object]:
    """Tables with their columns and indexes, as SQLite reports them."""
    connection = sqlite3.connect(path)
    found: dict[object, object] = {}
    for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
        # NOT NULL says nothing on a primary key that is the row id.
        found[table] = [
            (name, type_, None if key else required, default, key)
            for _, name, type_, required, default, key in columns
        ]
        for _, index, is_unique, origin, is_partial in connection.execute(
            f"PRAGMA index_list({table})"
        ).fetchall():
            on = tuple(row[2] for row in connection.execute(f"PRAGMA index_info({index})"))
            found[table, index if origin == "c" else on] = (on, is_unique, origin, is_partial)
    connection.close()
    return found


@needs_mlmd
def test_a_new_store_has_the_tables_of_ml_metadata_and_two_more_indexes(tmp_path: Path, store: Path) -> None:
    theirs = tmp_path / "theirs.db"
    with mlmd_engine(theirs):
        pass

    ours = structure(store)
    ours = {key: value for key, value in ours.items() if not (isinstance(key, tuple) and key[1] in OURS)}
    assert ours == structure(theirs)


def test_a_new_store_has_the_simple_types_in_their_customary_order(store: Path) -> None:
    connection = sqlite3.connect(store)

    assert connection.execute("SELECT id, name, type_kind FROM Type ORDER BY id").fetchall() == [
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
    connection.close()


def test_opening_again_changes_nothing(store: Path) -> None:
    before = structure(store)
    open_database(url_of(store)).close()

    assert structure(store) == before


def test_a_missing_simple_type_is_added(store: Path) -> None:
    change(store, "DELETE FROM Type WHERE name = 'mlmd.Metrics'")
    open_database(url_of(store)).close()

    connection = sqlite3.connect(store)
    assert connection.execute("SELECT count(*) FROM Type WHERE name = 'mlmd.Metrics'").fetchone() == (1,)
    connection.close()


def test_a_database_without_our_indexes_is_served_and_can_be_given_them(store: Path) -> None:
    change(store, *(f"DROP INDEX {name}" for name in OURS))

    database = open_database(url_of(store))
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
def test_a_database_that_cannot_be_served_is_refused(store: Path, statements: list[str], told: str) -> None:
    change(store, *statements)
    before = structure(store)

    with pytest.raises(DatabaseRefused, match=told):
        open_database(url_of(store))
    assert structure(store) == before


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, " * 100)

    with pytest.raises(DatabaseRefused, match="not a SQLite database"):
        open_database(url_of(path))


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatabaseRefused, match="create it first"):
        open_database(url_of(tmp_path / "nowhere" / "store.db"))


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatabaseRefused, match="is a directory"):
        open_database(url_of(tmp_path))


def test_a_read_only_database_is_refused(store: Path) -> None:
    with pytest.raises(DatabaseRefused, match="cannot be opened for writing"):
        open_database(f"sqlite:///file:{store}?mode=ro&uri=true")


def test_a_missing_file_is_not_made_when_only_looking(tmp_path: Path) -> None:
    path = tmp_path / "store.db"

    with pytest.raises(DatabaseRefused, match="headwater db init"):
        open_database(url_of(path), create=False)
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


def test_a_new_store_survives_two_programs_making_it_at_once(tmp_path: Path, python: str) -> None:
    import subprocess

    program = (
        "import sys; from headwater.storage.opening import open_database; open_database(sys.argv[1]).close()"
    )
    url = url_of(tmp_path / "store.db")
    processes = [subprocess.Popen([python, "-c", program, url]) for _ in range(4)]

    assert [process.wait() for process in processes] == [0, 0, 0, 0]
    connection = sqlite3.connect(tmp_path / "store.db")
    assert connection.execute("SELECT count(*) FROM Type").fetchone() == (9,)
    connection.close()
