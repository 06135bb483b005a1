"""Concurrent load: many client threads in a few processes, bounded in time and in number of calls.

``measure`` is called by ``run.py``; it starts this file once a client process. Each thread has its own
connection and its own stream of requests, made before the clock starts.
"""

import argparse
import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import grpc
import operations
import processes
import sides
from stores import Layout

MAX_PROCESSES = 4


def _calls(load: str, layout: Layout, label: str, limit: int) -> Iterator[tuple[str, bytes]]:
    weights = operations.LOADS[load]
    streams = {name: operations.BY_NAME[name].stream(layout, label) for name in weights}
    choose = random.Random(f"{layout.seed} {label}")
    for name in choose.choices(list(weights), list(weights.values()), k=limit):
        yield operations.BY_NAME[name].rpc, next(streams[name])


class Client(threading.Thread):
    """One connection that sends its calls one after the other until they or the time are used up."""

    def __init__(self, target: str, calls: list[tuple[str, bytes]], start: threading.Event, seconds: float):
        super().__init__(daemon=True)
        options = (*sides.UNLIMITED, ("grpc.use_local_subchannel_pool", 1))
        self._channel = grpc.insecure_channel(target, options=options)
        grpc.channel_ready_future(self._channel).result(timeout=60)
        methods = {rpc: self._channel.unary_unary(f"/{sides.SERVICE}/{rpc}") for rpc, _ in calls}
        self._calls = [(methods[rpc], request) for rpc, request in calls]
        self._start_signal = start
        self._seconds = seconds
        self.durations_us: list[int] = []
        self.failures: Counter[str] = Counter()

    def run(self) -> None:
        self._start_signal.wait()
        clock = time.perf_counter
        end_s = clock() + self._seconds
        for method, request in self._calls:
            started_s = clock()
            if started_s >= end_s:
                break
            try:
                method(request, timeout=60)
            except grpc.RpcError as exc:
                self.failures[exc.code().name] += 1
            else:
                self.durations_us.append(int((clock() - started_s) * 1e6))
        self._channel.close()


def client_process(arguments: argparse.Namespace) -> None:
    """Make the clients, say ``ready``, start at a line on standard input, answer with a line of JSON."""
    layout, start = Layout(arguments.nodes, arguments.seed), threading.Event()
    clients = [
        Client(
            arguments.target,
            list(_calls(arguments.load, layout, f"{arguments.label}-{number}", arguments.limit)),
            start,
            arguments.seconds,
        )
        for number in range(arguments.threads)
    ]
    for client in clients:
        client.start()
    print("ready", flush=True)
    sys.stdin.readline()
    started_s = time.perf_counter()
    start.set()
    for client in clients:
        client.join()
    result = {
        "seconds": time.perf_counter() - started_s,
        "durations_us": [duration for client in clients for duration in client.durations_us],
        "failures": sum((client.failures for client in clients), Counter()),
    }
    print(json.dumps(result), flush=True)


def measure(
    side: sides.Grpc, load: str, layout: Layout, *, threads: int, seconds: float, max_calls: int, label: str
) -> dict[str, object]:
    """Load ``side`` with ``threads`` clients; calls a second, p50 and p99 in ms, failures by code."""
    count = min(MAX_PROCESSES, threads)
    clients = []
    for number in range(count):
        command = [sys.executable, str(Path(__file__).resolve()), "--target", side.target, "--load", load]
        command += ["--nodes", str(layout.nodes), "--seed", str(layout.seed), "--seconds", str(seconds)]
        command += ["--threads", str(len(range(number, threads, count)))]
        command += ["--limit", str(max_calls // threads), "--label", f"{label}-{number}"]
        clients.append(
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=processes.own_environment(),
            )
        )
    try:
        for client in clients:
            if client.stdout.readline() != "ready\n":
                raise sides.SideFailed(f"a client of {side.name} did not start")
        for client in clients:
            client.stdin.write("go\n")
            client.stdin.flush()
        results = [json.loads(client.stdout.readline()) for client in clients]
    finally:
        for client in clients:
            processes.stop(client)
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
    }


def _quantile_ms(ordered_us: list[int], share: float) -> float | None:
    if not ordered_us:
        return None
    return ordered_us[min(int(len(ordered_us) * share), len(ordered_us) - 1)] / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description="One process of clients; started by run.py.")
    parser.add_argument("--target", required=True)
    parser.add_argument("--load", choices=tuple(operations.LOADS), required=True)
    parser.add_argument("--label", required=True)
    for name in ("--nodes", "--seed", "--threads", "--limit"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    client_process(parser.parse_args())


if __name__ == "__main__":
    main()
