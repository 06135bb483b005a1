"""The benchmark's scripts run from end to end, on stores too small to time anything."""

import json
import os
import subprocess
import sys
from pathlib import Path

import databases
import grpc
import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PEERS = os.environ.get("HEADWATER_PEERS_PYTHON") or str(ROOT / ".venv-peers" / "bin" / "python")

pytestmark = pytest.mark.skipif(
    not Path(PEERS).exists(),
    reason="needs ml-metadata: run `make peers`, or set HEADWATER_PEERS_PYTHON",
)

QUICK = ["--repeat", "2", "--seconds", "1"]
LOADS = ["--load-clients", "4", "--load-seconds", "0.3", "--load-rounds", "1", "--load-processes", "2"]


def run_script(name: str, *arguments: str) -> str:
    finished = subprocess.run(
        [sys.executable, str(HERE / name), *arguments], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def places(backend, tmp_path_factory):
    """Options that say where stores are made; those on a server are dropped in the end."""
    options = ["--cache", str(tmp_path_factory.mktemp("benchmark"))]
    if backend == "postgresql":
        options += ["--postgresql-url", databases.server_of(backend).url("postgres")]
    if backend == "mysql":
        options += ["--mysql-url", databases.server_of(backend).url("mysql")]
    seed = str(os.getpid())
    yield [*options, "--seed", seed]
    run_script("backends.py", "drop", "--backends", backend, *options, "--seed", seed)


@pytest.fixture(scope="module")
def results(backend, places, tmp_path_factory):
    path = tmp_path_factory.mktemp("results") / "results.json"
    case = f"{backend}:1k"
    what = ["--cases", case, "--load-cases", case, "--loads", "mixed"]
    if backend != "sqlite":
        # MLMD's engine takes seconds there for what is left out.
        what += [
            "--operations",
            "get_*,page_*,filter_*,list_*,lineage_chain*,put_type*,put_artifacts_1,put_e*",
        ]
    run_script("run.py", *what, *QUICK, *LOADS, *places, "--output", str(path))
    return path


def test_every_operation_gives_mlmds_answer_on_every_side(backend, results):
    measured = json.loads(results.read_text())["cases"][f"{backend}:1k"]["operations"]

    # run.py exits with 1, which the fixture refuses, when a side fails or differs.
    assert all(len(operation["answers"]) == 4 for operation in measured.values())


def test_no_request_of_a_load_fails(backend, results):
    runs = json.loads(results.read_text())["cases"][f"{backend}:1k"]["load"]

    crowds = set() if backend == "sqlite" else {"bridges", "workers"}
    assert {run["side"] for run in runs} == {"bridge", "server"} | crowds
    assert [run for run in runs if run["failed"] and run["side"] in ("server", "workers")] == []
    assert all(run["operations"] for run in runs)


def test_the_results_become_tables(results):
    text = run_script("table.py", str(results))

    for heading in (": 1,000 nodes", "## Resident memory", "## Concurrency", "## Targets"):
        assert heading in text


@pytest.mark.parametrize("kind", ["ratios", "throughput"])
def test_the_results_become_a_plot(kind, results, tmp_path):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "plot.svg"

    run_script("plot.py", kind, str(results), str(picture))

    assert picture.read_text().rstrip().endswith("</svg>")


@pytest.mark.backends("sqlite")
def test_two_sizes_show_growth(backend, places, tmp_path):
    path, picture = tmp_path / "results.json", tmp_path / "growth.svg"
    cases = ["--cases", "sqlite:1k,sqlite:10k", "--operations", "get_type_by_name", "--load-cases", "none"]
    run_script("run.py", *cases, *QUICK, *places, "--output", str(path))

    assert "## Growth on SQLite" in run_script("table.py", str(path))
    pytest.importorskip("matplotlib")
    run_script("plot.py", "growth-sqlite", str(path), str(picture))
    assert picture.exists()


@pytest.mark.backends("postgresql", "mysql")
def test_a_delay_is_felt_by_both_sides(backend, places, tmp_path):
    path = tmp_path / "results.json"
    case = f"{backend}:1k+5ms"
    options = ["--sides", "bridge,server", "--operations", "put_execution_hook", "--load-cases", "none"]
    run_script("run.py", "--cases", case, *options, *QUICK, *places, "--output", str(path))

    (first, *_) = json.loads(path.read_text())["cases"][case]["operations"]["put_execution_hook"]["rounds"]
    # One round trip at the least, in microseconds.
    assert min(first["bridge"]) > 10_000
    assert min(first["server"]) > 10_000


@pytest.mark.backends("postgresql", "mysql")
def test_stores_that_are_used_up_are_gone_afterwards(backend, places, results, tmp_path):
    cases = ["--cases", f"{backend}:2k", "--operations", "get_type_by_name", "--load-cases", "none"]
    options = ["--use-up", "--sides", "bridge,server", "--output", str(tmp_path / "results.json")]
    run_script("run.py", *cases, *options, *QUICK, *places)

    left = run_script("backends.py", "list", "--backends", backend, *places)
    assert "_1000_" in left
    assert "_2000_" not in left


@pytest.mark.backends("sqlite")
def test_the_lean_client_gets_what_grpcs_client_gets(server, monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))
    import lean

    method, request = "/ml_metadata.MetadataStoreService/GetArtifactType", b"\x0a\x0cmlmd.Dataset"
    target = f"127.0.0.1:{server.port}"
    connection = lean.Connection(target)
    with grpc.insecure_channel(target) as channel:
        expected = channel.unary_unary(method)(request)

        assert _ask(connection, method, request) == (0, expected)
    assert _ask(connection, method, b"\x0a\x04none")[0] == grpc.StatusCode.NOT_FOUND.value[0]
    assert _ask(connection, "/ml_metadata.MetadataStoreService/Nothing", b"")[0] == 12
    connection.close()


def _ask(connection, method: str, request: bytes) -> tuple[int, bytes]:
    connection.send(method, request)
    while (outcome := connection.receive()) is None:
        pass
    return outcome


def test_steps_are_recorded_by_each_way(backend, places):
    *options, _, _ = places
    size = ["--executions", "300" if backend == "sqlite" else "1k"]

    measured = json.loads(run_script("steps.py", "record", *size, "--backend", backend, *options))

    assert set(measured["ms_a_step"]) == {"headwater", "mlmd", "lean"}
    assert all(measured["ms_a_step"].values())


@pytest.mark.backends("sqlite")
def test_steps_that_are_done_are_found(backend, places):
    *options, _, _ = places
    what = ["look-up", "--executions", "300", "--seconds", "0.5", "--clients", "2"]

    assert json.loads(run_script("steps.py", *what, *options))["per_second"] > 0


@pytest.mark.backends("sqlite")
def test_fingerprints_are_timed(backend):
    assert "%" in run_script("fingerprints.py")
