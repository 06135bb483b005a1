"""Callers who stop waiting, are interrupted, fork or close: nothing is left that hurts the next one."""

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from databases import server_of
from faults.load import put_types, step
from faults.serving import Serve

from headwater.embedded import EmbeddedTransport
from headwater.errors import Cancelled, DeadlineExceeded, Unavailable
from headwater.storage.callers import Caller, Deadline
from headwater.storage.database import Database
from headwater.storage.opening import open_database
from headwater.storage.statements import Prepared
from headwater.storage.transactions import Transaction
from headwater.v1 import metadata_store_service_pb2 as rpc

pytestmark = pytest.mark.backends("postgresql", "mysql")

CONNECTIONS = 3


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    database = open_database(store_url, connections=CONNECTIONS)
    yield database
    database.close()


class Leaving(Caller):
    """One who goes away without having said when."""

    def __init__(self) -> None:
        self.has_left = threading.Event()

    def still_waits(self) -> bool:
        return not self.has_left.is_set()


def sleep(backend: str, seconds: float) -> Prepared:
    """A query that takes so long."""
    asleep = sa.func.pg_sleep(seconds) if backend == "postgresql" else sa.func.sleep(seconds)
    return Prepared(sa.select(sa.cast(asleep, sa.Text if backend == "postgresql" else sa.CHAR)))


def endless(backend: str) -> Prepared:
    """A query that takes longer than anybody waits."""
    if backend == "postgresql":
        return sleep(backend, 600)
    # MySQL's sleep, when it is stopped, ends as if nothing had happened.
    numbers = sa.select(sa.literal(1).label("sleep(")).cte("numbers", recursive=True)
    numbers = numbers.union_all(sa.select(numbers.c[0] + 1).where(numbers.c[0] < 900))
    more = [numbers.alias() for _ in range(4)]
    return Prepared(sa.select(sa.func.count()).select_from(numbers, *more))


def running(backend: str, url: str) -> int:
    """How many statements run in a database at the moment that sleep."""
    name = sa.make_url(url).database
    if backend == "postgresql":
        of_database = f"pg_stat_activity WHERE datname = '{name}' AND state = 'active'"
        query = f"SELECT count(*) FROM {of_database} AND query LIKE '%pg_sleep%'"
    else:
        of_database = f"information_schema.processlist WHERE db = '{name}'"
        query = f"SELECT count(*) FROM {of_database} AND info LIKE '%sleep(%'"
    return server_of(backend).execute(query)[0][0]


def in_transaction(backend: str, url: str) -> int:
    """How many connections to a database are in a transaction."""
    name = sa.make_url(url).database
    if backend == "postgresql":
        query = (
            f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND state LIKE '%transaction%'"
        )
    else:
        query = (
            "SELECT count(*) FROM information_schema.innodb_trx t JOIN information_schema.processlist p "
            f"ON p.id = t.trx_mysql_thread_id WHERE p.db = '{name}'"
        )
    return server_of(backend).execute(query)[0][0]


def works(database: Database) -> bool:
    """Whether every connection can be used, for reading and writing."""
    call = EmbeddedTransport(database).call
    types = put_types(call)
    with ThreadPoolExecutor(4 * CONNECTIONS) as threads:
        list(threads.map(lambda name: call("PutExecution", step(types, name)), map(str, range(20))))
        reads = [call("GetExecutions", rpc.GetExecutionsRequest()) for _ in range(CONNECTIONS)]
    return all(len(read.executions) == 20 for read in reads)


@pytest.mark.parametrize("kind", ["read", "write"])
def test_a_deadline_ends_a_long_statement(
    kind: str, backend: str, store_url: str, database: Database
) -> None:
    began = time.monotonic()

    with pytest.raises(DeadlineExceeded, match="the deadline passed before the answer was ready"):
        getattr(database, kind)(lambda tx: tx.rows(endless(backend)), Deadline(0.5))

    assert time.monotonic() - began < 10
    assert running(backend, store_url) == 0
    assert works(database)


def test_a_caller_who_leaves_stops_a_long_read(backend: str, store_url: str, database: Database) -> None:
    leaving = Leaving()
    timer = threading.Timer(0.5, leaving.has_left.set)
    timer.start()
    began = time.monotonic()

    with pytest.raises(Cancelled):
        database.read(lambda tx: tx.rows(endless(backend)), leaving)

    assert time.monotonic() - began < 10
    assert running(backend, store_url) == 0
    assert works(database)


def test_a_client_that_hangs_up_stops_its_read(backend: str, store_url: str, serve: Serve) -> None:
    client = serve(store_url).client()
    put_types(client)
    with server_of(backend).connection(sa.make_url(store_url).database) as blocker:
        # Readers wait for whoever redefines a table.
        cursor = blocker.cursor()
        cursor.execute(
            "BEGIN; LOCK TABLE Artifact IN ACCESS EXCLUSIVE MODE"
            if backend == "postgresql"
            else "LOCK TABLES Artifact WRITE"
        )
        answer = client.future("GetArtifacts", rpc.GetArtifactsRequest())
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            if backend == "postgresql"
            else "SELECT count(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for table m%'"
        )
        until(lambda: server_of(backend).execute(waiting)[0][0] == 1)

        answer.cancel()

        until(lambda: server_of(backend).execute(waiting)[0][0] == 0)
        cursor.execute("ROLLBACK" if backend == "postgresql" else "UNLOCK TABLES")
    assert client("GetArtifacts", rpc.GetArtifactsRequest()) == rpc.GetArtifactsResponse()


def until(condition: object, patience_s: float = 9) -> None:
    end = time.monotonic() + patience_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.15)  # InnoDB tells nothing new to one who asks more often.


def test_work_is_not_begun_for_one_who_has_gone(database: Database) -> None:
    for kind in ("read", "write"):
        with pytest.raises(DeadlineExceeded):
            getattr(database, kind)(lambda tx: pytest.fail("it was begun"), Deadline(-1))


def test_one_who_waits_for_a_connection_goes_at_its_deadline(
    backend: str, store_url: str, database: Database
) -> None:
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        busy = [
            threads.submit(database.read, lambda tx: tx.rows(sleep(backend, 2))) for _ in range(CONNECTIONS)
        ]
        until(lambda: running(backend, store_url) == CONNECTIONS)
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            database.read(lambda tx: tx.rows(sleep(backend, 0)), Deadline(0.3))
        assert time.monotonic() - began < 1.2
        for one in busy:
            one.result()
    assert works(database)


def test_no_more_connections_are_made_than_there_may_be(
    backend: str, store_url: str, database: Database
) -> None:
    assert works(database)
    name = sa.make_url(store_url).database
    table, column = {
        "postgresql": ("pg_stat_activity", "datname"),
        "mysql": ("information_schema.processlist", "db"),
    }[backend]
    ((count,),) = server_of(backend).execute(f"SELECT count(*) FROM {table} WHERE {column} = '{name}'")

    assert 1 <= count <= CONNECTIONS


@pytest.mark.parametrize("kind", ["read", "write"])
def test_an_interrupt_in_the_middle_of_a_statement(
    kind: str, backend: str, store_url: str, database: Database
) -> None:
    for delay_s in (0.0, 0.05, 0.2):
        timer = threading.Timer(
            delay_s, lambda: signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        )
        with pytest.raises(KeyboardInterrupt):
            timer.start()
            while True:
                getattr(database, kind)(lambda tx: tx.rows(sleep(backend, 0.3)))
        timer.join()

    until(lambda: in_transaction(backend, store_url) == 0)
    assert works(database)


def test_many_interrupts_anywhere_leave_no_connection_in_a_transaction_and_none_lost(
    backend: str, store_url: str, database: Database
) -> None:
    call = EmbeddedTransport(database).call
    types = put_types(call)
    stop = threading.Event()

    def interrupt() -> None:
        while not stop.wait(random.uniform(0, 0.2)):
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    written = interrupted = 0
    try:
        thread.start()
        end = time.monotonic() + 4
        while time.monotonic() < end:
            try:
                call("PutExecution", step(types, f"step {written}"))
                written += 1
            except KeyboardInterrupt:
                interrupted += 1
    except KeyboardInterrupt:
        interrupted += 1
    finally:
        while thread.is_alive():
            try:
                stop.set()
                thread.join()
            except KeyboardInterrupt:
                interrupted += 1
        try:
            time.sleep(0.05)
        except KeyboardInterrupt:
            interrupted += 1

    assert interrupted > 5
    until(lambda: in_transaction(backend, store_url) == 0)
    with ThreadPoolExecutor(4 * CONNECTIONS) as threads:
        again = list(threads.map(lambda name: call("PutExecution", step(types, name)), map(str, range(30))))
    assert len({answer.execution_id for answer in again}) == 30


def test_closing_waits_for_what_is_under_way(backend: str, store_url: str, database: Database) -> None:
    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(database.read, lambda tx: tx.rows(sleep(backend, 1)))
        until(lambda: running(backend, store_url) == 1)
        database.close()
        assert reading.done()
        assert len(reading.result()) == 1
    with pytest.raises(Unavailable, match="the store is closed"):
        database.read(lambda tx: tx.rows(sleep(backend, 0)))


def test_a_closed_store_leaves_no_connection_open(backend: str, store_url: str) -> None:
    name = sa.make_url(store_url).database
    table, column = {
        "postgresql": ("pg_stat_activity", "datname"),
        "mysql": ("information_schema.processlist", "db"),
    }[backend]
    database = open_database(store_url, connections=CONNECTIONS)
    works(database)
    database.close()

    until(
        lambda: (
            server_of(backend).execute(f"SELECT count(*) FROM {table} WHERE {column} = '{name}'")
            in ([(0,)], ((0,),))
        )
    )


def test_a_child_and_its_parent_use_the_store_side_by_side(backend: str, database: Database) -> None:
    call = EmbeddedTransport(database).call
    types = put_types(call)
    call("PutExecution", step(types, "before"))
    children = []
    for number in range(3):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                for turn in range(10):
                    call("PutExecution", step(types, f"child {number} {turn}"))
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    for turn in range(10):
        call("PutExecution", step(types, f"parent {turn}"))

    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    found = call("GetExecutions", rpc.GetExecutionsRequest()).executions
    assert len({execution.custom_properties["step"].string_value for execution in found}) == 41
    assert len(found) == 41


def test_a_failure_in_the_middle_of_work_takes_it_back(
    backend: str, store_url: str, database: Database
) -> None:
    class Fault(Exception):
        pass

    types = put_types(EmbeddedTransport(database).call)

    def work(tx: Transaction) -> None:
        from headwater.service.steps import put_execution

        put_execution(tx, step(types, "one"))
        tx.rows(sleep(backend, 0))
        raise Fault

    for _ in range(2 * CONNECTIONS):
        with pytest.raises(Fault):
            database.write(work)

    assert in_transaction(backend, store_url) == 0
    assert works(database)
