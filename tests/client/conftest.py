"""Stores to test the SDK on: ours in process on every backend, and ML Metadata's engine if installed."""

import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from databases import BACKENDS, empty_store, require

from headwater.client import GrpcTransport, Store, to_value
from headwater.embedded import open_transport
from headwater.v1 import metadata_store_pb2 as pb
from headwater.wire import METHODS

BRIDGE = Path(__file__).resolve().parents[1] / "peers" / "mlmd_bridge.py"


@pytest.fixture(scope="session")
def engine() -> Iterator[str]:
    """``host:port`` of ML Metadata's engine."""
    python = os.environ.get("HEADWATER_PEERS_PYTHON", ".venv-peers/bin/python")
    if not Path(python).exists():
        pytest.skip("ML Metadata's wheel is not installed: run 'make peers', or set HEADWATER_PEERS_PYTHON")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    with subprocess.Popen(
        [python, str(BRIDGE)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        assert process.stdout
        yield f"127.0.0.1:{process.stdout.readline().split()[1]}"
        process.kill()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "store" in metafunc.fixturenames:
        ours = [pytest.param(backend, marks=pytest.mark.backends(backend)) for backend in BACKENDS]
        metafunc.parametrize("store", [*ours, "engine"], indirect=True)


@contextmanager
def our_store(backend: str) -> Iterator[Store]:
    require(backend)
    with empty_store(backend) as url, Store(open_transport(url, private=backend == "sqlite")) as store:
        yield store


@pytest.fixture
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty store: ours on each backend, and ML Metadata's."""
    if request.param != "engine":
        with our_store(request.param) as store:
            yield store
        return
    target = request.getfixturevalue("engine")
    with grpc.insecure_channel(target) as channel:
        channel.unary_unary("/peer/Reset")(b"", timeout=60)
    with Store(GrpcTransport(target)) as store:
        yield store


@pytest.fixture
def own_store(backend: str) -> Iterator[Store]:
    """An empty store of ours, for what the engine does not answer."""
    with our_store(backend) as store:
        yield store


@dataclass(frozen=True)
class TaxiRun:
    """The ids of what ``taxi_run`` put."""

    data: int
    model: int
    report: int
    train: int
    evaluate: int
    run: int


def put_taxi_run(store: Store) -> TaxiRun:
    """data -> train -> model -> evaluate -> report, all in one context."""
    data_type = store.put_artifact_type(pb.ArtifactType(name="Data", properties={"rows": pb.INT}))
    model_type = store.put_artifact_type(pb.ArtifactType(name="Model"))
    report_type = store.put_artifact_type(pb.ArtifactType(name="Report"))
    train_type = store.put_execution_type(pb.ExecutionType(name="Train"))
    evaluate_type = store.put_execution_type(pb.ExecutionType(name="Evaluate"))
    run_type = store.put_context_type(pb.ContextType(name="Run"))
    run = pb.Context(type_id=run_type, name="monday")
    data = pb.Artifact(type_id=data_type, name="taxi", uri="s3://taxi", properties={"rows": to_value(1000)})
    model = pb.Artifact(type_id=model_type, name="fares", uri="s3://fares", state=pb.Artifact.LIVE)
    train = store.put_execution(
        pb.Execution(type_id=train_type, name="train", last_known_state=pb.Execution.COMPLETE),
        [(data, event(pb.Event.INPUT, "examples", 0)), (model, event(pb.Event.OUTPUT, "model", 0))],
        [run],
    )
    stored_model = store.get_artifact(train.artifact_ids[1])
    evaluate = store.put_execution(
        pb.Execution(type_id=evaluate_type, name="evaluate"),
        [
            (stored_model, event(pb.Event.INPUT, "model", 0)),
            (pb.Artifact(type_id=report_type, name="report"), event(pb.Event.OUTPUT, "report", 0)),
        ],
        [run],
        reuse_context_if_already_exist=True,
    )
    return TaxiRun(
        data=train.artifact_ids[0],
        model=train.artifact_ids[1],
        report=evaluate.artifact_ids[1],
        train=train.execution_id,
        evaluate=evaluate.execution_id,
        run=train.context_ids[0],
    )


def event(type_: pb.Event.Type, *path: str | int) -> pb.Event:
    steps = [pb.Event.Path.Step(**{"key" if isinstance(step, str) else "index": step}) for step in path]
    return pb.Event(type=type_, path=pb.Event.Path(steps=steps))


@pytest.fixture
def taxi_run(store: Store) -> TaxiRun:
    return put_taxi_run(store)


@dataclass
class Faulty:
    """A gRPC server that fails its calls with ``codes``, one after the other, and then answers."""

    codes: list[grpc.StatusCode] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    target: str = ""


class _Faults(grpc.GenericRpcHandler):
    def __init__(self, faulty: Faulty) -> None:
        self._faulty = faulty

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        def answer(_: bytes, context: grpc.ServicerContext) -> bytes:
            rpc = details.method.rpartition("/")[2]
            self._faulty.calls.append(rpc)
            if self._faulty.codes:
                context.abort(self._faulty.codes.pop(0), "as the test wants")
            return METHODS[rpc].response_class().SerializeToString()

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture
def faulty() -> Iterator[Faulty]:
    faulty = Faulty()
    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers([_Faults(faulty)])
    faulty.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield faulty
    server.stop(None).wait()


@pytest.fixture
def transport(faulty: Faulty) -> Iterator[Callable[..., GrpcTransport]]:
    """Makes transports to the faulty server, and closes them."""
    made: list[GrpcTransport] = []

    def make(**options: object) -> GrpcTransport:
        made.append(GrpcTransport(faulty.target, **options))  # type: ignore[arg-type]  # passed through
        return made[-1]

    yield make
    for transport in made:
        transport.close()
