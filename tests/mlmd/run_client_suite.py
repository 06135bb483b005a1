"""Run the test suite of ML Metadata's Python client against headwater, or headwater's stand-in for it.

    python tests/mlmd/run_client_suite.py wheel                # the wheel's client, a headwater server
    python tests/mlmd/run_client_suite.py standin-grpc         # headwater.mlmd, a headwater server
    python tests/mlmd/run_client_suite.py standin-inprocess    # headwater.mlmd, in process
    python tests/mlmd/run_client_suite.py wheel --server engine          # the control: MLMD against itself
    python tests/mlmd/run_client_suite.py wheel --server localhost:8080  # a server of yours, still empty
    python tests/mlmd/run_client_suite.py wheel --server mysql://root@127.0.0.1/new  # headwater on a database

The suite is ``metadata_store_test.py`` of the installed ml-metadata wheel. It is read from there at run
time and is no part of headwater. ``make peers`` installs the wheel in ``.venv-peers``; another interpreter
that has it is named with ``--peers-python`` or ``HEADWATER_PEERS_PYTHON``. The stand-in's runs copy the
suite to a temporary directory, where ``ml_metadata`` is ``headwater.mlmd``, and run it with the
interpreter of this script, which needs pytest and absl-py.

The outcome of each test is compared with what ML Metadata itself gives. Exit code 0 means no difference,
1 that some test ended otherwise, 2 that the suite could not be run.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
BRIDGE = REPOSITORY / "tests" / "peers" / "mlmd_bridge.py"
WAYS = ("wheel", "standin-grpc", "standin-inprocess")

TESTS = 108
# Marked by the authors as not to be run; both are about local files of older versions.
XFAILED = {"test_downgrade_metadata_store", "test_enable_metadata_store_upgrade_migration"}
# With a server these fail before any call: they call the suite's helper without its argument.
BROKEN_OVER_GRPC = {
    "test_connection_config_with_grpc_max_receive_message_length",
    "test_connection_config_with_grpc_max_receive_message_length_errors",
    "test_connection_config_with_grpc_http2_max_ping_strikes",
    "test_connection_config_with_grpc_client_timeout_sec_errors",
}

# A plugin of pytest: every module of the stand-in under the name of the original.
ALIASES = """
import importlib, pkgutil, sys
import headwater.mlmd

sys.modules["ml_metadata"] = headwater.mlmd
for module in pkgutil.walk_packages(headwater.mlmd.__path__, "headwater.mlmd."):
    alias = module.name.replace("headwater.mlmd", "ml_metadata", 1)
    sys.modules[alias] = importlib.import_module(module.name)
"""


class CannotRun(Exception):
    """Something the suite needs is missing. The message says what to do."""


def peers_python(given: str | None = None) -> Path:
    """The interpreter that has the wheel. Raises CannotRun."""
    python = (
        given or os.environ.get("HEADWATER_PEERS_PYTHON") or REPOSITORY / ".venv-peers" / "bin" / "python"
    )
    if not Path(python).exists():
        raise CannotRun(f"no interpreter at {python}; run `make peers`, or set HEADWATER_PEERS_PYTHON")
    return Path(python)


def suite_directory(peers: Path) -> Path:
    """Where the wheel keeps its suite and the options of it."""
    code = "import importlib.util as u; print(u.find_spec('ml_metadata').submodule_search_locations[0])"
    found = subprocess.run([peers, "-c", code], capture_output=True, text=True, check=False, env=_clean())
    directory = Path(found.stdout.strip()) / "metadata_store"
    if found.returncode or not (directory / "metadata_store_test.py").exists():
        raise CannotRun(f"{peers} has no ml-metadata with its tests: {found.stderr.strip()[-300:]}")
    return directory


def run(way: str, *, peers: Path, server: str = "headwater") -> list[str]:
    """Run the suite in one of ``WAYS``; each difference from what is expected, in a line.

    ``server`` is ``headwater`` or ``engine``, to start one that is empty, or the ``HOST:PORT`` of one.

    Raises:
        CannotRun: something is missing, or the server is not empty.
    """
    source = suite_directory(peers)
    with tempfile.TemporaryDirectory(prefix="client-suite-") as name:
        directory = Path(name)
        for file in ("metadata_store_test.py", "conftest.py"):
            shutil.copy(source / file, directory)
        (directory / "headwater_in_place.py").write_text(ALIASES)
        if way == "standin-inprocess":
            outcomes = _pytest(directory, Path(sys.executable), ["-p", "headwater_in_place"], _own(directory))
            return differences(outcomes, XFAILED, set())
        with _served(server, peers, directory) as target:
            host, _, port = target.rpartition(":")
            options = ["--use_grpc_backend", f"--grpc_host={host}", f"--grpc_port={port}"]
            if way == "wheel":
                outcomes = _pytest(directory, peers, options, _clean())
            else:
                options = ["-p", "headwater_in_place", *options]
                outcomes = _pytest(directory, Path(sys.executable), options, _own(directory))
        return differences(outcomes, XFAILED, BROKEN_OVER_GRPC)


def differences(outcomes: Mapping[str, str], xfailed: set[str], failed: set[str]) -> list[str]:
    found = []
    if len(outcomes) != TESTS:
        found.append(f"{len(outcomes)} tests were run where the suite has {TESTS}")
    for test in sorted(outcomes.keys() | xfailed | failed):
        expected = "xfailed" if test in xfailed else "failed" if test in failed else "passed"
        actual = outcomes.get(test, "missing")
        if actual.partition(":")[0] != expected:
            found.append(f"{test}: expected {expected}, was {actual}")
    return found


def _pytest(
    directory: Path, python: Path, options: Sequence[str], environment: Mapping[str, str]
) -> dict[str, str]:
    """Outcome by name of test: passed, xfailed, skipped or, with the first words of why, failed."""
    report = directory / "report.xml"
    command = [
        *(str(python), "-m", "pytest", "metadata_store_test.py", "-q", "--tb=short"),
        *("-p", "no:cacheprovider", "--rootdir=.", "-c", os.devnull, f"--junit-xml={report}", *options),
    ]
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    if not report.exists():
        raise CannotRun(f"pytest did not run:\n{(done.stdout + done.stderr)[-2000:]}")
    return dict(map(_outcome, ET.parse(report).iter("testcase")))


def _outcome(case: ET.Element) -> tuple[str, str]:
    name = case.get("name", "")
    for tag in ("failure", "error"):
        if (problem := case.find(tag)) is not None:
            return name, f"failed: {problem.get('message', '')[:300]!r}"
    if (skipped := case.find("skipped")) is not None:
        return name, "xfailed" if skipped.get("type") == "pytest.xfail" else "skipped"
    return name, "passed"


def _clean() -> dict[str, str]:
    """The environment of the wheel's interpreter, which must not meet our packages."""
    return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}


def _own(directory: Path) -> dict[str, str]:
    paths = [str(directory), str(REPOSITORY / "src")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([*paths, *filter(None, [os.environ.get("PYTHONPATH")])]),
    }


@contextmanager
def _served(server: str, peers: Path, directory: Path) -> Iterator[str]:
    """``host:port`` of a server that is empty."""
    if server == "engine":
        with _engine(peers) as target:
            yield target
    elif server == "headwater":
        with _headwater(f"sqlite:///{directory / 'store.db'}") as target:
            yield target
    elif "://" in server:
        with _headwater(server) as target:
            _refuse_unless_empty(target)
            yield target
    else:
        _refuse_unless_empty(server)
        yield server


@contextmanager
def _engine(peers: Path) -> Iterator[str]:
    command = [str(peers), str(BRIDGE)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=_clean()
    ) as process:
        try:
            assert process.stdout is not None
            ready = process.stdout.readline().split()
            if ready[:1] != ["ready"]:
                raise CannotRun(f"{' '.join(command)} did not start")
            yield f"127.0.0.1:{ready[1]}"
        finally:
            process.kill()


@contextmanager
def _headwater(database_url: str) -> Iterator[str]:
    sys.path.insert(0, str(REPOSITORY / "src"))
    from headwater.config import ServerConfig
    from headwater.server import Server

    served = Server(ServerConfig(database_url, port=0))
    served.start()
    try:
        yield f"127.0.0.1:{served.port}"
    finally:
        served.stop()


def _refuse_unless_empty(target: str) -> None:
    sys.path.insert(0, str(REPOSITORY / "src"))
    import headwater

    with headwater.connect(target, timeout_s=30) as store:
        lists = (store.list_artifact_types(), store.list_execution_types(), store.list_context_types())
    if any(lists):
        raise CannotRun(f"the server at {target} is not empty, and the suite's tests count on that")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("way", choices=WAYS)
    parser.add_argument(
        "--server",
        default="headwater",
        help="headwater (default), the URL of an empty database for it, engine, or HOST:PORT of an empty one",
    )
    parser.add_argument(
        "--peers-python", help="interpreter that has ml-metadata; default .venv-peers/bin/python"
    )
    arguments = parser.parse_args()
    try:
        found = run(arguments.way, peers=peers_python(arguments.peers_python), server=arguments.server)
    except CannotRun as error:
        print(error, file=sys.stderr)
        return 2
    for line in found:
        print(line)
    print(f"{arguments.way}: {len(found) or 'no'} differences from ML Metadata", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
