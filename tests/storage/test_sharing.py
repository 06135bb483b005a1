"""Many threads and programs on one store: nobody waits in vain, nobody sees half of a change."""

import os
import signal
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from databases import server_of
from google.protobuf.message import Message

from headwater.embedded import EmbeddedTransport, open_transport
from headwater.errors import AlreadyExists, DeadlineExceeded, InvalidRequest, ResourceExhausted, Unavailable
from headwater.storage.callers import Deadline
from headwater.storage.database import Database
from headwater.storage.opening import open_database
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc

DATA = 10


@pytest.fixture
def url(database_url: str) -> str:
    return database_url


@pytest.fixture
def store(url: str) -> Iterator[EmbeddedTransport]:
    store = open_transport(url)
    store.call("PutArtifactType", rpc.PutArtifactTypeRequest(artifact_type=pb.ArtifactType(name="Data")))
    yield store
    store.close()


def put(store: EmbeddedTransport, *artifacts: pb.Artifact) -> list[int]:
    return list(store.call("PutArtifacts", rpc.PutArtifactsRequest(artifacts=artifacts)).artifact_ids)  # type: ignore[attr-defined]


def get(store: EmbeddedTransport, *ids: int) -> list[pb.Artifact]:
    return list(store.call("GetArtifactsByID", rpc.GetArtifactsByIDRequest(artifact_ids=ids)).artifacts)  # type: ignore[attr-defined]


def everything(store: EmbeddedTransport) -> list[pb.Artifact]:
    return list(store.call("GetArtifacts", rpc.GetArtifactsRequest()).artifacts)  # type: ignore[attr-defined]


def test_writes_of_many_threads_share_commits_and_fail_alone(store: EmbeddedTransport) -> None:
    put(store, pb.Artifact(type_id=DATA, name="taken"))

    def write(number: int) -> bool:
        name = "taken" if number % 3 == 0 else f"n{number}"
        try:
            put(
                store,
                pb.Artifact(type_id=DATA, name=f"first of {number}"),
                pb.Artifact(type_id=DATA, name=name),
            )
        except AlreadyExists:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        succeeded = list(pool.map(write, range(300)))

    assert succeeded == [number % 3 != 0 for number in range(300)]
    names = {found.name for found in everything(store)}
    written = [number for number in range(300) if number % 3]
    assert names == {"taken", *(f"n{n}" for n in written), *(f"first of {n}" for n in written)}


def test_a_write_that_fails_half_way_leaves_nothing(store: EmbeddedTransport) -> None:
    with pytest.raises(InvalidRequest):
        put(store, pb.Artifact(type_id=DATA, name="good"), pb.Artifact(type_id=DATA, id=99))

    assert everything(store) == []
    assert put(store, pb.Artifact(type_id=DATA, name="good"))


def test_a_write_whose_deadline_has_passed_is_not_begun(url: str) -> None:
    database = open_database(url)
    ran: list[int] = []

    with pytest.raises(DeadlineExceeded):
        database.write(lambda tx: ran.append(1), Deadline(0))
    assert not ran
    database.close()


@pytest.fixture
def release(store: EmbeddedTransport, backend: str, url: str) -> Iterator[Callable[[], None]]:
    """Another program writes to the store, and nobody else can, until this is called."""
    if backend == "sqlite":
        other = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        yield other.close
        other.close()
        return
    with server_of(backend).connection(sa.make_url(url).database) as other:
        cursor = other.cursor()
        if backend == "postgresql":
            cursor.execute("BEGIN")
            cursor.execute("LOCK TABLE Artifact IN EXCLUSIVE MODE")
            yield lambda: cursor.execute("ROLLBACK")
        else:
            cursor.execute("LOCK TABLES Artifact WRITE")
            yield lambda: cursor.execute("UNLOCK TABLES")


def test_a_deadline_holds_while_another_program_writes(
    store: EmbeddedTransport, release: Callable[[], None]
) -> None:
    request = rpc.PutArtifactsRequest(artifacts=[pb.Artifact(type_id=DATA)])

    with pytest.raises(DeadlineExceeded):
        store.call("PutArtifacts", request, timeout_s=0.2)
    release()
    assert everything(store) == [], "the write that was given up is not stored"
    assert put(store, pb.Artifact(type_id=DATA))


def test_a_caller_interrupted_while_it_waits_leaves_the_store_in_order(
    store: EmbeddedTransport, release: Callable[[], None]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(KeyboardInterrupt):
            put(store, pb.Artifact(type_id=DATA))
    finally:
        signal.signal(signal.SIGALRM, before)
    release()
    assert everything(store) == [], "the write that was given up is not stored"
    assert put(store, pb.Artifact(type_id=DATA))


def test_a_long_read_stops_when_its_deadline_passes(store: EmbeddedTransport) -> None:
    put(store, *[pb.Artifact(type_id=DATA, name=f"n{n}") for n in range(20_000)])
    slow = rpc.GetArtifactsRequest()

    with pytest.raises(DeadlineExceeded):
        store.call("GetArtifacts", slow, timeout_s=0.02)


def test_two_stores_on_one_database_see_each_other_at_once(store: EmbeddedTransport, url: str) -> None:
    other = open_transport(url)
    (artifact_id,) = put(store, pb.Artifact(type_id=DATA, uri="v0"))
    for number in range(1, 50):
        writer, reader = (store, other) if number % 2 else (other, store)
        assert get(reader, artifact_id)[0].uri == f"v{number - 1}"
        put(writer, pb.Artifact(id=artifact_id, uri=f"v{number}"))
        assert get(reader, artifact_id)[0].uri == get(writer, artifact_id)[0].uri == f"v{number}"
    other.close()


def test_a_type_extended_by_another_program_is_known_at_once(store: EmbeddedTransport, url: str) -> None:
    put(store, pb.Artifact(type_id=DATA))
    other = open_transport(url)
    extended = pb.ArtifactType(name="Data", properties={"rows": pb.INT})
    other.call("PutArtifactType", rpc.PutArtifactTypeRequest(artifact_type=extended, can_add_fields=True))
    other.close()

    assert put(store, pb.Artifact(type_id=DATA, properties={"rows": pb.Value(int_value=3)}))


def test_readers_never_see_half_of_a_change(store: EmbeddedTransport, url: str) -> None:
    """Each write moves all ten artifacts to one uri; a reader that sees two uris has seen a torn state."""
    ids = put(store, *[pb.Artifact(type_id=DATA, uri="v0")] * 10)
    other = open_transport(url)
    stop = threading.Event()
    torn: list[set[str]] = []

    def read(reader: EmbeddedTransport, reads: Callable[[], Message]) -> None:
        while not stop.is_set():
            uris = {found.uri for found in reads().artifacts}  # type: ignore[attr-defined]
            if len(uris) != 1:
                torn.append(uris)

    def by_id(reader: EmbeddedTransport, some: list[int]) -> Callable[[], Message]:
        return lambda: reader.call("GetArtifactsByID", rpc.GetArtifactsByIDRequest(artifact_ids=some))

    def listed(reader: EmbeddedTransport) -> Callable[[], Message]:
        return lambda: reader.call("GetArtifacts", rpc.GetArtifactsRequest(options=pb.ListOperationOptions()))

    readers = [
        threading.Thread(target=read, args=(store, by_id(store, ids))),
        threading.Thread(target=read, args=(store, by_id(store, ids[:3]))),
        threading.Thread(target=read, args=(store, listed(store))),
        threading.Thread(target=read, args=(other, by_id(other, ids))),
        threading.Thread(target=read, args=(other, listed(other))),
    ]
    for thread in readers:
        thread.start()
    for number in range(40):
        writer = store if number % 2 else other
        put(writer, *[pb.Artifact(id=artifact_id, uri=f"v{number}") for artifact_id in ids])
    stop.set()
    for thread in readers:
        thread.join()
    other.close()

    assert not torn


def test_programs_that_write_to_one_database_at_once_all_succeed(
    store: EmbeddedTransport, url: str, python: str
) -> None:
    program = f"""
from headwater.embedded import open_transport
from headwater.v1 import metadata_store_pb2 as pb, metadata_store_service_pb2 as rpc
store = open_transport({url!r})
for _ in range(100):
    store.call("PutArtifacts", rpc.PutArtifactsRequest(artifacts=[pb.Artifact(type_id={DATA})]))
"""
    programs = [subprocess.Popen([python, "-c", program]) for _ in range(6)]
    mine = [put(store, pb.Artifact(type_id=DATA))[0] for _ in range(100)]

    assert [process.wait() for process in programs] == [0] * 6
    assert len(set(mine)) == 100
    assert len(everything(store)) == 700


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_a_store_works_on_both_sides_of_a_fork(store: EmbeddedTransport) -> None:
    (before,) = put(store, pb.Artifact(type_id=DATA, uri="before"))
    child = os.fork()
    if child == 0:
        put(store, pb.Artifact(type_id=DATA, uri="child"))
        os._exit(0 if get(store, before)[0].uri == "before" else 1)
    put(store, pb.Artifact(type_id=DATA, uri="parent"))

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert sorted(found.uri for found in everything(store)) == ["before", "child", "parent"]


@pytest.mark.backends("sqlite")
def test_a_full_disk_refuses_the_write_and_harms_nothing(url: str) -> None:
    database = open_database(url)
    store = EmbeddedTransport(database)
    store.call("PutArtifactType", rpc.PutArtifactTypeRequest(artifact_type=pb.ArtifactType(name="Data")))
    put(store, pb.Artifact(type_id=DATA, uri="before"))
    # SQLite raises the same error when the file may not grow as when the disk is full.
    (pages,) = database.write(lambda tx: tx.begun().execute("PRAGMA page_count").fetchone())
    database.write(lambda tx: tx.begun().execute(f"PRAGMA max_page_count={pages}").fetchall())

    with pytest.raises(ResourceExhausted, match="full"):
        put(store, *[pb.Artifact(type_id=DATA, uri="x" * 1000)] * 1000)
    assert [found.uri for found in get(store, *range(1, 2000))] == ["before"]

    database.write(lambda tx: tx.begun().execute("PRAGMA max_page_count=1000000").fetchall())
    assert put(store, *[pb.Artifact(type_id=DATA, uri="x" * 1000)] * 1000) == list(range(2, 1002))
    store.close()


def test_a_closed_store_says_so(url: str) -> None:
    store = open_transport(url)
    store.close()

    with pytest.raises(Unavailable):
        get(store, 1)
    with pytest.raises(Unavailable):
        put(store, pb.Artifact(type_id=DATA))


def test_memory_of_the_cache_is_bounded(tmp_path: Path) -> None:
    database: Database = open_database(f"sqlite:///{tmp_path / 'store.db'}", cache_bytes=100_000)
    store = EmbeddedTransport(database)
    store.call("PutArtifactType", rpc.PutArtifactTypeRequest(artifact_type=pb.ArtifactType(name="Data")))
    ids = put(store, *[pb.Artifact(type_id=DATA, uri="x" * 500) for _ in range(1_000)])

    assert [found.id for found in get(store, *ids)] == ids
    assert [found.id for found in get(store, *ids)] == ids
    store.close()
