"""Turn the results of ``run.py`` into Markdown tables: ratios, growth, memory, concurrency, targets.

python tests/benchmarks/table.py results.json
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import processes
import targets

sys.path.insert(0, str(processes.ROOT / "src"))

import answers
import operations
from targets import Results, figures

NOT_MEASURED = "-"


def _number(value: float | None) -> str:
    return NOT_MEASURED if value is None else figures(value)


def _reached(is_reached: bool | None) -> str:
    return NOT_MEASURED if is_reached is None else "yes" if is_reached else "**no**"


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _header(*cells: str) -> Iterator[str]:
    yield _row(*cells)
    yield _row(*("---" for _ in cells))


def _names(results: Results) -> list[str]:
    known = {name for size in results["sizes"].values() for name in size.get("operations", {})}
    return [name for name in operations.BY_NAME if name in known]


def _answers(measured: dict) -> str:
    if "failed" in measured:
        return f"**failed**: {measured['failed'].splitlines()[0]}"
    verdicts = measured.get("answers", {})
    return (
        "; ".join(f"{side}: {text}" for side, text in verdicts.items() if text != answers.SAME)
        or answers.SAME
    )


def ratio_table(results: Results, nodes: int) -> Iterator[str]:
    bridge, engine, server, embedded = results["sides"]
    yield f"## {nodes:,} nodes\n"
    yield from _header(
        "operation",
        f"{bridge}, ms",
        f"{server}, ms",
        "ratio over gRPC",
        f"{engine}, ms",
        f"{embedded}, ms",
        "ratio in process",
        "answers",
    )
    for name in _names(results):
        measured = results["sizes"][str(nodes)]["operations"].get(name)
        if measured is None:
            continue
        times = [targets.milliseconds(results, nodes, name, side) for side in results["sides"]]
        yield _row(
            name,
            _number(times[0]),
            _number(times[2]),
            targets.ratio(results, nodes, name, bridge, server) or NOT_MEASURED,
            _number(times[1]),
            _number(times[3]),
            targets.ratio(results, nodes, name, engine, embedded) or NOT_MEASURED,
            _answers(measured),
        )


def _is_judged(name: str) -> bool:
    """Whether the growth of an operation has a target."""
    return operations.BY_NAME[name].asks and operations.BY_NAME[name].bounded


def growth_table(results: Results) -> Iterator[str]:
    yield f"\n## Growth, n^e from {targets.GROWTH_FROM:,} to {targets.GROWTH_TO:,} nodes\n"
    yield from _header("operation", *results["sides"], "target", "reached")
    for name in _names(results):
        exponents = [targets.growth(results, name, side) for side in results["sides"]]
        judged = _is_judged(name)
        reached = exponents[2] <= targets.MAX_GROWTH if judged and exponents[2] is not None else None
        cells = [NOT_MEASURED if exponent is None else f"{exponent:.2f}" for exponent in exponents]
        target = f"<= {targets.MAX_GROWTH}" if judged else NOT_MEASURED
        yield _row(name, *cells, target, _reached(reached))


def memory_table(results: Results) -> Iterator[str]:
    yield "\n## Resident memory, peak, MB\n"
    yield from _header("nodes", *results["sides"])
    for nodes in results["sizes"]:
        peaks = [targets.peak_memory_mb(results, int(nodes), side) for side in results["sides"]]
        yield _row(f"{int(nodes):,}", *map(_number, peaks))


def load_table(results: Results) -> Iterator[str]:
    """Medians over the rounds of each load; failures are summed."""
    runs = defaultdict(list)
    for nodes, size in results["sizes"].items():
        for run in size.get("load", ()):
            runs[int(nodes), run["load"], run["threads"], run["side"]].append(run)
    if not runs:
        return
    yield "\n## Concurrency\n"
    yield from _header("nodes", "load", "clients", "side", "operations/s", "p50, ms", "p99, ms", "failed")
    for (nodes, load, threads, side), rounds in runs.items():
        middles = []
        for key in ("per_second", "p50_ms", "p99_ms"):
            values = [run[key] for run in rounds if run[key] is not None]
            middles.append(_number(median(values) if values else None))
        failed = sum(run["failed"] for run in rounds)
        codes = sorted({code for run in rounds for code in run["failures"]})
        yield _row(f"{nodes:,}", load, threads, side, *middles, f"{failed} {' '.join(codes)}".strip())


def target_table(results: Results) -> Iterator[str]:
    bridge, engine, server, embedded = results["sides"]
    rows: list[tuple[str, str, str, bool | None]] = []
    for wanted, reference, subject, where in (
        (targets.RATIOS_OVER_GRPC, bridge, server, "over gRPC"),
        (targets.RATIOS_IN_PROCESS, engine, embedded, "in process"),
    ):
        for name, factor in wanted.items():
            found = targets.ratio(results, targets.RATIO_SIZE, name, reference, subject)
            reached = None if found is None else found.middle >= factor
            rows.append((f"{name}, {where}", f"{factor:g}x", str(found or NOT_MEASURED), reached))
    exponents = {name: targets.growth(results, name, server) for name in _names(results)}
    bounded = {
        name: exponent for name, exponent in exponents.items() if exponent is not None and _is_judged(name)
    }
    if bounded:
        worst = max(bounded, key=lambda name: bounded[name])
        rows.append(
            (
                f"growth of {len(bounded)} bounded questions",
                f"n^{targets.MAX_GROWTH}",
                f"at most n^{bounded[worst]:.2f} ({worst})",
                bounded[worst] <= targets.MAX_GROWTH,
            )
        )
    memory_mb = targets.peak_memory_mb(results, targets.MEMORY_SIZE, server)
    limit_mb = targets.MAX_MEMORY_MB
    reached = None if memory_mb is None else memory_mb <= limit_mb
    rows.append(("server's memory, 1M nodes", f"<= {limit_mb} MB", f"{_number(memory_mb)} MB", reached))
    failed = targets.failed_under_load(results, server)
    found_text = NOT_MEASURED if failed is None else f"{failed} requests"
    rows.append(("failures under load", "0 requests", found_text, None if failed is None else failed == 0))
    known = [row for row in rows if row[3] is not None]
    yield f"\n## Targets: {sum(row[3] for row in known)} of {len(known)} measured ones reached\n"
    yield f"Ratios at {targets.RATIO_SIZE:,} nodes.\n"
    yield from _header("target", "wanted", "found", "reached")
    for what, wanted_text, found_text, is_reached in rows:
        yield _row(what, wanted_text, found_text, _reached(is_reached))


def tables(results: Results) -> Iterator[str]:
    """The lines of all tables."""
    machine = results["machine"]
    packages = [f"{name} {version}" for name, version in machine["packages"].items()]
    packages += [f"{name} {version} (peers)" for name, version in machine["peers_packages"].items()]
    yield f"{machine['platform']}, {machine['cores']} cores, Python {machine['python']},"
    yield f"SQLite {machine['sqlite']}, {', '.join(packages)}.\n"
    yield "Ratio: MLMD's time by headwater's, median of the rounds (quartiles); above 1 is faster.\n"
    for nodes in results["sizes"]:
        yield from ratio_table(results, int(nodes))
        yield ""
    yield from growth_table(results)
    yield from memory_table(results)
    yield from load_table(results)
    if not results["control"]:
        yield from target_table(results)


def main() -> None:
    parser = argparse.ArgumentParser(description="Markdown tables from the results of run.py.")
    parser.add_argument("results", type=Path)
    parser.add_argument("--output", type=Path, help="default standard output")
    arguments = parser.parse_args()
    text = "\n".join(tables(json.loads(arguments.results.read_text()))) + "\n"
    if arguments.output:
        arguments.output.write_text(text)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
