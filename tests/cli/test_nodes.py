"""``headwater artifact``, ``execution``, ``context`` and ``type``: listed and shown."""

import json

import pytest

from headwater import connect
from headwater.v1 import metadata_store_pb2 as pb


@pytest.fixture
def url(database_url):
    """The URL of a database on each backend: what these commands show must not depend on it."""
    return database_url


def listed(result):
    """What a ``list --json`` printed."""
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def ids(result):
    return [node["id"] for node in listed(result)]


def test_a_list_in_a_pipe_is_a_line_for_each_node_under_a_heading(run, taxi):
    result = run("execution", "list", "--target", taxi.url, "--order-by", "id", "--desc")

    lines = [line.split() for line in result.stdout.splitlines()]
    assert [line[:-1] for line in lines] == [
        ["id", "type", "name", "state"],
        ["3", "Evaluate", "FAILED"],
        ["2", "Train", "train", "CACHED"],
        ["1", "Split", "split", "COMPLETE"],
    ]


def test_control_characters_of_a_name_do_not_reach_the_terminal(run, taxi):
    name = "a\x1b[31mb\nc"
    with connect(taxi.url) as store:
        store.put_artifacts([pb.Artifact(type_id=store.get_artifact_type("Report").id, name=name)])
    last = ("artifact", "list", "--desc", "--limit", 1, "--target", taxi.url)

    table, as_json = run(*last), run(*last, "--json")

    assert r"a\x1b[31mb\nc" in table.stdout
    assert listed(as_json)[0]["name"] == name


def test_json_of_a_node_has_numbers_and_plain_property_values(run, taxi):
    (node,) = listed(run("artifact", "list", "--filter", "name = 'taxi'", "--json", "--target", taxi.url))

    times = [node.pop(name) for name in ("create_ms", "update_ms")]
    assert all(isinstance(time_ms, int) for time_ms in times)
    assert node == {
        "id": taxi.raw,
        "type_id": 10,
        "type": "Dataset",
        "name": "taxi",
        "uri": "s3://b/taxi.csv",
        "state": "LIVE",
        "properties": {"rows": 1000},
        "custom_properties": {"owner": "data team", "tags": {"city": "Chicago"}},
    }


def test_lists_are_narrowed_by_type_filter_and_context(run, taxi):
    where = ("--json", "--target", taxi.url)

    assert ids(run("artifact", "list", "--type", "Dataset", *where)) == [taxi.raw, taxi.train, taxi.test]
    assert ids(run("artifact", "list", "--filter", "properties.rows.int_value > 500", *where)) == [
        taxi.raw,
        taxi.train,
    ]
    assert ids(run("artifact", "list", "--context", "Run/monday", *where)) == [taxi.model]
    assert ids(run("execution", "list", "--context", taxi.run, *where)) == [taxi.training]
    assert ids(run("context", "list", "--type", "Run", *where)) == [taxi.run]
    assert ids(run("artifact", "list", "--type", "Unheard", *where)) == []


def test_a_list_that_is_cut_short_says_so_on_stderr(run, taxi):
    where = ("--json", "--target", taxi.url)

    cut = run("artifact", "list", "--limit", 2, "--desc", *where)

    assert ids(cut) == [taxi.report, taxi.model]
    assert cut.stderr == "there are more than these 2; --limit 0 lists all\n"
    assert run("artifact", "list", "--limit", 5, *where).stderr == ""
    assert len(ids(run("artifact", "list", "--limit", 0, *where))) == 5


def test_a_table_shows_100_unless_told_otherwise_and_json_shows_all(run, taxi):
    with connect(taxi.url) as store:
        type_id = store.get_artifact_type("Report").id
        store.put_artifacts([pb.Artifact(type_id=type_id) for _ in range(120)])

    table = run("artifact", "list", "--target", taxi.url)

    assert len(table.stdout.splitlines()) == 101
    assert table.stderr == "there are more than these 100; --limit 0 lists all\n"
    assert len(ids(run("artifact", "list", "--json", "--target", taxi.url))) == 125


def test_a_filter_that_does_not_compile_is_an_error_with_its_place(run, taxi):
    result = run("artifact", "list", "--filter", "state = AND", "--target", taxi.url)

    assert result.exit_code == 1
    assert result.stderr.startswith("Error: filter, column 9: expected ")


def test_showing_an_artifact_names_its_properties_contexts_producer_and_consumers(run, taxi):
    result = run("artifact", "show", taxi.model, "--target", taxi.url)

    sections = [part.splitlines() for part in result.stdout.split("\n\n")]
    assert [line.split()[:2] for line in sections[0][:3]] == [
        ["id", "4"],
        ["type", "Model"],
        ["name", "fares"],
    ]
    assert [line.split() for line in sections[1]] == [["properties"], ["name", "value"], ["accuracy", "0.93"]]
    assert [line.split() for line in sections[2]] == [
        ["contexts"],
        ["id", "type", "name"],
        ["2", "Run", "monday"],
    ]
    assert sections[3][0] == "producer"
    assert sections[3][2].split()[:-1] == ["2", "Train", "train", "OUTPUT", "model"]
    assert sections[4][0] == "consumers"
    assert sections[4][2].split()[:-1] == ["3", "Evaluate", "INPUT", "model"]


def test_showing_an_execution_names_inputs_before_outputs(run, taxi):
    result = run("execution", "show", "Split/split", "--target", taxi.url)

    assert result.stdout.index("inputs") < result.stdout.index("outputs")
    assert "parts[1]" in result.stdout


def test_showing_as_json_keeps_contexts_and_events(run, taxi):
    found = json.loads(run("execution", "show", taxi.training, "--json", "--target", taxi.url).stdout)

    assert (found["id"], found["state"]) == (taxi.training, "CACHED")
    assert [context["name"] for context in found["contexts"]] == ["monday"]
    assert found["events"] == [
        {
            "artifact_id": taxi.train,
            "execution_id": taxi.training,
            "type": "INPUT",
            "path": ["examples"],
            "time_ms": 1_700_000_000_003,
        },
        {
            "artifact_id": taxi.model,
            "execution_id": taxi.training,
            "type": "OUTPUT",
            "path": ["model"],
            "time_ms": 1_700_000_000_004,
        },
    ]


def test_showing_a_context_names_parents_and_children(run, taxi):
    child = json.loads(run("context", "show", "Run/monday", "--json", "--target", taxi.url).stdout)
    parent = run("context", "show", taxi.pipeline, "--target", taxi.url)

    assert [context["id"] for context in child["parents"]] == [taxi.pipeline]
    assert parent.stdout.split("\n\n")[1].split() == ["children", "id", "type", "name", "2", "Run", "monday"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("artifact", "show", "99"), "there is no artifact 99"),
        (("artifact", "show", "Dataset/none"), "there is no artifact 'Dataset/none'"),
        (("artifact", "show", "s3://b/none"), "there is no artifact with the URI 's3://b/none'"),
        (("artifact", "show", "taxi"), "'taxi' is not an id, TYPE/NAME or a URI"),
        (("execution", "show", "train"), "'train' is not an id or TYPE/NAME"),
        (("context", "show", "Run/none"), "there is no context 'Run/none'"),
        (("type", "show", "Unheard"), "there is no type 'Unheard'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_what_is_not_there_is_an_error(run, taxi, arguments, sentence):
    result = run(*arguments, "--target", taxi.url)

    assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"Error: {sentence}\n")


def test_an_artifact_is_found_by_its_uri_if_only_one_has_it(run, taxi):
    one = run("artifact", "show", "s3://b/taxi.csv", "--json", "--target", taxi.url)
    with connect(taxi.url) as store:
        twin = pb.Artifact(type_id=store.get_artifact_type("Report").id, uri="s3://b/taxi.csv")
        (twin_id,) = store.put_artifacts([twin])

    several = run("artifact", "show", "s3://b/taxi.csv", "--target", taxi.url)

    assert json.loads(one.stdout)["id"] == taxi.raw
    assert several.stderr == (
        f"Error: 2 artifacts have the URI 's3://b/taxi.csv'; give one of their ids: {taxi.raw}, {twin_id}\n"
    )


def test_types_are_listed_with_what_they_declare(run, taxi):
    result = run("type", "list", "--kind", "artifact", "--target", taxi.url)

    assert [line.split() for line in result.stdout.splitlines()] == [
        ["kind", "id", "name", "version", "properties"],
        ["artifact", "10", "Dataset", "rows:", "INT"],
        ["artifact", "11", "Model", "accuracy:", "DOUBLE"],
        ["artifact", "12", "Report"],
    ]


def test_a_type_is_shown_with_all_it_has(run, taxi):
    with connect(taxi.url) as store:
        type_id = store.put_execution_type(
            pb.ExecutionType(
                name="Deploy",
                version="2",
                description="to the shop",
                external_id="deploy",
                base_type=pb.ExecutionType.DEPLOY,
                properties={"replicas": pb.INT},
                input_type=pb.ArtifactStructType(any=pb.AnyArtifactStructType()),
            )
        )

    for named in ("Deploy", type_id):
        assert json.loads(run("type", "show", named, "--json", "--target", taxi.url).stdout) == {
            "kind": "execution",
            "id": type_id,
            "name": "Deploy",
            "version": "2",
            "description": "to the shop",
            "external_id": "deploy",
            "base_type": "DEPLOY",
            "properties": {"replicas": "INT"},
            "input_type": {"any": {}},
        }


def test_a_name_that_several_types_have_needs_a_kind_or_a_version(run, taxi):
    with connect(taxi.url) as store:
        second = store.put_artifact_type(pb.ArtifactType(name="Model", version="2"))

    ambiguous = run("type", "show", "Model", "--target", taxi.url)
    versioned = run("type", "show", "Model", "--type-version", "2", "--json", "--target", taxi.url)

    assert ambiguous.exit_code == 1
    assert f"11 (artifact, version none), {second} (artifact, version 2)" in ambiguous.stderr
    assert json.loads(versioned.stdout)["id"] == second
