"""The benchmark's scripts run from end to end, on a store too small to time anything."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PEERS = os.environ.get("HEADWATER_PEERS_PYTHON") or str(ROOT / ".venv-peers" / "bin" / "python")

pytestmark = pytest.mark.skipif(
    not Path(PEERS).exists(),
    reason="needs ml-metadata: run `make peers`, or set HEADWATER_PEERS_PYTHON",
)


def run_script(name: str, *arguments: str) -> str:
    finished = subprocess.run(
        [sys.executable, str(HERE / name), *arguments], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    directory = tmp_path_factory.mktemp("benchmark")
    path = directory / "results.json"
    options = ["--sizes", "1k", "--repeat", "2", "--seconds", "1", "--cache", str(directory)]
    options += ["--load-sizes", "1k", "--load-threads", "4", "--load-seconds", "0.3", "--load-rounds", "1"]
    run_script("run.py", *options, "--output", str(path))
    return path


def test_every_operation_gives_mlmds_answer_on_every_side(results):
    measured = json.loads(results.read_text())["sizes"]["1000"]["operations"]

    # run.py exits with 1, which the fixture refuses, when a side fails or differs.
    assert all(len(operation["answers"]) == 4 for operation in measured.values())


def test_the_results_become_tables(results):
    text = run_script("table.py", str(results))

    for heading in ("## 1,000 nodes", "## Growth", "## Resident memory", "## Concurrency", "## Targets"):
        assert heading in text


def test_the_results_become_a_plot(results, tmp_path):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "growth.svg"

    run_script("plot.py", str(results), str(picture))

    assert picture.read_text().rstrip().endswith("</svg>")
