"""The sides of the comparison: four ways to ask one store, with one interface.

``bridge`` and ``server`` are asked by the same code over gRPC, raw bytes in and out, one channel each, so
that only the server differs. ``engine`` and ``embedded`` run in a process of their own, see ``inprocess``.
Every side has its own copy of the store, made by the program that opens it.
"""

import contextlib
import pickle
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import grpc
import processes
from backends import Backend

SERVICE = "ml_metadata.MetadataStoreService"
UNLIMITED = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
CALL_TIMEOUT_S = 300
BENCHMARK = ("bridge", "engine", "server", "embedded")
CONTROL = ("bridge", "engine", "bridge2", "engine2")
"""The same with MLMD in headwater's places: every ratio should be 1, or the benchmark itself is at fault."""


def maker_of(name: str) -> str:
    """Who makes and opens the database of a side."""
    return "headwater" if name in ("server", "embedded") else "mlmd"


CROWDS = {"bridges": "bridge", "workers": "server"}
"""Sides of concurrent loads only, see ``Crowd``, and on whose database they work."""


class SideFailed(Exception):
    """A side answered with an error where every side should answer."""


@dataclass(frozen=True)
class Place:
    """The copy of a store that a side has for itself."""

    database: str
    """Its URL."""
    url: str
    """The same through the proxy, if there is one: what the side opens."""


class Side(Protocol):
    name: str
    place: Place

    @property
    def pid(self) -> int: ...

    def time(self, rpc: str, requests: Sequence[bytes]) -> list[int]:
        """Nanoseconds of each call, in order. Raises SideFailed when one fails."""

    def call(self, rpc: str, request: bytes) -> bytes:
        """The answer to one request, untimed. Raises SideFailed when it fails."""

    def close(self) -> None: ...


class Grpc:
    def __init__(self, name: str, place: Place, served: processes.Served) -> None:
        self.name = name
        self.place = place
        self.targets = [served.target]
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
    def __init__(self, name: str, place: Place, *, log: Path) -> None:
        self.name = name
        self.place = place
        self._log = log
        engine = "mlmd" if name.startswith("engine") else "headwater"
        python = processes.peers_python() if engine == "mlmd" else sys.executable
        command = [
            python,
            str(processes.HERE / "inprocess.py"),
            engine,
            "--database-url",
            place.url,
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


class Crowd:
    """Several server processes on the database of another side, for concurrent loads only.

    ``bridges``: MLMD's engine answers one request at a time in a process, so it gets several processes, and
    the clients spread over them. ``workers``: headwater with ``--workers``, at one address.
    """

    def __init__(self, name: str, side: Side, log: Path, *, size: int) -> None:
        self.name = name
        self.place = side.place
        self._served: list[processes.Served] = []
        try:
            if name == "workers":
                self._served.append(processes.start_headwater(side.place.url, log, workers=size))
            while name == "bridges" and len(self._served) < size:
                self._served.append(processes.start_bridge(side.place.url, log))
        except BaseException:
            self.close()
            raise
        self.targets = [each.target for each in self._served]

    def close(self) -> None:
        for each in self._served:
            each.stop()


def open_side(
    name: str,
    backend: Backend,
    store: str,
    directory: Path,
    opened: contextlib.ExitStack,
    *,
    delay_ms: float = 0,
    use_up: bool = False,
) -> Side:
    """Start the side ``name`` on a copy of ``store``, or with ``use_up`` on the store itself.

    Logs go to ``directory``, whose name is part of the copy's. ``opened`` will end and drop everything.
    """
    place_store = backend.take if use_up else backend.copy
    database = url = place_store(store, f"{directory.name}_{name}")
    opened.callback(backend.drop, database)
    if delay_ms:
        proxy, url = processes.start_proxy(database, delay_ms, directory / f"{name}-proxy.log")
        opened.callback(proxy.stop)
    place, log = Place(database, url), directory / f"{name}.log"
    side: Side
    if name.startswith("bridge"):
        side = Grpc(name, place, processes.start_bridge(url, log))
    elif name == "server":
        side = Grpc(name, place, processes.start_headwater(url, log))
    else:
        side = InProcess(name, place, log=log)
    opened.callback(side.close)
    return side
