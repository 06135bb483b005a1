"""What tests of the command line share: running it in process, and serving in a process of its own."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from click.testing import CliRunner, Result

from headwater import connect
from headwater.cli import main
from headwater.client import to_value
from headwater.v1 import metadata_store_pb2 as pb

Run = Callable[..., Result]

PATIENCE_S = 30


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch):
    for name in [name for name in os.environ if name.startswith("HEADWATER_")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Commands set up logging for their process, which here is that of all tests."""
    handlers, level = list(logging.root.handlers), logging.root.level
    yield
    logging.root.handlers = handlers
    logging.root.setLevel(level)


@pytest.fixture
def run() -> Run:
    """Run ``headwater`` with these arguments; keyword arguments go to ``CliRunner.invoke``."""

    def run(*arguments: object, **options: object) -> Result:
        return CliRunner().invoke(main, [str(argument) for argument in arguments], **options)

    return run


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The URL of a database that is not made yet."""
    return f"sqlite:///{tmp_path}/taxi.db"


@dataclass
class Serving:
    """``headwater serve`` in a process that has said it is ready."""

    process: subprocess.Popen
    address: str

    def stop(self) -> tuple[int, str]:
        """Send SIGTERM and wait for the end; the exit code and what was logged."""
        self.process.send_signal(signal.SIGTERM)
        _, logged = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, logged


def headwater(*arguments: object, **options: object) -> subprocess.Popen:
    """``python -m headwater.cli`` with its output in pipes."""
    return subprocess.Popen(
        [sys.executable, "-m", "headwater.cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@pytest.fixture
def serve() -> Iterator[Callable[..., Serving]]:
    """Start servers, on a free port unless ``--port`` is given, and stop those that are left."""
    started: list[subprocess.Popen] = []

    def serve(*arguments: object, **options: object) -> Serving:
        port = () if "--port" in arguments else ("--port", 0)
        process = headwater("serve", *arguments, *port, **options)
        started.append(process)
        line = process.stdout.readline()
        assert line.startswith("headwater ready on "), process.communicate()[1]
        return Serving(process, line.split()[-1])

    yield serve
    for process in started:
        process.kill()
        process.communicate()


def refused(*arguments: object, **options: object) -> tuple[int, str]:
    """The exit code of a ``headwater`` that does not start, and what it said on stderr."""
    process = headwater(*arguments, **options)
    said, logged = process.communicate(timeout=PATIENCE_S)
    assert said == ""
    assert "Traceback" not in logged
    return process.returncode, logged


@pytest.fixture
def mlmd_server() -> Iterator[Callable[..., Serving]]:
    """Start ``headwater mlmd-server`` on free ports, and stop those that are left."""
    started: list[subprocess.Popen] = []

    def mlmd_server(*arguments: object, **options: object) -> Serving:
        # Of a flag that is given twice the last wins.
        process = headwater("mlmd-server", *arguments, "--grpc_port=0", **options)
        started.append(process)
        line = process.stdout.readline().strip()
        assert line.startswith("headwater ready on 0.0.0.0:"), process.communicate()[1]
        return Serving(process, line.split()[-1].replace("0.0.0.0", "localhost"))

    yield mlmd_server
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def config_file(tmp_path: Path) -> Callable[[str], Path]:
    """Write a ``MetadataStoreServerConfig`` in protobuf's text format; the file."""

    def config_file(config: str) -> Path:
        file = tmp_path / "config.pbtxt"
        file.write_text(config)
        return file

    return config_file


@pytest.fixture
def channel_to() -> Iterator[Callable[[str], grpc.Channel]]:
    """Open channels, and close them in the end."""
    channels: list[grpc.Channel] = []

    def channel_to(address: str) -> grpc.Channel:
        channels.append(grpc.insecure_channel(address))
        return channels[-1]

    yield channel_to
    for channel in channels:
        channel.close()


@dataclass(frozen=True)
class Taxi:
    """A store in which taxi data was split, a model trained on one part and tested on the other."""

    url: str
    raw: int
    train: int
    test: int
    model: int
    report: int
    splitting: int
    training: int
    evaluating: int
    pipeline: int
    run: int


@pytest.fixture
def taxi(url: str) -> Taxi:
    with connect(url) as store:
        types = store.put_types(
            artifact_types=[
                pb.ArtifactType(name="Dataset", properties={"rows": pb.INT}),
                pb.ArtifactType(name="Model", properties={"accuracy": pb.DOUBLE}),
                pb.ArtifactType(name="Report"),
            ],
            execution_types=[pb.ExecutionType(name=name) for name in ("Split", "Train", "Evaluate")],
            context_types=[pb.ContextType(name=name) for name in ("Pipeline", "Run")],
        )
        dataset, model_type, report_type = types.artifact_type_ids
        live = pb.Artifact.LIVE
        artifacts = store.put_artifacts(
            [
                pb.Artifact(
                    type_id=dataset,
                    name="taxi",
                    uri="s3://b/taxi.csv",
                    state=live,
                    properties={"rows": to_value(1000)},
                    custom_properties={"owner": to_value("data team"), "tags": to_value({"city": "Chicago"})},
                ),
                *(
                    pb.Artifact(type_id=dataset, name=name, state=live, properties={"rows": to_value(rows)})
                    for name, rows in (("taxi/train", 800), ("taxi/test", 200))
                ),
                pb.Artifact(type_id=model_type, name="fares", properties={"accuracy": to_value(0.93)}),
                pb.Artifact(type_id=report_type, uri="s3://b/report.html", state=live),
            ]
        )
        raw, train, test, model, report = artifacts
        split_type, train_type, evaluate_type = types.execution_type_ids
        executions = store.put_executions(
            [
                pb.Execution(type_id=split_type, name="split", last_known_state=pb.Execution.COMPLETE),
                pb.Execution(type_id=train_type, name="train", last_known_state=pb.Execution.CACHED),
                pb.Execution(type_id=evaluate_type, last_known_state=pb.Execution.FAILED),
            ]
        )
        splitting, training, evaluating = executions
        events = [
            (pb.Event.INPUT, raw, splitting, "data"),
            (pb.Event.OUTPUT, train, splitting, "parts", 0),
            (pb.Event.OUTPUT, test, splitting, "parts", 1),
            (pb.Event.INPUT, train, training, "examples"),
            (pb.Event.OUTPUT, model, training, "model"),
            (pb.Event.INPUT, model, evaluating, "model"),
            (pb.Event.INPUT, test, evaluating, "examples"),
            (pb.Event.OUTPUT, report, evaluating),
        ]
        store.put_events(
            [
                pb.Event(
                    type=type_,
                    artifact_id=artifact_id,
                    execution_id=execution_id,
                    path=_path(path),
                    milliseconds_since_epoch=1_700_000_000_000 + moment,
                )
                for moment, (type_, artifact_id, execution_id, *path) in enumerate(events)
            ]
        )
        pipeline, run = store.put_contexts(
            [
                pb.Context(type_id=types.context_type_ids[0], name="fares"),
                pb.Context(type_id=types.context_type_ids[1], name="monday"),
            ]
        )
        store.put_parent_contexts([pb.ParentContext(child_id=run, parent_id=pipeline)])
        store.put_attributions_and_associations(
            [pb.Attribution(artifact_id=model, context_id=run)],
            [pb.Association(execution_id=training, context_id=run)],
        )
    return Taxi(url, *artifacts, *executions, pipeline, run)


def _path(steps: list[str | int]) -> pb.Event.Path | None:
    if not steps:
        return None
    return pb.Event.Path(
        steps=[
            pb.Event.Path.Step(index=step) if isinstance(step, int) else pb.Event.Path.Step(key=step)
            for step in steps
        ]
    )
