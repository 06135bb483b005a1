"""The two sides that are asked: MLMD's engine behind its bridge, and headwater.

A side answers one request at a time and can be emptied. It keeps to itself how it is reached and started.
"""

import contextlib
import os
import signal
import subprocess
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import grpc
from databases import BACKENDS, Unobtainable, empty_store, server_of
from google.protobuf.message import Message

from headwater import errors
from headwater.v1 import metadata_store_service_pb2 as rpcs

SERVICE = "ml_metadata.MetadataStoreService"
BRIDGE = Path(__file__).resolve().parents[1] / "peers" / "mlmd_bridge.py"
REPOSITORY = Path(__file__).resolve().parents[2]
UNLIMITED = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
CALL_TIMEOUT_S = 60
READY_TIMEOUT_S = 20

DIED = "DIED"
"""The code of a request that ended the process of the engine."""
WITH_IDS = ("Type", "Artifact", "Execution", "Context", "Event", "Attribution", "Association")

NOT_SENT = "NOT_SENT"
"""The code of a request that was kept from the engine, because it would end the process."""
CRASHED = "CRASHED"
"""The code of a request that raised something other than a ``HeadwaterError`` in process."""

CODES: dict[type[errors.HeadwaterError], str] = {
    errors.InvalidRequest: "INVALID_ARGUMENT",
    errors.NotFound: "NOT_FOUND",
    errors.AlreadyExists: "ALREADY_EXISTS",
    errors.FailedPrecondition: "FAILED_PRECONDITION",
    errors.OutOfRange: "OUT_OF_RANGE",
    errors.Aborted: "ABORTED",
    errors.Unimplemented: "UNIMPLEMENTED",
    errors.ResourceExhausted: "RESOURCE_EXHAUSTED",
    errors.DeadlineExceeded: "DEADLINE_EXCEEDED",
    errors.Cancelled: "CANCELLED",
    errors.Unavailable: "UNAVAILABLE",
    errors.DataLoss: "DATA_LOSS",
    errors.PermissionDenied: "PERMISSION_DENIED",
    errors.Unauthenticated: "UNAUTHENTICATED",
    errors.Internal: "INTERNAL",
}
"""Written out again on purpose: the server's own table is among what is compared over gRPC."""


class SideMissing(Exception):
    """A side cannot be reached or emptied. The message says what to do."""


class PeerMissing(SideMissing):
    """There is no interpreter with the ``ml-metadata`` wheel."""


@dataclass(frozen=True)
class Answer:
    """What one side said to one request: a response when ``code`` is OK, else the text of the error."""

    rpc: str
    request: Message
    code: str
    response: Message | None = None
    text: str = ""


class Side(Protocol):
    is_engine: bool
    is_server: bool
    """Whether its store is in PostgreSQL or MySQL."""

    def call(self, rpc: str, request: Message) -> Answer: ...

    def reset(self) -> None:
        """Continue with an empty store."""

    def close(self) -> None: ...


def response_class(rpc: str) -> type[Message]:
    return getattr(rpcs, f"{rpc}Response")


def peer_python() -> Path:
    """The interpreter that has ``ml_metadata``. Raises PeerMissing."""
    python = Path(os.environ.get("HEADWATER_PEERS_PYTHON", REPOSITORY / ".venv-peers" / "bin" / "python"))
    if not python.exists():
        raise PeerMissing(f"no interpreter at {python}; run `make peers` or set HEADWATER_PEERS_PYTHON")
    return python


class Remote:
    """A server at an address. Only one that knows ``/peer/Reset`` can be emptied."""

    is_engine = False
    is_server = False

    def __init__(self, target: str) -> None:
        self.target = target
        self._used = False
        self._channel = grpc.insecure_channel(target, options=UNLIMITED)
        try:
            grpc.channel_ready_future(self._channel).result(timeout=READY_TIMEOUT_S)
        except grpc.FutureTimeoutError as error:
            raise SideMissing(f"no server answers at {target}") from error

    def call(self, rpc: str, request: Message) -> Answer:
        self._used = True
        method = self._channel.unary_unary(f"/{SERVICE}/{rpc}")
        try:
            response = method(request.SerializeToString(), timeout=CALL_TIMEOUT_S)
        except grpc.RpcError as error:
            return Answer(rpc, request, error.code().name, text=error.details() or "")
        return Answer(rpc, request, "OK", response_class(rpc).FromString(response))

    def reset(self) -> None:
        if not self._used:
            return
        try:
            self._channel.unary_unary("/peer/Reset")(b"", timeout=CALL_TIMEOUT_S)
        except grpc.RpcError as error:
            raise SideMissing(
                f"{self.target} cannot be emptied ({error.details()}); give it one sequence only, or use "
                "`in-process` or `serve`"
            ) from error

    def close(self) -> None:
        self._channel.close()


class Engine:
    """The C++ engine. A request that kills it is answered with ``DIED`` and the engine started again, empty."""

    is_server = False

    def __init__(self, python: Path, *, is_engine: bool = True) -> None:
        self.is_engine = is_engine
        self._python = python
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [self._python, BRIDGE],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": "", "GRPC_VERBOSITY": "NONE"},
        )
        assert self._process.stdout
        ready = self._process.stdout.readline().split()
        if ready[:1] != ["ready"]:
            raise PeerMissing(f"{self._python} cannot run {BRIDGE}: is ml-metadata installed there?")
        self._remote = Remote(f"127.0.0.1:{ready[1]}")

    def call(self, rpc: str, request: Message) -> Answer:
        answer = self._remote.call(rpc, request)
        if answer.code == "UNAVAILABLE":
            self.close()
            self._start()
            return Answer(rpc, request, DIED, text=answer.text)
        return answer

    def reset(self) -> None:
        self._remote.reset()

    def close(self) -> None:
        self._remote.close()
        self._process.kill()
        self._process.wait()
        assert self._process.stdout
        self._process.stdout.close()


class InProcess:
    """headwater without gRPC: the embedded store, in memory or in a database of its own on a server."""

    is_engine = False

    def __init__(self, backend: str = "sqlite") -> None:
        self._backend = backend
        self.is_server = backend != "sqlite"
        self._open()

    def _open(self) -> None:
        from headwater import embedded

        self._resources = contextlib.ExitStack()
        try:
            url = self._resources.enter_context(empty_store(self._backend))
        except Unobtainable as missing:
            raise SideMissing(str(missing)) from missing
        self._transport = embedded.open_transport(url, private=self._backend == "sqlite")
        self._resources.callback(self._transport.close)
        if self._backend != "sqlite":
            database = url.rpartition("/")[2].partition("?")[0]
            self._database = self._resources.enter_context(server_of(self._backend).connection(database))

    def call(self, rpc: str, request: Message) -> Answer:
        answer = self._call(rpc, request)
        if self.is_server and rpc.startswith("Put") and answer.code != "OK":
            self._align_ids()
        return answer

    def _call(self, rpc: str, request: Message) -> Answer:
        try:
            response = self._transport.call(rpc, request)
        except errors.HeadwaterError as error:
            code = next(CODES[base] for base in type(error).__mro__ if base in CODES)
            return Answer(rpc, request, code, text=str(error))
        except Exception:
            return Answer(rpc, request, CRASHED, text=traceback.format_exc())
        return Answer(rpc, request, "OK", response)

    def _align_ids(self) -> None:
        """Count ids on from the last one stored, as SQLite does, and no server after a write that failed."""
        cursor = self._database.cursor()
        for table in WITH_IDS:
            if self._backend == "mysql":
                cursor.execute(f"ALTER TABLE {table} AUTO_INCREMENT = 1")
            else:
                cursor.execute(
                    f"SELECT setval('{table}_id_seq', coalesce(max(id), 1), max(id) IS NOT NULL) FROM {table}"
                )

    def reset(self) -> None:
        self.close()
        self._open()

    def close(self) -> None:
        self._resources.close()


class Serve:
    """``headwater serve`` in a process of its own, one process a sequence, in memory."""

    is_engine = False
    is_server = False

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "headwater.cli", "serve", "--database-url", "sqlite://", "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout
        port = self._process.stdout.readline().split()[-1].rpartition(":")[2]
        self._remote = Remote(f"127.0.0.1:{port}")

    def call(self, rpc: str, request: Message) -> Answer:
        return self._remote.call(rpc, request)

    def reset(self) -> None:
        self.close()
        self._start()

    def close(self) -> None:
        self._remote.close()
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=30)
        assert self._process.stdout
        self._process.stdout.close()


def open_headwater(target: str) -> Side:
    """``in-process``, ``postgresql`` or ``mysql`` (in process on such a server), ``serve``, ``engine`` (the control:
    MLMD in headwater's place) or HOST:PORT."""
    if target == "in-process":
        return InProcess()
    if target in BACKENDS:
        return InProcess(target)
    if target == "serve":
        return Serve()
    if target == "engine":
        return Engine(peer_python(), is_engine=True)
    return Remote(target)
