"""``headwater lineage`` and ``headwater export``: trees, DOT, SVG, JSON."""

import json
import os
import re
import shutil
import sys
from concurrent import futures
from xml.etree import ElementTree

import grpc
import pytest

from headwater import connect
from headwater.v1 import metadata_store_pb2 as pb

from .conftest import PATIENCE_S, headwater


@pytest.fixture
def url(database_url):
    """The URL of a database on each backend: what these commands show must not depend on it."""
    return database_url


def test_lineage_up_is_a_tree_in_which_a_node_met_before_is_not_followed_again(run, taxi):
    result = run("lineage", "up", taxi.report, "--target", taxi.url)

    assert result.stdout.splitlines() == [
        "artifact 5  Report  s3://b/report.html",
        "└─ execution 3  Evaluate  FAILED",
        "   ├─ model: artifact 4  Model  fares  accuracy=0.93",
        "   │  └─ model: execution 2  Train  train  CACHED",
        "   │     └─ examples: artifact 2  Dataset  taxi/train  rows=800",
        "   │        └─ parts[0]: execution 1  Split  split  COMPLETE",
        "   │           └─ data: artifact 1  Dataset  taxi  s3://b/taxi.csv  rows=1000  owner=data team  "
        'tags={"city": "Chicago"}',
        "   └─ examples: artifact 3  Dataset  taxi/test  rows=200",
        "      └─ parts[1]: execution 1  Split  split  (above)",
    ]


def test_lineage_down_is_the_other_way(run, taxi):
    result = run("lineage", "down", "Dataset/taxi/test", "--target", taxi.url)

    assert result.stdout.splitlines() == [
        "artifact 3  Dataset  taxi/test  rows=200",
        "└─ examples: execution 3  Evaluate  FAILED",
        "   └─ artifact 5  Report  s3://b/report.html",
    ]


def test_lineage_ends_after_so_many_hops_or_at_a_filter(run, taxi):
    one_hop = run("lineage", "up", taxi.report, "--hops", 1, "--target", taxi.url)
    until = run("lineage", "up", taxi.report, "--until", "name = 'fares'", "--target", taxi.url)

    assert one_hop.stdout.splitlines() == [
        "artifact 5  Report  s3://b/report.html",
        "└─ execution 3  Evaluate  FAILED",
    ]
    assert "artifact 4" in until.stdout
    assert "execution 2" not in until.stdout
    assert "execution 1" in until.stdout


def test_lineage_as_json_has_full_nodes_and_events(run, taxi):
    found = json.loads(run("lineage", "up", "Model/fares", "--json", "--target", taxi.url).stdout)

    assert [node["id"] for node in found["artifacts"]] == [taxi.raw, taxi.train, taxi.model]
    assert [node["name"] for node in found["executions"]] == ["split", "train"]
    assert [node["name"] for node in found["contexts"]] == ["monday"]
    assert len(found["events"]) == 4


def test_a_chain_of_hundreds_of_steps_is_drawn_to_its_end(run, url):
    with connect(url) as store:
        data = store.put_artifact_type(pb.ArtifactType(name="Data"))
        step = store.put_execution_type(pb.ExecutionType(name="Step"))
        length = 150
        edges = [(i, i, pb.Event(type=pb.Event.INPUT)) for i in range(length)]
        edges += [(i, i + 1, pb.Event(type=pb.Event.OUTPUT)) for i in range(length)]
        ids = store.put_lineage_subgraph(
            [pb.Execution(type_id=step) for _ in range(length)],
            [pb.Artifact(type_id=data) for _ in range(length + 1)],
            [],
            edges,
        )

    lines = run("lineage", "up", ids.artifact_ids[-1], "--target", url).stdout.splitlines()

    assert len(lines) == 2 * length + 1
    assert lines[-1].endswith(f"artifact {ids.artifact_ids[0]}  Data")
    assert max(map(len, lines)) < 100


class OnlyTheStore(grpc.GenericRpcHandler):
    """Passes on what a server of ML Metadata knows."""

    def __init__(self, channel):
        self._channel = channel

    def service(self, details):
        if not details.method.startswith("/ml_metadata.MetadataStoreService/"):
            return None
        ask = self._channel.unary_unary(details.method)
        return grpc.unary_unary_rpc_method_handler(lambda request, _: ask(request, timeout=PATIENCE_S))


@pytest.fixture
def address_of_mlmd(serve, taxi, channel_to):
    """Of a server that has the RPCs of ML Metadata and no others."""
    serving = serve("--database-url", taxi.url)
    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((OnlyTheStore(channel_to(serving.address)),))
    port = server.add_insecure_port("localhost:0")
    server.start()
    yield f"localhost:{port}"
    server.stop(None)


@pytest.mark.backends("sqlite")
def test_servers_of_ml_metadata_are_asked_for_the_lineage_of_an_artifact_too(run, taxi, address_of_mlmd):
    of_mlmd, own = (
        [
            run("lineage", "up", taxi.report, "--target", target),
            run("lineage", "up", taxi.report, "--json", "--target", target),
            run("export", "dot", taxi.model, "--target", target),
        ]
        for target in (address_of_mlmd, taxi.url)
    )
    as_of = run("lineage", "up", taxi.report, "--as-of", "2026-01-01", "--target", address_of_mlmd)

    assert of_mlmd[0].stdout == own[0].stdout
    hops = [[node["hops"] for node in json.loads(result[1].stdout)["artifacts"]] for result in (of_mlmd, own)]
    assert hops[0] == hops[1]
    assert sorted(of_mlmd[2].stdout.splitlines()) == sorted(own[2].stdout.splitlines())
    assert as_of.exit_code == 1


def test_lineage_of_an_artifact_that_is_not_there_is_an_error(run, taxi):
    result = run("lineage", "up", 99, "--target", taxi.url)

    assert (result.exit_code, result.stderr) == (1, "Error: there is no artifact 99\n")


def test_dot_draws_every_node_and_event(run, taxi):
    result = run("export", "dot", taxi.model, "--target", taxi.url)

    assert result.stdout.startswith("digraph lineage {\n")
    assert set(re.findall(r"^\t(\w+) \[label", result.stdout, re.MULTILINE)) == {
        *(f"artifact_{number}" for number in range(1, 6)),
        *(f"execution_{number}" for number in range(1, 4)),
    }
    assert '\tartifact_4 [label="fares\\nModel\\nartifact 4"' in result.stdout
    assert '\texecution_1 -> artifact_2 [label="parts[0]"]' in result.stdout
    assert "\tartifact_4 -> execution_3 [label=model]" in result.stdout
    assert "\texecution_3 -> artifact_5\n" in result.stdout


HOSTILE = ['"];evil [label="x', "<b>bold</b>", "<<table/>>", r"back\slash\N\n", "&lt;", "line\nbreak", "\\"]


needs_dot = pytest.mark.skipif(
    shutil.which("dot") is None, reason="graphviz' program dot is not installed: apt install graphviz"
)


@needs_dot
@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_drawn_as_they_are_whatever_they_hold(run, taxi, name):
    with connect(taxi.url) as store:
        report_type = store.get_artifact_type("Report").id
        (report,) = store.put_artifacts([pb.Artifact(type_id=report_type, name=name)])

    result = run("export", "svg", report, "--target", taxi.url)

    drawn = ElementTree.fromstring(result.stdout)
    texts = [element.text for element in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == [name.replace("\n", r"\n"), "Report", f"artifact {report}"]


@needs_dot
def test_svg_is_written_to_a_file(run, taxi, tmp_path):
    file = tmp_path / "taxi.svg"

    result = run("export", "svg", taxi.report, "--output", file, "--target", taxi.url)

    assert (result.exit_code, result.output) == (0, "")
    assert ElementTree.parse(file).getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_svg_without_the_program_dot_says_how_to_install_it_and_gives_the_dot_text(
    run, taxi, monkeypatch, tmp_path
):
    monkeypatch.setenv("PATH", str(tmp_path))

    result = run("export", "svg", taxi.report, "--target", taxi.url)

    assert result.exit_code == 1
    assert result.stdout.startswith("digraph lineage {\n")
    assert "install it with 'apt install graphviz'" in result.stderr


def test_drawing_without_the_package_graphviz_names_the_extra(taxi, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['graphviz'] = None\n")
    paths = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])

    process = headwater(
        "export", "dot", taxi.report, "--target", taxi.url, env={**os.environ, "PYTHONPATH": paths}
    )
    out, said = process.communicate(timeout=PATIENCE_S)

    assert (process.returncode, out) == (1, "")
    assert said == "Error: drawings need the Python package graphviz; pip install 'headwater[svg]'\n"


def test_json_is_exported_in_the_direction_asked_for(run, taxi):
    def artifacts(*arguments):
        exported = json.loads(run("export", "json", taxi.model, *arguments, "--target", taxi.url).stdout)
        return [node["id"] for node in exported["artifacts"]]

    assert artifacts("--direction", "up") == [taxi.raw, taxi.train, taxi.model]
    assert artifacts("--direction", "down") == [taxi.model, taxi.report]
    assert artifacts() == [taxi.raw, taxi.train, taxi.test, taxi.model, taxi.report]


def test_a_file_that_cannot_be_written_is_an_error(run, taxi, tmp_path):
    result = run("export", "json", taxi.model, "--output", tmp_path / "none" / "x.json", "--target", taxi.url)

    assert result.exit_code == 1
    assert f"cannot write '{tmp_path}/none/x.json': No such file or directory" in result.stderr


def test_exported_json_has_the_types_of_its_nodes(run, taxi):
    exported = json.loads(run("export", "json", taxi.model, "--direction", "up", "--target", taxi.url).stdout)

    assert {type_["name"]: type_["properties"] for type_ in exported["artifact_types"]} == {
        "Dataset": {"rows": "INT"},
        "Model": {"accuracy": "DOUBLE"},
    }
    assert [type_["name"] for type_ in exported["execution_types"]] == ["Split", "Train"]
    assert [type_["name"] for type_ in exported["context_types"]] == ["Run"]
