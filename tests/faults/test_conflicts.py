"""Deadlocks and locks that the database's own users hold: requests wait, or are repeated, and succeed."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from databases import server_of
from faults.content import rows_of_tables
from faults.load import put_types
from support import Call

from headwater.embedded import EmbeddedTransport
from headwater.errors import Aborted, DeadlineExceeded
from headwater.storage.database import Database
from headwater.storage.opening import open_database
from headwater.v1 import metadata_store_service_pb2 as rpc

pytestmark = pytest.mark.backends("postgresql", "mysql")

NODES = 12


@contextmanager
def somebody_else(backend: str, url: str) -> Iterator[Any]:
    """A cursor of another program, in a transaction."""
    with server_of(backend).connection(sa.make_url(url).database) as connection:
        cursor = connection.cursor()
        cursor.execute("BEGIN")
        yield cursor
        cursor.execute("ROLLBACK")


def waiting_for_locks(backend: str, url: str) -> int:
    server = server_of(backend)
    if backend == "postgresql":
        name = sa.make_url(url).database
        return server.execute(
            f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND wait_event_type = 'Lock'"
        )[0][0]
    # Of the whole server. InnoDB's own tables show nothing new to one who asks without a pause.
    return int(server.execute("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'")[0][1])


def put_nodes(call: Call, types: rpc.PutTypesResponse) -> list[int]:
    request = rpc.PutArtifactsRequest()
    for number in range(NODES):
        request.artifacts.add(type_id=types.artifact_type_ids[0], name=f"node {number}")
    return list(call("PutArtifacts", request).artifact_ids)


def change(types: rpc.PutTypesResponse, artifact_ids: list[int], uri: str) -> rpc.PutArtifactsRequest:
    request = rpc.PutArtifactsRequest()
    for artifact_id in artifact_ids:
        request.artifacts.add(id=artifact_id, type_id=types.artifact_type_ids[0], uri=uri)
    return request


def test_a_deadlock_with_another_program_is_repeated(
    backend: str, store_url: str, database: Database, call: Call
) -> None:
    types = put_types(call)
    first_id, *_, last_id = ids = put_nodes(call, types)
    for turn in range(4):
        with somebody_else(backend, store_url) as other, ThreadPoolExecutor(2) as threads:
            # It holds the last row; the request locks the first and waits for it; then it wants the first.
            other.execute(f"UPDATE Artifact SET state = 1 WHERE id = {last_id}")
            request = threads.submit(call, "PutArtifacts", change(types, ids, f"s3://{turn}"))
            while not waiting_for_locks(backend, store_url):
                assert not request.done()
            try:
                # Make it the more expensive one to take back, which MySQL then keeps.
                other.execute(f"UPDATE Artifact SET state = {turn} WHERE id = {first_id}")
            except Exception as error:  # Of the two the database chose this one.
                assert "deadlock" in str(error).lower()
            other.execute("ROLLBACK")
            assert list(request.result().artifact_ids) == ids

        found = call("GetArtifacts", rpc.GetArtifactsRequest()).artifacts
        assert {artifact.uri for artifact in found} == {f"s3://{turn}"}


def test_requests_that_name_the_same_keys_in_any_order_do_not_fail(
    backend: str, store_url: str, call: Call
) -> None:
    types = put_types(call)
    ids = put_nodes(call, types)
    before = rows_of_tables(backend, store_url)
    start = threading.Barrier(8)

    def write(writer: int) -> None:
        start.wait()
        for turn in range(10):
            order = ids if (writer + turn) % 2 else ids[::-1]
            call("PutArtifacts", change(types, order, f"s3://{writer}/{turn}"))
            request = rpc.PutLineageSubgraphRequest()
            request.options.reuse_context_if_already_exist = True
            request.options.reuse_artifact_if_already_exist_by_external_id = True
            names = [f"{turn} {number}" for number in range(6)]
            for name in names if writer % 2 else reversed(names):
                request.contexts.add(type_id=types.context_type_ids[0], name=name)
                request.artifacts.add(type_id=types.artifact_type_ids[0], external_id=name)
            call("PutLineageSubgraph", request)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(8)))

    written = rows_of_tables(backend, store_url) - before
    assert (written["Artifact"], written["Context"], written["Attribution"]) == (60, 60, 360)


@pytest.mark.parametrize("patience_s", [1.0, None])
def test_a_lock_that_is_held_for_too_long(patience_s: float | None, backend: str, store_url: str) -> None:
    """Without a deadline of the caller's it ends with ABORTED some time, with one when that has come."""
    database = open_database(store_url, patience_s=0.5)
    call = EmbeddedTransport(database).call
    types = put_types(call)
    (artifact_id, *_) = put_nodes(call, types)
    with somebody_else(backend, store_url) as other:
        other.execute(f"UPDATE Artifact SET state = 1 WHERE id = {artifact_id}")
        if patience_s is None:
            with pytest.raises(
                Aborted, match="other writers kept the same rows busy for too long; try again"
            ):
                call("PutArtifacts", change(types, [artifact_id], "s3://"))
        else:
            with pytest.raises(DeadlineExceeded):
                EmbeddedTransport(database).call(
                    "PutArtifacts", change(types, [artifact_id], "s3://"), timeout_s=patience_s
                )

    assert call("PutArtifacts", change(types, [artifact_id], "s3://")).artifact_ids == [artifact_id]
    database.close()


def test_a_reader_waits_for_nobody(backend: str, store_url: str, database: Database, call: Call) -> None:
    types = put_types(call)
    ids = put_nodes(call, types)
    with somebody_else(backend, store_url) as other:
        other.execute("UPDATE Artifact SET uri = 'not yet'")
        other.execute("UPDATE MLMDEnv SET schema_version = schema_version")

        answer = EmbeddedTransport(database).call("GetArtifacts", rpc.GetArtifactsRequest(), timeout_s=5)

        found = answer.artifacts
        assert [artifact.id for artifact in found] == ids
        assert {artifact.uri for artifact in found} == {""}
