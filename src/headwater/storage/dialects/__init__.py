"""What SQLite, PostgreSQL and MySQL do differently.

No other module names a database. ``Dialect`` asks the questions: how to connect, how rows are inserted,
how a list of values is bound, how values are encoded, and what a driver's error means. A module each
answers them.
"""

import time

import sqlalchemy as sa

from headwater.errors import InvalidRequest
from headwater.storage.dialects.base import (
    Call,
    Dialect,
    InList,
    Outcome,
    Values,
    checked_member,
    explained,
    shown_url,
)
from headwater.storage.dialects.server import ServerDialect
from headwater.storage.dialects.sqlite import SqliteDialect

__all__ = [
    "Call",
    "Dialect",
    "InList",
    "Outcome",
    "ServerDialect",
    "SqliteDialect",
    "Values",
    "checked_member",
    "dialect_for",
    "explained",
    "shown_url",
    "wall_clock_ms",
]

_BACKENDS = ("sqlite", "postgresql", "mysql", "mariadb")


def dialect_for(database_url: str, *, create: bool = True) -> Dialect:
    """The dialect that serves ``database_url``. Nothing is connected yet.

    Raises:
        InvalidRequest: not a URL, a database that is not supported, or its driver is not installed.
    """
    try:
        url = sa.make_url(database_url)
    except (sa.exc.ArgumentError, ValueError) as error:
        # What looks like a URL may hold a password.
        given = "this" if "@" in database_url or ":" in database_url else repr(database_url)
        raise InvalidRequest(
            f"{given} is not a database URL; write for example sqlite:////var/lib/headwater.db (four slashes "
            "for an absolute path) or postgresql://user:password@host/database"
        ) from error
    backend = url.get_backend_name()
    if backend == "sqlite":
        return SqliteDialect(url, create=create)
    # Drivers are loaded only when they are asked for.
    if backend == "postgresql":
        from headwater.storage.dialects.postgresql import PostgresqlDialect

        return PostgresqlDialect(url)
    if backend in ("mysql", "mariadb"):
        from headwater.storage.dialects.mysql import MysqlDialect

        return MysqlDialect(url)
    raise InvalidRequest(
        f"{backend!r} databases are not supported; the URL must begin with one of: "
        + ", ".join(f"{name}://" for name in _BACKENDS)
    )


def wall_clock_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
