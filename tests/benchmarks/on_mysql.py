"""Stores in databases of MySQL or MariaDB, filled with LOAD DATA LOCAL; a copy is made table by table."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import backends
import processes
import pymysql
import stores
from pymysql.cursors import Cursor
from stores import Layout, Row


class Mysql:
    def __init__(self, url: str) -> None:
        self._url = url
        try:
            self._server = _connect(url, local_infile=True)
        except pymysql.OperationalError as exc:
            raise processes.NotAvailable(f"no MySQL for --mysql-url: {exc}") from exc

    def build(self, layout: Layout, maker: str) -> str:
        name = backends.store_name(layout, maker)
        # A database cannot be renamed, so a mark beside the tables says that it is complete.
        if (name, "finished") not in self._tables(name):
            self._run(f"DROP DATABASE IF EXISTS {name}")
            self._run(f"CREATE DATABASE {name}")
            try:
                processes.make_store(maker, self._database(name), processes.default_cache())
                self._fill(name, lambda cursor: _load(cursor, layout))
                self._run(f"CREATE TABLE {name}.finished (at TIMESTAMP)")
            except BaseException:
                self._run(f"DROP DATABASE {name}")
                raise
        return self._database(name)

    def copy(self, store: str, name: str) -> str:
        source = _name(store)
        self._run(f"CREATE DATABASE {name}")
        tables = [table for _, table in self._tables(source) if table != "finished"]
        for table in tables:
            self._run(f"CREATE TABLE {name}.`{table}` LIKE {source}.`{table}`")

        def rows_of_source(cursor: Cursor) -> None:
            for table in tables:
                cursor.execute(f"INSERT INTO `{table}` SELECT * FROM {source}.`{table}`")

        self._fill(name, rows_of_source)
        return self._database(name)

    def take(self, store: str, name: str) -> str:
        self._run(f"CREATE DATABASE {name}")
        for _, table in self._tables(_name(store)):
            if table != "finished":
                self._run(f"RENAME TABLE {_name(store)}.`{table}` TO {name}.`{table}`")
        self._run(f"DROP DATABASE {_name(store)}")
        return self._database(name)

    def drop(self, copy: str) -> None:
        self._run(f"DROP DATABASE {_name(copy)}")

    def kept(self, ending: str) -> list[str]:
        rows = self._run("SELECT schema_name FROM information_schema.schemata ORDER BY 1")
        names = [name for (name,) in rows if name.startswith(backends.PREFIX)]
        return [self._database(name) for name in names if name.endswith(ending)]

    def size_bytes(self, database: str) -> int:
        rows = self._run(
            "SELECT CAST(sum(data_length + index_length) AS SIGNED) FROM information_schema.tables "
            f"WHERE table_schema = '{_name(database)}'"
        )
        return rows[0][0]

    def free_bytes(self) -> int | None:
        return None

    def row_counts(self, database: str) -> dict[str, int]:
        return {
            table: self._run(f"SELECT count(*) FROM {_name(database)}.`{table}`")[0][0]
            for table in stores.FILLED
        }

    def version(self) -> str:
        text = self._run("SELECT version()")[0][0]
        return f"{'MariaDB' if 'MariaDB' in text else 'MySQL'} {text.split('-')[0]}"

    def _run(self, sql: str) -> Sequence[Sequence[object]]:
        with self._server.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()

    def _tables(self, name: str) -> Sequence[Sequence[object]]:
        return self._run(
            "SELECT table_schema, table_name FROM information_schema.tables "
            f"WHERE table_schema = '{name}' ORDER BY 2"
        )

    def _database(self, name: str) -> str:
        return urlunsplit(urlsplit(self._url)._replace(path=f"/{name}"))

    def _fill(self, name: str, write: Callable[[Cursor], None]) -> None:
        """Let ``write`` put rows into the tables of a database while these have only their primary keys."""
        self._server.select_db(name)
        with self._server.cursor() as cursor, _without_indexes(cursor):
            cursor.execute("SET unique_checks = 0, foreign_key_checks = 0")
            self._server.begin()
            write(cursor)
            self._server.commit()
        with self._server.cursor() as cursor:
            cursor.execute("SET unique_checks = 1, foreign_key_checks = 1")
            tables = ", ".join(f"`{table}`" for _, table in self._tables(name))
            cursor.execute(f"ANALYZE TABLE {tables}")


def _connect(url: str, **options: object) -> pymysql.Connection:
    parts = urlsplit(url)
    return pymysql.connect(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 3306,
        user=unquote(parts.username or "root"),
        password=unquote(parts.password or ""),
        autocommit=True,
        **options,
    )


def _name(url: str) -> str:
    return urlsplit(url).path[1:]


@contextlib.contextmanager
def _without_indexes(cursor: Cursor) -> Iterator[None]:
    """Drop all indexes but the primary keys, and add them again at the end in their old order."""
    cursor.execute("SHOW TABLES")
    found = {table: _indexes(cursor, table) for (table,) in cursor.fetchall()}
    for table, indexes in found.items():
        if indexes:
            cursor.execute(f"ALTER TABLE `{table}` {', '.join(f'DROP INDEX `{name}`' for name in indexes)}")
    yield
    for table, indexes in found.items():
        if indexes:
            cursor.execute(f"ALTER TABLE `{table}` {', '.join(f'ADD {text}' for text in indexes.values())}")


def _indexes(cursor: Cursor, table: str) -> dict[str, str]:
    """The definitions of a table's indexes by their names, without the primary key."""
    cursor.execute(f"SHOW INDEX FROM `{table}`")
    columns: dict[str, list[str]] = {}
    kinds: dict[str, str] = {}
    for _, non_unique, name, _, column, _, _, length, *_ in cursor.fetchall():
        if name != "PRIMARY":
            kinds[name] = "INDEX" if non_unique else "UNIQUE INDEX"
            columns.setdefault(name, []).append(f"`{column}`({length})" if length else f"`{column}`")
    return {name: f"{kind} `{name}` ({', '.join(columns[name])})" for name, kind in kinds.items()}


def _load(cursor: Cursor, layout: Layout) -> None:
    cursor.execute("SELECT @@local_infile")
    if not cursor.fetchone()[0]:
        _insert(cursor, layout)
        return
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "rows"

        def write(into: str, rows: list[Row]) -> None:
            lines = ["\t".join([r"\N" if value is None else str(value) for value in row]) for row in rows]
            path.write_text("\n".join(lines) + "\n")
            cursor.execute(f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE {into}")

        stores.Content(layout, stores.Rows(write)).write()


def _insert(cursor: Cursor, layout: Layout) -> None:
    """Slower than ``_load``, for servers that take no files from clients."""

    def write(into: str, rows: list[Row]) -> None:
        cursor.executemany(f"INSERT INTO {into} VALUES ({', '.join(['%s'] * len(rows[0]))})", rows)

    stores.Content(layout, stores.Rows(write)).write()
