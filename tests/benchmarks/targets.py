"""What headwater sets out to reach, as data, and the arithmetic of ratios and growth.

A ratio is MLMD's time by headwater's: the median over the rounds of a run, in each of which both sides
answered the same requests shortly after one another, with the quartiles as its spread.
"""

import math
import statistics
from dataclasses import dataclass
from typing import Any

Results = dict[str, Any]
"""What ``run.py`` writes."""

RATIO_SIZE = 100_000
RATIOS_OVER_GRPC = {
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
"""Against the engine behind gRPC, at ``RATIO_SIZE`` nodes."""

RATIOS_IN_PROCESS = {
    "get_artifacts_by_id_1": 1.0,
    "get_artifacts_by_uri": 1.0,
    "get_context_by_type_and_name": 1.0,
}
"""Reads of one node, against the engine in process, at ``RATIO_SIZE`` nodes."""

GROWTH_FROM = 10_000
GROWTH_TO = 1_000_000
MAX_GROWTH = 0.1
"""Exponent of n from ``GROWTH_FROM`` to ``GROWTH_TO`` nodes, over gRPC, of questions with bounded answers."""

MEMORY_SIZE = 1_000_000
MAX_MEMORY_MB = 400


@dataclass(frozen=True)
class Ratio:
    middle: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{figures(self.middle)} ({figures(self.low)}-{figures(self.high)})"


def figures(number: float) -> str:
    """The number with two or three significant figures."""
    if number >= 100:
        return f"{number:.0f}"
    return f"{number:.1f}" if number >= 10 else f"{number:.2f}"


def _measured(results: Results, nodes: int, operation: str) -> dict[str, Any]:
    return results["sizes"].get(str(nodes), {}).get("operations", {}).get(operation, {})


def milliseconds(results: Results, nodes: int, operation: str, side: str) -> float | None:
    """Median of all calls; ``None`` when there are none."""
    calls = [call for turn in _measured(results, nodes, operation).get("rounds", ()) for call in turn[side]]
    return statistics.median(calls) / 1000 if calls else None


def ratio(results: Results, nodes: int, operation: str, reference: str, subject: str) -> Ratio | None:
    """How many times as long ``reference`` takes as ``subject``; ``None`` when not measured."""
    pairs = sorted(
        statistics.median(turn[reference]) / statistics.median(turn[subject])
        for turn in _measured(results, nodes, operation).get("rounds", ())
    )
    if not pairs:
        return None
    if len(pairs) == 1:
        return Ratio(pairs[0], pairs[0], pairs[0])
    low, middle, high = statistics.quantiles(pairs, n=4, method="inclusive")
    return Ratio(middle, low, high)


def growth(results: Results, operation: str, side: str) -> float | None:
    """The exponent e of time = c * n^e, fitted to all sizes from ``GROWTH_FROM`` to ``GROWTH_TO``.

    ``None`` unless at least two sizes were measured, ten times apart or more.
    """
    points = []
    for nodes in map(int, results["sizes"]):
        time_ms = milliseconds(results, nodes, operation, side)
        if GROWTH_FROM <= nodes <= GROWTH_TO and time_ms is not None:
            points.append((math.log(nodes), math.log(time_ms)))
    if len(points) < 2 or max(points)[0] - min(points)[0] < math.log(9.99):
        return None
    return statistics.linear_regression(*zip(*points, strict=True)).slope


def failed_under_load(results: Results, side: str) -> int | None:
    """Requests that failed in all concurrent loads; ``None`` when there were no loads."""
    runs = [run for size in results["sizes"].values() for run in size.get("load", ()) if run["side"] == side]
    return sum(run["failed"] for run in runs) if runs else None


def peak_memory_mb(results: Results, nodes: int, side: str) -> float | None:
    """The largest resident memory seen of a side's process at one size."""
    seen = results["sizes"].get(str(nodes), {}).get("memory_mb", {}).values()
    peaks = [sides[side]["peak"] for sides in seen if sides.get(side)]
    return max(peaks) if peaks else None
