"""Recording steps and looking them up: headwater's BeginStep and FinishStep against what MLMD's users do.

    python tests/benchmarks/steps.py record --executions 100k
    python tests/benchmarks/steps.py record --executions 100k --backend postgresql
    python tests/benchmarks/steps.py look-up --executions 10k,100k,1M

``record`` takes turns on copies of one store, both over gRPC through one Python client. A run has ten
steps, a step three inputs, five parameters, two outputs and three numbers. MLMD's users get or create types
and contexts, find the inputs, ask for the fingerprint with a filter, put the execution, and put it again
with what it made; ``lean`` is the same by a client that remembers ids of types and contexts. On PostgreSQL
and MySQL ``--executions`` is the number of nodes of the stores that the other benchmarks use.

``look-up`` counts answers of one server on one SQLite file, from several clients at once.
"""

import argparse
import concurrent.futures
import contextlib
import json
import multiprocessing
import random
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import backends
import grpc
import processes
import stores
from google.protobuf.message import Message

sys.path.insert(0, str(processes.ROOT / "src"))

from headwater.fingerprint import fingerprint
from headwater.storage import model
from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpc
from headwater.v1 import pipelines_pb2 as pp
from headwater.wire import METHODS

BATCH = 10
ROUNDS = 12
PIPELINE, RUN = "churn", "filled"
Ask = Callable[[Message], Message]


def step(number: int, *, key: str, run: str) -> pp.BeginStepRequest:
    """A step that no other number has."""
    return pp.BeginStepRequest(
        pipeline=PIPELINE,
        run=run,
        step=f"step-{number % 10}",
        key=key,
        worker="benchmark",
        components={"code": f"sha256:{number:064x}", **{f"parameter:p{at}": str(at) for at in range(5)}},
        inputs=[
            pp.StepInput(name=f"in{at}", uri=f"s3://lake/raw/{number % 100}/{at}", digest=f"sha256:{at:064x}")
            for at in range(3)
        ],
        parameters={f"p{at}": pb.Value(double_value=at) for at in range(5)},
    )


def fingerprint_of(asked: pp.BeginStepRequest) -> str:
    inputs = {f"input:{one.name}": one.digest for one in asked.inputs}
    return fingerprint({**asked.components, "step": asked.step, **inputs})


def finished(number: int, key: str) -> pp.FinishStepRequest:
    return pp.FinishStepRequest(
        key=key,
        state=pp.COMPLETE,
        outputs=[
            pp.StepOutput(
                name=f"out{at}", uri=f"s3://lake/{key}/{at}", digest=f"sha256:{at:064x}", size_bytes=9
            )
            for at in range(2)
        ],
        metrics=[pp.Metric(name=f"m{at}", value=at + 0.5) for at in range(3)],
    )


# ---- a store with many finished steps


def fill(executions: int, directory: Path) -> Path:
    """A store in which so many steps are done; kept for the next time."""
    path = directory / f"steps_v2_{executions}.db"
    if path.exists():
        return path
    unfinished = path.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    with served(unfinished, directory) as ask:
        for number in range(2):
            ask(step(number, key=f"fill-{number}", run=RUN))
            ask(finished(number, f"fill-{number}"))
    connection = sqlite3.connect(unfinished, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("BEGIN")
    _multiply(connection, executions)
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.execute("ANALYZE")
    connection.close()
    unfinished.rename(path)
    return path


def _multiply(connection: sqlite3.Connection, executions: int) -> None:
    """Repeat what was recorded of the second step, with fingerprints, names and ids of its own."""
    execution = connection.execute("SELECT max(id) FROM Execution").fetchone()[0]
    artifacts = [
        row[0]
        for row in connection.execute(
            "SELECT artifact_id FROM Event WHERE execution_id = ? AND type = 4", (execution,)
        )
    ]
    last_artifact = connection.execute("SELECT max(id) FROM Artifact").fetchone()[0]
    for start in range(2, executions, 10_000):
        numbers = range(start, min(start + 10_000, executions))
        connection.execute("CREATE TEMP TABLE n (nr INTEGER PRIMARY KEY, print TEXT)")
        connection.executemany(
            "INSERT INTO n VALUES (?, ?)",
            ((number, fingerprint_of(step(number, key="", run=RUN))) for number in numbers),
        )
        new = f"{execution} + nr - 1"
        connection.execute(
            "INSERT INTO Execution SELECT "
            f"{new}, type_id, last_known_state, name || nr, 'fill-' || nr, create_time_since_epoch, "
            f"last_update_time_since_epoch FROM Execution, n WHERE id = {execution}"
        )
        connection.execute(
            "INSERT INTO ExecutionProperty (execution_id, name, is_custom_property, int_value, double_value, "
            f"string_value) SELECT {new}, name, is_custom_property, int_value, double_value, "
            "CASE WHEN name = 'fingerprint' THEN print WHEN name = 'step' THEN 'step-' || (nr % 10) "
            f"ELSE string_value END FROM ExecutionProperty, n WHERE execution_id = {execution}"
        )
        connection.execute(
            "INSERT INTO headwater_attempt SELECT "
            f"{new}, pipeline_id, run_id, 'step-' || (nr % 10), number, print, print, is_kept, "
            "unfit, cached_execution_id, start_ms, end_ms, begin_digest, finish_digest "
            f"FROM headwater_attempt, n WHERE execution_id = {execution}"
        )
        for slot, artifact in enumerate(artifacts):
            made = f"{last_artifact} + (nr - 2) * {len(artifacts)} + {slot} + 1"
            connection.execute(
                f"INSERT INTO Artifact SELECT {made}, type_id, 's3://lake/fill-' || nr || '/{slot}', state, "
                "name || nr, NULL, create_time_since_epoch, last_update_time_since_epoch "
                f"FROM Artifact, n WHERE id = {artifact}"
            )
            connection.execute(
                "INSERT INTO ArtifactProperty "
                "(artifact_id, name, is_custom_property, int_value, string_value) "
                f"SELECT {made}, name, is_custom_property, int_value, string_value FROM ArtifactProperty, n "
                f"WHERE artifact_id = {artifact}"
            )
            connection.execute(
                "INSERT INTO Event (artifact_id, execution_id, type, milliseconds_since_epoch) "
                f"SELECT {made}, {new}, 4, 1700000000000 FROM n"
            )
            connection.execute(
                "INSERT INTO EventPath (event_id, is_index_step, step_key) SELECT Event.id, 0, "
                f"'out{slot}' FROM Event JOIN n ON artifact_id = {made}"
            )
            for table, column in (("Attribution", "artifact_id"),):
                connection.execute(
                    f"INSERT INTO {table} (context_id, {column}) SELECT context_id, {made} FROM {table}, n "
                    f"WHERE {column} = {artifact}"
                )
        connection.execute(
            f"INSERT INTO Association (context_id, execution_id) SELECT context_id, {new} "
            f"FROM Association, n WHERE execution_id = {execution}"
        )
        connection.execute("DROP TABLE n")


def as_mlmd_has_it(path: Path) -> None:
    """Leave only what MLMD's own engine would have made, and its journal."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = DELETE")
    names = connection.execute(
        "SELECT name FROM sqlite_master WHERE name LIKE 'headwater_%' AND type = 'table'"
    )
    for (name,) in names.fetchall():
        connection.execute(f"DROP TABLE {name}")
    for name in ("idx_attribution_artifact_id", "idx_association_execution_id"):
        connection.execute(f"DROP INDEX IF EXISTS {name}")
    connection.execute("ANALYZE")
    connection.close()


@contextlib.contextmanager
def served(database: Path | str, directory: Path, *, by: str = "headwater") -> Iterator[Ask]:
    start = processes.start_headwater if by == "headwater" else processes.start_bridge
    url = database if isinstance(database, str) else f"sqlite:///{database}"
    server = start(url, directory / f"{by}.log")
    try:
        with grpc.insecure_channel(
            server.target, options=[("grpc.max_receive_message_length", -1)]
        ) as channel:
            yield asking(channel)
    finally:
        server.stop()


def asking(channel: grpc.Channel) -> Ask:
    methods = {
        name: channel.unary_unary(
            method.path, method.request_class.SerializeToString, method.response_class.FromString
        )
        for name, method in METHODS.items()
        if not method.is_stream
    }
    return lambda request: methods[type(request).__name__.removesuffix("Request")](request, timeout=300)


# ---- recording


class AsMlmdsUsers:
    """What a client of MLMD does for a step, in the order in which it has to."""

    def __init__(self, ask: Ask, *, remembers: bool) -> None:
        self._ask = ask
        self._remembers = remembers
        self._known: tuple[list[int], list[int], int, int] | None = None
        self._run = ""
        # A client has its types in its own code.
        self._context_types = [model.PIPELINE_TYPE, model.RUN_TYPE]
        self._step_type = model.STEP_TYPE
        self._data_type = pb.ArtifactType(name="Raw", properties=model.artifact_type("Raw").properties)

    def _types_and_contexts(self, run: str) -> tuple[list[int], list[int], int, int]:
        ask = self._ask
        types = [ask(rpc.PutContextTypeRequest(context_type=type_)).type_id for type_ in self._context_types]
        contexts = []
        names = (("headwater.Pipeline", PIPELINE), ("headwater.Run", f"{PIPELINE}/{run}"))
        contexts = []
        for type_id, (type_name, name) in zip(types, names, strict=True):
            found = ask(rpc.GetContextByTypeAndNameRequest(type_name=type_name, context_name=name))
            if not found.HasField("context"):
                new = pb.Context(type_id=type_id, name=name)
                contexts += ask(rpc.PutContextsRequest(contexts=[new])).context_ids
            else:
                contexts.append(found.context.id)
        return (
            types,
            contexts,
            ask(rpc.PutExecutionTypeRequest(execution_type=self._step_type)).type_id,
            ask(rpc.PutArtifactTypeRequest(artifact_type=self._data_type)).type_id,
        )

    def record(self, number: int, key: str, run: str) -> None:
        ask = self._ask
        if self._known is None or not self._remembers or run != self._run:
            self._known, self._run = self._types_and_contexts(run), run
        types, context_ids, step_type, data_type = self._known
        asked, done = step(number, key=key, run=run), finished(number, key)
        contexts = [
            pb.Context(id=context_id, type_id=type_id, name=name)
            for context_id, type_id, name in zip(
                context_ids, types, (PIPELINE, f"{PIPELINE}/{run}"), strict=True
            )
        ]
        stored = ask(rpc.GetArtifactsByURIRequest(uris=[one.uri for one in asked.inputs])).artifacts
        by_uri = {artifact.uri: artifact for artifact in stored}
        print_of = fingerprint_of(asked)
        where = f"properties.fingerprint.string_value = '{print_of}' AND last_known_state = COMPLETE"
        ask(rpc.GetExecutionsRequest(options=pb.ListOperationOptions(filter_query=where, max_result_size=1)))
        execution = pb.Execution(
            type_id=step_type,
            name=f"{PIPELINE}/{run}/{key}",
            external_id=key,
            last_known_state=pb.Execution.RUNNING,
        )
        execution.properties["step"].string_value = asked.step
        execution.properties["fingerprint"].string_value = print_of
        execution.properties["start_ms"].int_value = 1
        for name, value in asked.components.items():
            execution.custom_properties[name].string_value = value
        for name, value in asked.parameters.items():
            execution.custom_properties[f"parameter.{name}"].CopyFrom(value)
        begin = rpc.PutExecutionRequest(execution=execution, contexts=contexts)
        begin.options.reuse_context_if_already_exist = True
        for one in asked.inputs:
            pair = begin.artifact_event_pairs.add()
            if one.uri in by_uri:
                pair.event.artifact_id = by_uri[one.uri].id
            else:
                pair.artifact.CopyFrom(pb.Artifact(type_id=data_type, uri=one.uri))
                pair.artifact.properties["digest"].string_value = one.digest
            pair.event.type = pb.Event.INPUT
            pair.event.path.steps.add(key=one.name)
        execution.id = ask(begin).execution_id
        execution.last_known_state = pb.Execution.COMPLETE
        execution.properties["end_ms"].int_value = 2
        for metric in done.metrics:
            execution.custom_properties[f"metric.{metric.name}"].double_value = metric.value
        end = rpc.PutExecutionRequest(execution=execution, contexts=contexts)
        end.options.reuse_context_if_already_exist = True
        for one in done.outputs:
            pair = end.artifact_event_pairs.add()
            pair.artifact.CopyFrom(pb.Artifact(type_id=data_type, uri=one.uri, name=f"{key}/{one.name}"))
            pair.artifact.properties["digest"].string_value = one.digest
            pair.artifact.properties["size_bytes"].int_value = one.size_bytes
            pair.event.type = pb.Event.OUTPUT
            pair.event.path.steps.add(key=one.name)
        ask(end)


class AsHeadwaters:
    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def record(self, number: int, key: str, run: str) -> None:
        answer = self._ask(step(number, key=key, run=run))
        assert answer.decision == pp.RUN, answer
        self._ask(finished(number, key))


@contextlib.contextmanager
def sqlite_stores(executions: int, directory: Path) -> Iterator[tuple[Path, Path]]:
    """A copy of the filled store for each side."""
    filled = fill(executions, directory)
    own, theirs = directory / "record-headwater.db", directory / "record-mlmd.db"
    try:
        for path in (own, theirs):
            shutil.copyfile(filled, path)
        as_mlmd_has_it(theirs)
        yield own, theirs
    finally:
        for path in (own, theirs):
            for ending in ("", "-wal", "-shm", "-journal"):
                Path(f"{path}{ending}").unlink(missing_ok=True)


@contextlib.contextmanager
def server_stores(nodes: int, arguments: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """A copy of the other benchmarks' store for each side."""
    backend = backends.backend_for(arguments.backend, arguments)
    with contextlib.ExitStack() as dropped:
        copies = []
        for maker in ("headwater", "mlmd"):
            store = backend.build(stores.Layout(nodes), maker)
            copies.append(backend.copy(store, f"{backends.PREFIX}_steps_{maker}"))
            dropped.callback(backend.drop, copies[-1])
        yield copies[0], copies[1]


def record(executions: int, directory: Path, arguments: argparse.Namespace) -> dict[str, object]:
    """Milliseconds a step of each way, and how many times as fast headwater's is, by turns."""
    copies: contextlib.AbstractContextManager[tuple[Path | str, Path | str]] = (
        sqlite_stores(executions, directory)
        if arguments.backend == "sqlite"
        else server_stores(executions, arguments)
    )
    with (
        copies as (own, theirs),
        served(own, directory) as ask,
        served(theirs, directory, by="mlmd") as ask_mlmd,
    ):
        ways = {
            "headwater": AsHeadwaters(ask),
            "mlmd": AsMlmdsUsers(ask_mlmd, remembers=False),
            "lean": AsMlmdsUsers(ask_mlmd, remembers=True),
        }
        took: dict[str, list[float]] = {name: [] for name in ways}
        number = 10_000_000
        for turn in range(ROUNDS + 1):
            order = sorted(ways, key=lambda name: (list(ways).index(name) + turn) % len(ways))
            for name in order:
                began = time.perf_counter()
                for _ in range(BATCH):
                    number += 1
                    ways[name].record(number, f"{name}-{number}", f"{name}-{number // BATCH}")
                if turn:  # The first turn opens files and makes contexts.
                    took[name].append((time.perf_counter() - began) / BATCH * 1_000)
    ratios = {
        name: [other / ours for other, ours in zip(took[name], took["headwater"], strict=True)]
        for name in ("mlmd", "lean")
    }
    return {
        "backend": arguments.backend,
        "executions": executions,
        "ms_a_step": {name: round(statistics.median(values), 3) for name, values in took.items()},
        "ratio": {name: _quartiles(values) for name, values in ratios.items()},
    }


def _quartiles(values: list[float]) -> list[float]:
    """Median, and the quartiles about it."""
    low, middle, high = statistics.quantiles(values, n=4)
    return [round(middle, 2), round(low, 2), round(high, 2)]


# ---- looking up


def _look_up(target: str, executions: int, seconds: float, seed: int) -> list[float]:
    draw = random.Random(seed)
    took = []
    with grpc.insecure_channel(target) as channel:
        ask = asking(channel)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            request = pp.LookUpStepsRequest(steps=[step(draw.randrange(2, executions), key="", run=RUN)])
            began = time.perf_counter()
            answer = ask(request)
            took.append((time.perf_counter() - began) * 1_000)
            assert answer.steps[0].decision == pp.HIT
    return took


def look_up(executions: int, directory: Path, *, seconds: float, clients: int) -> dict[str, object]:
    """Hits that one server answers a second to so many clients, each with a process and a connection."""
    filled = fill(executions, directory)
    server = processes.start_headwater(f"sqlite:///{filled}", directory / "look-up.log")
    try:
        _look_up(server.target, executions, 1.0, 0)
        alone = _look_up(server.target, executions, seconds / 2, 1)
        with concurrent.futures.ProcessPoolExecutor(
            clients, mp_context=multiprocessing.get_context("spawn")
        ) as pool:
            list(
                pool.map(
                    _look_up,
                    *zip(*[(server.target, executions, 0.2, n) for n in range(clients)], strict=True),
                )
            )
            runs = list(
                pool.map(
                    _look_up,
                    *zip(*[(server.target, executions, seconds, n) for n in range(clients)], strict=True),
                )
            )
    finally:
        server.stop()
    took = [one for run in runs for one in run]
    return {
        "executions": executions,
        "clients": clients,
        "per_second": round(len(took) / seconds),
        "p50_ms": round(statistics.median(took), 3),
        "alone_p50_ms": round(statistics.median(alone), 3),
    }


def number_of(text: str) -> int:
    return int(text.replace("k", "000").replace("M", "000000"))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("record", "look-up"))
    parser.add_argument("--executions", default="100k", help="sizes of the store, such as 10k,100k,1M")
    parser.add_argument("--backend", choices=backends.BACKENDS, default="sqlite")
    parser.add_argument("--postgresql-url", default=backends.DEFAULT_POSTGRESQL_URL)
    parser.add_argument("--mysql-url", default=backends.DEFAULT_MYSQL_URL)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--cache", type=Path, default=processes.default_cache())
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    for size in map(number_of, arguments.executions.split(",")):
        with tempfile.TemporaryDirectory(dir=arguments.cache):
            result = (
                record(size, arguments.cache, arguments)
                if arguments.what == "record"
                else look_up(size, arguments.cache, seconds=arguments.seconds, clients=arguments.clients)
            )
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
