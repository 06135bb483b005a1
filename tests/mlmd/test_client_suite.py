"""The test suite of ML Metadata's own client. See run_client_suite.py."""

import importlib.util
from pathlib import Path

import pytest

import headwater
from headwater.v1 import metadata_store_pb2 as pb

_spec = importlib.util.spec_from_file_location(
    "run_client_suite", Path(__file__).with_name("run_client_suite.py")
)
suite = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(suite)


@pytest.fixture(scope="module")
def peers() -> Path:
    try:
        return suite.peers_python()
    except suite.CannotRun as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize("way", ["wheel", "standin-grpc"])
def test_the_suite_of_the_original_client_ends_as_with_ml_metadata(peers, database_url, way):
    assert suite.run(way, peers=peers, server=database_url) == []


@pytest.mark.parametrize(
    ("way", "server"), [("standin-grpc", "engine"), ("standin-inprocess", "none")], ids=lambda value: value
)
def test_the_suite_ends_as_with_ml_metadata_where_the_stand_in_is_its_client(peers, way, server):
    assert suite.run(way, peers=peers, server=server) == []


@pytest.mark.backends("sqlite")
def test_a_server_that_is_not_empty_is_refused(peers, server):
    with headwater.connect(f"127.0.0.1:{server.port}") as store:
        store.put_context_type(pb.ContextType(name="Run"))

    with pytest.raises(suite.CannotRun, match="is not empty"):
        suite.run("wheel", peers=peers, server=f"127.0.0.1:{server.port}")


def test_differences_are_named():
    outcomes = {f"test_{number}": "passed" for number in range(suite.TESTS - 2)}
    outcomes |= {"test_x": "xfailed", "test_0": "failed: 'why'"}

    assert suite.differences(outcomes, {"test_x"}, {"test_gone"}) == [
        f"{suite.TESTS - 1} tests were run where the suite has {suite.TESTS}",
        "test_0: expected passed, was failed: 'why'",
        "test_gone: expected failed, was missing",
    ]
