"""PostgreSQL, through psycopg 3: pipelines, sequences, lists as JSON arrays."""

import base64
import itertools
import re
from collections.abc import Generator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine.interfaces import Dialect as CoreDialect

from headwater.errors import (
    AlreadyExists,
    DatabaseRefused,
    DataLoss,
    FailedPrecondition,
    HeadwaterError,
    Internal,
    InvalidRequest,
    ResourceExhausted,
    Unavailable,
)
from headwater.storage import schema
from headwater.storage.dialects.base import TOO_LARGE_A_RESULT, Call, Outcome, as_json
from headwater.storage.dialects.server import ServerDialect, limit_ms

try:
    import psycopg
    from psycopg import pq, waiting
except ImportError as error:
    raise DatabaseRefused(
        "PostgreSQL needs the driver psycopg 3: run pip install 'headwater[postgresql]'"
    ) from error

# libpq's own settings; what the URL says wins.
_CONNECTION_SETTINGS = {
    "connect_timeout": "10",
    "application_name": "headwater",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    # A server that is gone without a word is noticed in the middle of a statement, too.
    "tcp_user_timeout": "30000",
}
_SESSION_SETTINGS = {
    "client_encoding": "UTF8",
    "timezone": "UTC",
    # A client that holds a lock and hangs must not stop everybody else.
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "5min",
    "default_transaction_isolation": "repeatable read",
    # Plans (decision 0013). A statement planned when its table was nearly empty keeps its plan until
    # statistics are made; what is asked here has an index, whatever the planner thinks of the table.
    "enable_seqscan": "off",
    # With disks in mind it would read all that matches into a bitmap before a LIMIT takes the first few.
    "random_page_cost": "1.1",
    "jit": "off",
}
_STATEMENTS_KEPT = 500
_STOP_TIMEOUT_S = 5.0
_OPENING_PATIENCE_S = 60
_OPENING_LOCK = 0x6865_6164_7761  # The same in every release, and unlikely to be anybody else's.


class _Connection(psycopg.Connection[Any]):
    """A connection that knows what ``PostgresqlDialect.run`` has prepared on it."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.prepared: dict[str, bytes] = {}
        """Names of prepared statements by their text."""
        self.names = itertools.count()


class PostgresqlDialect(ServerDialect):
    """PostgreSQL 10 or newer. Tables are those of the connection's current schema."""

    name = "postgresql"
    core: CoreDialect = PGDialect_psycopg(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
    driver_error = psycopg.Error

    def __init__(self, url: sa.URL) -> None:
        self._url = url
        self._sequences: dict[str, str] = {}
        """By the name of the table."""
        parameters: dict[str, Any] = dict(url.query)
        given = url.translate_connect_args(username="user", database="dbname")
        self._parameters: dict[str, Any] = {**_CONNECTION_SETTINGS, **given, **parameters}
        if "dbname" not in self._parameters:
            raise InvalidRequest(
                "the PostgreSQL URL names no database; write postgresql://user:password@host/database"
            )

    def connect(self) -> Any:
        return self._connect(self._parameters)

    def _connect(self, parameters: dict[str, Any]) -> Any:
        try:
            connection = _Connection.connect(**parameters, autocommit=True)
        except psycopg.Error as error:
            raise self._why_not_connected(error) from None  # Its text may hold the password.
        try:
            # Statements are prepared by ``run``, under names of its own.
            connection.prepare_threshold = None
            settings = ", ".join(
                f"set_config('{name}', '{value}', false)" for name, value in _SESSION_SETTINGS.items()
            )
            connection.execute(f"SELECT {settings}")
        except psycopg.Error as error:
            connection.close()
            raise self._why_not_connected(error) from None
        except BaseException:
            connection.close()
            raise
        return connection

    def _why_not_connected(self, error: psycopg.Error) -> HeadwaterError:
        where = f"{self._parameters.get('host', 'the local socket')}:{self._parameters.get('port', 5432)}"
        database, user = self._parameters["dbname"], self._parameters.get("user", "")
        said = str(error)
        if re.search(r'password|authentication|role ".*" (does not exist|is not permitted)', said):
            return DatabaseRefused(
                f"PostgreSQL at {where} refuses the user {user!r}; check user and password in the URL, and "
                "pg_hba.conf on the server"
            )
        if re.search(r'database ".*" does not exist', said):
            return _NoDatabase(
                f"PostgreSQL at {where} has no database {database!r}; create it with: createdb {database}"
            )
        if "permission denied for database" in said:
            return DatabaseRefused(
                f"the user {user!r} may not connect to the database {database!r}; GRANT CONNECT to it"
            )
        if "pg_hba.conf" in said:
            return DatabaseRefused(
                f"PostgreSQL at {where} does not let {user!r} in from here; add a line to its pg_hba.conf, "
                "or set sslmode in the URL if it asks for encryption"
            )
        if re.search("invalid (connection option|port|.*value)|bad value", said):
            return InvalidRequest(
                "the PostgreSQL URL has a parameter that libpq does not know, or with a value it does "
                "not take; see https://www.postgresql.org/docs/current/libpq-connect.html"
            )
        if "certificate" in said or "SSL" in said:
            return DatabaseRefused(
                f"the encrypted connection to PostgreSQL at {where} failed; check sslmode, "
                "sslrootcert, sslcert and sslkey in the URL"
            )
        if "translate host name" in said or "resolve host" in said or "Name or service" in said:
            return Unavailable(
                f"the host {self._parameters.get('host')!r} of the database is not known; check the URL"
            )
        if "too many" in said or "remaining connection slots" in said:
            return Unavailable(
                f"PostgreSQL at {where} has no connection left; raise its max_connections or lower "
                "--database-connections"
            )
        return Unavailable(
            f"PostgreSQL at {where} cannot be reached now; check that it runs and the URL is right"
        )

    def create_database(self) -> None:
        try:
            connection = self._connect(self._parameters)
        except _NoDatabase:
            pass
        else:
            connection.close()
            return
        name = self._parameters["dbname"]
        connection = self._connect({**self._parameters, "dbname": "postgres"})
        try:
            identifier = psycopg.sql.Identifier(name)
            # Texts in the order of their bytes: equal is equal, and an index serves LIKE 'prefix%'.
            create = psycopg.sql.SQL("CREATE DATABASE {} ENCODING 'UTF8' LC_COLLATE 'C' TEMPLATE template0")
            connection.execute(create.format(identifier))
        except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            pass  # Somebody else was faster.
        except psycopg.errors.InsufficientPrivilege:
            raise DatabaseRefused(
                f"there is no database {name!r} and the user may not create one; create it first: "
                f"createdb {name}"
            ) from None
        finally:
            connection.close()

    def engine(self) -> sa.Engine:
        return sa.create_engine(
            "postgresql+psycopg://", creator=self._engine_connection, poolclass=sa.NullPool
        )

    def _engine_connection(self) -> Any:
        connection = self.connect()
        connection.autocommit = False
        return connection

    def stop(self, connection: Any) -> None:
        if hasattr(connection, "cancel_safe"):  # psycopg 3.2
            connection.cancel_safe(timeout=_STOP_TIMEOUT_S)
        else:
            connection.cancel()

    # Statements

    def run(self, connection: Any, calls: Sequence[Call]) -> list[Outcome]:
        # Through libpq itself, which costs a tenth of what psycopg's cursors take in a pipeline.
        prepared: dict[str, bytes] = connection.prepared
        pgconn = connection.pgconn
        # First, lest a value that cannot be sent leaves half of the statements on their way.
        arguments = [[_as_text(value) for value in call.arguments] for call in calls]
        pgconn.enter_pipeline_mode()
        if len(prepared) > _STATEMENTS_KEPT:
            prepared.clear()
            pgconn.send_query_params(b"DEALLOCATE ALL", None)
            new: list[str | None] = [None]
        else:
            new = []
        for call, values in zip(calls, arguments, strict=True):
            name = prepared.get(call.text)
            if name is None:
                name = b"hw%d" % next(connection.names)
                prepared[call.text] = name
                pgconn.send_prepare(name, call.text.encode())
                new.append(call.text)
            new.append("")
            pgconn.send_query_prepared(name, values)
        pgconn.pipeline_sync()
        results = connection.wait(_results(pgconn))
        pgconn.exit_pipeline_mode()
        return self._outcomes(connection, results, new)

    def _outcomes(self, connection: Any, results: Sequence[Any], sent: Sequence[str | None]) -> list[Outcome]:
        """One a call; ``sent`` has "" for each, and the text of each statement that was prepared for it."""
        outcomes, failure = [], None
        for text, result in zip(sent, results, strict=True):
            if result.status not in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
                if text:
                    connection.prepared.pop(text, None)
                if failure is None:
                    failure = psycopg.errors.error_from_result(result, "utf-8")
            elif text == "":
                rows = []
                if result.ntuples:
                    transformer = psycopg.adapt.Transformer(connection)
                    transformer.set_pgresult(result)
                    rows = transformer.load_rows(0, result.ntuples, tuple)
                outcomes.append(Outcome(rows, result.command_tuples or 0))
        if failure is not None:
            raise failure
        return outcomes

    def begin_read(self, timeout_s: float | None) -> Sequence[Call]:
        return (Call("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"), *_limited(timeout_s))

    def begin_write(self, timeout_s: float | None) -> Sequence[Call]:
        return (Call("BEGIN ISOLATION LEVEL READ COMMITTED"), *_limited(timeout_s))

    def around_whole_read(self, timeout_s: float | None) -> tuple[Sequence[Call], Sequence[Call]]:
        # What one pipeline asks is a transaction as it is, with the isolation of the session.
        return _limited(timeout_s), ()

    def insert_statement(
        self, table: sa.Table, columns: Sequence[str], *, ignores: bool
    ) -> sa.sql.ClauseElement:
        # A JSON array a column: their members stand side by side, and the text holds for any number of rows.
        members = [_members(table.c[name], name) for name in columns]
        insert = postgresql.insert(table).from_select(
            [table.c[name] for name in columns], sa.select(*members)
        )
        return insert.on_conflict_do_nothing() if ignores else insert

    def insert_calls(self, text: str, rows: Sequence[Sequence[Any]]) -> Sequence[Call]:
        return (Call(text, [as_json(column) for column in zip(*rows, strict=True)]),)

    def row_version(self, table: sa.Table) -> sa.ColumnElement[str] | None:
        # The transaction that wrote the row. No two versions of a row that others ever saw have the same one.
        return sa.literal_column(f"CAST({table.name}.xmin AS text)", sa.Text())

    def reservation(self, table: sa.Table, count: int) -> Sequence[Call]:
        return (
            Call(
                f"SELECT nextval('{self._sequences[table.name]}') FROM generate_series(1, $1::bigint)",
                (count,),
            ),
        )

    def reserved(self, outcomes: Sequence[Outcome], count: int) -> list[int]:
        return sorted(row[0] for row in outcomes[0].rows)

    def as_hex(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        is_text = isinstance(column.type, sa.String)
        stored = sa.func.convert_to(column, sa.literal_column("'UTF8'")) if is_text else column
        return sa.func.encode(stored, sa.literal_column("'hex'"))

    def encode_proto(self, value: bytes) -> str:
        return base64.b64encode(value).decode("ascii")

    def decode_proto(self, value: Any) -> bytes:
        return bytes(value)

    # Looking at the database

    def check_fit_for_a_store(self, connection: Any) -> None:
        ((encoding,),) = connection.execute("SHOW server_encoding").fetchall()
        if encoding != "UTF8":
            raise DatabaseRefused(
                f"the encoding of the database is {encoding}, which cannot hold every text; create one with: "
                f"createdb --encoding=UTF8 --template=template0 {self._parameters['dbname']}"
            )

    def learn(self, connection: Any) -> None:
        tables = [table.name for table in schema.MLMD_TABLES if "id" in table.c]
        existing = self.table_names(connection)
        for name in tables:
            if name.lower() in existing:
                found = connection.execute(
                    "SELECT pg_get_serial_sequence(%s, 'id')", (name.lower(),)
                ).fetchone()
                if found[0] is None:
                    raise DatabaseRefused(
                        f"the column id of the table {name} has no sequence, so nothing new can be stored; "
                        "copy the database with 'headwater db copy', or restore it with its sequences"
                    )
                self._sequences[name] = found[0]

    def table_names(self, connection: Any) -> set[str]:
        return _names(connection, "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")

    def column_names(self, connection: Any, table: str) -> set[str]:
        return _names(
            connection,
            "SELECT column_name FROM information_schema.columns "
            "WHERE table_schema = current_schema() AND table_name = %s",
            table.lower(),
        )

    def index_names(self, connection: Any) -> set[str]:
        return _names(connection, "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()")

    def size_bytes(self, connection: Any) -> int:
        return int(connection.execute("SELECT pg_database_size(current_database())").fetchone()[0])

    def facts(self, connection: Any) -> dict[str, str]:
        version, encoding, collation, schema_name = connection.execute(
            "SELECT current_setting('server_version'), pg_encoding_to_char(encoding), datcollate, "
            "current_schema() FROM pg_database WHERE datname = current_database()"
        ).fetchone()
        return {
            "server": f"PostgreSQL {version}",
            "encoding": encoding,
            "collation": collation,
            "schema": schema_name,
        }

    def damage(self, connection: Any, tables: Sequence[sa.Table]) -> list[str]:
        names = [table.name.lower() for table in tables]
        invalid = connection.execute(
            "SELECT index.relname FROM pg_index JOIN pg_class index ON index.oid = indexrelid "
            "JOIN pg_class own ON own.oid = indrelid WHERE own.relname = ANY (%s) "
            "AND own.relnamespace = current_schema()::regnamespace AND NOT (indisvalid AND indisready) "
            "ORDER BY 1",
            (names,),
        ).fetchall()
        faults = [
            f"the index {name} is incomplete and not used; run REINDEX INDEX {name}" for (name,) in invalid
        ]
        for name in (table.name.lower() for table in tables if "id" in table.c):
            sequence = connection.execute("SELECT pg_get_serial_sequence(%s, 'id')", (name,)).fetchone()[0]
            if sequence is None:
                faults.append(f"the ids of the table {name} have no sequence, so nothing new can be stored")
                continue
            last, largest = connection.execute(
                f"SELECT (SELECT last_value FROM {sequence}), (SELECT max(id) FROM {name})"
            ).fetchone()
            if largest is not None and largest > last:
                faults.append(
                    f"the sequence {sequence} is at {last} and ids go up to {largest}, so new ones would be "
                    f"taken; run SELECT setval('{sequence}', {largest})"
                )
        return faults

    def lock_opening(self, connection: Any) -> None:
        connection.execute(f"SELECT set_config('lock_timeout', '{_OPENING_PATIENCE_S}s', false)")
        connection.execute("SELECT pg_advisory_lock(%s)", (_OPENING_LOCK,))

    def unlock_opening(self, connection: Any) -> None:
        connection.execute("SELECT pg_advisory_unlock(%s)", (_OPENING_LOCK,))

    # Errors

    def is_conflict(self, error: Exception) -> bool:
        return isinstance(
            error,
            psycopg.errors.SerializationFailure
            | psycopg.errors.DeadlockDetected
            | psycopg.errors.LockNotAvailable,
        )

    def is_lost(self, error: Exception, connection: Any) -> bool:
        if connection.closed or connection.broken:
            return True
        state = getattr(error, "sqlstate", None)
        if state is None:
            return isinstance(error, psycopg.OperationalError)  # libpq's own words: nobody answered.
        return state.startswith("08") or state in _LOST or _is_of_forgotten_statement(error)

    def is_stopped(self, error: Exception) -> bool:
        return isinstance(error, psycopg.errors.QueryCanceled)

    def translate(self, error: Exception) -> HeadwaterError:
        if not isinstance(error, psycopg.Error):
            return Internal("the database refused a statement; the log of the server has the details")
        state, diagnosis = error.sqlstate or "", error.diag
        if state == "23505":
            columns = re.match(r"Key \((.*?)\)=", diagnosis.message_detail or "")
            same = columns[1].replace(", ", " and ") if columns else "key"
            return AlreadyExists(f"another {diagnosis.table_name} has the same {same}")
        if state == "22003":
            # Both have one state: storing a number, and computing one.
            if not re.match(r"int8[24]$|pg_strtoint|pg_atoi", diagnosis.source_function or ""):
                return InvalidRequest(TOO_LARGE_A_RESULT)
            return InvalidRequest(
                "a number of the request is larger than its column, which holds 32 bits in databases made by "
                "ML Metadata; 'headwater db upgrade --wide-integers' widens it"
            )
        if state == "22001":
            return InvalidRequest(
                "a name, version or external id of the request is longer than 255 characters"
            )
        if state == "54000":
            return InvalidRequest(
                "a uri or a text property of the request is too long for PostgreSQL's index on it, which "
                "holds about 2,700 bytes after compression; store it elsewhere and keep a reference"
            )
        if state == "22025":
            return InvalidRequest(
                "a LIKE pattern of filter_query ends with a single backslash; write two for one"
            )
        if state in ("54001", "54011"):
            return InvalidRequest("filter_query is too large for PostgreSQL; send several filters")
        if state in ("22P05", "22021"):
            return InvalidRequest(
                "a text of the request has characters that the encoding of the database cannot hold; "
                "move to a database created with ENCODING 'UTF8' ('headwater db copy')"
            )
        if state == "3F000":
            return FailedPrecondition(
                "the database has no schema for the tables of this user: make one, or name it in the "
                "search_path of the user (ALTER ROLE ... SET search_path = ...)"
            )
        if state == "42P01":
            return FailedPrecondition(
                "the database has lost a table of the store, or the user another search_path; "
                "run 'headwater db check'"
            )
        if state == "42501":
            return FailedPrecondition(
                "the database user lacks a right that this request needs; GRANT SELECT, INSERT, UPDATE and "
                "DELETE on all tables and USAGE on all sequences of the schema to it"
            )
        if state == "25006":
            return FailedPrecondition(
                "the database is read-only: a standby, or default_transaction_read_only is on"
            )
        if state == "53100":
            return ResourceExhausted("the disk of the database is full; nothing of this request was stored")
        if state.startswith("53"):
            return Unavailable("the database has run out of memory or connections; try again")
        if state.startswith("XX"):
            return DataLoss("the database reports that it is damaged; look at its log")
        return Internal("the database refused a statement; the log of the server has the details")

    def described(self, error: Exception) -> str:
        if not isinstance(error, psycopg.Error) or error.sqlstate is None:
            return f"{type(error).__name__}: {_first_line(error)}"
        # Of wrong data and broken keys the text quotes values.
        text = "" if error.sqlstate[:2] in ("22", "23") else f": {error.diag.message_primary}"
        return f"{type(error).__name__} {error.sqlstate}{text}"


class _NoDatabase(DatabaseRefused):
    """The server has no database of that name."""


# The server is stopping or has just started again, the database was dropped, or we were silent for too long.
_LOST = frozenset({"57P01", "57P02", "57P03", "57P04", "57P05", "25P03", "25P04"})


def _is_of_forgotten_statement(error: Exception) -> bool:
    """Whether a statement that this connection had prepared is of no use any more.

    Somebody has changed a table's columns ('headwater db upgrade --wide-integers') or deallocated it.
    """
    if isinstance(error, psycopg.errors.InvalidSqlStatementName | psycopg.errors.DuplicatePreparedStatement):
        return True
    return (
        isinstance(error, psycopg.errors.FeatureNotSupported)
        and error.diag.source_function == "RevalidateCachedQuery"
    )


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _limited(timeout_s: float | None) -> Sequence[Call]:
    limit = limit_ms(timeout_s)
    return () if limit is None else (Call("SELECT set_config('statement_timeout', $1, true)", (str(limit),)),)


def _members(column: sa.Column[Any], name: str) -> sa.ColumnElement[Any]:
    listed = sa.cast(sa.bindparam(name, type_=sa.Text()), sa.JSON())
    text = sa.func.json_array_elements_text(listed, type_=sa.Text())
    if isinstance(column.type, sa.LargeBinary):
        return sa.func.decode(text, sa.literal_column("'base64'"))
    return text if isinstance(column.type, sa.String) else sa.cast(text, column.type)


def _as_text(value: Any) -> bytes | None:
    if value is None:
        return None
    if value is True:
        return b"t"
    if value is False:
        return b"f"
    text = value if isinstance(value, str) else repr(value)
    if "\0" in text:
        # libpq would end the text there, and answer for what is before it.
        raise InvalidRequest("a text of the request has a NUL character, which databases cannot store")
    return text.encode()


def _results(pgconn: Any) -> Generator[int, int, list[Any]]:
    """Send what is queued and collect one result a statement, as ``Connection.wait`` drives it."""
    results: list[Any] = []
    unsent = pgconn.flush()
    while True:
        # psycopg goes on with nothing after it was interrupted, to read what is left.
        ready = (yield waiting.Wait.RW if unsent else waiting.Wait.R) or waiting.Ready.R
        if ready & waiting.Ready.W:
            unsent = pgconn.flush()
        if ready & waiting.Ready.R:
            pgconn.consume_input()
            while not pgconn.is_busy():
                result = pgconn.get_result()
                if result is None:  # The end of one statement's results.
                    if pgconn.status == pq.ConnStatus.BAD:
                        raise psycopg.OperationalError("the connection is lost")
                    continue
                if result.status == pq.ExecStatus.PIPELINE_SYNC:
                    return results
                results.append(result)


def _names(connection: Any, query: str, *values: str) -> set[str]:
    return {name.lower() for (name,) in connection.execute(query, values)}
