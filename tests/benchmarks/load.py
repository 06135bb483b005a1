"""Concurrent load: many clients in a few processes, bounded in time and in number of calls.

``measure`` is called by ``measuring``; it starts this file once a client process. Each client has its own
connection, on which it sends one call after the other, and its own stream of requests, made before the
clock starts. All clients of a process live in one thread, see ``lean``; what they themselves take of the
cores is part of the result.
"""

import argparse
import json
import random
import selectors
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import grpc
import lean
import operations
import processes
import sides
from stores import Layout

MAX_PROCESSES = 4
CODES = {code.value[0]: code.name for code in grpc.StatusCode}
PATIENCE_S = 60
"""How long after the end of a load its last calls may take."""


class Served(Protocol):
    name: str
    targets: list[str]


def _calls(load: str, layout: Layout, label: str, limit: int) -> Iterator[tuple[str, bytes]]:
    weights = operations.LOADS[load]
    streams = {name: operations.BY_NAME[name].stream(layout, label) for name in weights}
    choose = random.Random(f"{layout.seed} {label}")
    for name in choose.choices(list(weights), list(weights.values()), k=limit):
        yield f"/{sides.SERVICE}/{operations.BY_NAME[name].rpc}", next(streams[name])


class Client:
    """One connection that sends its calls one after the other until they or the time are used up."""

    def __init__(self, target: str, calls: list[tuple[str, bytes]]) -> None:
        self.connection = lean.Connection(target)
        self._calls = iter(calls)
        self._started_s = 0.0
        self.durations_us: list[int] = []
        self.failures: Counter[str] = Counter()

    def send_next(self, end_s: float) -> bool:
        """Send the next call, if there is one and it is not too late."""
        call = next(self._calls, None)
        self._started_s = time.perf_counter()
        if call is None or self._started_s >= end_s:
            return False
        self.connection.send(*call)
        return True

    def receive(self) -> bool:
        """Note the outcome of the call under way, if it has come; whether it is still under way."""
        outcome = self.connection.receive()
        if outcome is None:
            return True
        status, _ = outcome
        if status:
            self.failures[CODES[status]] += 1
        else:
            self.durations_us.append(int((time.perf_counter() - self._started_s) * 1e6))
        return False


def run(clients: list[Client], seconds: float) -> None:
    """Let the clients work side by side for some seconds, and wait for their last answers."""
    end_s = time.perf_counter() + seconds
    with selectors.DefaultSelector() as selector:
        for client in clients:
            if client.send_next(end_s):
                selector.register(client.connection, selectors.EVENT_READ, client)
        while selector.get_map():
            ready = selector.select(timeout=1)
            for key, _ in ready:
                client: Client = key.data
                try:
                    goes_on = client.receive() or client.send_next(end_s)
                except (lean.ConnectionLost, OSError):
                    client.failures["UNAVAILABLE"] += 1
                    goes_on = False
                if not goes_on:
                    selector.unregister(client.connection)
            if not ready and time.perf_counter() > end_s + PATIENCE_S:
                for key in selector.get_map().values():
                    key.data.failures["DEADLINE_EXCEEDED"] += 1
                return


def client_process(arguments: argparse.Namespace) -> None:
    """Make the clients, say ``ready``, start at a line on standard input, answer with a line of JSON."""
    layout, targets = Layout(arguments.nodes, arguments.seed), arguments.targets.split(",")
    clients = [
        Client(
            targets[number % len(targets)],
            list(_calls(arguments.load, layout, f"{arguments.label}-{number}", arguments.limit)),
        )
        for number in map(int, arguments.clients.split(","))
    ]
    print("ready", flush=True)
    sys.stdin.readline()
    started_s, started_cpu_s = time.perf_counter(), time.process_time()
    run(clients, arguments.seconds)
    result = {
        "seconds": time.perf_counter() - started_s,
        "cpu_s": time.process_time() - started_cpu_s,
        "durations_us": [duration for client in clients for duration in client.durations_us],
        "failures": sum((client.failures for client in clients), Counter()),
    }
    print(json.dumps(result), flush=True)


def measure(
    side: Served, load: str, layout: Layout, *, clients: int, seconds: float, max_calls: int, label: str
) -> dict[str, object]:
    """Load ``side`` with ``clients`` clients; calls a second, p50 and p99 in ms, failures by code."""
    count = min(MAX_PROCESSES, clients)
    started = []
    for number in range(count):
        command = [sys.executable, str(Path(__file__).resolve()), "--targets", ",".join(side.targets)]
        command += ["--load", load, "--nodes", str(layout.nodes), "--seed", str(layout.seed)]
        command += ["--clients", ",".join(map(str, range(number, clients, count)))]
        command += ["--limit", str(max_calls // clients), "--seconds", str(seconds), "--label", label]
        started.append(
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=processes.own_environment(),
            )
        )
    try:
        for process in started:
            if process.stdout.readline() != "ready\n":
                raise sides.SideFailed(f"a client of {side.name} did not start")
        for process in started:
            process.stdin.write("go\n")
            process.stdin.flush()
        results = [json.loads(process.stdout.readline()) for process in started]
    finally:
        for process in started:
            processes.stop(process)
    durations_us = sorted(duration for result in results for duration in result["durations_us"])
    failures = sum((Counter(result["failures"]) for result in results), Counter())
    seconds_taken = max(result["seconds"] for result in results)
    return {
        "operations": len(durations_us),
        "seconds": round(seconds_taken, 3),
        "per_second": round(len(durations_us) / seconds_taken, 1),
        "p50_ms": _quantile_ms(durations_us, 0.5),
        "p99_ms": _quantile_ms(durations_us, 0.99),
        "failed": sum(failures.values()),
        "failures": dict(failures),
        "client_cores": round(sum(result["cpu_s"] for result in results) / seconds_taken, 2),
    }


def _quantile_ms(ordered_us: list[int], share: float) -> float | None:
    if not ordered_us:
        return None
    return ordered_us[min(int(len(ordered_us) * share), len(ordered_us) - 1)] / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description="One process of clients; started by run.py.")
    for name in ("--targets", "--label", "--clients"):
        parser.add_argument(name, required=True)
    parser.add_argument("--load", choices=tuple(operations.LOADS), required=True)
    for name in ("--nodes", "--seed", "--limit"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    client_process(parser.parse_args())


if __name__ == "__main__":
    main()
