"""Compare MLMD's C++ engine with headwater, operation by operation, on stores of several backends and sizes.

    python tests/benchmarks/run.py --cases sqlite:10k,sqlite:100k,postgresql:100k --output results.json
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
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import processes

# Run from a checkout, headwater need not be installed; the next imports want its messages.
sys.path.insert(0, str(processes.ROOT / "src"))

import answers
import backends
import measuring
import operations
import sides
from backends import Backend, Case
from measuring import say
from stores import Layout

CASES = "sqlite:10k,sqlite:100k,sqlite:1M"


@dataclass
class Opened:
    """The sides of one case, and what has been found out about it."""

    case: Case
    layout: Layout
    backend: Backend
    directory: Path
    taking_part: list[sides.Side]
    result: dict[str, object]


def open_case(
    case: Case,
    backend: Backend,
    arguments: argparse.Namespace,
    directory: Path,
    opened: contextlib.ExitStack,
) -> Opened:
    """Build what is missing, copy it for every side and start them all; ``opened`` will close them."""
    layout = Layout(case.nodes, arguments.seed)
    directory.mkdir()
    started_s = time.monotonic()
    makers = {name: sides.maker_of(name) for name in arguments.sides}
    built = {maker: backend.build(layout, maker) for maker in set(makers.values())}
    sizes = {maker: backend.size_bytes(store) for maker, store in built.items()}
    # A copy of a server's may be logged too before it is complete.
    wanted_bytes = 0 if arguments.use_up else sum(sizes[maker] for maker in makers.values())
    free_bytes = backend.free_bytes()
    if free_bytes is not None and free_bytes < wanted_bytes * 1.2:
        raise processes.NotAvailable(
            f"the copies of {case.name} take {wanted_bytes / 1e9:.1f} GB, and {free_bytes / 1e9:.1f} GB are "
            "free; free some, leave out sides with --sides, or use up the stores with --use-up"
        )
    taking_part = [
        sides.open_side(
            name,
            backend,
            built[makers[name]],
            directory,
            opened,
            delay_ms=case.delay_ms,
            use_up=arguments.use_up,
        )
        for name in arguments.sides
    ]
    took_s = round(time.monotonic() - started_s, 1)
    say(f"{case.name}: {max(sizes.values()) / 1e6:.0f} MB, open after {took_s} s")
    result = {
        "backend": case.backend,
        "nodes": case.nodes,
        "delay_ms": case.delay_ms,
        "store": {"bytes": sizes, "opened_after_s": took_s},
        "operations": {},
        "seconds": 0.0,
    }
    return Opened(case, layout, backend, directory, taking_part, result)


def measure_all(opened: Sequence[Opened], arguments: argparse.Namespace, save: Callable[[], None]) -> None:
    """All operations on some cases, then the loads. The sizes of one operation come close together in time,
    so that a machine that is busier at one hour than at another does not look like growth.
    """
    for operation in operations.matching(arguments.operations):
        say(operation.name)
        for each in opened:
            started_s = time.monotonic()
            measured = each.result["operations"]
            try:
                measured[operation.name] = measuring.measure(
                    operation,
                    each.layout,
                    each.taking_part,
                    repeat=arguments.repeat,
                    seconds=arguments.seconds,
                )
            except sides.SideFailed as exc:
                measured[operation.name] = {"failed": str(exc)}
            each.result["seconds"] += time.monotonic() - started_s
            say(f"  {each.case.name}: {summary(measured[operation.name])}")
            save()
    for each in opened:
        started_s = time.monotonic()
        each.result["rows"] = {
            side.name: each.backend.row_counts(side.place.database) for side in each.taking_part
        }
        each.result["memory_mb"] = memory(each.taking_part, "after operations")
        if each.case in arguments.load_cases:
            say(f"{each.case.name}, concurrent loads")
            # SQLite has one server process, and for MLMD's engine one that is not refused too often.
            crowd = 0 if each.case.backend == "sqlite" or arguments.control else arguments.load_processes
            each.result["load"] = measuring.measure_loads(
                each.layout, each.taking_part, arguments, each.directory, crowd=crowd
            )
            each.result["memory_mb"] |= memory(each.taking_part, "after load")
        each.result["seconds"] += time.monotonic() - started_s
        say(f"{each.case.name} took {each.result['seconds']:.0f} s")
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
    for case, measured_case in results["cases"].items():
        for name, measured in measured_case["operations"].items():
            if "failed" in measured:
                found.append(f"{case}, {name}: {measured['failed']}")
            for side, verdict in measured.get("answers", {}).items():
                if verdict == answers.DIFFERENT:
                    found.append(f"{case}, {name}: {side} gave {verdict}")
        rows = measured_case.get("rows", {})
        for side, counts in rows.items():
            expected = next(iter(rows.values()))
            differing = [table for table in counts if counts[table] != expected[table]]
            if differing:
                found.append(f"{case}: {side} ended with other rows in {', '.join(differing)}")
    return found


def installed(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def machine(found_backends: Mapping[str, Backend]) -> dict[str, object]:
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
    own = ("grpcio", "protobuf", "sqlalchemy", "psycopg", "mysqlclient", "PyMySQL")
    return {
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg(),
        "python": platform.python_version(),
        "databases": {name: backend.version() for name, backend in found_backends.items()},
        "packages": {name: version for name in own if (version := installed(name))},
        "peers_packages": json.loads(peers_versions.stdout),
    }


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--cases", default=CASES, metavar="CASES", help="backend:nodes[+delay], default %(default)s")
    add("--sides", metavar="SIDES", help="comma-separated, default all four")
    add("--operations", default="*", metavar="GLOBS", help="comma-separated, default all")
    add("--repeat", type=int, default=500, help="calls of an operation a side, default %(default)s")
    add("--seconds", type=float, default=20, help="an operation's budget, default %(default)s")
    add("--output", type=Path, default=Path("results.json"), help="default %(default)s")
    backends.add_options(parser)
    add("--seed", type=int, default=7, help="default %(default)s")
    add("--use-up", action="store_true", help="work on the stores themselves, not on copies, and drop them")
    add("--control", action="store_true", help="MLMD against MLMD: all ratios should be 1")
    add("--loads", default="mixed,reads,writes", help="concurrent loads, default %(default)s")
    add("--load-cases", help="those of the cases that get them, default the ones of 100k; 'none' for none")
    add("--load-clients", default="1,4,16,64", help="numbers of clients, default %(default)s")
    add("--load-seconds", type=float, default=5, help="of one load, default %(default)s")
    add("--load-calls", type=int, default=40_000, help="at most in one load, default %(default)s")
    add("--load-rounds", type=int, default=2, help="turns of each load, default %(default)s")
    add(
        "--load-processes",
        type=int,
        default=4,
        help="server processes of the further sides on PostgreSQL and MySQL, default %(default)s; 0 for none",
    )
    arguments = parser.parse_args()
    arguments.command_line = sys.argv[1:]
    if not operations.matching(arguments.operations):
        parser.error(
            f"no operation matches {arguments.operations!r}; there are {', '.join(operations.BY_NAME)}"
        )
    known = sides.CONTROL if arguments.control else sides.BENCHMARK
    arguments.sides = known if arguments.sides is None else tuple(arguments.sides.split(","))
    if not set(arguments.sides) <= set(known):
        parser.error(f"the sides are {', '.join(known)}")
    makers = list(map(sides.maker_of, arguments.sides))
    if arguments.use_up and len(makers) > len(set(makers)):
        parser.error("--use-up needs --sides with one side for each maker, such as bridge,server")
    try:
        arguments.cases = backends.parse_cases(arguments.cases)
        if arguments.load_cases is None:
            arguments.load_cases = [case for case in arguments.cases if case.nodes == 100_000]
        else:
            none = arguments.load_cases == "none"
            arguments.load_cases = [] if none else backends.parse_cases(arguments.load_cases)
    except ValueError as exc:
        parser.error(str(exc))
    return arguments


def main() -> int:
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers end with this process
    arguments.cache.mkdir(parents=True, exist_ok=True)
    found_backends = {
        name: backends.backend_for(name, arguments)
        for name in dict.fromkeys(case.backend for case in arguments.cases)
    }
    results: dict[str, object] = {
        "machine": machine(found_backends),
        "command": arguments.command_line,
        "sides": arguments.sides,
        "load_processes": arguments.load_processes,
        "control": arguments.control,
        "seed": arguments.seed,
        "cases": {},
    }

    def save() -> None:
        unfinished = arguments.output.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(results))
        unfinished.replace(arguments.output)

    numbers = itertools.count()
    with tempfile.TemporaryDirectory(prefix="run-", dir=arguments.cache) as logs:
        # A backend's cases are open together; only one process of them all works at a time.
        for name, backend in found_backends.items():
            with contextlib.ExitStack() as opened:
                found = [
                    open_case(
                        case,
                        backend,
                        arguments,
                        Path(logs) / f"{backends.PREFIX}_run_{os.getpid()}_{next(numbers)}",
                        opened,
                    )
                    for case in arguments.cases
                    if case.backend == name
                ]
                results["cases"] |= {each.case.name: each.result for each in found}
                measure_all(found, arguments, save)
    wrong = faults(results)
    for fault in wrong:
        say(f"FAULT: {fault}")
    return 1 if wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except processes.NotAvailable as exc:
        sys.exit(str(exc))
