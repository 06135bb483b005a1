"""SQLite: one file, many readers, one writer."""

import base64
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.engine.interfaces import Dialect as CoreDialect

from headwater.errors import (
    Aborted,
    AlreadyExists,
    Cancelled,
    DatabaseRefused,
    DataLoss,
    FailedPrecondition,
    HeadwaterError,
    Internal,
    InvalidRequest,
    ResourceExhausted,
)
from headwater.storage.dialects.base import TOO_LARGE_A_RESULT, Dialect

_MEMORY = ("", ":memory:")
_PAGE_CACHE_KIB = 8_000
_WRITERS_PAGE_CACHE_KIB = 32_000
_STATEMENTS_KEPT = 512
# Readers wait only while another program recovers the file after a crash.
_READERS_PATIENCE_S = 10
_OPENERS_PATIENCE_S = 60
# A checkpoint writes each page once however often it was changed, and waits for the disk twice.
_CHECKPOINT_PAGES = 4_000
# A long statement asks this often whether its caller still waits; about every 10 ms.
_STEPS_BETWEEN_LOOKS = 200_000


class _SqliteCompiler(sqlite_dialect.base.SQLiteCompiler):
    """Writes hints, which SQLAlchemy leaves out on SQLite, behind the name of the table."""

    def get_from_hint_text(self, table: Any, text: str | None) -> str | None:
        return text


class _SqliteCore(sqlite_dialect.pysqlite.SQLiteDialect_pysqlite):
    statement_compiler = _SqliteCompiler
    supports_statement_cache = True


class SqliteDialect(Dialect):
    """SQLite: one file, many readers, one writer.

    The file is in WAL mode, so readers never wait for a writer, with ``synchronous=FULL``, so that a
    commit is on the disk before it is acknowledged.
    """

    name = "sqlite"
    core: CoreDialect = _SqliteCore()
    driver_error: type[Exception] = sqlite3.Error
    is_server = False

    def __init__(self, url: sa.URL, *, create: bool = True) -> None:
        name = url.database or ""
        self.file_name = name
        self._missing_indexes: frozenset[str] = frozenset()
        self.in_memory = name in _MEMORY or name == "file::memory:" or url.query.get("mode") == "memory"
        self.shared = not self.in_memory
        """Whether every connection sees the same database; if not, there is only ever one."""
        if self.in_memory:
            self._uri = ":memory:"
        elif name.startswith("file:"):
            given = {} if create else {"mode": "rw"}
            given |= {key: str(value) for key, value in url.query.items() if key != "uri"}
            query = "&".join(f"{key}={value}" for key, value in given.items())
            self._uri = name + (("&" if "?" in name else "?") + query if query else "")
        else:
            mode = "rwc" if create else "rw"
            self._uri = f"file:{quote(str(Path(name).absolute()))}?mode={mode}"

    def connect(self, is_unwanted: Callable[[], bool] = lambda: False) -> sqlite3.Connection:
        """A connection that any thread may use, one at a time; transactions are begun by hand.

        ``is_unwanted`` is asked now and then during long statements; when it is true they stop.
        """
        connection = sqlite3.connect(
            self._uri,
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=_STATEMENTS_KEPT,
            timeout=_READERS_PATIENCE_S,
        )
        connection.execute("PRAGMA synchronous=FULL")
        # On macOS the disk keeps what it was told to write in its own cache unless asked twice.
        connection.execute("PRAGMA fullfsync=ON")
        connection.execute("PRAGMA checkpoint_fullfsync=ON")
        connection.execute(f"PRAGMA cache_size=-{_PAGE_CACHE_KIB}")
        connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
        connection.execute("PRAGMA temp_store=MEMORY")
        connection.set_progress_handler(is_unwanted, _STEPS_BETWEEN_LOOKS)
        return connection

    def connect_writer(self) -> sqlite3.Connection:
        """The connection that writes. It does not wait for the lock by itself: see ``Database``."""
        connection = self.connect()
        connection.execute("PRAGMA busy_timeout=0")
        connection.execute(f"PRAGMA cache_size=-{_WRITERS_PAGE_CACHE_KIB}")
        return connection

    def prepare_file(self) -> None:
        """Refuse a file that cannot be served, and put it in WAL mode for good.

        Raises:
            DatabaseRefused: with what to do about it.
        """
        if self.in_memory:
            return None
        name = self.file_name
        if not name.startswith("file:"):
            path = Path(name)
            if path.is_dir():
                raise DatabaseRefused(f"{name!r} is a directory; give the path of a database file in it")
            if not path.absolute().parent.is_dir():
                raise DatabaseRefused(
                    f"the directory {str(path.absolute().parent)!r} does not exist; create it first"
                )
            if "mode=rw&" in self._uri + "&" and not path.exists():
                raise DatabaseRefused(
                    f"there is no database at {name!r}; 'headwater db init' or 'headwater serve' makes one"
                )
        deadline = time.monotonic() + _OPENERS_PATIENCE_S
        while True:
            try:
                return self._try_to_prepare()
            except sqlite3.Error as error:
                if not _is_busy(error) or time.monotonic() > deadline:
                    raise DatabaseRefused(_why_refused(name, str(error))) from error
            time.sleep(0.01)

    def _try_to_prepare(self) -> None:
        connection = self.connect()
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
            (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
            if mode != "wal":
                raise DatabaseRefused(
                    f"{self.file_name!r} is on a file system that does not allow SQLite's WAL mode (a "
                    "network drive?); put the database on a local disk"
                )
            # A read-only database lets a transaction begin; only a write tells.
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("CREATE TABLE headwater_probe (probe INT)")
            connection.execute("ROLLBACK")
        finally:
            connection.close()

    def begin_read(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN")

    def try_begin_write(self, connection: sqlite3.Connection) -> bool:
        """Begin a transaction that may write; ``False`` if another process is writing now."""
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if not _is_busy(error):
                raise
            return False
        return True

    def in_transaction(self, connection: sqlite3.Connection) -> bool:
        return connection.in_transaction

    def change_number(self, connection: sqlite3.Connection) -> int:
        """A number that changes when somebody else than ``connection`` has committed."""
        return int(connection.execute("PRAGMA data_version").fetchone()[0])

    def rows(self, connection: sqlite3.Connection, sql: str, arguments: Sequence[Any]) -> list[Any]:
        try:
            return connection.execute(sql, arguments).fetchall()
        except sqlite3.OperationalError as error:
            if "decode to UTF-8" not in str(error):
                raise
        # ML Metadata stores whatever bytes a C++ client calls a string. Show what is readable of them.
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        try:
            return connection.execute(sql, arguments).fetchall()
        finally:
            connection.text_factory = str

    def engine(self) -> sa.Engine:
        return sa.create_engine("sqlite://", creator=self.connect, poolclass=sa.NullPool)

    def table_names(self, connection: sqlite3.Connection) -> set[str]:
        found = connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
        return {name.lower() for (name,) in found}

    def column_names(self, connection: sqlite3.Connection, table: str) -> set[str]:
        return {row[1].lower() for row in connection.execute(f"PRAGMA table_info({table})")}

    def index_names(self, connection: sqlite3.Connection) -> set[str]:
        found = connection.execute("SELECT name FROM sqlite_master WHERE type='index'")
        return {name.lower() for (name,) in found}

    def size_bytes(self, connection: sqlite3.Connection) -> int:
        return int(_pragma(connection, "page_count") * _pragma(connection, "page_size"))

    def facts(self, connection: sqlite3.Connection) -> dict[str, str]:
        return {
            "server": f"SQLite {sqlite3.sqlite_version}",
            "journal_mode": str(_pragma(connection, "journal_mode")),
            "encoding": str(_pragma(connection, "encoding")),
        }

    def damage(self, connection: sqlite3.Connection, tables: Sequence[sa.Table]) -> list[str]:
        texts = [text for (text,) in connection.execute("PRAGMA integrity_check") if text != "ok"]
        faults = [line for text in texts for line in text.splitlines() if not line.startswith("***")]
        return [f"the database file is damaged: {fault}" for fault in faults]

    @staticmethod
    def last_id_statement(table: sa.Table) -> sa.Select[Any]:
        """The largest id ever given to a row of ``table``: what AUTOINCREMENT counts from."""
        sequence = sa.table("sqlite_sequence", sa.column("name"), sa.column("seq"))
        given = sa.select(sequence.c.seq).where(sequence.c.name == table.name).scalar_subquery()
        stored = sa.select(sa.func.max(table.c.id)).scalar_subquery()
        return sa.select(sa.func.max(sa.func.coalesce(given, 0), sa.func.coalesce(stored, 0)))

    def insert_statement(
        self, table: sa.Table, columns: Sequence[str], *, ignores: bool
    ) -> sa.sql.ClauseElement:
        insert = sqlite_dialect.insert(table)
        return insert.on_conflict_do_nothing() if ignores else insert

    def walk_in_order(self, select: sa.Select[Any], table: sa.Table, column: str) -> sa.Select[Any]:
        """Make ``select`` read ``table`` in the order of ``column``, an indexed one, until it has enough.

        Left to itself SQLite would rather find all that match through another index, and sort them.
        """
        index = next((index for index in table.indexes if index.columns.keys() == [column]), None)
        if index is not None and str(index.name) in self._missing_indexes:
            return select
        return select.with_hint(table, "NOT INDEXED" if index is None else f"INDEXED BY {index.name}", "*")

    def do_without(self, indexes: Iterable[str]) -> None:
        """Name the indexes that this database lacks: a hint that names one would be an error."""
        self.variant = self._missing_indexes = frozenset(indexes)

    def encode_proto(self, value: bytes) -> str:
        return base64.b64encode(value).decode("ascii")

    def decode_proto(self, value: str | bytes) -> bytes:
        return base64.b64decode(value)

    def described(self, error: Exception) -> str:
        return str(error)

    def translate(self, error: Exception) -> HeadwaterError:
        said = str(error)
        if said.startswith("UNIQUE constraint failed: "):
            columns = said.partition(": ")[2].split(", ")
            return AlreadyExists(
                f"another {columns[0].partition('.')[0].lower()} has the same "
                + " and ".join(column.partition(".")[2] for column in columns)
            )
        if _is_busy(error):
            return Aborted("another program kept the database busy for too long; try again")
        if "is full" in said:
            return ResourceExhausted("the disk of the database is full; nothing of this request was stored")
        if "readonly" in said:
            return FailedPrecondition("the database has become read-only; check the file and its directory")
        if "interrupted" in said:
            return Cancelled("the caller stopped waiting")
        if "too big" in said or "too large" in said:
            return ResourceExhausted("a value of the request is larger than the database can hold")
        if "malformed" in said or "not a database" in said:
            return DataLoss("the database file is damaged; run 'headwater db check'")
        if "integer overflow" in said:
            return InvalidRequest(TOO_LARGE_A_RESULT)
        if "pattern too complex" in said:
            return InvalidRequest("a LIKE pattern of filter_query is longer than 50,000 bytes")
        if "surrogates" in said:
            return InvalidRequest("a string of the request is not valid text")
        return Internal("the database refused a statement; the log of the server has the details")


def _pragma(connection: sqlite3.Connection, name: str) -> Any:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def _is_busy(error: Exception) -> bool:
    return "is locked" in str(error) or "is busy" in str(error)


def _why_refused(name: str, said: str) -> str:
    if "not a database" in said or "malformed" in said or "encrypted" in said:
        return f"{name!r} is not a SQLite database; give another path, or move that file away"
    if "readonly" in said or "unable to open" in said:
        return f"{name!r} cannot be opened for writing; check the permissions of the file and its directory"
    if "locked" in said:
        return f"another program keeps {name!r} locked; stop it and start again"
    if "is full" in said:
        return f"the disk that holds {name!r} is full; make room and start again"
    return f"{name!r} cannot be opened: {said}"
