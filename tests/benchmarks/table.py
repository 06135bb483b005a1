"""Turn the results of ``run.py`` into Markdown tables: ratios, growth, memory, concurrency, targets.

python tests/benchmarks/table.py results.json
python tests/benchmarks/table.py --summary results.json     # the table of README.md
"""

import argparse
import shlex
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import processes
import targets

sys.path.insert(0, str(processes.ROOT / "src"))

import answers
import operations
from targets import LoadTarget, Results, figures

NOT_MEASURED = "-"
SUMMARY = {
    "put_execution_hook": "record a step: 3 inputs, 2 outputs, 2 contexts",
    "put_lineage_100": "record a whole run of 100 nodes",
    "put_artifacts_1": "put 1 artifact",
    "put_artifacts_1000": "put 1,000 artifacts",
    "get_artifacts_by_id_1": "get 1 artifact by id",
    "get_artifacts_by_id_100": "get 100 artifacts by id",
    "get_contexts_of_an_artifact": "contexts of an artifact",
    "list_by_update_time_first": "list the 100 newest",
    "filter_selective_property": "filter by a property",
    "filter_context_name": "filter by a context",
    "lineage_of_a_run": "lineage of a run's model",
    "lineage_chain_100": "lineage of a chain, 100 hops",
}
"""The operations of the short table, in its words."""
SUMMARY_LOADS = {
    ("writes", 16): "16 clients that record steps",
    ("mixed", 64): "64 clients, one write in ten",
}


def _number(value: float | None) -> str:
    return NOT_MEASURED if value is None else figures(value)


def _reached(is_reached: bool | None) -> str:
    return NOT_MEASURED if is_reached is None else "yes" if is_reached else "**no**"


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _header(*cells: str) -> Iterator[str]:
    yield _row(*cells)
    yield _row(*("---" for _ in cells))


def backend_name(results: Results, backend: str) -> str:
    """``SQLite``, ``PostgreSQL``, ``MySQL`` or ``MariaDB``."""
    return results["machine"]["databases"][backend].split()[0]


def case_name(results: Results, case: str) -> str:
    """The backend of a case, and how far away it was."""
    measured = results["cases"][case]
    delay = f", {measured['delay_ms']:g} ms away" if measured["delay_ms"] else ""
    return f"{backend_name(results, measured['backend'])}{delay}"


def _names(results: Results) -> list[str]:
    known = {name for case in results["cases"].values() for name in case["operations"]}
    return [name for name in operations.BY_NAME if name in known]


def _pairs(results: Results) -> list[tuple[str, str, str]]:
    """MLMD's side, the one compared with it, and where they are asked, as far as both took part."""
    found = []
    control = (("bridge", "bridge2"), ("engine", "engine2"))
    pairs = control if results["control"] else (targets.OVER_GRPC, targets.IN_PROCESS)
    for (reference, subject), where in zip(pairs, ("over gRPC", "in process"), strict=True):
        if reference in results["sides"] and subject in results["sides"]:
            found.append((reference, subject, where))
    return found


def _answers(measured: dict) -> str:
    if "failed" in measured:
        return f"**failed**: {measured['failed'].splitlines()[0]}"
    verdicts = measured.get("answers", {})
    return (
        "; ".join(f"{side}: {text}" for side, text in verdicts.items() if text != answers.SAME)
        or answers.SAME
    )


def ratio_table(results: Results, case: str) -> Iterator[str]:
    yield f"## {case_name(results, case)}: {results['cases'][case]['nodes']:,} nodes\n"
    pairs = _pairs(results)
    heads = [(f"{reference}, ms", f"{subject}, ms", f"ratio {where}") for reference, subject, where in pairs]
    yield from _header("operation", *(head for group in heads for head in group), "answers")
    for name in _names(results):
        measured = results["cases"][case]["operations"].get(name)
        if measured is None:
            continue
        cells = []
        for reference, subject, _ in pairs:
            cells += [
                _number(targets.milliseconds(results, case, name, side)) for side in (reference, subject)
            ]
            cells.append(str(targets.ratio(results, case, name, reference, subject) or NOT_MEASURED))
        yield _row(name, *cells, _answers(measured))


def _is_judged(name: str) -> bool:
    """Whether the growth of an operation has a target."""
    return operations.BY_NAME[name].asks and operations.BY_NAME[name].bounded


def growth_table(results: Results, backend: str) -> Iterator[str]:
    if len(targets.cases_by_size(results, backend)) < 2:
        return
    sizes = f"{targets.GROWTH_FROM:,} to {targets.GROWTH_TO:,} nodes"
    yield f"\n## Growth on {backend_name(results, backend)}, n^e from {sizes}\n"
    yield from _header("operation", *results["sides"], "target", "reached")
    for name in _names(results):
        exponents = {side: targets.growth(results, backend, name, side) for side in results["sides"]}
        judged, ours = _is_judged(name), exponents.get("server")
        reached = ours <= targets.MAX_GROWTH if judged and ours is not None else None
        cells = [NOT_MEASURED if exponent is None else f"{exponent:.2f}" for exponent in exponents.values()]
        target = f"<= {targets.MAX_GROWTH}" if judged else NOT_MEASURED
        yield _row(name, *cells, target, _reached(reached))


def memory_table(results: Results) -> Iterator[str]:
    yield "\n## Resident memory of one process, peak, MB\n"
    yield from _header("case", *results["sides"])
    for case in results["cases"]:
        peaks = [targets.peak_memory_mb(results, case, side) for side in results["sides"]]
        yield _row(case, *map(_number, peaks))


def load_table(results: Results) -> Iterator[str]:
    """Medians over the rounds of each load; failures are summed."""
    runs = defaultdict(list)
    for name, case in results["cases"].items():
        for run in case.get("load", ()):
            runs[name, run["load"], run["clients"], run["side"]].append(run)
    if not runs:
        return
    yield "\n## Concurrency\n"
    yield from _header(
        "case", "load", "clients", "side", "operations/s", "p50, ms", "p99, ms", "failed", "clients' cores"
    )
    for (case, load, clients, side), rounds in runs.items():
        middles = []
        for key in ("per_second", "p50_ms", "p99_ms"):
            values = [run[key] for run in rounds if run[key] is not None]
            middles.append(_number(median(values) if values else None))
        failed = sum(run["failed"] for run in rounds)
        codes = sorted({code for run in rounds for code in run["failures"]})
        cores = f"{median(run['client_cores'] for run in rounds):.2f}"
        yield _row(case, load, clients, side, *middles, f"{failed} {' '.join(codes)}".strip(), cores)


def _ratio_targets(results: Results) -> Iterator[tuple[str, str, str, bool | None]]:
    for wanted, (reference, subject), where in (
        (targets.RATIOS_OVER_GRPC, targets.OVER_GRPC, "over gRPC"),
        (targets.RATIOS_IN_PROCESS, targets.IN_PROCESS, "in process"),
    ):
        for case, factors in wanted.items():
            for name, factor in factors.items():
                found = targets.ratio(results, case, name, reference, subject)
                reached = None if found is None else found.middle >= factor
                yield f"{case}, {name}, {where}", f"{factor:g}x", str(found or NOT_MEASURED), reached
    for load in targets.LOADS:
        found = targets.load_ratio(results, load)
        reached = None if found is None else found.middle >= load.factor
        yield f"{load.case}, {load.name}", f"{load.factor:g}x", str(found or NOT_MEASURED), reached


def target_table(results: Results) -> Iterator[str]:
    rows = list(_ratio_targets(results))
    for backend in targets.backends(results):
        exponents = {
            name: targets.growth(results, backend, name, "server")
            for name in _names(results)
            if _is_judged(name)
        }
        known = {name: exponent for name, exponent in exponents.items() if exponent is not None}
        if known:
            worst = max(known, key=lambda name: known[name])
            found_text = f"at most n^{known[worst]:.2f} ({worst})"
            what = f"{backend}, growth of {len(known)} bounded questions"
            rows.append((what, f"n^{targets.MAX_GROWTH}", found_text, known[worst] <= targets.MAX_GROWTH))
    memory_mb = targets.peak_memory_mb(results, targets.MEMORY_CASE, "server")
    limit_mb = targets.MAX_MEMORY_MB
    reached = None if memory_mb is None else memory_mb <= limit_mb
    found_text = NOT_MEASURED if memory_mb is None else f"{_number(memory_mb)} MB"
    rows.append((f"{targets.MEMORY_CASE}, server's memory", f"<= {limit_mb} MB", found_text, reached))
    for case in results["cases"]:
        failed = targets.failed_under_load(results, case, ("server", "workers"))
        if failed is not None:
            rows.append((f"{case}, failures under load", "0 requests", f"{failed} requests", failed == 0))
    measured = [row for row in rows if row[3] is not None]
    reached_count = sum(bool(row[3]) for row in measured)
    yield f"\n## Targets: {reached_count} of {len(measured)} measured ones reached\n"
    yield from _header("target", "wanted", "found", "reached")
    for what, wanted_text, found_text, is_reached in rows:
        yield _row(what, wanted_text, found_text, _reached(is_reached))


def machine_lines(results: Results) -> Iterator[str]:
    machine = results["machine"]
    packages = [f"{name} {version}" for name, version in machine["packages"].items()]
    packages += [f"{name} {version} (peers)" for name, version in machine["peers_packages"].items()]
    yield f"{machine['platform']}, {machine['cores']} cores, Python {machine['python']},"
    yield f"{', '.join(machine['databases'].values())}, {', '.join(packages)}.\n"


def tables(results: Results) -> Iterator[str]:
    """The lines of all tables."""
    yield from machine_lines(results)
    yield f"`python tests/benchmarks/run.py {shlex.join(results['command'])}`\n"
    yield "Ratio: MLMD's time by headwater's, median of the rounds (quartiles); above 1 is faster.\n"
    for case in results["cases"]:
        yield from ratio_table(results, case)
        yield ""
    for backend in targets.backends(results):
        yield from growth_table(results, backend)
    yield from memory_table(results)
    yield from load_table(results)
    if not results["control"]:
        yield from target_table(results)


def summary(results: Results, cases: Sequence[str]) -> Iterator[str]:
    """How many times as fast headwater's server is as MLMD's engine behind gRPC, in one table."""
    yield from _header("", *(case_name(results, case) for case in cases))
    for name, words in SUMMARY.items():
        ratios = [targets.ratio(results, case, name, *targets.OVER_GRPC) for case in cases]
        if any(ratios):
            yield _row(words, *(_times(each) for each in ratios))
    for (load, clients), words in SUMMARY_LOADS.items():
        ratios = [targets.load_ratio(results, LoadTarget(case, load, clients)) for case in cases]
        if any(ratios):
            yield _row(words, *(_times(each) for each in ratios))


def _times(ratio: targets.Ratio | None) -> str:
    return NOT_MEASURED if ratio is None else f"{figures(ratio.middle)}x"


def main() -> None:
    parser = argparse.ArgumentParser(description="Markdown tables from the results of run.py.")
    parser.add_argument("results", type=Path, nargs="+", help="of one run, or of several with other cases")
    parser.add_argument("--summary", action="store_true", help="one short table")
    parser.add_argument("--cases", help="of the short table, default those of 100k nodes")
    parser.add_argument("--output", type=Path, help="default standard output")
    arguments = parser.parse_args()
    results = targets.read_results(arguments.results)
    if arguments.summary:
        cases = [name for name, case in results["cases"].items() if case["nodes"] == 100_000]
        lines = summary(results, arguments.cases.split(",") if arguments.cases else cases)
    else:
        lines = tables(results)
    text = "\n".join(lines) + "\n"
    if arguments.output:
        arguments.output.write_text(text)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
