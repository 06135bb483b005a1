"""How often a request waits for the database, counted by a proxy that is some milliseconds away.

With a delay each way, what a client sends without waiting arrives before the answer to what it sent
before, so a turn of the conversation is a round trip.
"""

from collections.abc import Iterator

import pytest
from databases import empty_store, server_of
from proxies import Proxy
from support import Call

from headwater.embedded import EmbeddedTransport
from headwater.storage.opening import open_database
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc

pytestmark = pytest.mark.backends("postgresql", "mysql")

DELAY_MS = 5


class Away:
    """A store whose database is away, and how often a call went there and back."""

    def __init__(self, call: Call, proxy: Proxy) -> None:
        self.call = call
        self._proxy = proxy

    def trips(self, name: str, request: object) -> int:
        self._proxy.delay_ms = DELAY_MS
        before = self._proxy.round_trips
        self.call(name, request)
        after = self._proxy.round_trips
        self._proxy.delay_ms = 0
        return after - before


@pytest.fixture
def away(backend: str) -> Iterator[Away]:
    server = server_of(backend)
    with empty_store(backend) as url, Proxy(f"{server.host}:{server.port}") as proxy:
        database = open_database(proxy.url(url), connections=1)
        call = EmbeddedTransport(database).call
        call("PutTypes", TYPES)
        yield Away(call, proxy)
        database.close()


TYPES = rpc.PutTypesRequest(
    artifact_types=[pb.ArtifactType(name="Data", properties={"rows": pb.INT, "note": pb.STRING})],
    execution_types=[pb.ExecutionType(name="Step", properties={"seconds": pb.DOUBLE})],
    context_types=[pb.ContextType(name="Run")],
    all_fields_match=True,
)
DATA, STEP, RUN = 10, 11, 12


def artifact(index: int) -> pb.Artifact:
    made = pb.Artifact(type_id=DATA, uri=f"s3://lake/{index}", state=pb.Artifact.LIVE)
    made.properties["rows"].int_value = index
    made.custom_properties["note"].string_value = f"number {index}"
    return made


def execution() -> pb.Execution:
    made = pb.Execution(type_id=STEP, last_known_state=pb.Execution.COMPLETE)
    made.properties["seconds"].double_value = 1.5
    return made


def step(inputs: list[int]) -> rpc.PutExecutionRequest:
    """A finished step: inputs that are stored, two new outputs, two contexts."""
    request = rpc.PutExecutionRequest(
        execution=execution(),
        contexts=[pb.Context(type_id=RUN, name="pipeline"), pb.Context(type_id=RUN, name="run 1")],
        options={"reuse_context_if_already_exist": True},
    )
    for artifact_id in inputs:
        used = request.artifact_event_pairs.add(event=pb.Event(artifact_id=artifact_id, type=pb.Event.INPUT))
        used.event.path.steps.add(key="used")
    for index in range(2):
        made = request.artifact_event_pairs.add(
            artifact=artifact(index), event=pb.Event(type=pb.Event.OUTPUT)
        )
        made.event.path.steps.add(key="made")
    return request


def chain(length: int) -> rpc.PutLineageSubgraphRequest:
    """``length`` executions, each with an output that is the input of the next."""
    request = rpc.PutLineageSubgraphRequest(
        artifacts=[artifact(index) for index in range(length)],
        executions=[execution() for _ in range(length)],
        contexts=[pb.Context(type_id=RUN, name="run 1")],
        options={"reuse_context_if_already_exist": True},
    )
    for index in range(length):
        request.event_edges.add(
            execution_index=index, artifact_index=index, event=pb.Event(type=pb.Event.OUTPUT)
        )
        if index:
            request.event_edges.add(
                execution_index=index, artifact_index=index - 1, event=pb.Event(type=pb.Event.INPUT)
            )
    return request


@pytest.mark.parametrize("time", ["the first", "a later"])
def test_recording_a_step_takes_three_round_trips(away: Away, time: str) -> None:
    inputs = away.call(
        "PutArtifacts", rpc.PutArtifactsRequest(artifacts=[artifact(index) for index in range(3)])
    )
    if time == "a later":
        away.call("PutExecution", step(inputs.artifact_ids))

    assert away.trips("PutExecution", step(inputs.artifact_ids)) <= 3


def test_recording_a_step_with_updated_inputs_takes_three_round_trips(away: Away) -> None:
    ids = away.call(
        "PutArtifacts", rpc.PutArtifactsRequest(artifacts=[artifact(index) for index in range(3)])
    )
    request = step([])
    for artifact_id in ids.artifact_ids:
        stored = artifact(artifact_id)
        stored.id = artifact_id
        request.artifact_event_pairs.add(artifact=stored, event=pb.Event(type=pb.Event.INPUT))

    assert away.trips("PutExecution", request) <= 3


@pytest.mark.parametrize(
    ("name", "request_", "budgets"),
    [
        ("PutLineageSubgraph", chain(50), {"postgresql": 3, "mysql": 8}),
        (
            "PutArtifacts",
            rpc.PutArtifactsRequest(artifacts=map(artifact, range(1_000))),
            {"postgresql": 3, "mysql": 8},
        ),
        ("PutTypes", TYPES, {"postgresql": 3, "mysql": 3}),
    ],
    ids=["a subgraph of 100 nodes", "1,000 artifacts", "types that are there"],
)
def test_a_large_write_takes_few_round_trips(
    away: Away, backend: str, name: str, request_: object, budgets: dict[str, int]
) -> None:
    assert away.trips(name, request_) <= budgets[backend]


@pytest.mark.parametrize("count", [1, 100, 12_000])
def test_reading_any_number_of_nodes_by_id_takes_three_round_trips(away: Away, count: int) -> None:
    away.call("PutArtifacts", rpc.PutArtifactsRequest(artifacts=map(artifact, range(200))))

    assert away.trips("GetArtifactsByID", rpc.GetArtifactsByIDRequest(artifact_ids=range(1, count + 1))) <= 3


def test_the_lineage_of_a_chain_of_a_hundred_hops_takes_few_round_trips(away: Away, backend: str) -> None:
    last = away.call("PutLineageSubgraph", chain(50)).artifact_ids[-1]
    request = rpc.GetLineageSubgraphRequest()
    options = request.lineage_subgraph_query_options
    options.starting_artifacts.filter_query = f"id = {last}"
    options.direction = pb.LineageSubgraphQueryOptions.UPSTREAM

    assert away.trips("GetLineageSubgraph", request) <= {"postgresql": 4, "mysql": 20}[backend]
    assert len(away.call("GetLineageSubgraph", request).lineage_subgraph.executions) == 50
