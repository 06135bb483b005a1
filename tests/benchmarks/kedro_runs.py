"""What the Kedro plugin costs a run, and what a cached run saves.

    python tests/benchmarks/kedro_runs.py nodes --rounds 15
    python tests/benchmarks/kedro_runs.py cached --rounds 5

Needs an interpreter with Kedro, pandas and the plugin.

``nodes`` runs a project of 100 small nodes by ``kedro run``: without the plugin, with its embedded store, and
with a server on loopback, in turns. Times are those of whole processes, so importing and opening are in them.
Beside them is the CPU time of the processes, which a busy machine changes less.

``cached`` runs a project shaped like Kedro's spaceflights in full, and again with nothing changed, and takes
off what Kedro takes to run nothing without the plugin.

Not named after Kedro alone: scripts of this directory would import it instead of Kedro.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import processes

NODES = 100
CHAIN = 10
"""Nodes in a row; each reads what the one before it made."""

# As if the plugin were not installed: neither its hooks nor its commands are found.
HIDDEN = """
import importlib.metadata as metadata
found = metadata.distributions
metadata.distributions = lambda **given: (
    one for one in found(**given) if not one._path.name.startswith("headwater_kedro")
)
"""
KEDRO = """
import sys
from kedro.framework.cli.cli import main
sys.argv[0] = "kedro"
main()
"""

PROJECT = {
    "pyproject.toml": """
[tool.kedro]
package_name = "measured"
project_name = "measured"
kedro_init_version = "1.0.0"
source_dir = "src"
""",
    "src/measured/__init__.py": "",
    "src/measured/settings.py": "",
    "conf/base/parameters.yml": "step: 1\n",
    "conf/local/.gitkeep": "",
}

# Every second output is a file, the others are in memory.
SMALL_NODES = f"""
from kedro.pipeline import Pipeline, node

def more(number, step):
    return number + step

def name(chain, at):
    return f"number_{{chain}}_{{at}}"

def register_pipelines():
    nodes = [
        node(more, [name(chain, at), "params:step"], name(chain, at + 1), name=f"more_{{chain}}_{{at}}")
        for chain in range({NODES // CHAIN})
        for at in range({CHAIN})
    ]
    return {{"__default__": Pipeline(nodes)}}
"""

SPACEFLIGHTS = """
from kedro.pipeline import Pipeline, node
import pandas as pd

def companies(raw):
    return raw.assign(rating=raw.rating.str.rstrip("%").astype(float) / 100, approved=raw.approved == "t")

def shuttles(raw):
    price = raw.price.str.replace("$", "").str.replace(",", "").astype(float)
    return raw.assign(price=price, complete=raw.complete == "t")

def table(shuttles, companies, reviews):
    rated = shuttles.merge(reviews, left_on="id", right_on="shuttle_id", suffixes=("", "_review"))
    return rated.merge(companies, left_on="company_id", right_on="id", suffixes=("", "_company")).dropna()

def split(table, share):
    count = int(len(table) * share)
    return table.iloc[:count], table.iloc[count:]

def train(rows):
    columns = rows[["engines", "rating", "score"]]
    return {name: float(rows.price.corr(columns[name])) for name in columns}

def evaluate(model, rows):
    return {"rows": len(rows), **model}

def by_company(table):
    return table.groupby("company_id").price.agg(["mean", "count"]).reset_index()

def register_pipelines():
    return {
        "__default__": Pipeline([
            node(companies, "raw_companies", "companies", name="companies"),
            node(shuttles, "raw_shuttles", "shuttles", name="shuttles"),
            node(table, ["shuttles", "companies", "raw_reviews"], "table", name="table"),
            node(split, ["table", "params:share"], ["train_rows", "test_rows"], name="split"),
            node(train, "train_rows", "model", name="train"),
            node(evaluate, ["model", "test_rows"], "metrics", name="evaluate"),
            node(by_company, "table", "by_company", name="by_company"),
        ]),
        "nothing": Pipeline([node(len, "params:nothing", "length", name="nothing")]),
    }
"""
RAW = """
import numpy as np, pandas as pd
random, rows = np.random.default_rng(7), {rows}
ids = np.arange(rows)
pd.DataFrame({{
    "id": ids, "rating": [f"{{n}}%" for n in random.integers(0, 100, rows)],
    "approved": random.choice(["t", "f"], rows),
}}).to_csv("data/companies.csv", index=False)
pd.DataFrame({{
    "id": ids, "company_id": random.integers(0, rows, rows), "engines": random.integers(1, 5, rows),
    "price": [f"${{n:,.1f}}" for n in random.uniform(1000, 9000, rows)],
    "complete": random.choice(["t", "f"], rows),
}}).to_excel("data/shuttles.xlsx", index=False)
pd.DataFrame({{
    "shuttle_id": ids, "score": random.uniform(0, 100, rows)
}}).to_csv("data/reviews.csv", index=False)
"""
SPACEFLIGHTS_CATALOG = """
raw_companies: {type: pandas.CSVDataset, filepath: data/companies.csv}
raw_shuttles: {type: pandas.ExcelDataset, filepath: data/shuttles.xlsx}
raw_reviews: {type: pandas.CSVDataset, filepath: data/reviews.csv}
companies: {type: pandas.ParquetDataset, filepath: data/companies.pq}
shuttles: {type: pandas.ParquetDataset, filepath: data/shuttles.pq}
table: {type: pandas.ParquetDataset, filepath: data/table.pq}
model: {type: json.JSONDataset, filepath: data/model.json, versioned: true}
metrics: {type: json.JSONDataset, filepath: data/metrics.json}
by_company: {type: pandas.CSVDataset, filepath: data/by_company.csv}
"""


class Taken(NamedTuple):
    """By one process."""

    wall_ms: float
    cpu_ms: float


def _cpu_s() -> float:
    """Of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Project:
    """A project of Kedro's in a directory of its own."""

    def __init__(self, path: Path, files: Mapping[str, str]) -> None:
        self.path = path
        for name, text in {**PROJECT, **files}.items():
            place = path / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        (path / "data").mkdir(exist_ok=True)

    def run(self, *options: str, hides: bool = False, **environment: str) -> Taken:
        """Run it as ``kedro run`` does, in a process of its own."""
        return self.call((HIDDEN if hides else "") + KEDRO, "run", *options, **environment)

    def call(self, program: str, *arguments: str, **environment: str) -> Taken:
        given = processes.own_environment()
        # As for a program that is installed: whose files were compiled when it ran first.
        given.pop("PYTHONDONTWRITEBYTECODE", None)
        own = {
            "DO_NOT_TRACK": "1",
            "XDG_STATE_HOME": str(self.path / "state"),
            "PYTHONPYCACHEPREFIX": str(self.path.parent / "compiled"),
        }
        began, began_cpu = time.perf_counter(), _cpu_s()
        finished = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            cwd=self.path,
            env={**given, **own, **environment},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        taken = Taken((time.perf_counter() - began) * 1000, (_cpu_s() - began_cpu) * 1000)
        output = finished.stdout + finished.stderr
        if finished.returncode or "does not record" in " ".join(output.split()):
            raise SystemExit(output[-4000:])
        return taken


def small_nodes(path: Path) -> Project:
    entries = [
        f"number_{chain}_{at}: {{type: json.JSONDataset, filepath: data/number_{chain}_{at}.json}}"
        for chain in range(NODES // CHAIN)
        for at in range(0, CHAIN + 1, 2)
    ]
    files = {f"data/number_{chain}_0.json": "1" for chain in range(NODES // CHAIN)}
    files["src/measured/pipeline_registry.py"] = SMALL_NODES
    files["conf/base/catalog.yml"] = "\n".join(entries)
    return Project(path, files)


def nodes(directory: Path, rounds: int) -> dict[str, object]:
    """Milliseconds of each side's runs, round by round."""
    sides = {name: small_nodes(directory / name) for name in ("without", "embedded", "server")}
    (directory / "served").mkdir(exist_ok=True)
    served = processes.start_headwater(f"sqlite:///{directory}/served/store.db", directory / "server.log")
    try:

        def run(side: str) -> Taken:
            address = {"HEADWATER_ADDRESS": served.target} if side == "server" else {}
            return sides[side].run(hides=side == "without", **address)

        for side in sides:  # Compiles Python's files and makes the stores.
            run(side)
        runs: dict[str, list[Taken]] = {side: [] for side in sides}
        for number in range(rounds):
            order = list(sides)
            for side in (*order[number % 3 :], *order[: number % 3]):
                runs[side].append(run(side))
    finally:
        served.stop()
    plain = runs["without"]
    return {
        side: {
            "run_ms": round(statistics.median(one.wall_ms for one in taken)),
            "overhead_ms_per_node": _overhead([(a.wall_ms, b.wall_ms) for a, b in pairs]),
            "overhead_cpu_ms_per_node": _overhead([(a.cpu_ms, b.cpu_ms) for a, b in pairs]),
            "ratio": round(statistics.median(a.wall_ms / b.wall_ms for a, b in pairs), 2),
            "runs_ms": " ".join(f"{one.wall_ms:.0f}" for one in taken),
        }
        for side, taken in runs.items()
        for pairs in [list(zip(taken, plain, strict=True))]
    }


def _overhead(pairs: list[tuple[float, float]]) -> float:
    """The median over the rounds of what a node takes more than without the plugin."""
    return round(statistics.median(a - b for a, b in pairs) / NODES, 1)


def cached(directory: Path, rounds: int, rows: int) -> dict[str, object]:
    """Milliseconds of full and cached runs, without those of a run of nothing."""
    project = Project(
        directory / "spaceflights",
        {
            "src/measured/pipeline_registry.py": SPACEFLIGHTS,
            "conf/base/catalog.yml": SPACEFLIGHTS_CATALOG,
            "conf/base/parameters.yml": "share: 0.8\nnothing: []\n",
        },
    )
    project.call(RAW.format(rows=rows))
    runner = ("--runner", "headwater_kedro.CachedRunner")
    times: dict[str, list[float]] = {"nothing": [], "plain": [], "full": [], "cached": []}
    for number in range(rounds + 1):
        # Other code of one node and another file: all nodes run anew.
        registry = project.path / "src/measured/pipeline_registry.py"
        registry.write_text(SPACEFLIGHTS.replace("complete=raw", f"round={number}, complete=raw"))
        with (project.path / "data/companies.csv").open("a") as companies:
            companies.write(f"{rows + number},1%,t\n")
        taken = {
            "nothing": project.run("--pipeline", "nothing", hides=True),
            "plain": project.run(hides=True),
            "full": project.run(*runner),
            "cached": project.run(*runner),
        }
        if number:  # The first compiles Python's files and makes the store.
            for what, one in taken.items():
                times[what].append(one.wall_ms)
    starting = statistics.median(times["nothing"])
    medians = {what: round(statistics.median(one) - starting) for what, one in times.items()}
    del medians["nothing"]
    shares = [
        (cached_ms - starting) / (full_ms - starting)
        for cached_ms, full_ms in zip(times["cached"], times["full"], strict=True)
    ]
    return {
        "start_up_ms": round(starting),
        "beyond_start_up_ms": medians,
        "cached_of_full": round(statistics.median(shares), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["nodes", "cached"])
    parser.add_argument("--rounds", type=int, default=7, help="turns of each side (default: %(default)s)")
    parser.add_argument(
        "--rows", type=int, default=20_000, help="of each table of cached (default: %(default)s)"
    )
    parser.add_argument("--keep", type=Path, help="make the projects here, and leave them")
    arguments = parser.parse_args()
    os.environ.pop("HEADWATER_ADDRESS", None)
    with tempfile.TemporaryDirectory(prefix="headwater-kedro-") as temporary:
        directory = (arguments.keep or Path(temporary)).absolute()
        directory.mkdir(parents=True, exist_ok=True)
        if arguments.what == "nodes":
            found = nodes(directory, arguments.rounds)
        else:
            found = cached(directory, arguments.rounds, arguments.rows)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
