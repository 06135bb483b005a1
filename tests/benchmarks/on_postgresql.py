"""Stores in PostgreSQL's databases, filled with COPY; a copy is a database made from another as template.

Started as a program, this file fills some tables of one database: ``fill`` starts it once for each group of
tables, so that making the rows keeps several cores busy. Each table is written by one connection in the
order of the content, since the order of rows in a table is what gives the steps of an event's path theirs.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import backends
import processes
import psycopg
import stores
from stores import Layout, Row

TABLE_GROUPS = (
    ("ArtifactProperty", "Artifact"),
    ("Event", "EventPath", "Attribution"),
    tuple(
        table
        for table in stores.FILLED
        if table not in ("ArtifactProperty", "Artifact", "Event", "EventPath", "Attribution")
    ),
)
"""Of about as many rows each."""
INDEXES_AT_ONCE = 3


class Postgresql:
    def __init__(self, url: str) -> None:
        self._url = url
        try:
            self._server = psycopg.connect(url, autocommit=True)
        except psycopg.OperationalError as exc:
            raise processes.NotAvailable(f"no PostgreSQL for --postgresql-url: {exc}") from exc

    def build(self, layout: Layout, maker: str) -> str:
        name = backends.store_name(layout, maker)
        if name not in self._names():
            unfinished = f"{backends.PREFIX}_unfinished_{os.getpid()}"
            self._server.execute(f"CREATE DATABASE {unfinished} TEMPLATE template0 ENCODING 'UTF8'")
            try:
                processes.make_store(maker, self._database(unfinished), processes.default_cache())
                fill(self._database(unfinished), layout)
                self._server.execute(f"ALTER DATABASE {unfinished} RENAME TO {name}")
            except BaseException:
                self._server.execute(f"DROP DATABASE {unfinished} WITH (FORCE)")
                raise
        return self._database(name)

    def copy(self, store: str, name: str) -> str:
        # The other strategy writes every block to the log too.
        self._server.execute(f"CREATE DATABASE {name} TEMPLATE {_name(store)} STRATEGY FILE_COPY")
        return self._database(name)

    def take(self, store: str, name: str) -> str:
        self._server.execute(f"ALTER DATABASE {_name(store)} RENAME TO {name}")
        return self._database(name)

    def drop(self, copy: str) -> None:
        self._server.execute(f"DROP DATABASE {_name(copy)} WITH (FORCE)")

    def kept(self, ending: str) -> list[str]:
        names = [name for name in self._names() if name.startswith(backends.PREFIX)]
        return [self._database(name) for name in names if name.endswith(ending)]

    def size_bytes(self, database: str) -> int:
        return self._value(f"SELECT pg_database_size('{_name(database)}')")

    def free_bytes(self) -> int | None:
        directory = Path(self._value("SHOW data_directory"))
        is_here = urlsplit(self._url).hostname in (None, "127.0.0.1", "::1", "localhost")
        return shutil.disk_usage(directory.anchor).free if is_here else None

    def row_counts(self, database: str) -> dict[str, int]:
        with psycopg.connect(database) as connection:
            return {
                table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                for table in stores.FILLED
            }

    def version(self) -> str:
        return f"PostgreSQL {self._value('SHOW server_version').split()[0]}"

    def _value(self, sql: str) -> object:
        return self._server.execute(sql).fetchone()[0]

    def _names(self) -> list[str]:
        return [name for (name,) in self._server.execute("SELECT datname FROM pg_database ORDER BY 1")]

    def _database(self, name: str) -> str:
        return urlunsplit(urlsplit(self._url)._replace(path=f"/{name}"))


def _name(url: str) -> str:
    return urlsplit(url).path[1:]


def fill(url: str, layout: Layout) -> None:
    """Write the rows of ``layout`` into the empty tables of a database."""
    with psycopg.connect(url, autocommit=True) as connection:
        definitions = list(_drop_indexes(connection))
    _copy_groups(url, layout)
    # The tables with the most to index first; no two statements of a table need to wait for each other.
    with ThreadPoolExecutor(INDEXES_AT_ONCE) as pool:
        list(pool.map(lambda definition: _define(url, definition), definitions))
    with psycopg.connect(url, autocommit=True) as connection:
        _advance_sequences(connection)
        # Nothing is left that autovacuum would do in the middle of a measurement.
        connection.execute("VACUUM (FREEZE, ANALYZE)")
        connection.execute("CHECKPOINT")


def _drop_indexes(connection: psycopg.Connection) -> Iterator[str]:
    """Drop the indexes and keys of all tables; what makes each of them again."""
    constraints = connection.execute(
        "SELECT conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE connamespace = 'public'::regnamespace AND contype IN ('p', 'u')"
    ).fetchall()
    for table, name, _ in constraints:
        connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    indexes = connection.execute(
        "SELECT quote_ident(indexname), indexdef FROM pg_indexes WHERE schemaname = 'public' "
        "ORDER BY tablename LIKE '%property' DESC, 1"
    ).fetchall()
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}")
    yield from (definition for _, definition in indexes)
    for table, name, definition in sorted(constraints, reverse=True):
        columns = definition.partition("(")[2].partition(")")[0]
        unique = f"CREATE UNIQUE INDEX {name} ON {table} ({columns})"
        # Made as an index first: that locks the table against writes only, a key locks it altogether.
        kind = "PRIMARY KEY" if definition.startswith("PRIMARY") else "UNIQUE"
        yield f"{unique}; ALTER TABLE {table} ADD CONSTRAINT {name} {kind} USING INDEX {name}"


def _copy_groups(url: str, layout: Layout) -> None:
    children = []
    try:
        for tables in TABLE_GROUPS:
            command = [
                sys.executable,
                str(Path(__file__).resolve()),
                "--url",
                url,
                "--tables",
                ",".join(tables),
            ]
            command += ["--nodes", str(layout.nodes), "--seed", str(layout.seed)]
            children.append(subprocess.Popen(command))
        for child in children:
            if child.wait():
                raise subprocess.CalledProcessError(child.returncode, child.args)
    finally:
        for child in children:
            child.kill()
            child.wait()


def _define(url: str, definition: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET maintenance_work_mem = '512MB'")
        for statement in definition.split("; "):
            connection.execute(statement)


def _advance_sequences(connection: psycopg.Connection) -> None:
    serial = connection.execute(
        "SELECT table_name, pg_get_serial_sequence(quote_ident(table_name), column_name) "
        "FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'id'"
    ).fetchall()
    for table, sequence in serial:
        if sequence:
            connection.execute(
                f"SELECT setval('{sequence}', max(id)) FROM {table} HAVING max(id) IS NOT NULL"
            )


def _text(rows: Sequence[Row]) -> str:
    # The content has neither tabs nor backslashes.
    lines = ["\t".join([r"\N" if value is None else str(value) for value in row]) for row in rows]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Fill some tables of a database; started by this module.")
    for name in ("--url", "--tables"):
        parser.add_argument(name, required=True)
    for name in ("--nodes", "--seed"):
        parser.add_argument(name, type=int, required=True)
    arguments = parser.parse_args()
    with psycopg.connect(arguments.url) as connection, connection.cursor() as cursor:

        def write(into: str, rows: list[Row]) -> None:
            with cursor.copy(f"COPY {into} FROM STDIN") as copy:
                copy.write(_text(rows))

        rows = stores.Rows(write, arguments.tables.split(","))
        stores.Content(Layout(arguments.nodes, arguments.seed), rows).write()


if __name__ == "__main__":
    main()
