"""Stores in SQLite's files."""

import os
import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import backends
import processes
import stores
from stores import Layout, Row


class Sqlite:
    def __init__(self, directory: Path) -> None:
        self._directory = directory.resolve()
        self._directory.mkdir(parents=True, exist_ok=True)

    def build(self, layout: Layout, maker: str) -> str:
        path = self._directory / f"{backends.store_name(layout, maker)}.db"
        if not path.exists():
            unfinished = path.with_suffix(f".unfinished-{os.getpid()}")
            processes.make_store(maker, _url(unfinished), self._directory)
            _fill(unfinished, layout)
            unfinished.rename(path)
        return _url(path)

    def copy(self, store: str, name: str) -> str:
        copy = self._directory / f"{name}.db"
        shutil.copyfile(_path(store), copy)
        return _url(copy)

    def take(self, store: str, name: str) -> str:
        return _url(_path(store).rename(self._directory / f"{name}.db"))

    def drop(self, copy: str) -> None:
        for ending in ("", "-wal", "-shm", "-journal"):
            Path(f"{_path(copy)}{ending}").unlink(missing_ok=True)

    def kept(self, ending: str) -> list[str]:
        return [_url(path) for path in sorted(self._directory.glob(f"{backends.PREFIX}_*{ending}.db"))]

    def size_bytes(self, database: str) -> int:
        return _path(database).stat().st_size

    def free_bytes(self) -> int | None:
        return shutil.disk_usage(self._directory).free

    def row_counts(self, database: str) -> dict[str, int]:
        connection = sqlite3.connect(_path(database), timeout=30)
        counts = {
            table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in stores.FILLED
        }
        connection.close()
        return counts

    def version(self) -> str:
        return f"SQLite {sqlite3.sqlite_version}"


def _url(path: Path) -> str:
    return f"sqlite:///{path}"


def _path(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def _fill(path: Path, layout: Layout) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -500000", "temp_store = MEMORY"):
        connection.execute(f"PRAGMA {pragma}")
    indexes = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY rowid"
    ).fetchall()

    def write(into: str, rows: list[Row]) -> None:
        connection.executemany(f"INSERT INTO {into} VALUES ({_marks(rows[0])})", rows)

    connection.execute("BEGIN")
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}")
    stores.Content(layout, stores.Rows(write)).write()
    for _, sql in indexes:
        connection.execute(sql)
    connection.execute("COMMIT")
    connection.execute(f"PRAGMA journal_mode = {mode}")
    connection.close()


def _marks(row: Sequence[object]) -> str:
    return ", ".join("?" * len(row))
