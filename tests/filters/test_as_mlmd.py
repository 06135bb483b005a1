"""Filters on databases that ML Metadata made, answered by its engine and by headwater."""

from collections.abc import Iterator

import grpc
import pytest
from databases import empty_database
from filters.asking import matches, put_graph
from filters.test_examples import EXAMPLES
from support import Call, mlmd_engine, needs_mlmd

from headwater.storage.database import Database
from headwater.storage.opening import open_database
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc

REQUESTS = {
    "artifact": ("GetArtifacts", rpc.GetArtifactsRequest, "artifacts"),
    "execution": ("GetExecutions", rpc.GetExecutionsRequest, "executions"),
    "context": ("GetContexts", rpc.GetContextsRequest, "contexts"),
}
# Their answers are defects: F3 of docs/mlmd-differences.md, and F7 on SQLite.
DEFECTS = {"sqlite": {62, 115}, "postgresql": {62}, "mysql": set()}


@pytest.fixture
def both(backend: str) -> Iterator[tuple[Database, Call]]:
    """The small graph, in a database that MLMD made, and MLMD's engine on it."""
    with empty_database(backend) as url, mlmd_engine(url) as call:
        call("GetArtifacts", rpc.GetArtifactsRequest())
        database = open_database(url)
        put_graph(database)
        yield database, call
        database.close()


@needs_mlmd
def test_what_mlmd_finds_is_what_headwater_finds(both, backend):
    database, call = both
    agreed = 0
    for number, kind, text, _ in EXAMPLES:
        name, request, field = REQUESTS[kind.name]
        options = pb.ListOperationOptions(max_result_size=100, filter_query=text)
        options.order_by_field.field = pb.ListOperationOptions.OrderByField.ID
        options.order_by_field.is_asc = True
        try:
            theirs = [node.id for node in getattr(call(name, request(options=options)), field)]
        except grpc.RpcError:
            continue
        if number not in DEFECTS[backend]:
            agreed += 1
            assert matches(database, text, kind) == theirs, text

    assert agreed > 80
