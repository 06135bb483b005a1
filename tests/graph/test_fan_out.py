"""A data set with a hundred thousand consumers, read a page at a time, in process and over gRPC."""

import threading
import time
import tracemalloc
from collections.abc import Iterator

import pytest
from graph.graphs import put_edges, put_nodes

from headwater.client import GrpcTransport
from headwater.config import ServerConfig
from headwater.embedded import EmbeddedTransport, open_transport
from headwater.errors import Cancelled, ResourceExhausted
from headwater.server import Server
from headwater.service.dispatch import Service
from headwater.storage.callers import Caller
from headwater.storage.opening import open_database
from headwater.v1 import lineage_pb2 as rpc
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as store_rpc

CONSUMERS = 100_000
NODES = 1 + 2 * CONSUMERS
MIB = 2**20
PATIENCE_S = 30

pytestmark = pytest.mark.backends("sqlite")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store in which artifact 1 is the input of every execution, each of which made an artifact."""
    url = f"sqlite:///{tmp_path_factory.mktemp('fan')}/store.db"
    transport = open_transport(url)
    put_nodes(transport.call, 1 + CONSUMERS, CONSUMERS)
    put_edges(transport.call, ((1, execution, pb.Event.INPUT) for execution in range(1, CONSUMERS + 1)))
    put_edges(
        transport.call, ((execution + 1, execution, pb.Event.OUTPUT) for execution in range(1, CONSUMERS + 1))
    )
    transport.close()
    return url


@pytest.fixture
def transport(url: str) -> Iterator[EmbeddedTransport]:
    """The store without a cache, which would have a size of its own."""
    transport = EmbeddedTransport(open_database(url, cache_bytes=0))
    yield transport
    transport.close()


@pytest.fixture
def server(url: str) -> Iterator[Server]:
    """A server that reads four streams at a time."""
    server = Server(ServerConfig(url, port=0, threads=8, stop_grace_s=5))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def client(server: Server) -> Iterator[GrpcTransport]:
    transport = GrpcTransport(f"127.0.0.1:{server.port}", timeout_s=PATIENCE_S)
    yield transport
    transport.close()


def everything(**more: object) -> rpc.WalkRequest:
    start = rpc.StartingNodes(artifact_ids=[1])
    return rpc.WalkRequest(start=start, direction=rpc.DOWNSTREAM, **more)


def test_all_of_it_is_given_in_little_memory(transport: EmbeddedTransport) -> None:
    list(transport.stream("Walk", everything(max_nodes=5)))  # What is only made once.
    nodes = events = 0
    tracemalloc.start()
    try:
        for page in transport.stream("Walk", everything(page_size=1_000)):
            nodes += len(page.nodes)
            events += len(page.events)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert (nodes, events) == (NODES, 2 * CONSUMERS)
    assert most < 12 * MIB


def test_the_first_page_takes_a_small_part_of_the_time_of_all(transport: EmbeddedTransport) -> None:
    list(transport.stream("Walk", everything(max_nodes=5)))
    began = time.perf_counter()
    pages = transport.stream("Walk", everything())
    first = next(pages)
    first_s = time.perf_counter() - began
    for _ in pages:
        pass
    whole_s = time.perf_counter() - began

    assert [node.execution.id for node in first.nodes] == [0, *range(1, 100)]
    assert first_s < whole_s / 50


def test_a_walk_goes_on_in_the_middle_of_it_from_a_token(transport: EmbeddedTransport) -> None:
    request = everything(page_size=1_000, ids_only=True)
    pages = transport.stream("Walk", request)
    for _ in range(150):
        token = next(pages).next_page_token
    request.page_token = token

    assert next(transport.stream("Walk", request)) == next(pages)


def test_impact_counts_all_of_it_in_little_memory(transport: EmbeddedTransport) -> None:
    request = rpc.GetImpactRequest(start=rpc.StartingNodes(artifact_ids=[1]))
    transport.call("GetImpact", request)
    tracemalloc.start()
    try:
        impact = transport.call("GetImpact", request)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert list(impact.artifacts) == [rpc.GetImpactResponse.Count(type="A", count=CONSUMERS)]
    assert list(impact.executions) == [rpc.GetImpactResponse.Count(type="E", count=CONSUMERS)]
    assert [artifact.id for artifact in impact.latest] == list(range(CONSUMERS + 1, CONSUMERS - 99, -1))
    assert most < 12 * MIB


class _Leaving(Caller):
    """A caller who has gone once he is told to."""

    def __init__(self) -> None:
        self.has_gone = False

    def still_waits(self) -> bool:
        return not self.has_gone


def test_nothing_more_is_read_for_a_caller_who_has_gone(url: str) -> None:
    database = open_database(url)
    caller = _Leaving()
    pages = Service(database).stream("Walk", everything(), caller)
    next(pages)
    caller.has_gone = True

    with pytest.raises(Cancelled):
        next(pages)
    database.close()


def test_a_reader_who_takes_his_time_is_in_nobodys_way(client: GrpcTransport) -> None:
    slow = client.stream("Walk", everything(page_size=1_000))
    first = next(slow)

    (type_,) = client.call("GetArtifactTypes", store_rpc.GetArtifactTypesRequest()).artifact_types
    for number in range(20):
        put = store_rpc.PutArtifactsRequest(artifacts=[pb.Artifact(type_id=type_.id, name=f"{number}")])
        assert len(client.call("PutArtifacts", put).artifact_ids) == 1
    quick = next(client.stream("Walk", everything(page_size=1_000)))

    assert quick == first
    assert sum(len(page.nodes) for page in slow) == NODES - 1_000


def test_two_readers_at_once_are_given_the_same(client: GrpcTransport) -> None:
    request = everything(page_size=1_000, max_nodes=30_000)
    counts = []

    def read() -> None:
        counts.append(sum(len(page.nodes) for page in client.stream("Walk", request)))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()

    assert counts == [30_000, 30_000]


def test_a_fifth_stream_is_refused_until_one_of_four_readers_stops(client: GrpcTransport) -> None:
    streams = [client.stream("Walk", everything(page_size=1_000)) for _ in range(4)]
    for stream in streams:
        next(stream)

    with pytest.raises(ResourceExhausted, match="try again"):
        next(client.stream("Walk", everything()))
    (type_,) = client.call("GetArtifactTypes", store_rpc.GetArtifactTypesRequest()).artifact_types
    streams[2].close()

    assert type_.name == "A"
    assert len(_first_page_when_there_is_room(client).nodes) == 100
    assert all(len(next(stream).nodes) == 1_000 for stream in (streams[0], streams[1], streams[3]))


def _first_page_when_there_is_room(client: GrpcTransport) -> rpc.WalkResponse:
    """The server learns of a reader who stops a moment later."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return next(client.stream("Walk", everything()))
        except ResourceExhausted:
            if time.monotonic() > deadline:
                raise
