"""Plot how the time of each operation grows with the store, from the results of ``run.py``.

    python tests/benchmarks/plot.py results.json growth.svg

Needs matplotlib, which nothing else in the project does: ``pip install matplotlib``. The ending of the
file decides the format.
"""

import argparse
import json
import math
import sys
from pathlib import Path

import targets

COLUMNS = 5
STYLES = (
    ("MLMD, gRPC", "#c2570c", "-"),
    ("MLMD, in process", "#c2570c", ":"),
    ("headwater, gRPC", "#0b6e99", "-"),
    ("headwater, in process", "#0b6e99", ":"),
)


def draw(results: targets.Results, path: Path) -> None:
    """Write one small panel for each operation, all with the same logarithmic axes, to ``path``."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.fonttype"] = "none"  # text stays text, and the file small
    from matplotlib import pyplot

    sizes = sorted(map(int, results["sizes"]))
    names = list(dict.fromkeys(name for size in results["sizes"].values() for name in size["operations"]))
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
        for side, (label, colour, line) in zip(results["sides"], STYLES, strict=True):
            points = [(nodes, targets.milliseconds(results, nodes, name, side)) for nodes in sizes]
            known = [(nodes, time_ms) for nodes, time_ms in points if time_ms is not None]
            panel.plot(
                *zip(*known, strict=True) if known else ((), ()),
                line,
                color=colour,
                marker="o",
                markersize=3,
                label=side if results["control"] else label,
            )
        panel.set(xscale="log", yscale="log")
        panel.set_title(name, fontsize=9)
        panel.grid(True, color="#dddddd", linewidth=0.6)
        panel.tick_params(labelsize=8)
        panel.minorticks_off()
        panel.spines[["top", "right"]].set_visible(False)
    for panel in panels.flat[len(names) :]:
        panel.axis("off")
    figure.supxlabel("nodes in the store", fontsize=10)
    figure.supylabel("median of a call, ms", fontsize=10)
    handles, labels = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False)
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description="Growth plots from the results of run.py.")
    parser.add_argument("results", type=Path)
    parser.add_argument("picture", type=Path, help="to write, .svg or .png")
    arguments = parser.parse_args()
    try:
        draw(json.loads(arguments.results.read_text()), arguments.picture)
    except ModuleNotFoundError as exc:
        if exc.name != "matplotlib":
            raise
        sys.exit("the plot needs matplotlib: pip install matplotlib")


if __name__ == "__main__":
    main()
