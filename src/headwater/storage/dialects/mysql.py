"""MySQL and MariaDB, through mysqlclient where it is installed and PyMySQL elsewhere (``mysql_drivers``).

Statements are sent as text with their values written into it, as both drivers do, but several in one
packet, so that they share a round trip. ML Metadata talks to MySQL over a connection that calls itself
latin1 and sends UTF-8 over it; so does this, or either would read the other's text garbled.
"""

import base64
import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.dialects.mysql.pymysql import MySQLDialect_pymysql
from sqlalchemy.engine.interfaces import Dialect as CoreDialect

from headwater.errors import (
    AlreadyExists,
    DatabaseRefused,
    FailedPrecondition,
    HeadwaterError,
    Internal,
    InvalidRequest,
    ResourceExhausted,
    Unavailable,
)
from headwater.storage import schema
from headwater.storage.dialects.base import TOO_LARGE_A_RESULT, Call, Outcome, Values, checked_member
from headwater.storage.dialects.mysql_drivers import driver_for
from headwater.storage.dialects.server import ServerDialect, limit_ms

# One packet holds several statements, and the server refuses larger ones.
_PACKET_SHARE = 0.5
_ROWS_A_STATEMENT = 1_000
_OPENING_LOCK = "headwater.opening"
_OPENING_PATIENCE_S = 60
_SESSION = (
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO', "
    # By default the planner of a statement with many tables tries every order of them.
    "time_zone = '+00:00', autocommit = 1, optimizer_search_depth = 5, "
    # For rows, and for tables that somebody alters, for which one would wait a day.
    "innodb_lock_wait_timeout = 10, lock_wait_timeout = 10, "
    # Two literals are compared as columns of ours are, by their bytes; a column's own collation goes first.
    "collation_connection = '{charset}_bin'"
)


class MysqlDialect(ServerDialect):
    """MySQL 8 or MariaDB 10.5, or newer, with InnoDB."""

    name = "mysql"
    core: CoreDialect
    # MySQL makes the whole of a recursive table before anybody reads it.
    recursion_is_lazy = False

    def __init__(self, url: sa.URL) -> None:
        if not url.database:
            raise InvalidRequest("the MySQL URL names no database; write mysql://user:password@host/database")
        self._url = url
        self._driver = driver_for(url)
        self.driver_error = self._driver.error
        self.charset = self._driver.charset
        core = MySQLDialect_pymysql(paramstyle="format")
        core.charset = self.charset  # type: ignore[attr-defined]  # For functions that count characters.
        self.core = core
        self.variant = (self.charset, frozenset[str]())
        self._ignores_case = False
        self._missing_indexes: frozenset[str] = frozenset()
        self._largest_packet = 16 * 1024 * 1024
        self._is_mariadb = False

    def connect(self) -> Any:
        return self._connect(self._url.database)

    def _connect(self, database: str | None) -> Any:
        try:
            connection = self._driver.connect(database)
        except self.driver_error as error:
            raise self._why_not_connected(error) from None  # Its text may hold the password.
        try:
            self._query(connection, _SESSION.format(charset=self.charset))
            ((largest, version),) = self._query(connection, "SELECT @@max_allowed_packet, VERSION()")[0].rows
            self._largest_packet, self._is_mariadb = int(largest), "MariaDB" in version
        except self.driver_error as error:
            connection.close()
            raise self._why_not_connected(error) from None
        except BaseException:
            connection.close()
            raise
        return connection

    def _why_not_connected(self, error: Exception) -> HeadwaterError:
        where = self._url.query.get(
            "unix_socket", f"{self._url.host or 'localhost'}:{self._url.port or 3306}"
        )
        code, user, database = _code(error), self._url.username, self._url.database
        if code in (1045, 1698, 2059, 1251, 1524):
            return DatabaseRefused(
                f"MySQL at {where} refuses the user {user!r}; check user and password in the URL, and that "
                "the user may log in from this host"
            )
        if code == 1049:
            return _NoDatabase(
                f"MySQL at {where} has no database {database!r}; create it with: CREATE DATABASE {database}"
            )
        if code == 1044:
            return DatabaseRefused(
                f"the user {user!r} may not use the database {database!r}, or there is none of that name; "
                f"create it and GRANT ALL ON {database}.* to the user"
            )
        if code in (1130, 1129):
            return DatabaseRefused(
                f"MySQL at {where} does not let this host in; add the host to the user's account"
            )
        if code in (1040, 1203, 1226):
            return Unavailable(
                f"MySQL at {where} has no connection left; raise its max_connections or lower "
                "--database-connections"
            )
        if code == 2026 or "SSL" in str(error) or "certificate" in str(error):
            return DatabaseRefused(
                f"the encrypted connection to MySQL at {where} failed; check ssl_ca, ssl_cert and ssl_key in "
                "the URL, and that the server has TLS turned on"
            )
        if "Name or service" in str(error) or "getaddrinfo" in str(error) or code == 2005:
            return Unavailable(f"the host {self._url.host!r} of the database is not known; check the URL")
        return Unavailable(f"MySQL at {where} cannot be reached now; check that it runs and the URL is right")

    def create_database(self) -> None:
        try:
            self._connect(self._url.database).close()
            return
        except _NoDatabase:
            pass
        except DatabaseRefused as refused:
            if "or there is none" not in str(refused):
                raise
        connection = self._connect(None)
        try:
            name = str(self._url.database).replace("`", "``")
            self._query(connection, f"CREATE DATABASE IF NOT EXISTS `{name}`")
        except self.driver_error:
            raise DatabaseRefused(
                f"there is no database {name!r} and the user may not create one, or it may not use the one "
                f"there is; let an administrator run: CREATE DATABASE {name}, and GRANT ALL ON {name}.* TO "
                "the user"
            ) from None
        finally:
            connection.close()

    def engine(self) -> sa.Engine:
        return sa.create_engine(
            f"mysql+{self._driver.core_name}://", creator=self._engine_connection, poolclass=sa.NullPool
        )

    def _engine_connection(self) -> Any:
        try:
            return self._driver.connect_plainly(self._url.database)
        except self.driver_error as error:
            raise self._why_not_connected(error) from None

    def stop(self, connection: Any) -> None:
        other = self._driver.connect(None)
        try:
            other.cursor().execute(f"KILL QUERY {connection.session_id}")
        finally:
            other.close()

    # Statements

    def run(self, connection: Any, calls: Sequence[Call]) -> list[Outcome]:
        texts = [self._written(call) for call in calls]
        outcomes: list[Outcome] = []
        for packet in _portions(texts, self._packet_bytes(), len(texts)):
            outcomes += self._query(connection, ";".join(packet))
        return outcomes

    def _packet_bytes(self) -> int:
        return int(self._largest_packet * _PACKET_SHARE)

    def _written(self, call: Call) -> str:
        if call.arguments is _AS_IT_IS:
            return call.text
        return call.text % tuple([_literal(value) for value in call.arguments])

    def _query(self, connection: Any, text: str) -> list[Outcome]:
        packet = text.encode()
        if len(packet) >= self._largest_packet:
            # The server would hang up in the middle of it.
            raise _too_large()
        cursor = connection.cursor()
        try:
            cursor.execute(packet)
            outcomes = []
            while True:
                rows = list(cursor.fetchall()) if cursor.description else []
                outcomes.append(Outcome(rows, cursor.rowcount))
                if not cursor.nextset():
                    return outcomes
        except Exception:
            # Reads what is left of the answer. After an interrupt nobody knows what that is.
            with suppress(Exception):
                cursor.close()
            raise

    def begin_read(self, timeout_s: float | None) -> Sequence[Call]:
        return (
            Call("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"),
            Call("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"),
            self._limit(timeout_s),
        )

    def begin_write(self, timeout_s: float | None) -> Sequence[Call]:
        return (
            Call("SET TRANSACTION ISOLATION LEVEL READ COMMITTED"),
            Call("START TRANSACTION"),
            self._limit(timeout_s),
        )

    def _limit(self, timeout_s: float | None) -> Call:
        # MariaDB counts in seconds and stops any statement, MySQL in milliseconds and only queries.
        limit = limit_ms(timeout_s) or 0
        if self._is_mariadb:
            return Call(f"SET SESSION max_statement_time = {limit / 1000:.3f}", _AS_IT_IS)
        return Call(f"SET SESSION max_execution_time = {limit}", _AS_IT_IS)

    def list_value(self, values: Values) -> Any:
        return values  # Written out by ``_literal``.

    def insert_statement(
        self, table: sa.Table, columns: Sequence[str], *, ignores: bool
    ) -> sa.sql.ClauseElement:
        insert = mysql.insert(table)
        if not ignores:
            return insert
        # INSERT IGNORE would cut texts that are too long, without a word.
        same = table.c[columns[0]]
        return insert.on_duplicate_key_update({same.name: same})

    def insert_calls(self, text: str, rows: Sequence[Sequence[Any]]) -> Sequence[Call]:
        head, values, tail = text.partition(" VALUES ")
        marks, closing, rest = tail.partition(")")
        template = marks + closing
        written = [template % tuple([_literal(value) for value in row]) for row in rows]
        return [
            Call(head + values + ",".join(portion) + rest, _AS_IT_IS)
            for portion in _portions(written, self._packet_bytes(), _ROWS_A_STATEMENT)
        ]

    def walk_in_order(self, select: sa.Select[Any], table: sa.Table, column: str) -> sa.Select[Any]:
        index = next((index for index in table.indexes if index.columns.keys() == [column]), None)
        name = "PRIMARY" if index is None else str(index.name)
        if name in self._missing_indexes:
            return select
        # Else it would start from the rows of a subquery, if these are few, and sort what they lead to.
        in_order = select.prefix_with("STRAIGHT_JOIN", dialect="mysql")
        return in_order.with_hint(table, f"FORCE INDEX ({name})", "mysql")

    def reservation(self, table: sa.Table, count: int) -> Sequence[Call]:
        # Nothing gives back what AUTO_INCREMENT has given, not even taking the rows back. The rows need keys
        # that nobody else uses at the same moment.
        draw = -random.randrange(1, 2**31)
        rows = ",".join(_PLACEHOLDERS[table].format(draw=draw, index=index) for index in range(count))
        return (
            Call("SAVEPOINT headwater_ids"),
            Call(f"INSERT INTO {table.name} {_PLACEHOLDER_COLUMNS[table]} VALUES {rows}", _AS_IT_IS),
            Call("SELECT LAST_INSERT_ID(), @@auto_increment_increment"),
            Call("ROLLBACK TO SAVEPOINT headwater_ids"),
        )

    def reserved(self, outcomes: Sequence[Outcome], count: int) -> list[int]:
        ((first, step),) = outcomes[2].rows
        return list(range(first, first + count * step, step))

    def text_key(self, text: str) -> str:
        return text.rstrip(" ").casefold() if self._ignores_case else text.rstrip(" ")

    def as_hex(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        if not isinstance(column.type, sa.String):
            return sa.func.hex(column)
        # As it comes over the connection, whose charset need not be that of the column.
        return sa.literal_column(f"HEX(CONVERT({column} USING {self.charset}))", sa.Text())

    def encode_proto(self, value: bytes) -> str:
        return base64.b64encode(value).decode("ascii")

    def decode_proto(self, value: Any) -> bytes:
        return base64.b64decode(value)

    def finish_definition(self, text: str) -> str:
        if not text.lstrip().startswith("CREATE TABLE"):
            return text
        # Names that differ in case are different, as on other databases.
        return f"{text.rstrip()} ENGINE=InnoDB CHARACTER SET {self.charset} COLLATE {self.charset}_bin"

    # Looking at the database

    def learn(self, connection: Any) -> None:
        """Notice the collation of names, and refuse a charset that would garble what is stored.

        Raises:
            DatabaseRefused: tables that are not InnoDB, or text in another charset than the URL says.
        """
        found = self._query(
            connection,
            "SELECT LOWER(table_name), engine, table_collation FROM information_schema.tables "
            "WHERE table_schema = DATABASE()",
        )[0].rows
        tables = {name: (engine, collation) for name, engine, collation in found}
        for table in schema.metadata.tables.values():
            engine, _ = tables.get(table.name.lower(), ("InnoDB", ""))
            if engine != "InnoDB":
                raise DatabaseRefused(
                    f"the table {table.name} is of the engine {engine}, which loses writes; "
                    f"run ALTER TABLE {table.name} ENGINE=InnoDB"
                )
        _, collation = tables.get("artifact", ("", f"{self.charset}_bin"))
        self._ignores_case = "_ci" in str(collation)
        existing = self.index_names(connection)
        names = {str(index.name) for table in schema.MLMD_TABLES for index in table.indexes}
        self._missing_indexes = frozenset(names - existing)
        self.variant = (self.charset, self._missing_indexes)
        own = tables.get(schema.request_table.name)
        if own is not None and own[1].startswith("utf8mb4") != (self.charset == "utf8mb4"):
            right = "utf8mb4" if own[1].startswith("utf8mb4") else "latin1"
            raise DatabaseRefused(
                f"the text of this database was written with charset {right} and would be garbled with "
                f"{self.charset}; open it with ?charset={right}"
            )

    def table_names(self, connection: Any) -> set[str]:
        return self._names(
            connection, "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()"
        )

    def column_names(self, connection: Any, table: str) -> set[str]:
        return self._names(
            connection,
            "SELECT column_name FROM information_schema.columns WHERE table_schema = DATABASE() "
            f"AND LOWER(table_name) = {_literal(table.lower())}",
        )

    def index_names(self, connection: Any) -> set[str]:
        return self._names(
            connection, "SELECT index_name FROM information_schema.statistics WHERE table_schema = DATABASE()"
        )

    def _names(self, connection: Any, query: str) -> set[str]:
        return {str(name).lower() for (name,) in self._query(connection, query)[0].rows}

    def size_bytes(self, connection: Any) -> int:
        ((size,),) = self._query(
            connection,
            "SELECT CAST(COALESCE(SUM(data_length + index_length), 0) AS UNSIGNED) "
            "FROM information_schema.tables WHERE table_schema = DATABASE()",
        )[0].rows
        return int(size)

    def facts(self, connection: Any) -> dict[str, str]:
        ((version, charset),) = self._query(connection, "SELECT VERSION(), @@character_set_database")[0].rows
        collations = self._query(
            connection,
            "SELECT table_collation FROM information_schema.tables "
            "WHERE table_schema = DATABASE() AND LOWER(table_name) = 'artifact'",
        )[0].rows
        return {
            "server": version if self._is_mariadb else f"MySQL {version}",
            "encoding": charset,
            "collation": ", ".join(name for (name,) in collations),
            "connection_charset": self.charset,
        }

    def damage(self, connection: Any, tables: Sequence[sa.Table]) -> list[str]:
        faults = []
        for table in tables:
            for _, _, kind, said in self._query(connection, f"CHECK TABLE {table.name}")[0].rows:
                if kind.lower() in ("error", "warning") or (kind.lower() == "status" and said != "OK"):
                    faults.append(f"the table {table.name} is damaged: {said}")
        return faults

    def lock_opening(self, connection: Any) -> None:
        name = f"CONCAT('{_OPENING_LOCK}.', LEFT(DATABASE(), 40))"
        ((got,),) = self._query(connection, f"SELECT GET_LOCK({name}, {_OPENING_PATIENCE_S})")[0].rows
        if got != 1:
            raise Unavailable(
                "another server is making or upgrading this database; try again when it is done"
            )

    def unlock_opening(self, connection: Any) -> None:
        self._query(connection, f"SELECT RELEASE_LOCK(CONCAT('{_OPENING_LOCK}.', LEFT(DATABASE(), 40)))")

    # Errors

    def is_conflict(self, error: Exception) -> bool:
        return _code(error) in (1213, 1205, 1020, 1614)

    def is_lost(self, error: Exception, connection: Any) -> bool:
        return _code(error) in _LOST or isinstance(error, self._driver.interface_error)

    def is_stopped(self, error: Exception) -> bool:
        return _code(error) in (1317, 1969, 3024)

    def translate(self, error: Exception) -> HeadwaterError:
        code, said = _code(error), str(error)
        if code in (1062, 1586):
            key = re.search(r"for key '(?:.*\.)?(.*?)'", said)
            same = "external id" if key and "external" in key[1].lower() else "name"
            return AlreadyExists(f"another row has the same {same}")
        if code == 1690:
            return InvalidRequest(TOO_LARGE_A_RESULT)
        if code == 1436:
            return InvalidRequest("filter_query is too large for the database; send several filters")
        if code == 1264:
            return InvalidRequest(
                "a number of the request is larger than its column, which holds 32 bits in databases made by "
                "ML Metadata; 'headwater db upgrade --wide-integers' widens it"
            )
        if code == 1406:
            return InvalidRequest(
                "a name, version or external id of the request is longer than 255 bytes, or a uri longer "
                "than the 64 KB of its column"
            )
        if code == 1366:
            return InvalidRequest(
                "a text of the request has characters that the encoding of the database cannot hold; "
                "move to a database of another character set ('headwater db copy')"
            )
        if code == 1146:
            return FailedPrecondition("the database has lost a table of the store; run 'headwater db check'")
        if code in (1142, 1143, 1044, 1370):
            return FailedPrecondition(
                "the database user lacks a right that this request needs; GRANT SELECT, INSERT, UPDATE and "
                "DELETE on all tables of the database to it"
            )
        if code in (1290, 1792, 1836, 1036):
            return FailedPrecondition("the database is read-only: a replica, or read_only is on")
        if code in (1021, 1114, 28) or "No space left" in said or "is full" in said:
            return ResourceExhausted("the disk of the database is full; nothing of this request was stored")
        if code in (1153, 1301):
            return _too_large()
        return Internal("the database refused a statement; the log of the server has the details")

    def described(self, error: Exception) -> str:
        code = _code(error)
        # Of taken keys, wrong data and what it cannot parse the text quotes values.
        text = "" if code in (0, 1062, 1064, 1292, 1366, 1586) else f": {error.args[-1]}"
        return f"{type(error).__name__} {code}{text}"


class _NoDatabase(DatabaseRefused):
    """The server has no database of that name."""


_AS_IT_IS: Sequence[Any] = ("written out",)
"""The arguments of a call whose text has its values in it."""

_PLACEHOLDER_COLUMNS: dict[sa.Table, str] = {
    schema.artifact_table: "(type_id)",
    schema.execution_table: "(type_id)",
    schema.context_table: "(type_id, name)",
    schema.event_table: "(artifact_id, execution_id, type)",
    schema.type_table: "(name, type_kind)",
}
_PLACEHOLDERS: dict[sa.Table, str] = {
    schema.artifact_table: "(0)",
    schema.execution_table: "(0)",
    schema.context_table: "({draw}, 'placeholder {index}')",
    schema.event_table: "({draw}, -{index}, 0)",
    schema.type_table: "('placeholder', 0)",
}


# No answer, shutting down, killed, idle for too long, or a node that has left its cluster.
_LOST = frozenset({2006, 2013, 2014, 2055, 1927, 3169, 1053, 1077, 1079, 4031, 1047, 1158, 1159, 1160, 1161})


def _code(error: Exception) -> int:
    return error.args[0] if error.args and isinstance(error.args[0], int) else 0


_ESCAPES = str.maketrans(
    {"\0": "\\0", "\n": "\\n", "\r": "\\r", "\x1a": "\\Z", '"': '\\"', "'": "\\'", "\\": "\\\\"}
)


def _literal(value: Any) -> str:
    """A value as SQL text. Of the encodings in use none has ASCII bytes inside other characters."""
    if value is None:
        return "NULL"
    write = _WRITERS.get(type(value))
    if write is None:
        write = next(writer for type_, writer in _WRITERS.items() if isinstance(value, type_))
    return write(value)


def _listed(values: Iterable[Any]) -> str:
    return f"({','.join([_literal(checked_member(value)) for value in values]) or 'NULL'})"


_WRITERS: dict[type, Callable[[Any], str]] = {
    str: lambda value: f"'{value.translate(_ESCAPES)}'",
    bool: lambda value: "1" if value else "0",
    int: int.__repr__,
    float: float.__repr__,
    bytes: lambda value: f"x'{value.hex()}'" if value else "''",
    Values: _listed,
}


def _portions(texts: Sequence[str], most_bytes: int, most: int) -> Iterator[list[str]]:
    """Cut a list where a portion would have more than ``most`` members, or more than so many bytes."""
    portion: list[str] = []
    portion_bytes = 0
    for text in texts:
        text_bytes = len(text) if text.isascii() else len(text.encode())
        if portion and (len(portion) == most or portion_bytes + text_bytes > most_bytes):
            yield portion
            portion, portion_bytes = [], 0
        portion.append(text)
        portion_bytes += text_bytes
    if portion:
        yield portion


def _too_large() -> ResourceExhausted:
    return ResourceExhausted(
        "a value of the request is larger than the database takes; raise its max_allowed_packet"
    )
