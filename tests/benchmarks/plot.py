"""Plot the results of ``run.py``: ratios, throughput, or how times grow with the store.

    python tests/benchmarks/plot.py ratios results.json docs/benchmarks.svg
    python tests/benchmarks/plot.py throughput results.json throughput.svg
    python tests/benchmarks/plot.py growth-postgresql results.json growth.svg

Needs matplotlib, which nothing else in the project does: ``pip install matplotlib``. The ending of the
file decides the format.
"""

import argparse
import math
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

import processes
import targets

sys.path.insert(0, str(processes.ROOT / "src"))

import backends
import table

COLUMNS = 5
MLMD, HEADWATER = "#c2570c", "#0b6e99"
STYLES = (
    ("MLMD, gRPC", MLMD, "-"),
    ("MLMD, in process", MLMD, ":"),
    ("headwater, gRPC", HEADWATER, "-"),
    ("headwater, in process", HEADWATER, ":"),
)
BY_SIDE = dict(zip(("bridge", "engine", "server", "embedded"), STYLES, strict=True))
LOAD_STYLES = {
    "bridge": ("MLMD's engine", MLMD, "-"),
    "bridges": ("MLMD's engine, {} processes", MLMD, "--"),
    "server": ("headwater", HEADWATER, "-"),
    "workers": ("headwater, {} workers", HEADWATER, "--"),
}
CASE_STYLES = (("#0b6e99", "o"), ("#3f8f3f", "s"), ("#8e44ad", "D"), ("#c2570c", "^"), ("#555555", "v"))


def draw_ratios(results: targets.Results, path: Path) -> None:
    """One row an operation, one mark a case of 100,000 nodes, or of the largest size there is."""
    pyplot = _pyplot()
    largest = max(case["nodes"] for case in results["cases"].values())
    nodes = 100_000 if any(case["nodes"] == 100_000 for case in results["cases"].values()) else largest
    cases = [name for name, case in results["cases"].items() if case["nodes"] == nodes]
    names = list(table.SUMMARY)
    figure, panel = pyplot.subplots(figsize=(8.6, 0.36 * len(names) + 1.4), layout="constrained")
    for name, (colour, marker) in zip(cases, CASE_STYLES, strict=False):
        points = [
            (found.middle, len(names) - at)
            for at, operation in enumerate(names)
            if (found := targets.ratio(results, name, operation, *targets.OVER_GRPC))
        ]
        panel.plot(
            *_axes(points),
            marker,
            color=colour,
            markersize=6,
            label=table.case_name(results, name),
        )
    panel.axvline(1, color="#999999", linewidth=1)
    panel.set(xscale="log", xlabel="times as fast as ML Metadata's C++ engine, both behind gRPC")
    panel.set_yticks(range(len(names), 0, -1), [table.SUMMARY[name] for name in names], fontsize=9)
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:g}x")
    panel.grid(True, axis="x", color="#dddddd", linewidth=0.6)
    panel.set_axisbelow(True)
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.tick_params(axis="y", length=0)
    figure.legend(loc="outside upper center", ncols=len(cases), frameon=False, fontsize=9)
    figure.savefig(path, dpi=130)


def draw_throughput(results: targets.Results, path: Path) -> None:
    """Operations a second by the number of clients: a row a case, a column a load."""
    pyplot = _pyplot()
    cases = {name: case for name, case in results["cases"].items() if case.get("load")}
    if not cases:
        sys.exit("these results have no concurrent loads")
    processes_of_a_crowd = results["load_processes"]
    loads = list(dict.fromkeys(run["load"] for case in cases.values() for run in case["load"]))
    figure, panels = pyplot.subplots(
        len(cases),
        len(loads),
        figsize=(3.2 * len(loads), 2.4 * len(cases) + 0.6),
        sharex=True,
        squeeze=False,
        layout="constrained",
    )
    for row, (name, case) in zip(panels, cases.items(), strict=True):
        for panel, load in zip(row, loads, strict=True):
            points: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
            for run in case["load"]:
                if run["load"] == load:
                    points[run["side"]][run["clients"]].append(run["per_second"])
            for side, by_clients in points.items():
                label, colour, line = LOAD_STYLES.get(side, (side, "#555555", "-."))
                known = [(clients, median(values)) for clients, values in sorted(by_clients.items())]
                panel.plot(
                    *_axes(known),
                    line,
                    color=colour,
                    marker="o",
                    markersize=3,
                    label=label.format(processes_of_a_crowd),
                )
            panel.set_title(f"{table.case_name(results, name)}, {load}", fontsize=9)
            panel.set(xscale="log")
            panel.set_ylim(bottom=0)
            panel.set_xticks([1, 4, 16, 64], ["1", "4", "16", "64"])
            _plain(panel)
    figure.supxlabel("clients", fontsize=10)
    figure.supylabel("operations a second", fontsize=10)
    labelled = {}
    for panel in panels.flat:
        labelled |= dict(zip(*reversed(panel.get_legend_handles_labels()), strict=True))
    figure.legend(labelled.values(), labelled, loc="outside upper center", ncols=2, frameon=False, fontsize=9)
    figure.savefig(path, dpi=130)


def draw_growth(results: targets.Results, path: Path, backend: str) -> None:
    """Write one small panel for each operation, all with the same logarithmic axes, to ``path``."""
    pyplot = _pyplot()
    cases = targets.cases_by_size(results, backend)
    names = list(
        dict.fromkeys(name for case in cases.values() for name in results["cases"][case]["operations"])
    )
    if not names:
        sys.exit(f"these results have nothing of {backend}")
    rows = math.ceil(len(names) / COLUMNS)
    figure, panels = pyplot.subplots(
        rows,
        COLUMNS,
        figsize=(3.1 * COLUMNS, 2.3 * rows + 0.8),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for panel, name in zip(panels.flat, names, strict=False):
        for side in results["sides"]:
            label, colour, line = BY_SIDE.get(side, (side, "#555555", "-."))
            points = [
                (nodes, targets.milliseconds(results, case, name, side)) for nodes, case in cases.items()
            ]
            known = [(nodes, time_ms) for nodes, time_ms in points if time_ms is not None]
            panel.plot(*_axes(known), line, color=colour, marker="o", markersize=3, label=label)
        panel.set(xscale="log", yscale="log")
        panel.set_title(name, fontsize=9)
        _plain(panel)
    for panel in panels.flat[len(names) :]:
        panel.axis("off")
    figure.supxlabel(f"nodes in the store on {table.backend_name(results, backend)}", fontsize=10)
    figure.supylabel("median of a call, ms", fontsize=10)
    handles, labels = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False)
    figure.savefig(path, dpi=130)


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.fonttype"] = "none"  # text stays text, and the file small
    matplotlib.rcParams["svg.hashsalt"] = "headwater"  # the same results give the same file
    from matplotlib import pyplot

    return pyplot


def _axes(points: list[tuple[float, float]]) -> tuple[tuple[float, ...], ...]:
    return tuple(zip(*points, strict=True)) if points else ((), ())


def _plain(panel: Any) -> None:
    panel.grid(True, color="#dddddd", linewidth=0.6)
    panel.tick_params(labelsize=8)
    panel.minorticks_off()
    panel.spines[["top", "right"]].set_visible(False)


def main() -> None:
    parser = argparse.ArgumentParser(description="Plots from the results of run.py.")
    kinds = ("ratios", "throughput", *(f"growth-{backend}" for backend in backends.BACKENDS))
    parser.add_argument("kind", choices=kinds)
    parser.add_argument("results", type=Path, nargs="+", help="of one run, or of several with other cases")
    parser.add_argument("picture", type=Path, help="to write, .svg or .png")
    arguments = parser.parse_args()
    results = targets.read_results(arguments.results)
    try:
        if arguments.kind == "ratios":
            draw_ratios(results, arguments.picture)
        elif arguments.kind == "throughput":
            draw_throughput(results, arguments.picture)
        else:
            draw_growth(results, arguments.picture, arguments.kind.removeprefix("growth-"))
    except ModuleNotFoundError as exc:
        if exc.name != "matplotlib":
            raise
        sys.exit("the plot needs matplotlib: pip install matplotlib")


if __name__ == "__main__":
    main()
