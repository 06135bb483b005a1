"""Faults at any statement of a request, made by the database itself.

``FaultyDatabase`` sends a request's statements as always, but before the one that a plan names it lets
the server fail: it raises an error by its code, or another session kills the connection. A fault behind the
last statement strikes when COMMIT has been carried out and nobody knows it yet.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from databases import server_of

from headwater.storage.dialects import Call, Outcome
from headwater.storage.dialects.mysql import MysqlDialect
from headwater.storage.dialects.postgresql import PostgresqlDialect
from headwater.storage.pools import PooledDatabase

Fault = str | Callable[[], None]

KILLED = "killed"
"""The connection is ended by another session."""

FAULTS = {
    "postgresql": ("40001", "40P01", "55P03", KILLED),
    "mysql": ("1213", "1205", KILLED),
}


class Plan:
    """At which statements which faults strike, counted over all attempts of a request.

    In place of a fault there may be a function, which lets something else happen just then.
    """

    def __init__(self, faults: Mapping[int, Fault]) -> None:
        self.faults = dict(faults)
        self.seen = 0
        """How many statements were sent so far."""
        self.struck = 0


class _Faulty:
    """A dialect whose ``run`` lets the faults of ``plan`` happen."""

    plan = Plan({})

    def run(self, connection: Any, calls: Sequence[Call]) -> list[Outcome]:
        plan, outcomes = self.plan, []
        start = 0
        for index in range(len(calls)):
            if plan.seen in plan.faults:
                outcomes += self._run_some(connection, calls[start:index])
                start = index
                plan.struck += 1
                self._strike(connection, plan.faults.pop(plan.seen))
            plan.seen += 1
        outcomes += self._run_some(connection, calls[start:])
        if calls[-1].text == "COMMIT" and plan.seen in plan.faults:
            plan.struck += 1
            self._strike(connection, plan.faults.pop(plan.seen))
            plan.seen += 1
            # What finds out that the connection is gone, as the answer to COMMIT would have.
            super().run(connection, [Call("SELECT 1")])  # type: ignore[misc]  # of the dialect beside this
        return outcomes

    def _run_some(self, connection: Any, calls: Sequence[Call]) -> list[Outcome]:
        return super().run(connection, calls) if calls else []  # type: ignore[misc]

    def _strike(self, connection: Any, fault: Fault) -> None:
        if callable(fault):
            fault()
        elif fault == KILLED:
            self._kill(connection)
        else:
            super().run(connection, [Call(self._raising(fault))])  # type: ignore[misc]

    def _kill(self, connection: Any) -> None:
        raise NotImplementedError

    def _raising(self, code: str) -> str:
        raise NotImplementedError


class FaultyPostgresql(_Faulty, PostgresqlDialect):
    def _kill(self, connection: Any) -> None:
        pid = connection.info.backend_pid
        # With a timeout the function waits until the session has ended.
        server_of("postgresql").execute(f"SELECT pg_terminate_backend({pid}, 5000)")

    def _raising(self, code: str) -> str:
        return f"DO $$ BEGIN RAISE EXCEPTION 'injected' USING ERRCODE = '{code}'; END $$"


class FaultyMysql(_Faulty, MysqlDialect):
    def _kill(self, connection: Any) -> None:
        server = server_of("mysql")
        session = connection.thread_id()
        server.execute(f"KILL {session}")
        while server.execute(f"SELECT 1 FROM information_schema.processlist WHERE id = {session}"):
            pass

    def _raising(self, code: str) -> str:
        return f"SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = {code}, MESSAGE_TEXT = 'injected'"


class FaultyDatabase(PooledDatabase):
    """A store whose requests meet the faults of ``plan``, which may be changed at any time."""

    dialect: FaultyPostgresql | FaultyMysql

    @property
    def plan(self) -> Plan:
        return self.dialect.plan

    @plan.setter
    def plan(self, plan: Plan) -> None:
        self.dialect.plan = plan


@contextmanager
def faulty_database(backend: str, url: str, **options: Any) -> Iterator[FaultyDatabase]:
    """The store at ``url``, which must have its tables."""
    import sqlalchemy as sa

    kind = {"postgresql": FaultyPostgresql, "mysql": FaultyMysql}[backend]
    dialect = kind(sa.make_url(url))
    connection = dialect.connect()
    try:
        dialect.learn(connection)
    finally:
        connection.close()
    database = FaultyDatabase(dialect, **options)
    try:
        yield database
    finally:
        database.close()
