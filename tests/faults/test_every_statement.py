"""A fault at each statement of each kind of write, COMMIT included: it succeeds, and is stored once."""

from collections import Counter
from collections.abc import Iterator
from itertools import count

import pytest
import sqlalchemy as sa
from databases import server_of
from faults.content import rows_of_tables as rows_of_mlmd_tables
from faults.injection import FAULTS, KILLED, FaultyDatabase, Plan, faulty_database
from google.protobuf.message import Message
from support import Call

from headwater.embedded import EmbeddedTransport
from headwater.storage import schema
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc
from headwater.v1 import pipelines_pb2 as pp

pytestmark = pytest.mark.backends("postgresql", "mysql")

_numbers = count(1)


def rows_of_tables(backend: str, url: str) -> Counter[str]:
    """The number of rows of each table, those of attempts, leases and so on among them."""
    names = [table.name for table in schema.OWN_TABLES if table is not schema.request_table]
    with server_of(backend).connection(sa.make_url(url).database) as connection:
        cursor = connection.cursor()
        cursor.execute(" UNION ALL ".join(f"SELECT '{name}', COUNT(*) FROM {name}" for name in names))
        return rows_of_mlmd_tables(backend, url) + Counter(dict(cursor.fetchall()))


@pytest.fixture
def faulty(backend: str, store_url: str) -> Iterator[FaultyDatabase]:
    with faulty_database(backend, store_url) as database:
        yield database


@pytest.fixture
def call(faulty: FaultyDatabase) -> Call:
    return EmbeddedTransport(faulty).call


class Requests:
    """A new request of each kind, like the one before but for its names."""

    def __init__(self, call: Call) -> None:
        self._call = call
        types = rpc.PutTypesRequest()
        types.artifact_types.add(name="Data").properties["rows"] = pb.INT
        types.execution_types.add(name="Step").properties["seed"] = pb.INT
        types.context_types.add(name="Run")
        self.types = call("PutTypes", types)
        shared = rpc.PutContextsRequest()
        shared.contexts.add(type_id=self.types.context_type_ids[0], name="shared")
        self.shared_context_id = call("PutContexts", shared).context_ids[0]
        self.input_id = call("PutArtifacts", self.put_artifacts()).artifact_ids[0]

    def new(self, kind: str) -> Message:
        make = {
            "types": self.put_types,
            "artifacts": self.put_artifacts,
            "changed artifacts": self.update_artifacts,
            "execution": self.put_execution,
            "lineage": self.put_lineage_subgraph,
            "parents": self.put_parent_contexts,
            "events": self.put_events,
            "a run": self.start_run,
            "a step begins": self.begin_step,
            "a step ends": self.finish_step,
            "a hit is taken": self.take_hit,
            "a step is recorded afterwards": self.record_step,
        }
        return make[kind]()

    def put_types(self) -> rpc.PutTypesRequest:
        number = next(_numbers)
        request = rpc.PutTypesRequest()
        request.artifact_types.add(name=f"Data {number}").properties["rows"] = pb.INT
        request.execution_types.add(name=f"Step {number}").properties["seed"] = pb.INT
        request.context_types.add(name=f"Run {number}")
        return request

    def put_artifacts(self) -> rpc.PutArtifactsRequest:
        request = rpc.PutArtifactsRequest()
        for _ in range(3):
            self._fill_artifact(request.artifacts.add())
        return request

    def update_artifacts(self) -> rpc.PutArtifactsRequest:
        request = rpc.PutArtifactsRequest()
        artifact = request.artifacts.add(id=self.input_id, uri=f"s3://{next(_numbers)}")
        artifact.properties["rows"].int_value = next(_numbers)
        artifact.custom_properties["note"].string_value = "the same"
        return request

    def put_execution(self) -> rpc.PutExecutionRequest:
        number = next(_numbers)
        request = rpc.PutExecutionRequest()
        request.options.reuse_context_if_already_exist = True
        request.execution.type_id = self.types.execution_type_ids[0]
        request.execution.name = f"step {number}"
        request.execution.properties["seed"].int_value = number
        pair = request.artifact_event_pairs.add()
        pair.event.type, pair.event.artifact_id = pb.Event.INPUT, self.input_id
        for role in ("model", "report"):
            pair = request.artifact_event_pairs.add()
            self._fill_artifact(pair.artifact)
            pair.event.type = pb.Event.OUTPUT
            pair.event.path.steps.add(key=role)
        request.contexts.add(type_id=self.types.context_type_ids[0], name="shared")
        request.contexts.add(type_id=self.types.context_type_ids[0], name=f"run {number}")
        return request

    def put_lineage_subgraph(self) -> rpc.PutLineageSubgraphRequest:
        request = rpc.PutLineageSubgraphRequest()
        request.options.reuse_context_if_already_exist = True
        for _ in range(3):
            self._fill_artifact(request.artifacts.add())
        for _ in range(2):
            execution = request.executions.add(type_id=self.types.execution_type_ids[0])
            execution.custom_properties["note"].string_value = "a step"
        request.contexts.add(type_id=self.types.context_type_ids[0], name="shared")
        request.contexts.add(type_id=self.types.context_type_ids[0], name=f"run {next(_numbers)}")
        for execution_index, artifact_index in ((0, 0), (1, 1), (1, 2)):
            edge = request.event_edges.add(execution_index=execution_index, artifact_index=artifact_index)
            edge.event.type = pb.Event.OUTPUT
        return request

    def put_parent_contexts(self) -> rpc.PutParentContextsRequest:
        number = next(_numbers)
        contexts = rpc.PutContextsRequest()
        for name in ("child", "parent"):
            contexts.contexts.add(type_id=self.types.context_type_ids[0], name=f"{name} {number}")
        child_id, parent_id = self._call("PutContexts", contexts).context_ids
        request = rpc.PutParentContextsRequest()
        request.parent_contexts.add(child_id=child_id, parent_id=parent_id)
        return request

    def put_events(self) -> rpc.PutEventsRequest:
        execution_id = self._call("PutExecution", self.put_execution()).execution_id
        request = rpc.PutEventsRequest()
        request.events.add(execution_id=execution_id, artifact_id=self.input_id, type=pb.Event.DECLARED_INPUT)
        return request

    def start_run(self) -> pp.StartRunRequest:
        return pp.StartRunRequest(
            pipeline="churn",
            run=f"run {next(_numbers)}",
            worker="host:1",
            parent=pp.RunName(pipeline="whole", run="all"),
        )

    def begin_step(self) -> pp.BeginStepRequest:
        number = next(_numbers)
        return pp.BeginStepRequest(
            pipeline="churn",
            run=f"run {number}",
            step="train",
            key=f"key {number}",
            components={"code": str(number)},
            inputs=[pp.StepInput(name="table", uri=f"file:///{number}", digest="sha256:01")],
        )

    def finish_step(self) -> pp.FinishStepRequest:
        begin = self.begin_step()
        self._call("BeginStep", begin)
        return self._end(begin)

    def take_hit(self) -> pp.FinishStepRequest:
        begin = self.begin_step()
        begun = self._call("BeginStep", begin)
        self._call("FinishStep", self._end(begin))
        begin.key, begin.run = f"{begin.key} again", f"{begin.run} again"
        return pp.FinishStepRequest(
            key=begin.key, state=pp.CACHED, begin=begin, cached_execution_id=begun.execution_id
        )

    def record_step(self) -> pp.FinishStepRequest:
        begin = self.begin_step()
        finish = self._end(begin)
        finish.begin.CopyFrom(begin)
        return finish

    def _end(self, begin: pp.BeginStepRequest) -> pp.FinishStepRequest:
        return pp.FinishStepRequest(
            key=begin.key,
            state=pp.COMPLETE,
            outputs=[
                pp.StepOutput(name=name, uri=f"file:///{begin.key}/{name}", digest="sha256:02")
                for name in ("model", "report")
            ],
            metrics=[pp.Metric(name="auc", value=0.9), pp.Metric(name="loss", value=1, step=0)],
        )

    def _fill_artifact(self, artifact: pb.Artifact) -> None:
        number = next(_numbers)
        artifact.type_id = self.types.artifact_type_ids[0]
        artifact.name, artifact.external_id = f"data {number}", f"id {number}"
        artifact.properties["rows"].int_value = number
        artifact.custom_properties["note"].string_value = "new"


WRITES = {
    "types": "PutTypes",
    "artifacts": "PutArtifacts",
    "changed artifacts": "PutArtifacts",
    "execution": "PutExecution",
    "lineage": "PutLineageSubgraph",
    "parents": "PutParentContexts",
    "events": "PutEvents",
    "a run": "StartRun",
    "a step begins": "BeginStep",
    "a step ends": "FinishStep",
    "a hit is taken": "FinishStep",
    "a step is recorded afterwards": "FinishStep",
}
"""The RPC of each kind of request."""


@pytest.mark.parametrize("kind", WRITES)
def test_a_fault_at_any_statement_neither_shows_nor_doubles(
    kind: str, backend: str, store_url: str, faulty: FaultyDatabase, call: Call
) -> None:
    requests = Requests(call)
    name = WRITES[kind]
    for _ in range(3):  # What is known afterwards need not be asked again.
        call(name, requests.new(kind))
    request = requests.new(kind)
    before = rows_of_tables(backend, store_url)
    faulty.plan = Plan({})
    call(name, request)
    statements = faulty.plan.seen
    written = rows_of_tables(backend, store_url) - before

    for fault in FAULTS[backend]:
        # Behind COMMIT the server has no error left to raise; only the connection can still be lost.
        for index in range(statements + (fault == KILLED)):
            faulty.plan = Plan({})
            request = requests.new(kind)
            before = rows_of_tables(backend, store_url)
            faulty.plan = Plan({index: fault})

            call(name, request)

            assert faulty.plan.struck == 1
            assert rows_of_tables(backend, store_url) - before == written, (fault, index)


@pytest.mark.parametrize("kind", WRITES)
def test_a_second_fault_while_a_request_is_repeated(
    kind: str, backend: str, store_url: str, faulty: FaultyDatabase, call: Call
) -> None:
    requests = Requests(call)
    name = WRITES[kind]
    for _ in range(3):
        call(name, requests.new(kind))
    request = requests.new(kind)
    before = rows_of_tables(backend, store_url)
    faulty.plan = Plan({})
    call(name, request)
    statements = faulty.plan.seen
    written = rows_of_tables(backend, store_url) - before

    # The answer to COMMIT is lost, or the last statement fails; then each statement of the next attempt.
    for first, fault in ((statements, KILLED), (statements - 1, FAULTS[backend][0])):
        for second in range(first + 1, first + 200):
            faulty.plan = Plan({})
            request = requests.new(kind)
            before = rows_of_tables(backend, store_url)
            faulty.plan = Plan({first: fault, second: KILLED})

            call(name, request)

            assert rows_of_tables(backend, store_url) - before == written, (first, second)
            if faulty.plan.struck == 1:
                break  # The next attempt has fewer statements than that.
        else:
            raise AssertionError("the next attempt has no end")


@pytest.mark.parametrize("rpc_name", ["GetArtifacts", "GetExecutions", "GetLineageSubgraph"])
def test_a_fault_at_any_statement_of_a_read_does_not_show(
    rpc_name: str, backend: str, faulty: FaultyDatabase, call: Call
) -> None:
    requests = Requests(call)
    call("PutExecution", requests.put_execution())
    if rpc_name == "GetLineageSubgraph":
        request = rpc.GetLineageSubgraphRequest()
        request.lineage_subgraph_query_options.starting_artifacts.filter_query = "uri = '' OR id > 0"
        request.lineage_subgraph_query_options.max_num_hops = 4
    else:
        request = getattr(rpc, f"{rpc_name}Request")()
    faulty.plan = Plan({})
    expected = call(rpc_name, request)
    statements = faulty.plan.seen

    for fault in FAULTS[backend]:
        for index in range(statements - 1):  # The last one ends the transaction; the answer is there.
            faulty.plan = Plan({index: fault})
            answer = call(rpc_name, request)
            assert faulty.plan.struck == 1
            assert answer == expected, (fault, index)
