"""Databases of ML Metadata's older schema versions, for tests of the upgrade.

The dumps in ``storage/old_schemas`` were taken from databases that ML Metadata's engine 1.17.1 made, filled
and took down to version 6. To make them anew, with the engine and the database servers at hand:

    HEADWATER_PEERS_PYTHON=.venv-peers/bin/python python tests/old_databases.py
"""

import contextlib
import re
import sqlite3
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from support import PEERS_PYTHON, Call, mlmd_engine

from headwater.storage import schema
from headwater.storage.dialects import dialect_for
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc

TESTS = Path(__file__).parent
DUMPS = TESTS / "storage" / "old_schemas"


def backend_of(url: str) -> str:
    return sa.make_url(url).get_backend_name()


def load(url: str, version: int) -> None:
    """Put the dump of a version into an empty database."""
    dump = (DUMPS / f"{backend_of(url)}_{version}.sql").read_text(encoding="utf-8")
    if backend_of(url) == "sqlite":
        with contextlib.closing(sqlite3.connect(sa.make_url(url).database)) as connection:
            connection.executescript(dump)
    else:
        execute(url, *filter(None, map(str.strip, dump.split(";\n"))))


def execute(url: str, *statements: str) -> list[tuple]:
    """Run statements, each for itself; the rows of the last one."""
    found: list[tuple] = []
    with connected(url) as connection:
        for statement in statements:
            # Drivers that mark the place of a value with % take every one for a mark.
            percent = "%" if connection.dialect.paramstyle == "qmark" else "%%"
            result = connection.exec_driver_sql(statement.replace("%", percent))
            found = [tuple(row) for row in result] if result.returns_rows else []
    return found


@contextlib.contextmanager
def connected(url: str) -> Iterator[sa.Connection]:
    """A connection that commits each statement."""
    if backend_of(url) == "mysql":
        # Texts are UTF-8 bytes that look like latin1, as ML Metadata has them; a dump shows them as text.
        # Of the drivers, PyMySQL does not notice that the charset is then changed.
        utf8 = sa.make_url(url).set(drivername="mysql+pymysql").update_query_dict({"charset": "utf8mb4"})
        url = utf8.render_as_string(hide_password=False)
    engine = dialect_for(url).engine()
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if connection.dialect.name == "mysql":
                connection.exec_driver_sql("SET NAMES latin1")
            yield connection
    finally:
        engine.dispose()


_NEW_COLUMNS = ("byte_value", "external_id", "proto_value", "bool_value")


def rows(url: str) -> dict[str, list[tuple]]:
    """All rows, in the columns of version 6 by name; those of EventPath in their stored order."""
    found = {}
    with connected(url) as connection:
        for table in schema.MLMD_TABLES:
            columns = sorted(column.name for column in table.columns if column.name not in _NEW_COLUMNS)
            order = "" if table.name == "EventPath" else f" ORDER BY {', '.join(columns)}"
            result = connection.exec_driver_sql(f"SELECT {', '.join(columns)} FROM {table.name}{order}")
            found[table.name] = [tuple(row) for row in result]
    del found["MLMDEnv"]
    return found


def structure(url: str, *, names_of_keys: bool = True) -> dict[str, Any]:
    """Columns, keys and indexes of all tables, in no order."""
    with connected(url) as connection, warnings.catch_warnings():
        warnings.simplefilter("ignore", sa.exc.SAWarning)  # TINYINT(1) of SQLite
        inspector = sa.inspect(connection)
        found = {}
        for name in inspector.get_table_names():
            key = inspector.get_pk_constraint(name)["constrained_columns"]
            indexes = inspector.get_indexes(name, include_auto_indexes=True)
            found[name.lower()] = {
                "columns": {
                    # Whether an id may be NULL is something that SQLite says of those it made itself.
                    column["name"]: (
                        str(column["type"]),
                        column["nullable"] and column["name"] not in key,
                        column["default"],
                    )
                    for column in inspector.get_columns(name)
                },
                "key": key,
                "unique": {
                    (
                        index["name"] if names_of_keys and connection.dialect.name != "sqlite" else None,
                        tuple(index["column_names"]),
                    )
                    for index in indexes
                    if index["unique"]
                },
                "indexes": {
                    index["name"]: (tuple(index["column_names"]), _options(index))
                    for index in indexes
                    if not index["unique"]
                },
            }
        return found


def _options(index: Any) -> str:
    options = {key: str(value).replace("`", "") for key, value in index.get("dialect_options", {}).items()}
    return repr(sorted(options.items()))


def stored_version(url: str) -> int:
    ((version,),) = execute(url, "SELECT schema_version FROM MLMDEnv")
    return version


def fill(call: Call) -> None:
    """A graph of all that a database of version 6 can hold, through the engine."""
    types = rpc.PutTypesRequest()
    properties = {"rows": pb.INT, "share": pb.DOUBLE, "note": pb.STRING, "tags": pb.STRUCT}
    types.artifact_types.add(name="Dataset", properties=properties, description="Rows of something")
    types.artifact_types.add(name="Dataset", version="2", properties={"rows": pb.INT})
    types.artifact_types[0].base_type = pb.ArtifactType.DATASET
    types.execution_types.add(name="Trainer", properties={"rate": pb.DOUBLE})
    types.execution_types[0].input_type.simple.name = "Data"
    types.execution_types[0].output_type.simple.name = "Model"
    types.context_types.add(name="Run", properties={"day": pb.STRING})
    made = call("PutTypes", types)
    dataset, second = made.artifact_type_ids
    contexts = [
        pb.Context(
            type_id=made.context_type_ids[0], name=name, properties={"day": pb.Value(string_value=name)}
        )
        for name in ("pipeline", "monday", "tuesday")
    ]
    context_ids = call("PutContexts", rpc.PutContextsRequest(contexts=contexts)).context_ids
    for run, context_id in enumerate(context_ids[1:]):
        step = rpc.PutExecutionRequest()
        step.execution.type_id = made.execution_type_ids[0]
        step.execution.name = f"train {run}"
        step.execution.last_known_state = pb.Execution.COMPLETE
        step.execution.properties["rate"].double_value = 0.25
        step.execution.custom_properties["host"].string_value = "gpu-7"
        for role, type_ in (("data", pb.Event.INPUT), ("model", pb.Event.OUTPUT)):
            pair = step.artifact_event_pairs.add()
            artifact = pair.artifact
            artifact.type_id = dataset if role == "data" else second
            artifact.uri, artifact.state = f"s3://b/{role}/{run}/数据", pb.Artifact.LIVE
            artifact.properties["rows"].int_value = 2**31 - 1 - run
            artifact.custom_properties["it's"].string_value = 'a "quoted" 你好 %_ text'
            artifact.custom_properties["number"].int_value = -5
            if role == "data":
                artifact.name = f"data {run}"
                artifact.properties["share"].double_value = -1.5
                artifact.properties["note"].string_value = ""
                artifact.properties["tags"].struct_value.update({"a": [1, {"b": None}]})
            pair.event.type = type_
            for key in (role, "part"):
                pair.event.path.steps.add(key=key)
                pair.event.path.steps.add(index=run)
        step.contexts.add(id=context_id, type_id=made.context_type_ids[0], name=contexts[run + 1].name)
        call("PutExecution", step)
    parents = rpc.PutParentContextsRequest()
    for context_id in context_ids[1:]:
        parents.parent_contexts.add(child_id=context_id, parent_id=context_ids[0])
    call("PutParentContexts", parents)


def read(call: Call) -> dict[str, Any]:
    """All that can be read of a graph through RPCs."""
    found = {
        rpc_name: call(rpc_name, getattr(rpc, f"{rpc_name}Request")())
        for rpc_name in (
            "GetArtifacts",
            "GetExecutions",
            "GetContexts",
            "GetArtifactTypes",
            "GetExecutionTypes",
            "GetContextTypes",
        )
    }
    artifact_ids = [artifact.id for artifact in found["GetArtifacts"].artifacts]
    found["events"] = call(
        "GetEventsByArtifactIDs", rpc.GetEventsByArtifactIDsRequest(artifact_ids=artifact_ids)
    )
    for context in found["GetContexts"].contexts:
        for rpc_name in ("GetArtifactsByContext", "GetExecutionsByContext", "GetParentContextsByContext"):
            request = getattr(rpc, f"{rpc_name}Request")(context_id=context.id)
            found[f"{rpc_name} {context.id}"] = call(rpc_name, request)
    return found


def migrate(url: str, *arguments: str) -> None:
    """Let ML Metadata's engine migrate a database itself: ``--up``, or ``--down-to VERSION``."""
    script = TESTS / "peers" / "mlmd_migrate.py"
    done = subprocess.run(
        [PEERS_PYTHON, str(script), *arguments, url], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


def take_down(url: str, version: int) -> None:
    """Take a database of version 10 to an older one: by ML Metadata, as far as it can do that."""
    if backend_of(url) != "postgresql":
        migrate(url, "--down-to", str(version))
        return
    # On PostgreSQL the engine's own way below 9 makes times that do not fit their columns.
    migrate(url, "--down-to", "9")
    for step in range(9, version, -1):
        execute(url, *_POSTGRESQL_DOWN[step], f"UPDATE MLMDEnv SET schema_version = {step - 1}")


_NODES = ("Artifact", "Execution", "Context")
_POSTGRESQL_DOWN = {
    9: [f"ALTER TABLE {table} DROP COLUMN external_id" for table in ("Type", *_NODES)],
    8: [
        "ALTER TABLE Event DROP CONSTRAINT uniqueevent",
        "CREATE INDEX idx_event_artifact_id ON Event (artifact_id)",
        *(
            f"DROP INDEX idx_{table.lower()}_property_{value}"
            for table in _NODES
            for value in ("int", "double", "string")
        ),
    ],
    7: [
        *(f"ALTER TABLE {table}Property DROP COLUMN byte_value" for table in _NODES),
        "DROP INDEX idx_eventpath_event_id",
    ],
}


def add_duplicate_events(url: str) -> None:
    """What only versions before 8 can hold: the first event three times, each with a path of its own."""
    ((artifact, execution, type_, ms),) = execute(
        url, "SELECT artifact_id, execution_id, type, milliseconds_since_epoch FROM Event WHERE id = 1"
    )
    true = "TRUE" if backend_of(url) == "postgresql" else "1"
    for again in (1, 2):
        ids = (
            f"(SELECT max(id) FROM Event WHERE artifact_id = {artifact} AND execution_id = {execution} "
            f"AND type = {type_})"
        )
        execute(
            url,
            "INSERT INTO Event (artifact_id, execution_id, type, milliseconds_since_epoch) "
            f"VALUES ({artifact}, {execution}, {type_}, {ms + again})",
            f"INSERT INTO EventPath (event_id, is_index_step, step_index) VALUES ({ids}, {true}, {again})",
        )


def add_gap(url: str) -> None:
    """Delete the newest artifact: its id must not be given again."""
    execute(
        url,
        "INSERT INTO Artifact (type_id, uri) VALUES (1, 'gone')",
        "DELETE FROM Artifact WHERE uri = 'gone'",
    )


def _dump(url: str) -> str:
    match backend_of(url):
        case "sqlite":
            with contextlib.closing(sqlite3.connect(sa.make_url(url).database)) as connection:
                lines = [line for line in connection.iterdump() if "sqlite_sequence" not in line]
                counters = connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall()
            lines += ["DELETE FROM sqlite_sequence;"]
            lines += [f"INSERT INTO sqlite_sequence VALUES ('{name}', {last});" for name, last in counters]
            return "\n".join(lines) + "\n"
        case "postgresql":
            command = ["pg_dump", "--inserts", "--no-owner", "--no-comments", url]
            drop = r"--.*|SET .*|SELECT pg_catalog\.set_config.*|\\.*|\s*"
        case _:
            parts = sa.make_url(url)
            command = [
                "mysqldump",
                "--default-character-set=latin1",
                "--skip-opt",
                "--create-options",
                "--compact",
                "--skip-set-charset",
                *(f"--host={parts.host}", f"--port={parts.port or 3306}", f"--user={parts.username}"),
                str(parts.database),
            ]
            drop = r"/\*.*|--.*|\s*"
    text = subprocess.run(command, capture_output=True, check=True).stdout.decode("utf-8")
    kept = [line for line in text.split("\n") if not re.fullmatch(drop, line)]
    return "\n".join(kept).replace("public.", "") + "\n"


def _main() -> None:
    from databases import BACKENDS, close_servers, empty_database

    for backend in BACKENDS:
        with empty_database(backend, "CHARACTER SET latin1" if backend == "mysql" else "") as url:
            with mlmd_engine(url):
                pass
            (DUMPS / f"{backend}_10.sql").write_text(_dump(url), encoding="utf-8")
            with mlmd_engine(url) as call:
                fill(call)
            take_down(url, 6)
            add_duplicate_events(url)
            add_gap(url)
            (DUMPS / f"{backend}_6.sql").write_text(_dump(url), encoding="utf-8")
    close_servers()


if __name__ == "__main__":
    _main()
