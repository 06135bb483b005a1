"""Databases that hold a store of ``stores``: made once for each size, and copied for every side of a run.

A store is made twice, since each of the two programs makes its own tables: MLMD's engine, and headwater,
which has further indexes and wider columns. Then the same rows are written, the indexes last. What is made
stays, as files in a directory or as databases on a server, so that the next run only copies.

    python tests/benchmarks/backends.py build sqlite:10k,postgresql:100k
    python tests/benchmarks/backends.py list
    python tests/benchmarks/backends.py drop
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import processes
from stores import FORMAT, Layout

BACKENDS = ("sqlite", "postgresql", "mysql")
MAKERS = ("mlmd", "headwater")

DEFAULT_POSTGRESQL_URL = "postgresql://root@127.0.0.1:5432/postgres"
DEFAULT_MYSQL_URL = "mysql://root@127.0.0.1:3306/"
PREFIX = "headwater_benchmark"
"""Every database on a server that is ours to drop begins with this."""


@dataclass(frozen=True)
class Case:
    """One column of the results: a backend, a size, and how far away the database is."""

    backend: str
    nodes: int
    delay_ms: float = 0
    """Added between server and database, each way."""

    @property
    def name(self) -> str:
        delay = f"+{self.delay_ms:g}ms" if self.delay_ms else ""
        return f"{self.backend}:{size_text(self.nodes)}{delay}"


class Backend(Protocol):
    """A database program. Stores and copies are known by their URLs, as a program would open them."""

    def build(self, layout: Layout, maker: str) -> str:
        """The store made by ``maker``, made now if it is not there yet."""

    def copy(self, store: str, name: str) -> str:
        """A copy of a store under a name that no other copy has."""

    def take(self, store: str, name: str) -> str:
        """The store itself instead of a copy of it, for stores that are too large to have twice."""

    def drop(self, copy: str) -> None: ...

    def kept(self, ending: str) -> list[str]:
        """Stores, and copies that a run did not drop, of which the name has this ending."""

    def size_bytes(self, database: str) -> int: ...

    def free_bytes(self) -> int | None:
        """On the disk where copies go; ``None`` if that is not this machine's."""

    def row_counts(self, database: str) -> dict[str, int]:
        """Rows a table. Stores that got the same writes have the same."""

    def version(self) -> str: ...


def backend_for(name: str, arguments: argparse.Namespace) -> Backend:
    """The backend with the server or directory that the command line names.

    Raises:
        NotAvailable: its driver is not installed, or its server does not answer.
    """
    try:
        if name == "sqlite":
            from on_sqlite import Sqlite

            return Sqlite(arguments.cache)
        if name == "postgresql":
            from on_postgresql import Postgresql

            return Postgresql(arguments.postgresql_url)
        from on_mysql import Mysql

        return Mysql(arguments.mysql_url)
    except ModuleNotFoundError as exc:
        raise processes.NotAvailable(
            f"{name} needs the module {exc.name}; install headwater[{name}]"
        ) from exc


def store_name(layout: Layout, maker: str) -> str:
    return f"{PREFIX}_store_v{FORMAT}_{maker}_{layout.nodes}{seed_ending(layout.seed)}"


def seed_ending(seed: int) -> str:
    return f"_{seed}"


def size_text(nodes: int) -> str:
    for unit, letter in ((1_000_000, "M"), (1000, "k")):
        if nodes % unit == 0:
            return f"{nodes // unit}{letter}"
    return str(nodes)


def parse_size(word: str) -> int:
    """Number of nodes of a text such as ``10k``, ``1M`` or ``2500``."""
    unit = {"k": 1000, "m": 1_000_000}.get(word[-1:].lower())
    return int(word[:-1]) * unit if unit else int(word)


def parse_cases(text: str) -> list[Case]:
    """Cases from a text such as ``sqlite:10k,postgresql:100k+1ms``.

    Raises:
        ValueError: it is not such a text.
    """
    cases = []
    for word in text.split(","):
        backend, _, rest = word.partition(":")
        size, _, delay = rest.partition("+")
        if backend not in BACKENDS:
            raise ValueError(f"{word!r}: give {', '.join(BACKENDS)}, then a colon and a number of nodes")
        if delay and backend == "sqlite":
            raise ValueError(f"{word!r}: there is no network to SQLite that could be slow")
        cases.append(Case(backend, parse_size(size), float(delay.removesuffix("ms") or 0)))
    return cases


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that say where databases are."""
    parser.add_argument(
        "--cache",
        type=Path,
        default=processes.default_cache(),
        help="directory for SQLite's stores and copies, default %(default)s",
    )
    parser.add_argument(
        "--postgresql-url",
        default=DEFAULT_POSTGRESQL_URL,
        metavar="URL",
        help="a server where databases may be made, default %(default)s",
    )
    parser.add_argument(
        "--mysql-url",
        default=DEFAULT_MYSQL_URL,
        metavar="URL",
        help="a server where databases may be made, default %(default)s",
    )


def build(cases: Sequence[Case], arguments: argparse.Namespace) -> Iterator[str]:
    """Build the stores of some cases; a line about each."""
    for case in dict.fromkeys(Case(case.backend, case.nodes) for case in cases):
        backend = backend_for(case.backend, arguments)
        for maker in arguments.makers.split(","):
            started_s = time.monotonic()
            store = backend.build(Layout(case.nodes, arguments.seed), maker)
            size_mb = backend.size_bytes(store) / 1e6
            yield f"{store}  {size_mb:.0f} MB  {time.monotonic() - started_s:.1f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the benchmark's stores ahead of a run, or drop them.")
    commands = parser.add_subparsers(dest="command", required=True)
    building = commands.add_parser("build")
    building.add_argument("cases", type=parse_cases, help="such as sqlite:10k,postgresql:100k")
    building.add_argument("--seed", type=int, default=7, help="default %(default)s")
    building.add_argument("--makers", default=",".join(MAKERS), help="default %(default)s")
    listing, dropping = commands.add_parser("list"), commands.add_parser("drop")
    for command in (listing, dropping):
        command.add_argument("--backends", default=",".join(BACKENDS), help="default %(default)s")
        command.add_argument("--seed", type=int, help="only what was made from it, default all there is")
    for command in (building, listing, dropping):
        add_options(command)
    arguments = parser.parse_args()
    if arguments.command == "build":
        for line in build(arguments.cases, arguments):
            print(line, file=sys.stderr)
        return
    ending = "" if arguments.seed is None else seed_ending(arguments.seed)
    for name in arguments.backends.split(","):
        backend = backend_for(name, arguments)
        for url in backend.kept(ending):
            print(url)
            if arguments.command == "drop":
                backend.drop(url)


if __name__ == "__main__":
    try:
        main()
    except processes.NotAvailable as exc:
        sys.exit(str(exc))
