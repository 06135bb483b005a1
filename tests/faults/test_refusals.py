"""Databases that cannot be reached or served: each says what happened and what to do, and no secret."""

import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa
from databases import Server

from headwater.embedded import open_transport
from headwater.errors import DatabaseRefused, FailedPrecondition, HeadwaterError, InvalidRequest, Unavailable
from headwater.storage import schema
from headwater.storage.dialects import dialect_for, shown_url
from headwater.storage.opening import open_database
from headwater.v1 import metadata_store_service_pb2 as rpc

pytestmark = pytest.mark.backends("postgresql", "mysql")

SECRET = "s3kr1t/é"

Said = Callable[..., str]


@pytest.fixture
def user(own_server: Server) -> Iterator[str]:
    """A user who has to give ``SECRET``, and has no rights yet."""
    own_server.add_user("ann", SECRET)
    yield "ann"
    if own_server.backend == "postgresql":
        for (database,) in own_server.execute("SELECT datname FROM pg_database WHERE datallowconn"):
            with own_server.connection(database) as connection:
                connection.execute("SET default_transaction_read_only = off")
                connection.execute("DROP OWNED BY ann CASCADE")
        own_server.execute("DROP ROLE ann")
    else:
        own_server.execute("DROP USER ann")


def refusal(url: str, kind: type[HeadwaterError], **options: object) -> str:
    """What is said by ``open_database``, which raises ``kind`` and shows no secret."""
    with pytest.raises(HeadwaterError) as refused:
        open_database(url, **options).close()
    assert isinstance(refused.value, kind)
    shown = "".join(traceback.format_exception(refused.value))
    assert SECRET not in shown
    assert "s3kr1t" not in shown
    return str(refused.value)


def grant(server: Server, rights: str, database: str, user: str) -> None:
    """Grant rights on the tables that a database has, and those on sequences that go with them."""
    if server.backend == "mysql":
        server.execute(f"GRANT {rights} ON {database}.* TO {user}")
        return
    with server.connection(database) as connection:
        connection.execute(f"GRANT {rights} ON ALL TABLES IN SCHEMA public TO {user}")
        if "INSERT" in rights:
            connection.execute(f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {user}")


def make_store(url: str) -> rpc.PutTypesResponse:
    store = open_transport(url)
    request = rpc.PutTypesRequest()
    request.artifact_types.add(name="Data")
    types = store.call("PutTypes", request)
    store.close()
    return types


def an_artifact(types: rpc.PutTypesResponse, **fields: str) -> rpc.PutArtifactsRequest:
    request = rpc.PutArtifactsRequest()
    request.artifacts.add(type_id=types.artifact_type_ids[0], **fields)
    return request


# Who may not come in


def test_a_wrong_password(own_server: Server, own_url: str, user: str) -> None:
    url = own_server.url(sa.make_url(own_url).database, user=user, password=SECRET + "x")

    said = refusal(url, DatabaseRefused)

    assert (
        f"at 127.0.0.1:{own_server.port} refuses the user 'ann'; check user and password in the URL" in said
    )


def test_the_right_password(own_server: Server, own_url: str, user: str) -> None:
    make_store(own_url)
    database = sa.make_url(own_url).database
    grant(own_server, "SELECT, INSERT, UPDATE, DELETE", database, user)

    assert make_store(own_server.url(database, user=user, password=SECRET)).artifact_type_ids


def test_a_password_in_the_query(own_server: Server, own_url: str, user: str) -> None:
    make_store(own_url)
    database = sa.make_url(own_url).database
    grant(own_server, "SELECT, INSERT, UPDATE, DELETE", database, user)
    url = sa.make_url(own_server.url(database, user=user)).set(query={"password": SECRET})

    assert make_store(url.render_as_string(hide_password=False)).artifact_type_ids


def test_an_unknown_user(own_server: Server, own_url: str) -> None:
    url = own_server.url(sa.make_url(own_url).database, user="nobody_here", password=SECRET)

    assert "refuses the user 'nobody_here'; check user and password" in refusal(url, DatabaseRefused)


def test_a_database_that_is_not_there_and_may_not_be_made(own_server: Server, user: str) -> None:
    said = refusal(own_server.url("not_there", user=user, password=SECRET), DatabaseRefused)

    assert "there is no database 'not_there' and the user may not create one" in said
    assert "create it first: createdb not_there" in said or "run: CREATE DATABASE not_there" in said


def test_a_database_that_is_not_there_and_shall_not_be_made(own_server: Server) -> None:
    said = refusal(own_server.url("not_there"), DatabaseRefused, create_database=False)

    assert "has no database 'not_there'; create it with: " in said


# Where nobody answers


def test_an_unknown_host(backend: str) -> None:
    said = refusal(f"{backend}://ann:s3kr1t@no-such-host.invalid/store", Unavailable)

    assert said == "the host 'no-such-host.invalid' of the database is not known; check the URL"


def test_a_closed_port(backend: str) -> None:
    said = refusal(f"{backend}://ann:s3kr1t@127.0.0.1:1/store", Unavailable)

    assert said.endswith("at 127.0.0.1:1 cannot be reached now; check that it runs and the URL is right")


@pytest.mark.parametrize("modules", [("psycopg",), ("MySQLdb", "pymysql")], ids=["postgresql", "mysql"])
def test_a_driver_that_is_not_installed(modules: tuple[str, ...]) -> None:
    name = "postgresql" if modules[0] == "psycopg" else "mysql"
    blocked = "; ".join(f"sys.modules[{module!r}] = None" for module in modules)
    program = f"import sys; {blocked}; from headwater.cli import main; main()"
    command = [
        sys.executable,
        "-c",
        program,
        "serve",
        "--database-url",
        f"{name}://ann:s3kr1t@127.0.0.1:1/store",
    ]

    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 1
    assert f"pip install 'headwater[{name}]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert "s3kr1t" not in done.stderr


# Rights


def test_a_user_who_may_not_make_tables(own_server: Server, own_url: str, user: str) -> None:
    database = sa.make_url(own_url).database
    if own_server.backend == "mysql":
        own_server.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {database}.* TO {user}")
    else:
        with own_server.connection(database) as connection:
            connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")  # As from PostgreSQL 15 on.

    said = refusal(own_server.url(database, user=user, password=SECRET), DatabaseRefused)

    assert "the database is no whole store yet, and what it lacks cannot be made" in said
    assert "the database user lacks a right" in said
    assert "headwater db init" in said


def test_a_user_who_may_only_read(own_server: Server, own_url: str, user: str) -> None:
    types = make_store(own_url)
    database = sa.make_url(own_url).database
    grant(own_server, "SELECT", database, user)
    store = open_transport(own_server.url(database, user=user, password=SECRET))

    assert len(store.call("GetArtifactTypes", rpc.GetArtifactTypesRequest()).artifact_types) == 1
    with pytest.raises(FailedPrecondition, match="the database user lacks a right"):
        store.call("PutArtifacts", an_artifact(types))
    store.close()


def test_a_user_who_may_not_read(own_server: Server, own_url: str, user: str) -> None:
    make_store(own_url)
    url = own_server.url(sa.make_url(own_url).database, user=user, password=SECRET)

    said = refusal(url, DatabaseRefused)

    assert "GRANT" in said


def test_a_database_that_is_read_only(own_server: Server, own_url: str, user: str) -> None:
    types = make_store(own_url)
    database = sa.make_url(own_url).database
    grant(own_server, "SELECT, INSERT, UPDATE, DELETE", database, user)
    if own_server.backend == "mysql":
        own_server.execute("SET GLOBAL read_only = 1")
    else:
        own_server.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    try:
        store = open_transport(own_server.url(database, user=user, password=SECRET))
        assert len(store.call("GetArtifactTypes", rpc.GetArtifactTypesRequest()).artifact_types) == 1
        with pytest.raises(FailedPrecondition, match="the database is read-only: a "):
            store.call("PutArtifacts", an_artifact(types))
        store.close()
    finally:
        if own_server.backend == "mysql":
            own_server.execute("SET GLOBAL read_only = 0")


def test_an_empty_database_that_is_read_only(own_server: Server, own_url: str, user: str) -> None:
    database = sa.make_url(own_url).database
    if own_server.backend == "mysql":
        own_server.execute(f"GRANT ALL ON {database}.* TO {user}")
        own_server.execute("SET GLOBAL read_only = 1")
    else:
        own_server.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
        own_server.execute(f"GRANT ALL ON DATABASE {database} TO {user}")
    try:
        said = refusal(own_server.url(database, user=user, password=SECRET), DatabaseRefused)
    finally:
        if own_server.backend == "mysql":
            own_server.execute("SET GLOBAL read_only = 0")

    assert "what it lacks cannot be made: the database is read-only" in said


# Tables and texts


@pytest.mark.backends("postgresql")
@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_new_store_in_another_encoding_is_refused(own_server: Server, encoding: str) -> None:
    name = own_server.create_database(f"ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")

    said = refusal(own_server.url(name), DatabaseRefused)

    assert said == (
        f"the encoding of the database is {encoding}, which cannot hold every text; create one with: "
        f"createdb --encoding=UTF8 --template=template0 {name}"
    )
    own_server.drop_database(name)


@pytest.mark.backends("postgresql")
def test_a_store_in_another_encoding_is_served_as_far_as_its_characters_go(own_server: Server) -> None:
    name = own_server.create_database("ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    engine = dialect_for(own_server.url(name)).engine()
    schema.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(sa.insert(schema.env_table).values(schema_version=schema.SCHEMA_VERSION))
    engine.dispose()
    types = make_store(own_server.url(name))
    store = open_transport(own_server.url(name))

    (artifact_id,) = store.call("PutArtifacts", an_artifact(types, name="né")).artifact_ids
    with pytest.raises(InvalidRequest, match="characters that the encoding of the database cannot hold"):
        store.call("PutArtifacts", an_artifact(types, name="東京"))

    (found,) = store.call("GetArtifacts", rpc.GetArtifactsRequest()).artifacts
    assert (found.id, found.name) == (artifact_id, "né")
    store.close()
    own_server.drop_database(name)


@pytest.mark.backends("postgresql")
def test_tables_of_another_schema_are_left_alone(own_server: Server, own_url: str) -> None:
    with own_server.connection(sa.make_url(own_url).database) as connection:
        connection.execute("CREATE SCHEMA team")
        connection.execute("CREATE TABLE team.Artifact (id int)")
        connection.execute("CREATE TABLE team.MLMDEnv (schema_version int)")

    types = make_store(own_url)

    store = open_transport(own_url)
    assert store.call("PutArtifacts", an_artifact(types)).artifact_ids == [1]
    store.close()


@pytest.mark.backends("postgresql")
def test_two_schemas_of_one_database_are_two_stores(own_server: Server, own_url: str) -> None:
    with own_server.connection(sa.make_url(own_url).database) as connection:
        connection.execute("CREATE SCHEMA team")
    in_team = f"{own_url}?options=-csearch_path%3Dteam,public"

    for url, name in ((own_url, "public's"), (in_team, "team's")):
        types = make_store(url)
        store = open_transport(url)
        store.call("PutArtifacts", an_artifact(types, name=name))
        (found,) = store.call("GetArtifacts", rpc.GetArtifactsRequest()).artifacts
        assert (found.id, found.name) == (1, name)
        store.close()


@pytest.mark.backends("postgresql")
def test_a_search_path_without_any_schema(own_server: Server, own_url: str) -> None:
    said = refusal(f"{own_url}?options=-csearch_path%3Dnot_there", DatabaseRefused)

    assert (
        "the database has no schema for the tables of this user: make one, or name it in the search_path"
        in said
    )


@pytest.mark.backends("mysql")
@pytest.mark.parametrize(("made_with", "opened_with"), [("latin1", "utf8mb4"), ("utf8mb4", "latin1")])
def test_a_store_that_was_written_with_another_charset(
    own_url: str, made_with: str, opened_with: str
) -> None:
    make_store(f"{own_url}?charset={made_with}")

    said = refusal(f"{own_url}?charset={opened_with}", DatabaseRefused)

    assert said == (
        f"the text of this database was written with charset {made_with} and would be garbled with "
        f"{opened_with}; open it with ?charset={made_with}"
    )


@pytest.mark.backends("mysql")
@pytest.mark.parametrize("default", ["latin1", "utf8mb4", "ascii"])
def test_the_default_charset_of_a_database_does_not_matter(own_server: Server, default: str) -> None:
    name = own_server.create_database(f"CHARACTER SET {default}")
    types = make_store(own_server.url(name))
    store = open_transport(own_server.url(name))

    store.call("PutArtifacts", an_artifact(types, name="東京 né", uri="🚕"))

    (found,) = store.call("GetArtifacts", rpc.GetArtifactsRequest()).artifacts
    assert (found.name, found.uri) == ("東京 né", "🚕")
    store.close()
    own_server.drop_database(name)


@pytest.mark.backends("mysql")
def test_tables_of_an_engine_without_transactions(own_server: Server, own_url: str) -> None:
    make_store(own_url)
    own_server.execute(f"ALTER TABLE {sa.make_url(own_url).database}.Artifact ENGINE=MyISAM")

    said = refusal(own_url, DatabaseRefused)

    assert said == (
        "the table Artifact is of the engine MyISAM, which loses writes; "
        "run ALTER TABLE Artifact ENGINE=InnoDB"
    )


@pytest.mark.parametrize(
    "parameter", ["sslmod=require", "sslmode=perhaps", "charset=koi8r", "connect_timeout=soon"]
)
def test_a_parameter_that_nobody_knows(own_url: str, parameter: str) -> None:
    assert (
        "MySQL URL" in (said := refusal(f"{own_url}?{parameter}", InvalidRequest)) or "PostgreSQL URL" in said
    )


def test_a_name_that_a_request_gives_twice(own_url: str) -> None:
    types = make_store(own_url)
    store = open_transport(own_url)
    request = an_artifact(types, name="taxi")
    request.artifacts.add(type_id=types.artifact_type_ids[0], name="taxi")

    with pytest.raises(HeadwaterError, match="have the name 'taxi'; names are unique within a type"):
        store.call("PutArtifacts", request)
    assert not store.call("GetArtifacts", rpc.GetArtifactsRequest()).artifacts
    store.close()


# Secrets


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("postgresql://ann:s3kr1t@host/db", "postgresql://ann:***@host/db"),
        ("postgresql://ann@host/db?password=s3kr1t", "postgresql://ann@host/db?password=***"),
        (
            "postgresql://host/db?sslpassword=s3kr1t&sslmode=require&passfile=s3kr1t",
            "postgresql://host/db?passfile=***&sslmode=require&sslpassword=***",
        ),
        ("mysql://ann:s3kr1t@host/db", "mysql://ann:***@host/db"),
        ("sqlite:////var/lib/a%20b.db", "sqlite:////var/lib/a%20b.db"),
        ("s3kr1t", "(not a database URL)"),
    ],
)
def test_a_url_is_shown_without_its_secrets(given: str, shown: str) -> None:
    assert shown_url(given).replace("%2A", "*") == shown


@pytest.mark.parametrize("command", [("db", "init"), ("db", "info"), ("db", "check"), ("serve",)])
@pytest.mark.parametrize("how", ["right", "wrong", "closed"])
def test_commands_and_logs_show_no_secret(
    command: tuple[str, ...], how: str, own_server: Server, own_url: str, user: str
) -> None:
    make_store(own_url)
    database = sa.make_url(own_url).database
    grant(own_server, "SELECT, INSERT, UPDATE, DELETE", database, user)
    url = sa.make_url(own_server.url(database, user=user, password=SECRET + ("x" if how == "wrong" else "")))
    if how == "closed":
        url = url.set(port=1)
    if own_server.backend == "postgresql":
        url = url.set(query={"sslpassword": SECRET, "sslmode": "disable"})
    debug = ("--log-level", "debug", "--port", "0") if command == ("serve",) else ()
    shown = url.render_as_string(hide_password=False)
    arguments = [sys.executable, "-m", "headwater.cli", *command, "--database-url", shown, *debug]

    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        first = process.stdout.readline()
        if first.startswith("headwater ready"):
            process.terminate()
        said, logged = process.communicate(timeout=60)

    assert process.returncode == (0 if how == "right" else 1), logged
    assert "s3kr1t" not in first + said + logged
    assert "Traceback" not in logged
    assert how == "right" or logged.startswith("Error: ") or "error" in logged.lower()
