"""The sides of the comparison: four ways to ask one store, with one interface.

``bridge`` and ``server`` are asked by the same code over gRPC, raw bytes in and out, one channel each, so
that only the server differs. ``engine`` and ``embedded`` run in a process of their own, see ``inprocess``.
Every side has its own copy of the store's file.
"""

import pickle
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import grpc
import processes
import stores

SERVICE = "ml_metadata.MetadataStoreService"
UNLIMITED = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
CALL_TIMEOUT_S = 300
COPIES = {
    "bridge": stores.copy_for_engine,
    "engine": stores.copy_for_engine,
    "server": stores.copy_for_headwater,
    "embedded": stores.copy_for_headwater,
    "bridge2": stores.copy_for_engine,
    "engine2": stores.copy_for_engine,
}
BENCHMARK = ("bridge", "engine", "server", "embedded")
CONTROL = ("bridge", "engine", "bridge2", "engine2")
"""The same with MLMD in headwater's places: every ratio should be 1, or the benchmark itself is at fault."""


class SideFailed(Exception):
    """A side answered with an error where every side should answer."""


class Side(Protocol):
    name: str
    database: Path

    @property
    def pid(self) -> int: ...

    def time(self, rpc: str, requests: Sequence[bytes]) -> list[int]:
        """Nanoseconds of each call, in order. Raises SideFailed when one fails."""

    def call(self, rpc: str, request: bytes) -> bytes:
        """The answer to one request, untimed. Raises SideFailed when it fails."""

    def close(self) -> None: ...


class Grpc:
    def __init__(self, name: str, database: Path, served: processes.Served) -> None:
        self.name = name
        self.database = database
        self.target = served.target
        self._served = served
        self._channel = grpc.insecure_channel(served.target, options=UNLIMITED)
        self._methods: dict[str, grpc.UnaryUnaryMultiCallable] = {}

    @property
    def pid(self) -> int:
        return self._served.process.pid

    def _method(self, rpc: str) -> grpc.UnaryUnaryMultiCallable:
        if rpc not in self._methods:
            self._methods[rpc] = self._channel.unary_unary(f"/{SERVICE}/{rpc}")
        return self._methods[rpc]

    def time(self, rpc: str, requests: Sequence[bytes]) -> list[int]:
        method, clock = self._method(rpc), time.perf_counter_ns
        durations_ns = []
        try:
            for request in requests:
                started_ns = clock()
                method(request, timeout=CALL_TIMEOUT_S)
                durations_ns.append(clock() - started_ns)
        except grpc.RpcError as exc:
            raise SideFailed(f"{self.name}, {rpc}: {exc.code().name}: {exc.details()}") from exc
        return durations_ns

    def call(self, rpc: str, request: bytes) -> bytes:
        try:
            return self._method(rpc)(request, timeout=CALL_TIMEOUT_S)
        except grpc.RpcError as exc:
            raise SideFailed(f"{self.name}, {rpc}: {exc.code().name}: {exc.details()}") from exc

    def close(self) -> None:
        self._channel.close()
        self._served.stop()


class InProcess:
    def __init__(self, name: str, database: Path, *, log: Path) -> None:
        self.name = name
        self.database = database
        self._log = log
        engine = "mlmd" if name.startswith("engine") else "headwater"
        python = processes.peers_python() if engine == "mlmd" else sys.executable
        command = [
            python,
            str(processes.HERE / "inprocess.py"),
            engine,
            "--database",
            str(database.resolve()),
        ]
        with log.open("wb") as stderr:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=None if engine == "mlmd" else processes.own_environment(),
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def _ask(self, rpc: str, requests: Sequence[bytes], want_answers: bool) -> tuple[list[int], list[bytes]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            pickle.dump((rpc, list(requests), want_answers), self._process.stdin, protocol=4)
            self._process.stdin.flush()
            durations_ns, answers, error = pickle.load(self._process.stdout)
        except (EOFError, BrokenPipeError) as exc:
            raise SideFailed(f"{self.name} ended; its log ends in\n{self._log.read_text()[-2000:]}") from exc
        if error:
            raise SideFailed(f"{self.name}, {rpc}: {error}")
        return durations_ns, answers

    def time(self, rpc: str, requests: Sequence[bytes]) -> list[int]:
        return self._ask(rpc, requests, False)[0]

    def call(self, rpc: str, request: bytes) -> bytes:
        return self._ask(rpc, [request], True)[1][0]

    def close(self) -> None:
        processes.stop(self._process)


def open_side(name: str, store: Path, directory: Path) -> Side:
    """Copy ``store`` into ``directory`` for the side ``name`` and start it there."""
    database, log = directory / f"{name}.db", directory / f"{name}.log"
    COPIES[name](store, database)
    if name.startswith("bridge"):
        return Grpc(name, database, processes.start_bridge(database, log))
    if name == "server":
        return Grpc(name, database, processes.start_headwater(database, log))
    return InProcess(name, database, log=log)
