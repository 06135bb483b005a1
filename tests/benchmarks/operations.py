"""The operations measured: for each its RPC and a stream of requests, the same for every side.

Requests vary from one repetition to the next. Ids are drawn with a skew, four of five from a few hot ones
and the rest from a larger pool, and the pools are equally large in stores of every size: a cache helps
somewhat, never perfectly, and no more in a small store than in a large one. All draws of artifacts are of
odd ids; ``get_artifacts_by_id_100_cold`` asks for even ones, each once.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import stores
from google.protobuf.message import Message
from stores import Layout

from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc

HOT_IDS = 100
POOL_IDS = 2000

Requests = Iterator[Message]
Call = Callable[[str, bytes], bytes]
"""RPC and request to answer, on one side."""


@dataclass(frozen=True)
class Question:
    """What a stream of requests is made from."""

    layout: Layout
    random: random.Random
    label: str
    """Part of every name written, so that streams that write to one store do not collide."""

    def drawer(self, ids: Sequence[int]) -> Callable[[], int]:
        """Draws from ``ids`` with the skew that the module describes."""
        pool = random.Random(self.layout.seed).sample(ids, min(POOL_IDS, len(ids)))
        hot = pool[:HOT_IDS]
        return lambda: self.random.choice(hot if self.random.random() < 0.8 else pool)

    def artifact_ids(self, *, even: bool = False) -> Sequence[int]:
        """Artifacts of runs; every second one, since the cold reads need some for themselves."""
        first, end = self.layout.run_artifact(0, 0), self.layout.run_artifact(self.layout.runs, 0)
        return range(first + (first % 2 != (0 if even else 1)), end, 2)

    def artifacts(self) -> Callable[[], int]:
        return self.drawer(self.artifact_ids())

    def runs(self) -> Callable[[], int]:
        return self.drawer(range(self.layout.runs))


@dataclass(frozen=True)
class Operation:
    name: str
    rpc: str
    requests: Callable[[Question], Requests]
    """May end, and the benchmark of the operation with it."""
    nodes_written: int = 0
    """By one request; bounds the repetitions, so that writes do not turn a small store into a large one."""
    bounded: bool = True
    """Whether the answer keeps its size when the store grows."""
    ordered: bool = False
    """Whether the order of the answer is promised."""
    max_batch: int = 50
    """Requests that one side answers in a row before the next side has its turn; small for short streams."""
    deep: bool = False
    """Measured on pages far from the first: ``requests`` gives the first page, see ``deep_pages``."""

    @property
    def asks(self) -> bool:
        """A question; the others write."""
        return self.rpc.startswith("Get")

    def stream(self, layout: Layout, label: str = "bench") -> Iterator[bytes]:
        """Serialized requests, the same for the same store and label."""
        question = Question(layout, random.Random(f"{layout.seed} {self.name} {label}"), label)
        return (request.SerializeToString() for request in self.requests(question))

    @property
    def request_message(self) -> type[Message]:
        return getattr(rpc, f"{self.rpc}Request")

    @property
    def answer_message(self) -> type[Message]:
        return getattr(rpc, f"{self.rpc}Response")


# ---- reads by key


def type_by_name(question: Question) -> Requests:
    while True:
        _, name, _ = question.random.choice([each for each in stores.TYPES if each[0] == "artifact"])
        yield rpc.GetArtifactTypeRequest(type_name=name)


def by_id_1(question: Question) -> Requests:
    draw = question.artifacts()
    while True:
        yield rpc.GetArtifactsByIDRequest(artifact_ids=[draw()])


def by_id_100(question: Question) -> Requests:
    draw = question.artifacts()
    while True:
        ids: set[int] = set()
        while len(ids) < 100:
            ids.add(draw())
        yield rpc.GetArtifactsByIDRequest(artifact_ids=sorted(ids))


def by_id_100_cold(question: Question) -> Requests:
    ids = list(question.artifact_ids(even=True))
    question.random.shuffle(ids)
    for start in range(0, len(ids) - 99, 100):
        yield rpc.GetArtifactsByIDRequest(artifact_ids=sorted(ids[start : start + 100]))


def by_uri(question: Question) -> Requests:
    draw = question.artifacts()
    while True:
        yield rpc.GetArtifactsByURIRequest(uris=[question.layout.uri(draw())])


def context_by_type_and_name(question: Question) -> Requests:
    draw = question.runs()
    while True:
        name = question.layout.run_name(draw())
        yield rpc.GetContextByTypeAndNameRequest(type_name="Run", context_name=name)


def events_of_an_execution(question: Question) -> Requests:
    draw = question.runs()
    while True:
        execution = question.layout.run_execution(draw(), question.random.randrange(stores.RUN_STEPS))
        yield rpc.GetEventsByExecutionIDsRequest(execution_ids=[execution])


def contexts_of_an_artifact(question: Question) -> Requests:
    draw = question.artifacts()
    while True:
        yield rpc.GetContextsByArtifactRequest(artifact_id=draw())


# ---- lists and filters


def page_of_a_large_context(question: Question) -> Requests:
    while True:
        context = question.layout.pipeline(question.random.randrange(stores.PIPELINES))
        options = pb.ListOperationOptions(max_result_size=20)
        yield rpc.GetArtifactsByContextRequest(context_id=context, options=options)


def _filtered(text: str, page_size: int = 20) -> Message:
    options = pb.ListOperationOptions(max_result_size=page_size, filter_query=text)
    return rpc.GetArtifactsRequest(options=options)


def filter_selective_property(question: Question) -> Requests:
    draw = question.artifacts()
    while True:
        yield _filtered(f"custom_properties.ticket.string_value = '{question.layout.ticket(draw())}'")


def filter_event(question: Question) -> Requests:
    draw = question.runs()
    while True:
        execution = question.layout.run_execution(draw(), question.random.randrange(stores.RUN_STEPS))
        yield _filtered(f"events_0.execution_id = {execution}")


def filter_context(question: Question) -> Requests:
    draw = question.runs()
    while True:
        yield _filtered(f"contexts_run.id = {question.layout.run_context(draw())}")


def filter_context_name(question: Question) -> Requests:
    draw = question.runs()
    while True:
        yield _filtered(
            f"contexts_run.type = 'Run' AND contexts_run.name = '{question.layout.run_name(draw())}'"
        )


def filter_two_properties(question: Question) -> Requests:
    draw = question.artifacts()
    while True:
        shard = question.layout.shard(draw())
        yield _filtered(f"properties.shard.int_value = {shard} AND properties.accuracy.double_value > 0.5")


def filter_wide_property(question: Question) -> Requests:
    while True:
        yield _filtered(f"properties.split.string_value = '{question.random.choice(stores.SPLITS)}'")


def filter_type_and_name_prefix(question: Question) -> Requests:
    draw = question.runs()
    while True:
        yield _filtered(f"type = 'Model' AND name LIKE 'model-{draw() // 10:05d}%'")


def list_by_update_time(question: Question) -> Requests:
    order = pb.ListOperationOptions.OrderByField(
        field=pb.ListOperationOptions.OrderByField.LAST_UPDATE_TIME, is_asc=False
    )
    while True:
        size = question.random.randrange(96, 101)
        options = pb.ListOperationOptions(max_result_size=size, order_by_field=order)
        yield rpc.GetArtifactsRequest(options=options)


def deep_pages(operation: Operation, layout: Layout, call: Call, *, pages: int = 40) -> list[bytes]:
    """Requests for the later half of the first ``pages`` pages, with the tokens of the side behind ``call``.

    Tokens are a side's own affair, so each side turns the pages once. Fewer when the list is short.
    """
    request = operation.request_message.FromString(next(operation.stream(layout)))
    requests: list[bytes] = []
    while len(requests) < pages:
        answer = operation.answer_message.FromString(call(operation.rpc, request.SerializeToString()))
        if not answer.next_page_token:
            break
        request.options.next_page_token = answer.next_page_token
        requests.append(request.SerializeToString())
    return requests[len(requests) // 2 :]


# ---- lineage


def _walk(artifact: int, hops: int, *, downstream: bool = False) -> Message:
    options = pb.LineageSubgraphQueryOptions
    query = options(
        starting_artifacts=options.StartingNodes(filter_query=f"id = {artifact}"),
        max_num_hops=hops,
        direction=options.DOWNSTREAM if downstream else options.UPSTREAM,
    )
    return rpc.GetLineageSubgraphRequest(lineage_subgraph_query_options=query)


def lineage_of_a_run(question: Question) -> Requests:
    draw = question.runs()
    while True:
        yield _walk(question.layout.run_artifact(draw(), stores.MODEL), 2 * stores.RUN_STEPS)


def lineage_chain(hops: int) -> Callable[[Question], Requests]:
    def requests(question: Question) -> Requests:
        layout = question.layout
        while True:
            chain = question.random.randrange(layout.chains)
            step = question.random.randint(hops // 2, stores.CHAIN_STEPS)
            yield _walk(layout.chain_artifact(chain, step), hops)

    return requests


def lineage_layered(hops: int) -> Callable[[Question], Requests]:
    def requests(question: Question) -> Requests:
        layout = question.layout
        while True:
            column = question.random.randrange(layout.layer_width)
            yield _walk(layout.layer_artifact(layout.layers, column), hops)

    return requests


def lineage_of_a_dataset(question: Question) -> Requests:
    while True:
        dataset = question.layout.raw_dataset(question.random.randrange(stores.PIPELINES))
        yield _walk(dataset, 2, downstream=True)


# ---- writes


def type_existing(question: Question) -> Requests:
    names = [name for kind, name, _ in stores.TYPES if kind == "artifact"]
    while True:
        artifact_type = pb.ArtifactType(
            name=question.random.choice(names), properties=stores.ARTIFACT_PROPERTIES
        )
        yield rpc.PutArtifactTypeRequest(artifact_type=artifact_type)


def type_new(question: Question) -> Requests:
    number = 0
    while True:
        number += 1
        name = f"{question.label}.Type{number}"
        artifact_type = pb.ArtifactType(name=name, properties=stores.ARTIFACT_PROPERTIES)
        yield rpc.PutArtifactTypeRequest(artifact_type=artifact_type)


def _artifact(question: Question, type_name: str, name: str) -> pb.Artifact:
    choose = question.random
    artifact = pb.Artifact(
        type_id=stores.TYPE_IDS["artifact", type_name],
        name=name,
        uri=f"s3://lake/new/{name}",
        state=pb.Artifact.LIVE,
    )
    artifact.properties["split"].string_value = choose.choice(stores.SPLITS)
    artifact.properties["shard"].int_value = choose.randrange(1000)
    artifact.properties["accuracy"].double_value = round(choose.random(), 4)
    artifact.properties["size_bytes"].int_value = choose.randrange(2**31)
    artifact.properties["frozen"].bool_value = choose.random() < 0.5
    artifact.custom_properties["ticket"].string_value = f"N-{choose.randrange(10**7):07d}"
    artifact.custom_properties["cost"].double_value = round(choose.random() * 50, 3)
    return artifact


def _execution(question: Question, name: str) -> pb.Execution:
    choose = question.random
    execution = pb.Execution(
        type_id=stores.TYPE_IDS["execution", "Train"], name=name, last_known_state=pb.Execution.COMPLETE
    )
    execution.properties["step"].int_value = choose.randrange(10)
    execution.properties["learning_rate"].double_value = round(choose.random() / 10, 5)
    execution.properties["image"].string_value = f"train:1.{choose.randrange(40)}"
    execution.properties["duration_ms"].int_value = choose.randrange(600_000)
    execution.properties["retried"].bool_value = choose.random() < 0.2
    execution.custom_properties["host"].string_value = f"node-{choose.randrange(64)}"
    execution.custom_properties["attempt"].int_value = choose.randrange(1, 4)
    return execution


def _run_context(name: str) -> pb.Context:
    context = pb.Context(type_id=stores.TYPE_IDS["context", "Run"], name=name)
    context.properties["started_by"].string_value = "benchmark"
    return context


def _event(type_number: int, key: str, slot: int, artifact_id: int | None = None) -> pb.Event:
    event = pb.Event(type=type_number, artifact_id=artifact_id)
    event.path.steps.add().key = key
    event.path.steps.add().index = slot
    return event


def put_artifacts(count: int) -> Callable[[Question], Requests]:
    def requests(question: Question) -> Requests:
        number = 0
        while True:
            names = [f"{question.label}-{count}-{number + at}" for at in range(count)]
            number += count
            yield rpc.PutArtifactsRequest(artifacts=[_artifact(question, "Dataset", name) for name in names])

    return requests


def put_execution_hook(question: Question) -> Requests:
    """What an orchestrator's hook sends when a step ends: 3 inputs, 2 outputs, its run and its pipeline.

    Ten steps in a row belong to one run, so the run's context is new once in ten times.
    """
    draw = question.artifacts()
    number = 0
    while True:
        name = f"{question.label}-step-{number}"
        inputs: set[int] = set()
        while len(inputs) < 3:
            inputs.add(draw())
        pipeline = number // 10 % stores.PIPELINES
        request = rpc.PutExecutionRequest(
            execution=_execution(question, name),
            contexts=[
                _run_context(f"{question.label}-run-{number // 10}"),
                pb.Context(type_id=stores.TYPE_IDS["context", "Pipeline"], name=f"pipeline-{pipeline}"),
            ],
            options=rpc.PutExecutionRequest.Options(reuse_context_if_already_exist=True),
        )
        for slot, artifact_id in enumerate(sorted(inputs)):
            request.artifact_event_pairs.add(event=_event(pb.Event.INPUT, "examples", slot, artifact_id))
        for slot, type_name in enumerate(("Model", "Metrics")):
            request.artifact_event_pairs.add(
                artifact=_artifact(question, type_name, f"{name}-{type_name.lower()}"),
                event=_event(pb.Event.OUTPUT, type_name.lower(), slot),
            )
        number += 1
        yield request


def put_lineage_of_100_nodes(question: Question) -> Requests:
    """A whole run at once: 1 context, 39 executions in a row, 60 artifacts, 98 events."""
    number = 0
    while True:
        name = f"{question.label}-lineage-{number}"
        number += 1
        request = rpc.PutLineageSubgraphRequest(
            executions=[_execution(question, f"{name}-step-{at}") for at in range(39)],
            artifacts=[_artifact(question, "Examples", f"{name}-{at}") for at in range(60)],
            contexts=[_run_context(name)],
            options=rpc.PutLineageSubgraphRequest.Options(reuse_context_if_already_exist=True),
        )
        for at in range(60):
            request.event_edges.add(
                execution_index=at % 39,
                artifact_index=at,
                event=_event(pb.Event.OUTPUT, "outputs", at // 39),
            )
        for at in range(1, 39):
            request.event_edges.add(
                execution_index=at,
                artifact_index=at - 1,
                event=_event(pb.Event.INPUT, "examples", 0),
            )
        yield request


# Reads come first, so that they meet the store as it was built; the cold ones before all.
OPERATIONS = (
    Operation("get_artifacts_by_id_100_cold", "GetArtifactsByID", by_id_100_cold, max_batch=3),
    Operation("get_type_by_name", "GetArtifactType", type_by_name),
    Operation("get_artifacts_by_id_1", "GetArtifactsByID", by_id_1),
    Operation("get_artifacts_by_id_100", "GetArtifactsByID", by_id_100),
    Operation("get_artifacts_by_uri", "GetArtifactsByURI", by_uri),
    Operation("get_context_by_type_and_name", "GetContextByTypeAndName", context_by_type_and_name),
    Operation("get_events_of_an_execution", "GetEventsByExecutionIDs", events_of_an_execution),
    Operation("get_contexts_of_an_artifact", "GetContextsByArtifact", contexts_of_an_artifact),
    Operation("page_of_a_large_context", "GetArtifactsByContext", page_of_a_large_context, ordered=True),
    Operation("filter_selective_property", "GetArtifacts", filter_selective_property, ordered=True),
    Operation("filter_event", "GetArtifacts", filter_event, ordered=True),
    Operation("filter_context", "GetArtifacts", filter_context, ordered=True),
    Operation("filter_context_name", "GetArtifacts", filter_context_name, ordered=True),
    Operation("filter_two_properties", "GetArtifacts", filter_two_properties, ordered=True),
    Operation("filter_wide_property", "GetArtifacts", filter_wide_property, ordered=True),
    Operation("filter_type_and_name_prefix", "GetArtifacts", filter_type_and_name_prefix, ordered=True),
    Operation("list_by_update_time_first", "GetArtifacts", list_by_update_time, ordered=True),
    Operation("list_by_update_time_deep", "GetArtifacts", list_by_update_time, ordered=True, deep=True),
    Operation("lineage_of_a_run", "GetLineageSubgraph", lineage_of_a_run),
    Operation("lineage_chain_20", "GetLineageSubgraph", lineage_chain(20)),
    Operation("lineage_chain_100", "GetLineageSubgraph", lineage_chain(100)),
    Operation("lineage_layered_20", "GetLineageSubgraph", lineage_layered(20)),
    Operation("lineage_layered_100", "GetLineageSubgraph", lineage_layered(100)),
    Operation("lineage_of_a_dataset", "GetLineageSubgraph", lineage_of_a_dataset, bounded=False),
    Operation("put_type_existing", "PutArtifactType", type_existing),
    Operation("put_type_new", "PutArtifactType", type_new),
    Operation("put_artifacts_1", "PutArtifacts", put_artifacts(1), nodes_written=1),
    Operation("put_execution_hook", "PutExecution", put_execution_hook, nodes_written=3),
    Operation("put_lineage_100", "PutLineageSubgraph", put_lineage_of_100_nodes, nodes_written=100),
    Operation("put_artifacts_100", "PutArtifacts", put_artifacts(100), nodes_written=100),
    Operation("put_artifacts_1000", "PutArtifacts", put_artifacts(1000), nodes_written=1000),
)

BY_NAME = {operation.name: operation for operation in OPERATIONS}

READS = {
    "get_artifacts_by_id_1": 40,
    "get_context_by_type_and_name": 15,
    "get_events_of_an_execution": 15,
    "get_contexts_of_an_artifact": 10,
    "filter_selective_property": 10,
}
LOADS = {"mixed": {**READS, "put_execution_hook": 10}, "reads": READS, "writes": {"put_execution_hook": 1}}
"""Concurrent loads: operations and their weights."""


def matching(pattern: str) -> list[Operation]:
    """Operations whose name matches one of the comma-separated globs, in the order of ``OPERATIONS``."""
    globs = pattern.split(",")
    return [operation for operation in OPERATIONS if any(fnmatchcase(operation.name, glob) for glob in globs)]
