"""What the original's own suite does not look at: opening, retries, deadlines."""

import gc
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import grpc
import pytest

from headwater import mlmd
from headwater.mlmd import errors
from headwater.mlmd.proto import metadata_store_pb2 as pb
from headwater.mlmd.proto import metadata_store_service_pb2 as rpc
from headwater.mlmd.proto.metadata_store_service_pb2_grpc import MetadataStoreServiceStub
from headwater.wire import METHODS

Sqlite = pb.SqliteMetadataSourceConfig


def sqlite(filename_uri: str | Path, mode: "Sqlite.ConnectionMode | None" = None) -> pb.ConnectionConfig:
    return pb.ConnectionConfig(sqlite=Sqlite(filename_uri=str(filename_uri), connection_mode=mode))


def client(target: str, **fields: object) -> pb.MetadataStoreClientConfig:
    host, _, port = target.rpartition(":")
    return pb.MetadataStoreClientConfig(host=host, port=int(port), **fields)


IN_MEMORY = pb.ConnectionConfig(fake_database=pb.FakeDatabaseConfig())


@pytest.mark.parametrize(
    "config", [IN_MEMORY, sqlite(""), sqlite(":memory:")], ids=["fake_database", "no name", ":memory:"]
)
def test_each_store_in_memory_is_the_callers_own(config):
    store = mlmd.MetadataStore(config)
    store.put_context_type(pb.ContextType(name="Run"))

    assert mlmd.MetadataStore(config).get_context_types() == []
    assert [type_.name for type_ in store.get_context_types()] == ["Run"]


@pytest.mark.parametrize(
    "name", ["store.db", "a b.db", "100%.db", "what?.db", "x%20y.db", "é#1&2.db"], ids=lambda name: name
)
def test_a_file_of_any_name_is_made_and_opened_again(tmp_path, name):
    mlmd.MetadataStore(sqlite(tmp_path / name)).put_context_type(pb.ContextType(name="Run"))
    gc.collect()

    assert (tmp_path / name).exists()
    again = mlmd.MetadataStore(sqlite(tmp_path / name, Sqlite.READWRITE))
    assert [type_.name for type_ in again.get_context_types()] == ["Run"]


def test_a_file_may_be_given_by_a_uri(tmp_path):
    mlmd.MetadataStore(sqlite(f"file:{tmp_path}/a%20b.db")).put_context_type(pb.ContextType(name="Run"))

    assert (tmp_path / "a b.db").exists()
    assert len(mlmd.MetadataStore(sqlite(f"file:{tmp_path}/a%20b.db?mode=rw")).get_context_types()) == 1


@pytest.mark.parametrize("mode", [Sqlite.READONLY, Sqlite.READWRITE], ids=["READONLY", "READWRITE"])
@pytest.mark.parametrize("prefix", ["", "file:"], ids=["path", "uri"])
def test_a_file_that_is_not_there_is_made_only_where_the_mode_allows(tmp_path, mode, prefix):
    with pytest.raises(RuntimeError):
        mlmd.MetadataStore(sqlite(f"{prefix}{tmp_path}/store.db", mode))
    assert not (tmp_path / "store.db").exists()


def test_a_read_only_store_reads_and_refuses_to_write(tmp_path):
    mlmd.MetadataStore(sqlite(tmp_path / "store.db")).put_context_type(pb.ContextType(name="Run"))

    store = mlmd.MetadataStore(sqlite(tmp_path / "store.db", Sqlite.READONLY))

    assert len(store.get_context_types()) == 1
    with pytest.raises(errors.FailedPreconditionError, match="READONLY"):
        store.put_context_type(pb.ContextType(name="Walk"))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (pb.ConnectionConfig(), "set one of fake_database, sqlite, mysql and postgresql"),
        (pb.ConnectionConfig(mysql=pb.MySQLDatabaseConfig(host="h")), "the name of the database"),
        (pb.ConnectionConfig(postgresql=pb.PostgreSQLDatabaseConfig(host="h")), "needs user"),
        (sqlite("/nowhere/at/all/store.db"), "does not exist"),
    ],
    ids=["unset", "mysql", "postgresql", "no directory"],
)
def test_a_database_that_cannot_be_opened_is_a_runtime_error(config, message):
    with pytest.raises(RuntimeError, match=message):
        mlmd.MetadataStore(config)


def test_a_file_that_is_no_database_is_a_runtime_error(tmp_path):
    (tmp_path / "notes.txt").write_text("not a database, and long enough to be read as a header" * 50)

    with pytest.raises(RuntimeError, match="not a SQLite database"):
        mlmd.MetadataStore(sqlite(tmp_path / "notes.txt"))


def test_another_message_is_no_config():
    with pytest.raises(ValueError, match=r"headwater\.mlmd\.proto, not"):
        mlmd.MetadataStore(pb.Artifact())


def test_an_upgrade_cannot_be_asked_of_a_server():
    with pytest.raises(ValueError, match="Upgrade migration is not allowed"):
        mlmd.MetadataStore(client("localhost:1"), enable_upgrade_migration=True)


@pytest.mark.parametrize(
    ("version", "error", "message"),
    [
        (-1, errors.InvalidArgumentError, "^downgrade_to_schema_version not specified"),
        (11, errors.InvalidArgumentError, "^MLMD cannot be downgraded to schema_version: 11"),
        (9, RuntimeError, "use downgrade_schema of ml-metadata"),
    ],
    ids=["negative", "unheard of", "older"],
)
def test_a_schema_is_not_downgraded(tmp_path, version, error, message):
    config = sqlite(tmp_path / "store.db")
    mlmd.MetadataStore(config)

    with pytest.raises(error, match=message):
        mlmd.downgrade_schema(config, version)


def test_a_downgrade_to_the_version_it_has_is_nothing_to_do(tmp_path):
    config = sqlite(tmp_path / "store.db")
    mlmd.MetadataStore(config)

    mlmd.downgrade_schema(config, 10)


class _Busy(grpc.GenericRpcHandler):
    """Fails its first calls with codes, and then answers."""

    def __init__(self) -> None:
        self.codes: list[grpc.StatusCode] = []
        self.calls = 0
        self.target = ""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        def answer(_: bytes, context: grpc.ServicerContext) -> bytes:
            self.calls += 1
            if self.codes:
                context.abort(self.codes.pop(0), "busy")
            return METHODS[details.method.rpartition("/")[2]].response_class().SerializeToString()

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture
def busy() -> Iterator[_Busy]:
    busy = _Busy()
    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers([busy])
    busy.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield busy
    server.stop(None).wait()


def hasty(busy: _Busy) -> mlmd.MetadataStore:
    store = mlmd.MetadataStore(client(busy.target))
    store._mean_pause_s = 0.001
    return store


def test_an_aborted_call_is_tried_five_times(busy):
    busy.codes = [grpc.StatusCode.ABORTED] * 4

    assert hasty(busy).get_context_types() == []
    assert busy.calls == 5


def test_after_five_tries_the_error_is_aborted(busy):
    busy.codes = [grpc.StatusCode.ABORTED] * 9

    with pytest.raises(errors.AbortedError, match="busy"):
        hasty(busy).get_context_types()
    assert busy.calls == 5


@pytest.mark.parametrize("tries", [0, 1, 3])
def test_the_number_of_tries_can_be_set_and_is_one_at_least(busy, tries):
    busy.codes = [grpc.StatusCode.ABORTED] * 9
    store = hasty(busy)
    store._max_num_retries = tries

    with pytest.raises(errors.AbortedError):
        store.get_context_types()
    assert busy.calls == max(1, tries)


def test_nothing_but_aborted_is_tried_again(busy):
    busy.codes = [grpc.StatusCode.UNAVAILABLE]

    with pytest.raises(errors.UnavailableError):
        hasty(busy).get_context_types()
    assert busy.calls == 1


def test_retry_options_set_the_number_of_tries():
    config = pb.ConnectionConfig()
    config.CopyFrom(IN_MEMORY)
    config.retry_options.max_num_retries = 7

    assert mlmd.MetadataStore(config)._max_num_retries == 7


def test_a_client_timeout_of_zero_exceeds_its_deadline(server):
    store = mlmd.MetadataStore(client(f"127.0.0.1:{server.port}", client_timeout_sec=0))

    with pytest.raises(errors.DeadlineExceededError) as raised:
        store.get_artifact_types()
    assert raised.value.error_code == errors.DEADLINE_EXCEEDED


def test_a_client_limit_on_answers_is_honoured(server):
    arguments = pb.GrpcChannelArguments(max_receive_message_length=100, http2_max_ping_strikes=0)
    store = mlmd.MetadataStore(client(f"127.0.0.1:{server.port}", channel_arguments=arguments))
    store.put_artifact_type(pb.ArtifactType(name="Data" * 50))

    with pytest.raises(errors.ResourceExhaustedError):
        store.get_artifact_types()


def test_without_a_limit_answers_may_be_large(server):
    store = mlmd.MetadataStore(client(f"127.0.0.1:{server.port}"))
    type_id = store.put_artifact_type(pb.ArtifactType(name="Data"))
    store.put_artifacts([pb.Artifact(type_id=type_id, uri="x" * 50_000) for _ in range(100)])

    assert len(store.get_artifacts()) == 100


def test_a_call_with_tls_does_not_reach_a_server_without(server):
    ssl = pb.MetadataStoreClientConfig.SSLConfig(custom_ca="no certificate")
    store = mlmd.MetadataStore(client(f"127.0.0.1:{server.port}", ssl_config=ssl, client_timeout_sec=5))

    with pytest.raises(errors.UnavailableError):
        store.get_artifact_types()


def test_the_stub_calls_the_service(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub = MetadataStoreServiceStub(channel)

        answer = stub.PutContextType(rpc.PutContextTypeRequest(context_type=pb.ContextType(name="Run")))
        assert answer.type_id > 0


def test_lists_are_limited_ordered_and_filtered():
    store = mlmd.MetadataStore(IN_MEMORY)
    type_id = store.put_artifact_type(pb.ArtifactType(name="Data"))
    ids = store.put_artifacts([pb.Artifact(type_id=type_id, name=str(number)) for number in range(250)])

    def listed(**options: object) -> list[int]:
        return [artifact.id for artifact in store.get_artifacts(mlmd.ListOptions(**options))]

    assert listed() == listed(limit=0) == ids
    assert listed(limit=150) == ids[:150]
    newest_first = listed(limit=3, order_by=mlmd.OrderByField.ID, is_asc=False)
    assert newest_first == ids[:-4:-1]
    assert listed(filter_query="name = '7'") == [ids[7]]
    with pytest.raises(errors.InvalidArgumentError, match="limit"):
        listed(limit=-1)


@pytest.mark.parametrize(
    ("paths", "filled"),
    [
        (
            None,
            {"artifacts", "executions", "contexts", "events", "attributions", "associations"}
            | {"artifact_types", "execution_types", "context_types"},
        ),
        (["artifacts", "artifact_types"], {"artifacts", "artifact_types"}),
        (["executions", "events"], {"executions", "events"}),
        (["events", "artifact_types"], {"events"}),
    ],
    ids=["everything", "artifacts", "executions", "events"],
)
def test_a_lineage_graph_has_the_fields_asked_for(paths, filled):
    store = mlmd.MetadataStore(IN_MEMORY)
    data = store.put_artifact_type(pb.ArtifactType(name="Data"))
    step = store.put_execution_type(pb.ExecutionType(name="Step"))
    run = store.put_context_type(pb.ContextType(name="Run"))
    store.put_execution(
        pb.Execution(type_id=step),
        [(pb.Artifact(type_id=data, name="taxi"), pb.Event(type=pb.Event.OUTPUT))],
        [pb.Context(type_id=run, name="monday")],
    )
    options = pb.LineageSubgraphQueryOptions()
    options.starting_artifacts.filter_query = "name = 'taxi'"

    graph = store.get_lineage_subgraph(options, paths)

    assert {field.name for field, _ in graph.ListFields()} == filled
    assert not graph.artifacts or graph.artifacts[0].name == "taxi"


def test_there_is_no_pipeline_asset():
    assert mlmd.MetadataStore(IN_MEMORY).pipeline_asset is None


def test_a_store_that_is_garbage_lets_go_of_its_file(tmp_path):
    store = mlmd.MetadataStore(sqlite(tmp_path / "store.db"))
    store.put_context_type(pb.ContextType(name="Run"))
    del store
    gc.collect()

    assert [path.name for path in tmp_path.iterdir()] == ["store.db"]
