"""What headwater sets out to reach, as data, and the arithmetic of ratios and growth.

A ratio is MLMD's time by headwater's: the median over the rounds of a run, in each of which both sides
answered the same requests shortly after one another, with the quartiles as its spread. Of concurrent loads
it is headwater's throughput by MLMD's, the median over the turns.
"""

import json
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Results = dict[str, Any]
"""What ``run.py`` writes."""

OVER_GRPC, IN_PROCESS = ("bridge", "server"), ("engine", "embedded")

SQLITE_RATIOS = {
    "put_artifacts_1": 5.0,
    "put_execution_hook": 4.0,
    "put_artifacts_1000": 2.0,
    "put_lineage_100": 3.0,
    "get_artifacts_by_id_1": 1.3,
    "get_artifacts_by_id_100": 2.0,
    "list_by_update_time_first": 4.0,
    "list_by_update_time_deep": 4.0,
    "filter_selective_property": 3.0,
    "filter_event": 3.0,
    "filter_context": 3.0,
    "filter_context_name": 3.0,
    "filter_wide_property": 50.0,
    "get_contexts_of_an_artifact": 10.0,
    "lineage_chain_100": 40.0,
}
POSTGRESQL_RATIOS = {
    "put_execution_hook": 2.0,
    "put_lineage_100": 5.0,
    "put_artifacts_1000": 8.0,
    "get_artifacts_by_id_1": 1.5,
    "get_artifacts_by_id_100": 1.5,
}
DELAYED_RATIOS = {"put_execution_hook": 20.0, "put_lineage_100": 100.0, "put_artifacts_1000": 100.0}
RATIOS_OVER_GRPC = {
    "sqlite:100k": SQLITE_RATIOS,
    "postgresql:100k": POSTGRESQL_RATIOS,
    "postgresql:100k+1ms": DELAYED_RATIOS,
}
"""Against the engine behind gRPC, by case."""

RATIOS_IN_PROCESS = {
    "sqlite:100k": {
        "get_artifacts_by_id_1": 1.0,
        "get_artifacts_by_uri": 1.0,
        "get_context_by_type_and_name": 1.0,
    }
}
"""Reads of one node, against the engine in process, by case."""


@dataclass(frozen=True)
class LoadTarget:
    case: str
    load: str
    clients: int
    factor: float = 1.0
    reference: str = "bridge"
    subject: str = "server"

    @property
    def name(self) -> str:
        return f"{self.load}, {self.clients} clients, {self.subject} by {self.reference}"


LOADS = (
    LoadTarget("sqlite:100k", "writes", 16, 3.0),
    LoadTarget("sqlite:100k", "mixed", 64, 2.5),
    LoadTarget("postgresql:100k", "mixed", 64, 2.0, "server", "workers"),
)

GROWTH_FROM = 10_000
GROWTH_TO = 1_000_000
MAX_GROWTH = 0.1
"""Exponent of n from ``GROWTH_FROM`` to ``GROWTH_TO`` nodes, over gRPC, of questions with bounded answers."""

MEMORY_CASE = "sqlite:1M"
MAX_MEMORY_MB = 400


@dataclass(frozen=True)
class Ratio:
    middle: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{figures(self.middle)} ({figures(self.low)}-{figures(self.high)})"


def read_results(paths: Sequence[Path]) -> Results:
    """The results of one run, or of several with different cases; the first says what the machine was."""
    results, *others = [json.loads(path.read_text()) for path in paths]
    for other in others:
        for case, measured in other["cases"].items():
            results["cases"].setdefault(case, measured)
    return results


def figures(number: float) -> str:
    """The number with two or three significant figures."""
    if number >= 100:
        return f"{number:.0f}"
    return f"{number:.1f}" if number >= 10 else f"{number:.2f}"


def _measured(results: Results, case: str, operation: str) -> dict[str, Any]:
    return results["cases"].get(case, {}).get("operations", {}).get(operation, {})


def milliseconds(results: Results, case: str, operation: str, side: str) -> float | None:
    """Median of all calls; ``None`` when there are none."""
    rounds = _measured(results, case, operation).get("rounds", ())
    calls = [call for turn in rounds for call in turn.get(side, ())]
    return statistics.median(calls) / 1000 if calls else None


def ratio(results: Results, case: str, operation: str, reference: str, subject: str) -> Ratio | None:
    """How many times as long ``reference`` takes as ``subject``; ``None`` when not measured."""
    return _spread(
        statistics.median(turn[reference]) / statistics.median(turn[subject])
        for turn in _measured(results, case, operation).get("rounds", ())
        if reference in turn and subject in turn
    )


def _spread(values: Iterator[float]) -> Ratio | None:
    found = sorted(values)
    if not found:
        return None
    if len(found) == 1:
        return Ratio(found[0], found[0], found[0])
    low, middle, high = statistics.quantiles(found, n=4, method="inclusive")
    return Ratio(middle, low, high)


def load_ratio(results: Results, target: LoadTarget) -> Ratio | None:
    """How many times as many operations a second the subject does; ``None`` when not measured."""
    turns: dict[int, dict[str, float]] = {}
    for run in results["cases"].get(target.case, {}).get("load", ()):
        if run["load"] == target.load and run["clients"] == target.clients:
            turns.setdefault(run["round"], {})[run["side"]] = run["per_second"]
    return _spread(
        turn[target.subject] / turn[target.reference]
        for turn in turns.values()
        if turn.get(target.reference) and turn.get(target.subject) is not None
    )


def cases_by_size(results: Results, backend: str) -> dict[int, str]:
    """The cases of a backend without any delay, by number of nodes, ascending."""
    found = {
        case["nodes"]: name
        for name, case in results["cases"].items()
        if case["backend"] == backend and not case["delay_ms"]
    }
    return dict(sorted(found.items()))


def backends(results: Results) -> list[str]:
    return list(dict.fromkeys(case["backend"] for case in results["cases"].values()))


def growth(results: Results, backend: str, operation: str, side: str) -> float | None:
    """The exponent e of time = c * n^e, fitted to all sizes from ``GROWTH_FROM`` to ``GROWTH_TO``.

    ``None`` unless at least two sizes were measured, ten times apart or more.
    """
    points = []
    for nodes, case in cases_by_size(results, backend).items():
        time_ms = milliseconds(results, case, operation, side)
        if GROWTH_FROM <= nodes <= GROWTH_TO and time_ms is not None:
            points.append((math.log(nodes), math.log(time_ms)))
    if len(points) < 2 or max(points)[0] - min(points)[0] < math.log(9.99):
        return None
    return statistics.linear_regression(*zip(*points, strict=True)).slope


def failed_under_load(results: Results, case: str, sides: Sequence[str]) -> int | None:
    """Requests of these sides that failed in all concurrent loads; ``None`` when there were no loads."""
    runs = [run for run in results["cases"][case].get("load", ()) if run["side"] in sides]
    return sum(run["failed"] for run in runs) if runs else None


def peak_memory_mb(results: Results, case: str, side: str) -> float | None:
    """The largest resident memory seen of a side's process."""
    seen = results["cases"].get(case, {}).get("memory_mb", {}).values()
    peaks = [sides[side]["peak"] for sides in seen if sides.get(side)]
    return max(peaks) if peaks else None
