"""Compare MLMD's C++ engine with headwater, operation by operation, on stores of several sizes.

    python tests/benchmarks/run.py --sizes 10k,100k,1M --output results.json
    python tests/benchmarks/table.py results.json
    python tests/benchmarks/plot.py results.json growth.svg

Four sides take turns with the same requests in one run: MLMD behind gRPC, MLMD in process, headwater over
gRPC, headwater in process. See README.md. Exit code 1 when a side failed or answered otherwise than MLMD.
"""

import argparse
import contextlib
import importlib.metadata
import itertools
import json
import math
import os
import platform
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import processes

# Run from a checkout, headwater need not be installed; the next imports want its messages.
sys.path.insert(0, str(processes.ROOT / "src"))

import answers
import load
import operations
import sides
import stores
from operations import Operation
from stores import Layout

COMPARED_REQUESTS = 3
BATCH_SECONDS = 0.1
MIN_ROUNDS = 3
MIN_CALLS = 5
WRITTEN_SHARE = 0.2
"""How much of its nodes a store may gain by one operation, as long as that leaves ``MIN_CALLS``."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Turns:
    """The requests of one operation, the same for all sides but for what only a side itself can know."""

    def __init__(self, operation: Operation, layout: Layout, taking_part: Sequence[sides.Side]) -> None:
        self._streams: dict[str, Iterator[bytes]] | None = None
        if operation.deep:
            pages = {side.name: operations.deep_pages(operation, layout, side.call) for side in taking_part}
            shortest = min(map(len, pages.values()))
            self._streams = {name: itertools.cycle(own[:shortest]) for name, own in pages.items()}
        self._shared = operation.stream(layout)
        self._names = [side.name for side in taking_part]

    def take(self, count: int) -> dict[str, list[bytes]]:
        """The next ``count`` requests of each side; fewer, at last none, when the stream ends."""
        if self._streams:
            return {name: list(itertools.islice(own, count)) for name, own in self._streams.items()}
        requests = list(itertools.islice(self._shared, count))
        return dict.fromkeys(self._names, requests)


def compare_answers(
    operation: Operation, turns: Turns, taking_part: Sequence[sides.Side]
) -> tuple[dict[str, str], float]:
    """What each side's first answers are, next to those of the first side, and a call's usual seconds.

    Usual is the slowest side's time for the request that went fastest: the very first call opens files.
    """
    verdicts = {side.name: answers.SAME for side in taking_part}
    order = (answers.SAME, answers.SAME_IDS, answers.DIFFERENT)
    usual_s = math.inf
    for _ in range(COMPARED_REQUESTS):
        requests, expected, slowest_s = turns.take(1), None, 0.0
        for side in taking_part:
            if not requests[side.name]:
                continue
            started_s = time.perf_counter()
            raw = side.call(operation.rpc, requests[side.name][0])
            slowest_s = max(slowest_s, time.perf_counter() - started_s)
            answer = operation.answer_message.FromString(raw)
            if expected is None:
                expected = answer
            verdict = answers.compare(expected, answer, ordered=operation.ordered)
            verdicts[side.name] = max(verdicts[side.name], verdict, key=order.index)
        if expected is not None and not expected.ListFields():
            raise sides.SideFailed(f"{operation.name}: an empty answer, so the request asks for nothing")
        if expected is not None:
            usual_s = min(usual_s, slowest_s)
    return verdicts, usual_s


def measure(
    operation: Operation, layout: Layout, taking_part: Sequence[sides.Side], *, repeat: int, seconds: float
) -> dict[str, object]:
    """Compare the first answers, then take turns in rounds until ``repeat`` calls a side, or ``seconds``.

    ``rounds`` of the result has, a round, the microseconds of each side's calls. Each round starts with
    another side, so that none always follows the same one.
    """
    if operation.nodes_written:
        most = int(layout.nodes * WRITTEN_SHARE) // operation.nodes_written
        repeat = min(repeat, max(MIN_CALLS, most))
    turns = Turns(operation, layout, taking_part)
    verdicts, usual_s = compare_answers(operation, turns, taking_part)
    batch = max(1, min(operation.max_batch, repeat, int(BATCH_SECONDS / usual_s)))
    rounds: list[dict[str, list[float]]] = []
    end_s = time.monotonic() + seconds
    done = 0
    while done < repeat and (len(rounds) < MIN_ROUNDS or time.monotonic() < end_s):
        requests = turns.take(min(batch, repeat - done))
        if not all(requests.values()):
            break
        first = len(rounds) % len(taking_part)
        durations = {}
        for side in (*taking_part[first:], *taking_part[:first]):
            nanoseconds = side.time(operation.rpc, requests[side.name])
            durations[side.name] = [duration / 1000 for duration in nanoseconds]
        rounds.append(durations)
        done += len(next(iter(durations.values())))
    return {"answers": verdicts, "batch": batch, "rounds": rounds}


def measure_load(
    layout: Layout, taking_part: Sequence[sides.Side], arguments: argparse.Namespace
) -> list[dict[str, object]]:
    """Concurrent load on the sides behind gRPC, in turns."""
    served = [side for side in taking_part if isinstance(side, sides.Grpc)]
    runs: list[dict[str, object]] = []
    for name, threads in itertools.product(arguments.loads.split(","), arguments.load_threads.split(",")):
        for turn, side in itertools.product(range(arguments.load_rounds), served):
            result = load.measure(
                side,
                name,
                layout,
                threads=int(threads),
                seconds=arguments.load_seconds,
                max_calls=arguments.load_calls,
                label=f"{name}-{threads}-{turn}",
            )
            runs.append({"load": name, "threads": int(threads), "side": side.name, "round": turn, **result})
            say(
                f"  load {name}, {threads} clients, {side.name}: {result['per_second']}/s, "
                f"p99 {result['p99_ms']} ms, {result['failed']} failed"
            )
    return runs


@dataclass
class Store:
    """The sides that share one size, and what has been found out about it."""

    layout: Layout
    taking_part: list[sides.Side]
    result: dict[str, object]


def open_stores(
    names: Sequence[str], arguments: argparse.Namespace, directory: Path, opened: contextlib.ExitStack
) -> list[Store]:
    """Build what is missing, copy it for every side and start them all; ``opened`` will close them."""
    layouts = [Layout(nodes, arguments.seed) for nodes in stores.parse_sizes(arguments.sizes)]
    found = []
    for layout in layouts:
        started_s = time.monotonic()
        store = stores.build(layout, arguments.cache)
        size_bytes = store.stat().st_size
        if shutil.disk_usage(directory).free < size_bytes * (len(names) + 1):
            raise processes.NotAvailable(
                f"{directory} lacks the {size_bytes * (len(names) + 1) / 1e9:.1f} GB that the copies of "
                f"{layout.nodes} nodes take; free some, or give another directory with --cache"
            )
        own_directory = directory / str(layout.nodes)
        own_directory.mkdir()
        taking_part = []
        for name in names:
            side = sides.open_side(name, store, own_directory)
            opened.callback(side.close)
            taking_part.append(side)
        result = {"bytes": size_bytes, "opened_after_s": round(time.monotonic() - started_s, 1)}
        found.append(Store(layout, taking_part, {"store": result, "operations": {}, "seconds": 0.0}))
        say(f"{layout.nodes} nodes: {size_bytes / 1e6:.0f} MB, open after {result['opened_after_s']} s")
    return found


def measure_all(opened: Sequence[Store], arguments: argparse.Namespace, save: Callable[[], None]) -> None:
    """All operations on all sizes, then the loads. The sizes of one operation come close together in time,
    so that a machine that is busier at one hour than at another does not look like growth.
    """
    for operation in operations.matching(arguments.operations):
        say(operation.name)
        for store in opened:
            started_s = time.monotonic()
            measured = store.result["operations"]
            try:
                measured[operation.name] = measure(
                    operation,
                    store.layout,
                    store.taking_part,
                    repeat=arguments.repeat,
                    seconds=arguments.seconds,
                )
            except sides.SideFailed as exc:
                measured[operation.name] = {"failed": str(exc)}
            store.result["seconds"] += time.monotonic() - started_s
            say(f"  {store.layout.nodes}: {summary(measured[operation.name])}")
            save()
    for store in opened:
        started_s = time.monotonic()
        store.result["rows"] = {side.name: stores.row_counts(side.database) for side in store.taking_part}
        store.result["memory_mb"] = memory(store.taking_part, "after operations")
        if store.layout.nodes in stores.parse_sizes(arguments.load_sizes):
            say(f"{store.layout.nodes} nodes, concurrent loads")
            store.result["load"] = measure_load(store.layout, store.taking_part, arguments)
            store.result["memory_mb"] |= memory(store.taking_part, "after load")
        store.result["seconds"] += time.monotonic() - started_s
        say(f"{store.layout.nodes} nodes took {store.result['seconds']:.0f} s")
        save()


def memory(taking_part: Sequence[sides.Side], when: str) -> dict[str, object]:
    return {when: {side.name: processes.memory_mb(side.pid) for side in taking_part}}


def summary(measured: dict[str, object]) -> str:
    """One line about an operation: medians in ms, and what was wrong with the answers."""
    if "failed" in measured:
        return f"FAILED: {measured['failed']}"
    middles = []
    for name in measured["answers"]:
        calls = sorted(call for turn in measured["rounds"] for call in turn[name])
        middles.append(f"{name} {calls[len(calls) // 2] / 1000:.3f}" if calls else f"{name} -")
    wrong = [
        f"{name} gave {verdict}" for name, verdict in measured["answers"].items() if verdict != answers.SAME
    ]
    return f"{', '.join(middles)} ms, {len(measured['rounds'])} rounds" + "".join(
        f"; {text}" for text in wrong
    )


def faults(results: dict[str, object]) -> list[str]:
    """What makes the numbers worthless: failures, other answers, stores that did not stay equal."""
    found = []
    for nodes, size in results["sizes"].items():
        for name, measured in size.get("operations", {}).items():
            if "failed" in measured:
                found.append(f"{nodes} nodes, {name}: {measured['failed']}")
            for side, verdict in measured.get("answers", {}).items():
                if verdict == answers.DIFFERENT:
                    found.append(f"{nodes} nodes, {name}: {side} gave {verdict}")
        rows = size.get("rows", {})
        for side, counts in rows.items():
            expected = next(iter(rows.values()))
            differing = [table for table in counts if counts[table] != expected[table]]
            if differing:
                found.append(f"{nodes} nodes: {side} ended with other rows in {', '.join(differing)}")
    return found


def machine() -> dict[str, object]:
    peers_versions = subprocess.run(
        [
            processes.peers_python(),
            "-c",
            "import importlib.metadata as m, json; print(json.dumps({name: m.version(name) for name in "
            "('ml-metadata', 'grpcio', 'protobuf')}))",
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    own = ("grpcio", "protobuf", "sqlalchemy")
    return {
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "packages": {name: importlib.metadata.version(name) for name in own},
        "peers_packages": json.loads(peers_versions.stdout),
    }


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--sizes", default="10k,100k,1M", help="nodes of the stores, default %(default)s")
    add("--operations", default="*", metavar="GLOBS", help="comma-separated, default all")
    add("--repeat", type=int, default=500, help="calls of an operation a side, default %(default)s")
    add("--seconds", type=float, default=20, help="an operation's budget, default %(default)s")
    add("--output", type=Path, default=Path("results.json"), help="default %(default)s")
    add("--cache", type=Path, default=processes.default_cache(), help="for stores, default %(default)s")
    add("--seed", type=int, default=7, help="default %(default)s")
    add("--control", action="store_true", help="MLMD against MLMD: all ratios should be 1")
    add("--loads", default="mixed,writes", help="concurrent loads, default %(default)s")
    add("--load-sizes", default="100k", help="sizes that get them, default %(default)s; 0 for none")
    add("--load-threads", default="1,4,16,64", help="numbers of clients, default %(default)s")
    add("--load-seconds", type=float, default=5, help="of one load, default %(default)s")
    add("--load-calls", type=int, default=20_000, help="at most in one load, default %(default)s")
    add("--load-rounds", type=int, default=2, help="turns of each load, default %(default)s")
    arguments = parser.parse_args()
    if not operations.matching(arguments.operations):
        parser.error(
            f"no operation matches {arguments.operations!r}; there are {', '.join(operations.BY_NAME)}"
        )
    return arguments


def main() -> int:
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers end with this process
    names = sides.CONTROL if arguments.control else sides.BENCHMARK
    arguments.cache.mkdir(parents=True, exist_ok=True)
    results: dict[str, object] = {
        "machine": machine(),
        "sides": names,
        "control": arguments.control,
        "seed": arguments.seed,
        "sizes": {},
    }

    def save() -> None:
        unfinished = arguments.output.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(results))
        unfinished.replace(arguments.output)

    with (
        tempfile.TemporaryDirectory(prefix="run-", dir=arguments.cache) as directory,
        contextlib.ExitStack() as opened,
    ):
        found_stores = open_stores(names, arguments, Path(directory), opened)
        results["sizes"] = {str(store.layout.nodes): store.result for store in found_stores}
        measure_all(found_stores, arguments, save)
    found = faults(results)
    for fault in found:
        say(f"FAULT: {fault}")
    return 1 if found else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except processes.NotAvailable as exc:
        sys.exit(str(exc))
